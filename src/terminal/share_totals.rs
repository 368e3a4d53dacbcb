//! The size of a share, for people.

use std::fmt;

use indicatif::DecimalBytes;

use crate::node::ShareTotals;

impl fmt::Display for ShareTotals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { files, bytes } = *self;
        let plural = if files == 1 { "" } else { "s" };
        write!(f, "{files} file{plural} ({})", DecimalBytes(bytes))
    }
}
