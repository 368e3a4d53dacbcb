//! What the relay tells about itself: `STATS`, `HELP` and the banner.

use crate::protocol::Banner;
use crate::relay::{Relay, RelayRequest};
use crate::role::ReadNext;
use crate::session::server;

/// Events since the start.
#[derive(Default)]
pub(super) struct RelayCounters {
    /// Successful requests `FIND`.
    pub(super) finds: u64,
    /// Messages passed on.
    pub(super) messages: u64,
    /// Requests `LIST`.
    pub(super) lists: u64,
    /// Leases that expired.
    pub(super) expired: u64,
    /// Of the registrations and of the expired leases, those of nodes on loopback.
    pub(super) registrations_on_loopback: u64,
    pub(super) expired_on_loopback: u64,
}

impl Relay {
    pub(super) fn banner(&self, request: &mut RelayRequest<'_>) -> ReadNext {
        let nodes = self.directory.len(request.is_loopback()) as u64;
        let files = self.index.name_count(request.is_loopback()) as u64;
        request.reply.banner(Banner::Relay { nodes, files })
    }

    pub(super) fn stats(&self, request: &mut RelayRequest<'_>) -> ReadNext {
        let RelayCounters {
            finds,
            messages,
            lists,
            expired,
            registrations_on_loopback,
            expired_on_loopback,
        } = self.counters;
        let on_loopback = request.is_loopback();
        let seen = |all: u64, hidden: u64| if on_loopback { all } else { all - hidden };
        let figures = [
            ("nodes", self.directory.len(on_loopback) as u64),
            ("nodes_expired", seen(expired, expired_on_loopback)),
            (
                "registrations",
                seen(self.last_registration, registrations_on_loopback),
            ),
            ("lists", lists),
            ("names", self.index.name_count(on_loopback) as u64),
            ("finds", finds),
            ("listeners", self.message_listeners.len(on_loopback) as u64),
            ("messages", messages),
            ("datagrams", request.traffic.datagrams),
            ("datagrams_lost", request.traffic.datagrams_lost),
            ("datagrams_ignored", self.reply_limiter.ignored()),
            ("cookies_wrong", self.cookies.wrong_count()),
        ];
        server::stats(request, self.started, &figures)
    }
}
