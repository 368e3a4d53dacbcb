//! What the relay tells about itself: `STATS`, `HELP` and the banner.

use crate::protocol::{Banner, Verb};
use crate::relay::Relay;
use crate::role::ReadNext;
use crate::session::responder::{Responder, VerbHelp};
use crate::session::server::{self, RequestContext};

/// The verbs of the relay.
pub(super) const VERBS: [VerbHelp; 14] = [
    (Verb::Register, "registers a node; ip * is your address"),
    (Verb::Unregister, "removes a node"),
    (Verb::List, "lists the nodes: ip port"),
    (Verb::Share, "announces a file of your node"),
    (Verb::Unshare, "withdraws a file of your node"),
    (Verb::Find, "lists who has a file: ip port size hash"),
    (Verb::Search, "lists files with text in the name, or all"),
    (Verb::More, "lists the next files"),
    (Verb::Listen, "receives messages: FROM ip port text"),
    (Verb::Send, "sends a message to a listener"),
    (Verb::Ping, "answers PONG"),
    (Verb::Stats, "lists figures about this relay"),
    (Verb::Help, "lists the commands"),
    (Verb::Quit, "closes the connection"),
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
