//! Gives files their names in a thread of its own: to create a small file takes longer than
//! to fetch it, and meanwhile the nodes need the next requests.

use std::io;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::{self, JoinHandle};

use crate::download::output_file::OutputFile;
use crate::jobs::{ContentInfo, JobId};

/// Number of finished files after which the writer wakes the loop. The requests for the next
/// files leave together then. Fewer than the files that are fetched at once, so that the
/// writer has others meanwhile.
const BATCH: usize = 32;

/// The sending side, for the loop.
pub struct FileWriter {
    files: Sender<CompleteFile>,
    results: Receiver<(JobId, io::Result<()>)>,
}

/// The thread that creates the files.
pub struct FileWriterThread {
    files: Receiver<CompleteFile>,
    results: Sender<(JobId, io::Result<()>)>,
}

/// A file whose content is complete, without its name.
pub(super) struct CompleteFile {
    pub(super) job: JobId,
    pub(super) file: OutputFile,
    pub(super) content: ContentInfo,
}

impl FileWriter {
    /// A writer, and its thread, which is to be started.
    #[must_use]
    pub fn new() -> (Self, FileWriterThread) {
        let (files, received_files) = channel();
        let (sent_results, results) = channel();
        let thread = FileWriterThread {
            files: received_files,
            results: sent_results,
        };
        (Self { files, results }, thread)
    }

    /// Commits a file. Returns the file if there is no thread.
    pub(super) fn send(&self, file: CompleteFile) -> Option<CompleteFile> {
        self.files.send(file).err().map(|error| error.0)
    }

    /// The next file that was committed, or could not be.
    pub(crate) fn next_result(&self) -> Option<(JobId, io::Result<()>)> {
        self.results.try_recv().ok()
    }
}

impl FileWriterThread {
    /// Starts the thread. It calls `on_results` after some files, and ends when the
    /// [`FileWriter`] is gone and all files are committed.
    ///
    /// # Errors
    /// The system cannot create a thread.
    pub fn start(self, on_results: impl Fn() + Send + 'static) -> io::Result<JoinHandle<()>> {
        let body = move || {
            let mut unreported = 0;
            loop {
                let file = match self.files.try_recv() {
                    Err(TryRecvError::Empty) if unreported == 0 => self.files.recv().ok(),
                    received => received.ok(),
                };
                let is_busy = file.is_some();
                if let Some(CompleteFile {
                    job,
                    mut file,
                    content,
                }) = file
                {
                    let result = file.commit(&content);
                    unreported += 1;
                    // Nobody waits for the results of a loop that has ended.
                    let _ = self.results.send((job, result));
                } else if unreported == 0 {
                    return;
                }
                if unreported == BATCH || !is_busy {
                    unreported = 0;
                    on_results();
                }
            }
        };
        thread::Builder::new().name("write".into()).spawn(body)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;
    use crate::download::{Destination, SaveOptions, Target};
    use crate::protocol::FileName;

    const FILES: u64 = 20;

    /// Saves small files of a folder through a thread, and returns the results.
    fn save(root: &std::path::Path, before_commit: impl Fn()) -> Vec<Result<(), String>> {
        let target = Target::Folder(root.to_owned());
        let mut destination = Destination::save(target, SaveOptions::default());
        let (writer, thread) = FileWriter::new();
        let (wake, is_awake) = channel();
        let on_results = move || wake.send(()).expect("the test waits");
        let thread = thread.start(on_results).expect("a thread");
        let content = ContentInfo::new(5, None);
        for job in (0..FILES).map(JobId) {
            let name = format!("docs/{}", job.0);
            let name = FileName::parse(&name).expect("a name");
            destination.open(job, &name, &content).expect("opened");
            destination.write_at(job, 0, b"bytes").expect("written");
        }
        before_commit();
        for job in (0..FILES).map(JobId) {
            assert!(destination.commit_by(&writer, job, &content));
        }
        let mut results = Vec::new();
        while results.len() < FILES as usize {
            let woken = is_awake.recv_timeout(Duration::from_secs(10));
            woken.expect("there are results");
            while let Some((job, result)) = writer.next_result() {
                let (path, result) = destination.on_committed(job, result);
                assert_eq!(path, Some(root.join(format!("docs/{}", job.0))));
                results.push(result.map_err(|error| error.reason));
            }
        }
        drop(writer);
        thread.join().expect("it ends");
        results
    }

    #[test]
    fn files_are_committed_beside_the_loop() {
        let root = tempfile::tempdir().expect("a folder");
        assert_eq!(save(root.path(), || {}), vec![Ok(()); FILES as usize]);
        let names = fs::read_dir(root.path().join("docs")).expect("a folder");
        assert_eq!(names.count() as u64, FILES);
        let content = fs::read(root.path().join("docs/7")).expect("a file");
        assert_eq!(content, b"bytes");
    }

    #[test]
    fn a_failed_commit_is_reported() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path().join("docs");
        let results = save(root.path(), || {
            fs::remove_dir(&folder).expect("it is empty");
        });
        assert_eq!(results.len() as u64, FILES);
        for result in results {
            let reason = result.expect_err("there is no folder");
            assert!(reason.ends_with("there is no such folder"), "{reason}");
        }
    }

    #[test]
    fn without_a_thread_the_loop_commits() {
        let root = tempfile::tempdir().expect("a folder");
        let target = Target::Folder(root.path().to_owned());
        let mut destination = Destination::save(target, SaveOptions::default());
        let (writer, _) = FileWriter::new();
        let (job, content) = (JobId(1), ContentInfo::new(0, None));
        let name = FileName::parse("empty").expect("a name");
        destination.open(job, &name, &content).expect("opened");
        assert!(!destination.commit_by(&writer, job, &content));
        destination.commit(job, &content).expect("committed");
        assert!(root.path().join("empty").exists());
    }
}
