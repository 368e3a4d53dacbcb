//! The files that a search lists, packed: a batch of them needs two allocations.

use crate::protocol::{FileItem, FileName, MAX_LIST_BYTES, MAX_LISTED_FILES};
use crate::relay::index::Minute;
use crate::relay::index::holder::NameContent;

/// The most bytes of a line without its name: three numbers, a hash and blanks.
const MAX_LINE_WITHOUT_NAME: usize = 20 + 64 + 20 + 4;

/// Files in name order, one per content of a name.
#[derive(Default)]
pub(in crate::relay) struct FoundFiles {
    entries: Vec<FoundFile>,
    /// The names, without anything between them.
    names: String,
}

struct FoundFile {
    found: NameContent,
    /// Where the name ends in the text of all names.
    name_end: usize,
}

impl FoundFiles {
    /// Appends a file.
    pub(super) fn push(&mut self, name: &str, found: NameContent) {
        self.names.push_str(name);
        self.entries.push(FoundFile {
            found,
            name_end: self.names.len(),
        });
    }

    /// How many more files with this name one list may have.
    pub(super) fn room(&self, name: &str) -> usize {
        let bytes = self.names.len() + self.entries.len() * MAX_LINE_WITHOUT_NAME;
        let line = name.len() + MAX_LINE_WITHOUT_NAME;
        let by_bytes = MAX_LIST_BYTES.saturating_sub(bytes) / line;
        by_bytes.min(MAX_LISTED_FILES - self.entries.len())
    }

    /// Number of files.
    pub(in crate::relay) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The name of the last file.
    pub(in crate::relay) fn last_name(&self) -> Option<&str> {
        self.names().last()
    }

    /// The files as items of a list.
    pub(in crate::relay) fn items(&self) -> impl Iterator<Item = FileItem<'_>> {
        self.with_times().map(|(item, _)| item)
    }

    /// The files, and since when each has had holders.
    pub(in crate::relay) fn with_times(&self) -> impl Iterator<Item = (FileItem<'_>, Minute)> {
        let files = self.entries.iter().zip(self.names());
        files.filter_map(|(FoundFile { found, .. }, name)| {
            let item = FileItem {
                size: found.content.size,
                hash: found.content.hash(),
                holders: found.holders,
                // The index contains valid names only.
                name: FileName::parse(name).ok()?,
            };
            Some((item, found.since))
        })
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let mut start = 0;
        self.entries.iter().map(move |entry| {
            let name = &self.names[start..entry.name_end];
            start = entry.name_end;
            name
        })
    }
}
