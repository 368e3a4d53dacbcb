//! Which files are shared, in the order of their names.

use std::time::{Duration, Instant};

use log::warn;

use super::identity::Identity;
use super::walk::{LeftOut, Short, Walk};
use crate::protocol::{ContentHash, MaybeHash};
use crate::role::node::Extent;
use crate::visible::Visible;

/// The shortest pause between two scans.
const PAUSE: Duration = Duration::from_millis(500);
/// One that took long is followed by a pause of so many times as long: the loop
/// must not be busy with nothing else.
const SPARING: u32 = 10;

/// The files of one scan.
#[derive(Default)]
pub(super) struct Catalog {
    /// In the order of the names' bytes.
    files: Vec<Listed>,
    bytes: u64,
    /// How often a scan found something else than the one before.
    revision: u64,
    scanned: Option<Instant>,
    scan_took: Duration,
    /// There are more files than may be listed.
    is_cut: bool,
    /// What is not shared has been said.
    warned: bool,
}

/// One file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) identity: Identity,
    pub(super) hash: MaybeHash,
    /// It was asked for in vain: the next scan asks again.
    failed: bool,
}

impl Listed {
    fn new((name, identity): (String, Identity)) -> Self {
        Self {
            name,
            identity,
            hash: MaybeHash(None),
            failed: false,
        }
    }
}

impl Catalog {
    /// Whether the last scan is not older than `age`.
    pub(super) fn is_younger_than(&self, age: Duration) -> bool {
        self.scanned.is_some_and(|at| at.elapsed() < age)
    }

    /// How long to leave the disk alone after a scan.
    pub(super) fn pause(&self) -> Duration {
        PAUSE.max(self.scan_took * SPARING)
    }

    /// Looks at the disk. If it fails, the list is the one of before, which is
    /// nearer to the truth than a part of this. `each_content` is told of each
    /// file that is new, or another one now.
    pub(super) fn scan(
        &mut self,
        walk: Walk<'_>,
        mut each_content: impl FnMut(&Listed),
    ) -> Result<(), Short> {
        let began = Instant::now();
        let walked = walk.go();
        self.scanned = Some(Instant::now());
        let found = walked?;
        let mut files: Vec<Listed> = found.files.into_iter().map(Listed::new).collect();
        files.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        for file in &mut files {
            match self.find(&file.name) {
                // Its hash is known, or on its way.
                Some(earlier) if earlier.identity == file.identity && !earlier.failed => {
                    file.hash = earlier.hash;
                }
                Some(_) | None => each_content(file),
            }
        }
        self.revision += u64::from(files != self.files);
        self.bytes = files.iter().map(|file| file.identity.size).sum();
        self.files = files;
        self.is_cut = found.is_cut;
        self.scan_took = began.elapsed();
        self.warn_once(&found.left_out);
        Ok(())
    }

    fn warn_once(&mut self, left_out: &LeftOut) {
        if left_out.count > 0 && !std::mem::replace(&mut self.warned, true) {
            warn!(
                "{} not listed: names that cannot be shared, unreadable folders, or more than \
                 --max-files; the first is {}",
                left_out.count,
                Visible::text(&left_out.first)
            );
        }
    }

    /// The files after the one of this name.
    pub(super) fn after(&self, name: Option<&str>) -> &[Listed] {
        let start = match name {
            None => 0,
            Some(name) => self
                .files
                .partition_point(|file| file.name.as_str() <= name),
        };
        &self.files[start..]
    }

    pub(super) fn find(&self, name: &str) -> Option<&Listed> {
        let place = self.place(name)?;
        self.files.get(place)
    }

    /// The hash of a content has been found. Returns whether it is listed.
    pub(super) fn put_hash(&mut self, name: &str, identity: Identity, hash: ContentHash) -> bool {
        let file = self.place(name).and_then(|place| self.files.get_mut(place));
        match file.filter(|file| file.identity == identity) {
            Some(file) => {
                file.hash = MaybeHash(Some(hash));
                self.revision += 1;
                true
            }
            None => false,
        }
    }

    /// The hash of a content could not be found.
    pub(super) fn want_hash_again(&mut self, name: &str, identity: Identity) {
        let file = self.place(name).and_then(|place| self.files.get_mut(place));
        if let Some(file) = file.filter(|file| file.identity == identity) {
            file.failed = true;
        }
    }

    fn place(&self, name: &str) -> Option<usize> {
        let by_name = |file: &Listed| file.name.as_str().cmp(name);
        self.files.binary_search_by(by_name).ok()
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether there are more files than may be listed.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// The file of this name, and those in the folder of this name.
    pub(super) fn extent(&self, name: &str) -> Extent {
        let folder = format!("{name}/");
        let start = self.files.partition_point(|file| file.name < folder);
        let inside = self.files[start..].iter();
        let inside = inside.take_while(|file| file.name.starts_with(&folder));
        let mut extent = Extent::default();
        for file in self.find(name).into_iter().chain(inside) {
            extent.files += 1;
            extent.bytes += file.identity.size;
        }
        extent
    }
}
