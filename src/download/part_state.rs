//! The state file of a part: which content it belongs to, and which of its pieces are
//! there. A line of text is appended for each piece, and more when the download is broken
//! off in an orderly way:
//!
//! ```text
//! peerline-part 1 hash 3000000 1048576 0a1b…                   5b0e7a11
//! writer 6f0c…                                                 03a9e1d4
//! piece 2                                                      41f0b0ac
//! piece 0                                                      9c1d33e2
//! unchecked 0                                                  d2a38c3e
//! closed 3000000 1764237470.120450067 1764237460.120300000     0c7f2f64
//! ```
//!
//! Each line ends with a checksum. A line that is damaged ends the file.
//!
//! `writer` is a random token of a download that writes the part. Each one that opens the part
//! adds its own. Where the file system does not pass locks on, two machines may write one part:
//! it belongs to the last writer.
//!
//! `closed` tells the length of the part, and when it was last changed (ctime, mtime). As
//! long as this is true, the pieces are right but for the `unchecked` ones, which were
//! perhaps not on the disk yet. Otherwise somebody may have changed the part, or the
//! system has lost some of it, and all pieces must be checked. So it is after SIGKILL, and
//! with the state of an older version, because they have no such line. Every other line that
//! follows makes it void. The next download goes on where the right lines end, so that nothing
//! is lost if it is killed, or finds the disk full, at its start.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use crate::jobs::{ContentInfo, PieceSet};
use crate::protocol::PieceLayout;
use crate::wall_clock;

/// How far the mtime of a part lies back that is not in use: more than the clock of any file
/// system takes for a step, so that a write shows whenever it comes.
const CLOSED_AGE: Duration = Duration::from_secs(10);

/// A longer state file is not read to its end. The pieces of a content need less, each of
/// them recorded and unchecked.
const MAX_LENGTH: u64 = 4 * 1024 * 1024;

/// A state that many downloads have added to is written anew when it is longer.
const MAX_RESUMED_LENGTH: u64 = MAX_LENGTH / 2;

/// In hexadecimal digits.
const CHECKSUM_LENGTH: usize = 8;

/// What follows the text of a line: a space, the checksum and LF.
const LINE_END_LENGTH: usize = CHECKSUM_LENGTH + 2;

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
        /// The length of the lines that are right.
        length: u64,
    },
}

/// Starts the state of a content of which these pieces may be there. Were they not recorded,
/// a download that is broken off during the check would lose all.
pub(super) fn create(
    mut file: &File,
    content: &ContentInfo,
    writer: &str,
    pieces: impl Iterator<Item = u32>,
) -> io::Result<()> {
    let mut lines = line(&header(content)) + &writer_line(writer);
    lines.extend(pieces.map(|index| line(&format!("piece {index}"))));
    file.set_len(0)?;
    file.write_all(lines.as_bytes())
}

/// Another download goes on with these pieces, where the right lines end.
pub(super) fn resume(
    file: &File,
    content: &ContentInfo,
    writer: &str,
    pieces: impl Iterator<Item = u32>,
    length: u64,
) -> io::Result<()> {
    if length > MAX_RESUMED_LENGTH {
        return create(file, content, writer, pieces);
    }
    file.set_len(length)?;
    append(file, &writer_line(writer))
}

/// The token of the download that has opened the part last.
pub(super) fn writer(file: &File) -> io::Result<Option<String>> {
    let bytes = read(file)?;
    let writers = right_lines(&bytes).filter_map(|line| line.strip_prefix("writer "));
    Ok(writers.last().map(str::to_owned))
}

/// Reads the state from the start of the file. `change` is the last one of the part.
pub(super) fn load(file: &File, content: &ContentInfo, change: &str) -> io::Result<LoadedState> {
    let bytes = read(file)?;
    let mut length = 0;
    let mut lines = right_lines(&bytes).inspect(|line| length += line.len() + LINE_END_LENGTH);
    let Some(first) = lines.next() else {
        return Ok(LoadedState::Unreadable);
    };
    let count = PieceLayout::new(content.size).count();
    let (mut pieces, mut unchecked, mut closed) = (PieceSet::default(), PieceSet::default(), None);
    for line in lines {
        let (verb, value) = line.split_once(' ').unwrap_or((line, ""));
        let index = value.parse().ok();
        let index = index.filter(|index| (*index as usize) < count);
        match (verb, index) {
            ("closed", _) => closed = Some(value),
            ("unchecked", Some(index)) => {
                unchecked.insert(index);
            }
            (_, index) => {
                if let ("piece", Some(index)) = (verb, index) {
                    pieces.insert(index);
                }
                // Other versions may write more.
                (unchecked, closed) = (PieceSet::default(), None);
            }
        }
    }
    if pieces.is_empty() {
        return Ok(LoadedState::Empty);
    }
    if first != header(content) {
        return Ok(LoadedState::OtherContent);
    }
    if closed != Some(change) {
        unchecked = std::mem::take(&mut pieces);
    }
    Ok(LoadedState::Pieces {
        pieces: pieces
            .iter()
            .filter(|index| !unchecked.contains(*index))
            .collect(),
        unchecked,
        length: length as u64,
    })
}

/// Records a piece that was written.
pub(super) fn append_piece(file: &File, index: u32) -> io::Result<()> {
    append(file, &line(&format!("piece {index}")))
}

/// Says that this was the last change of the part, and that all pieces are right but for
/// `unchecked`, of which this is not known.
pub(super) fn append_close(file: &File, unchecked: &PieceSet, change: &str) -> io::Result<()> {
    let unchecked = unchecked.iter();
    let mut lines: String = unchecked
        .map(|index| line(&format!("unchecked {index}")))
        .collect();
    lines += &line(&format!("closed {change}"));
    append(file, &lines)
}

/// Sets the mtime of a part back, so that each later write shows. Returns this last change.
pub(super) fn set_mtime_back(part: &File) -> io::Result<String> {
    part.set_modified(wall_clock::now() - CLOSED_AGE)?;
    last_change(part)
}

/// The last change of a file: its length, ctime and mtime. Every change gives another text.
pub(super) fn last_change(file: &File) -> io::Result<String> {
    let data = file.metadata()?;
    let changed = format!("{}.{:09}", data.ctime(), data.ctime_nsec());
    let modified = format!("{}.{:09}", data.mtime(), data.mtime_nsec());
    Ok(format!("{} {changed} {modified}", data.len()))
}

fn read(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MAX_LENGTH).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn append(mut file: &File, lines: &str) -> io::Result<()> {
    file.write_all(lines.as_bytes())
}

fn line(text: &str) -> String {
    format!("{text} {}\n", checksum(text))
}

fn writer_line(writer: &str) -> String {
    line(&format!("writer {writer}"))
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
    blake3::hash(text.as_bytes()).to_hex()[..CHECKSUM_LENGTH].to_owned()
}

/// The texts of the lines before the first one that is damaged.
fn right_lines(bytes: &[u8]) -> impl Iterator<Item = &str> {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    lines.map_while(checked)
}

/// The text of a line whose checksum is right.
fn checked(line: &[u8]) -> Option<&str> {
    let line = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    let (text, check) = line.rsplit_once(' ')?;
    (check == checksum(text)).then_some(text)
}

#[cfg(test)]
mod tests {
    use std::io::Seek;
    use std::iter;

    use super::*;
    use crate::protocol::ContentHash;

    #[test]
    fn only_a_closed_part_without_changes_need_not_be_checked() {
        let file = tempfile::Builder::new().append(true).tempfile();
        let file = file.expect("a file").into_file();
        let content = ContentInfo::new(100 << 20, Some(ContentHash([7; 32])));
        let load = |change: &str| {
            (&file).rewind().expect("a file");
            match load(&file, &content, change).expect("a file") {
                LoadedState::Pieces {
                    pieces, unchecked, ..
                } => (pieces.iter().collect(), unchecked.iter().collect()),
                _ => (vec![], vec![]),
            }
        };
        create(&file, &content, "1a", iter::once(10)).expect("written");
        (&file).rewind().expect("a file");
        assert_eq!(writer(&file).expect("a file").as_deref(), Some("1a"));
        for index in [20, 30, 100, 99] {
            append_piece(&file, index).expect("written");
        }
        // As after SIGKILL. The content has no piece 100.
        assert_eq!(load("A"), (vec![], vec![10, 20, 30, 99]));
        let close = |unchecked: &[u32]| {
            let unchecked = unchecked.iter().copied().collect();
            append_close(&file, &unchecked, "A").expect("written");
        };
        close(&[20]);
        assert_eq!(load("A"), (vec![10, 30, 99], vec![20]));
        close(&[]);
        assert_eq!(load("B"), (vec![], vec![10, 20, 30, 99]));
        // The line of an older version, and one that was cut off.
        close(&[]);
        append(&file, &line("synced 4")).expect("written");
        assert_eq!(load("A"), (vec![], vec![10, 20, 30, 99]));
        close(&[30]);
        file.set_len(file.metadata().expect("a file").len() - 1)
            .expect("a file");
        assert_eq!(load("A"), (vec![], vec![10, 20, 30, 99]));
    }
}
