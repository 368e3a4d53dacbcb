//! What the relay tells about itself: `STATS`, `HELP` and the banner.

use crate::figure::Figure;
use crate::protocol::Banner;
use crate::relay::{Relay, RelayRequest};
use crate::role::ReadNext;
use crate::session::server;

/// Events since the start.
#[derive(Default)]
pub(super) struct RelayCounters {
    /// Answers that name holders: to `FIND`, and in HTTP.
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
        let id = self.id();
        request.reply.banner(Banner::Relay { nodes, files, id })
    }

    pub(super) fn stats(&self, request: &mut RelayRequest<'_>) -> ReadNext {
        let figures = self.figures(request);
        request.reply.stats(&figures)
    }

    /// The figures that the requester may know.
    pub(super) fn figures(&self, request: &RelayRequest<'_>) -> Vec<Figure> {
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
        let nodes = self.directory.len(on_loopback) as u64;
        let expired = seen(expired, expired_on_loopback);
        let registrations = self.last_registration - self.remote_registrations();
        let registrations = seen(registrations, registrations_on_loopback);
        let names = self.index.name_count(on_loopback) as u64;
        let listeners = self.message_listeners.len(on_loopback) as u64;
        let registry = self.registry_figures();
        let (datagrams, lost) = (request.traffic.datagrams, request.traffic.datagrams_lost);
        let (ignored, wrong) = (self.reply_limiter.ignored(), self.cookies.wrong_count());
        let mut figures = server::figures(request, self.started);
        figures.extend([
            Figure::gauge("nodes", nodes, "Registered nodes"),
            Figure::counter("nodes_expired", expired, "Nodes whose lease expired"),
            Figure::counter("registrations", registrations, "Registrations and renewals"),
            Figure::counter("lists", lists, "Requests for the list of nodes"),
            Figure::gauge("names", names, "File names in the index"),
            Figure::counter("finds", finds, "Answers that name the holders of a file"),
            Figure::gauge("listeners", listeners, "Addresses that receive messages"),
            Figure::counter("messages", messages, "Messages passed on"),
            Figure::counter("datagrams", datagrams, "Received datagrams"),
            Figure::counter("datagrams_lost", lost, "Datagrams that were not sent"),
            Figure::counter("datagrams_ignored", ignored, "Datagrams over a limit"),
            Figure::counter("cookies_wrong", wrong, "Datagrams with a wrong cookie"),
        ]);
        figures.extend(registry);
        figures
    }
}
