//! One node's answer to `GET`.

use std::time::Instant;

use crate::close_reason::CloseReason;
use crate::jobs::user::{Failure, StoreError};
use crate::protocol::{Code, NodeAddress};
use crate::session::requests::RequestQueue;

/// The attempt to fetch a file from one node.
pub(super) struct Attempt {
    pub(super) node: NodeAddress,
    pub(super) started: Instant,
    pub(super) requests: RequestQueue<()>,
    /// The size of the file, once it was found, and how much of it has arrived.
    pub(super) size: u64,
    pub(super) received: u64,
    pub(super) result: AttemptResult,
}

/// The result of an attempt.
#[derive(Debug)]
pub(super) enum AttemptResult {
    /// The file is not complete.
    Open,
    Complete,
    NotFound,
    /// The file is complete, and has another hash than the wanted one.
    OtherContent,
    Error(Code, String),
    StoreError(StoreError),
}

impl Attempt {
    pub(super) fn new(node: NodeAddress, now: Instant) -> Self {
        Self {
            node,
            started: now,
            requests: RequestQueue::default(),
            size: 0,
            received: 0,
            result: AttemptResult::Open,
        }
    }

    /// Why the file is not complete, after the connection has ended for `reason`.
    pub(super) fn broken_off<'a>(&self, reason: &'a CloseReason) -> Failure<'a> {
        match self.received {
            0 => Failure::Ended(reason),
            received => Failure::Broken {
                received,
                size: self.size,
                reason,
            },
        }
    }
}
