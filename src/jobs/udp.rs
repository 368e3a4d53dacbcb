//! Questions to the relay in datagrams, if the user wants that. An answer that
//! does not fit into one is asked for again over TCP.

use std::net::SocketAddr;
use std::time::Instant;

use crate::jobs::connection::Session;
use crate::jobs::runner::{Done, Errands, Runs};
use crate::role::{Correspondent, Heard, Turn};
use crate::session::udp_requests::{Exchanges, Outcome};

impl Errands {
    /// Datagrams that reach the relay. What they can carry goes there first.
    pub fn by_datagrams(&mut self, exchanges: Exchanges<Session>) {
        self.exchanges = exchanges;
    }

    /// Begins a conversation with the relay: in datagrams if it is `brief`.
    pub(super) fn talk<R: Runs>(
        &mut self,
        turn: &mut Turn<'_, R>,
        relay: SocketAddr,
        session: Session,
        brief: bool,
    ) {
        let mut exchanges = std::mem::take(&mut self.exchanges);
        let begun = if brief {
            exchanges.begin(turn.out, turn.now, relay, session, |session, lines| {
                self.heard(session, Heard::Connected, lines);
            })
        } else {
            Err(session)
        };
        self.exchanges = exchanges;
        if let Err(session) = begun {
            turn.out.dial(relay, session.into());
        }
    }

    /// A datagram came. Says what is done.
    pub fn datagram<R: Runs>(
        &mut self,
        turn: &mut Turn<'_, R>,
        from: Correspondent,
        bytes: &[u8],
    ) -> Vec<Done> {
        let mut exchanges = std::mem::take(&mut self.exchanges);
        let outcome = exchanges.receive(turn.out, turn.now, from, bytes, |session, line, more| {
            self.heard(session, Heard::Line(line), more)
        });
        self.exchanges = exchanges;
        self.go_on(turn, outcome)
    }

    /// Nobody takes datagrams at the other end of a socket. Says what is done.
    pub fn unreachable<R: Runs>(&mut self, turn: &mut Turn<'_, R>, socket: u32) -> Vec<Done> {
        let lost = self.exchanges.unreachable(socket);
        self.go_on(turn, lost)
    }

    /// Whether there is a conversation in datagrams.
    #[must_use]
    pub fn is_talking(&self) -> bool {
        !self.exchanges.is_empty()
    }

    /// When to call [`Errands::tick`].
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.exchanges.next_deadline()
    }

    /// Sends again what was not answered. Says what is done.
    pub fn tick<R: Runs>(&mut self, turn: &mut Turn<'_, R>) -> Vec<Done> {
        let late = self.exchanges.tick(turn.out, turn.now);
        self.go_on(turn, late)
    }

    fn go_on<R: Runs>(
        &mut self,
        turn: &mut Turn<'_, R>,
        outcomes: impl IntoIterator<Item = Outcome<Session>>,
    ) -> Vec<Done> {
        let mut all_done = Vec::new();
        for outcome in outcomes {
            match outcome {
                Outcome::Ended(session, end) => all_done.extend(self.ended(turn, session, &end)),
                Outcome::FallBack(relay, session) => turn.out.dial(relay, session.into()),
            }
        }
        all_done
    }
}
