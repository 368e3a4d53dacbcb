//! Which files are in the folder, in the order of their names.

use std::path::Path;
use std::time::{Duration, Instant};

use log::warn;
use rustix::io::Errno;
use walkdir::{DirEntry, WalkDir};

use crate::protocol::FileName;
use crate::visible::Visible;

/// The shortest pause between two scans.
const PAUSE: Duration = Duration::from_millis(500);
/// One that took long is followed by a pause of so many times as long: the loop
/// must not be busy with nothing else.
const SPARING: u32 = 10;

/// The files of one scan.
#[derive(Default)]
pub(super) struct Catalog {
    /// Names and sizes, in the order of the names' bytes.
    files: Vec<(String, u64)>,
    bytes: u64,
    /// How often a scan found something else than the one before.
    revision: u64,
    scanned: Option<Instant>,
    scan_took: Duration,
    /// What is not shared has been said.
    warned: bool,
}

/// What to look for.
pub(super) struct Scan<'a> {
    pub(super) path: &'a Path,
    pub(super) hidden: bool,
    pub(super) max_files: usize,
    /// The size of what a link leads to, if that is a file inside.
    pub(super) behind_link: &'a dyn Fn(&FileName<'_>) -> Option<u64>,
    /// Is told of each folder before its files are listed.
    pub(super) each_folder: &'a mut dyn FnMut(&Path),
}

impl Catalog {
    /// Whether the last scan is not older than `age`.
    pub(super) fn is_younger_than(&self, age: Duration) -> bool {
        self.scanned.is_some_and(|at| at.elapsed() < age)
    }

    /// How long to leave the disk alone after a scan.
    pub(super) fn pause(&self) -> Duration {
        PAUSE.max(self.scan_took * SPARING)
    }

    /// Looks at the disk.
    pub(super) fn scan(&mut self, scan: &mut Scan<'_>) {
        let began = Instant::now();
        (scan.each_folder)(scan.path);
        let mut files = Vec::new();
        let mut left_out = LeftOut::default();
        let entries = WalkDir::new(scan.path)
            .min_depth(1)
            .into_iter()
            .filter_entry(|entry| scan.hidden || !is_hidden(entry));
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) if is_shortage(&error) => {
                    // The list of before is nearer to the truth than a part of this.
                    self.scanned = Some(Instant::now());
                    return;
                }
                Err(error) => {
                    left_out.note(&error.to_string());
                    continue;
                }
            };
            if entry.file_type().is_dir() {
                (scan.each_folder)(entry.path());
                continue;
            }
            let relative = entry.path().strip_prefix(scan.path).unwrap_or(entry.path());
            let Some(name) = relative
                .to_str()
                .and_then(|text| FileName::parse(text).ok())
            else {
                left_out.note(&relative.to_string_lossy());
                continue;
            };
            let size = if entry.path_is_symlink() {
                (scan.behind_link)(&name)
            } else if entry.file_type().is_file() {
                entry.metadata().ok().map(|metadata| metadata.len())
            } else {
                None
            };
            if let Some(size) = size {
                if files.len() == scan.max_files {
                    left_out.note(name.as_str());
                    break;
                }
                files.push((name.as_str().to_owned(), size));
            }
        }
        files.sort_unstable();
        self.revision += u64::from(files != self.files);
        self.files = files;
        self.scan_took = began.elapsed();
        self.bytes = self.files.iter().map(|(_, size)| size).sum();
        self.scanned = Some(Instant::now());
        if left_out.count > 0 && !std::mem::replace(&mut self.warned, true) {
            warn!(
                "{} not listed: names that cannot be shared, unreadable folders, or more than \
                 --max-files; the first is {}",
                left_out.count,
                Visible::text(&left_out.first)
            );
        }
    }

    /// The files after the one of this name.
    pub(super) fn after(&self, name: Option<&str>) -> &[(String, u64)] {
        let start = match name {
            None => 0,
            Some(name) => self.files.partition_point(|(n, _)| n.as_str() <= name),
        };
        &self.files[start..]
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// What the user should know about once.
#[derive(Default)]
struct LeftOut {
    count: usize,
    first: String,
}

impl LeftOut {
    fn note(&mut self, name: &str) {
        if self.count == 0 {
            name.clone_into(&mut self.first);
        }
        self.count += 1;
    }
}

/// Whether descriptors ran out: it says nothing about the files.
fn is_shortage(error: &walkdir::Error) -> bool {
    let error = error.io_error().and_then(Errno::from_io_error);
    matches!(error, Some(Errno::MFILE | Errno::NFILE))
}

fn is_hidden(entry: &DirEntry) -> bool {
    entry.depth() > 0 && entry.file_name().as_encoded_bytes().starts_with(b".")
}
