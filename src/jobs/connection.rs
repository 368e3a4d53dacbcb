//! A connection of the jobs, as the loop keeps it.

use std::fmt;

use crate::jobs::ids::JobId;
use crate::jobs::node_pool::{PoolId, PoolPeer};
use crate::jobs::relay_query::RelayQuery;
use crate::role::{PeerTls, Role};

/// One connection of the jobs. The jobs, and their requests to nodes, stay with the
/// runner.
pub struct JobConnection {
    pub(super) peer: JobPeer,
    /// Whether it is encrypted, and whom it must lead to.
    pub tls: PeerTls,
}

/// The other side of a connection.
pub(super) enum JobPeer {
    Relay(JobId, Box<RelayQuery>),
    Pooled(PoolId, PoolPeer),
}

impl JobConnection {
    /// Whether a node sends content on it.
    #[must_use]
    pub fn carries_content(&self) -> bool {
        matches!(self.peer, JobPeer::Pooled(_, PoolPeer::Node(_)))
    }
}

impl fmt::Display for JobConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.peer {
            JobPeer::Relay(..) | JobPeer::Pooled(_, PoolPeer::Source(..)) => {
                f.write_str("our relay")
            }
            JobPeer::Pooled(_, PoolPeer::Node(node)) => write!(f, "node {node}"),
        }
    }
}

/// A role that runs jobs.
pub trait RunsJobs: Role<Session: From<JobConnection>> {}

impl<R: Role<Session: From<JobConnection>>> RunsJobs for R {}
