//! A file to fetch, and what the relay's list says about it.

use crate::jobs::file_pattern::FilePattern;
use crate::jobs::listed_nodes::ListedNodes;
use crate::protocol::{ContentHash, FileItem, FileName, HashPrefix, PieceLayout};

/// In a longer list of nodes, the relay is asked who has a file.
const MAX_NODES: usize = 16;

/// More small files than others are fetched at once.
const MAX_SMALL: u64 = 64 * 1024;

/// A file to fetch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WantedFile {
    /// Its name.
    pub name: FileName<'static>,
    /// The first digits of the hash that it must have, or none if any content will do.
    pub hash: Option<HashPrefix>,
    /// The only content of that name, if the relay has listed it.
    pub listed: Option<ListedContent>,
    /// The glob that is tried as a name, because no announced name matches.
    pub(super) glob: Option<Box<UnmatchedGlob>>,
}

/// A glob that no announced name matches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct UnmatchedGlob {
    pub(super) pattern: FilePattern,
    /// A glob that matches a name in a deeper folder.
    pub(super) deeper: Option<FilePattern>,
}

/// A content of the relay's list of files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ListedContent {
    /// In bytes.
    pub(super) size: u64,
    pub(super) hash: ContentHash,
    /// How many nodes have it.
    holders: u64,
}

impl WantedFile {
    /// A file that the relay has not listed.
    #[must_use]
    pub fn new(name: FileName<'static>, hash: Option<HashPrefix>) -> Self {
        Self {
            name,
            hash,
            listed: None,
            glob: None,
        }
    }

    /// Whether the relay has listed it as a small file.
    pub(super) fn is_small(&self) -> bool {
        self.listed.is_some_and(|listed| listed.size <= MAX_SMALL)
    }
}

impl ListedContent {
    /// The content of an item, if its hash is known.
    #[must_use]
    pub fn new(file: &FileItem<'_>) -> Option<Self> {
        let (size, holders) = (file.size, file.holders);
        file.hash.0.map(|hash| Self {
            size,
            hash,
            holders,
        })
    }

    /// Whether all of these nodes have the content. Only told for a small content: for many
    /// of those, the questions who has it would take much of the time.
    pub(super) fn is_at_all(&self, nodes: &ListedNodes) -> bool {
        let have_all = self.holders == nodes.len() as u64;
        let is_small = self.size <= PieceLayout::MIN_PIECE_SIZE;
        have_all && is_small && nodes.len() <= MAX_NODES
    }
}
