//! Where fetched content goes: stdout or a file.

mod destination;
mod part_file;
mod printer;

pub use destination::{Destination, Target};
pub use printer::Printer;
pub(crate) use printer::failed;
