//! Small files in memory, so that a request for one needs no access to the disk.
//!
//! The rule that must not break: the answer to a request shows every change that was
//! complete before the request was sent. The kernel queues an event before the call
//! that made the change returns (inotify(7)). So one read of the queue, after requests
//! were read and before they are answered, is enough.
//!
//! Some changes make no event in the folders on the path of the file: those by a
//! mapped page, a hard link or another mount. They are seen when the content is read
//! again, [`MAX_AGE`] later. File systems that other hosts write to report no changes
//! at all: their files are not cached.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use hashbrown::HashTable;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};

use crate::file_system::is_local;
use crate::node::{ComputedValues, SmallContent};
use crate::protocol::FileName;
use crate::share::file_identity::FileIdentity;
use crate::share::open_beneath::RegularFile;

/// How long a content is used before it is read again.
const MAX_AGE: Duration = Duration::from_secs(1);

/// The most watched folders, including the parents of each.
const MAX_FOLDERS: usize = 1024;

/// Files below more folders are not cached: to watch a folder, the kernel walks its whole path.
const MAX_DEPTH: usize = 32;

/// To watch a folder, and to end that, is as much work as so many short lines.
const WATCH_WORK: usize = 24;

/// Every event that can change the content of a name.
const EVENTS: WatchFlags = WatchFlags::MODIFY
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::MOVE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR)
    .union(WatchFlags::DONT_FOLLOW);

/// Size of the read buffer, for many events.
const BUFFER_SIZE: usize = 4096;

/// Content by file name.
pub(super) struct ContentCache {
    inotify: OwnedFd,
    /// The path of the folder, with a `/` at its end.
    root: String,
    entries: HashTable<CachedContent>,
    hasher: RandomState,
    /// The watched folders by watch descriptor. A folder is named by the prefix of its
    /// files' names, such as `a/b/`.
    folders: HashMap<i32, Box<str>>,
    watched: HashSet<Box<str>>,
    /// Memory of all entries.
    bytes: usize,
    max_bytes: usize,
    /// The last read whose requests were looked up, and when the events were read.
    last_arrival: Option<(u64, Instant)>,
    /// See [`ContentCache::take_work`].
    work: usize,
}

/// A file's name and content, in one allocation: a second cache miss would take most
/// of the time of a look-up.
struct CachedContent {
    name_and_content: Box<[u8]>,
    name_length: usize,
    /// When the content was read from disk.
    read_time: Instant,
    computed: ComputedValues,
    status: FileStatus,
}

/// What `STAT` tells of a file, apart from the hash.
#[derive(Clone, Copy)]
pub(super) struct FileStatus {
    pub(super) identity: FileIdentity,
    pub(super) is_executable: bool,
}

impl From<&RegularFile> for FileStatus {
    fn from(file: &RegularFile) -> Self {
        Self {
            identity: file.identity,
            is_executable: file.is_executable,
        }
    }
}

impl CachedContent {
    fn name(&self) -> &[u8] {
        &self.name_and_content[..self.name_length]
    }

    fn content(&self) -> &[u8] {
        &self.name_and_content[self.name_length..]
    }

    /// Its memory, in bytes.
    fn size(&self) -> usize {
        mem::size_of::<Self>() + self.name_and_content.len()
    }
}

impl ContentCache {
    /// A cache of at most `max_bytes` for the open folder `root`. None if the file
    /// system does not report all changes.
    pub(super) fn new(root: &OwnedFd, max_bytes: usize) -> Option<Self> {
        if max_bytes == 0 || !is_local(root) {
            return None;
        }
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).ok()?;
        let mut cache = Self {
            inotify,
            root: format!("/proc/self/fd/{}/", root.as_raw_fd()),
            entries: HashTable::new(),
            hasher: RandomState::new(),
            folders: HashMap::new(),
            watched: HashSet::new(),
            bytes: 0,
            max_bytes,
            last_arrival: None,
            work: 0,
        };
        cache.watch_folder("").then_some(cache)
    }

    /// The work of watching folders since the last call, in short lines.
    pub(super) fn take_work(&mut self) -> usize {
        mem::take(&mut self.work)
    }

    /// Looks a file up. Returns an index for [`ContentCache::content`]. `arrival` is the
    /// number of the read that received the request.
    pub(super) fn find(&mut self, name: &FileName<'_>, arrival: u64) -> Option<usize> {
        let now = match self.last_arrival {
            Some((last, time)) if last == arrival => time,
            _ => {
                self.handle_events();
                let now = Instant::now();
                self.last_arrival = Some((arrival, now));
                now
            }
        };
        let name = name.as_str().as_bytes();
        let has_name = |entry: &CachedContent| entry.name() == name;
        let hash = hash(&self.hasher, name);
        let index = self.entries.find_bucket_index(hash, has_name)?;
        let read_time = self.entries.get_bucket(index)?.read_time;
        (now.saturating_duration_since(read_time) < MAX_AGE).then_some(index)
    }

    /// The content at an index of [`ContentCache::find`].
    pub(super) fn content(&self, index: usize) -> Option<SmallContent<'_>> {
        let entry = self.entries.get_bucket(index)?;
        Some(SmallContent {
            bytes: entry.content(),
            computed: &entry.computed,
            mtime: entry.status.identity.mtime,
        })
    }

    /// The status of the file at an index of [`ContentCache::find`].
    pub(super) fn status(&self, index: usize) -> Option<FileStatus> {
        Some(self.entries.get_bucket(index)?.status)
    }

    /// Watches the folders on the path of a file. Must be called before the file is
    /// opened. Returns false if changes would go unnoticed, or the watches would cost too much.
    pub(super) fn watch(&mut self, name: &FileName<'_>) -> bool {
        let name = name.as_str();
        let depth = name.matches('/').count();
        if depth > MAX_DEPTH {
            return false;
        }
        if self.watched.len() + depth >= MAX_FOLDERS {
            self.remove_watches();
        }
        // From the top down, so that a later replacement of a folder makes an event.
        let folders = name.match_indices('/').map(|(at, _)| &name[..=at]);
        std::iter::once("")
            .chain(folders)
            .all(|folder| self.watched.contains(folder) || self.watch_folder(folder))
    }

    /// Inserts a content that was read at `read_time`, after [`ContentCache::watch`].
    pub(super) fn insert(
        &mut self,
        name: &FileName<'_>,
        bytes: &[u8],
        status: FileStatus,
        read_time: Instant,
    ) {
        let name = name.as_str().as_bytes();
        self.remove(name);
        let entry = CachedContent {
            name_and_content: [name, bytes].concat().into(),
            name_length: name.len(),
            read_time,
            computed: ComputedValues::default(),
            status,
        };
        if self.bytes + entry.size() > self.max_bytes {
            self.clear();
        }
        if entry.size() <= self.max_bytes {
            self.bytes += entry.size();
            let hasher = &self.hasher;
            let hash = |entry: &CachedContent| hash(hasher, entry.name());
            self.entries.insert_unique(hash(&entry), entry, hash);
        }
    }

    /// Removes all entries.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }

    fn remove(&mut self, name: &[u8]) {
        let has_name = |entry: &CachedContent| entry.name() == name;
        let hash = hash(&self.hasher, name);
        if let Ok(entry) = self.entries.find_entry(hash, has_name) {
            let (entry, _) = entry.remove();
            self.bytes -= entry.size();
        }
    }

    /// Reads the queued events and removes the entries that have changed.
    fn handle_events(&mut self) {
        // The queue is empty most of the time. FIONREAD costs less than a read that
        // fails.
        if rustix::io::ioctl_fionread(&self.inotify) == Ok(0) {
            return;
        }
        let mut buffer = [MaybeUninit::uninit(); BUFFER_SIZE];
        let mut names = Vec::new();
        let mut affects_all = false;
        let mut events = Reader::new(&self.inotify, &mut buffer);
        while let Ok(event) = events.next() {
            // If a folder was moved or deleted, the names of its files are void. An
            // overflow has lost events about unknown files.
            let name = event.file_name().and_then(|name| name.to_str().ok());
            let many_files = ReadFlags::ISDIR | ReadFlags::QUEUE_OVERFLOW | ReadFlags::IGNORED;
            match (self.folders.get(&event.wd()), name) {
                (Some(folder), Some(name)) if !event.events().intersects(many_files) => {
                    names.push(format!("{folder}{name}"));
                }
                (None, _) if !event.events().contains(ReadFlags::QUEUE_OVERFLOW) => {}
                _ => affects_all = true,
            }
        }
        if affects_all {
            self.remove_watches();
        }
        for name in names {
            self.remove(name.as_bytes());
        }
    }

    fn watch_folder(&mut self, folder: &str) -> bool {
        self.work += WATCH_WORK;
        let path = format!("{}{folder}", self.root);
        match inotify::add_watch(&self.inotify, path.as_str(), EVENTS) {
            // A bind mount has shown the same folder under another name: events would
            // name only one of them.
            Ok(watch) if self.folders.contains_key(&watch) => false,
            Ok(watch) => {
                self.folders.insert(watch, folder.into());
                self.watched.insert(folder.into());
                true
            }
            // The folder is a symbolic link, or there are no more watches.
            Err(_) => false,
        }
    }

    fn remove_watches(&mut self) {
        self.clear();
        self.watched.clear();
        for (watch, _) in self.folders.drain() {
            // This fails if the folder was deleted.
            let _ = inotify::remove_watch(&self.inotify, watch);
        }
    }
}

/// Hashes a name. A slice would hash its length as well, which takes as long again.
fn hash(hasher: &RandomState, name: &[u8]) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write(name);
    hasher.finish()
}
