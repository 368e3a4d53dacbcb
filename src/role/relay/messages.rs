//! Who receives messages, and how fast one may send them.

use std::collections::HashMap;
use std::time::Instant;

use crate::protocol::NodeAddress;
use crate::role::ConnId;

/// Which connection receives what is sent to an address. One listener an address.
#[derive(Default)]
pub(super) struct Listeners {
    by_address: HashMap<NodeAddress, Listener>,
}

#[derive(Clone, Copy)]
struct Listener {
    conn: ConnId,
    /// The address is a registered node's, not just the connection's own.
    registered: bool,
}

/// What became of a wish to listen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Listening {
    /// It listens now; the connection that did before does no longer.
    Instead(ConnId),
    /// It listens now.
    Now,
    /// The address is a registered node's, and its node listens.
    Taken,
}

impl Listeners {
    /// `conn` receives from now on what is sent to `address`. A registered
    /// address wins over a connection's own.
    pub(super) fn listen(
        &mut self,
        address: NodeAddress,
        conn: ConnId,
        registered: bool,
    ) -> Listening {
        let listener = Listener { conn, registered };
        match self.by_address.get(&address) {
            Some(earlier) if earlier.registered && !registered => Listening::Taken,
            earlier => {
                let earlier = earlier.map(|earlier| earlier.conn);
                self.by_address.insert(address, listener);
                earlier
                    .filter(|earlier| *earlier != conn)
                    .map_or(Listening::Now, Listening::Instead)
            }
        }
    }

    /// The connection that receives what is sent to `address`.
    pub(super) fn at(&self, address: &NodeAddress) -> Option<ConnId> {
        self.by_address.get(address).map(|listener| listener.conn)
    }

    /// `conn` is gone. Somebody who listens in its place goes on.
    pub(super) fn leave(&mut self, address: &NodeAddress, conn: ConnId) {
        if self.at(address) == Some(conn) {
            self.by_address.remove(address);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_address.len()
    }
}

/// How many messages a sender may send in a second, and what it has left. Unused
/// allowance is kept for one second.
pub(super) struct Pace {
    left: f64,
    at: Instant,
}

impl Pace {
    /// A sender that has been silent until `now`.
    pub(super) fn new(rate: u32, now: Instant) -> Self {
        Self {
            left: f64::from(rate),
            at: now,
        }
    }

    /// Whether one more may be sent at `now`.
    pub(super) fn allows(&mut self, rate: u32, now: Instant) -> bool {
        let rate = f64::from(rate);
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + since * rate).min(rate);
        self.at = now;
        let allowed = self.left >= 1.0;
        if allowed {
            self.left -= 1.0;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_sender_has_its_rate_each_second_and_no_more() {
        let start = Instant::now();
        let mut pace = Pace::new(50, start);
        let allowed = |pace: &mut Pace, at| (0..1000).filter(|_| pace.allows(50, at)).count();
        assert_eq!(allowed(&mut pace, start), 50);
        assert_eq!(allowed(&mut pace, start + Duration::from_millis(100)), 5);
        assert_eq!(allowed(&mut pace, start + Duration::from_secs(3600)), 50);
    }
}
