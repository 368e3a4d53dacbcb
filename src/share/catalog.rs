//! The list of shared files, sorted by name.

use std::mem;
use std::sync::Arc;
use std::time::Instant;

use crate::node::ShareTotals;
use crate::protocol::{FileItem, MaybeHash, PieceList, Sha256Digest};
use crate::share::file_identity::FileIdentity;
use crate::share::roots::is_within;
use crate::share::skipped_entries::{SkipWarnings, SkippedEntries};
use crate::share::walk::WalkResult;
use crate::share::worker_messages::{CacheUse, HashResult};

/// The files of the last walk.
#[derive(Default)]
pub(super) struct Catalog {
    /// By name, in byte order.
    files: Vec<CatalogEntry>,
    /// The files that are still being fetched: name, size and hash.
    partial: Vec<(String, u64, MaybeHash)>,
    /// The size of all files together.
    pub(super) bytes: u64,
    /// Number of changes.
    pub(super) revision: u64,
    /// The entries that the last walk of everything could not share.
    pub(super) skipped: SkippedEntries,
    warnings: SkipWarnings,
}

/// A shared file.
pub(super) struct CatalogEntry {
    pub(super) name: String,
    pub(super) identity: FileIdentity,
    pub(super) hash: MaybeHash,
    /// The hashes of the pieces, if there are several.
    pieces: Option<Arc<PieceList>>,
    /// Boxed, because most nodes compute none.
    sha256: Option<Box<Sha256Digest>>,
    /// The file is still being fetched into the share.
    is_partial: bool,
    /// The file could not be hashed. The next walk requests the hash again.
    has_failed: bool,
}

impl CatalogEntry {
    /// A file whose hash is not known.
    fn new(name: String, identity: FileIdentity) -> Self {
        Self {
            name,
            identity,
            hash: MaybeHash(None),
            pieces: None,
            sha256: None,
            is_partial: false,
            has_failed: false,
        }
    }

    /// The hashes of the pieces, if they are known.
    pub(super) fn pieces(&self) -> Option<Arc<PieceList>> {
        match (&self.pieces, self.hash.0) {
            (Some(pieces), _) => Some(Arc::clone(pieces)),
            (None, Some(hash)) => PieceList::of_one_piece(self.identity.size, hash).map(Arc::new),
            (None, None) => None,
        }
    }

    /// The SHA-256, if it is known.
    pub(super) fn sha256(&self) -> Option<Sha256Digest> {
        self.sha256.as_deref().copied()
    }
}

impl Catalog {
    /// Replaces all entries, or those `within` a name, by the files of a walk. Calls
    /// `request_hash` for each file that is new or changed, or may be. Compares each file once,
    /// because the loop waits. Files that are still being fetched are listed if they are
    /// `is_shared`.
    pub(super) fn update(
        &mut self,
        mut walk: WalkResult,
        within: Option<&str>,
        is_shared: impl Fn(&str) -> bool,
        mut request_hash: impl FnMut(&CatalogEntry, CacheUse),
    ) {
        let mut all = mem::take(&mut self.files);
        let listed = all.len();
        all.retain(|file| !file.is_partial);
        let partial = listed - all.len();
        let (old, mut files) = match within {
            None => (all, Vec::new()),
            Some(name) => all
                .into_iter()
                .partition(|file| is_within(&file.name, name)),
        };
        let known = old.iter();
        let known = known.map(|file| (file.name.as_str(), file.identity));
        walk.add_unread(known, &is_shared);
        let (old_count, new_count) = (old.len(), walk.files.len());
        let mut unchanged = 0;
        let mut old = old.into_iter().peekable();
        files.reserve(new_count);
        for (name, identity) in walk.files {
            while old.next_if(|file| file.name < name).is_some() {}
            let same = old.next_if(|file| file.name == name && file.identity == identity);
            unchanged += usize::from(same.is_some());
            // After a failure the cache has no hash, or one that was not to be used.
            let may_have_changed =
                walk.written.contains(&name) || same.as_ref().is_some_and(|file| file.has_failed);
            // Such an entry has its hash, or the hash was requested.
            let known = same.filter(|_| !may_have_changed);
            let file = known.unwrap_or_else(|| {
                let file = CatalogEntry::new(name, identity);
                let cache_use = match walk.devices.is_reliable(identity.device) {
                    true if may_have_changed => CacheUse::StoreOnly,
                    true => CacheUse::Full,
                    false => CacheUse::None,
                };
                request_hash(&file, cache_use);
                file
            });
            files.push(file);
        }
        if within.is_some() {
            files.sort_by(|a, b| a.name.cmp(&b.name));
        }
        let is_same = unchanged == old_count && unchanged == new_count && walk.written.is_empty();
        self.revision += u64::from(!is_same);
        let sizes = files.iter().map(|file| file.identity.size);
        self.bytes = sizes.fold(0, u64::saturating_add);
        self.files = files;
        let is_same_partial = self.insert_partial(is_shared) == partial;
        self.revision += u64::from(!is_same_partial);
        if within.is_none() {
            self.warnings.update(&walk.skipped, Instant::now());
            self.skipped = walk.skipped;
        }
    }

    /// Lists those of these files, which are still being fetched, that are `is_shared`. Returns
    /// whether one of them is new.
    pub(super) fn set_partial(
        &mut self,
        files: Vec<FileItem<'_>>,
        is_shared: impl Fn(&str) -> bool,
    ) -> bool {
        let files = files.into_iter();
        let files = files.map(|file| (file.name.to_string(), file.size, file.hash));
        self.partial = files.collect();
        let is_new = self.insert_partial(is_shared) > 0;
        self.revision += u64::from(is_new);
        is_new
    }

    /// Inserts those that are shared and not listed. Returns their number.
    fn insert_partial(&mut self, is_shared: impl Fn(&str) -> bool) -> usize {
        let before = self.files.len();
        let shared = self.partial.iter().filter(|(name, ..)| is_shared(name));
        for (name, size, hash) in shared {
            let by_name = |file: &CatalogEntry| file.name.as_str().cmp(name);
            if let Err(index) = self.files.binary_search_by(by_name) {
                let identity = FileIdentity::partial(*size);
                let file = CatalogEntry {
                    hash: *hash,
                    is_partial: true,
                    ..CatalogEntry::new(name.clone(), identity)
                };
                self.files.insert(index, file);
                self.bytes = self.bytes.saturating_add(*size);
            }
        }
        self.files.len() - before
    }

    /// Whether this file is still being fetched.
    pub(super) fn is_partial(&self, name: &str) -> bool {
        self.find(name).is_some_and(|file| file.is_partial)
    }

    /// The files after `name`, or all.
    pub(super) fn after(&self, name: Option<&str>) -> &[CatalogEntry] {
        let start = match name {
            None => 0,
            Some(name) => self
                .files
                .partition_point(|file| file.name.as_str() <= name),
        };
        &self.files[start..]
    }

    /// The files from the first one on whose name is not before `start`.
    pub(super) fn from(&self, start: &str) -> &[CatalogEntry] {
        let start = self
            .files
            .partition_point(|file| file.name.as_str() < start);
        &self.files[start..]
    }

    pub(super) fn find(&self, name: &str) -> Option<&CatalogEntry> {
        self.files.get(self.index_of(name)?)
    }

    /// Stores the hash of a file, unless the file was removed or changed.
    pub(super) fn set_hash(&mut self, result: &HashResult) {
        let index = self.index_of(&result.name);
        let file = index.and_then(|index| self.files.get_mut(index));
        if let Some(file) = file.filter(|file| file.identity == result.identity) {
            let hashes = result.hashes.as_ref();
            let pieces = hashes.map(|hashes| &hashes.pieces);
            file.has_failed = pieces.is_none();
            file.sha256 = hashes.and_then(|hashes| hashes.sha256).map(Box::new);
            file.hash = MaybeHash(pieces.map(|pieces| pieces.hash()));
            let pieces = pieces.filter(|pieces| pieces.values().len() > 1);
            file.pieces = pieces.map(Arc::clone);
            self.revision += u64::from(!file.has_failed);
        }
    }

    fn index_of(&self, name: &str) -> Option<usize> {
        let by_name = |file: &CatalogEntry| file.name.as_str().cmp(name);
        self.files.binary_search_by(by_name).ok()
    }

    /// The totals of the file of this name, or of the folder of this name.
    pub(super) fn totals(&self, name: &str) -> ShareTotals {
        let folder = format!("{name}/");
        let inside = self.from(&folder).iter();
        let inside = inside.take_while(|file| file.name.starts_with(&folder));
        let mut totals = ShareTotals::default();
        for file in self.find(name).into_iter().chain(inside) {
            totals.files += 1;
            totals.bytes = totals.bytes.saturating_add(file.identity.size);
        }
        totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::share::walked_devices::WalkedDevices;

    /// Regression: the next attempt took the hash of the content before the write.
    #[test]
    fn a_written_file_that_cannot_be_hashed_is_not_looked_up_in_the_cache_later() {
        let identity = FileIdentity::parse("1 2 3 4 5 6").unwrap();
        let walk = |written: &[&str]| WalkResult {
            files: vec![("a".to_owned(), identity)],
            devices: WalkedDevices([(identity.device, true)].into()),
            written: written.iter().map(ToString::to_string).collect(),
            ..WalkResult::default()
        };
        let mut catalog = Catalog::default();
        let mut requests = Vec::new();
        for written in [&[][..], &["a"], &[], &[]] {
            catalog.update(
                walk(written),
                None,
                |_| true,
                |_, cache_use| requests.push(cache_use),
            );
            catalog.set_hash(&HashResult {
                name: "a".to_owned(),
                identity,
                hashes: None,
            });
        }
        let store_only = CacheUse::StoreOnly;
        assert_eq!(
            requests,
            [CacheUse::Full, store_only, store_only, store_only]
        );
    }
}
