//! Hashes that were computed once, kept on disk so that a restart computes none
//! again. One line a content: its identity, then its hash.
//!
//! Each line is appended as soon as it is known, with one write: whatever ends the
//! program, and whoever else keeps hashes in the same file, no line is lost.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use log::{debug, warn};

use crate::protocol::ContentHash;
use crate::share::identity::Identity;

/// Lines that are kept; beyond it, only those that were used since the start.
const MAX_CONTENTS: usize = 1_000_000;

/// What is known, and where it is kept.
pub(super) struct HashCache {
    /// As it was at the start.
    known: HashMap<Identity, ContentHash>,
    /// What was asked for or found since.
    used: HashMap<Identity, ContentHash>,
    kept: Option<CachedHash>,
}

/// The file, and how many lines it has.
struct CachedHash {
    path: PathBuf,
    file: File,
    lines: usize,
}

impl HashCache {
    /// Reads the cache; without a path nothing is kept.
    pub(super) fn load(path: Option<PathBuf>) -> Self {
        let loaded = path.and_then(|path| match CachedHash::open(&path) {
            Ok(loaded) => Some(loaded),
            Err(error) => {
                warn!("hashes are not kept in {}: {error}", path.display());
                None
            }
        });
        let (kept, known) = loaded.unzip();
        Self {
            known: known.unwrap_or_default(),
            used: HashMap::new(),
            kept,
        }
    }

    pub(super) fn get(&mut self, identity: &Identity) -> Option<ContentHash> {
        let hash = *self
            .used
            .get(identity)
            .or_else(|| self.known.get(identity))?;
        self.used.insert(*identity, hash);
        Some(hash)
    }

    pub(super) fn put(&mut self, identity: Identity, hash: ContentHash) {
        // ContentCache that change for months are not all of use.
        if self.used.len() >= MAX_CONTENTS {
            self.used.clear();
        }
        self.used.insert(identity, hash);
        self.keep(|kept, _| kept.append(identity, hash));
    }

    /// Whether this is the file that the cache itself is in: it would be another
    /// one as soon as its hash is kept.
    pub(super) fn is_in(&self, identity: &Identity) -> bool {
        let kept = self.kept.as_ref();
        let metadata = kept.and_then(|kept| kept.file.metadata().ok());
        metadata.is_some_and(|own| Identity::from(&own).is_same_file(identity))
    }

    /// Nothing is asked for just now: time to throw away what is too much.
    pub(super) fn tidy(&mut self) {
        self.keep(|kept, used| match kept.lines {
            0..=MAX_CONTENTS => Ok(()),
            _ => kept.replace(used),
        });
    }

    /// If it fails, nothing is kept any more.
    fn keep(
        &mut self,
        act: impl FnOnce(&mut CachedHash, &HashMap<Identity, ContentHash>) -> io::Result<()>,
    ) {
        let Some(kept) = &mut self.kept else { return };
        if let Err(error) = act(kept, &self.used) {
            warn!("hashes cannot be kept in {}: {error}", kept.path.display());
            self.kept = None;
        }
    }
}

impl CachedHash {
    /// Opens the file, or makes it, and reads what is in it. If it cannot be read,
    /// or a line of it, that is as good as none.
    fn open(path: &Path) -> io::Result<(Self, HashMap<Identity, ContentHash>)> {
        // /dev/null is not to be filled, and a FIFO would not open.
        if path.exists() && !path.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let text = fs::read_to_string(path).unwrap_or_default();
        let lines = text.lines().filter_map(|line| {
            let (identity, hash) = line.rsplit_once(' ')?;
            Some((identity.parse().ok()?, hash.parse().ok()?))
        });
        let known: HashMap<_, _> = lines.collect();
        let mut kept = Self {
            path: path.to_owned(),
            file: OpenOptions::new().append(true).create(true).open(path)?,
            lines: text.lines().count(),
        };
        if !text.is_empty() && !text.ends_with('\n') {
            // The disk was full: what follows is not to be a part of that line.
            kept.file.write_all(b"\n")?;
        }
        debug!("{} hashes are known from {}", known.len(), path.display());
        Ok((kept, known))
    }

    fn append(&mut self, identity: Identity, hash: ContentHash) -> io::Result<()> {
        self.lines += 1;
        self.file
            .write_all(format!("{identity} {hash}\n").as_bytes())
    }

    /// In its place: whoever else appends to it goes on to do so.
    fn replace(&mut self, all: &HashMap<Identity, ContentHash>) -> io::Result<()> {
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

    fn identity(ctime: u32) -> Identity {
        format!("1 2 3 4 5 {ctime}").parse().unwrap()
    }

    #[test]
    fn what_was_kept_is_known_again_and_what_is_broken_is_not() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("deep/hashes");
        let hash = ContentHash(*blake3::hash(b"content").as_bytes());
        // Two at once, and each line is there as soon as it is known.
        let mut cache = HashCache::load(Some(path.clone()));
        let mut other = HashCache::load(Some(path.clone()));
        cache.put(identity(1), hash);
        other.put(identity(2), hash);
        let mut text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("1 2 3 4 5 1 {hash}\n1 2 3 4 5 2 {hash}\n"));
        text.push_str("1 2 3 4 5 6 nonsense\n\n7 8\n1 2 3 4 5 3 cut");
        fs::write(&path, text).unwrap();
        let mut cache = HashCache::load(Some(path.clone()));
        assert_eq!(cache.known.len(), 2);
        assert_eq!(cache.get(&identity(1)), Some(hash));
        assert_eq!(cache.get(&identity(2)), Some(hash));
        assert_eq!(cache.get(&identity(3)), None);
        cache.put(identity(3), hash);
        assert_eq!(HashCache::load(Some(path)).known.len(), 3);
    }

    #[test]
    fn too_much_is_thrown_away_and_what_is_in_use_stays() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("hashes");
        let hash = ContentHash(*blake3::hash(b"content").as_bytes());
        let mut cache = HashCache::load(Some(path.clone()));
        cache.put(identity(1), hash);
        cache.put(identity(2), hash);
        let mut cache = HashCache::load(Some(path.clone()));
        assert_eq!(cache.get(&identity(2)), Some(hash));
        cache.tidy();
        assert_eq!(HashCache::load(Some(path.clone())).known.len(), 2);
        let kept = cache.kept.as_mut().unwrap();
        kept.lines = MAX_CONTENTS + 1;
        cache.tidy();
        cache.put(identity(3), hash);
        let mut cache = HashCache::load(Some(path));
        assert_eq!(cache.get(&identity(1)), None);
        assert_eq!(cache.get(&identity(2)), Some(hash));
        assert_eq!(cache.get(&identity(3)), Some(hash));
    }
}
