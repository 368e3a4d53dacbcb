//! A folder as a tar archive that is made while it is sent.
//!
//! The list of files has the sizes, so the length of the archive is announced before any file
//! is opened. A file that has another size when its turn comes breaks the connection, as a
//! file that changes while it is sent does: the client must see that the archive is not whole.

use crate::close_reason::{CloseReason, ResourceLimit};
use crate::node::http::tar_entry::{END, entry_header, entry_length, padding};
use crate::node::requests::NodeRequest;
use crate::node::share::{FileContent, Share, Unavailable};
use crate::protocol::FileName;

/// The files that are counted in one turn.
const COUNTED_PER_TURN: usize = 2000;

/// The small files that are sent in one turn.
const SENT_PER_TURN: usize = 64;

/// The bytes of small files that are sent in one turn.
const BYTES_PER_TURN: u64 = 256 * 1024;

/// The bytes at the end of an archive.
const END_LENGTH: u64 = END.len() as u64;

/// An archive that is being sent.
pub(super) struct FolderArchive {
    /// Empty for all of the share, else a name and a slash.
    folder: String,
    /// The place in the list of files from which the archive goes on.
    start: String,
    /// The bytes that are counted, or that are left to be sent.
    length: u64,
    progress: ArchiveProgress,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ArchiveProgress {
    /// The length is not known yet.
    Counting,
    Sending,
    Sent,
}

/// A file of the folder, as it is listed.
struct ArchivedFile {
    name: String,
    size: u64,
    /// In seconds since 1970.
    mtime: i64,
}

impl FolderArchive {
    pub(super) fn new(folder: String) -> Self {
        Self {
            start: folder.clone(),
            folder,
            length: END_LENGTH,
            progress: ArchiveProgress::Counting,
        }
    }

    /// Counts some files, or sends some. Returns whether the answer is complete.
    ///
    /// # Errors
    /// The archive cannot be completed.
    pub(super) fn step<S: Share>(
        &mut self,
        share: &mut S,
        request: &mut NodeRequest<'_, S>,
    ) -> Result<bool, CloseReason> {
        match self.progress {
            ArchiveProgress::Counting => {
                if self.count(share) {
                    let name = format!("{}.tar", self.base_name());
                    let is_head =
                        !request
                            .reply
                            .begin_stream("application/x-tar", &name, self.length);
                    self.start.clone_from(&self.folder);
                    self.progress = match is_head {
                        true => ArchiveProgress::Sent,
                        false => ArchiveProgress::Sending,
                    };
                }
            }
            ArchiveProgress::Sending => self.send(share, request)?,
            ArchiveProgress::Sent => {}
        }
        Ok(self.progress == ArchiveProgress::Sent)
    }

    /// The name of the folder without those around it.
    fn base_name(&self) -> &str {
        let name = self.folder.trim_end_matches('/');
        match name.rsplit('/').next() {
            None | Some("") => "share",
            Some(name) => name,
        }
    }

    /// The name of a file in the archive: it begins with the name of the folder.
    fn entry_name<'n>(&self, name: &'n str) -> &'n str {
        let around = self.folder.trim_end_matches('/').rfind('/');
        &name[around.map_or(0, |slash| slash + 1)..]
    }

    /// Adds the lengths of some entries. Returns whether all are counted.
    fn count<S: Share>(&mut self, share: &mut S) -> bool {
        let mut next = None;
        let mut room = COUNTED_PER_TURN;
        let start = std::mem::take(&mut self.start);
        share.visit_files(&start, &mut |file| {
            if room == 0 {
                next = Some(file.name.to_owned());
                return false;
            }
            room -= 1;
            let is_inside = file.name.starts_with(&self.folder);
            if is_inside {
                let length = entry_length(self.entry_name(file.name), file.size);
                self.length = self.length.saturating_add(length);
            }
            is_inside
        });
        self.start = next.unwrap_or_default();
        self.start.is_empty()
    }

    /// Sends some entries.
    fn send<S: Share>(
        &mut self,
        share: &mut S,
        request: &mut NodeRequest<'_, S>,
    ) -> Result<(), CloseReason> {
        let at_start = self.length;
        for _ in 0..SENT_PER_TURN {
            let Some(file) = self.next_file(share) else {
                if self.length != END_LENGTH {
                    return Err(CloseReason::FileChanged);
                }
                request.reply.append_bytes(&END);
                self.progress = ArchiveProgress::Sent;
                return Ok(());
            };
            let length = entry_length(self.entry_name(&file.name), file.size);
            self.length = self
                .length
                .checked_sub(length)
                .filter(|left| *left >= END_LENGTH)
                .ok_or(CloseReason::FileChanged)?;
            let is_large = self.send_file(share, request, &file)?;
            if is_large || at_start - self.length >= BYTES_PER_TURN {
                break;
            }
        }
        Ok(())
    }

    /// The next file of the folder.
    fn next_file<S: Share>(&mut self, share: &mut S) -> Option<ArchivedFile> {
        let mut next = None;
        share.visit_files(&self.start, &mut |file| {
            if file.name.starts_with(&self.folder) {
                next = Some(ArchivedFile {
                    name: file.name.to_owned(),
                    size: file.size,
                    mtime: file.mtime,
                });
            }
            false
        });
        let file = next?;
        // No name has a NUL, so no name lies between.
        self.start = format!("{}\0", file.name);
        Some(file)
    }

    /// Sends an entry. Returns whether the file is open until it is sent.
    fn send_file<S: Share>(
        &self,
        share: &mut S,
        request: &mut NodeRequest<'_, S>,
        file: &ArchivedFile,
    ) -> Result<bool, CloseReason> {
        let name = FileName::parse(&file.name).map_err(|_| CloseReason::FileChanged)?;
        request.session.request_content("GET", &name);
        let header = entry_header(self.entry_name(&file.name), file.size, file.mtime);
        let content = share.open(&name, request.arrival()).map_err(close_reason)?;
        let is_large = match content {
            FileContent::Small(content) if content.bytes.len() as u64 == file.size => {
                request.reply.append_bytes(&header);
                request.reply.append_bytes(content.bytes);
                false
            }
            FileContent::Large { .. } if request.traffic.are_files_exhausted => {
                return Err(close_reason(Unavailable::Busy));
            }
            FileContent::Large { size, file: open } if size == file.size => {
                request.reply.append_bytes(&header);
                request.reply.append_file(open, 0..size);
                true
            }
            FileContent::Small(_) | FileContent::Large { .. } => {
                return Err(CloseReason::FileChanged);
            }
        };
        request.reply.append_bytes(padding(file.size));
        Ok(is_large)
    }
}

/// Why an archive breaks off.
fn close_reason(error: Unavailable) -> CloseReason {
    match error {
        Unavailable::Busy => CloseReason::LimitReached(ResourceLimit::OpenFiles),
        Unavailable::NotFound | Unavailable::NotAllowed => CloseReason::FileChanged,
        Unavailable::Failed(why) => CloseReason::FileReadError(std::io::Error::other(why)),
    }
}
