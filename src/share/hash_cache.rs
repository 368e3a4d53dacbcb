//! Hashes that were computed once, kept on disk so that a restart computes none
//! again. One line a content: its identity, then its hash.

use std::collections::HashMap;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use log::{debug, warn};
use rustix::fs::{FlockOperation, flock};

use super::identity::Identity;
use crate::protocol::ContentHash;

/// Contents that are kept; beyond it, only those that were used since the start.
const MAX_CONTENTS: usize = 1_000_000;

/// What is known, and where it is kept.
pub(super) struct HashCache {
    path: Option<PathBuf>,
    /// As it was at the start.
    known: HashMap<Identity, ContentHash>,
    /// What was asked for or found since.
    used: HashMap<Identity, ContentHash>,
    /// Something was found since it was kept.
    is_new: bool,
}

impl HashCache {
    /// Reads the cache; without a path nothing is kept.
    pub(super) fn load(path: Option<PathBuf>) -> Self {
        let path = path.and_then(place);
        let known = path.as_deref().map(read).unwrap_or_default();
        Self {
            path,
            known,
            used: HashMap::new(),
            is_new: false,
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
        // Contents that change for months are not all of use.
        if self.used.len() >= MAX_CONTENTS {
            self.used.clear();
        }
        self.used.insert(identity, hash);
        self.is_new = true;
    }

    /// Writes what is new to the disk.
    pub(super) fn keep(&mut self) {
        let Some(path) = &self.path else { return };
        if !std::mem::take(&mut self.is_new) {
            return;
        }
        if let Err(error) = merge(path, &self.used) {
            warn!("hashes cannot be kept in {}: {error}", path.display());
            self.path = None;
        }
    }
}

/// Adds `used` to what is on the disk. Other nodes may do the same: one at a time.
fn merge(path: &Path, used: &HashMap<Identity, ContentHash>) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let lock = fs::File::create(beside(path, ".lock"))?;
    flock(&lock, FlockOperation::LockExclusive)?;
    let mut all = read(path);
    if all.len() + used.len() > MAX_CONTENTS {
        all.clear();
    }
    all.extend(used);
    debug!("{} hashes are kept in {}", all.len(), path.display());
    write(path, &all)
}

/// Where the cache really is, if it can be kept there: what is no regular file,
/// such as /dev/null, must not be replaced by one.
fn place(path: PathBuf) -> Option<PathBuf> {
    match fs::canonicalize(&path) {
        Ok(path) if path.is_file() => Some(path),
        Ok(path) => {
            warn!("hashes are not kept: {} is no file", path.display());
            None
        }
        // It is made the first time.
        Err(_) => Some(path),
    }
}

/// A cache that cannot be read, or a line of it, is as good as none.
fn read(path: &Path) -> HashMap<Identity, ContentHash> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let (identity, hash) = line.rsplit_once(' ')?;
            Some((identity.parse().ok()?, hash.parse().ok()?))
        })
        .collect()
}

/// Aside, then in one step to its place.
fn write(path: &Path, all: &HashMap<Identity, ContentHash>) -> io::Result<()> {
    let aside = beside(path, ".new");
    let mut file = BufWriter::new(fs::File::create(&aside)?);
    for (identity, hash) in all {
        writeln!(file, "{identity} {hash}")?;
    }
    file.into_inner()?.sync_all()?;
    fs::rename(aside, path)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_known_again_and_what_is_broken_is_not() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("deep/hashes");
        let file = place.path().join("file");
        fs::write(&file, "content").unwrap();
        let identity = Identity::from(&file.metadata().unwrap());
        let parse = |text: &str| -> Identity { text.parse().unwrap() };
        let hash = ContentHash(*blake3::hash(b"content").as_bytes());
        let mut cache = HashCache::load(Some(path.clone()));
        let mut other = HashCache::load(Some(path.clone()));
        cache.put(identity, hash);
        cache.keep();
        let identity_2 = parse("1 2 3 4 5 6");
        other.put(identity_2, hash);
        other.keep();
        let mut text = fs::read_to_string(&path).unwrap();
        text.push_str("1 2 3 4 5 6 nonsense\n\n7 8\n");
        fs::write(&path, text).unwrap();
        let mut cache = HashCache::load(Some(path));
        assert_eq!(cache.known.len(), 2);
        assert_eq!(cache.get(&identity), Some(hash));
        assert_eq!(cache.get(&identity_2), Some(hash));
        let newer = parse("1 2 3 4 5 7");
        assert_eq!(cache.get(&newer), None);
    }
}
