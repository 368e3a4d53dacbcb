//! File names, as they are requested, listed and shared.

use std::borrow::Cow;
use std::fmt;

use crate::escaped::is_bidi_control;
use crate::protocol::MAX_NAME;
use crate::protocol::fields::is_blank;

/// A relative file name that is safe to look up below a directory and to print on
/// one line: 1 to 1,024 bytes of UTF-8, parts separated by `/`, no part empty,
/// `.` or `..`, no control character, no backslash, no bidi control, no blank
/// at either end.
///
/// Names are compared byte by byte and never normalised.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FileName<'a>(Cow<'a, str>);

impl<'a> FileName<'a> {
    /// Parses a name.
    ///
    /// # Errors
    /// The first rule that `text` breaks.
    pub fn parse(text: &'a str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > MAX_NAME {
            return Err(NameError::TooLong);
        }
        if text.starts_with(is_blank) || text.ends_with(is_blank) {
            return Err(NameError::BlankAtEnd);
        }
        if !is_plain(text.as_bytes()) {
            check_rules(text)?;
        }
        Ok(Self(Cow::Borrowed(text)))
    }

    /// The name itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a part of the name starts with a dot.
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        hidden_parts(&self.0) > 0
    }

    /// Whether a part of the name is the name of an unfinished file; see
    /// [`is_part_file`].
    #[must_use]
    pub fn is_part_file(&self) -> bool {
        let mut parts = self.0.split('/');
        parts.any(|part| is_part_file(part.as_bytes()))
    }

    /// A copy of the name that outlives the line.
    #[must_use]
    pub fn into_owned(self) -> FileName<'static> {
        FileName(Cow::Owned(self.0.into_owned()))
    }
}

/// How many parts of a name or a folder start with a dot.
#[must_use]
pub fn hidden_parts(name: &str) -> usize {
    let parts = name.split('/');
    parts.filter(|part| part.starts_with('.')).count()
}

/// Whether a name without slashes has the form `.….part` or `.….part.state`. A client keeps
/// an unfinished download and its state under such names, so they are never shared, and
/// never taken from others: a foreign state would be believed. Some file systems ignore
/// case.
#[must_use]
pub fn is_part_file(name: &[u8]) -> bool {
    let ends_with = |suffix: &[u8]| {
        let start = name.len().checked_sub(suffix.len());
        start.is_some_and(|start| name[start..].eq_ignore_ascii_case(suffix))
    };
    name.starts_with(b".") && (ends_with(b".part") || ends_with(b".part.state"))
}

/// Whether a name needs no further check, as most names. A name that is not plain
/// may still be valid. The loops have no early exit, so that the compiler can
/// vectorise them.
fn is_plain(name: &[u8]) -> bool {
    let is_special = |byte: u8| !(b' '..=b'~').contains(&byte) || byte == b'\\';
    let is_special_part = |slash: u8, next: u8| slash == b'/' && (next == b'/' || next == b'.');
    let pairs = name.iter().zip(name.iter().skip(1));
    let has_special = name.iter().fold(false, |any, byte| any | is_special(*byte))
        | pairs.fold(false, |any, (a, b)| any | is_special_part(*a, *b));
    let ends = (name.first(), name.last());
    !has_special && !matches!(ends, (Some(b'/' | b'.'), _) | (_, Some(b'/')))
}

fn check_rules(name: &str) -> Result<(), NameError> {
    if name
        .chars()
        .any(|c| c.is_control() || c == '\\' || is_bidi_control(c))
    {
        return Err(NameError::Character);
    }
    if name
        .split('/')
        .any(|part| part.is_empty() || part == "." || part == "..")
    {
        return Err(NameError::Parts);
    }
    Ok(())
}

impl fmt::Display for FileName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is not a file name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NameError {
    /// The text is empty.
    Empty,
    /// The text has more than 1,024 bytes.
    TooLong,
    /// The text starts or ends with a blank.
    BlankAtEnd,
    /// The text contains a control character, a backslash or a bidi control.
    Character,
    /// The text is absolute, or a part of it is empty, `.` or `..`.
    Parts,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the file name is missing",
            Self::TooLong => "a file name has at most 1024 bytes",
            Self::BlankAtEnd => "a file name must not start or end with a blank",
            Self::Character => "a file name must not contain control characters or backslashes",
            Self::Parts => "a file name must be relative, and no part may be empty, . or ..",
        })
    }
}

impl std::error::Error for NameError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_part_files_are_known() {
        for name in [".a.part", "x/.a.PART.State/y", ".part", ".a.part.state"] {
            assert!(
                FileName::parse(name).expect("a name").is_part_file(),
                "{name}"
            );
        }
        for name in ["a.part", "x.y/.a.part.b", ".a.parts", ".a.state", ".a"] {
            assert!(
                !FileName::parse(name).expect("a name").is_part_file(),
                "{name}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_plain_name_is_valid(name in "[a./\\\\ \\x00-\\x7f\u{e9}\u{202e}]{1,6}") {
            prop_assert!(!is_plain(name.as_bytes()) || check_rules(&name) == Ok(()));
        }

        #[test]
        fn most_names_are_plain(name in "[ -.0-\\[\\]-~]{1,9}(/[a-z][ -.0-\\[\\]-~]{0,9}){0,3}") {
            prop_assert!(name.starts_with('.') || is_plain(name.as_bytes()));
        }
    }
}
