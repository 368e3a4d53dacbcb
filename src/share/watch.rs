//! Watches the shared folders for changes (inotify(7)). Which file changed does not
//! matter: the next scan finds out.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use log::warn;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

/// Files that appear or disappear, complete writes, and changes of permissions.
const EVENTS: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::ONLYDIR);

/// Size of the read buffer, for many events.
const BUFFER_SIZE: usize = 16 * 1024;

/// Watches folders as far as the system allows. The loop and the scan worker share
/// it.
pub(super) struct FolderWatch {
    pub(super) inotify: Option<OwnedFd>,
    /// Not all folders are watched.
    is_partial: AtomicBool,
    /// There was a change since the last scan began.
    has_changed: AtomicBool,
}

impl FolderWatch {
    pub(super) fn new() -> Self {
        let inotify = match inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC) {
            Ok(inotify) => Some(inotify),
            Err(error) => {
                warn!("inotify unavailable: {error}; falling back to rescans of the share");
                None
            }
        };
        Self {
            is_partial: AtomicBool::new(inotify.is_none()),
            inotify,
            has_changed: AtomicBool::new(false),
        }
    }

    /// Whether all folders are watched.
    pub(super) fn is_complete(&self) -> bool {
        !self.is_partial.load(Ordering::Relaxed)
    }

    /// Adds a folder. Adding it again has no effect.
    pub(super) fn add(&self, folder: &Path) {
        let Some(inotify) = self.inotify.as_ref().filter(|_| self.is_complete()) else {
            return;
        };
        match inotify::add_watch(inotify, folder, EVENTS) {
            // If it was removed, the watch of its parent reports that.
            Ok(_) | Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => {}
            Err(error) => {
                warn!(
                    "inotify watch failed: {error} (see fs.inotify.max_user_watches); falling \
                     back to rescans of the share"
                );
                self.is_partial.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Whether there was a change since the last scan began.
    pub(super) fn has_changed(&self) -> bool {
        if self.drain_events() {
            self.mark_changed();
        }
        self.has_changed.load(Ordering::SeqCst)
    }

    /// Makes another scan necessary, even without an event.
    pub(super) fn mark_changed(&self) {
        self.has_changed.store(true, Ordering::SeqCst);
    }

    /// Forgets all changes so far. To be called when a scan begins.
    pub(super) fn reset(&self) {
        self.drain_events();
        self.has_changed.store(false, Ordering::SeqCst);
    }

    /// Reads all queued events. Returns whether there were any.
    fn drain_events(&self) -> bool {
        let Some(inotify) = &self.inotify else {
            return false;
        };
        let mut buffer = [MaybeUninit::uninit(); BUFFER_SIZE];
        let mut has_events = false;
        loop {
            match rustix::io::read(inotify, &mut buffer) {
                Ok((events, _)) if !events.is_empty() => has_events = true,
                Err(Errno::INTR) => {}
                Ok(_) | Err(_) => return has_events,
            }
        }
    }
}
