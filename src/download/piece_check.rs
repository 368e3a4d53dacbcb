//! Checks pieces of a file that is on the disk already, in threads of its own, so that the
//! loop is not held up.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread;

use crate::jobs::PieceSet;
use crate::protocol::{PieceLayout, PieceValue};

/// The number of threads of one check.
const WORKERS: usize = 2;
/// Bytes per read.
const READ_SIZE: usize = 256 * 1024;

/// A check that is running. It ends early when this is dropped.
pub(super) struct PieceCheck {
    is_cancelled: Arc<AtomicBool>,
    results: Receiver<(u32, io::Result<bool>)>,
    /// The pieces without a result.
    open: PieceSet,
}

/// What the threads of a check share.
struct CheckTask {
    file: Arc<File>,
    layout: PieceLayout,
    /// The pieces to check, each with the value that it must have.
    pieces: Vec<(u32, PieceValue)>,
    /// The index of the next one.
    next: AtomicUsize,
    is_cancelled: Arc<AtomicBool>,
}

impl PieceCheck {
    /// Checks `pieces` of `file`. `values` are those of all pieces of the content.
    pub(super) fn start(
        file: Arc<File>,
        layout: PieceLayout,
        pieces: &PieceSet,
        values: &[PieceValue],
    ) -> io::Result<Self> {
        let is_cancelled = Arc::new(AtomicBool::new(false));
        let open = pieces.clone();
        let value = |index: u32| Some((index, *values.get(index as usize)?));
        let pieces: Vec<_> = pieces.iter().filter_map(value).collect();
        let workers = WORKERS.min(pieces.len());
        let task = Arc::new(CheckTask {
            file,
            layout,
            pieces,
            next: AtomicUsize::new(0),
            is_cancelled: Arc::clone(&is_cancelled),
        });
        let (sender, results) = mpsc::channel();
        let check = Self {
            is_cancelled,
            results,
            open,
        };
        for _ in 0..workers {
            let (task, sender) = (Arc::clone(&task), sender.clone());
            let builder = thread::Builder::new().name("check".into());
            builder.spawn(move || task.run(&sender))?;
        }
        Ok(check)
    }

    /// Whether all results were taken.
    pub(super) fn is_done(&self) -> bool {
        self.open.is_empty()
    }

    /// The pieces that were checked since the last call, and whether each is right.
    pub(super) fn results(&mut self) -> Vec<(u32, io::Result<bool>)> {
        let mut results = Vec::new();
        loop {
            match self.results.try_recv() {
                Ok(result) => {
                    self.open.remove(result.0);
                    results.push(result);
                }
                Err(TryRecvError::Empty) => return results,
                Err(TryRecvError::Disconnected) => {
                    // Both threads have ended. What they have not checked is not right.
                    let open = std::mem::take(&mut self.open);
                    results.extend(open.iter().map(|index| (index, Ok(false))));
                    return results;
                }
            }
        }
    }
}

impl Drop for PieceCheck {
    fn drop(&mut self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
    }
}

impl CheckTask {
    fn run(&self, results: &Sender<(u32, io::Result<bool>)>) {
        let mut buffer = vec![0; READ_SIZE];
        while let Some((index, value)) = self.pieces.get(self.next.fetch_add(1, Ordering::Relaxed))
            && !self.is_cancelled.load(Ordering::Relaxed)
        {
            // Nobody may be interested any longer.
            let _ = results.send((*index, self.has_value(*index, *value, &mut buffer)));
        }
    }

    /// What is missing is not right.
    fn has_value(&self, index: u32, value: PieceValue, buffer: &mut [u8]) -> io::Result<bool> {
        let index = index as usize;
        let mut range = self.layout.range(index);
        let mut hasher = self.layout.hasher(index);
        while !range.is_empty() {
            // At most the size of the buffer.
            let length = buffer.len().min((range.end - range.start) as usize);
            let part = &mut buffer[..length];
            match self.file.read_exact_at(part, range.start) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
                read => read?,
            }
            hasher.update(part);
            range.start += length as u64;
        }
        Ok(hasher.value() == Some(value))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn bad_and_missing_pieces_are_found() {
        let size = 5 * PieceLayout::MIN_PIECE_SIZE + 77;
        let layout = PieceLayout::new(size);
        let bytes: Vec<u8> = (0..size).map(|n| (n % 253) as u8).collect();
        let values: Vec<PieceValue> = (0..layout.count())
            .map(|index| {
                let range = layout.range(index);
                let mut hasher = layout.hasher(index);
                hasher.update(&bytes[range.start as usize..range.end as usize]);
                hasher.value().expect("the whole piece")
            })
            .collect();
        let file = Arc::new(tempfile::tempfile().expect("a file"));
        // The last piece is cut, and one byte of piece 2 is another one.
        file.write_all_at(&bytes[..bytes.len() - 1], 0)
            .expect("written");
        file.write_all_at(&[255], 2 * PieceLayout::MIN_PIECE_SIZE + 5)
            .expect("written");
        // Piece 6 does not exist.
        let pieces = PieceSet::from_iter([0, 2, 3, 4, 5, 6]);
        let check = PieceCheck::start(file, layout, &pieces, &values);
        let mut check = check.expect("threads");
        let mut results = BTreeMap::new();
        while results.len() < 6 {
            let checked = check.results().into_iter();
            results.extend(checked.map(|(index, result)| (index, result.expect("readable"))));
            thread::yield_now();
        }
        assert!(check.results().is_empty());
        let expected = [
            (0, true),
            (2, false),
            (3, true),
            (4, true),
            (5, false),
            (6, false),
        ];
        assert_eq!(results, expected.into());
    }
}
