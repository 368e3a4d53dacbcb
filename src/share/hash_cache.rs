//! Hashes on disk, so that a restart does not compute them again. The file has a
//! line for each content: its identity, then its hash.
//!
//! Each line is appended with one write as soon as the hash is known. So no line is
//! lost if the program is killed or several programs use the same file.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use log::{debug, warn};

use crate::logging::OPERATOR;
use crate::protocol::ContentHash;
use crate::share::file_identity::FileIdentity;
use crate::system_error::Reason;

/// The most lines in the file. If there are more, only the entries that were used
/// since the start stay.
const MAX_ENTRIES: usize = 1_000_000;

/// Hashes by identity, in memory and on disk.
pub(super) struct HashCache {
    /// The content of the file at the start.
    loaded: HashMap<FileIdentity, ContentHash>,
    /// Entries that were looked up or inserted since the start.
    used: HashMap<FileIdentity, ContentHash>,
    /// None if there is no file, or writing to it has failed.
    file: Option<HashCacheFile>,
}

/// The open file.
struct HashCacheFile {
    path: PathBuf,
    file: File,
    /// Number of its lines.
    lines: usize,
}

impl HashCache {
    /// Reads the file. Without a path the cache is in memory only.
    pub(super) fn load(path: Option<PathBuf>) -> Self {
        let opened = path.and_then(|path| match HashCacheFile::open(&path) {
            Ok(opened) => Some(opened),
            Err(error) => {
                let (path, reason) = (path.display(), Reason(&error));
                warn!(target: OPERATOR, "cannot open hash cache {path}: {reason}");
                None
            }
        });
        let (file, loaded) = opened.unzip();
        Self {
            loaded: loaded.unwrap_or_default(),
            used: HashMap::new(),
            file,
        }
    }

    pub(super) fn get(&mut self, identity: &FileIdentity) -> Option<ContentHash> {
        let hash = *self
            .used
            .get(identity)
            .or_else(|| self.loaded.get(identity))?;
        self.used.insert(*identity, hash);
        Some(hash)
    }

    pub(super) fn insert(&mut self, identity: FileIdentity, hash: ContentHash) {
        // A node that runs for months must not collect old versions of its files.
        if self.used.len() >= MAX_ENTRIES {
            self.used.clear();
        }
        self.used.insert(identity, hash);
        self.with_file(|file, _| file.append(identity, hash));
    }

    /// Whether this is the cache file itself. Each new entry changes that file, so its
    /// hash would never be up to date.
    pub(super) fn is_stored_in(&self, identity: &FileIdentity) -> bool {
        let stat = self.file.as_ref().map(|file| rustix::fs::fstat(&file.file));
        matches!(stat, Some(Ok(own)) if FileIdentity::from(&own).is_same_file(identity))
    }

    /// Removes unused entries from a file that is too long. This can take a while.
    pub(super) fn compact(&mut self) {
        self.with_file(|file, used| match file.lines {
            0..=MAX_ENTRIES => Ok(()),
            _ => file.rewrite(used),
        });
    }

    /// Writes to the file, if there is one. After an error it is not used again.
    fn with_file(
        &mut self,
        write: impl FnOnce(&mut HashCacheFile, &HashMap<FileIdentity, ContentHash>) -> io::Result<()>,
    ) {
        let Some(file) = &mut self.file else { return };
        if let Err(error) = write(file, &self.used) {
            let (path, reason) = (file.path.display(), Reason(&error));
            warn!(target: OPERATOR, "cannot write hash cache {path}: {reason}");
            self.file = None;
        }
    }
}

impl HashCacheFile {
    /// Opens or creates the file, and reads it. Invalid lines, and a file that cannot
    /// be read, are ignored.
    fn open(path: &Path) -> io::Result<(Self, HashMap<FileIdentity, ContentHash>)> {
        // The open of a FIFO would block.
        if path.exists() && !path.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let text = fs::read_to_string(path).unwrap_or_default();
        let lines = text.lines().filter_map(|line| {
            let (identity, hash) = line.rsplit_once(' ')?;
            Some((FileIdentity::parse(identity)?, hash.parse().ok()?))
        });
        let loaded: HashMap<_, _> = lines.collect();
        let mut opened = Self {
            path: path.to_owned(),
            file: OpenOptions::new().append(true).create(true).open(path)?,
            lines: text.lines().count(),
        };
        if !text.is_empty() && !text.ends_with('\n') {
            // The last line is incomplete, perhaps because the disk was full.
            opened.file.write_all(b"\n")?;
        }
        debug!(
            "hash cache {}: {} entries loaded",
            path.display(),
            loaded.len()
        );
        Ok((opened, loaded))
    }

    fn append(&mut self, identity: FileIdentity, hash: ContentHash) -> io::Result<()> {
        self.lines += 1;
        self.file
            .write_all(format!("{identity} {hash}\n").as_bytes())
    }

    /// Rewrites the file in place: other programs may have it open to append.
    fn rewrite(&mut self, all: &HashMap<FileIdentity, ContentHash>) -> io::Result<()> {
        self.file.set_len(0)?;
        self.lines = all.len();
        let mut file = BufWriter::new(&self.file);
        for (identity, hash) in all {
            writeln!(file, "{identity} {hash}")?;
        }
        file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(ctime: u32) -> FileIdentity {
        FileIdentity::parse(&format!("1 2 3 4 5 {ctime}")).unwrap()
    }

    #[test]
    fn a_reload_keeps_valid_lines_and_ignores_broken_ones() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/hashes");
        let hash = ContentHash(*blake3::hash(b"content").as_bytes());
        // Two caches append to the file at the same time.
        let mut cache = HashCache::load(Some(path.clone()));
        let mut other = HashCache::load(Some(path.clone()));
        cache.insert(identity(1), hash);
        other.insert(identity(2), hash);
        let mut text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("1 2 3 4 5 1 {hash}\n1 2 3 4 5 2 {hash}\n"));
        text.push_str("1 2 3 4 5 6 nonsense\n\n7 8\n1 2 3 4 5 3 cut");
        fs::write(&path, text).unwrap();
        let mut cache = HashCache::load(Some(path.clone()));
        assert_eq!(cache.loaded.len(), 2);
        assert_eq!(cache.get(&identity(1)), Some(hash));
        assert_eq!(cache.get(&identity(2)), Some(hash));
        assert_eq!(cache.get(&identity(3)), None);
        cache.insert(identity(3), hash);
        assert_eq!(HashCache::load(Some(path)).loaded.len(), 3);
    }

    #[test]
    fn compact_removes_unused_entries_from_a_file_that_is_too_long() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hashes");
        let hash = ContentHash(*blake3::hash(b"content").as_bytes());
        let mut cache = HashCache::load(Some(path.clone()));
        cache.insert(identity(1), hash);
        cache.insert(identity(2), hash);
        let mut cache = HashCache::load(Some(path.clone()));
        assert_eq!(cache.get(&identity(2)), Some(hash));
        cache.compact();
        assert_eq!(HashCache::load(Some(path.clone())).loaded.len(), 2);
        let file = cache.file.as_mut().unwrap();
        file.lines = MAX_ENTRIES + 1;
        cache.compact();
        cache.insert(identity(3), hash);
        let mut cache = HashCache::load(Some(path));
        assert_eq!(cache.get(&identity(1)), None);
        assert_eq!(cache.get(&identity(2)), Some(hash));
        assert_eq!(cache.get(&identity(3)), Some(hash));
    }
}
