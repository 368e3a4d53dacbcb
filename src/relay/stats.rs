//! What the relay tells about itself: `STATS`, `HELP` and the banner.

use crate::protocol::{Banner, Verb};
use crate::relay::Relay;
use crate::role::ReadNext;
use crate::session::responder::{Responder, VerbHelp};
use crate::session::server::{self, RequestContext};

/// The verbs of the relay.
pub(super) const VERBS: [VerbHelp; 14] = [
    (Verb::Register, "a node enters or renews; ip may be *"),
    (Verb::Unregister, "a node leaves"),
    (Verb::List, "the nodes, each as: ip port"),
    (Verb::Share, "the node registered here has this file"),
    (Verb::Unshare, "it has it no longer"),
    (Verb::Find, "who has it: ip port size hash"),
    (Verb::Search, "names with text in them, or all"),
    (Verb::More, "the list of names goes on"),
    (Verb::Listen, "this connection receives: FROM ip port text"),
    (Verb::Send, "a message to who listens there"),
    (Verb::Ping, "answers PONG"),
    (Verb::Stats, "figures"),
    (Verb::Help, "this"),
    (Verb::Quit, "goodbye"),
];

/// Events since the start.
#[derive(Default)]
pub(super) struct RelayCounters {
    /// Successful requests `FIND`.
    pub(super) finds: u64,
    /// Messages passed on.
    pub(super) messages: u64,
    /// Registrations and renewals.
    pub(super) registrations: u64,
    /// Requests `LIST`.
    pub(super) lists: u64,
    /// Leases that expired.
    pub(super) expired: u64,
}

impl Relay {
    pub(super) fn banner(&self, context: &RequestContext<'_>) -> Banner {
        Banner::Relay {
            nodes: self.directory.len(context.is_loopback()) as u64,
            files: self.index.len() as u64,
        }
    }

    pub(super) fn stats(
        &self,
        context: &RequestContext<'_>,
        reply: &mut Responder<'_, Self>,
    ) -> ReadNext {
        let RelayCounters {
            finds,
            messages,
            registrations,
            lists,
            expired,
        } = self.counters;
        let figures = [
            ("nodes", self.directory.len(context.is_loopback()) as u64),
            ("nodes_expired", expired),
            ("registrations", registrations),
            ("lists", lists),
            ("names", self.index.len() as u64),
            ("finds", finds),
            ("listeners", self.listeners.len() as u64),
            ("messages", messages),
            ("datagrams", context.traffic.datagrams),
            ("datagrams_lost", context.traffic.datagrams_lost),
            ("cookies_wrong", self.cookies.wrong_count()),
        ];
        server::stats(context, self.started, &figures, reply)
    }
}
