//! The output queue of a connection: own bytes, shared bytes and parts of files, in order.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use rustix::io::Errno;

use crate::close_reason::CloseReason;
use crate::reactor::transport::Transport;

/// The most bytes of a file that one system call sends, so that no call holds up the
/// loop for long.
const FILE_PIECE: u64 = 1024 * 1024;

/// The size up to which own bytes are appended to the segment before them: a segment is
/// freed as a whole, and the last one must not grow for ever.
const MAX_MERGED: usize = 64 * 1024;

/// The segments to send; mostly none.
pub(super) struct Outbox<F>(Option<Box<SegmentQueue<F>>>);

/// A queue with at least one segment.
struct SegmentQueue<F> {
    segments: VecDeque<Segment<F>>,
    /// The number of bytes in the segments.
    queued: u64,
    /// The upper bound of the unsolicited bytes among them.
    unsolicited: u64,
}

enum Segment<F> {
    Own { bytes: Vec<u8>, at: usize },
    Shared { bytes: Arc<[u8]>, at: usize },
    File { file: F, offset: u64, left: u64 },
}

/// The result of flushing an outbox.
pub(super) enum FlushStatus {
    /// Everything is sent.
    Complete,
    /// The socket accepts no more for now.
    Blocked,
    /// The budget is spent; the socket may accept more.
    BudgetSpent,
}

impl<F> Default for Outbox<F> {
    fn default() -> Self {
        Self(None)
    }
}

impl<F> Outbox<F> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The number of bytes to send.
    pub(super) fn queued(&self) -> u64 {
        self.0.as_ref().map_or(0, |queue| queue.queued)
    }

    /// The upper bound of the unsolicited bytes among them.
    pub(super) fn unsolicited(&self) -> u64 {
        let unsolicited = |queue: &SegmentQueue<F>| queue.unsolicited.min(queue.queued);
        self.0.as_deref().map_or(0, unsolicited)
    }

    /// Sets the number of unsolicited bytes.
    pub(super) fn set_unsolicited(&mut self, bytes: u64) {
        if let Some(queue) = &mut self.0 {
            queue.unsolicited = bytes;
        }
    }

    pub(super) fn push_bytes(&mut self, new: &[u8]) {
        let queue = self.queue_for(new.len() as u64);
        if let Some(Segment::Own { bytes, .. }) = queue.segments.back_mut()
            && bytes.len() + new.len() <= MAX_MERGED
        {
            bytes.extend_from_slice(new);
        } else {
            let bytes = new.to_vec();
            queue.segments.push_back(Segment::Own { bytes, at: 0 });
        }
    }

    pub(super) fn push_shared(&mut self, bytes: Arc<[u8]>) {
        let queue = self.queue_for(bytes.len() as u64);
        queue.segments.push_back(Segment::Shared { bytes, at: 0 });
    }

    pub(super) fn push_file(&mut self, file: F, offset: u64, left: u64) {
        let queue = self.queue_for(left);
        queue
            .segments
            .push_back(Segment::File { file, offset, left });
    }

    fn queue_for(&mut self, bytes: u64) -> &mut SegmentQueue<F> {
        let queue = self.0.get_or_insert_with(|| {
            Box::new(SegmentQueue {
                segments: VecDeque::new(),
                queued: 0,
                unsolicited: 0,
            })
        });
        queue.queued += bytes;
        queue
    }

    /// Sends until everything is sent, the stream accepts no more or `budget` bytes are
    /// sent. Calls `count` with the size of each piece.
    ///
    /// # Errors
    /// The reason to close the connection.
    pub(super) fn flush<T: Transport<F>>(
        &mut self,
        transport: &mut T,
        mut budget: u64,
        mut count: impl FnMut(u64),
    ) -> Result<FlushStatus, CloseReason> {
        let Some(queue) = &mut self.0 else {
            return Ok(FlushStatus::Complete);
        };
        let mut segments_left = queue.segments.len();
        while let Some(segment) = queue.segments.front_mut() {
            if budget == 0 {
                return Ok(FlushStatus::BudgetSpent);
            }
            let more = segments_left > 1;
            let progress = match segment {
                Segment::Own { bytes, at } => send_from(transport, bytes, at, more),
                Segment::Shared { bytes, at } => send_from(transport, bytes, at, more),
                Segment::File { file, offset, left } => {
                    send_file(transport, file, offset, left, budget)
                }
            }?;
            budget = budget.saturating_sub(progress.sent);
            queue.queued -= progress.sent;
            count(progress.sent);
            if progress.blocked {
                return Ok(FlushStatus::Blocked);
            }
            if progress.complete {
                queue.segments.pop_front();
                segments_left -= 1;
            }
        }
        // An idle connection owns no buffer.
        self.0 = None;
        Ok(FlushStatus::Complete)
    }
}

/// The effect of one system call.
struct SendProgress {
    sent: u64,
    complete: bool,
    blocked: bool,
}

/// Sends bytes; with `more` the kernel holds back a partial packet for the bytes that
/// follow. Returns the number of bytes that the stream accepted; fewer than given means
/// that it accepts no more for now.
///
/// # Errors
/// The connection is lost.
pub(super) fn send<F>(
    transport: &mut impl Transport<F>,
    bytes: &[u8],
    more: bool,
) -> Result<usize, CloseReason> {
    loop {
        match transport.send(bytes, more) {
            Ok(sent) => return Ok(sent),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            Err(error) => return Err(CloseReason::ConnectionLost(error)),
        }
    }
}

fn send_from<F>(
    transport: &mut impl Transport<F>,
    bytes: &[u8],
    at: &mut usize,
    more: bool,
) -> Result<SendProgress, CloseReason> {
    let sent = send(transport, &bytes[*at..], more)?;
    *at += sent;
    let complete = *at == bytes.len();
    Ok(SendProgress {
        sent: sent as u64,
        complete,
        blocked: !complete,
    })
}

fn send_file<F>(
    transport: &mut impl Transport<F>,
    file: &F,
    offset: &mut u64,
    left: &mut u64,
    budget: u64,
) -> Result<SendProgress, CloseReason> {
    let done = |sent, left| SendProgress {
        sent,
        complete: left == 0,
        blocked: sent == 0 && left > 0,
    };
    if *left == 0 {
        return Ok(done(0, 0));
    }
    // At most 1 MiB, which fits any usize.
    let piece = (*left).min(FILE_PIECE).min(budget) as usize;
    loop {
        match transport.send_file(file, offset, piece) {
            // The file is shorter than announced: the peer must see the connection break.
            Ok(0) => return Err(CloseReason::FileTruncated),
            Ok(sent) => {
                *left -= sent as u64;
                return Ok(done(sent as u64, *left));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(done(0, *left)),
            Err(error) if is_file_error(&error) => return Err(CloseReason::FileReadError(error)),
            Err(error) => return Err(CloseReason::ConnectionLost(error)),
        }
    }
}

/// Whether sendfile(2) failed because of the file, not of the connection.
fn is_file_error(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::IO | Errno::STALE | Errno::INVAL | Errno::NOMEM)
    )
}
