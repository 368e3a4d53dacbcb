//! A thread that lists the files of a share, so that the loop never waits for the
//! folders of a large share to be read.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant};

use crate::share::folder::ShareUpdate;
use crate::share::roots::Roots;
use crate::share::walk::{OutOfResources, Walk, WalkResult};
use crate::share::watch::FolderWatch;

/// The shortest time between the request for a scan and its start, so that one scan
/// sees changes that come together. After a longer scan, the thread pauses for as long
/// as the scan took.
pub(super) const SCAN_DELAY: Duration = Duration::from_millis(500);

/// The result of a scan.
pub struct ScanResult {
    /// The roots that were scanned. The share may have other roots by now.
    pub(super) roots: Arc<Roots>,
    pub(super) walk: Result<WalkResult, OutOfResources>,
}

/// Scans a share in a thread of its own.
pub struct ScanWorker {
    pub(super) requests: Receiver<Arc<Roots>>,
    pub(super) max_files: usize,
    pub(super) watch: Arc<FolderWatch>,
}

impl ScanWorker {
    /// Starts the thread. It calls `on_update` after each scan, and ends when the
    /// share is dropped.
    ///
    /// # Errors
    /// The system cannot create a thread.
    pub fn start(self, on_update: impl Fn(ShareUpdate) + Send + 'static) -> io::Result<()> {
        let body = move || {
            let mut pause_end = Instant::now();
            while let Ok(roots) = self.requests.recv() {
                let pause = pause_end.saturating_duration_since(Instant::now());
                thread::sleep(SCAN_DELAY.max(pause));
                let start = Instant::now();
                let result = self.scan(roots);
                pause_end = Instant::now() + start.elapsed();
                on_update(ShareUpdate::Scan(result));
            }
        };
        thread::Builder::new().name("scan".into()).spawn(body)?;
        Ok(())
    }

    /// Scans at once, without a thread, if a scan is requested.
    #[must_use]
    pub fn scan_if_requested(&self) -> Option<ShareUpdate> {
        let roots = self.requests.try_recv().ok()?;
        Some(ShareUpdate::Scan(self.scan(roots)))
    }

    pub(super) fn scan(&self, roots: Arc<Roots>) -> ScanResult {
        // Changes from now on make another scan necessary.
        self.watch.reset();
        let walk = Walk::new(&roots, self.max_files, &self.watch).all();
        ScanResult { roots, walk }
    }
}
