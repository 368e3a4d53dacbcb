//! The output queue of a connection: own bytes, shared bytes and parts of files, in order.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use memchr::memchr;
use rustix::io::Errno;

use crate::close_reason::CloseReason;
use crate::reactor::byte_stream::{ByteStream, close_reason};
use crate::reactor::file_transfer::FileTransfer;
use crate::reactor::transport::{Transport, unless_blocked};
use crate::role::{FileRequest, SendableFile};

/// The most bytes of a file that one system call sends, so that no call holds up the
/// loop for long.
const FILE_PIECE: u64 = 1024 * 1024;

/// The last bytes of a file, which are sent only if the file is unchanged. The peer then
/// has either the content whose size was announced, or too few bytes.
const FILE_TAIL: u64 = 4096;

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
    usage: MemoryUsage,
}

/// What an outbox or a connection holds beside shared bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct MemoryUsage {
    /// Bytes in memory that nobody else holds; a segment of an outbox counts until it is
    /// sent.
    pub(super) bytes: u64,
    /// Open files.
    pub(super) files: usize,
}

/// Bytes that are sent in one piece or in several.
struct Segment<F> {
    source: SegmentSource<F>,
    /// The position of the next byte to send.
    at: u64,
    left: u64,
}

enum SegmentSource<F> {
    Own(Vec<u8>),
    Shared(Arc<[u8]>),
    File(F, Option<Box<FileTransfer>>),
}

impl<F> SegmentSource<F> {
    fn usage(&self) -> MemoryUsage {
        let (bytes, files) = match self {
            Self::Own(bytes) => (bytes.len() as u64, 0),
            Self::Shared(_) => (0, 0),
            Self::File(..) => (0, 1),
        };
        MemoryUsage { bytes, files }
    }

    fn transfer(&self) -> Option<&FileTransfer> {
        match self {
            Self::File(_, transfer) => transfer.as_deref(),
            Self::Own(_) | Self::Shared(_) => None,
        }
    }
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

    /// Whether there are unsolicited bytes and no others.
    pub(super) fn has_only_unsolicited(&self) -> bool {
        self.0.is_some() && self.unsolicited() == self.queued()
    }

    /// Discards the lines that have not begun to be sent.
    pub(super) fn discard_unsent_lines(&mut self) {
        let Some(queue) = &mut self.0 else {
            return;
        };
        let Some(mut segment) = queue.segments.pop_front() else {
            return;
        };
        self.0 = None;
        if let SegmentSource::Own(bytes) = &mut segment.source {
            bytes.drain(..segment.at as usize);
            // The first line may have begun.
            let line = memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1);
            self.push_bytes(&bytes[..line]);
        }
    }

    /// Sets the number of unsolicited bytes.
    pub(super) fn set_unsolicited(&mut self, bytes: u64) {
        if let Some(queue) = &mut self.0 {
            queue.unsolicited = bytes;
        }
    }

    pub(super) fn usage(&self) -> MemoryUsage {
        let usage = |queue: &SegmentQueue<F>| queue.usage;
        self.0.as_deref().map_or_else(MemoryUsage::default, usage)
    }

    /// The bytes in memory, with its part of the bytes that several hold.
    pub(super) fn held(&self) -> u64 {
        let part = |buffer: &Arc<[u8]>| buffer.len() as u64 / Arc::strong_count(buffer) as u64;
        self.usage().bytes + self.shared_buffers().map(part).sum::<u64>()
    }

    /// The buffers that others may hold, too.
    pub(super) fn shared_buffers(&self) -> impl Iterator<Item = &Arc<[u8]>> {
        let segments = self.0.iter().flat_map(|queue| &queue.segments);
        segments.filter_map(|segment| match &segment.source {
            SegmentSource::Shared(buffer) => Some(buffer),
            SegmentSource::Own(_) | SegmentSource::File(..) => None,
        })
    }

    pub(super) fn push_bytes(&mut self, new: &[u8]) {
        if let Some(queue) = &mut self.0
            && let Some(segment) = queue.segments.back_mut()
            && let SegmentSource::Own(bytes) = &mut segment.source
            && bytes.len() + new.len() <= MAX_MERGED
        {
            bytes.extend_from_slice(new);
            segment.left += new.len() as u64;
            queue.queued += new.len() as u64;
            queue.usage.bytes += new.len() as u64;
        } else {
            self.push(SegmentSource::Own(new.to_vec()), 0..new.len() as u64);
        }
    }

    pub(super) fn push_shared(&mut self, bytes: Arc<[u8]>) {
        let range = 0..bytes.len() as u64;
        self.push(SegmentSource::Shared(bytes), range);
    }

    /// Queues a part of a file. Its end is logged with its request, if there is one.
    pub(super) fn push_file(
        &mut self,
        file: F,
        range: Range<u64>,
        request: Option<Box<FileRequest>>,
        now: u64,
    ) {
        let length = range.end - range.start;
        let transfer = |request: Box<_>| FileTransfer::new(*request, length, now).into();
        self.push(SegmentSource::File(file, request.map(transfer)), range);
    }

    /// The files that are not sent in full, for the log, each with the number of bytes left.
    pub(super) fn transfers(&self) -> impl Iterator<Item = (&FileTransfer, u64)> {
        let segments = self.0.iter().flat_map(|queue| &queue.segments);
        segments.filter_map(|segment| Some((segment.source.transfer()?, segment.left)))
    }

    fn push(&mut self, source: SegmentSource<F>, range: Range<u64>) {
        let queue = self.0.get_or_insert_with(|| {
            Box::new(SegmentQueue {
                segments: VecDeque::new(),
                queued: 0,
                unsolicited: 0,
                usage: MemoryUsage::default(),
            })
        });
        let (at, left) = (range.start, range.end - range.start);
        queue.queued += left;
        let usage = source.usage();
        queue.usage.bytes += usage.bytes;
        queue.usage.files += usage.files;
        queue.segments.push_back(Segment { source, at, left });
    }

    /// Sends until everything is sent, the stream accepts no more or `budget` bytes are
    /// sent. Calls `on_sent` for each file that is sent in full. Returns whether the stream
    /// may accept more.
    ///
    /// # Errors
    /// The reason to close the connection.
    pub(super) fn flush<T: Transport<F>>(
        &mut self,
        stream: &mut ByteStream<'_, T>,
        mut budget: u64,
        on_sent: impl Fn(&FileTransfer),
    ) -> Result<bool, CloseReason>
    where
        F: SendableFile,
    {
        let Some(queue) = &mut self.0 else {
            return stream.flush();
        };
        let mut segments_left = queue.segments.len();
        while let Some(segment) = queue.segments.front_mut() {
            if budget == 0 {
                return Ok(true);
            }
            let left = segment.left;
            let is_blocked = left > 0 && segment.send(stream, budget, segments_left > 1)?;
            let sent = left - segment.left;
            budget = budget.saturating_sub(sent);
            queue.queued -= sent;
            if is_blocked {
                return Ok(false);
            }
            if segment.left == 0 {
                segment.source.transfer().into_iter().for_each(&on_sent);
                let usage = segment.source.usage();
                queue.usage.bytes -= usage.bytes;
                queue.usage.files -= usage.files;
                queue.segments.pop_front();
                segments_left -= 1;
            }
        }
        // An idle connection owns no buffer.
        self.0 = None;
        Ok(true)
    }
}

impl<F: SendableFile> Segment<F> {
    /// Sends once, at most `budget` bytes. Returns whether the stream accepts no
    /// more for now.
    fn send<T: Transport<F>>(
        &mut self,
        stream: &mut ByteStream<'_, T>,
        budget: u64,
        more: bool,
    ) -> Result<bool, CloseReason> {
        let bytes: &[u8] = match &self.source {
            SegmentSource::Own(bytes) => bytes,
            SegmentSource::Shared(bytes) => bytes,
            SegmentSource::File(file, _) => {
                let piece = match self.left.checked_sub(FILE_TAIL) {
                    None | Some(0) if !file.is_unchanged() => return Err(CloseReason::FileChanged),
                    None | Some(0) => self.left,
                    Some(before_tail) => before_tail.min(FILE_PIECE),
                };
                // At most 1 MiB, which fits any usize.
                let piece = piece.min(budget) as usize;
                let sent = send_file(stream, file, &mut self.at, piece)?;
                self.left -= sent as u64;
                return Ok(sent == 0);
            }
        };
        let piece = self.left.min(budget);
        let bytes = &bytes[self.at as usize..][..piece as usize];
        let sent = send(stream, bytes, more && piece == self.left)? as u64;
        self.at += sent;
        self.left -= sent;
        Ok(sent < piece)
    }
}

/// Sends bytes; with `more` the kernel holds back a partial packet for the bytes that
/// follow. Returns the number of bytes that the stream accepted; fewer than given means
/// that it accepts no more for now.
///
/// # Errors
/// The connection is lost.
pub(super) fn send<F, T: Transport<F>>(
    stream: &mut ByteStream<'_, T>,
    bytes: &[u8],
    more: bool,
) -> Result<usize, CloseReason> {
    let sent = unless_blocked(|| stream.send(bytes, more));
    Ok(sent.map_err(close_reason)?.unwrap_or(0))
}

/// Sends at most `length` bytes of a file, and advances `offset`. Returns the number of
/// bytes that the stream accepted, 0 if it accepts none for now.
///
/// # Errors
/// The connection is lost, or the file cannot be read as far as announced.
fn send_file<F, T: Transport<F>>(
    stream: &mut ByteStream<'_, T>,
    file: &F,
    offset: &mut u64,
    length: usize,
) -> Result<usize, CloseReason> {
    match unless_blocked(|| stream.send_file(file, offset, length)) {
        // The file is shorter than announced: the peer must see the connection break.
        Ok(Some(0)) => Err(CloseReason::FileTruncated),
        Ok(sent) => Ok(sent.unwrap_or(0)),
        Err(error) if is_file_error(&error) => Err(CloseReason::FileReadError(error)),
        Err(error) => Err(close_reason(error)),
    }
}

/// Whether sendfile(2) failed because of the file, not of the connection.
fn is_file_error(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::IO | Errno::STALE | Errno::INVAL | Errno::NOMEM)
    )
}
