//! Notices that something in the folder changes (inotify(7)), without looking at
//! what: the next scan finds out.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use log::warn;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

/// Names that come and go, contents that are complete, and who may read them.
const CHANGES: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::ONLYDIR);

/// Room for many events at once; what they say does not matter.
const BUFFER: usize = 16 * 1024;

/// Watches folders, if the system lets us. The loop and the scanner share it.
pub(super) struct Watch {
    inotify: Option<OwnedFd>,
    /// Not all folders are watched.
    is_partial: AtomicBool,
    /// Something has changed since the last walk began.
    has_changed: AtomicBool,
}

impl Watch {
    pub(super) fn new() -> Self {
        let inotify = match inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC) {
            Ok(inotify) => Some(inotify),
            Err(error) => {
                warn!("changes of the share are found by looking now and then: {error}");
                None
            }
        };
        Self {
            is_partial: AtomicBool::new(inotify.is_none()),
            inotify,
            has_changed: AtomicBool::new(false),
        }
    }

    /// Whether all changes are noticed.
    pub(super) fn works(&self) -> bool {
        !self.is_partial.load(Ordering::Relaxed)
    }

    /// Watches a folder, too. Watching one again changes nothing.
    pub(super) fn add(&self, folder: &Path) {
        let Some(inotify) = self.inotify.as_ref().filter(|_| self.works()) else {
            return;
        };
        match inotify::add_watch(inotify, folder, CHANGES) {
            // It may be gone already: then its own folder has noticed that.
            Ok(_) | Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => {}
            Err(error) => {
                warn!(
                    "not all folders can be watched ({error}; see fs.inotify.max_user_watches): \
                     changes are found by looking now and then"
                );
                self.is_partial.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Something to wait on: it is readable when something has changed.
    pub(super) fn descriptor(&self) -> Option<OwnedFd> {
        self.inotify.as_ref()?.try_clone().ok()
    }

    /// Whether something has changed since the last walk began.
    pub(super) fn has_changed(&self) -> bool {
        if self.take() {
            self.note();
        }
        self.has_changed.load(Ordering::SeqCst)
    }

    /// Another walk is needed, whatever is noticed.
    pub(super) fn note(&self) {
        self.has_changed.store(true, Ordering::SeqCst);
    }

    /// A walk begins: it sees all that has changed so far.
    pub(super) fn begin(&self) {
        self.take();
        self.has_changed.store(false, Ordering::SeqCst);
    }

    /// Takes in all that was noticed. Returns whether it was anything.
    fn take(&self) -> bool {
        let Some(inotify) = &self.inotify else {
            return false;
        };
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut any = false;
        loop {
            match rustix::io::read(inotify, &mut buffer) {
                Ok((events, _)) if !events.is_empty() => any = true,
                Err(Errno::INTR) => {}
                Ok(_) | Err(_) => return any,
            }
        }
    }
}
