//! An error of the operating system as text.

use std::fmt;
use std::io;

/// Prints an error for people: `No such file or directory`, without the number that
/// the standard library adds.
pub(crate) struct Reason<'a>(pub(crate) &'a io::Error);

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        f.write_str(text.split(" (os error ").next().unwrap_or(&text))
    }
}
