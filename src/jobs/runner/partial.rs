//! Files that are being fetched in pieces, as a node serves them to others meanwhile.

use std::ops::Range;
use std::os::fd::OwnedFd;

use crate::jobs::ids::JobId;
use crate::jobs::job::ActiveJob;
use crate::jobs::piece_download::PieceDownload;
use crate::jobs::runner::JobRunner;
use crate::jobs::user::User;
use crate::protocol::{ContentHash, FileItem, FileName, FileStat, MaybeHash, PieceList};

/// A file of which some pieces are there.
pub struct PartialFile<'a> {
    job: JobId,
    download: &'a PieceDownload,
    user: &'a dyn User,
}

impl JobRunner {
    /// Others fetch parts of files that are on their way. The pieces of a file are fetched in
    /// an order that this number decides.
    pub fn set_piece_order(&mut self, number: u64) {
        self.context.piece_order = Some(number);
    }

    /// A number that changes whenever [`JobRunner::partial_files`] changes.
    #[must_use]
    pub fn partial_revision(&self) -> u64 {
        self.context.partial_revision
    }

    /// The files that are being fetched in pieces.
    pub fn partial_files(&self) -> impl Iterator<Item = PartialFile<'_>> {
        self.jobs.iter().filter_map(|(job, active)| {
            let ActiveJob::Fetch(fetch) = active else {
                return None;
            };
            Some(PartialFile {
                job: *job,
                download: fetch.download().filter(|download| download.is_stored())?,
                user: &*self.context.user,
            })
        })
    }
}

impl PartialFile<'_> {
    /// The file in a list.
    #[must_use]
    pub fn item(&self) -> FileItem<'_> {
        let (hash, size) = self.download.content();
        FileItem {
            size,
            hash: MaybeHash(Some(hash)),
            holders: 1,
            name: self.name().clone(),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &FileName<'static> {
        self.download.name()
    }

    /// The hash of the whole content, and its size in bytes.
    #[must_use]
    pub fn content(&self) -> (ContentHash, u64) {
        self.download.content()
    }

    /// What is known of the file.
    #[must_use]
    pub fn stat(&self) -> FileStat {
        self.download.stat()
    }

    /// The values of all pieces.
    #[must_use]
    pub fn piece_list(&self) -> Option<PieceList> {
        self.download.piece_list()
    }

    /// Whether all bytes of this range are there.
    #[must_use]
    pub fn has(&self, range: &Range<u64>) -> bool {
        self.download.has(range)
    }

    /// Opens the file.
    #[must_use]
    pub fn open(&self) -> Option<OwnedFd> {
        self.user.part_file(self.job)
    }
}
