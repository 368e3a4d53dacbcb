//! The index of shared files: exact look-up by name and search by a part of it.
//!
//! An entry lives as long as its node's lease. When a node leaves, its files are
//! removed in bounded steps by [`Index::remove_files`].

mod capacity;
mod content_times;
mod digests;
mod found;
mod holder;
mod holder_index;
mod holders;
mod minute;
mod name_blocks;
mod name_query;
mod needle;
mod quota;
mod search;
mod sort_names;

use std::collections::{BTreeSet, HashMap};
use std::hint::black_box;
use std::net::IpAddr;

pub(super) use holder::{ContentId, Holder};
pub(super) use minute::Minute;
pub(super) use name_query::NameQuery;
pub use quota::Quota;
pub(super) use quota::{QuotaError, with_margin};
pub(super) use search::{Search, SearchOptions, SearchResult, Visibility, WORK_PER_STEP};

use crate::protocol::{FileName, Sha256Digest, fold};
use crate::relay::index::digests::Digests;
use crate::relay::index::holders::Holders;
use crate::relay::index::name_blocks::NameBlocks;
use crate::relay::index::quota::Usage;
use crate::relay::table::{KeyHash, Keyed, SlotId, Table};

/// The number of a name in the index.
pub(super) type NameId = SlotId;

/// File names, their holders, and the names in byte order.
#[derive(Default)]
pub(super) struct Index {
    entries: Table<NameEntry>,
    blocks: NameBlocks,
    /// By the node's slot in the directory.
    shares: HashMap<SlotId, NodeFiles>,
    /// By address; see [`address_group`](crate::protocol::address_group).
    addresses: HashMap<IpAddr, Usage>,
    /// The files of all nodes.
    usage: Usage,
    /// Names with a holder that is not on loopback.
    public_names: usize,
}

/// A name and its holders.
struct NameEntry {
    name: Box<str>,
    holders: Holders,
}

// There are millions of them.
const _: () = assert!(size_of::<NameEntry>() <= 64);

impl Keyed for NameEntry {
    type Key = str;

    fn key(&self) -> &str {
        &self.name
    }
}

/// The files of one node.
struct NodeFiles {
    /// A tree: unlike a hash table, it gets smaller when names are removed.
    names: BTreeSet<NameId>,
    /// Bytes of all its names, see [`stored_bytes`], and of its digests together.
    bytes: u64,
    digests: Digests,
    /// The address whose share they count for; none if the address has no limit.
    group: Option<IpAddr>,
}

impl Index {
    /// Number of names that requesters on loopback see, or that others see. Includes
    /// names of nodes that have left until they are removed.
    pub(super) fn name_count(&self, on_loopback: bool) -> usize {
        match on_loopback {
            true => self.entries.len(),
            false => self.public_names,
        }
    }

    /// Number of files of one node.
    pub(super) fn file_count(&self, node: SlotId) -> u64 {
        self.shares
            .get(&node)
            .map_or(0, |share| share.names.len() as u64)
    }

    /// The files of a node.
    pub(super) fn files_of(&self, node: SlotId) -> BTreeSet<NameId> {
        let files = self.shares.get(&node);
        files.map_or_else(BTreeSet::new, |files| files.names.clone())
    }

    /// The number and the content of what a node has under this name.
    pub(super) fn file_of(&self, node: SlotId, name: &FileName<'_>) -> Option<(NameId, ContentId)> {
        let id = self.entries.find(name.as_str())?;
        let holder = self.entries[id].holders.of_node(node)?;
        Some((id, holder.content()))
    }

    /// A file of a node: its name, content and digest.
    pub(super) fn file(
        &self,
        node: SlotId,
        id: NameId,
    ) -> Option<(FileName<'static>, ContentId, Option<Sha256Digest>)> {
        let files = self.shares.get(&node)?;
        let entry = self.entries.get(id)?;
        let content = entry.holders.of_node(node)?.content();
        // The index contains valid names only.
        let name = FileName::parse(&entry.name).ok()?.into_owned();
        Some((name, content, files.digests.get(id)))
    }

    /// Very many files follow. Until [`Index::finish_loading`], no search finds them.
    pub(super) fn start_loading(&mut self) {
        self.blocks.start_loading();
    }

    pub(super) fn finish_loading(&mut self) {
        self.blocks.finish_loading(&self.entries);
    }

    /// The holders of the file with exactly this name.
    pub(super) fn holders(&self, name: &FileName<'_>) -> &[Holder] {
        self.entries
            .find(name.as_str())
            .map_or(&[], |id| self.entries[id].holders.list())
    }

    /// Loads the memory that [`Index::holders`] reads into the CPU cache.
    pub(super) fn prefetch(&self, names: &[FileName<'_>]) {
        for id in self.entries.prefetch(names.iter().map(FileName::as_str)) {
            if let Some(entry) = self.entries.get(id) {
                // A name or an entry may span two cache lines.
                let name = entry.name.as_bytes();
                let size = entry
                    .holders
                    .list()
                    .last()
                    .map(|holder| holder.content().size);
                black_box((name.first().copied(), name.last().copied(), size));
            }
        }
    }

    /// Adds a file, or replaces the node's entry under this name. `group` is the address
    /// whose share the file counts for; none if the address has no limit. Returns whether the
    /// entry had a digest, of the content that it had before.
    ///
    /// # Errors
    /// The entry is new and would exceed the quota.
    pub(super) fn insert(
        &mut self,
        name: &FileName<'_>,
        holder: Holder,
        group: Option<IpAddr>,
        quota: &Quota,
    ) -> Result<bool, QuotaError> {
        let (name, node) = (name.as_str(), holder.node);
        let hash = self.entries.hash(name);
        let known = self.entries.find_hashed(hash, name);
        let is_new = known.is_none_or(|id| self.entries[id].holders.of_node(node).is_none());
        let folded = fold(name);
        let bytes = stored_bytes(name, &folded);
        if is_new {
            self.check_quota(node, group, (1, bytes), quota)?;
        }
        let mut had_digest = false;
        let id = match known {
            Some(id) => {
                had_digest = self.remove_old_digest(id, &holder);
                self.change_holders(id, |holders| holders.put(holder));
                id
            }
            None => self.add((hash, name), &folded, holder),
        };
        if is_new {
            self.usage.add(bytes);
            let files = self.shares.entry(node).or_insert_with(|| NodeFiles {
                names: BTreeSet::new(),
                bytes: 0,
                digests: Digests::default(),
                group,
            });
            files.names.insert(id);
            files.bytes += bytes;
            if let Some(group) = files.group {
                self.addresses.entry(group).or_default().add(bytes);
            }
        }
        Ok(had_digest)
    }

    /// Checks whether there is room for so many files and bytes more.
    fn check_quota(
        &self,
        node: SlotId,
        group: Option<IpAddr>,
        (files, bytes): (u64, u64),
        quota: &Quota,
    ) -> Result<(), QuotaError> {
        let files_left = quota.all_files.saturating_sub(self.usage.files);
        let bytes_left = quota.all_bytes.saturating_sub(self.usage.bytes);
        if files > files_left || bytes > bytes_left {
            return Err(QuotaError::All);
        }
        let own = self.shares.get(&node);
        let (own_files, own_bytes) = own.map_or((0, 0), |own| (own.names.len() as u64, own.bytes));
        if own_files + files > quota.node_files || own_bytes + bytes > quota.node_bytes {
            return Err(QuotaError::Node);
        }
        if let Some(used) = group.and_then(|group| self.addresses.get(&group))
            && (used.files + files > files_left
                || used.bytes + bytes > bytes_left.min(quota.address_bytes))
        {
            return Err(QuotaError::Address);
        }
        Ok(())
    }

    /// Removes a file of a node. Returns false if the node has no such file.
    pub(super) fn remove(&mut self, node: SlotId, name: &FileName<'_>) -> bool {
        let Some(id) = self.entries.find(name.as_str()) else {
            return false;
        };
        self.shares
            .get(&node)
            .is_some_and(|files| files.names.contains(&id))
            && self.remove_ids(node, &[id])
    }

    /// Removes those of these files that a node has.
    pub(super) fn remove_named(&mut self, node: SlotId, ids: &[NameId]) {
        let Some(files) = self.shares.get(&node) else {
            return;
        };
        let ids = ids.iter().copied().filter(|id| files.names.contains(id));
        let ids: Vec<NameId> = ids.collect();
        if !ids.is_empty() {
            self.remove_ids(node, &ids);
        }
    }

    /// Removes files of a node until the budget, which counts [`name_work`], is spent, or none
    /// is left; one in any case.
    pub(super) fn remove_files(&mut self, node: SlotId, budget: &mut usize) {
        let Some(files) = self.shares.get(&node) else {
            return;
        };
        let ids = self.affordable(files.names.iter().copied(), budget);
        self.remove_ids(node, &ids);
    }

    /// The first ones of these names, as many as the budget pays for; one in any case, so that a
    /// budget that something else has spent stops nothing for ever.
    pub(super) fn affordable(
        &self,
        ids: impl Iterator<Item = NameId>,
        budget: &mut usize,
    ) -> Vec<NameId> {
        let mut is_first = true;
        ids.take_while(|id| {
            let is_affordable = std::mem::take(&mut is_first) || *budget > 0;
            if is_affordable {
                let name = self.entries.get(*id).map_or("", |entry| &entry.name);
                *budget = budget.saturating_sub(name_work(name.as_bytes()));
            }
            is_affordable
        })
        .collect()
    }

    /// Removes files that the node has. Returns true.
    fn remove_ids(&mut self, node: SlotId, ids: &[NameId]) -> bool {
        let Some(mut files) = self.shares.remove(&node) else {
            return false;
        };
        for id in ids {
            let name = &self.entries[*id].name;
            let bytes = stored_bytes(name, &fold(name)) + files.digests.remove(*id);
            files.names.remove(id);
            files.bytes -= bytes;
            self.usage.remove(bytes);
            if let Some(group) = files.group
                && let Some(used) = self.addresses.get_mut(&group)
            {
                used.remove(bytes);
                if used.files == 0 {
                    self.addresses.remove(&group);
                }
            }
            self.remove_holder(*id, node);
        }
        if !files.names.is_empty() {
            self.shares.insert(node, files);
        }
        true
    }

    fn add(&mut self, (hash, name): (KeyHash, &str), folded: &str, holder: Holder) -> NameId {
        let entry = NameEntry {
            name: name.into(),
            holders: Holders::One(holder),
        };
        let id = self.entries.insert_hashed(hash, entry);
        self.public_names += usize::from(!holder.on_loopback);
        self.blocks.insert(id, folded, &self.entries);
        id
    }

    /// Changes the holders of a name, of which at least one remains.
    fn change_holders(&mut self, id: NameId, change: impl FnOnce(&mut Holders)) {
        let holders = &mut self.entries[id].holders;
        let before = holders.content_counts();
        change(holders);
        let after = holders.content_counts();
        if before != after {
            self.public_names += usize::from(after.public > 0);
            self.public_names -= usize::from(before.public > 0);
            self.blocks.update(id, before, &self.entries);
        }
    }

    fn remove_holder(&mut self, id: NameId, node: SlotId) {
        let holders = &self.entries[id].holders;
        if let Holders::Several(_) = holders {
            return self.change_holders(id, |holders| holders.remove(node));
        }
        self.public_names -= holders.content_counts().public;
        self.blocks.remove(id, &self.entries);
        self.entries.remove(id);
    }
}

/// Bytes of a name whose removal is as much work as that of a short name.
const BYTES_PER_WORK: usize = 64;
/// The same of a name beyond ASCII, which is folded.
const FOLDED_BYTES_PER_WORK: usize = 24;

/// The work of adding or removing a name, or a line with one: 1 for a short one, which takes a
/// few microseconds.
pub(super) fn name_work(name: &[u8]) -> usize {
    let bytes_per_work = match name.is_ascii() {
        true => BYTES_PER_WORK,
        false => FOLDED_BYTES_PER_WORK,
    };
    1 + name.len() / bytes_per_work
}

/// The bytes of a name in the index: as it was announced, and folded.
fn stored_bytes(name: &str, folded: &str) -> u64 {
    (name.len() + folded.len()) as u64
}
