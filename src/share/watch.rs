//! Watches the shared folders for changes (inotify(7)). Which file changed matters only
//! if its identity may be unchanged; else the next scan finds out.

use std::collections::HashSet;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use log::warn;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use crate::logging::OPERATOR;
use crate::system_error::Reason;

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

/// The most written files between two scans. More are forgotten.
const MAX_WRITTEN: usize = 100_000;

/// Watches folders as far as the system allows. The loop and the scan worker share
/// it.
pub(super) struct FolderWatch {
    pub(super) inotify: Option<OwnedFd>,
    /// It was reported that the system has no more watches.
    is_lack_reported: AtomicBool,
    /// There was a change since the last scan began.
    has_changed: AtomicBool,
    written: Mutex<WrittenFiles>,
    /// The folders of the last scan.
    folders: Mutex<HashSet<WatchId>>,
}

/// The files that a program has opened to write, and closed. A write by a mapped page
/// (mmap(2)) need not change the identity of a file.
#[derive(Default)]
pub(super) struct WrittenFiles(HashSet<(WatchId, Box<[u8]>)>);

/// Identifies a watched folder.
pub(super) type WatchId = i32;

impl WrittenFiles {
    pub(super) fn contains(&self, folder: Option<WatchId>, leaf: &[u8]) -> bool {
        // Most of the time there are none.
        !self.0.is_empty() && folder.is_some_and(|id| self.0.contains(&(id, leaf.into())))
    }

    fn insert(&mut self, folder: WatchId, leaf: &[u8]) {
        if self.0.len() < MAX_WRITTEN {
            self.0.insert((folder, leaf.into()));
        }
    }
}

impl FolderWatch {
    pub(super) fn new() -> Self {
        let inotify = match inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC) {
            Ok(inotify) => Some(inotify),
            Err(error) => {
                warn!(
                    target: OPERATOR,
                    "inotify unavailable: {}; changes are seen by the scans only",
                    Reason(&error.into())
                );
                None
            }
        };
        Self {
            inotify,
            is_lack_reported: AtomicBool::new(false),
            has_changed: AtomicBool::new(false),
            written: Mutex::default(),
            folders: Mutex::default(),
        }
    }

    /// Watches an open folder. If the folder is watched, this has no effect, even when the
    /// system has no more watches. `path` is used if /proc is not mounted.
    pub(super) fn add(&self, folder: impl AsFd, path: impl FnOnce() -> PathBuf) -> Option<WatchId> {
        let inotify = self.inotify.as_ref()?;
        // The path of a descriptor is never too long.
        let fd_path = format!("/proc/self/fd/{}", folder.as_fd().as_raw_fd());
        let added = match inotify::add_watch(inotify, fd_path, EVENTS) {
            Err(Errno::NOENT) => inotify::add_watch(inotify, path(), EVENTS),
            added => added,
        };
        if let Err(error @ (Errno::NOSPC | Errno::NOMEM)) = added
            && !self.is_lack_reported.swap(true, Ordering::Relaxed)
        {
            warn!(
                target: OPERATOR,
                "inotify watch failed: {} (see fs.inotify.max_user_watches); changes in \
                 the other folders are seen by the scans only",
                Reason(&error.into())
            );
        }
        added.ok()
    }

    /// Ends the watches of the last scan that are not among those of this one: their
    /// folders were moved out of the share.
    pub(super) fn keep_only(&self, folders: HashSet<WatchId>) {
        let mut last = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        for id in last.difference(&folders) {
            if let Some(inotify) = &self.inotify {
                // This fails if the folder was deleted.
                let _ = inotify::remove_watch(inotify, *id);
            }
        }
        *last = folders;
    }

    /// Whether there was a change since the last scan began.
    pub(super) fn has_changed(&self) -> bool {
        if self.read_events() {
            self.mark_changed();
        }
        self.has_changed.load(Ordering::SeqCst)
    }

    /// Makes another scan necessary, even without an event.
    pub(super) fn mark_changed(&self) {
        self.has_changed.store(true, Ordering::SeqCst);
    }

    /// Forgets all changes so far, and returns the files that were written. To be called
    /// when a scan begins.
    pub(super) fn reset(&self) -> WrittenFiles {
        self.read_events();
        self.has_changed.store(false, Ordering::SeqCst);
        mem::take(&mut *self.written())
    }

    /// The scan that began with [`FolderWatch::reset`] was in vain.
    pub(super) fn restore(&self, written: WrittenFiles) {
        let mut current = self.written();
        for (folder, leaf) in written.0 {
            current.insert(folder, &leaf);
        }
        self.mark_changed();
    }

    fn written(&self) -> MutexGuard<'_, WrittenFiles> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads all queued events. Returns whether there were any.
    fn read_events(&self) -> bool {
        let Some(inotify) = &self.inotify else {
            return false;
        };
        let mut buffer = [MaybeUninit::uninit(); BUFFER_SIZE];
        let mut events = Reader::new(inotify, &mut buffer);
        let mut has_events = false;
        loop {
            match events.next() {
                Ok(event) => {
                    // The end of a watch is no change.
                    has_events |= !event.events().contains(ReadFlags::IGNORED);
                    if event.events().contains(ReadFlags::CLOSE_WRITE)
                        && let Some(leaf) = event.file_name()
                    {
                        self.written().insert(event.wd(), leaf.to_bytes());
                    }
                }
                Err(Errno::INTR) => {}
                Err(_) => return has_events,
            }
        }
    }
}
