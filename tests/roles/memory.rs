//! A share in memory. The test changes it through [`Files`].

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ops::{Bound, Range};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use peerline::node::{
    ComputedValues, FileContent, FileRevision, ListedFile, Share, ShareTotals, SmallContent,
    Unavailable,
};
use peerline::protocol::{
    ContentHash, FileItem, FileName, FileStat, MaybeHash, PieceList, Sha256Digest,
};
use peerline::role::SendableFile;

/// The delay between a change and the announcement that it requests.
const ANNOUNCE_DELAY: Duration = Duration::from_millis(500);

pub struct Memory {
    files: Rc<RefCell<Files>>,
    /// The content of the file that was opened last.
    opened: String,
    computed: ComputedValues,
    /// See [`Share::take_work`].
    work: usize,
}

#[derive(Default)]
pub struct Files {
    entries: BTreeMap<String, Entry>,
    /// The known hashes.
    hashes: BTreeMap<String, ContentHash>,
    /// The known digests.
    digests: BTreeMap<String, Sha256Digest>,
    revision: u64,
    /// Whether there was a change since the last external event.
    has_changed: bool,
    /// Whether changes cause external events. If not, only renewals find them.
    is_watched: bool,
}

#[derive(Clone)]
pub enum Entry {
    Small(String),
    Large(u64),
    Forbidden,
    Busy,
    Broken,
}

impl Entry {
    fn size(&self) -> u64 {
        match self {
            Self::Small(content) => content.len() as u64,
            Self::Large(size) => *size,
            Self::Forbidden | Self::Busy | Self::Broken => 0,
        }
    }

    fn extent(&self) -> ShareTotals {
        let (files, bytes) = (1, self.size());
        ShareTotals { files, bytes }
    }
}

impl Files {
    /// No files yet; changes cause external events.
    pub fn watched() -> Self {
        Self {
            is_watched: true,
            ..Self::default()
        }
    }

    /// Changes the files. The hashes stay those of the previous contents.
    pub fn change<T>(&mut self, change: impl FnOnce(&mut BTreeMap<String, Entry>) -> T) -> T {
        self.revision += 1;
        self.has_changed = true;
        change(&mut self.entries)
    }

    /// Sets the hash of a file, or removes it.
    pub fn put_hash(&mut self, name: &str, hash: MaybeHash) {
        match hash.0 {
            Some(hash) => self.hashes.insert(name.to_owned(), hash),
            None => self.hashes.remove(name),
        };
        self.revision += 1;
        self.has_changed = true;
    }

    /// Sets the SHA-256 of a file.
    pub fn put_sha256(&mut self, name: &str, digest: Sha256Digest) {
        self.digests.insert(name.to_owned(), digest);
        self.revision += 1;
        self.has_changed = true;
    }

    /// The files as they are listed: name, size, hash.
    pub fn after(&self, after: Option<&str>) -> impl Iterator<Item = (&str, u64, MaybeHash)> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let entries = self.entries.range::<str, _>((start, Bound::Unbounded));
        entries.map(|(name, entry)| {
            let hash = self.hashes.get(name).copied();
            (name.as_str(), entry.size(), MaybeHash(hash))
        })
    }
}

/// A file that is sent, as its name.
#[derive(Debug)]
pub struct NamedFile(pub String);

impl SendableFile for NamedFile {
    fn is_unchanged(&self) -> bool {
        true
    }
}

/// The work of opening a file.
pub const OPEN_WORK: usize = 5;

impl Memory {
    pub fn new(files: Rc<RefCell<Files>>) -> Self {
        Self {
            files,
            opened: String::new(),
            computed: ComputedValues::default(),
            work: 0,
        }
    }
}

impl Share for Memory {
    type File = NamedFile;
    /// No thread computes anything.
    type Update = Infallible;

    fn open(
        &mut self,
        name: &FileName<'_>,
        _: u64,
    ) -> Result<FileContent<'_, NamedFile>, Unavailable> {
        self.work += OPEN_WORK;
        let entry = self.files.borrow().entries.get(name.as_str()).cloned();
        match entry {
            None => Err(Unavailable::NotFound),
            Some(Entry::Small(content)) => {
                (self.opened, self.computed) = (content, ComputedValues::default());
                Ok(FileContent::Small(SmallContent {
                    bytes: self.opened.as_bytes(),
                    computed: &self.computed,
                    mtime: 0,
                }))
            }
            Some(Entry::Large(size)) => Ok(FileContent::Large {
                size,
                file: NamedFile(name.to_string()),
            }),
            Some(Entry::Forbidden) => Err(Unavailable::NotAllowed),
            Some(Entry::Busy) => Err(Unavailable::Busy),
            Some(Entry::Broken) => Err(Unavailable::Failed("the disk is broken".into())),
        }
    }

    fn visit_files(&mut self, start: &str, visit: &mut dyn FnMut(&ListedFile<'_>) -> bool) {
        let files = self.files.borrow();
        for (name, entry) in files.entries.range(start.to_owned()..) {
            let listed = ListedFile {
                name,
                size: entry.size(),
                mtime: 0,
                hash: MaybeHash(files.hashes.get(name).copied()),
                sha256: files.digests.get(name).copied(),
            };
            if !visit(&listed) {
                break;
            }
        }
    }

    fn stat(&mut self, name: &FileName<'_>, arrival: u64) -> Result<FileStat, Unavailable> {
        let size = match self.open(name, arrival)? {
            FileContent::Small(content) => content.bytes.len() as u64,
            FileContent::Large { size, .. } => size,
        };
        Ok(FileStat {
            size,
            hash: MaybeHash(None),
            mtime: -1,
            is_executable: false,
            parts: None,
        })
    }

    /// The console of a test fetches no large file into the share.
    fn open_part(&self, _: OwnedFd) -> Option<NamedFile> {
        None
    }

    fn set_partial_files(&mut self, _: Vec<FileItem<'_>>) -> Option<Duration> {
        None
    }

    fn is_shared(&self, name: &FileName<'_>) -> bool {
        self.files.borrow().entries.contains_key(name.as_str())
    }

    /// Of files with one piece, and without a content.
    fn pieces(&mut self, name: &FileName<'_>, _file: &NamedFile) -> Option<Arc<PieceList>> {
        let files = self.files.borrow();
        let size = files.entries.get(name.as_str())?.size();
        let hash = files.hashes.get(name.as_str())?;
        PieceList::of_one_piece(size, *hash).map(Arc::new)
    }

    fn take_work(&mut self) -> usize {
        std::mem::take(&mut self.work)
    }

    fn has_sha256(&self) -> bool {
        true
    }

    /// No thread computes it.
    fn sha256(&mut self, _name: &FileName<'_>, _file: &NamedFile) -> Option<Sha256Digest> {
        None
    }

    fn revision_of(&self, _file: &NamedFile) -> FileRevision {
        FileRevision {
            mtime: 0,
            mtime_nanos: 0,
            ctime: 0,
            ctime_nanos: 0,
            inode: 1,
        }
    }

    /// The content of a large file is its name, again and again.
    fn read(&mut self, file: &NamedFile, range: Range<u64>) -> Result<&[u8], Unavailable> {
        let bytes = file.0.bytes().cycle();
        let skipped = range.start as usize % file.0.len();
        let length = (range.end - range.start) as usize;
        let part: Vec<u8> = bytes.skip(skipped).take(length).collect();
        self.opened = String::from_utf8(part).expect("names are ASCII");
        Ok(self.opened.as_bytes())
    }

    fn on_message(&mut self, update: Infallible) -> Option<Duration> {
        match update {}
    }

    fn revision(&mut self) -> u64 {
        self.files.borrow().revision
    }

    fn on_external_event(&mut self) -> Option<Duration> {
        let mut files = self.files.borrow_mut();
        let has_changed = std::mem::take(&mut files.has_changed);
        (has_changed && files.is_watched).then_some(ANNOUNCE_DELAY)
    }

    fn count(&mut self, after: Option<&str>) -> u64 {
        self.files.borrow().after(after).count() as u64
    }

    fn skipped(&self) -> u64 {
        0
    }

    fn root_changes(&self) -> u64 {
        0
    }

    fn is_complete(&self) -> bool {
        true
    }

    fn bytes(&self) -> u64 {
        let files = self.files.borrow();
        files.entries.values().map(Entry::size).sum()
    }

    /// There is a file at every path. Its content is the path.
    fn add(&mut self, path: &str) -> Result<String, String> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let name = FileName::parse(name).map_err(|why| why.to_string())?;
        let mut files = self.files.borrow_mut();
        if files.entries.contains_key(name.as_str()) {
            return Err(format!("{name} is shared already"));
        }
        let entry = Entry::Small(path.to_owned());
        let extent = entry.extent();
        files.change(|entries| entries.insert(name.to_string(), entry));
        Ok(format!("sharing {extent} as {name}"))
    }

    fn remove(&mut self, name: &FileName<'_>) -> Result<String, String> {
        let mut files = self.files.borrow_mut();
        let removed = files.change(|entries| entries.remove(name.as_str()));
        let entry = removed.ok_or_else(|| format!("{name} is not shared here"))?;
        Ok(format!("no longer sharing {name}: {}", entry.extent()))
    }
}
