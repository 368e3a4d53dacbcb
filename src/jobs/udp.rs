//! Questions to the relay in datagrams, if the user wants that. An answer that
//! does not fit into one is asked for again over TCP.

use std::net::SocketAddr;
use std::time::Instant;

use crate::jobs::connection::JobConnection;
use crate::jobs::runner::{Done, JobRunner, RunsJobs};
use crate::role::{Context, Input, UdpPeer};
use crate::session::udp_requests::{UdpOutcome, UdpRequests};

impl JobRunner {
    /// Datagrams that reach the relay. What they can carry goes there first.
    pub fn by_datagrams(&mut self, exchanges: UdpRequests<JobConnection>) {
        self.exchanges = exchanges;
    }

    /// Begins a conversation with the relay: in datagrams if it is `brief`.
    pub(super) fn talk<R: RunsJobs>(
        &mut self,
        context: &mut Context<'_, R>,
        relay: SocketAddr,
        session: JobConnection,
        brief: bool,
    ) {
        let mut exchanges = std::mem::take(&mut self.exchanges);
        let begun = if brief {
            exchanges.begin(
                context.out,
                context.now,
                relay,
                session,
                |session, lines| {
                    self.on_input(session, Input::Connected, lines);
                },
            )
        } else {
            Err(session)
        };
        self.exchanges = exchanges;
        if let Err(session) = begun {
            context.out.dial(relay, session.into());
        }
    }

    /// A datagram came. Says what is done.
    pub fn datagram<R: RunsJobs>(
        &mut self,
        context: &mut Context<'_, R>,
        from: UdpPeer,
        bytes: &[u8],
    ) -> Vec<Done> {
        let mut exchanges = std::mem::take(&mut self.exchanges);
        let outcome = exchanges.receive(
            context.out,
            context.now,
            from,
            bytes,
            |session, line, more| self.on_input(session, Input::Line(line), more),
        );
        self.exchanges = exchanges;
        self.go_on(context, outcome)
    }

    /// Nobody takes datagrams at the other end of a socket. Says what is done.
    pub fn on_udp_unreachable<R: RunsJobs>(
        &mut self,
        context: &mut Context<'_, R>,
        socket: u32,
    ) -> Vec<Done> {
        let lost = self.exchanges.on_udp_unreachable(socket);
        self.go_on(context, lost)
    }

    /// Whether there is a conversation in datagrams.
    #[must_use]
    pub fn has_open_requests(&self) -> bool {
        !self.exchanges.is_empty()
    }

    /// When to call [`JobRunner::on_timer`].
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.exchanges.next_deadline()
    }

    /// Sends again what was not answered. Says what is done.
    pub fn on_timer<R: RunsJobs>(&mut self, context: &mut Context<'_, R>) -> Vec<Done> {
        let late = self.exchanges.on_timer(context.out, context.now);
        self.go_on(context, late)
    }

    fn go_on<R: RunsJobs>(
        &mut self,
        context: &mut Context<'_, R>,
        outcomes: impl IntoIterator<Item = UdpOutcome<JobConnection>>,
    ) -> Vec<Done> {
        let mut all_done = Vec::new();
        for outcome in outcomes {
            match outcome {
                UdpOutcome::Ended(session, end) => {
                    all_done.extend(self.on_close(context, session, &end))
                }
                UdpOutcome::FallBack(relay, session) => context.out.dial(relay, session.into()),
            }
        }
        all_done
    }
}
