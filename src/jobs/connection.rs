//! One connection of a job.

use std::fmt;

use crate::jobs::attempt::Attempt;
use crate::jobs::job::JobId;
use crate::jobs::relay_query::RelayQuery;

/// One connection of a job: the number of the job, and the request. The job itself
/// stays with its runner.
pub struct JobConnection {
    pub(super) job: JobId,
    pub(super) peer: JobPeer,
}

/// The other side of a job's connection.
pub(super) enum JobPeer {
    Relay(RelayQuery),
    Node(Attempt),
}

impl fmt::Display for JobConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.peer {
            JobPeer::Relay(_) => f.write_str("our relay"),
            JobPeer::Node(attempt) => write!(f, "node {}", attempt.node),
        }
    }
}
