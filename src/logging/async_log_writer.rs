//! Writes a log in a thread of its own, so that a slow reader never blocks the program.
//! Lines wait in a bounded queue. If the queue is full, lines are dropped, and one line in
//! their place gives their number; likewise if the output fails.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::logging::log_queue::count_lines;
use crate::logging::{LogFormat, LogQueue};

/// How long the drop of a writer waits for a slow reader.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// When no line has come for this time, the logger is flushed: it logs how many lines it
/// has dropped. A rate limiter drops lines only within two seconds of one that it passes on.
const QUIET_TIME: Duration = Duration::from_secs(3);

/// Owns the writer thread. Dropping it waits until the queue is written, for a
/// second at most.
pub struct AsyncLogWriter(LogBuffer);

/// Text on its way to the writer thread. All clones are the same buffer.
#[derive(Clone, Default)]
pub(crate) struct LogBuffer(Arc<SharedBuffer>);

#[derive(Default)]
struct SharedBuffer {
    state: Mutex<LogWriterState>,
    /// Text was queued, or the queue was written.
    changed: Condvar,
}

#[derive(Default)]
struct LogWriterState {
    queue: LogQueue,
    /// The format of the lines.
    format: LogFormat,
    /// The thread writes text that it has removed from the queue.
    is_writing: bool,
}

impl AsyncLogWriter {
    /// Starts the thread. It ends with the process and is never joined: it may be
    /// blocked in a write that nothing else can end.
    ///
    /// # Errors
    /// The system cannot start a thread.
    pub fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let writer = Self(LogBuffer::default());
        let buffer = writer.buffer();
        let body = move || buffer.run(out);
        thread::Builder::new().name("log".into()).spawn(body)?;
        Ok(writer)
    }

    pub(crate) fn buffer(&self) -> LogBuffer {
        self.0.clone()
    }
}

impl Drop for AsyncLogWriter {
    fn drop(&mut self) {
        log::logger().flush();
        let is_busy = |state: &mut LogWriterState| state.is_writing || !state.queue.is_empty();
        // What the reader has not taken by then is lost.
        let changed = &self.0.0.changed;
        let _ = changed.wait_timeout_while(self.0.lock(), FLUSH_TIMEOUT, is_busy);
    }
}

impl LogBuffer {
    /// Queues text. Never blocks on the output.
    pub(crate) fn push(&self, bytes: &[u8]) {
        let mut state = self.lock();
        state.queue.push(bytes);
        // A thread that is writing checks the queue again before it waits.
        if !state.is_writing {
            self.0.changed.notify_all();
        }
    }

    /// Sets the format in which the number of dropped lines is written.
    pub(crate) fn set_format(&self, format: LogFormat) {
        self.lock().format = format;
    }

    /// The thread: writes the queued text, without end.
    fn run(&self, out: impl Write) {
        let mut out = LossyWriter {
            out,
            lost: 0,
            is_cut: false,
        };
        loop {
            let (mut text, dropped, format) = self.next_text();
            if dropped > 0 {
                text.push_str(&format.dropped("slow reader", dropped));
            }
            out.write_lines(&text, format);
            let mut state = self.lock();
            state.is_writing = false;
            self.0.changed.notify_all();
            let is_quiet = |state: &mut LogWriterState| state.queue.is_empty();
            let waited = self
                .0
                .changed
                .wait_timeout_while(state, QUIET_TIME, is_quiet);
            let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            drop(state);
            if timeout.timed_out() {
                log::logger().flush();
            }
        }
    }

    /// Waits for text. Returns it, the number of lines that were dropped after it, and the
    /// format for this number.
    fn next_text(&self) -> (String, u64, LogFormat) {
        let is_empty = |state: &mut LogWriterState| state.queue.is_empty();
        let waited = self.0.changed.wait_while(self.lock(), is_empty);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        state.is_writing = true;
        let (text, dropped) = state.queue.take_all();
        (text, dropped, state.format)
    }

    fn lock(&self) -> MutexGuard<'_, LogWriterState> {
        // The state is consistent whenever the lock is released, also by a panic.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Queues the bytes; never blocks.
impl Write for LogBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes lines to an output that may fail. The number of lost lines is written once the
/// output works again.
struct LossyWriter<W> {
    out: W,
    lost: u64,
    /// The last line was written in part.
    is_cut: bool,
}

impl<W: Write> LossyWriter<W> {
    fn write_lines(&mut self, lines: &str, format: LogFormat) {
        let mut gap = String::new();
        if self.lost > 0 {
            let end = if self.is_cut { "\n" } else { "" };
            gap = format!("{end}{}", format.dropped("write error", self.lost));
        }
        if self.write(&gap) == gap.len() {
            self.lost = 0;
            let written = self.write(lines);
            self.lost = count_lines(&lines.as_bytes()[written..]);
        } else {
            self.lost += count_lines(lines.as_bytes());
        }
    }

    /// Writes as much as possible. Returns the number of bytes that were written.
    fn write(&mut self, text: &str) -> usize {
        let (text, mut written) = (text.as_bytes(), 0);
        while written < text.len() {
            match self.out.write(&text[written..]) {
                Ok(0) => break,
                Ok(bytes) => written += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        if let Some(last) = written.checked_sub(1) {
            self.is_cut = text[last] != b'\n';
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logging::MAX_QUEUED;
    use std::sync::mpsc::{self, Receiver, Sender};
    use std::time::Instant;

    /// An output whose every write blocks until the test allows it to return.
    struct BlockingOutput {
        writes: Sender<String>,
        permits: Receiver<()>,
    }

    impl Write for BlockingOutput {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let text = String::from_utf8_lossy(bytes).into_owned();
            let broken_pipe = io::ErrorKind::BrokenPipe;
            self.writes.send(text).map_err(|_| broken_pipe)?;
            self.permits.recv().map_err(|_| broken_pipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A writer, its writes as they begin, and the permits for them to return.
    fn start_writer() -> (AsyncLogWriter, Receiver<String>, Sender<()>) {
        let (sender, writes) = mpsc::channel();
        let (permit, permits) = mpsc::channel();
        let output = BlockingOutput {
            writes: sender,
            permits,
        };
        let writer = AsyncLogWriter::start(output).expect("a thread");
        (writer, writes, permit)
    }

    #[test]
    fn a_full_queue_drops_lines_and_logs_their_number() {
        let (writer, writes, permit) = start_writer();
        let buffer = writer.buffer();
        buffer.push(b"first\n");
        assert_eq!(writes.recv().as_deref(), Ok("first\n"));
        // The thread is blocked, so the following lines are queued.
        let long = format!("{}\n", "x".repeat(MAX_QUEUED / 2 - 1));
        (0..4).for_each(|_| buffer.push(long.as_bytes()));
        buffer.push(b"short\n");
        permit.send(()).expect("the thread waits");
        let dropped = "log lines dropped (slow reader): 3\n";
        let queued = writes.recv().expect("the next write");
        assert!(queued == format!("{long}{long}{dropped}"));
        buffer.push(b"room again\n");
        permit.send(()).expect("the thread waits");
        assert_eq!(writes.recv().as_deref(), Ok("room again\n"));
        permit.send(()).expect("the thread waits");
    }

    /// A disk with room for so many bytes.
    struct FullDisk<'a>(&'a mut Vec<u8>, usize);

    impl Write for FullDisk<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let room = self.1 - self.0.len();
            if room == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let part = &bytes[..bytes.len().min(room)];
            self.0.extend_from_slice(part);
            Ok(part.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_a_full_disk_loses_are_counted() {
        let mut file = Vec::new();
        let mut writer = LossyWriter {
            out: FullDisk(&mut file, 9),
            lost: 0,
            is_cut: false,
        };
        writer.write_lines("first\n", LogFormat::Text);
        writer.write_lines("second\nthird\n", LogFormat::Text);
        writer.write_lines("fourth\n", LogFormat::Text);
        writer.out.1 = 1000;
        writer.write_lines("fifth\n", LogFormat::Text);
        writer.write_lines("sixth\n", LogFormat::Text);
        let dropped = "log lines dropped (write error): 3\n";
        let text = format!("first\nsec\n{dropped}fifth\nsixth\n");
        assert_eq!(String::from_utf8_lossy(&file), text);
    }

    #[test]
    fn drop_flushes_but_not_for_ever() {
        let (writer, writes, permit) = start_writer();
        writer.buffer().push(b"one\n");
        writes.recv().expect("the first write");
        writer.buffer().push(b"two\n");
        (0..2).for_each(|_| permit.send(()).expect("the thread waits"));
        drop(writer);
        assert_eq!(writes.try_recv().as_deref(), Ok("two\n"));

        let (writer, _writes, _permit) = start_writer();
        writer.buffer().push(b"one\n");
        let start = Instant::now();
        drop(writer);
        assert!(start.elapsed() >= FLUSH_TIMEOUT);
    }
}
