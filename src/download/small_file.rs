//! A content of one piece: it is collected in memory and written at once.

use std::ffi::OsStr;
use std::io::{self, Write};

use crate::download::part_names::small_part_name;
use crate::download::target_file::TargetFile;
use crate::jobs::ContentInfo;

/// The content of a small file.
pub(super) struct SmallFile {
    target: TargetFile,
    content: Vec<u8>,
}

impl SmallFile {
    /// A file of `size` bytes.
    pub(super) fn new(target: TargetFile, size: u64) -> Self {
        // At most the size of a piece.
        let content = vec![0; size as usize];
        Self { target, content }
    }

    pub(super) fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let range = start..start.saturating_add(bytes.len());
        let room = self.content.get_mut(range);
        room.ok_or(io::ErrorKind::FileTooLarge)?
            .copy_from_slice(bytes);
        Ok(())
    }

    /// Writes the content without a name, or else under another name first: the file is
    /// never seen incomplete.
    pub(super) fn commit(&self, content: &ContentInfo) -> io::Result<()> {
        if let Some(mut file) = self.target.create_unnamed() {
            file.write_all(&self.content)?;
            if self.target.install_unnamed(&file, content)? {
                return Ok(());
            }
        }
        let name = small_part_name(&self.target.name);
        let name: &OsStr = &name;
        let mut file = self.target.create(name)?;
        let result = file
            .write_all(&self.content)
            .and_then(|()| self.target.check_close(&file))
            .and_then(|()| self.target.install(&file, name, content));
        if result.is_err() {
            self.target.remove(name, &file);
        }
        result
    }
}
