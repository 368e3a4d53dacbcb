//! The entries of one folder of a share, found in the sorted list of all files.
//!
//! A folder exists while it has files. Nothing here looks at each file of the share: the
//! files of a sub-folder lie together in the list, and are skipped together.

use std::cmp::Reverse;

use crate::node::share::{ListedFile, Share};
use crate::protocol::MaybeHash;

/// The most entries of a page.
pub(super) const PAGE_SIZE: usize = 500;

/// A folder with more entries is listed in the order of the share's list: to sort its entries
/// would take the time of others.
const MAX_SORTED: usize = 4000;

/// Bytes of a name that add as much work as a short line to that of an entry.
const NAME_BYTES_PER_WORK: usize = 64;

/// The character after the slash: all names in the folder `a` are before `a0`.
const AFTER_SLASH: char = '0';

/// A file or a sub-folder.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct FolderEntry {
    /// The name within the folder.
    pub(super) name: String,
    /// What is known of the file. None for a folder.
    pub(super) file: Option<FileDetails>,
}

/// What a list of files has of a file, beside its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct FileDetails {
    pub(super) size: u64,
    /// In seconds since 1970.
    pub(super) mtime: i64,
    pub(super) hash: MaybeHash,
}

impl From<&ListedFile<'_>> for FileDetails {
    fn from(file: &ListedFile<'_>) -> Self {
        Self {
            size: file.size,
            mtime: file.mtime,
            hash: file.hash,
        }
    }
}

/// By what the entries are sorted. Folders are before files.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum SortKey {
    #[default]
    Name,
    Size,
    Date,
}

/// The order of the entries.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct SortOrder {
    pub(super) key: SortKey,
    pub(super) is_descending: bool,
}

/// One page of a folder.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum FolderListing {
    /// There is no such folder.
    Missing,
    /// All entries were sorted.
    Sorted {
        entries: Vec<FolderEntry>,
        /// The number of this page, and of the last one, from 1 on.
        page: usize,
        last_page: usize,
        /// The number of folders and files on all pages.
        totals: (usize, usize),
    },
    /// The folder has too many entries to sort them.
    Unsorted {
        entries: Vec<FolderEntry>,
        /// From where the next page goes on: `after` of the request for it.
        next: Option<String>,
    },
}

impl FolderListing {
    /// Lists the folder `folder`: empty for all of the share, else a name and a slash. The page
    /// has a number if the folder is sorted, else it begins behind the entry `after`. Returns also
    /// the work, in short lines.
    pub(super) fn of<S: Share>(
        share: &mut S,
        folder: &str,
        order: SortOrder,
        page: usize,
        after: &str,
    ) -> (Self, usize) {
        let mut entries = first_entries(share, folder, "", MAX_SORTED + 1);
        let work = entries_work(&entries);
        if entries.len() > MAX_SORTED {
            let (entries, next) = entries_after(share, folder, after);
            let work = work + entries_work(&entries);
            return (Self::Unsorted { entries, next }, work);
        }
        // All of a share may be empty.
        if entries.is_empty() && !folder.is_empty() {
            return (Self::Missing, 0);
        }
        order.sort(&mut entries);
        let total = entries.len();
        let folders = entries.partition_point(|entry| entry.file.is_none());
        let last_page = total.div_ceil(PAGE_SIZE).max(1);
        let page = page.clamp(1, last_page);
        let entries = entries.into_iter().skip((page - 1) * PAGE_SIZE);
        let listing = Self::Sorted {
            entries: entries.take(PAGE_SIZE).collect(),
            page,
            last_page,
            totals: (folders, total - folders),
        };
        (listing, work)
    }
}

impl SortOrder {
    fn sort(self, entries: &mut [FolderEntry]) {
        // Equal sizes and times stay in the order of the names. In lower case only: to fold
        // thousands of names fully would take the time of others.
        entries.sort_by_cached_key(|entry| (entry.file.is_some(), entry.name.to_lowercase()));
        let files = entries.partition_point(|entry| entry.file.is_none());
        let (folders, files) = entries.split_at_mut(files);
        match (self.key, self.is_descending) {
            (SortKey::Name, false) => {}
            (SortKey::Name, true) => {
                folders.reverse();
                files.reverse();
            }
            (key, false) => files.sort_by_key(|entry| key.value(entry)),
            (key, true) => files.sort_by_key(|entry| Reverse(key.value(entry))),
        }
    }
}

impl SortKey {
    /// What is compared, unless it is the name.
    fn value(self, entry: &FolderEntry) -> i128 {
        match (self, &entry.file) {
            (Self::Size, Some(file)) => file.size.into(),
            (Self::Date, Some(file)) => file.mtime.into(),
            (Self::Name, _) | (_, None) => 0,
        }
    }
}

/// The work of finding and sorting entries, in short lines.
pub(super) fn entries_work(entries: &[FolderEntry]) -> usize {
    let of_entry = |entry: &FolderEntry| 1 + entry.name.len() / NAME_BYTES_PER_WORK;
    entries.iter().map(of_entry).sum()
}

/// One page of a folder in the order of the list, and from where the next one goes on.
pub(super) fn entries_after<S: Share>(
    share: &mut S,
    folder: &str,
    after: &str,
) -> (Vec<FolderEntry>, Option<String>) {
    let mut entries = first_entries(share, folder, after, PAGE_SIZE + 1);
    let has_more = entries.len() > PAGE_SIZE;
    entries.truncate(PAGE_SIZE);
    let last = entries.last().filter(|_| has_more);
    let next = last.map(|entry| match entry.file {
        Some(_) => entry.name.clone(),
        None => format!("{}/", entry.name),
    });
    (entries, next)
}

/// The first `max` entries of a folder behind the entry `after`, in the order of the list.
/// `after` is empty, or as [`entries_after`] returns it.
fn first_entries<S: Share>(
    share: &mut S,
    folder: &str,
    after: &str,
    max: usize,
) -> Vec<FolderEntry> {
    let mut entries = Vec::new();
    let mut start = Some(match after.strip_suffix('/') {
        Some(sub) => format!("{folder}{sub}{AFTER_SLASH}"),
        // No name has a NUL, so no name lies between.
        None if !after.is_empty() => format!("{folder}{after}\0"),
        None => folder.to_owned(),
    });
    while let Some(from) = start.take() {
        share.visit_files(&from, &mut |file| {
            let Some(name) = file.name.strip_prefix(folder) else {
                return false;
            };
            let (name, details) = match name.split_once('/') {
                Some((sub, _)) => {
                    start = Some(format!("{folder}{sub}{AFTER_SLASH}"));
                    (sub, None)
                }
                None => (name, Some(file.into())),
            };
            entries.push(FolderEntry {
                name: name.to_owned(),
                file: details,
            });
            start.is_none() && entries.len() < max
        });
        start = start.filter(|_| entries.len() < max);
    }
    entries
}

/// Whether the share has files in this folder: a name and a slash.
pub(super) fn has_folder<S: Share>(share: &mut S, folder: &str) -> bool {
    !first_entries(share, folder, "", 1).is_empty()
}
