//! The size of a share, for people.

use std::fmt;

use crate::byte_size::ByteSize;
use crate::counted::Counted;
use crate::node::ShareTotals;

impl fmt::Display for ShareTotals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { files, bytes } = *self;
        write!(f, "{} ({})", Counted(files, "file"), ByteSize(bytes))
    }
}
