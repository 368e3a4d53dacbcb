//! What waits to be sent to one peer, in order: bytes of its own, bytes that
//! many share, parts of files.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::SendFlags;

use crate::close_reason::CloseReason;

/// A file goes out in pieces of at most this size, so that one call never holds
/// the loop for long.
const FILE_PIECE: u64 = 1024 * 1024;

/// Bytes of its own are joined to those before them up to this size: a segment
/// is freed as a whole, and the last one must not grow while it is sent.
const JOINED: usize = 64 * 1024;

/// Segments that wait; mostly none.
pub(super) struct Outbox<F>(Option<Box<SegmentQueue<F>>>);

/// At least one segment.
struct SegmentQueue<F> {
    segments: VecDeque<Segment<F>>,
    /// How many bytes they have.
    queued: u64,
    /// At most so many of the bytes were not asked for.
    unsolicited: u64,
}

enum Segment<F> {
    Own { bytes: Vec<u8>, at: usize },
    Shared { bytes: Arc<[u8]>, at: usize },
    File { file: F, offset: u64, left: u64 },
}

/// What became of an attempt to send.
pub(super) enum Sent {
    /// All of it.
    All,
    /// The socket takes no more for now.
    Blocked,
    /// The budget is used up; the socket may take more.
    Budget,
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

    /// Bytes that wait.
    pub(super) fn queued(&self) -> u64 {
        self.0.as_ref().map_or(0, |queue| queue.queued)
    }

    /// At most so many of them were not asked for.
    pub(super) fn unsolicited(&self) -> u64 {
        let unsolicited = |queue: &SegmentQueue<F>| queue.unsolicited.min(queue.queued);
        self.0.as_deref().map_or(0, unsolicited)
    }

    /// Now so many of them were not.
    pub(super) fn set_unsolicited(&mut self, bytes: u64) {
        if let Some(queue) = &mut self.0 {
            queue.unsolicited = bytes;
        }
    }

    pub(super) fn push_bytes(&mut self, new: &[u8]) {
        let queue = self.growing_by(new.len() as u64);
        if let Some(Segment::Own { bytes, .. }) = queue.segments.back_mut()
            && bytes.len() + new.len() <= JOINED
        {
            bytes.extend_from_slice(new);
        } else {
            let bytes = new.to_vec();
            queue.segments.push_back(Segment::Own { bytes, at: 0 });
        }
    }

    pub(super) fn push_shared(&mut self, bytes: Arc<[u8]>) {
        let queue = self.growing_by(bytes.len() as u64);
        queue.segments.push_back(Segment::Shared { bytes, at: 0 });
    }

    pub(super) fn push_file(&mut self, file: F, offset: u64, left: u64) {
        let queue = self.growing_by(left);
        queue
            .segments
            .push_back(Segment::File { file, offset, left });
    }

    fn growing_by(&mut self, bytes: u64) -> &mut SegmentQueue<F> {
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

    /// Sends until all is sent, the socket takes no more or `budget` bytes are
    /// through. `count` is told of each piece.
    ///
    /// # Errors
    /// How the connection ended.
    pub(super) fn flush(
        &mut self,
        socket: &impl AsFd,
        mut budget: u64,
        mut count: impl FnMut(u64),
    ) -> Result<Sent, CloseReason> {
        let Some(queue) = &mut self.0 else {
            return Ok(Sent::All);
        };
        let mut segments_left = queue.segments.len();
        while let Some(segment) = queue.segments.front_mut() {
            if budget == 0 {
                return Ok(Sent::Budget);
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
                return Ok(Sent::Blocked);
            }
            if step.complete {
                queue.segments.pop_front();
                segments_left -= 1;
            }
        }
        // An idle connection owns no buffer.
        self.0 = None;
        Ok(Sent::All)
    }
}

/// What one system call did.
struct SendProgress {
    sent: u64,
    complete: bool,
    blocked: bool,
}

/// Sends bytes; with `more` the kernel waits for what follows to fill a segment.
/// Returns how many it took; fewer than given means that it takes no more.
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
        // The promised size cannot be kept: the only honest answer is to end.
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
