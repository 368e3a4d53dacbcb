//! Writes a server's log in a thread of its own, so that a slow reader of stderr
//! never blocks the loop. Lines wait in a bounded queue; if the queue is full,
//! lines are dropped and one line in their place gives their number.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::logging::LogQueue;

/// How long the drop of a writer waits for a slow reader.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Owns the writer thread. Dropping it waits until the queue is written, for a
/// second at most.
pub struct AsyncLogWriter(Arc<LogBuffer>);

/// Text on its way to the writer thread.
#[derive(Default)]
pub(crate) struct LogBuffer {
    state: Mutex<LogWriterState>,
    /// Text was queued, or the queue was written.
    changed: Condvar,
}

#[derive(Default)]
struct LogWriterState {
    queue: LogQueue,
    /// The thread writes text that it has removed from the queue.
    is_writing: bool,
}

impl AsyncLogWriter {
    /// Starts the thread. It ends with the process and is never joined: it may be
    /// blocked in a write that nothing else can end.
    pub(crate) fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let writer = Self(Arc::default());
        let buffer = writer.buffer();
        let body = move || buffer.write_all(out);
        thread::Builder::new().name("log".into()).spawn(body)?;
        Ok(writer)
    }

    pub(crate) fn buffer(&self) -> Arc<LogBuffer> {
        Arc::clone(&self.0)
    }
}

impl Drop for AsyncLogWriter {
    fn drop(&mut self) {
        let is_busy = |state: &mut LogWriterState| state.is_writing || !state.queue.is_empty();
        // What the reader has not taken by then is lost.
        let changed = &self.0.changed;
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
            self.changed.notify_all();
        }
    }

    /// The thread: writes the queued text, without end.
    fn write_all(&self, mut out: impl Write) {
        let mut state = self.lock();
        loop {
            let changed = &self.changed;
            state = changed
                .wait_while(state, |state| state.queue.is_empty())
                .unwrap_or_else(PoisonError::into_inner);
            let (mut text, dropped) = state.queue.take_all();
            state.is_writing = true;
            drop(state);
            if dropped > 0 {
                text.push_str(&format!("log lines dropped (slow reader): {dropped}\n"));
            }
            // A server goes on without a reader of its log.
            let _ = out.write_all(text.as_bytes());
            state = self.lock();
            state.is_writing = false;
            self.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, LogWriterState> {
        // The state is consistent whenever the lock is released, also by a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
