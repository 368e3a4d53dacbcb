//! Announces the node's files to the relay: after each `REGISTER`, on the same
//! connection, it sends the changes since the relay last acknowledged them. If the
//! relay has a new record of the node, it sends all files.

use std::mem;

use log::{debug, warn};

use crate::close_reason::CloseReason;
use crate::logging::OPERATOR;
use crate::node::refused_files::RefusedFiles;
use crate::node::relay_record::{ComparePass, DigestSupport, RelayRecord, Room};
use crate::node::share::Share;
use crate::node::update_request::UpdateRequest;
use crate::protocol::{ErrorCode, Registered, Reply, Request};
use crate::role::ReadNext;
use crate::session::requests::RequestQueue;

/// If the relay's record differs each time, all files are sent again after every so many
/// registrations at the latest.
const MAX_MISMATCHES: u32 = 64;

/// Keeps the relay's record of the node's files equal to the share.
#[derive(Default)]
pub struct Announcer {
    record: RelayRecord,
    /// The revision of the share that the relay has acknowledged completely.
    complete_revision: Option<u64>,
    progress: AnnounceProgress,
    /// How many times in a row the relay had a new record.
    new_epochs: u32,
    /// How many times in a row the relay's file count was wrong.
    mismatches: u32,
    stale_entries: StaleEntries,
    refused: RefusedFiles,
    /// The relay has refused a change in the update that is in progress, or in one that has
    /// ended before all files were announced.
    has_refusal: bool,
}

/// Entries that an earlier process of this node has left at the relay.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum StaleEntries {
    /// None are known.
    #[default]
    None,
    /// The relay has more files than the node announced.
    Suspected,
    /// The relay has dropped its record once. If it has too many files again, they
    /// belong to another node.
    Removed,
}

/// How far the share has been compared with the record.
#[derive(Default)]
enum AnnounceProgress {
    /// No update is in progress.
    #[default]
    Idle,
    /// The names up to this one, of this revision of the share, have been compared.
    Comparing(ComparePass, Option<Box<str>>, u64),
    /// All changes up to this revision have been sent.
    Sent(u64),
}

impl Announcer {
    /// How many files the relay has acknowledged, or may have recorded.
    pub(super) fn announced_files(&self) -> u64 {
        *self.record.file_count().end()
    }

    /// How many files the relay has refused, or has no room for.
    pub(super) fn refused_files(&self) -> u64 {
        self.refused.len()
    }

    /// Whether an update is in progress.
    pub(super) fn is_busy(&self) -> bool {
        !matches!(self.progress, AnnounceProgress::Idle)
    }

    /// Compares the relay's record, as the reply to `REGISTER` describes it, with the
    /// acknowledged files. If they differ, all files will be sent. Returns whether the
    /// node must first make the relay drop its record, and register again.
    pub fn compare_record(&mut self, registered: &Registered) -> bool {
        let Registered { epoch, files, .. } = *registered;
        if epoch == self.record.epoch {
            self.new_epochs = 0;
        } else {
            self.new_epochs = self.new_epochs.saturating_add(1);
            if !may_send_all(self.new_epochs) {
                return false;
            }
            self.forget_record(epoch);
            self.mismatches = 0;
        }
        let expected = self.record.file_count();
        let has_surplus = files > *expected.end();
        let is_complete = self.complete_revision.is_some();
        self.stale_entries = match self.stale_entries {
            StaleEntries::None if has_surplus => StaleEntries::Suspected,
            StaleEntries::Suspected if is_complete && !has_surplus => StaleEntries::None,
            stale_entries => stale_entries,
        };
        if expected.contains(&files) {
            self.mismatches = 0;
            return false;
        }
        if epoch.is_none() && files == 0 {
            // An older relay was restarted, or the lease had expired.
            self.forget_record(epoch);
        } else if !is_complete {
            // Clients can use old entries until all files are announced.
        } else if has_surplus && self.stale_entries == StaleEntries::Suspected {
            self.forget_record(epoch);
            return true;
        } else {
            self.on_mismatch(registered);
        }
        false
    }

    /// The relay has dropped its record of the node.
    pub fn on_record_reset(&mut self) {
        self.stale_entries = StaleEntries::Removed;
    }

    /// Starts to announce: writes the first requests. No update is in progress.
    pub fn start(
        &mut self,
        share: &mut impl Share,
        requests: &mut RequestQueue<UpdateRequest>,
        out: &mut Vec<u8>,
    ) -> ReadNext {
        let revision = share.revision();
        self.has_refusal = false;
        if self.record.room == Room::None {
            self.record.room = Room::Unknown;
            self.complete_revision = None;
        }
        self.progress = if self.complete_revision == Some(revision) {
            AnnounceProgress::Sent(revision)
        } else {
            self.refused.retain_shared(share);
            AnnounceProgress::Comparing(ComparePass::Removals, None, revision)
        };
        self.send_changes(share, requests, out)
    }

    /// Handles the reply to a change.
    pub fn on_reply(
        &mut self,
        share: &mut impl Share,
        change: UpdateRequest,
        reply: Reply<'_>,
        requests: &mut RequestQueue<UpdateRequest>,
        out: &mut Vec<u8>,
    ) -> ReadNext {
        match (change, reply) {
            (UpdateRequest::Share(name, version), Reply::Ok(_)) => {
                self.refused.remove(&name);
                self.record.confirm(name, Some(version));
            }
            (UpdateRequest::Unshare(name), Reply::Ok(_) | Reply::NotFound) => {
                self.record.confirm(name, None);
            }
            (UpdateRequest::Share(name, _), Reply::Error(ErrorCode::LIMIT_REACHED, text)) => {
                self.record.on_limit(&name);
                self.refused.on_limit(name, &text);
            }
            (UpdateRequest::ShareDigest(_), Reply::Error(ErrorCode::UNKNOWN_VERB, _)) => {
                self.record.digest_support = DigestSupport::Unsupported;
            }
            // The relay has another content of this name, or no room for the digest.
            (
                UpdateRequest::ShareDigest(_),
                Reply::Ok(_) | Reply::NotFound | Reply::Error(ErrorCode::LIMIT_REACHED, _),
            ) => self.record.digest_support = DigestSupport::Supported,
            (_, Reply::Error(ErrorCode::UNKNOWN_VERB, _)) => {
                debug!("the relay keeps no index");
                return ReadNext::Close(CloseReason::Completed);
            }
            (change, Reply::Error(code, text)) if code.refers_to_request() => {
                self.on_refusal(change, code, &text);
                if code == ErrorCode::LINE_TOO_LONG {
                    // The relay closes the connection.
                    return ReadNext::Close(CloseReason::Completed);
                }
            }
            // The lease has expired, or the relay is overloaded: the next update sends
            // again what is not acknowledged.
            (_, _) => return ReadNext::Close(CloseReason::Completed),
        }
        self.send_changes(share, requests, out)
    }

    /// The relay has refused a change. The other ones follow.
    fn on_refusal(&mut self, change: UpdateRequest, code: ErrorCode, text: &str) {
        self.has_refusal = true;
        match change {
            UpdateRequest::Share(name, version) => {
                self.refused.on_refusal(name, version, code, text);
            }
            // The relay cannot have a file whose name it refuses.
            UpdateRequest::Unshare(name) => self.record.confirm(name, None),
            UpdateRequest::ShareDigest(_) => {
                // The connection closes after each line that is too long.
                self.record.digest_support = match code {
                    ErrorCode::LINE_TOO_LONG => DigestSupport::Unsupported,
                    _ => DigestSupport::Supported,
                };
            }
            UpdateRequest::Register | UpdateRequest::Unregister => {}
        }
    }

    /// The update has ended. The relay may have executed the changes that it has not
    /// answered: the next update sends these files again.
    pub fn on_close(&mut self, unanswered: impl Iterator<Item = UpdateRequest>) {
        self.progress = AnnounceProgress::Idle;
        for request in unanswered {
            if let UpdateRequest::Share(name, _)
            | UpdateRequest::ShareDigest(name)
            | UpdateRequest::Unshare(name) = request
            {
                self.record.mark_uncertain(name);
            }
        }
        if self.record.digest_support == DigestSupport::Pending {
            self.record.digest_support = DigestSupport::Unknown;
        }
    }

    /// Whether an update should follow soon: the share has changed since it was
    /// announced completely, the relay's file count must be checked again, or a refused change
    /// has ended the update.
    pub fn is_outdated(&self, share: &mut impl Share) -> bool {
        let must_recheck = self.stale_entries == StaleEntries::Suspected;
        let is_changed = |revision| must_recheck || revision != share.revision();
        self.has_refusal || self.complete_revision.is_some_and(is_changed)
    }

    fn forget_record(&mut self, epoch: Option<u64>) {
        self.record = RelayRecord::default();
        self.record.epoch = epoch;
        self.complete_revision = None;
        self.refused.clear();
    }

    /// The relay has kept its record, but has another number of files than it
    /// acknowledged. All files are sent again, after longer and longer pauses.
    fn on_mismatch(&mut self, registered: &Registered) {
        self.mismatches = self.mismatches.saturating_add(1);
        if self.mismatches == 2 {
            let (files, acknowledged) = (registered.files, self.record.file_count());
            warn!(
                target: OPERATOR,
                "the relay has {files} files of this node, not {}: is there another node \
                 behind the same address and port?",
                acknowledged.end()
            );
        }
        if may_send_all(self.mismatches) {
            self.forget_record(registered.epoch);
        }
    }

    /// All files were announced: reports those that the relay does not list.
    fn report_unlisted(&mut self, share: &mut impl Share) {
        let listed = self.announced_files() + self.refused.rejected();
        // At least the one that was tried, even if the relay lists an older version of it.
        let over_limit = share.count(None).saturating_sub(listed).max(1);
        self.refused.over_limit = match self.record.room {
            Room::None => over_limit,
            Room::Some | Room::Unknown => 0,
        };
        self.refused.report();
    }

    /// Sends as many requests as may be outstanding. Closes the connection when all
    /// are answered.
    fn send_changes(
        &mut self,
        share: &mut impl Share,
        requests: &mut RequestQueue<UpdateRequest>,
        out: &mut Vec<u8>,
    ) -> ReadNext {
        while requests.len() < self.record.max_outstanding()
            && self.record.digest_support != DigestSupport::Pending
        {
            let (pass, after, revision) = match mem::take(&mut self.progress) {
                AnnounceProgress::Comparing(pass, after, revision) => (pass, after, revision),
                AnnounceProgress::Sent(revision) if requests.is_empty() => {
                    self.complete_revision = Some(revision);
                    self.has_refusal = false;
                    self.report_unlisted(share);
                    return ReadNext::Close(CloseReason::Completed);
                }
                progress @ (AnnounceProgress::Sent(_) | AnnounceProgress::Idle) => {
                    self.progress = progress;
                    break;
                }
            };
            let send = |request: Request<'_>, change| requests.send(&request, change, out);
            let last =
                self.record
                    .send_page(pass, share, after.as_deref(), &mut self.refused, send);
            self.progress = match (last, pass) {
                (Some(last), _) => AnnounceProgress::Comparing(pass, Some(last), revision),
                (None, ComparePass::Removals) => {
                    AnnounceProgress::Comparing(ComparePass::Additions, None, revision)
                }
                (None, ComparePass::Additions) => AnnounceProgress::Sent(revision),
            };
        }
        ReadNext::Line
    }
}

/// Whether all files are sent again when the relay's record differs for the `count`th time in
/// a row: after longer and longer pauses.
fn may_send_all(count: u32) -> bool {
    count.is_power_of_two() || count.is_multiple_of(MAX_MISMATCHES)
}
