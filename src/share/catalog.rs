//! Which files are shared, in the order of their names.

use std::mem;

use log::warn;

use crate::escaped::Escaped;
use crate::node::ShareTotals;
use crate::protocol::MaybeHash;
use crate::share::hasher::Hashed;
use crate::share::identity::Identity;
use crate::share::roots::is_within;
use crate::share::walk::{Found, LeftOut};

/// The files of one walk.
#[derive(Default)]
pub(super) struct Catalog {
    /// In the order of the names' bytes.
    files: Vec<Listed>,
    bytes: u64,
    /// How often there was something else than before.
    revision: u64,
    /// What is not shared has been said.
    warned: bool,
}

/// One file.
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) identity: Identity,
    pub(super) hash: MaybeHash,
    /// It was asked for in vain: the next walk asks again.
    failed: bool,
}

impl Listed {
    fn new(name: String, identity: Identity) -> Self {
        Self {
            name,
            identity,
            hash: MaybeHash(None),
            failed: false,
        }
    }
}

impl Catalog {
    /// What was found takes the place of all that was there, or of what was
    /// `within` a name. `each_content` is told of each file that is new, or another
    /// one now. No more than a comparison a file: the loop waits.
    pub(super) fn put(
        &mut self,
        found: Found,
        within: Option<&str>,
        mut each_content: impl FnMut(&Listed),
    ) {
        let earlier = mem::take(&mut self.files);
        let (earlier, mut files) = match within {
            None => (earlier, Vec::new()),
            Some(name) => earlier
                .into_iter()
                .partition(|file| is_within(&file.name, name)),
        };
        let (before, after) = (earlier.len(), found.files.len());
        let mut unchanged = 0;
        let mut earlier = earlier.into_iter().peekable();
        files.reserve(after);
        for (name, identity) in found.files {
            while earlier.next_if(|file| file.name < name).is_some() {}
            let same = earlier.next_if(|file| file.name == name && file.identity == identity);
            unchanged += usize::from(same.is_some());
            // Its hash is known, or on its way.
            let file = same.filter(|file| !file.failed).unwrap_or_else(|| {
                let file = Listed::new(name, identity);
                each_content(&file);
                file
            });
            files.push(file);
        }
        if within.is_some() {
            files.sort_by(|a, b| a.name.cmp(&b.name));
        }
        self.revision += u64::from(unchanged != before || unchanged != after);
        self.bytes = files.iter().map(|file| file.identity.size).sum();
        self.files = files;
        self.warn_once(&found.left_out);
    }

    fn warn_once(&mut self, left_out: &LeftOut) {
        if left_out.count > 0 && !mem::replace(&mut self.warned, true) {
            warn!(
                "{} not listed: names that cannot be shared, unreadable folders, or more than \
                 --max-files; the first is {}",
                left_out.count,
                Escaped::text(&left_out.first)
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

    /// The hash of a content has been found, or not. What is not listed any more
    /// needs none.
    pub(super) fn put_hash(&mut self, hashed: Hashed) {
        let file = self.place(&hashed.name);
        let file = file.and_then(|place| self.files.get_mut(place));
        if let Some(file) = file.filter(|file| file.identity == hashed.identity) {
            file.failed = hashed.hash.is_none();
            file.hash = MaybeHash(hashed.hash);
            self.revision += u64::from(!file.failed);
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

    /// The file of this name, and those in the folder of this name.
    pub(super) fn extent(&self, name: &str) -> ShareTotals {
        let folder = format!("{name}/");
        let start = self.files.partition_point(|file| file.name < folder);
        let inside = self.files[start..].iter();
        let inside = inside.take_while(|file| file.name.starts_with(&folder));
        let mut extent = ShareTotals::default();
        for file in self.find(name).into_iter().chain(inside) {
            extent.files += 1;
            extent.bytes += file.identity.size;
        }
        extent
    }
}
