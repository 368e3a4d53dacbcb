//! One connection of a client: whom it is with, and the job that it works for.

use std::fmt;
use std::time::Instant;

use crate::jobs::fetch::Fetch;
use crate::jobs::relay_query::RelayQuery;
use crate::jobs::runner::{JobId, JobPurpose};
use crate::jobs::user::StoreError;
use crate::protocol::{Code, NodeAddress};

/// One connection of a client. The job travels with it: when it ends, what is
/// in it says how to go on.
pub struct JobConnection {
    pub(super) job: JobId,
    pub(super) with: With,
}

/// Whom the connection is with.
pub(super) enum With {
    /// The relay: what is asked, and what for.
    Relay(RelayQuery, JobPurpose),
    /// A node: how it goes, and the fetch that it is for.
    Node(Attempt, Fetch),
}

/// One node's answer to `GET`.
pub(super) struct Attempt {
    pub(super) node: NodeAddress,
    /// When it was asked.
    pub(super) asked: Instant,
    /// The size of the file and how much has arrived, once it was found.
    pub(super) body: Option<(u64, u64)>,
    /// How it went.
    pub(super) outcome: AttemptResult,
}

/// How it went with a node.
#[derive(Debug)]
pub(super) enum AttemptResult {
    /// It is not over.
    Open,
    /// The file is complete.
    Complete,
    /// The node does not have the file.
    NotFound,
    /// All of it came, and it is another content than the one that is wanted.
    OtherContent,
    /// The answer was an error.
    Error(Code, String),
    /// We could not put the content where it should go.
    StoreError(StoreError),
}

impl fmt::Display for JobConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.with {
            With::Relay(..) => f.write_str("our relay"),
            With::Node(visit, _) => write!(f, "node {}", visit.node),
        }
    }
}
