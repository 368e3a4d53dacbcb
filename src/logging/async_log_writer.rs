//! Writes what a server says, in a thread of its own: who serves others never
//! waits for whoever reads its log. What nobody reads waits, up to a limit;
//! beyond it lines are lost, and one line in their place tells how many.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::logging::LogQueue;

/// How long the end of a program waits for a reader.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// The thread that writes. When this is dropped, all that was said before is
/// written, unless nobody reads it.
pub struct AsyncLogWriter(Arc<LogWriterShared>);

/// Where lines are put for the scribe.
#[derive(Default)]
pub(crate) struct LogWriterShared {
    work: Mutex<Work>,
    /// There is something to write, or all has been written.
    changed: Condvar,
}

#[derive(Default)]
struct Work {
    backlog: LogQueue,
    /// The scribe writes what it has taken.
    is_writing: bool,
}

impl AsyncLogWriter {
    /// Starts the thread. It ends with the process: it may be in the middle of a
    /// write that nothing else can end.
    pub(crate) fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let scribe = Self(Arc::default());
        let desk = scribe.desk();
        let body = move || desk.write_on(out);
        thread::Builder::new().name("scribe".into()).spawn(body)?;
        Ok(scribe)
    }

    pub(crate) fn desk(&self) -> Arc<LogWriterShared> {
        Arc::clone(&self.0)
    }
}

impl Drop for AsyncLogWriter {
    fn drop(&mut self) {
        let LogWriterShared { changed, .. } = &*self.0;
        let is_busy = |work: &mut Work| work.is_writing || !work.backlog.is_empty();
        // What nobody reads until then is lost.
        let _ = changed.wait_timeout_while(self.0.lock(), LAST_WAIT, is_busy);
    }
}

impl LogWriterShared {
    /// Returns at once.
    pub(crate) fn put(&self, bytes: &[u8]) {
        let mut work = self.lock();
        work.backlog.push(bytes);
        // Who writes looks for more before it sleeps.
        if !work.is_writing {
            self.changed.notify_all();
        }
    }

    fn write_on(&self, mut out: impl Write) {
        let mut work = self.lock();
        loop {
            work = self
                .changed
                .wait_while(work, |work| work.backlog.is_empty())
                .unwrap_or_else(PoisonError::into_inner);
            let (mut text, lost) = work.backlog.take_all();
            work.is_writing = true;
            drop(work);
            if lost > 0 {
                text.push_str(&format!("lines lost, as nobody read them: {lost}\n"));
            }
            // If the reader is gone, the work goes on all the same.
            let _ = out.write_all(text.as_bytes());
            work = self.lock();
            work.is_writing = false;
            self.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Work> {
        // No step leaves it in pieces.
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logging::MAX_WAITING;
    use std::sync::mpsc::{self, Receiver, Sender};
    use std::time::Instant;

    /// A pipe that takes each piece when it is read.
    struct Pipe(Sender<String>, Receiver<()>);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let text = String::from_utf8_lossy(bytes).into_owned();
            let gone = |_| io::ErrorKind::BrokenPipe;
            self.0.send(text).map_err(|_| io::ErrorKind::BrokenPipe)?;
            self.1.recv().map_err(gone)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A scribe, what it writes, and the way to let its write succeed.
    fn scribe() -> (AsyncLogWriter, Receiver<String>, Sender<()>) {
        let (written, begun) = mpsc::channel();
        let (read, may_end) = mpsc::channel();
        let scribe = AsyncLogWriter::start(Pipe(written, may_end)).expect("a thread");
        (scribe, begun, read)
    }

    #[test]
    fn what_nobody_reads_is_lost_and_counted_in_its_place() {
        let (scribe, begun, read) = scribe();
        let desk = scribe.desk();
        desk.put(b"first\n");
        assert_eq!(begun.recv().as_deref(), Ok("first\n"));
        // Nobody reads it, so all this waits.
        let long = format!("{}\n", "x".repeat(MAX_WAITING / 2 - 1));
        (0..4).for_each(|_| desk.put(long.as_bytes()));
        desk.put(b"short\n");
        read.send(()).expect("it waits");
        let lost = "lines lost, as nobody read them: 3\n";
        let waited = begun.recv().expect("the next");
        assert!(waited == format!("{long}{long}{lost}"));
        desk.put(b"room again\n");
        read.send(()).expect("it waits");
        assert_eq!(begun.recv().as_deref(), Ok("room again\n"));
        read.send(()).expect("it waits");
    }

    #[test]
    fn the_end_waits_for_a_reader_but_not_for_ever() {
        let (scribe, begun, read) = scribe();
        scribe.desk().put(b"one\n");
        begun.recv().expect("the first");
        scribe.desk().put(b"two\n");
        (0..2).for_each(|_| read.send(()).expect("it waits"));
        drop(scribe);
        assert_eq!(begun.try_recv().as_deref(), Ok("two\n"));

        let (scribe, _begun, _read) = super::tests::scribe();
        scribe.desk().put(b"one\n");
        let start = Instant::now();
        drop(scribe);
        assert!(start.elapsed() >= LAST_WAIT);
    }
}
