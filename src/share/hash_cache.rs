//! Hashes by file identity, so that a restart does not compute them again.
//!
//! The values of pieces are read from the file when they are needed: only the share
//! holds them in memory.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;

use log::warn;

use crate::logging::OPERATOR;
use crate::protocol::PieceList;
use crate::share::file_hasher::FileHashes;
use crate::share::file_identity::FileIdentity;
use crate::share::hash_cache_file::{CacheEntry, HashCacheFile, Line, MAX_BYTES};
use crate::system_error::Reason;

/// The most lines in the file. If there are more, or more than [`MAX_BYTES`], and most of them
/// are unused, only the entries that were used since the start stay.
const MAX_LINES: usize = 1_000_000;

/// The most entries in memory.
const MAX_ENTRIES: usize = 2 * MAX_LINES;

/// Hashes by identity, in memory and on disk.
pub(super) struct HashCache {
    entries: HashMap<FileIdentity, CacheEntry>,
    /// None if there is no file, or writing to it has failed.
    file: Option<HashCacheFile>,
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
        let (file, entries) = opened.unzip();
        Self {
            entries: entries.unwrap_or_default(),
            file,
        }
    }

    /// The hashes of a file, with its SHA-256 if that is needed.
    pub(super) fn get(
        &mut self,
        identity: &FileIdentity,
        needs_sha256: bool,
    ) -> Option<FileHashes> {
        let entry = self.entries.get_mut(identity)?;
        let sha256 = entry.sha256.as_deref().copied();
        if needs_sha256 && sha256.is_none() {
            return None;
        }
        let pieces = match PieceList::of_one_piece(identity.size, entry.hash) {
            None => self.file.as_ref()?.read(entry.line?, identity)?,
            Some(pieces) => pieces,
        };
        entry.is_used = true;
        let pieces = pieces.into();
        Some(FileHashes { pieces, sha256 })
    }

    pub(super) fn insert(&mut self, identity: FileIdentity, hashes: &FileHashes) {
        // A node that runs for months must not collect old versions of its files.
        if self.entries.len() >= MAX_ENTRIES {
            self.entries.clear();
        }
        let entry = CacheEntry {
            hash: hashes.pieces.hash(),
            sha256: hashes.sha256.map(Box::new),
            line: self.with_file(|file, _| file.append(&identity, hashes)),
            is_used: true,
        };
        self.entries.insert(identity, entry);
    }

    /// Whether this is the cache file itself. Each new entry changes that file, so its
    /// hash would never be up to date.
    pub(super) fn is_stored_in(&self, identity: &FileIdentity) -> bool {
        let file = self.file.as_ref().and_then(HashCacheFile::identity);
        file.is_some_and(|file| file.is_same_file(identity))
    }

    /// Removes unused entries from a file that is too long. This can take a while.
    pub(super) fn compact(&mut self) {
        self.with_file(|file, entries| {
            if file.lines <= MAX_LINES && file.bytes <= MAX_BYTES {
                return Ok(());
            }
            let used = entries.values().filter(|entry| entry.is_used);
            let used: Vec<Line> = used.filter_map(|entry| entry.line).collect();
            let bytes: u64 = used.iter().map(|line| u64::from(line.length)).sum();
            let has_many_lines = file.lines > MAX_LINES && used.len() <= file.lines / 2;
            let has_many_bytes = file.bytes > MAX_BYTES && bytes <= file.bytes / 2;
            if !has_many_lines && !has_many_bytes {
                return Ok(());
            }
            entries.retain(|_, entry| entry.is_used);
            file.rewrite(entries)
        });
    }

    /// Writes to the file, if there is one. After an error it is not used again.
    fn with_file<T>(
        &mut self,
        write: impl FnOnce(&mut HashCacheFile, &mut HashMap<FileIdentity, CacheEntry>) -> io::Result<T>,
    ) -> Option<T> {
        let file = self.file.as_mut()?;
        match write(file, &mut self.entries) {
            Ok(result) => Some(result),
            Err(error) => {
                let (path, reason) = (file.path.display(), Reason(&error));
                warn!(target: OPERATOR, "cannot write hash cache {path}: {reason}");
                self.file = None;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    use crate::protocol::{ContentHasher, PieceLayout, Sha256Digest};

    fn identity(size: usize, ctime: u32) -> FileIdentity {
        FileIdentity::parse(&format!("1 2 {size} 4 5 {ctime}")).unwrap()
    }

    fn hashes(content: &[u8]) -> FileHashes {
        let mut hasher = ContentHasher::new(PieceLayout::new(content.len() as u64));
        hasher.update(content);
        FileHashes {
            pieces: hasher.finish().unwrap().into(),
            sha256: None,
        }
    }

    #[test]
    fn a_reload_keeps_valid_lines_and_ignores_broken_ones() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/hashes");
        let content = hashes(b"content");
        let hash = content.pieces.hash();
        let id = |ctime| identity(7, ctime);
        // Two caches append to the file at the same time.
        let mut cache = HashCache::load(Some(path.clone()));
        let mut other = HashCache::load(Some(path.clone()));
        cache.insert(id(1), &content);
        other.insert(id(2), &content);
        let mut text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("1 2 7 4 5 1 {hash}\n1 2 7 4 5 2 {hash}\n"));
        text.push_str("1 2 7 4 5 6 nonsense\n\n7 8\n1 2 7 4 5 3 cut");
        fs::write(&path, text).unwrap();
        let mut cache = HashCache::load(Some(path.clone()));
        assert_eq!(cache.entries.len(), 2);
        assert_eq!(cache.get(&id(1), false).as_ref(), Some(&content));
        assert_eq!(cache.get(&id(2), false).as_ref(), Some(&content));
        assert_eq!(cache.get(&id(3), false), None);
        cache.insert(id(3), &content);
        assert_eq!(HashCache::load(Some(path)).entries.len(), 3);
    }

    #[test]
    fn a_reload_keeps_the_values_of_pieces_only_if_they_are_whole_and_right() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hashes");
        let content = vec![7; 3 << 20];
        let several = hashes(&content);
        let id = |ctime| identity(content.len(), ctime);
        let mut cache = HashCache::load(Some(path.clone()));
        let mut other = HashCache::load(Some(path.clone()));
        other.insert(id(9), &several);
        cache.insert(id(1), &several);
        assert_eq!(cache.get(&id(1), false).as_ref(), Some(&several));
        // A line of a version that stored no pieces, and lines with wrong values.
        let line = fs::read_to_string(&path).unwrap();
        let line = line.lines().next().unwrap().to_owned();
        let values = line.strip_prefix(&id(9).to_string()).unwrap();
        let (hash, value) = (
            several.pieces.hash(),
            several.pieces.values()[0].to_string(),
        );
        let broken = [
            format!("{} {hash}\n", id(2)),
            format!(
                "{}{}\n",
                id(3),
                values.replacen(&value, &hash.to_string(), 1)
            ),
            format!("{}{}\n", id(4), &values[..values.len() - 9]),
        ];
        let text = broken.concat() + &line + "\n";
        fs::write(&path, &text).unwrap();
        // The file was rewritten by another program: the line is elsewhere.
        assert_eq!(cache.get(&id(1), false), None);
        let mut cache = HashCache::load(Some(path));
        for ctime in 1..5 {
            assert_eq!(cache.get(&id(ctime), false), None, "{ctime}");
        }
        assert_eq!(cache.get(&id(9), false), Some(several));
    }

    #[test]
    fn compact_removes_unused_entries_from_a_file_that_is_too_long() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hashes");
        let (small, large) = (hashes(b"content"), hashes(&[7; (1 << 20) + 1]));
        let (unused, used) = (identity(7, 1), identity(7, 2));
        let several = identity((1 << 20) + 1, 3);
        let mut cache = HashCache::load(Some(path.clone()));
        cache.insert(unused, &small);
        cache.insert(several, &large);
        cache.insert(used, &small);
        let mut cache = HashCache::load(Some(path.clone()));
        assert_eq!(cache.get(&used, false).as_ref(), Some(&small));
        assert_eq!(cache.get(&several, false).as_ref(), Some(&large));
        cache.compact();
        assert_eq!(HashCache::load(Some(path.clone())).entries.len(), 3);
        cache.file.as_mut().unwrap().bytes = MAX_BYTES + 1;
        cache.compact();
        let last = identity(7, 4);
        cache.insert(last, &small);
        let reloaded = HashCache::load(Some(path));
        assert_eq!(reloaded.entries.len(), 3);
        for mut cache in [cache, reloaded] {
            assert_eq!(cache.get(&unused, false), None);
            assert_eq!(cache.get(&used, false).as_ref(), Some(&small));
            assert_eq!(cache.get(&several, false).as_ref(), Some(&large));
            assert_eq!(cache.get(&last, false).as_ref(), Some(&small));
        }
    }

    #[test]
    fn a_line_without_sha256_serves_only_those_who_need_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hashes");
        let content = [7; (1 << 20) + 1];
        for (content, ctime) in [(&b"content"[..], 1), (&content, 2)] {
            let id = identity(content.len(), ctime);
            let without = hashes(content);
            let with = FileHashes {
                sha256: Some(Sha256Digest::of(content)),
                ..without.clone()
            };
            HashCache::load(Some(path.clone())).insert(id, &without);
            let mut cache = HashCache::load(Some(path.clone()));
            assert_eq!(cache.get(&id, false), Some(without));
            assert_eq!(cache.get(&id, true), None);
            cache.insert(id, &with);
            assert_eq!(cache.get(&id, true).as_ref(), Some(&with));
            let mut cache = HashCache::load(Some(path.clone()));
            assert_eq!(cache.get(&id, true), Some(with));
        }
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace(" sha-256 ", " sha-999 ")).unwrap();
        let cache = HashCache::load(Some(path));
        assert_eq!(cache.entries.len(), 2);
        assert!(cache.entries.values().all(|entry| entry.sha256.is_none()));
    }
}
