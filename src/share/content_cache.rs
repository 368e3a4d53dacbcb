//! ContentCache of small files that were asked for a moment ago, so that the next
//! one who asks costs no look at the disk.
//!
//! The rule that must not break: a change that was complete before a request was
//! sent is seen by its answer. The kernel queues an event before the call that
//! made the change returns (inotify(7)), so it is enough to take in what is
//! queued after a request was read and before it is answered; one look is enough
//! for all requests that were read before the first of them is answered. What
//! makes no event in the folders on the way to the file (a mapped page, a hard
//! link, another mount) is seen when the content is read again, [`LIFETIME`]
//! later. File systems that other hosts write to give no events: there nothing is
//! kept.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use hashbrown::HashTable;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};

use crate::protocol::FileName;

/// How long a content is given without reading it again.
const LIFETIME: Duration = Duration::from_secs(1);

/// Folders that are watched at most, each with those above it.
const FOLDERS: usize = 1024;

/// All that can change what a name gives.
const CHANGES: WatchFlags = WatchFlags::MODIFY
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::MOVE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR)
    .union(WatchFlags::DONT_FOLLOW);

/// File systems whose changes are all made, and told, on this machine.
const LOCAL: [u64; 8] = [
    0xEF53,      // ext2, ext3, ext4
    0x5846_5342, // xfs
    0x9123_683E, // btrfs
    0xF2F5_2010, // f2fs
    0x2FC1_2FC1, // zfs
    0xCA45_1A4E, // bcachefs
    0x0102_1994, // tmpfs
    0x794C_7630, // overlayfs
];

/// Room for many events at once.
const BUFFER: usize = 4096;

/// ContentCache by name.
pub(super) struct ContentCache {
    inotify: OwnedFd,
    /// The folder that names are below, as a path.
    root: String,
    /// By name.
    kept: HashTable<CachedContent>,
    hasher: RandomState,
    /// The folders that are watched: what their names in the share begin with.
    folders: HashMap<i32, Box<str>>,
    watched: HashSet<Box<str>>,
    bytes: usize,
    max_bytes: usize,
    /// The read whose requests may be answered, and when it was looked.
    looked: Option<(u64, Instant)>,
}

/// A name and, in the same place of memory, what it gives: to look elsewhere is
/// what takes most of the time.
struct CachedContent {
    text: Box<[u8]>,
    /// How much of the text is the name.
    name: usize,
    read: Instant,
}

impl CachedContent {
    fn name(&self) -> &[u8] {
        &self.text[..self.name]
    }

    /// The memory that it takes.
    fn size(&self) -> usize {
        mem::size_of::<Self>() + self.text.len()
    }
}

impl ContentCache {
    /// Keeps contents of files below the open folder `root`, `max_bytes` in all;
    /// nothing if changes there are not told.
    pub(super) fn new(root: &OwnedFd, max_bytes: usize) -> Option<Self> {
        #[allow(
            clippy::cast_sign_loss,
            reason = "the type of f_type differs by platform"
        )]
        let kind = rustix::fs::fstatfs(root).ok()?.f_type as u64;
        if max_bytes == 0 || !LOCAL.contains(&kind) {
            return None;
        }
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).ok()?;
        let mut contents = Self {
            inotify,
            root: format!("/proc/self/fd/{}/", root.as_raw_fd()),
            kept: HashTable::new(),
            hasher: RandomState::new(),
            folders: HashMap::new(),
            watched: HashSet::new(),
            bytes: 0,
            max_bytes,
            looked: None,
        };
        contents.watch_folder("").then_some(contents)
    }

    /// Finds what is kept of a file, for [`ContentCache::bytes`]. `arrival` is
    /// the number of the last read.
    pub(super) fn find(&mut self, name: &FileName<'_>, arrival: u64) -> Option<usize> {
        let now = match self.looked {
            Some((read, at)) if read == arrival => at,
            _ => {
                self.take_changes();
                let now = Instant::now();
                self.looked = Some((arrival, now));
                now
            }
        };
        let name = name.as_str().as_bytes();
        let is_it = |kept: &CachedContent| kept.name() == name;
        let place = self
            .kept
            .find_bucket_index(self.hasher.hash_one(name), is_it)?;
        let read = self.kept.get_bucket(place)?.read;
        (now.saturating_duration_since(read) < LIFETIME).then_some(place)
    }

    /// What [`ContentCache::find`] has found.
    pub(super) fn bytes(&self, place: usize) -> &[u8] {
        self.kept
            .get_bucket(place)
            .map_or(&[], |kept| &kept.text[kept.name..])
    }

    /// Before a file is opened: makes sure that its changes are noticed from now
    /// on. Returns false if they cannot be.
    pub(super) fn watch(&mut self, name: &FileName<'_>) -> bool {
        let name = name.as_str();
        if self.watched.len() + name.matches('/').count() >= FOLDERS {
            self.forget_folders();
        }
        // From the top down: a folder that is exchanged afterwards is noticed.
        let folders = name.match_indices('/').map(|(at, _)| &name[..=at]);
        std::iter::once("")
            .chain(folders)
            .all(|folder| self.watched.contains(folder) || self.watch_folder(folder))
    }

    /// Keeps a content that was read, since `since`, after [`ContentCache::watch`].
    pub(super) fn keep(&mut self, name: &FileName<'_>, bytes: &[u8], since: Instant) {
        let name = name.as_str().as_bytes();
        self.forget(name);
        let kept = CachedContent {
            text: [name, bytes].concat().into(),
            name: name.len(),
            read: since,
        };
        if self.bytes + kept.size() > self.max_bytes {
            self.forget_all();
        }
        if kept.size() <= self.max_bytes {
            self.bytes += kept.size();
            let hasher = &self.hasher;
            let hash = |kept: &CachedContent| hasher.hash_one(kept.name());
            self.kept.insert_unique(hash(&kept), kept, hash);
        }
    }

    pub(super) fn forget_all(&mut self) {
        self.kept.clear();
        self.bytes = 0;
    }

    fn forget(&mut self, name: &[u8]) {
        let is_it = |kept: &CachedContent| kept.name() == name;
        if let Ok(entry) = self.kept.find_entry(self.hasher.hash_one(name), is_it) {
            let (kept, _) = entry.remove();
            self.bytes -= kept.size();
        }
    }

    /// Takes in what has changed.
    fn take_changes(&mut self) {
        // Mostly nothing has. To ask for its size costs less than to read nothing.
        if rustix::io::ioctl_fionread(&self.inotify) == Ok(0) {
            return;
        }
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut names = Vec::new();
        let mut all = false;
        let mut events = Reader::new(&self.inotify, &mut buffer);
        while let Ok(event) = events.next() {
            // Of a folder: what is below it has other names now, or none. Lost
            // events may have been about anything.
            let name = event.file_name().and_then(|name| name.to_str().ok());
            let many = ReadFlags::ISDIR | ReadFlags::QUEUE_OVERFLOW | ReadFlags::IGNORED;
            match (self.folders.get(&event.wd()), name) {
                (Some(folder), Some(name)) if !event.events().intersects(many) => {
                    names.push(format!("{folder}{name}"));
                }
                (None, _) if !event.events().contains(ReadFlags::QUEUE_OVERFLOW) => {}
                _ => all = true,
            }
        }
        if all {
            self.forget_folders();
        }
        for name in names {
            self.forget(name.as_bytes());
        }
    }

    fn watch_folder(&mut self, folder: &str) -> bool {
        let path = format!("{}{folder}", self.root);
        match inotify::add_watch(&self.inotify, path.as_str(), CHANGES) {
            // Seen under another name, by a bind mount: events tell only one.
            Ok(watch) if self.folders.contains_key(&watch) => false,
            Ok(watch) => {
                self.folders.insert(watch, folder.into());
                self.watched.insert(folder.into());
                true
            }
            // A link, or no more watches.
            Err(_) => false,
        }
    }

    fn forget_folders(&mut self) {
        self.forget_all();
        self.watched.clear();
        for (watch, _) in self.folders.drain() {
            // It may be gone already.
            let _ = inotify::remove_watch(&self.inotify, watch);
        }
    }
}
