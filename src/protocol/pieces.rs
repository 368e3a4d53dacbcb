//! The pieces of a content. Each can be checked on arrival, because the values of all
//! pieces fold to the hash of the content.
//!
//! BLAKE3 hashes a content as a binary tree. A piece is a subtree with a power of two of
//! bytes (the last piece may be shorter), and its value is the chaining value of that
//! subtree (section 2.1 of the BLAKE3 paper).

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use blake3::hazmat::{HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};

use crate::protocol::hash::{ContentHash, HashError, parse_hex};

/// The BLAKE3 value of one piece. Prints as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PieceValue(pub [u8; 32]);

impl FromStr for PieceValue {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, HashError> {
        parse_hex(text).map(Self)
    }
}

impl fmt::Display for PieceValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ContentHash(self.0).fmt(f)
    }
}

/// How a content of a known size is divided into pieces. All pieces but the last have
/// the same length, a power of two. An empty content has one empty piece.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PieceLayout {
    size: u64,
    piece_size: u64,
}

impl PieceLayout {
    /// The length of a piece, unless that makes more than [`PieceLayout::MAX_PIECES`].
    pub const MIN_PIECE_SIZE: u64 = 1024 * 1024;

    /// The limit on the pieces of a content: their length is doubled to stay below it.
    pub const MAX_PIECES: usize = 16_384;

    /// The layout of a content of `size` bytes.
    #[must_use]
    pub fn new(size: u64) -> Self {
        let mut piece_size = Self::MIN_PIECE_SIZE;
        while size.div_ceil(piece_size) > Self::MAX_PIECES as u64 {
            piece_size *= 2;
        }
        Self { size, piece_size }
    }

    /// The size of the content, in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The length of every piece but the last, in bytes.
    #[must_use]
    pub fn piece_size(&self) -> u64 {
        self.piece_size
    }

    /// The number of pieces, at least 1.
    #[must_use]
    pub fn count(&self) -> usize {
        // At most MAX_PIECES.
        self.size.div_ceil(self.piece_size).max(1) as usize
    }

    /// The bytes of a piece. Empty if there is no such piece.
    #[must_use]
    pub fn range(&self, index: usize) -> Range<u64> {
        let start = (index as u64).saturating_mul(self.piece_size);
        let start = start.min(self.size);
        start..start.saturating_add(self.piece_size).min(self.size)
    }

    /// Computes the value of a piece.
    #[must_use]
    pub fn hasher(&self, index: usize) -> PieceHasher {
        let range = self.range(index);
        let is_content = index == 0 && self.count() == 1;
        let mut hasher = Box::new(blake3::Hasher::new());
        // A piece that does not exist has no bytes, and its offset may be no piece's.
        if !range.is_empty() {
            hasher.set_input_offset(range.start);
        }
        PieceHasher {
            hasher,
            missing: range.end - range.start,
            is_content,
        }
    }

    /// The hash of the content whose pieces have these values. None if the number of
    /// values is wrong.
    #[must_use]
    pub fn fold(&self, values: &[PieceValue]) -> Option<ContentHash> {
        if values.len() != self.count() {
            return None;
        }
        let hash = match values {
            [content] => content.0,
            _ => {
                let (left, right) = children(values);
                merge_subtrees_root(&left, &right, Mode::Hash).into()
            }
        };
        Some(ContentHash(hash))
    }
}

/// The values of both children of a subtree of at least two pieces. The left one has the
/// most pieces that are a power of two and leave some for the right one.
fn children(values: &[PieceValue]) -> ([u8; 32], [u8; 32]) {
    let (left, right) = values.split_at(values.len().next_power_of_two() / 2);
    (subtree(left), subtree(right))
}

/// The value of a subtree of at least one piece that is not the whole content.
fn subtree(values: &[PieceValue]) -> [u8; 32] {
    match values {
        [piece] => piece.0,
        _ => {
            let (left, right) = children(values);
            merge_subtrees_non_root(&left, &right, Mode::Hash)
        }
    }
}

/// The hasher of one piece, which takes its bytes in order.
#[derive(Clone, Debug)]
pub struct PieceHasher {
    hasher: Box<blake3::Hasher>,
    /// The number of bytes that the piece still lacks.
    missing: u64,
    /// The piece is the whole content: its value is the root of the tree.
    is_content: bool,
}

impl PieceHasher {
    /// The number of bytes that the piece still lacks.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// Takes the next bytes of the piece. Returns the rest, which belongs to later
    /// pieces.
    pub fn update<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let taken = usize::try_from(self.missing).map_or(bytes.len(), |n| n.min(bytes.len()));
        let (bytes, rest) = bytes.split_at(taken);
        self.hasher.update(bytes);
        self.missing -= taken as u64;
        rest
    }

    /// The value of the piece. None as long as bytes are missing, or if there is no
    /// such piece.
    #[must_use]
    pub fn value(&self) -> Option<PieceValue> {
        if self.missing > 0 {
            return None;
        }
        if self.is_content {
            return Some(PieceValue(self.hasher.finalize().into()));
        }
        (self.hasher.count() > 0).then(|| PieceValue(self.hasher.finalize_non_root()))
    }
}
