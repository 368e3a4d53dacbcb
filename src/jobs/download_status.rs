//! How far a download is.

use std::time::Duration;

use crate::protocol::FileName;

/// A file that is being fetched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DownloadStatus {
    /// The number of its job.
    pub number: u64,
    /// Its name.
    pub name: FileName<'static>,
    /// How much of it is there, once a node has it.
    pub transfer: Option<TransferStatus>,
}

/// How much of a content is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TransferStatus {
    /// In bytes.
    pub received: u64,
    /// How many of them an earlier download had stored.
    pub resumed: u64,
    /// In bytes.
    pub size: u64,
    /// Since the start of this download.
    pub took: Duration,
}

impl TransferStatus {
    pub(super) fn new(received: u64, resumed: u64, size: u64, took: Duration) -> Self {
        Self {
            received: received.min(size),
            resumed,
            size,
            took,
        }
    }

    /// The bytes that came in a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.received.saturating_sub(self.resumed) as f64 / self.took.as_secs_f64().max(1e-3)
    }
}
