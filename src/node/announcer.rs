//! Announces the node's files to the relay: after each `REGISTER`, on the same
//! connection, it sends the changes since the relay last acknowledged them. If the
//! relay has lost its record of the node, or never had one, it sends all files.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::ops::{Bound, RangeInclusive};

use log::{debug, warn};

use crate::close_reason::CloseReason;
use crate::escaped::Escaped;
use crate::node::share::Share;
use crate::protocol::{Code, FileName, MAX_LISTED_FILES, MaybeHash, Reply, Request};
use crate::role::ReadNext;
use crate::session::server::say;

/// The most requests that may be outstanding.
const MAX_OUTSTANDING: usize = 4 * MAX_LISTED_FILES;

/// Keeps the relay's record of the node's files equal to the share.
#[derive(Default)]
pub struct Announcer {
    /// The files that the relay has acknowledged. A file without content is
    /// uncertain: the connection broke before the relay answered.
    acknowledged: BTreeMap<Box<str>, Option<AnnouncedContent>>,
    /// The number of uncertain files.
    uncertain: u64,
    /// The revision of the share that the relay has acknowledged completely.
    complete_revision: Option<Revision>,
    /// The outstanding requests, in order.
    outstanding: VecDeque<IndexChange>,
    progress: AnnounceProgress,
    /// How many times in a row the relay's file count differed.
    mismatches: u32,
    /// How many registrations to skip before all files are sent again.
    skip: u32,
    stale_entries: StaleEntries,
    has_warned_of_mismatch: bool,
    has_warned_of_limit: bool,
}

type AnnouncedContent = (u64, MaybeHash);

enum IndexChange {
    Share(Box<str>, AnnouncedContent),
    Unshare(Box<str>),
}

/// Entries that an earlier process of this node has left at the relay.
#[derive(Default)]
enum StaleEntries {
    /// None are known.
    #[default]
    None,
    /// The relay has more files than the node announced. The count is checked again
    /// after all files are announced.
    Suspected,
    /// The relay has dropped its record once. If it has too many files again, they
    /// belong to another node.
    Removed,
}

/// How far the share has been compared with the acknowledged files.
#[derive(Default)]
enum AnnounceProgress {
    /// No update is in progress.
    #[default]
    Idle,
    /// Sending `UNSHARE` for removed files, up to this name. This comes first,
    /// because it makes room for others.
    Removals(Option<Box<str>>, Revision),
    /// Sending `SHARE` for new and changed files, up to this name.
    Additions(Option<Box<str>>, Revision),
    /// All changes have been sent.
    Sent(Revision),
}

type Revision = u64;

impl Announcer {
    /// Whether an update is in progress.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        !matches!(self.progress, AnnounceProgress::Idle)
    }

    /// Whether the relay, which has recorded `files` files, must drop its record of the
    /// node: all files were announced, and the relay has more. This happens only
    /// once. Until then clients can use the old entries.
    pub fn needs_reset(&mut self, files: u64) -> bool {
        let is_sure = self.complete_revision.is_some() || files == 0;
        if !matches!(self.stale_entries, StaleEntries::Suspected) || !is_sure {
            return false;
        }
        if files <= *self.expected_files().end() {
            self.stale_entries = StaleEntries::None;
            return false;
        }
        *self = Self {
            // If the connection breaks, the entries are still there.
            stale_entries: StaleEntries::Suspected,
            has_warned_of_limit: self.has_warned_of_limit,
            ..Self::default()
        };
        true
    }

    /// The relay has dropped its record of the node.
    pub fn on_record_reset(&mut self) {
        self.stale_entries = StaleEntries::Removed;
    }

    /// Starts an update: the relay has registered the node and has recorded `files`
    /// files. Writes the first requests. No update is in progress.
    pub fn start(
        &mut self,
        share: &mut impl Share,
        files: u64,
        requests: &mut Vec<u8>,
    ) -> ReadNext {
        self.reconcile(files);
        let revision = share.revision();
        self.progress = if self.complete_revision == Some(revision) {
            AnnounceProgress::Sent(revision)
        } else {
            AnnounceProgress::Removals(None, revision)
        };
        self.send_changes(share, requests)
    }

    /// Handles the reply to the first outstanding request.
    pub fn on_reply(
        &mut self,
        share: &mut impl Share,
        line: &[u8],
        requests: &mut Vec<u8>,
    ) -> ReadNext {
        let Some(change) = self.outstanding.pop_front() else {
            return ReadNext::Close(CloseReason::ProtocolError);
        };
        match (change, Reply::parse(line)) {
            (IndexChange::Share(name, content), Ok(Reply::Ok(_))) => {
                if self.acknowledged.insert(name, Some(content)) == Some(None) {
                    self.uncertain -= 1;
                }
            }
            (IndexChange::Unshare(name), Ok(Reply::Ok(_) | Reply::NotFound)) => {
                if self.acknowledged.remove(&name) == Some(None) {
                    self.uncertain -= 1;
                }
            }
            (IndexChange::Share(name, _), Ok(Reply::Error(Code::LimitReached, text))) => {
                // The relay keeps what it accepted, and would reject all that follows.
                self.on_limit(&name, &text);
            }
            (_, Ok(Reply::Error(Code::UnknownVerb, _))) => {
                debug!("the relay keeps no index");
                return ReadNext::Close(CloseReason::Completed);
            }
            // The lease has expired, or the reply makes no sense: the next update
            // sends again what is not acknowledged.
            (_, Ok(_)) => return ReadNext::Close(CloseReason::Completed),
            (change, Err(_)) => {
                self.outstanding.push_front(change);
                return ReadNext::Close(CloseReason::ProtocolError);
            }
        }
        self.send_changes(share, requests)
    }

    /// The update has ended. The relay may have executed the requests that it has not
    /// answered: the next update must send the names again, whatever has changed.
    pub fn on_close(&mut self) {
        self.progress = AnnounceProgress::Idle;
        for change in mem::take(&mut self.outstanding) {
            let (IndexChange::Share(name, _) | IndexChange::Unshare(name)) = change;
            if self.acknowledged.insert(name, None) != Some(None) {
                self.uncertain += 1;
            }
        }
    }

    /// Whether an update should follow soon: the share has changed since it was
    /// announced completely, or the relay's file count must be checked again.
    pub fn is_outdated(&self, share: &mut impl Share) -> bool {
        let must_recheck = matches!(self.stale_entries, StaleEntries::Suspected);
        self.complete_revision
            .is_some_and(|complete| must_recheck || complete != share.revision())
    }

    /// How many files the relay may have recorded.
    fn expected_files(&self) -> RangeInclusive<u64> {
        let most = self.acknowledged.len() as u64;
        most - self.uncertain..=most
    }

    /// Sends all files again if the relay has another number of files than it
    /// acknowledged: at first at once, then with growing pauses. A relay without
    /// files has restarted, or the lease had expired: there is no pause then.
    fn reconcile(&mut self, files: u64) {
        let known = self.acknowledged.len() as u64;
        let expected = self.expected_files();
        if files > *expected.end() && matches!(self.stale_entries, StaleEntries::None) {
            self.stale_entries = StaleEntries::Suspected;
        }
        if expected.contains(&files) {
            self.mismatches = 0;
            self.skip = 0;
            return;
        }
        if files > 0 && self.mismatches > 0 && known > 0 {
            if self.skip > 0 {
                self.skip -= 1;
                return;
            }
            if !mem::replace(&mut self.has_warned_of_mismatch, true) {
                warn!(
                    "the relay has {files} files of this node, not {known}: is there another node \
                     behind the same address and port?"
                );
            }
        }
        self.skip = 1 << self.mismatches.min(6);
        self.mismatches = self.mismatches.saturating_add(1);
        self.acknowledged.clear();
        self.uncertain = 0;
        self.complete_revision = None;
    }

    /// Sends as many requests as may be outstanding. Closes the connection when all
    /// are answered.
    fn send_changes(&mut self, share: &mut impl Share, requests: &mut Vec<u8>) -> ReadNext {
        while self.outstanding.len() < MAX_OUTSTANDING {
            self.progress = match mem::take(&mut self.progress) {
                AnnounceProgress::Removals(after, revision) => {
                    match self.send_removals(share, after.as_deref(), requests) {
                        Some(last) => AnnounceProgress::Removals(Some(last), revision),
                        None => AnnounceProgress::Additions(None, revision),
                    }
                }
                AnnounceProgress::Additions(after, revision) => {
                    match self.send_additions(share, after.as_deref(), requests) {
                        Some(last) => AnnounceProgress::Additions(Some(last), revision),
                        None => AnnounceProgress::Sent(revision),
                    }
                }
                AnnounceProgress::Sent(revision) if self.outstanding.is_empty() => {
                    self.complete_revision = Some(revision);
                    return ReadNext::Close(CloseReason::Completed);
                }
                other @ (AnnounceProgress::Sent(_) | AnnounceProgress::Idle) => {
                    self.progress = other;
                    break;
                }
            };
        }
        ReadNext::Line
    }

    /// Sends `UNSHARE` for the removed files of one page. Returns the last name of the
    /// page, or nothing for the last page.
    fn send_removals(
        &mut self,
        share: &mut impl Share,
        after: Option<&str>,
        requests: &mut Vec<u8>,
    ) -> Option<Box<str>> {
        let known: Vec<&str> = self
            .acknowledged_after(after)
            .map(|(name, _)| name)
            .take(MAX_LISTED_FILES)
            .collect();
        if known.is_empty() {
            return None;
        }
        let mut removed: Vec<Box<str>> = Vec::new();
        let (mut place, mut count, mut end) = (0, 0, None);
        share.list(after, MAX_LISTED_FILES, &mut |item| {
            let name = item.name.as_str();
            while let Some(other) = known.get(place).filter(|other| **other < name) {
                removed.push((*other).into());
                place += 1;
            }
            place += usize::from(known.get(place) == Some(&name));
            count += 1;
            if count == MAX_LISTED_FILES {
                end = Some(name.into());
            }
        });
        if end.is_none() {
            removed.extend(known[place..].iter().map(|name| Box::from(*name)));
            place = known.len();
        }
        // Both lists are compared as far as the shorter one goes.
        if place == known.len() {
            let last = known.get(MAX_LISTED_FILES - 1);
            end = last.map(|name| Box::from(*name));
        }
        for name in removed {
            self.send(IndexChange::Unshare(name), requests);
        }
        end
    }

    /// Sends `SHARE` for the new and changed files of one page, likewise.
    fn send_additions(
        &mut self,
        share: &mut impl Share,
        after: Option<&str>,
        requests: &mut Vec<u8>,
    ) -> Option<Box<str>> {
        let mut known = self.acknowledged_after(after).peekable();
        let mut changed = Vec::new();
        let (mut count, mut last) = (0, None);
        share.list(after, MAX_LISTED_FILES, &mut |item| {
            let (name, content) = (item.name.as_str(), (item.size, item.hash));
            while known.next_if(|(other, _)| *other < name).is_some() {}
            let is_unchanged =
                known.next_if(|(other, known)| *other == name && *known == Some(content));
            if is_unchanged.is_none() {
                changed.push(IndexChange::Share(name.into(), content));
            }
            count += 1;
            if count == MAX_LISTED_FILES {
                last = Some(name.into());
            }
        });
        drop(known);
        for change in changed {
            self.send(change, requests);
        }
        last
    }

    /// The acknowledged files after `name`.
    fn acknowledged_after(
        &self,
        name: Option<&str>,
    ) -> impl Iterator<Item = (&str, Option<AnnouncedContent>)> {
        let start = name.map_or(Bound::Unbounded, Bound::Excluded);
        let known = self.acknowledged.range::<str, _>((start, Bound::Unbounded));
        known.map(|(name, content)| (&**name, *content))
    }

    fn send(&mut self, change: IndexChange, requests: &mut Vec<u8>) {
        let request = match &change {
            IndexChange::Share(name, (size, hash)) => {
                FileName::parse(name).map(|name| Request::Share(*size, *hash, name))
            }
            IndexChange::Unshare(name) => FileName::parse(name).map(Request::Unshare),
        };
        // A share has only valid names.
        if let Ok(request) = request {
            say(requests, request);
            self.outstanding.push_back(change);
        }
    }

    fn on_limit(&mut self, name: &str, text: &str) {
        if let AnnounceProgress::Additions(_, revision) = self.progress {
            self.progress = AnnounceProgress::Sent(revision);
        }
        if !mem::replace(&mut self.has_warned_of_limit, true) {
            let (name, text) = (Escaped::text(name), Escaped::text(text));
            warn!("the relay does not list {name} and what follows: {text}");
        }
    }
}
