//! The lines of lists of files and of their holders.

use std::fmt;

use nom::Parser;

use crate::protocol::address::{ClaimedIp, NodeAddress, claim};
use crate::protocol::blank::{hash, last, number, trim};
use crate::protocol::hash::MaybeHash;
use crate::protocol::name::FileName;

/// One line of a list of files: `size hash holders name`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileItem<'a> {
    /// In bytes.
    pub size: u64,
    /// The content's hash.
    pub hash: MaybeHash,
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
        let (_, (size, hash, holders, name)) = (number, hash, number, last)
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

/// One line of a list of holders: `ip port size hash`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HolderItem {
    /// The node that has the file.
    pub node: NodeAddress,
    /// In bytes.
    pub size: u64,
    /// The content's hash.
    pub hash: MaybeHash,
}

impl HolderItem {
    /// Reads one line without its end. Fields after those known are ignored.
    ///
    /// # Errors
    /// It is not of that form.
    pub fn parse(line: &str) -> Result<Self, ItemError> {
        let (_, ((ip, port), size, hash)) = (claim, number, hash)
            .parse(trim(line))
            .map_err(|_| ItemError)?;
        let ClaimedIp::Is(ip) = ip else {
            return Err(ItemError);
        };
        Ok(Self {
            node: NodeAddress::new(ip, port).map_err(|_| ItemError)?,
            size,
            hash,
        })
    }
}

/// As on the wire.
impl fmt::Display for HolderItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, size, hash } = self;
        write!(f, "{node} {size} {hash}")
    }
}

/// The line is no item of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ItemError;

impl fmt::Display for ItemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the line is no item of this list")
    }
}

impl std::error::Error for ItemError {}
