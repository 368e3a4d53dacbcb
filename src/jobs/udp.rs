//! Queries to the relay over UDP, if the user wants that. A query whose answer does
//! not fit into a datagram is sent again over TCP.

use std::net::SocketAddr;
use std::time::Instant;

use crate::jobs::connection::JobConnection;
use crate::jobs::job::FinishedJob;
use crate::jobs::runner::{JobRunner, RunsJobs};
use crate::role::{Context, Input, UdpPeer};
use crate::session::udp_requests::{UdpOutcome, UdpRequests};

impl JobRunner {
    /// Sends queries over UDP first, and over TCP where UDP fails.
    pub fn set_udp(&mut self, udp: UdpRequests<JobConnection>) {
        self.udp = udp;
    }

    /// Opens a connection to the relay: over UDP if the query `fits_datagram`.
    pub(super) fn open<R: RunsJobs>(
        &mut self,
        context: &mut Context<'_, R>,
        relay: SocketAddr,
        connection: JobConnection,
        fits_datagram: bool,
    ) {
        if !fits_datagram {
            return context.out.dial(relay, connection.into());
        }
        let mut udp = std::mem::take(&mut self.udp);
        let sent = udp.begin(
            context.out,
            context.now,
            relay,
            connection,
            |connection, out| {
                self.on_input(connection, Input::Connected, out);
            },
        );
        self.udp = udp;
        if let Err(connection) = sent {
            context.out.dial(relay, connection.into());
        }
    }

    /// Reads a datagram, which may be an answer from the relay.
    pub fn on_datagram<R: RunsJobs>(
        &mut self,
        context: &mut Context<'_, R>,
        from: UdpPeer,
        bytes: &[u8],
    ) -> Vec<FinishedJob> {
        let mut udp = std::mem::take(&mut self.udp);
        let outcome = udp.receive(
            context.out,
            context.now,
            from,
            bytes,
            |connection, line, out| self.on_input(connection, Input::Line(line), out),
        );
        self.udp = udp;
        self.on_udp_outcomes(context, outcome)
    }

    /// No program receives datagrams at the other end of a socket.
    pub fn on_udp_unreachable<R: RunsJobs>(
        &mut self,
        context: &mut Context<'_, R>,
        socket: u32,
    ) -> Vec<FinishedJob> {
        let outcomes = self.udp.on_udp_unreachable(socket);
        self.on_udp_outcomes(context, outcomes)
    }

    /// Whether requests over UDP are outstanding.
    #[must_use]
    pub fn has_open_requests(&self) -> bool {
        !self.udp.is_empty()
    }

    /// When to call [`JobRunner::on_timer`].
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.udp.next_deadline()
    }

    /// Retransmits the datagrams that are due.
    pub fn on_timer<R: RunsJobs>(&mut self, context: &mut Context<'_, R>) -> Vec<FinishedJob> {
        let outcomes = self.udp.on_timer(context.out, context.now);
        self.on_udp_outcomes(context, outcomes)
    }

    fn on_udp_outcomes<R: RunsJobs>(
        &mut self,
        context: &mut Context<'_, R>,
        outcomes: impl IntoIterator<Item = UdpOutcome<JobConnection>>,
    ) -> Vec<FinishedJob> {
        let mut finished = Vec::new();
        for outcome in outcomes {
            match outcome {
                UdpOutcome::Ended(connection, reason) => {
                    finished.extend(self.on_close(context, connection, &reason));
                }
                UdpOutcome::FallBack(relay, connection) => {
                    context.out.dial(relay, connection.into());
                }
            }
        }
        finished
    }
}
