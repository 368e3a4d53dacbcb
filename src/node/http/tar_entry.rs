//! The form of a tar archive (GNU tar, "Basic Tar Format").

use tar::{EntryType, Header};

/// Everything in an archive fills whole blocks.
pub(super) const BLOCK: usize = 512;

/// What ends an archive.
pub(super) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// The longest name in a header; a longer one has an entry of its own before it.
const MAX_SHORT_NAME: usize = 100;

/// The name of an entry whose content is the name of the next one.
const LONG_NAME: &str = "././@LongLink";

/// The bytes that fill the last block after a content of this length.
pub(super) fn padding(length: u64) -> &'static [u8] {
    let rest = (length % BLOCK as u64) as usize;
    &END[..(BLOCK - rest) % BLOCK]
}

/// What comes before the content of a file. `mtime` is in seconds since 1970.
pub(super) fn entry_header(name: &str, size: u64, mtime: i64) -> Vec<u8> {
    let mut blocks = Vec::new();
    let mtime = u64::try_from(mtime).unwrap_or(0);
    if name.len() > MAX_SHORT_NAME {
        // A NUL ends the name.
        let length = name.len() as u64 + 1;
        blocks.extend_from_slice(&header(EntryType::GNULongName, LONG_NAME, length, 0));
        blocks.extend_from_slice(name.as_bytes());
        blocks.push(0);
        blocks.extend_from_slice(padding(length));
    }
    blocks.extend_from_slice(&header(EntryType::Regular, name, size, mtime));
    blocks
}

/// A header; of a long name it has the beginning.
fn header(kind: EntryType, name: &str, size: u64, mtime: u64) -> [u8; BLOCK] {
    let mut header = Header::new_gnu();
    let length = name.len().min(MAX_SHORT_NAME);
    header.as_old_mut().name[..length].copy_from_slice(&name.as_bytes()[..length]);
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(size);
    header.set_mtime(mtime);
    header.set_cksum();
    *header.as_bytes()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn archives_are_read_back() {
        let names = [1, 99, 100, 101, 511, 512, 1023, 1024]
            .map(|length| "ä".repeat(length)[..length & !1].to_owned() + "x");
        for name in names {
            for size in [0, 1, 511, 512, 513] {
                let mut archive = entry_header(&name, size, 784_111_777);
                archive.extend(vec![7; size as usize]);
                archive.extend_from_slice(padding(size));
                archive.extend_from_slice(&END);
                let mut archive = tar::Archive::new(archive.as_slice());
                let mut entries = archive.entries().expect("entries");
                let mut entry = entries.next().expect("an entry").expect("a valid one");
                assert_eq!(entry.path_bytes().as_ref(), name.as_bytes());
                assert_eq!(entry.header().mtime().expect("a time"), 784_111_777);
                let mut content = Vec::new();
                entry.read_to_end(&mut content).expect("a content");
                assert_eq!(content, vec![7; size as usize]);
                assert!(entries.next().is_none());
            }
        }
    }

    #[test]
    fn large_sizes_and_old_times_are_possible() {
        let size = 9_000_000_000;
        let header = entry_header("large", size, -1);
        let header = Header::from_byte_slice(&header);
        assert_eq!(header.size().expect("a size"), size);
        assert_eq!(header.mtime().expect("a time"), 0);
    }
}
