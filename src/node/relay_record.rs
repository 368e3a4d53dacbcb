//! The node's copy of the relay's record of its files, and the difference between
//! this copy and the share.

use std::collections::BTreeMap;
use std::ops::{Bound, RangeInclusive};

use crate::node::share::Share;
use crate::protocol::{FileName, MAX_LISTED_FILES, MaybeHash, Request};

/// Size and hash of a file.
type FileVersion = (u64, MaybeHash);

/// The files that the relay has acknowledged.
#[derive(Default)]
pub(super) struct RelayRecord {
    /// The epoch of the relay's record, if the relay sends epochs.
    epoch: Option<u64>,
    /// A file without a version is uncertain: the connection ended before the relay
    /// answered, so the relay may have the file or not.
    files: BTreeMap<Box<str>, Option<FileVersion>>,
    /// The number of uncertain files.
    uncertain: u64,
}

/// A change of the relay's record.
#[derive(Debug)]
pub enum IndexChange {
    /// A new or changed file.
    Share(Box<str>, FileVersion),
    /// A removed file.
    Unshare(Box<str>),
}

impl RelayRecord {
    /// A record without files.
    pub(super) fn new(epoch: Option<u64>) -> Self {
        Self {
            epoch,
            ..Self::default()
        }
    }

    pub(super) fn epoch(&self) -> Option<u64> {
        self.epoch
    }

    /// How many files the relay may have recorded.
    pub(super) fn file_count(&self) -> RangeInclusive<u64> {
        let most = self.files.len() as u64;
        most - self.uncertain..=most
    }

    /// The relay has executed a change.
    pub(super) fn confirm(&mut self, change: IndexChange) {
        let previous = match change {
            IndexChange::Share(name, version) => self.files.insert(name, Some(version)),
            IndexChange::Unshare(name) => self.files.remove(&name),
        };
        self.uncertain -= u64::from(previous == Some(None));
    }

    /// The relay may have executed a change or not.
    pub(super) fn mark_uncertain(&mut self, change: IndexChange) {
        let (IndexChange::Share(name, _) | IndexChange::Unshare(name)) = change;
        let previous = self.files.insert(name, None);
        self.uncertain += u64::from(previous != Some(None));
    }

    /// Sends `UNSHARE` for the recorded files after the name `after` that are no longer
    /// in the share, one page of them. Returns the last name of the page, unless it is
    /// the last page.
    pub(super) fn send_removals(
        &self,
        share: &mut impl Share,
        after: Option<&str>,
        mut send: impl FnMut(Request<'_>, IndexChange),
    ) -> Option<Box<str>> {
        let recorded: Vec<&str> = self
            .files_after(after)
            .map(|(name, _)| name)
            .take(MAX_LISTED_FILES)
            .collect();
        if recorded.is_empty() {
            return None;
        }
        let mut remove = |name: &str| {
            // A share has only valid names.
            if let Ok(request) = FileName::parse(name).map(Request::Unshare) {
                send(request, IndexChange::Unshare(name.into()));
            }
        };
        let (mut compared, mut listed, mut last) = (0, 0, None);
        share.list(after, MAX_LISTED_FILES, &mut |item| {
            let name = item.name.as_str();
            while let Some(other) = recorded.get(compared).filter(|other| **other < name) {
                remove(other);
                compared += 1;
            }
            compared += usize::from(recorded.get(compared) == Some(&name));
            listed += 1;
            if listed == MAX_LISTED_FILES {
                last = Some(name.into());
            }
        });
        if last.is_none() {
            recorded[compared..].iter().for_each(|name| remove(name));
            compared = recorded.len();
        }
        // The lists have been compared as far as the shorter one goes.
        if compared == recorded.len() {
            last = recorded
                .get(MAX_LISTED_FILES - 1)
                .map(|name| (*name).into());
        }
        last
    }

    /// Sends `SHARE` for the files of the share after the name `after` that are new or
    /// have changed, likewise.
    pub(super) fn send_additions(
        &self,
        share: &mut impl Share,
        after: Option<&str>,
        mut send: impl FnMut(Request<'_>, IndexChange),
    ) -> Option<Box<str>> {
        let mut recorded = self.files_after(after).peekable();
        let (mut listed, mut last) = (0, None);
        share.list(after, MAX_LISTED_FILES, &mut |item| {
            let (name, version) = (item.name.as_str(), (item.size, item.hash));
            while recorded.next_if(|(other, _)| *other < name).is_some() {}
            let unchanged = (name, Some(version));
            if recorded.next_if(|file| *file == unchanged).is_none() {
                let request = Request::Share(item.size, item.hash, item.name.clone());
                send(request, IndexChange::Share(name.into(), version));
            }
            listed += 1;
            if listed == MAX_LISTED_FILES {
                last = Some(name.into());
            }
        });
        last
    }

    fn files_after(&self, name: Option<&str>) -> impl Iterator<Item = (&str, Option<FileVersion>)> {
        let start = name.map_or(Bound::Unbounded, Bound::Excluded);
        let files = self.files.range::<str, _>((start, Bound::Unbounded));
        files.map(|(name, version)| (&**name, *version))
    }
}
