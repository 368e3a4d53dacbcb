//! `SHARE`, `SHAREDIGEST`, `UNSHARE`, `FIND`, `DIGEST`: the files of the nodes.

use std::collections::HashMap;

use crate::protocol::{
    ContentHash, FileName, HolderItem, MAX_LISTED_FILES, MaybeHash, NodeItem, Rejection, Request,
    Sha256Digest, address_group, fold_work,
};
use crate::relay::address_turns::take_turns;
use crate::relay::http::{ContentFilter, FoundContent};
use crate::relay::index::{ContentId, Holder, Minute, Quota, QuotaError};
use crate::relay::registrant::DirectoryError;
use crate::relay::registration::registrant;
use crate::relay::session::Registration;
use crate::relay::table::SlotId;
use crate::relay::{Relay, RelayRequest};
use crate::role::ReadNext;

/// Holders that one `FIND` looks at.
const MAX_EXAMINED_HOLDERS: usize = 4096;
/// Holders that count as much work as a short line: most of them may not be in the answer.
const HOLDERS_PER_WORK: usize = 16;

/// The longest line about a holder: address, port, size, hash, id, and the characters between.
const MAX_HOLDER_LINE: usize = 39 + 5 + 20 + 64 + 52 + 5;

/// The work of removing files of departed nodes in one turn of the loop; see
/// [`name_work`](crate::relay::index::name_work).
const REMOVAL_WORK_PER_TURN: usize = 2000;

impl Relay {
    /// The node that this connection registered, while its lease lasts.
    pub(super) fn registered_slot(&self, request: &RelayRequest<'_>) -> Result<SlotId, Rejection> {
        match request.session.registration() {
            Registration::Active(address, _) => {
                let slot = self.directory.owned_slot(&address, registrant(request));
                slot.map_err(|error| match error {
                    DirectoryError::OtherKey => Rejection::NotYourKey(address),
                    _ => Rejection::RegisterFirst,
                })
            }
            Registration::None | Registration::Rejected => Err(Rejection::RegisterFirst),
        }
    }

    /// The node that this connection registered, if the connection may change its files.
    fn announcing_slot(&mut self, request: &RelayRequest<'_>) -> Result<SlotId, Rejection> {
        let slot = self.registered_slot(request)?;
        match request.session.registration() {
            Registration::Active(_, number) if self.directory.claim_files(slot, number) => Ok(slot),
            Registration::Active(..) | Registration::None | Registration::Rejected => {
                Err(Rejection::RegisterFirst)
            }
        }
    }

    pub(super) fn share(
        &mut self,
        request: &mut RelayRequest<'_>,
        size: u64,
        hash: MaybeHash,
        name: &FileName<'_>,
    ) -> ReadNext {
        request.reply.add_work(fold_work(name.as_str()));
        let result = self.add_file(request, ContentId::new(size, hash), name);
        request.reply.ok_or_error(result)
    }

    fn add_file(
        &mut self,
        request: &RelayRequest<'_>,
        content: ContentId,
        name: &FileName<'_>,
    ) -> Result<(), Rejection> {
        let node = self.announcing_slot(request)?;
        let holder = Holder {
            node,
            content,
            on_loopback: self.directory.is_on_loopback(node),
            since: Minute::of(self.uptime(request.now)),
        };
        let is_trusted = self.settings.trust.contains(request.ip);
        let group = (!is_trusted).then(|| address_group(request.ip));
        let quota = &self.settings.quota;
        let inserted = self.index.insert(name, holder, group, quota);
        let had_digest = inserted.map_err(|error| over_quota(error, quota))?;
        if had_digest {
            // The record loses the digest as well: another relay would load it.
            self.record_file(node, Request::Unshare(name.clone()), request.now);
        }
        if self.shared.is_some() {
            let share = Request::Share(content.size, content.hash(), name.clone());
            self.record_file(node, share, request.now);
        }
        Ok(())
    }

    pub(super) fn share_digest(
        &mut self,
        request: &mut RelayRequest<'_>,
        hash: ContentHash,
        digest: Sha256Digest,
        name: &FileName<'_>,
    ) -> ReadNext {
        let node = match self.announcing_slot(request) {
            Ok(node) => node,
            Err(rejection) => return request.reply.reject(rejection),
        };
        let quota = &self.settings.quota;
        match self.index.set_digest(name, node, (hash, digest), quota) {
            Ok(true) => {
                let announcement = Request::ShareDigest(hash, digest, name.clone());
                self.record_file(node, announcement, request.now);
                request.reply.ok()
            }
            Ok(false) => request.reply.not_found(),
            Err(error) => request.reply.reject(over_quota(error, quota)),
        }
    }

    pub(super) fn unshare(
        &mut self,
        request: &mut RelayRequest<'_>,
        name: &FileName<'_>,
    ) -> ReadNext {
        match self.announcing_slot(request) {
            Ok(node) if self.index.remove(node, name) => {
                self.record_file(node, Request::Unshare(name.clone()), request.now);
                request.reply.ok()
            }
            Ok(_) => request.reply.not_found(),
            Err(rejection) => request.reply.reject(rejection),
        }
    }

    pub(super) fn find(&mut self, request: &mut RelayRequest<'_>, name: &FileName<'_>) -> ReadNext {
        let (count, holders) = self.visible_holders(request, name, |_| true);
        if count == 0 {
            return request.reply.not_found();
        }
        let next = request.reply.holders(count, holders);
        self.count_find();
        next
    }

    /// Tells the SHA-256 of the content to which `/files/NAME` leads.
    pub(super) fn digest(
        &mut self,
        request: &mut RelayRequest<'_>,
        name: &FileName<'_>,
    ) -> ReadNext {
        let any = ContentFilter::default();
        match self.find_content(request, name, &any) {
            None => request.reply.not_found(),
            Some(FoundContent::Several(_)) => request.reply.reject(Rejection::SeveralContents),
            Some(FoundContent::One(content)) => match content.sha256 {
                Some(digest) => request.reply.digest(digest),
                None => request.reply.reject(Rejection::DigestUnknown),
            },
        }
    }

    /// The holders of a file that the requester can reach and whose content is `wanted`, at
    /// most [`MAX_LISTED_FILES`], and their number. Which one is the first changes with each
    /// [`Relay::count_find`]. If there are more holders than the reply has room for, addresses
    /// take turns.
    pub(super) fn visible_holders<'r, W: Fn(ContentId) -> bool + Copy>(
        &'r self,
        request: &mut RelayRequest<'_>,
        name: &FileName<'_>,
        wanted: W,
    ) -> (usize, impl Iterator<Item = HolderItem> + use<'r, W>) {
        let on_loopback = request.is_loopback();
        let all = self.index.holders(name);
        count_examined(request, all.len());
        // Spreads the load: successive replies begin with different holders.
        let (last, first) = match all.len() {
            ..=MAX_EXAMINED_HOLDERS => (&all[..0], all),
            many => all.split_at(self.next_rotation % many),
        };
        let examined = first.iter().chain(last).take(MAX_EXAMINED_HOLDERS);
        let visible = examined
            .filter(move |holder| on_loopback || !holder.on_loopback)
            .filter(move |holder| wanted(holder.content()))
            .filter_map(|holder| {
                let content = holder.content();
                let NodeItem { address, id } = self.directory.live_node(holder.node)?;
                Some(HolderItem {
                    node: address,
                    size: content.size,
                    hash: content.hash(),
                    id,
                })
            });
        let count = visible.clone().count();
        let shown = count.min(MAX_LISTED_FILES);
        let room = request.reply.room() / MAX_HOLDER_LINE;
        // Rotates the visible holders only: the order tells nothing of the others.
        let start = self.next_rotation.checked_rem(count).unwrap_or(0);
        let rotated = visible.clone().skip(start).chain(visible.take(start));
        let (fair, in_order) = match count > room.min(MAX_LISTED_FILES) {
            true => {
                count_examined(request, count);
                let ip = |holder: &HolderItem| holder.node.ip();
                (take_turns(rotated.clone(), ip, self.next_rotation), 0)
            }
            false => (Vec::new(), shown),
        };
        let holders = fair.into_iter().chain(rotated.take(in_order));
        (shown, holders.take(shown))
    }

    /// The SHA-256 of each content of a file of which a holder has announced it; none if they
    /// disagree. Only announcements of holders count that the requester can reach.
    pub(super) fn announced_digests(
        &self,
        request: &mut RelayRequest<'_>,
        name: &FileName<'_>,
    ) -> HashMap<ContentId, Option<Sha256Digest>> {
        let on_loopback = request.is_loopback();
        let mut digests = HashMap::new();
        count_examined(request, self.index.holders(name).len());
        for (holder, digest) in self.index.digests(name, MAX_EXAMINED_HOLDERS) {
            let is_visible = on_loopback || !holder.on_loopback;
            if is_visible && self.directory.is_live(holder.node) {
                let agreed = digests.entry(holder.content()).or_insert(Some(digest));
                *agreed = agreed.filter(|other| *other == digest);
            }
        }
        digests
    }

    /// Counts an answer that names holders. The next answer begins with another one.
    pub(super) fn count_find(&mut self) {
        self.counters.finds += 1;
        self.next_rotation = self.next_rotation.wrapping_add(1);
    }

    /// Whether files of departed nodes wait for [`Relay::remove_departed_files`].
    pub(super) fn has_departed_files(&self) -> bool {
        self.directory.next_departed().is_some()
    }

    /// Removes files of departed nodes, with a bounded amount of work.
    pub(super) fn remove_departed_files(&mut self) {
        self.remove_departed(REMOVAL_WORK_PER_TURN);
    }

    /// Removes files of departed nodes until the budget is spent.
    pub(super) fn remove_departed(&mut self, mut budget: usize) {
        while budget > 0
            && let Some(slot) = self.directory.next_departed()
        {
            // A node without files is work, too.
            let before = budget;
            self.index.remove_files(slot, &mut budget);
            budget = budget.min(before - 1);
            if self.index.file_count(slot) == 0 {
                self.directory.release_departed();
            }
        }
    }
}

/// Counts the work of a look at so many holders.
fn count_examined(request: &mut RelayRequest<'_>, holders: usize) {
    let examined = holders.min(MAX_EXAMINED_HOLDERS);
    request.reply.add_work(examined / HOLDERS_PER_WORK);
}

fn over_quota(error: QuotaError, quota: &Quota) -> Rejection {
    match error {
        QuotaError::Node => Rejection::TooManyFilesOfNode {
            files: quota.node_files,
            bytes: quota.node_bytes,
        },
        QuotaError::Address => Rejection::TooManyFilesAtAddress,
        QuotaError::All => Rejection::TooManyFiles {
            files: quota.all_files,
            bytes: quota.all_bytes,
        },
    }
}
