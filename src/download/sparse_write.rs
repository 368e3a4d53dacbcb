//! Writes content to a file whose space is reserved. Long runs of zeros become holes, so that a
//! sparse file stays sparse.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::retry_on_intr;

/// Zeros are given back in blocks of this size.
const BLOCK: usize = 64 * 1024;
/// Shorter runs of zeros are written.
const MIN_RUN: usize = 4096;
static ZEROS: [u8; BLOCK] = [0; BLOCK];

/// Writes `bytes` at `offset`.
pub(super) fn write_at(file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    let (mut offset, mut rest) = (offset, bytes);
    while !rest.is_empty() {
        let (length, is_zero) = first_run(offset, rest);
        let (run, later) = rest.split_at(length);
        if !(is_zero && make_hole(file, offset, length)) {
            file.write_all_at(run, offset)?;
        }
        offset += length as u64;
        rest = later;
    }
    Ok(())
}

/// The length of the first run of blocks that are zero or that are not, and which of both.
fn first_run(offset: u64, bytes: &[u8]) -> (usize, bool) {
    // Aligned in the file: these are the blocks of the file system.
    let to_boundary = BLOCK - (offset % BLOCK as u64) as usize;
    let (first, rest) = bytes.split_at(to_boundary.min(bytes.len()));
    let is_zero = is_zero_block(first);
    let same = rest
        .chunks(BLOCK)
        .take_while(|block| is_zero_block(block) == is_zero);
    let length = first.len() + same.map(<[u8]>::len).sum::<usize>();
    (length, is_zero)
}

fn is_zero_block(block: &[u8]) -> bool {
    block.len() >= MIN_RUN && block == &ZEROS[..block.len()]
}

/// Returns whether the file has a hole there now, which reads as zeros. Not all file
/// systems can make one.
fn make_hole(file: &File, offset: u64, length: usize) -> bool {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    retry_on_intr(|| fallocate(file, flags, offset, length as u64)).is_ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::download::disk_space::reserve;

    #[test]
    fn runs_of_zeros_are_found_at_block_boundaries() {
        let block = BLOCK as u64;
        let run = |offset, bytes: &[u8]| first_run(offset, bytes);
        assert_eq!(run(0, &ZEROS), (BLOCK, true));
        assert_eq!(run(block - 10, &ZEROS), (10, false));
        assert_eq!(run(block - 5000, &ZEROS), (BLOCK, true));
        assert_eq!(run(3, b"abc"), (3, false));
        let mut bytes = vec![0; 4 * BLOCK];
        bytes[2 * BLOCK] = 1;
        assert_eq!(run(0, &bytes), (2 * BLOCK, true));
        assert_eq!(run(2 * block, &bytes[2 * BLOCK..]), (BLOCK, false));
    }

    #[test]
    fn zeros_replace_earlier_bytes_and_need_no_space() {
        let file = tempfile::tempfile().expect("a file");
        let size = 64 * BLOCK;
        file.set_len(size as u64).expect("space");
        reserve(&file, 0..size as u64).expect("space");
        let reserved = file.metadata().expect("a file").blocks();
        write_at(&file, 5, &vec![7; size - 5]).expect("written");
        write_at(&file, 5, &vec![0; size - 5]).expect("written");
        let mut bytes = vec![1; size];
        file.read_exact_at(&mut bytes, 0).expect("all of it");
        assert!(bytes.iter().all(|byte| *byte == 0));
        let metadata = file.metadata().expect("a file");
        assert_eq!(metadata.len(), size as u64);
        // The file system may be one without holes.
        assert!(metadata.blocks() <= reserved);
    }
}
