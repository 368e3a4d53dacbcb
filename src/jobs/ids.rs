//! The numbers of jobs, and of their queries and requests. None is used again while the program
//! runs.

/// The number of a job.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct JobId(pub(crate) u64);

/// The number of a query of a job.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct QueryId(pub(super) u64);

/// Identifies a request to a node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct RequestId {
    /// The job that sent it.
    pub(super) job: JobId,
    /// The number of requests before it.
    pub(super) number: u64,
}
