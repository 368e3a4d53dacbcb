//! Queries to the relay.

use crate::protocol::{FileName, NodeAddress, Text, TextError};

/// A query to the relay.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Query {
    /// The nodes.
    Nodes,
    /// The files whose names contain this text.
    Files(String),
    /// The nodes that have this file.
    Holders(FileName<'static>),
    /// Pass a message on to this address.
    Message(NodeAddress, Text<'static>),
}

impl Query {
    /// Whether request and response mostly fit into a datagram each.
    pub(super) fn fits_datagram(&self) -> bool {
        match self {
            Self::Nodes | Self::Holders(_) => true,
            Self::Files(_) | Self::Message(..) => false,
        }
    }

    /// The files whose names contain `text`. Every name contains the empty text.
    ///
    /// # Errors
    /// The text does not fit on a line.
    pub fn files(text: &str) -> Result<Self, TextError> {
        match Text::parse(text) {
            Ok(_) | Err(TextError::Empty) => Ok(Self::Files(text.to_owned())),
            Err(error) => Err(error),
        }
    }
}
