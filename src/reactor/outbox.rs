//! The output queue of a connection: own bytes, shared bytes and parts of files, in order.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::SendFlags;

use crate::close_reason::CloseReason;

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

impl<F: AsFd> Outbox<F> {
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

    /// Sends until everything is sent, the socket accepts no more or `budget` bytes are
    /// sent. Calls `count` with the size of each piece.
    ///
    /// # Errors
    /// The reason to close the connection.
    pub(super) fn flush(
        &mut self,
        socket: &impl AsFd,
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
            let step = match segment {
                Segment::Own { bytes, at } => send_from(socket, bytes, at, more),
                Segment::Shared { bytes, at } => send_from(socket, bytes, at, more),
                Segment::File { file, offset, left } => {
                    send_file(socket, file, offset, left, budget)
                }
            }?;
            budget = budget.saturating_sub(step.sent);
            queue.queued -= step.sent;
            count(step.sent);
            if step.blocked {
                return Ok(FlushStatus::Blocked);
            }
            if step.complete {
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
/// follow. Returns the number of bytes that it accepted; fewer than given means that it
/// accepts no more for now.
pub(super) fn send(socket: &impl AsFd, bytes: &[u8], more: bool) -> Result<usize, CloseReason> {
    let mut flags = SendFlags::NOSIGNAL;
    flags.set(SendFlags::MORE, more);
    loop {
        match rustix::net::send(socket, bytes, flags) {
            Ok(sent) => return Ok(sent),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(0),
            Err(error) => return Err(CloseReason::ConnectionLost(error.into())),
        }
    }
}

fn send_from(
    socket: &impl AsFd,
    bytes: &[u8],
    at: &mut usize,
    more: bool,
) -> Result<SendProgress, CloseReason> {
    let sent = send(socket, &bytes[*at..], more)?;
    *at += sent;
    let complete = *at == bytes.len();
    Ok(SendProgress {
        sent: sent as u64,
        complete,
        blocked: !complete,
    })
}

fn send_file(
    socket: &impl AsFd,
    file: &impl AsFd,
    offset: &mut u64,
    left: &mut u64,
    budget: u64,
) -> Result<SendProgress, CloseReason> {
    if *left == 0 {
        return Ok(SendProgress {
            sent: 0,
            complete: true,
            blocked: false,
        });
    }
    let piece = (*left).min(FILE_PIECE).min(budget);
    // At most 1 MiB: it fits any usize.
    let sent = loop {
        match rustix::fs::sendfile(socket, file, Some(offset), piece as usize) {
            Err(Errno::INTR) => {}
            other => break other,
        }
    };
    match sent {
        // The file is shorter than announced: the peer must see the connection break.
        Ok(0) => Err(CloseReason::FileTruncated),
        Ok(sent) => {
            *left -= sent as u64;
            Ok(SendProgress {
                sent: sent as u64,
                complete: *left == 0,
                blocked: false,
            })
        }
        Err(Errno::AGAIN) => Ok(SendProgress {
            sent: 0,
            complete: false,
            blocked: true,
        }),
        Err(error @ (Errno::IO | Errno::STALE | Errno::INVAL | Errno::NOMEM)) => {
            Err(CloseReason::FileReadError(io::Error::from(error)))
        }
        Err(error) => Err(CloseReason::ConnectionLost(error.into())),
    }
}
