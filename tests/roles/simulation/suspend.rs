//! Machines that are suspended: the clock goes on, and nothing happens there. At the resume
//! comes everything that was due or has arrived, in order.

use std::time::{Duration, Instant};

use super::link::{HostId, NetworkEvent, Side};
use super::network::Network;

impl Network {
    /// Suspends the machine of a host.
    pub fn suspend(&mut self, id: HostId, time: Duration) {
        let until = self.now() + time;
        if let Some(host) = self.hosts.get_mut(&id) {
            host.suspended_until = host.suspended_until.max(until);
        }
    }

    /// The time until no machine is suspended.
    pub fn longest_suspension(&self) -> Duration {
        let ends = self.hosts.values().map(|host| host.suspended_until);
        let last = ends.max().unwrap_or(self.now());
        last.saturating_duration_since(self.now())
    }

    pub(super) fn is_suspended(&self, id: HostId) -> bool {
        let host = self.hosts.get(&id);
        host.is_some_and(|host| host.suspended_until > self.now())
    }

    /// Until when the host that an event concerns is suspended.
    pub(super) fn suspended(&self, event: &NetworkEvent) -> Option<Instant> {
        let (link, side) = match event {
            // The network does this, not the host.
            NetworkEvent::ConnectRequest(_) => return None,
            NetworkEvent::ConnectAccepted(link)
            | NetworkEvent::ConnectRefused(link)
            | NetworkEvent::ConnectTimeout(link)
            | NetworkEvent::CheckReadTimeout(link) => (link, Side::Outbound),
            NetworkEvent::Data(link, side, _)
            | NetworkEvent::Eof(link, side)
            | NetworkEvent::Reset(link, side) => (link, *side),
        };
        let link = &self.links[link];
        let endpoint = match side {
            Side::Outbound => &link.outbound,
            Side::Inbound => &link.inbound,
        };
        let (host, _) = endpoint.owner?;
        let until = self.hosts.get(&host)?.suspended_until;
        (until > self.now()).then_some(until)
    }
}
