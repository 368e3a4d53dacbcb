//! The node's copy of the relay's record of its files, and the difference between
//! this copy and the share.

use std::collections::BTreeMap;
use std::ops::{Bound, RangeInclusive};

use crate::node::refused_files::RefusedFiles;
use crate::node::share::{ListedFile, Share};
use crate::node::update_request::{FileVersion, UpdateRequest};
use crate::protocol::{FileName, MAX_LISTED_FILES, Request};

/// The most requests that may be outstanding.
const MAX_OUTSTANDING: usize = 4 * MAX_LISTED_FILES;

/// Whether the relay takes digests. A relay of an older version closes a connection with
/// many unknown requests, so the first digest of a record is sent alone.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) enum DigestSupport {
    #[default]
    Unknown,
    /// The first digest is sent and not answered.
    Pending,
    Supported,
    Unsupported,
}

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
    pub(super) digest_support: DigestSupport,
    pub(super) room: Room,
}

/// Whether the relay has room for files that it does not list. Changes of those that it lists
/// need none.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Room {
    /// As far as is known.
    #[default]
    Some,
    /// The relay had none in an earlier update, and has accepted no file since: they are tried
    /// one by one.
    Unknown,
    /// It has none: the next update tries again.
    None,
}

/// The changes that a comparison sends. Removals come first, because they make room
/// for others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ComparePass {
    /// `UNSHARE` for removed files.
    Removals,
    /// `SHARE` and `SHAREDIGEST` for new and changed files.
    Additions,
}

impl RelayRecord {
    /// How many files the relay may have recorded.
    pub(super) fn file_count(&self) -> RangeInclusive<u64> {
        let most = self.files.len() as u64;
        most - self.uncertain..=most
    }

    /// How many requests may be outstanding.
    pub(super) fn max_outstanding(&self) -> usize {
        match self.room {
            Room::Unknown => 1,
            Room::Some | Room::None => MAX_OUTSTANDING,
        }
    }

    /// The relay has this version of a file, or none.
    pub(super) fn confirm(&mut self, name: Box<str>, version: Option<FileVersion>) {
        let previous = match version {
            Some(version) => self.files.insert(name, Some(version)),
            None => self.files.remove(&name),
        };
        self.uncertain -= u64::from(previous == Some(None));
        if version.is_some() && previous.is_none() && self.room == Room::Unknown {
            self.room = Room::Some;
        }
    }

    /// The relay has no room for a new file.
    pub(super) fn on_limit(&mut self, name: &str) {
        self.room = Room::None;
        if self.files.get(name) == Some(&None) {
            self.confirm(name.into(), None);
        }
    }

    /// The relay may have executed a change of this file or not.
    pub(super) fn mark_uncertain(&mut self, name: Box<str>) {
        let previous = self.files.insert(name, None);
        self.uncertain += u64::from(previous != Some(None));
    }

    /// Compares the record with the share, one batch of names, from the one after `after`
    /// on. Sends the changes that belong to the pass, without refused files and those for which
    /// there is no room. Returns the last name of the batch, or none after the last batch. A batch
    /// ends at the first digest, and at the first file for which there may be no room.
    pub(super) fn send_page(
        &mut self,
        pass: ComparePass,
        share: &mut impl Share,
        after: Option<&str>,
        refused: &mut RefusedFiles,
        mut send: impl FnMut(Request<'_>, UpdateRequest),
    ) -> Option<Box<str>> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let recorded = self.files.range::<str, _>((start, Bound::Unbounded));
        let mut recorded = recorded.take(MAX_LISTED_FILES).peekable();
        if pass == ComparePass::Removals && recorded.peek().is_none() {
            return None;
        }
        let (support, room) = (&mut self.digest_support, self.room);
        let (mut compared, mut last) = (0, None);
        // `old` is what the relay lists, or may list if it has no version.
        let mut compare =
            |name: &str, old: Option<Option<FileVersion>>, file: Option<&ListedFile<'_>>| {
                // A share has only valid names.
                let Some(name) = FileName::parse(name).ok().filter(|_| last.is_none()) else {
                    return last.is_none();
                };
                compared += 1;
                let mut ends_page = compared == MAX_LISTED_FILES;
                match (pass, file) {
                    (ComparePass::Removals, None) => {
                        let change = UpdateRequest::Unshare(name.as_str().into());
                        send(Request::Unshare(name.clone()), change);
                    }
                    (ComparePass::Additions, Some(file)) if old != Some(Some(file.into())) => {
                        let has_room = old.is_some() || room != Room::None;
                        if has_room && !refused.includes(&name, file.into()) {
                            ends_page |= support.send_file(file, &name, &mut send);
                            ends_page |= old.is_none() && room == Room::Unknown;
                        }
                    }
                    (_, _) => {}
                }
                last = ends_page.then(|| name.as_str().into());
                !ends_page
            };
        // No name has a NUL, so no name lies between.
        let start = after.map_or_else(String::new, |name| format!("{name}\0"));
        share.visit_files(&start, &mut |file| {
            while let Some((other, _)) = recorded.next_if(|(other, _)| ***other < *file.name) {
                compare(other, None, None);
            }
            let same = recorded.next_if(|(other, _)| ***other == *file.name);
            compare(file.name, same.map(|(_, version)| *version), Some(file))
        });
        recorded.for_each(|(name, _)| {
            compare(name, None, None);
        });
        last
    }
}

impl DigestSupport {
    /// Sends a new or changed file. Returns whether the relay must answer before more is sent.
    fn send_file(
        &mut self,
        file: &ListedFile<'_>,
        name: &FileName<'_>,
        send: &mut impl FnMut(Request<'_>, UpdateRequest),
    ) -> bool {
        let boxed_name = || name.as_str().into();
        let request = Request::Share(file.size, file.hash, name.clone());
        send(request, UpdateRequest::Share(boxed_name(), file.into()));
        if let (Some(hash), Some(sha256)) = (file.hash.0, file.sha256)
            && *self != Self::Unsupported
        {
            let request = Request::ShareDigest(hash, sha256, name.clone());
            send(request, UpdateRequest::ShareDigest(boxed_name()));
            if *self == Self::Unknown {
                *self = Self::Pending;
                return true;
            }
        }
        false
    }
}
