//! Where fetched content goes: stdout or files.
//!
//! A [`Destination`] holds the open output of each fetch: the [`Printer`] for
//! stdout, or an `OutputFile`. A regular file is written as a `PartFile`, which
//! gets its name when the content is complete.

mod destination;
mod output_file;
mod part_file;
mod printer;

pub use destination::{Destination, Target};
pub use printer::Printer;
pub(crate) use printer::stdout_error;
