//! What the user of a node wants to know.

use std::fmt;

use crate::escaped::Escaped;
use crate::protocol::{Delivery, NodeAddress, Registered};

/// Something that the user of a node wants to know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NodeEvent<'a> {
    /// The relay lists us now.
    Registered(Registered),
    /// The relay does not; we go on trying. Said once until it works again.
    RelayAway(String),
    /// The relay has taken us out, as we asked.
    Unregistered,
    /// Messages to this address reach us now.
    Listening(NodeAddress),
    /// They do not; we go on trying. Said once until it works again.
    Unheard(String),
    /// They do not, and we do not try again.
    Replaced,
    /// Somebody says something.
    Message(Delivery<'a>),
    /// What we said was passed on to whoever listens there.
    Sent(NodeAddress),
    /// It was not, or nobody knows.
    NotSent(NodeAddress, String),
}

/// With what came from the network made visible.
impl fmt::Display for NodeEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registered(Registered { lease, address, .. }) => {
                let seconds = lease.as_secs();
                write!(f, "registered as {address}, lease {seconds} s")
            }
            Self::RelayAway(why) => {
                write!(f, "not registered: {why}; serving on, and trying again")
            }
            Self::Unregistered => f.write_str("unregistered"),
            Self::Listening(address) => write!(f, "messages to {address} arrive here"),
            Self::Unheard(why) => write!(f, "no messages arrive: {why}; trying again"),
            Self::Replaced => {
                f.write_str("no more messages arrive: another one listens at our address")
            }
            Self::Message(Delivery { from, text }) => {
                write!(f, "message from {from}: {}", Escaped::text(text.as_str()))
            }
            Self::Sent(to) => write!(f, "sent to {to}"),
            Self::NotSent(to, why) => write!(f, "not sent to {to}: {why}"),
        }
    }
}
