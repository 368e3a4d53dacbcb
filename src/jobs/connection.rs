//! A connection of the jobs, as the loop keeps it.

use std::fmt;

use crate::jobs::job::JobId;
use crate::jobs::node_pool::{PoolId, PoolPeer};
use crate::jobs::relay_query::RelayQuery;
use crate::role::Role;

/// One connection of the jobs. The jobs, and their requests to nodes, stay with the
/// runner.
pub struct JobConnection(pub(super) JobPeer);

/// The other side of a connection.
pub(super) enum JobPeer {
    Relay(JobId, Box<RelayQuery>),
    Pooled(PoolId, PoolPeer),
}

impl JobConnection {
    /// The index of the relay to which it leads.
    #[must_use]
    pub fn relay(&self) -> Option<usize> {
        match &self.0 {
            JobPeer::Relay(_, query) => Some(query.target.source),
            JobPeer::Pooled(_, PoolPeer::Relay(relay, _)) => Some(*relay),
            JobPeer::Pooled(_, PoolPeer::Node(_)) => None,
        }
    }

    /// Whether a node sends content on it.
    #[must_use]
    pub fn carries_content(&self) -> bool {
        matches!(self.0, JobPeer::Pooled(_, PoolPeer::Node(_)))
    }
}

impl fmt::Display for JobConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            JobPeer::Relay(..) | JobPeer::Pooled(_, PoolPeer::Relay(..)) => {
                f.write_str("our relay")
            }
            JobPeer::Pooled(_, PoolPeer::Node(node)) => write!(f, "node {node}"),
        }
    }
}

/// A role that runs jobs.
pub trait RunsJobs: Role<Session: From<JobConnection>> {}

impl<R: Role<Session: From<JobConnection>>> RunsJobs for R {}
