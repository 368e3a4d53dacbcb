//! Why a file of the user is not repaired.

use std::path::Path;

use crate::counted::Counted;
use crate::download::shell_command::{self, AdvisedCommands};
use crate::protocol::FileName;

/// Why a file of the user is not changed.
#[derive(Debug)]
pub(super) enum RepairError {
    /// There is no file for the content of this name.
    Missing(FileName<'static>),
    /// There is something else than a regular file.
    OtherType { is_folder: bool },
    /// The content of this name has only one piece, and another length than the file, in
    /// bytes.
    OtherLength {
        name: FileName<'static>,
        length: u64,
        size: u64,
    },
    /// The file is longer than the content, in bytes.
    TooLong { length: u64, size: u64 },
    /// No piece of the file is right for the content of this name.
    Different(FileName<'static>),
    /// No node lists the pieces of the content.
    NoPieces,
    /// A piece that would replace one of the file is not right.
    WrongPiece,
    /// The file, for the content of this name, has pieces that are too long to be checked in
    /// memory.
    TooLarge(FileName<'static>),
}

impl RepairError {
    /// Advice for a person. `path` is the path of `file`, escaped.
    pub(super) fn text(&self, path: &str, file: &Path, commands: &AdvisedCommands) -> String {
        match self {
            Self::Missing(name) => {
                let command = commands.fetch(name, file);
                format!("{path} is missing; to fetch it: {command}")
            }
            Self::OtherType { is_folder: true } => {
                format!("{path} is a folder, and the content is that of a file")
            }
            Self::OtherType { is_folder: false } => format!("{path} is not a regular file"),
            Self::OtherLength { name, length, size } => format!(
                "{path} has {}, and the content has {size}; it was not changed; \
                 to replace it: {}",
                Counted(*length, "byte"),
                commands.replace(name, file)
            ),
            Self::TooLong { length, size } => format!(
                "{path} was not changed: {} follow the {size} bytes of the content, and may be \
                 yours; to cut them off, before you verify it again: {}",
                Counted(length - size, "byte"),
                shell_command::cut(file, *size)
            ),
            Self::Different(name) => format!(
                "{path} has another content, and may be another file; it was not changed; \
                 to replace it: {}",
                commands.replace(name, file)
            ),
            Self::NoPieces => {
                format!("{path} was not changed: no node lists the hashes of its pieces")
            }
            Self::WrongPiece => {
                format!("{path} was not changed: a piece for it is not right")
            }
            Self::TooLarge(name) => format!(
                "{path} has more than 1 TiB, and cannot be repaired in place; it was not changed; \
                 to replace it: {}",
                commands.replace(name, file)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_another_file_agrees_with_its_noun() {
        for (length, bytes) in [(0, "0 bytes"), (1, "1 byte"), (2, "2 bytes")] {
            let name = FileName::parse("a").expect("a name");
            let size = 4;
            let error = RepairError::OtherLength { name, length, size };
            let text = error.text("a", Path::new("a"), &AdvisedCommands::default());
            let start = format!("a has {bytes}, and the content has 4; ");
            assert!(text.starts_with(&start), "{text}");
        }
    }
}
