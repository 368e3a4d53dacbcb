//! All names in byte order, packed for searching. Each block holds up to 512
//! folded names in one contiguous text, so that a search scans plain memory
//! and an insertion moves at most one block.

use std::hint::black_box;

use crate::relay::index::holders::ContentCounts;
use crate::relay::index::{NameEntry, NameId};
use crate::relay::table::Table;

/// A block with more names is split in two.
const MAX_NAMES_PER_BLOCK: usize = 512;

/// A block with a longer text is split in two, unless it has one name only: an insertion
/// must not move much.
const MAX_BYTES_PER_BLOCK: usize = 32 * 1024;

/// Bytes of one CPU cache line.
const CACHE_LINE: usize = 64;

/// All names in byte order.
#[derive(Default)]
pub(super) struct NameBlocks(Vec<NameBlock>);

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
        self.text.insert(start, '\n');
        self.text.insert_str(start, folded);
        // A block is much shorter than 4 GiB.
        self.line_starts.insert(line, start as u32);
        for later in &mut self.line_starts[line + 1..] {
            *later += folded.len() as u32 + 1;
        }
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
        self.text.shrink_to_fit();
        self.line_starts.shrink_to_fit();
        self.ids.shrink_to_fit();
        second
    }
}

impl NameBlocks {
    /// The blocks from the first one on that may contain names after `name`.
    pub(super) fn from(&self, name: Option<&str>, entries: &Table<NameEntry>) -> &[NameBlock] {
        let first = name.map_or(0, |name| self.block_index(name, entries));
        &self.0[first..]
    }

    /// Inserts a name with this folded form.
    pub(super) fn insert(&mut self, id: NameId, folded: &str, entries: &Table<NameEntry>) {
        if self.0.is_empty() {
            self.0.push(NameBlock::default());
        }
        let entry = &entries[id];
        let at = self.block_index(&entry.name, entries);
        let block = &mut self.0[at];
        block.insert(block.position(&entry.name, entries), id, folded, entry);
        let is_large = block.text.len() > MAX_BYTES_PER_BLOCK && block.ids.len() > 1;
        if block.ids.len() > MAX_NAMES_PER_BLOCK || is_large {
            let second = block.split(entries);
            self.0.insert(at + 1, second);
        }
    }

    /// Removes a name; the name must be in a block.
    pub(super) fn remove(&mut self, id: NameId, entries: &Table<NameEntry>) {
        let entry = &entries[id];
        let at = self.block_index(&entry.name, entries);
        let block = &mut self.0[at];
        block.remove(block.position(&entry.name, entries), entry);
        if block.ids.is_empty() {
            self.0.remove(at);
        }
    }

    /// Counts the files of a name again; there were `before`.
    pub(super) fn update(&mut self, id: NameId, before: ContentCounts, entries: &Table<NameEntry>) {
        let at = self.block_index(&entries[id].name, entries);
        let files = &mut self.0[at].files;
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
        self.0.partition_point(starts_before).saturating_sub(1)
    }
}
