//! `SHARE`, `UNSHARE`, `FIND`: the files of the nodes.

use crate::protocol::{FileName, HolderItem, MAX_LISTED_FILES, MaybeHash, Rejection};
use crate::relay::index::{Holder, Quota};
use crate::relay::session::Registration;
use crate::relay::table::SlotId;
use crate::relay::{Relay, RelayRequest};
use crate::role::ReadNext;

/// Files of departed nodes that are removed in one turn of the loop.
const MAX_REMOVED_PER_TURN: usize = 2000;

impl Relay {
    /// The node that this connection registered, while its lease lasts.
    pub(super) fn registered_slot(&self, request: &RelayRequest<'_>) -> Result<SlotId, Rejection> {
        match request.session.registration() {
            Registration::Active(address, _) => {
                self.directory.registered_slot(&address, request.ip)
            }
            Registration::None | Registration::Rejected => None,
        }
        .ok_or(Rejection::RegisterFirst)
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
        let quota = self.settings.quota;
        let node = match self.announcing_slot(request) {
            Ok(node) => node,
            Err(rejection) => return request.reply.reject(rejection),
        };
        if self
            .index
            .insert(name, Holder::new(node, size, hash), quota)
        {
            return request.reply.ok();
        }
        let Quota { files, bytes, all } = quota;
        request.reply.reject(if self.index.is_full(quota) {
            Rejection::TooManyFiles(all)
        } else {
            Rejection::TooManyFilesOfNode { files, bytes }
        })
    }

    pub(super) fn unshare(
        &mut self,
        request: &mut RelayRequest<'_>,
        name: &FileName<'_>,
    ) -> ReadNext {
        match self.announcing_slot(request) {
            Ok(node) if self.index.remove(node, name) => request.reply.ok(),
            Ok(_) => request.reply.not_found(),
            Err(rejection) => request.reply.reject(rejection),
        }
    }

    pub(super) fn find(&mut self, request: &mut RelayRequest<'_>, name: &FileName<'_>) -> ReadNext {
        let all = self.index.holders(name);
        // Spreads the load: successive replies begin with different holders.
        let (last, first) = all.split_at(self.next_rotation % all.len().max(1));
        let on_loopback = request.is_loopback();
        let visible = first.iter().chain(last).filter_map(|holder| {
            Some(HolderItem {
                node: self.directory.visible_address(holder.node, on_loopback)?,
                size: holder.size,
                hash: holder.hash(),
            })
        });
        // Bounds the reply for a file that every node has.
        let holders = visible.take(MAX_LISTED_FILES);
        let count = holders.clone().count();
        if count == 0 {
            return request.reply.not_found();
        }
        self.counters.finds += 1;
        self.next_rotation = self.next_rotation.wrapping_add(1);
        request.reply.holders(count, holders)
    }

    /// Whether files of departed nodes wait for [`Relay::remove_departed_files`].
    pub(super) fn has_departed_files(&self) -> bool {
        self.directory.next_departed().is_some()
    }

    /// Removes files of departed nodes, a bounded number at a time.
    pub(super) fn remove_departed_files(&mut self) {
        self.remove_departed(MAX_REMOVED_PER_TURN);
    }

    /// Removes at most `max` files of departed nodes.
    pub(super) fn remove_departed(&mut self, mut max: usize) {
        while max > 0
            && let Some(slot) = self.directory.next_departed()
        {
            // A node without files counts as one file, because it is work, too.
            max -= self.index.remove_files(slot, max).max(1);
            if self.index.file_count(slot) == 0 {
                self.directory.release_departed();
            }
        }
    }
}
