//! Where fetched content goes: stdout or files.
//!
//! A [`Destination`] holds the open output of each fetch: the [`Printer`] for
//! stdout, or an `OutputFile`. A regular file gets its name when the content is
//! complete. Until then a small one is a `SmallFile` in memory. A large one is a
//! `PartFile`: if the download is broken off, the next one continues it.

#[cfg(test)]
mod damage_tests;
mod destination;
mod disk_space;
mod existing_file;
mod file_writer;
mod output_file;
mod parent_folder;
mod part_file;
mod part_files;
mod part_names;
mod part_state;
mod path;
mod permissions;
mod piece_check;
mod printer;
mod repair_error;
mod repair_file;
#[cfg(test)]
mod resume_tests;
mod save_error;
mod save_folder;
mod saved_files;
mod shell_command;
mod small_file;
mod sparse_write;
mod stored_bytes;
mod target;
mod target_file;
mod verify_target;

pub use destination::Destination;
pub use file_writer::{FileWriter, FileWriterThread};
pub use output_file::SaveOptions;
pub(crate) use path::{path_exists, path_type};
pub use printer::Printer;
pub(crate) use printer::stdout_error;
pub use shell_command::AdvisedCommands;
pub use target::Target;
pub use verify_target::{VerifyTargetError, verify_target};
