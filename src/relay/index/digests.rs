//! The digests of files by another algorithm, as nodes announce them. Files without one need
//! no memory here.

use std::collections::BTreeMap;

use crate::protocol::{ContentHash, FileName, MaybeHash, Sha256Digest};
use crate::relay::index::{Holder, Index, NameId, Quota, QuotaError, SlotId};
use crate::relay::{BYTES_OF_FIRST_DIGEST, BYTES_PER_DIGEST};

/// The digests of the files of one node.
#[derive(Default)]
pub(super) struct Digests {
    /// A tree: unlike a hash table, it gets smaller when digests are removed.
    by_name: BTreeMap<NameId, Sha256Digest>,
}

impl Digests {
    pub(super) fn get(&self, id: NameId) -> Option<Sha256Digest> {
        self.by_name.get(&id).copied()
    }

    /// Removes the digest of a file. Returns the number of bytes that become free.
    pub(super) fn remove(&mut self, id: NameId) -> u64 {
        match self.by_name.remove(&id) {
            Some(_) => self.bytes_of_next(),
            None => 0,
        }
    }

    /// The bytes of one digest more.
    fn bytes_of_next(&self) -> u64 {
        match self.by_name.is_empty() {
            true => BYTES_OF_FIRST_DIGEST,
            false => BYTES_PER_DIGEST,
        }
    }
}

impl Index {
    /// Whether a node has announced the digest of a file.
    pub(in crate::relay) fn has_digest(&self, node: SlotId, id: NameId) -> bool {
        let files = self.shares.get(&node);
        files.is_some_and(|files| files.digests.get(id).is_some())
    }

    /// Sets the digest of a file of a node. Returns false if the node has no such file of this
    /// content.
    ///
    /// # Errors
    /// The digest is new and would exceed the quota.
    pub(in crate::relay) fn set_digest(
        &mut self,
        name: &FileName<'_>,
        node: SlotId,
        (hash, digest): (ContentHash, Sha256Digest),
        quota: &Quota,
    ) -> Result<bool, QuotaError> {
        let Some(id) = self.entries.find(name.as_str()) else {
            return Ok(false);
        };
        let holder = self.entries[id].holders.of_node(node);
        if holder.is_none_or(|holder| holder.content().hash() != MaybeHash(Some(hash))) {
            return Ok(false);
        }
        let Some(files) = self.shares.get(&node) else {
            return Ok(false);
        };
        let is_new = files.digests.get(id).is_none();
        let bytes = files.digests.bytes_of_next();
        if is_new {
            self.check_quota(node, files.group, (0, bytes), quota)?;
        }
        if let Some(files) = self.shares.get_mut(&node) {
            files.digests.by_name.insert(id, digest);
        }
        if is_new {
            self.change_bytes(node, |used| *used += bytes);
        }
        Ok(true)
    }

    /// The digests that the first `max` holders of a file have announced.
    pub(in crate::relay) fn digests(
        &self,
        name: &FileName<'_>,
        max: usize,
    ) -> impl Iterator<Item = (&Holder, Sha256Digest)> {
        let id = self.entries.find(name.as_str());
        let holders = id.map_or(&[][..], |id| self.entries[id].holders.list());
        holders.iter().take(max).filter_map(move |holder| {
            let node = holder.node;
            let digest = self.shares.get(&node)?.digests.get(id?)?;
            Some((holder, digest))
        })
    }

    /// Removes the digest of what the node had under this name, if it has another content now.
    /// Returns whether there was one.
    pub(super) fn remove_old_digest(&mut self, id: NameId, new: &Holder) -> bool {
        let node = new.node;
        let old = self.entries[id].holders.of_node(node);
        if old.is_none_or(|old| old.content() == new.content()) {
            return false;
        }
        let files = self.shares.get_mut(&node);
        let freed = files.map_or(0, |files| files.digests.remove(id));
        if freed > 0 {
            self.change_bytes(node, |bytes| *bytes -= freed);
        }
        freed > 0
    }

    /// Changes the number of bytes of a node, its address and all nodes.
    fn change_bytes(&mut self, node: SlotId, change: impl Fn(&mut u64)) {
        change(&mut self.usage.bytes);
        let Some(files) = self.shares.get_mut(&node) else {
            return;
        };
        change(&mut files.bytes);
        if let Some(group) = files.group
            && let Some(used) = self.addresses.get_mut(&group)
        {
            change(&mut used.bytes);
        }
    }
}
