//! The state file of a part: which content it belongs to, and which of its pieces are
//! there. The file is only appended to, a line of text at a time:
//!
//! ```text
//! peerline-part 1 hash 3000000 1048576 0a1b…  5b0e7a11
//! boot 8f3f0a53-… mount 1b                    0c7f2f64
//! piece 2                                     41f0b0ac
//! synced 1                                    d2a38c3e
//! ```
//!
//! Each line ends with a checksum. A line that is damaged ends the file.
//!
//! A recorded piece outlives the program. Whether it outlives the system is only known
//! once it was synced: after another boot or mount the later ones must be checked.

use std::fs::File;
use std::io::{self, Read, Write};

use crate::jobs::{ContentInfo, PieceSet};
use crate::protocol::PieceLayout;

/// A longer state file is not read to its end. The pieces of a content, each recorded a
/// few times, need less.
const MAX_LENGTH: u64 = 4 * 1024 * 1024;

/// What a state file says about a content.
pub(super) enum LoadedState {
    /// It does not say to which content the part belongs.
    Unreadable,
    /// It records no piece.
    Empty,
    /// The part belongs to another content.
    OtherContent,
    /// The part belongs to this content.
    Pieces {
        /// The pieces that are there.
        pieces: PieceSet,
        /// The pieces that may be there.
        unchecked: PieceSet,
        /// The number of lines that record one.
        records: usize,
    },
}

/// The text of the state file.
pub(super) struct PartState<'a> {
    file: &'a File,
    /// The present boot and mount.
    boot: String,
}

/// One recorded piece.
struct Record {
    index: u32,
    certainty: Certainty,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Certainty {
    /// Written and synced.
    Synced,
    /// Written in the boot of the last `boot` line.
    Written,
    /// Written in an earlier boot, and not synced.
    Unknown,
}

impl<'a> PartState<'a> {
    /// The state in this file, which was opened to append.
    pub(super) fn new(file: &'a File, boot: String) -> Self {
        Self { file, boot }
    }

    /// Starts the state of a content whose part is empty.
    pub(super) fn create(&self, content: &ContentInfo) -> io::Result<()> {
        self.file.set_len(0)?;
        append(self.file, &header(content))?;
        self.append_boot()
    }

    /// Starts the state of a content of which a part is there, but nobody knows which. Were
    /// they not recorded, a download that is broken off during the check would lose all.
    pub(super) fn create_unchecked(
        &self,
        content: &ContentInfo,
        pieces: &PieceSet,
    ) -> io::Result<()> {
        let mut lines = line(&header(content)) + &line("boot unknown");
        lines.extend(pieces.iter().map(|index| line(&format!("piece {index}"))));
        self.file.set_len(0)?;
        let mut file = self.file;
        file.write_all(lines.as_bytes())?;
        self.append_boot()
    }

    /// Reads the state from the start of the file, and cuts off a damaged end.
    pub(super) fn load(&self, content: &ContentInfo) -> io::Result<LoadedState> {
        let mut bytes = Vec::new();
        self.file.take(MAX_LENGTH).read_to_end(&mut bytes)?;
        let mut lines = bytes
            .split_inclusive(|byte| *byte == b'\n')
            .map_while(|line| checked(line).map(|text| (text, line.len() as u64)));
        let Some((first, mut length)) = lines.next() else {
            return Ok(LoadedState::Unreadable);
        };
        let (mut records, mut last_boot) = (Vec::new(), "");
        for (line, line_length) in lines {
            length += line_length;
            match line.split_once(' ') {
                Some(("boot", boot)) => {
                    leave_boot(&mut records, last_boot, boot);
                    last_boot = boot;
                }
                Some(("piece", index)) => records.extend(index.parse().map(|index| Record {
                    index,
                    certainty: Certainty::Written,
                })),
                Some(("synced", count)) => mark_synced(&mut records, count),
                // A later version may write more.
                Some(_) | None => {}
            }
        }
        leave_boot(&mut records, last_boot, &self.boot);
        let (pieces, unchecked) = piece_sets(&records, content);
        if pieces.is_empty() && unchecked.is_empty() {
            return Ok(LoadedState::Empty);
        }
        if first != header(content) {
            return Ok(LoadedState::OtherContent);
        }
        self.file.set_len(length)?;
        if last_boot != self.boot {
            self.append_boot()?;
        }
        Ok(LoadedState::Pieces {
            pieces,
            unchecked,
            records: records.len(),
        })
    }

    fn append_boot(&self) -> io::Result<()> {
        append(self.file, &format!("boot {}", self.boot))
    }
}

/// Records a piece that was written.
pub(super) fn append_piece(file: &File, index: u32) -> io::Result<()> {
    append(file, &format!("piece {index}"))
}

/// Records that the first `count` records are on the disk.
pub(super) fn append_synced(file: &File, count: usize) -> io::Result<()> {
    append(file, &format!("synced {count}"))
}

fn append(mut file: &File, text: &str) -> io::Result<()> {
    file.write_all(line(text).as_bytes())
}

fn line(text: &str) -> String {
    format!("{text} {}\n", checksum(text))
}

/// Says which content the part belongs to. Only the same content has the same header; one
/// without a known hash is never the same.
fn header(content: &ContentInfo) -> String {
    let piece_size = PieceLayout::new(content.size).piece_size();
    let sizes = format!("{} {piece_size}", content.size);
    match content.hash {
        Some(hash) => format!("peerline-part 1 hash {sizes} {hash}"),
        None => format!("peerline-part 1 any {sizes} {:x}", fastrand::u128(..)),
    }
}

fn checksum(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex()[..8].to_owned()
}

/// The text of a line whose checksum is right.
fn checked(line: &[u8]) -> Option<&str> {
    let line = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    let (text, check) = line.rsplit_once(' ')?;
    (check == checksum(text)).then_some(text)
}

fn leave_boot(records: &mut [Record], last: &str, next: &str) {
    if last != next {
        let written = |record: &&mut Record| record.certainty == Certainty::Written;
        for record in records.iter_mut().filter(written) {
            record.certainty = Certainty::Unknown;
        }
    }
}

fn mark_synced(records: &mut [Record], count: &str) {
    let count = count.parse().unwrap_or(0);
    let written = |record: &&mut Record| record.certainty == Certainty::Written;
    for record in records.iter_mut().take(count).filter(written) {
        record.certainty = Certainty::Synced;
    }
}

/// The pieces that are there, and those that must be checked.
fn piece_sets(records: &[Record], content: &ContentInfo) -> (PieceSet, PieceSet) {
    let count = PieceLayout::new(content.size).count();
    let existing = records
        .iter()
        .filter(|record| (record.index as usize) < count);
    let (known, unknown): (Vec<_>, Vec<_>) =
        existing.partition(|record| record.certainty != Certainty::Unknown);
    let pieces: PieceSet = known.iter().map(|record| record.index).collect();
    let unknown = unknown.iter().map(|record| record.index);
    let unchecked = unknown.filter(|index| !pieces.contains(*index)).collect();
    (pieces, unchecked)
}

#[cfg(test)]
mod tests {
    use std::io::Seek;

    use super::*;
    use crate::protocol::ContentHash;

    #[test]
    fn pieces_that_were_not_synced_are_checked_after_another_boot() {
        let file = tempfile::Builder::new().append(true).tempfile();
        let file = file.expect("a file").into_file();
        let content = ContentInfo::new(100 << 20, Some(ContentHash([7; 32])));
        let load = |boot: &str| {
            (&file).rewind().expect("a file");
            match PartState::new(&file, boot.into())
                .load(&content)
                .expect("a file")
            {
                LoadedState::Pieces {
                    pieces,
                    unchecked,
                    records,
                } => (pieces.iter().collect(), unchecked.iter().collect(), records),
                _ => (vec![], vec![], 0),
            }
        };
        PartState::new(&file, "A".into())
            .create(&content)
            .expect("written");
        assert_eq!(load("A"), (vec![], vec![], 0));
        append_piece(&file, 10).expect("written");
        append_piece(&file, 20).expect("written");
        append_synced(&file, 1).expect("written");
        append_piece(&file, 30).expect("written");
        assert_eq!(load("A"), (vec![10, 20, 30], vec![], 3));
        assert_eq!(load("B"), (vec![10], vec![20, 30], 3));
        // Checked in boot B, and not yet synced.
        append_piece(&file, 30).expect("written");
        assert_eq!(load("B"), (vec![10, 30], vec![20], 4));
        assert_eq!(load("C"), (vec![10], vec![20, 30], 4));
        // A piece that is no piece of this content.
        append_piece(&file, 100).expect("written");
        append_piece(&file, 99).expect("written");
        append_synced(&file, 6).expect("written");
        assert_eq!(load("D"), (vec![10, 99], vec![20, 30], 6));
    }
}
