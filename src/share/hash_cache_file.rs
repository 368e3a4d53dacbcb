//! The file of the hash cache. It has a line for each content: its identity, its hash,
//! the values of its pieces if there are several, and its SHA-256 if that was computed.
//!
//! Each line is appended with one write as soon as the hash is known. So no line is
//! lost if the program is killed or several programs use the same file.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use log::debug;
use rustix::fs::fstat;

use crate::protocol::{ContentHash, PieceLayout, PieceList, PieceValue, Sha256Digest};
use crate::share::file_hasher::FileHashes;
use crate::share::file_identity::FileIdentity;

/// The most bytes of the file. It may have more if most of its lines are used.
pub(super) const MAX_BYTES: u64 = 256 * 1024 * 1024;

/// The most bytes that are read at the start.
const MAX_READ: u64 = 2 * MAX_BYTES;

/// At least the length of the longest line: six numbers, the hash, the values, SHA-256 and the end.
const MAX_LINE: u64 = 512 + 65 * PieceLayout::MAX_PIECES as u64;

/// The open file.
pub(super) struct HashCacheFile {
    pub(super) path: PathBuf,
    file: File,
    /// Number of its lines.
    pub(super) lines: usize,
    /// Its length.
    pub(super) bytes: u64,
}

/// The place of a line in the file. Another program may have rewritten the file since.
#[derive(Clone, Copy)]
pub(super) struct Line {
    offset: u64,
    /// With its end.
    pub(super) length: u32,
}

/// The hash of a content.
pub(super) struct CacheEntry {
    pub(super) hash: ContentHash,
    /// None if it was not computed. Boxed, because most nodes compute none.
    pub(super) sha256: Option<Box<Sha256Digest>>,
    /// Where the file has the values of the pieces. None if it has not.
    pub(super) line: Option<Line>,
    /// The entry was looked up or inserted since the start.
    pub(super) is_used: bool,
}

impl HashCacheFile {
    /// Opens or creates the file, and reads it. Invalid lines, and a file that cannot
    /// be read, are ignored.
    pub(super) fn open(path: &Path) -> io::Result<(Self, HashMap<FileIdentity, CacheEntry>)> {
        let mut opened = Self {
            path: path.to_owned(),
            file: open_or_create(path)?,
            lines: 0,
            bytes: 0,
        };
        let entries = opened.load()?;
        let (path, count) = (path.display(), entries.len());
        debug!("hash cache {path}: {count} entries loaded");
        Ok((opened, entries))
    }

    /// Reads the lines. What is beyond [`MAX_READ`] is ignored, and so are longer lines than a
    /// content can have: the file may be damaged.
    fn load(&mut self) -> io::Result<HashMap<FileIdentity, CacheEntry>> {
        let mut entries = HashMap::new();
        let mut reader = BufReader::new((&self.file).take(MAX_READ));
        let mut text = Vec::new();
        let mut offset = 0;
        while read_line(&mut reader, &mut text).is_ok_and(|is_end| !is_end) {
            let length = u32::try_from(text.len()).ok();
            let line = length.map(|length| Line { offset, length });
            offset += text.len() as u64;
            self.lines += 1;
            if let Some((identity, fields)) = parse(&text) {
                let entry = CacheEntry {
                    hash: fields.hash,
                    sha256: fields.sha256.map(Box::new),
                    line,
                    is_used: false,
                };
                entries.insert(identity, entry);
            }
        }
        self.bytes = self.file.metadata()?.len();
        if self.is_last_line_cut() {
            // Perhaps the disk was full.
            self.file.write_all(b"\n")?;
            self.bytes += 1;
        }
        Ok(entries)
    }

    /// Whether the last line has no end.
    fn is_last_line_cut(&self) -> bool {
        let mut last = [0];
        let offset = self.bytes.checked_sub(1);
        let read = offset.map(|offset| self.file.read_exact_at(&mut last, offset));
        matches!(read, Some(Ok(()))) && last != *b"\n"
    }

    /// The identity of the file itself.
    pub(super) fn identity(&self) -> Option<FileIdentity> {
        let stat = fstat(&self.file).ok()?;
        Some(FileIdentity::from(&stat))
    }

    /// The values of the pieces in a line. None if it is not the line of `identity` any
    /// more, or has wrong values.
    pub(super) fn read(&self, line: Line, identity: &FileIdentity) -> Option<PieceList> {
        let text = self.text(line).ok()?;
        let (own_identity, fields) = parse(&text)?;
        let values: Result<Vec<PieceValue>, _> = fields.values.split(' ').map(str::parse).collect();
        let pieces = PieceList::new(PieceLayout::new(identity.size), values.ok()?)?;
        (own_identity == *identity && pieces.hash() == fields.hash).then_some(pieces)
    }

    fn text(&self, line: Line) -> io::Result<Vec<u8>> {
        let mut text = vec![0; line.length as usize];
        self.file.read_exact_at(&mut text, line.offset)?;
        Ok(text)
    }

    pub(super) fn append(
        &mut self,
        identity: &FileIdentity,
        hashes: &FileHashes,
    ) -> io::Result<Line> {
        let pieces = &hashes.pieces;
        let mut text = format!("{identity} {}", pieces.hash());
        for value in pieces.values().iter().filter(|_| pieces.values().len() > 1) {
            // Writing to a String cannot fail.
            let _ = write!(text, " {value}");
        }
        if let Some(sha256) = hashes.sha256 {
            let _ = write!(text, " {sha256}");
        }
        text.push('\n');
        self.append_text(text.as_bytes())
    }

    fn append_text(&mut self, text: &[u8]) -> io::Result<Line> {
        self.file.write_all(text)?;
        self.lines += 1;
        // Other programs may have appended lines.
        self.bytes = self.file.stream_position()?;
        let length = u32::try_from(text.len()).map_err(io::Error::other)?;
        let offset = self.bytes.saturating_sub(length.into());
        Ok(Line { offset, length })
    }

    /// Rewrites the file with these entries. In place: other programs may have it open to
    /// append.
    pub(super) fn rewrite(
        &mut self,
        entries: &mut HashMap<FileIdentity, CacheEntry>,
    ) -> io::Result<()> {
        let texts: HashMap<FileIdentity, Vec<u8>> = entries
            .iter()
            .filter_map(|(identity, entry)| {
                let text = self.text(entry.line?).ok()?;
                let is_right = parse(&text).is_some_and(|(own, _)| own == *identity);
                is_right.then_some((*identity, text))
            })
            .collect();
        self.file.set_len(0)?;
        (self.lines, self.bytes) = (0, 0);
        for (identity, entry) in entries {
            entry.line = match texts.get(identity) {
                Some(text) => Some(self.append_text(text)?),
                None => None,
            };
        }
        Ok(())
    }
}

/// Opens or creates the file of a hash cache, and the folders above it.
///
/// # Errors
/// The system's reason.
pub fn open_or_create(path: &Path) -> io::Result<File> {
    // The open of a FIFO would block.
    if path.exists() && !path.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let options = OpenOptions::new().append(true).create(true).clone();
    // A file that can only be written is of use, too.
    (options.clone().read(true).open(path)).or_else(|_| options.open(path))
}

/// Reads a line with its end, or [`MAX_LINE`] bytes of a longer one. Returns whether there is none.
fn read_line(reader: &mut impl BufRead, text: &mut Vec<u8>) -> io::Result<bool> {
    text.clear();
    reader.take(MAX_LINE).read_until(b'\n', text)?;
    Ok(text.is_empty())
}

/// The fields of a line after the identity.
struct LineFields<'a> {
    hash: ContentHash,
    /// As many as the size demands; none if there is only one piece.
    values: &'a str,
    sha256: Option<Sha256Digest>,
}

/// The identity and the other fields of a line.
fn parse(line: &[u8]) -> Option<(FileIdentity, LineFields<'_>)> {
    /// A value and the blank before it.
    const VALUE: usize = " ".len() + 64;
    const SHA256: &str = " sha-256 ";
    let line = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let (line, sha256) = match line.find(SHA256) {
        Some(at) => (&line[..at], Some(Sha256Digest::parse(&line[at..]).ok()?)),
        None => (line, None),
    };
    let (end, _) = line.match_indices(' ').nth(5)?;
    let identity = FileIdentity::parse(&line[..end])?;
    let rest = &line[end + 1..];
    let (hash, values) = rest.split_once(' ').unwrap_or((rest, ""));
    let is_whole = match PieceLayout::new(identity.size).count() {
        1 => values.is_empty(),
        count => values.len() + 1 == count * VALUE,
    };
    let hash = hash.parse().ok().filter(|_| is_whole)?;
    let fields = LineFields {
        hash,
        values,
        sha256,
    };
    Some((identity, fields))
}
