//! A part of a file on its way to a client, for the access log.

use std::fmt;
use std::net::SocketAddr;

use crate::escaped::Escaped;
use crate::role::{FileProgress, FileRequest};

/// For times in logs.
pub(super) const NANOS_PER_MS: u64 = 1_000_000;

/// A part of a file that is being sent, and the request for it.
pub(super) struct FileTransfer {
    request: FileRequest,
    length: u64,
    /// When it was queued, in nanoseconds since the start of the loop.
    queued_at: u64,
}

impl FileTransfer {
    /// `length` bytes that are queued now.
    pub(super) fn new(request: FileRequest, length: u64, now: u64) -> Self {
        Self {
            request,
            length,
            queued_at: now,
        }
    }

    /// How much is sent if `unsent` bytes are left.
    pub(super) fn progress(&self, unsent: u64) -> FileProgress {
        FileProgress {
            name: self.request.name.clone(),
            sent: self.length - unsent,
            length: self.length,
        }
    }

    /// Logs the end of the transfer: `unsent` bytes are left, because of `reason`.
    pub(super) fn log(&self, peer: SocketAddr, unsent: u64, now: u64, reason: impl fmt::Display) {
        let (FileRequest { verb, name }, length) = (&self.request, self.length);
        let bytes = length - unsent;
        let ms = now.saturating_sub(self.queued_at) / NANOS_PER_MS;
        let escaped = Escaped::text(name);
        log::info!(
            peer:%, verb = *verb, name = &**name, length, bytes, ms, reason:%;
            "{peer}: {verb}, {bytes} of {length} B sent, {ms} ms, {reason}: {escaped}"
        );
    }
}
