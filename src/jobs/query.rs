//! What a relay can be asked.

use crate::protocol::{FileName, NodeAddress, Text, TextError};

/// What a relay can be asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Query {
    /// The nodes.
    Nodes,
    /// The files whose names contain this.
    Files(String),
    /// Who has this file.
    Holders(FileName<'static>),
    /// To pass a message on.
    Message(NodeAddress, Text<'static>),
}

impl Query {
    /// Whether question and answer fit into a datagram each, mostly.
    pub(super) fn is_brief(&self) -> bool {
        match self {
            Self::Nodes | Self::Holders(_) => true,
            Self::Files(_) | Self::Message(..) => false,
        }
    }

    /// A search for a part of a name; an empty text is in all of them.
    ///
    /// # Errors
    /// The text does not fit on a line.
    pub fn files(text: &str) -> Result<Self, TextError> {
        match Text::parse(text) {
            Ok(_) | Err(TextError::Empty) => Ok(Self::Files(text.to_owned())),
            Err(why) => Err(why),
        }
    }
}
