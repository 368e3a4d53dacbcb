//! A folder as a tar archive that is made while it is sent.
//!
//! Each file has the size that it has when its turn comes, so files may appear, vanish and grow
//! meanwhile. A file that is cut or cannot be read breaks the connection, and so does a share
//! that is gone: the client must see that the archive is not whole.

use crate::close_reason::{CloseReason, ResourceLimit};
use crate::node::http::tar_entry::{END, entry_header, padding};
use crate::node::requests::NodeRequest;
use crate::node::share::{FileContent, Share, Unavailable};
use crate::protocol::FileName;

/// The small files that are sent in one turn.
const SENT_PER_TURN: usize = 64;

/// The bytes of small files that are sent in one turn.
const BYTES_PER_TURN: usize = 256 * 1024;

/// An archive that is being sent.
pub(super) struct FolderArchive {
    /// Empty for all of the share, else a name and a slash.
    folder: String,
    /// The place in the list of files from which the archive goes on.
    start: String,
    /// [`Share::root_changes`] at the start.
    root_changes: u64,
}

/// A file of the folder, as it is listed.
struct ArchivedFile {
    name: String,
    /// In seconds since 1970.
    mtime: i64,
}

impl FolderArchive {
    pub(super) fn new<S: Share>(folder: String, share: &S) -> Self {
        Self {
            start: folder.clone(),
            folder,
            root_changes: share.root_changes(),
        }
    }

    /// The name of the archive: that of the folder, without those around it.
    pub(super) fn file_name(&self) -> String {
        let name = self.folder.trim_end_matches('/');
        match name.rsplit('/').next() {
            None | Some("") => "share.tar".to_owned(),
            Some(name) => format!("{name}.tar"),
        }
    }

    /// Sends some files. Returns whether the answer is complete.
    ///
    /// # Errors
    /// The archive cannot be completed.
    pub(super) fn step<S: Share>(
        &mut self,
        share: &mut S,
        request: &mut NodeRequest<'_, S>,
    ) -> Result<bool, CloseReason> {
        if share.root_changes() != self.root_changes {
            return Err(CloseReason::FileChanged);
        }
        let mut bytes = 0;
        for _ in 0..SENT_PER_TURN {
            let Some(file) = self.next_file(share) else {
                request.reply.begin_chunk(END.len() as u64);
                request.reply.append_bytes(&END);
                request.reply.end_chunk();
                request.reply.end_stream();
                return Ok(true);
            };
            bytes += self.send_file(share, request, &file)?;
            if bytes >= BYTES_PER_TURN {
                break;
            }
        }
        Ok(false)
    }

    /// The name of a file in the archive: it begins with the name of the folder.
    fn entry_name<'n>(&self, name: &'n str) -> &'n str {
        let around = self.folder.trim_end_matches('/').rfind('/');
        &name[around.map_or(0, |slash| slash + 1)..]
    }

    /// The next file of the folder.
    fn next_file<S: Share>(&mut self, share: &mut S) -> Option<ArchivedFile> {
        let mut next = None;
        share.visit_files(&self.start, &mut |file| {
            if file.name.starts_with(&self.folder) {
                next = Some(ArchivedFile {
                    name: file.name.to_owned(),
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

    /// Sends an entry, unless the file has vanished or is still being fetched. Returns how many
    /// of the bytes of a turn it takes: all of them if the file stays open until it is sent.
    fn send_file<S: Share>(
        &self,
        share: &mut S,
        request: &mut NodeRequest<'_, S>,
        file: &ArchivedFile,
    ) -> Result<usize, CloseReason> {
        let name = FileName::parse(&file.name).map_err(|_| CloseReason::FileChanged)?;
        request.session.request_content(false, &name);
        let content = match share.open(&name, request.arrival()) {
            Ok(FileContent::Large { .. }) if request.traffic.are_files_exhausted => {
                return Err(close_reason(Unavailable::Busy));
            }
            Ok(content) => content,
            Err(Unavailable::NotFound | Unavailable::Incomplete) => return Ok(0),
            Err(error) => return Err(close_reason(error)),
        };
        let size = match &content {
            FileContent::Small(content) => content.bytes.len() as u64,
            FileContent::Large { size, .. } => *size,
        };
        let header = entry_header(self.entry_name(&file.name), size, file.mtime);
        let padding = padding(size);
        let reply = &mut request.reply;
        reply.begin_chunk((header.len() + padding.len()) as u64 + size);
        reply.append_bytes(&header);
        let sent = match content {
            FileContent::Small(content) => {
                reply.append_bytes(content.bytes);
                content.bytes.len()
            }
            FileContent::Large { size, file } => {
                reply.append_file(file, 0..size);
                BYTES_PER_TURN
            }
        };
        reply.append_bytes(padding);
        reply.end_chunk();
        Ok(sent)
    }
}

/// Why an archive breaks off.
fn close_reason(error: Unavailable) -> CloseReason {
    match error {
        Unavailable::Busy => CloseReason::LimitReached(ResourceLimit::OpenFiles),
        Unavailable::NotFound | Unavailable::Incomplete | Unavailable::NotAllowed => {
            CloseReason::FileChanged
        }
        Unavailable::Failed(why) => CloseReason::FileReadError(std::io::Error::other(why)),
    }
}
