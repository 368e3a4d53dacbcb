//! Which files are in the folder, in the order of their names.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use log::warn;
use rustix::io::Errno;
use walkdir::{DirEntry, WalkDir};

use super::identity::Identity;
use crate::protocol::{ContentHash, FileName, MaybeHash};
use crate::visible::Visible;

/// The shortest pause between two scans.
const PAUSE: Duration = Duration::from_millis(500);
/// One that took long is followed by a pause of so many times as long: the loop
/// must not be busy with nothing else.
const SPARING: u32 = 10;

/// The files of one scan.
#[derive(Default)]
pub(super) struct Catalog {
    /// In the order of the names' bytes.
    files: Vec<Listed>,
    bytes: u64,
    /// How often a scan found something else than the one before.
    revision: u64,
    scanned: Option<Instant>,
    scan_took: Duration,
    /// What is not shared has been said.
    warned: bool,
}

/// One file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) identity: Identity,
    pub(super) hash: MaybeHash,
    /// It was asked for in vain: the next scan asks again.
    failed: bool,
}

/// What to look for.
pub(super) struct Scan<'a> {
    pub(super) path: &'a Path,
    pub(super) hidden: bool,
    pub(super) max_files: usize,
    /// What a link leads to, if that is a file inside.
    pub(super) behind_link: &'a dyn Fn(&FileName<'_>) -> io::Result<Identity>,
    /// Is told of each folder before its files are listed.
    pub(super) each_folder: &'a mut dyn FnMut(&Path),
    /// Is told of each file that is new, or another one now.
    pub(super) each_content: &'a mut dyn FnMut(&Listed),
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

    /// Looks at the disk. Returns false if descriptors ran out: then the list is
    /// the one of before, which is nearer to the truth than a part of this.
    pub(super) fn scan(&mut self, scan: &mut Scan<'_>) -> bool {
        let began = Instant::now();
        let mut left_out = LeftOut::default();
        let walked = walk(scan, &mut left_out);
        let is_whole = walked.is_some();
        if let Some(mut files) = walked {
            files.sort_unstable_by(|a, b| a.name.cmp(&b.name));
            for file in &mut files {
                match self.find(&file.name) {
                    // Its hash is known, or on its way.
                    Some(earlier) if earlier.identity == file.identity && !earlier.failed => {
                        file.hash = earlier.hash;
                    }
                    Some(_) | None => (scan.each_content)(file),
                }
            }
            self.revision += u64::from(files != self.files);
            self.bytes = files.iter().map(|file| file.identity.size).sum();
            self.files = files;
            self.scan_took = began.elapsed();
            self.warn_once(&left_out);
        }
        self.scanned = Some(Instant::now());
        is_whole
    }

    fn warn_once(&mut self, left_out: &LeftOut) {
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
    pub(super) fn after(&self, name: Option<&str>) -> &[Listed] {
        let start = match name {
            None => 0,
            Some(name) => self
                .files
                .partition_point(|file| file.name.as_str() <= name),
        };
        &self.files[start..]
    }

    pub(super) fn find(&self, name: &str) -> Option<&Listed> {
        let place = self.place(name)?;
        self.files.get(place)
    }

    /// The hash of a content has been found. Returns whether it is listed.
    pub(super) fn put_hash(&mut self, name: &str, identity: Identity, hash: ContentHash) -> bool {
        let file = self.place(name).and_then(|place| self.files.get_mut(place));
        match file.filter(|file| file.identity == identity) {
            Some(file) => {
                file.hash = MaybeHash(Some(hash));
                self.revision += 1;
                true
            }
            None => false,
        }
    }

    /// The hash of a content could not be found.
    pub(super) fn want_hash_again(&mut self, name: &str, identity: Identity) {
        let file = self.place(name).and_then(|place| self.files.get_mut(place));
        if let Some(file) = file.filter(|file| file.identity == identity) {
            file.failed = true;
        }
    }

    fn place(&self, name: &str) -> Option<usize> {
        let by_name = |file: &Listed| file.name.as_str().cmp(name);
        self.files.binary_search_by(by_name).ok()
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// The files that are there, in no order; nothing if descriptors ran out.
fn walk(scan: &mut Scan<'_>, left_out: &mut LeftOut) -> Option<Vec<Listed>> {
    (scan.each_folder)(scan.path);
    let mut files = Vec::new();
    let entries = WalkDir::new(scan.path)
        .min_depth(1)
        .into_iter()
        .filter_entry(|entry| scan.hidden || !is_hidden(entry));
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) if error.io_error().is_some_and(is_short) => return None,
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
        let identity = if entry.path_is_symlink() {
            match (scan.behind_link)(&name) {
                Err(error) if is_short(&error) => return None,
                identity => identity.ok(),
            }
        } else if entry.file_type().is_file() {
            entry.path().metadata().ok().map(|m| Identity::from(&m))
        } else {
            None
        };
        if let Some(identity) = identity {
            if files.len() == scan.max_files {
                left_out.note(name.as_str());
                break;
            }
            files.push(Listed {
                name: name.as_str().to_owned(),
                identity,
                hash: MaybeHash(None),
                failed: false,
            });
        }
    }
    Some(files)
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
fn is_short(error: &io::Error) -> bool {
    let error = Errno::from_io_error(error);
    matches!(error, Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM))
}

fn is_hidden(entry: &DirEntry) -> bool {
    entry.depth() > 0 && entry.file_name().as_encoded_bytes().starts_with(b".")
}
