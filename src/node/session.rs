//! The state of one connection of a node.

use std::fmt;

use crate::jobs;
use crate::node::http::HttpTask;
use crate::node::relay_update::RelayUpdate;
use crate::role::{ConnectionInfo, LastRequest};
use crate::session::{ServerSession, server};
use crate::tls::ConnectionSecurity;

/// One connection of a node.
pub enum NodeSession {
    /// A client that requests files, the last name of its last list, for `MORE`, and its
    /// answer in HTTP, if that takes several turns.
    Client(ServerSession, Option<Box<str>>, Option<Box<HttpTask>>),
    /// An update of the relay.
    RelayUpdate(Box<RelayUpdate>),
    /// The connection on which messages arrive, from the relay of this index.
    Messages(usize),
    /// A job of the console.
    Job(Box<jobs::JobConnection>),
}

impl NodeSession {
    /// The handshake of the connection is complete.
    pub(super) fn on_encrypted(&mut self, security: ConnectionSecurity) {
        if let Self::Client(session, ..) = self {
            session.on_encrypted(security);
        }
    }

    /// The last request of a client, for the log.
    pub(super) fn last_request(&self) -> Option<LastRequest<'_>> {
        match self {
            Self::Client(session, ..) => session.last_request(),
            Self::RelayUpdate(_) | Self::Messages(_) | Self::Job(_) => None,
        }
    }

    /// Whether rate limits hold for the connection.
    pub(super) fn carries_content(&self) -> bool {
        match self {
            Self::Client(session, ..) => session.carries_content(),
            Self::Job(connection) => connection.carries_content(),
            Self::RelayUpdate(_) | Self::Messages(_) => false,
        }
    }

    /// Appends the list of connections in the language of the client.
    pub(super) fn write_connections(
        &self,
        total: u64,
        connections: &[ConnectionInfo],
        text: &mut Vec<u8>,
    ) {
        match self {
            Self::Client(_, _, Some(task)) => task.write_connections(total, connections, text),
            _ => server::write_connections(total, connections, text),
        }
    }
}

impl From<jobs::JobConnection> for NodeSession {
    fn from(session: jobs::JobConnection) -> Self {
        // Boxed, because sessions of clients are many and small.
        Self::Job(Box::new(session))
    }
}

impl From<RelayUpdate> for NodeSession {
    fn from(update: RelayUpdate) -> Self {
        Self::RelayUpdate(Box::new(update))
    }
}

impl fmt::Display for NodeSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(session, ..) => session.fmt(f),
            Self::RelayUpdate(_) => f.write_str("our relay"),
            Self::Messages(_) => f.write_str("message subscription"),
            Self::Job(session) => session.fmt(f),
        }
    }
}
