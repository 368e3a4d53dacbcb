//! The node's copy of the relay's record of its files, and the difference between
//! this copy and the share.

use std::collections::BTreeMap;
use std::ops::{Bound, RangeInclusive};

use crate::node::relay_update::UpdateRequest;
use crate::node::share::Share;
use crate::protocol::{FileItem, FileName, MAX_LISTED_FILES, MaybeHash, Request};

/// Size and hash of a file.
pub(super) type FileVersion = (u64, MaybeHash);

/// The files that the relay has acknowledged.
#[derive(Default)]
pub(super) struct RelayRecord {
    /// The epoch of the relay's record, if the relay sends epochs.
    pub(super) epoch: Option<u64>,
    /// A file without a version is uncertain: the connection ended before the relay
    /// answered, so the relay may have the file or not.
    files: BTreeMap<Box<str>, Option<FileVersion>>,
    /// The number of uncertain files.
    uncertain: u64,
}

/// The changes that a comparison sends. Removals come first, because they make room
/// for others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ComparePass {
    /// `UNSHARE` for removed files.
    Removals,
    /// `SHARE` for new and changed files.
    Additions,
}

impl RelayRecord {
    /// How many files the relay may have recorded.
    pub(super) fn file_count(&self) -> RangeInclusive<u64> {
        let most = self.files.len() as u64;
        most - self.uncertain..=most
    }

    /// The relay has this version of a file, or none.
    pub(super) fn confirm(&mut self, name: Box<str>, version: Option<FileVersion>) {
        let previous = match version {
            Some(version) => self.files.insert(name, Some(version)),
            None => self.files.remove(&name),
        };
        self.uncertain -= u64::from(previous == Some(None));
    }

    /// The relay may have executed a change of this file or not.
    pub(super) fn mark_uncertain(&mut self, name: Box<str>) {
        let previous = self.files.insert(name, None);
        self.uncertain += u64::from(previous != Some(None));
    }

    /// Compares the record with the share, one page of names, from the one after `after`
    /// on. Sends the changes that belong to the pass. Returns the last name of the page,
    /// or none after the last page.
    pub(super) fn send_page(
        &self,
        pass: ComparePass,
        share: &mut impl Share,
        after: Option<&str>,
        mut send: impl FnMut(Request<'_>, UpdateRequest),
    ) -> Option<Box<str>> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let recorded = self.files.range::<str, _>((start, Bound::Unbounded));
        let mut recorded = recorded.take(MAX_LISTED_FILES).peekable();
        if pass == ComparePass::Removals && recorded.peek().is_none() {
            return None;
        }
        let (mut compared, mut last) = (0, None);
        let mut compare = |name: &str, old: Option<FileVersion>, file: Option<&FileItem<'_>>| {
            if compared == MAX_LISTED_FILES {
                return;
            }
            match (pass, file) {
                (ComparePass::Removals, None) => {
                    // A share has only valid names.
                    if let Ok(request) = FileName::parse(name).map(Request::Unshare) {
                        send(request, UpdateRequest::Unshare(name.into()));
                    }
                }
                (ComparePass::Additions, Some(file)) if old != Some((file.size, file.hash)) => {
                    let change = UpdateRequest::Share(name.into(), (file.size, file.hash));
                    let request = Request::Share(file.size, file.hash, file.name.clone());
                    send(request, change);
                }
                (_, _) => {}
            }
            compared += 1;
            if compared == MAX_LISTED_FILES {
                last = Some(name.into());
            }
        };
        share.list(after, MAX_LISTED_FILES, &mut |file| {
            let name = file.name.as_str();
            while let Some((other, _)) = recorded.next_if(|(other, _)| ***other < *name) {
                compare(other, None, None);
            }
            let same = recorded.next_if(|(other, _)| ***other == *name);
            compare(name, same.and_then(|(_, version)| *version), Some(file));
        });
        recorded.for_each(|(name, _)| compare(name, None, None));
        last
    }
}
