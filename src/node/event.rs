//! The events that a node reports to its user.

use std::fmt;
use std::net::SocketAddr;

use crate::close_reason::CloseReason;
use crate::escaped::Escaped;
use crate::jobs::Failure;
use crate::protocol::{Delivery, ErrorCode, NodeAddress, Registered};
use crate::system_error::SourceAddressError;

/// An event that a node reports to its user. It prints as one line, with control
/// characters from the network escaped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NodeEvent<'a> {
    /// The relay has registered the node, at this address or again after a failure.
    Registered(Registered),
    /// The node cannot register, for this reason, and retries. Reported once, until
    /// a registration succeeds.
    RegistrationFailed(String),
    /// The node does not register, because nobody could reach it at the address that the relay
    /// would list. It retries. Reported like the failures above.
    Unreachable(SourceAddressError),
    /// The relay has removed the node, as the node requested.
    Unregistered,
    /// The node receives the messages that are sent to this address.
    Listening(NodeAddress),
    /// The node cannot receive messages, for this reason, and retries. Reported
    /// once, until it can listen again.
    ListenFailed(String),
    /// Another connection receives the messages now. The node does not retry.
    ListenerReplaced,
    /// A message arrived.
    Message(Delivery<'a>),
    /// The relay has forwarded a message of the node to this address.
    MessageSent(NodeAddress),
    /// The relay has not forwarded a message, or may not have, for this reason.
    MessageNotSent(NodeAddress, String),
    /// The same for an answer that a program has made.
    AnswerNotSent(NodeAddress, String),
}

/// What a node tells its user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeReport<'a> {
    /// The relay, as the user wrote it, if the event concerns one of several.
    pub relay: Option<&'a str>,
    /// The index of the relay that has caused it, if one has.
    pub relay_index: Option<usize>,
    /// What has happened.
    pub event: NodeEvent<'a>,
}

/// As one line.
impl fmt::Display for NodeReport<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.relay {
            Some(relay) => write!(f, "{}: {}", Escaped::text(relay), self.event),
            None => self.event.fmt(f),
        }
    }
}

impl NodeEvent<'_> {
    /// Whether it concerns a relay, and not a message or its sender.
    pub(super) fn concerns_relay(&self) -> bool {
        match self {
            Self::Registered(_)
            | Self::RegistrationFailed(_)
            | Self::Unreachable(_)
            | Self::Unregistered
            | Self::Listening(_)
            | Self::ListenFailed(_)
            | Self::ListenerReplaced => true,
            Self::Message(_)
            | Self::MessageSent(_)
            | Self::MessageNotSent(..)
            | Self::AnswerNotSent(..) => false,
        }
    }
}

impl fmt::Display for NodeEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registered(Registered { lease, address, .. }) => {
                let seconds = lease.as_secs();
                write!(f, "registered as {address}, lease {seconds} s")
            }
            Self::RegistrationFailed(reason) => {
                write!(f, "not registered: {reason}; still serving files, retrying")
            }
            Self::Unreachable(error) => write!(
                f,
                "not registered: {error}: nobody can reach the node there; retrying"
            ),
            Self::Unregistered => f.write_str("unregistered"),
            Self::Listening(address) => write!(f, "messages to {address} arrive here"),
            Self::ListenFailed(reason) => write!(f, "no messages arrive: {reason}; retrying"),
            Self::ListenerReplaced => f.write_str(
                "no more messages arrive: another connection listens at the address of this node",
            ),
            Self::Message(Delivery { from, text }) => {
                write!(f, "message from {from}: {}", Escaped::text(text.as_str()))
            }
            Self::MessageSent(to) => write!(f, "sent to {to}"),
            Self::AnswerNotSent(to, reason) => write!(f, "answer not sent to {to}: {reason}"),
            Self::MessageNotSent(to, reason) => write!(f, "not sent to {to}: {reason}"),
        }
    }
}

/// An error reply of the relay, for people.
pub(super) fn relay_error(code: ErrorCode, text: &str) -> String {
    let text = code.text_for_program(text);
    format!("the relay says {code} {}", Escaped::text(&text))
}

/// Why a connection to the relay has ended, for people.
pub(super) fn relay_failure(relay: Option<SocketAddr>, reason: &CloseReason) -> String {
    let failure = Failure::Ended(reason);
    match relay {
        Some(relay) => format!("relay {relay}: {failure}"),
        None => failure.to_string(),
    }
}
