//! All names in byte order, packed for searching. Each block holds up to 512
//! folded names in one contiguous text, so that a search scans plain memory
//! and an insertion moves at most one block.

use std::hint::black_box;

use crate::protocol::fold;
use crate::relay::index::capacity::{grow, grow_text, shrink, shrink_text};
use crate::relay::index::holder::ContentCounts;
use crate::relay::index::sort_names::sort_names;
use crate::relay::index::{NameEntry, NameId};
use crate::relay::table::Table;

/// A block with more names is split in two.
const MAX_NAMES_PER_BLOCK: usize = 512;

/// A block with a longer text is split in two, unless it has one name only: an insertion
/// must not move much.
const MAX_BYTES_PER_BLOCK: usize = 32 * 1024;

/// Two neighbours that have fewer names and bytes together are joined, when one of them loses a
/// name.
const MIN_NAMES_OF_TWO: usize = MAX_NAMES_PER_BLOCK / 2;
const MIN_BYTES_OF_TWO: usize = MAX_BYTES_PER_BLOCK / 2;

/// Bytes of one CPU cache line.
const CACHE_LINE: usize = 64;

/// Loaded blocks are not full: names will be inserted into all of them.
const LOADED_NAMES_PER_BLOCK: usize = MAX_NAMES_PER_BLOCK / 4 * 3;
const LOADED_BYTES_PER_BLOCK: usize = MAX_BYTES_PER_BLOCK / 4 * 3;

/// All names in byte order.
#[derive(Default)]
pub(super) struct NameBlocks {
    blocks: Vec<NameBlock>,
    /// Names that are in no block yet, while many are loaded.
    unsorted: Option<Vec<NameId>>,
}

/// Neighbouring names; at least one.
#[derive(Default)]
pub(super) struct NameBlock {
    /// Folded names, each terminated by a newline.
    text: String,
    /// The offset of each name in the text.
    line_starts: Vec<u32>,
    /// The ids of the names, in the same order.
    ids: Vec<NameId>,
    /// The files of these names: one per content.
    files: ContentCounts,
}

impl NameBlock {
    pub(super) fn text(&self) -> &[u8] {
        self.text.as_bytes()
    }

    pub(super) fn ids(&self) -> &[NameId] {
        &self.ids
    }

    /// The number of names up to `name`, inclusive.
    pub(super) fn position_after(&self, name: &str, entries: &Table<NameEntry>) -> usize {
        self.ids.partition_point(|id| *entries[*id].name <= *name)
    }

    /// The number of names before `name`.
    fn position(&self, name: &str, entries: &Table<NameEntry>) -> usize {
        let is_before = |id: &NameId| *entries[*id].name < *name;
        self.ids.partition_point(is_before)
    }

    /// Loads the text into the CPU cache. These reads do not depend on each other,
    /// so that the memory accesses overlap; those of a search would wait in turn.
    pub(super) fn prefetch(&self) {
        let pieces = self.text.as_bytes().iter().step_by(CACHE_LINE);
        // The sum is not used; it keeps the reads from being optimised away.
        black_box(pieces.fold(0, |sum: u8, byte| sum ^ byte));
    }

    /// The offset of a line in the text; for the line after the last, the text's end.
    pub(super) fn line_start(&self, line: usize) -> usize {
        self.line_starts
            .get(line)
            .map_or(self.text.len(), |start| *start as usize)
    }

    /// The line, searched from `first` on, that contains this offset of the text.
    pub(super) fn line_at(&self, first: usize, offset: usize) -> usize {
        let begin_before = |start: &&u32| **start as usize <= offset;
        // It is usually one of the next lines.
        first
            + self.line_starts[first + 1..]
                .iter()
                .take_while(begin_before)
                .count()
    }

    /// The number of files that requesters see if no node has left.
    pub(super) fn file_count(&self, on_loopback: bool) -> usize {
        self.files.seen(on_loopback)
    }

    /// Whether each name is one file that such requesters see.
    pub(super) fn is_plain(&self, on_loopback: bool) -> bool {
        let names = self.ids.len();
        self.files.all == names && self.file_count(on_loopback) == names
    }

    fn insert(&mut self, line: usize, id: NameId, folded: &str, entry: &NameEntry) {
        let start = self.line_start(line);
        grow_text(&mut self.text, folded.len() + 1);
        self.text.insert(start, '\n');
        self.text.insert_str(start, folded);
        grow(&mut self.line_starts);
        // A block is much shorter than 4 GiB.
        self.line_starts.insert(line, start as u32);
        for later in &mut self.line_starts[line + 1..] {
            *later += folded.len() as u32 + 1;
        }
        grow(&mut self.ids);
        self.ids.insert(line, id);
        self.files += entry.holders.content_counts();
    }

    fn remove(&mut self, line: usize, entry: &NameEntry) {
        let (start, end) = (self.line_start(line), self.line_start(line + 1));
        self.text.replace_range(start..end, "");
        self.line_starts.remove(line);
        for later in &mut self.line_starts[line..] {
            *later -= (end - start) as u32;
        }
        self.ids.remove(line);
        self.files -= entry.holders.content_counts();
        shrink_text(&mut self.text);
        shrink(&mut self.line_starts);
        shrink(&mut self.ids);
    }

    /// Adds the names of the next block.
    fn append(&mut self, next: Self) {
        let start = self.text.len() as u32;
        self.text.push_str(&next.text);
        let starts = next.line_starts.iter().map(|line| start + line);
        self.line_starts.extend(starts);
        self.ids.extend(next.ids);
        self.files += next.files;
        self.shrink_to_fit();
    }

    /// Splits off the second half.
    fn split(&mut self, entries: &Table<NameEntry>) -> Self {
        let half = self.ids.len() / 2;
        let start = self.line_start(half);
        let mut second = Self {
            text: self.text.split_off(start),
            line_starts: self.line_starts.split_off(half),
            ids: self.ids.split_off(half),
            files: ContentCounts::default(),
        };
        for line in &mut second.line_starts {
            *line -= start as u32;
        }
        for id in &second.ids {
            second.files += entries[*id].holders.content_counts();
        }
        self.files -= second.files;
        // If names are inserted in order, the first half never grows again.
        self.shrink_to_fit();
        second
    }

    fn shrink_to_fit(&mut self) {
        self.text.shrink_to_fit();
        self.line_starts.shrink_to_fit();
        self.ids.shrink_to_fit();
    }
}

impl NameBlocks {
    /// The blocks from the first one on that may contain names after `name`.
    pub(super) fn from(&self, name: Option<&str>, entries: &Table<NameEntry>) -> &[NameBlock] {
        let first = name.map_or(0, |name| self.block_index(name, entries));
        &self.blocks[first..]
    }

    /// Names are no longer sorted one by one: to sort many at once takes much less time.
    /// Until [`NameBlocks::finish_loading`], the names that follow are in no block.
    pub(super) fn start_loading(&mut self) {
        if self.blocks.is_empty() {
            self.unsorted = Some(Vec::new());
        }
    }

    /// Sorts the names that were loaded.
    pub(super) fn finish_loading(&mut self, entries: &Table<NameEntry>) {
        let Some(mut ids) = self.unsorted.take() else {
            return;
        };
        sort_names(&mut ids, entries);
        let mut block = NameBlock::default();
        for id in ids {
            let entry = &entries[id];
            let folded = fold(&entry.name);
            let is_large = block.text.len() + folded.len() > LOADED_BYTES_PER_BLOCK;
            if block.ids.len() >= LOADED_NAMES_PER_BLOCK || (is_large && !block.ids.is_empty()) {
                block.shrink_to_fit();
                self.blocks.push(std::mem::take(&mut block));
            }
            block.insert(block.ids.len(), id, &folded, entry);
        }
        if !block.ids.is_empty() {
            self.blocks.push(block);
        }
    }

    /// Inserts a name with this folded form.
    pub(super) fn insert(&mut self, id: NameId, folded: &str, entries: &Table<NameEntry>) {
        if let Some(unsorted) = &mut self.unsorted {
            unsorted.push(id);
            return;
        }
        if self.blocks.is_empty() {
            self.blocks.push(NameBlock::default());
        }
        let entry = &entries[id];
        let at = self.block_index(&entry.name, entries);
        let block = &mut self.blocks[at];
        block.insert(block.position(&entry.name, entries), id, folded, entry);
        let is_large = block.text.len() > MAX_BYTES_PER_BLOCK && block.ids.len() > 1;
        if block.ids.len() > MAX_NAMES_PER_BLOCK || is_large {
            let second = block.split(entries);
            self.blocks.insert(at + 1, second);
        }
    }

    /// Removes a name, which must have been inserted.
    pub(super) fn remove(&mut self, id: NameId, entries: &Table<NameEntry>) {
        // Nothing leaves while a relay loads, except what it loads twice.
        self.finish_loading(entries);
        let entry = &entries[id];
        let at = self.block_index(&entry.name, entries);
        let block = &mut self.blocks[at];
        block.remove(block.position(&entry.name, entries), entry);
        if block.ids.is_empty() {
            self.blocks.remove(at);
        } else if self.are_small(at) {
            self.join(at);
        } else if at > 0 && self.are_small(at - 1) {
            self.join(at - 1);
        }
    }

    /// Whether this block and the next one have few names.
    fn are_small(&self, at: usize) -> bool {
        let Some([one, two]) = self.blocks.get(at..at + 2) else {
            return false;
        };
        one.ids.len() + two.ids.len() < MIN_NAMES_OF_TWO
            && one.text.len() + two.text.len() < MIN_BYTES_OF_TWO
    }

    /// Joins this block and the next one.
    fn join(&mut self, at: usize) {
        let next = self.blocks.remove(at + 1);
        self.blocks[at].append(next);
    }

    /// Counts the files of a name again; there were `before`.
    pub(super) fn update(&mut self, id: NameId, before: ContentCounts, entries: &Table<NameEntry>) {
        if self.unsorted.is_some() {
            return;
        }
        let at = self.block_index(&entries[id].name, entries);
        let files = &mut self.blocks[at].files;
        *files += entries[id].holders.content_counts();
        *files -= before;
    }

    /// The index of the block that contains `name`, or into which it belongs.
    fn block_index(&self, name: &str, entries: &Table<NameEntry>) -> usize {
        let starts_before = |block: &NameBlock| {
            block
                .ids
                .first()
                .is_some_and(|id| *entries[*id].name <= *name)
        };
        self.blocks.partition_point(starts_before).saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::{FileName, MaybeHash};
    use crate::relay::index::search::tests::QUOTA;
    use crate::relay::index::{ContentId, Holder, Index, Minute};

    fn insert(index: &mut Index, name: &str) {
        let holder = Holder {
            node: 0,
            content: ContentId::new(1, MaybeHash(None)),
            on_loopback: false,
            since: Minute::LAST,
        };
        let name = FileName::parse(name).expect("a name");
        index.insert(&name, holder, None, &QUOTA).expect("room");
    }

    /// The names of all blocks, which must fit together with their texts.
    fn names(index: &Index) -> Vec<&str> {
        let mut names = Vec::new();
        for block in &index.blocks.blocks {
            assert!(!block.ids.is_empty() && block.ids.len() <= MAX_NAMES_PER_BLOCK);
            assert_eq!(block.files.public, block.ids.len());
            let of_block = block.ids.iter().map(|id| &*index.entries[*id].name);
            let text: String = of_block.clone().map(|name| fold(name) + "\n").collect();
            assert_eq!(block.text, text);
            names.extend(of_block);
        }
        names
    }

    /// Regression: each block stayed, with the room for all of its names.
    #[test]
    fn blocks_that_lose_their_names_are_joined() {
        let mut index = Index::default();
        let name = |number| format!("{number:05}/{}", "n".repeat(1 + number % 200));
        let kept = |number: &usize| number.is_multiple_of(90);
        (0..20_000).for_each(|number| insert(&mut index, &name(number)));
        // From both ends.
        for number in (0..10_000).chain((10_000..20_000).rev()) {
            if !kept(&number) {
                index.remove(0, &FileName::parse(&name(number)).expect("a name"));
            }
        }
        let expected: Vec<_> = (0..20_000).filter(kept).map(name).collect();
        assert_eq!(names(&index), expected);
        let blocks = &index.blocks.blocks;
        assert!(blocks.len() <= 4, "{}", blocks.len());
        for block in blocks {
            let unused = block.text.capacity() - block.text.len();
            assert!(unused <= block.text.len() / 8 + 1, "{unused} bytes");
            assert!(block.ids.capacity() <= block.ids.len() * 9 / 8 + 1);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn loaded_names_are_in_order(
            numbers in prop::collection::vec(0..2000_u32, 0..1500),
            later in prop::collection::vec(("[A-Cé]{0,8}[a-c]{1,20}", any::<bool>()), 0..50),
            removed in prop::option::of(0..1500_usize),
        ) {
            let mut index = Index::default();
            let mut expected = std::collections::BTreeSet::new();
            index.start_loading();
            for (at, number) in numbers.iter().enumerate() {
                let name = format!("{}{number}", "long/".repeat(*number as usize % 4));
                insert(&mut index, &name);
                expected.insert(name.clone());
                if removed == Some(at) {
                    index.remove(0, &FileName::parse(&name).expect("a name"));
                    expected.remove(&name);
                }
            }
            index.finish_loading();
            for (name, stays) in &later {
                insert(&mut index, name);
                expected.insert(name.clone());
                if !stays {
                    index.remove(0, &FileName::parse(name).expect("a name"));
                    expected.remove(name);
                }
            }
            prop_assert!(names(&index).into_iter().eq(expected.iter().map(String::as_str)));
        }
    }
}
