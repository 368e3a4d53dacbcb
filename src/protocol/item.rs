//! The lines of a list of files.

use std::fmt;

use nom::Parser;

use super::blank::{field, last, number, trim};
use super::name::FileName;

/// One line of a list of files: `size hash holders name`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileItem<'a> {
    /// In bytes.
    pub size: u64,
    /// The content's hash as 64 hex digits, or `-` where it is not known.
    pub hash: &'a str,
    /// How many nodes have it.
    pub holders: u64,
    /// The name, last because it may hold blanks.
    pub name: FileName<'a>,
}

impl<'a> FileItem<'a> {
    /// Reads one line without its end.
    ///
    /// # Errors
    /// It is not of that form, or the name is none.
    pub fn parse(line: &'a str) -> Result<Self, ItemError> {
        let (_, (size, hash, holders, name)) = (number, field, number, last)
            .parse(trim(line))
            .map_err(|_| ItemError)?;
        Ok(Self {
            size,
            hash,
            holders,
            name: FileName::parse(name).map_err(|_| ItemError)?,
        })
    }
}

/// As on the wire.
impl fmt::Display for FileItem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            size,
            hash,
            holders,
            name,
        } = self;
        write!(f, "{size} {hash} {holders} {name}")
    }
}

/// The line is no item of a list of files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ItemError;

impl fmt::Display for ItemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an item of a list is: size hash holders name")
    }
}

impl std::error::Error for ItemError {}
