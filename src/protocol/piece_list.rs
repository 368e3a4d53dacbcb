//! The values of all pieces of a content, which fold to its hash.

use crate::protocol::hash::ContentHash;
use crate::protocol::pieces::{PieceHasher, PieceLayout, PieceValue};

/// The values of all pieces of a content, and the hash to which they fold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PieceList {
    layout: PieceLayout,
    values: Box<[PieceValue]>,
    hash: ContentHash,
}

impl PieceList {
    /// The list of these values. None if the content has not as many pieces.
    #[must_use]
    pub fn new(layout: PieceLayout, values: impl Into<Box<[PieceValue]>>) -> Option<Self> {
        let values = values.into();
        let hash = layout.fold(&values)?;
        Some(Self {
            layout,
            values,
            hash,
        })
    }

    /// The list of a content of at most one piece, whose value is the hash itself. None if
    /// the content has several.
    #[must_use]
    pub fn of_one_piece(size: u64, hash: ContentHash) -> Option<Self> {
        Self::new(PieceLayout::new(size), [PieceValue(hash.0)])
    }

    /// How the content is divided.
    #[must_use]
    pub fn layout(&self) -> &PieceLayout {
        &self.layout
    }

    /// The values, in the order of the pieces.
    #[must_use]
    pub fn values(&self) -> &[PieceValue] {
        &self.values
    }

    /// The hash of the content.
    #[must_use]
    pub fn hash(&self) -> ContentHash {
        self.hash
    }
}

/// Computes the values of all pieces of a content whose bytes come in order.
#[derive(Debug)]
pub struct ContentHasher {
    layout: PieceLayout,
    values: Vec<PieceValue>,
    /// The hasher of the next piece.
    next: PieceHasher,
}

impl ContentHasher {
    /// A hasher for a content of this layout.
    #[must_use]
    pub fn new(layout: PieceLayout) -> Self {
        let mut hasher = Self {
            layout,
            values: Vec::with_capacity(layout.count()),
            next: layout.hasher(0),
        };
        // An empty content is complete.
        hasher.end_piece();
        hasher
    }

    /// Takes the next bytes. Those past the size of the layout are ignored.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.next.missing() > 0 {
            bytes = self.next.update(bytes);
            self.end_piece();
        }
    }

    fn end_piece(&mut self) {
        if let Some(value) = self.next.value() {
            self.values.push(value);
            self.next = self.layout.hasher(self.values.len());
        }
    }

    /// The values. None if bytes are missing.
    #[must_use]
    pub fn finish(&self) -> Option<PieceList> {
        PieceList::new(self.layout, self.values.clone())
    }
}
