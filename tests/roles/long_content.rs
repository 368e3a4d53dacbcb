//! A content of several pieces, and what nodes that have it send.

use std::sync::LazyLock;

use peerline::protocol::{ContentHash, PieceLayout, PieceValue};

/// The content of the scripts: three pieces; the last one is half as long.
pub static THREE_PIECES: LazyLock<LongContent> = LazyLock::new(|| LongContent::new(5 << 19));

/// Five whole pieces.
pub static FIVE_PIECES: LazyLock<LongContent> = LazyLock::new(|| LongContent::new(5 << 20));

pub struct LongContent {
    pub bytes: Vec<u8>,
    pub layout: PieceLayout,
    pub hash: ContentHash,
}

impl LongContent {
    /// A content of so many bytes.
    pub fn new(size: usize) -> Self {
        let mut bytes = vec![0; size];
        fastrand::Rng::with_seed(1).fill(&mut bytes);
        Self {
            layout: PieceLayout::new(size as u64),
            hash: ContentHash::of(&bytes),
            bytes,
        }
    }

    /// The bytes of a piece.
    pub fn piece(&self, index: usize) -> &[u8] {
        let range = self.layout.range(index);
        &self.bytes[range.start as usize..range.end as usize]
    }

    /// The values of all pieces.
    pub fn values(&self) -> Vec<PieceValue> {
        let values = (0..self.layout.count()).map(|index| {
            let mut hasher = self.layout.hasher(index);
            hasher.update(self.piece(index));
            hasher.value().expect("all its bytes came")
        });
        values.collect()
    }

    /// The response to `PIECES`; one value of a wrong list is another one.
    pub fn list(&self, is_wrong: bool) -> String {
        let (layout, hash) = (&self.layout, self.hash);
        let mut values = self.values();
        if is_wrong {
            values.swap(0, 1);
        }
        let (count, piece_size) = (layout.count(), layout.piece_size());
        let lines = values.iter().map(|value| format!("{value}\n"));
        format!(
            "PIECES {count} {piece_size} {hash}\n{}",
            lines.collect::<String>()
        )
    }

    /// The response to a request for a piece; one byte of a wrong piece is another one.
    pub fn reply(&self, index: usize, is_wrong: bool) -> Vec<u8> {
        let mut piece = self.piece(index).to_vec();
        if is_wrong {
            piece[1000] ^= 1;
        }
        let mut reply = format!("FOUND {}\n", piece.len()).into_bytes();
        reply.append(&mut piece);
        reply
    }
}
