//! A thread that lists the files of a share, so that the loop never waits for the
//! folders of a large share to be read.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crate::share::roots::Roots;
use crate::share::walk::Walk;
use crate::share::watch::FolderWatch;
use crate::share::worker_messages::{ScanResult, ShareUpdate};

/// The shortest time between the request for a scan and its start, so that one scan
/// sees changes that come together. After a longer scan, the thread pauses for as long
/// as the scan took.
pub(super) const SCAN_DELAY: Duration = Duration::from_millis(500);

/// How often the paths of the roots are looked up: they may lead elsewhere.
const PATH_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Scans a share in a thread of its own.
pub struct ScanWorker {
    pub(super) requests: Receiver<Arc<Roots>>,
    /// The roots of the last scan.
    pub(super) last_roots: Weak<Roots>,
    pub(super) max_files: usize,
    /// The longest time between two scans: not every change is reported.
    pub(super) rescan_interval: Duration,
    pub(super) watch: Arc<FolderWatch>,
}

impl ScanWorker {
    /// Starts the thread. It calls `on_update` after each scan, and ends when the
    /// share is dropped.
    ///
    /// # Errors
    /// The system cannot create a thread.
    pub fn start(mut self, on_update: impl Fn(ShareUpdate) + Send + 'static) -> io::Result<()> {
        let body = move || {
            let mut last_end = Instant::now();
            let mut last_duration = Duration::ZERO;
            while let Some(roots) = self.next_roots(last_end) {
                thread::sleep(SCAN_DELAY.max(last_duration.saturating_sub(last_end.elapsed())));
                let start = Instant::now();
                self.last_roots = Arc::downgrade(&roots);
                let result = self.scan(roots);
                last_duration = start.elapsed();
                last_end = Instant::now();
                // The share has these roots next.
                self.last_roots = Arc::downgrade(&result.roots);
                on_update(ShareUpdate::Scan(result));
            }
        };
        thread::Builder::new().name("scan".into()).spawn(body)?;
        Ok(())
    }

    /// Waits until a scan is requested, or due. None if the share was dropped.
    fn next_roots(&self, last_scan: Instant) -> Option<Arc<Roots>> {
        loop {
            match self
                .requests
                .recv_timeout(PATH_CHECK_INTERVAL.min(self.rescan_interval))
            {
                Ok(roots) => return Some(roots),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if let Some(roots) = self.last_roots.upgrade()
                && (last_scan.elapsed() >= self.rescan_interval || roots.lead_elsewhere())
            {
                return Some(roots);
            }
        }
    }

    /// Scans at once, without a thread, if a scan is requested.
    #[must_use]
    pub fn scan_if_requested(&self) -> Option<ShareUpdate> {
        let roots = self.requests.try_recv().ok()?;
        Some(ShareUpdate::Scan(self.scan(roots)))
    }

    pub(super) fn scan(&self, requested: Arc<Roots>) -> ScanResult {
        // Changes from now on make another scan necessary.
        let written = self.watch.reset();
        let reopened = requested.reopened().map(Arc::new);
        let roots = reopened.unwrap_or_else(|| Arc::clone(&requested));
        let walk = Walk::new(&roots, self.max_files, &self.watch, &written).all();
        ScanResult {
            requested,
            roots,
            written,
            walk,
        }
    }
}
