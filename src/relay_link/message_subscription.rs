//! Our end of a connection that listens for messages: it asks the relay to let
//! it listen, takes the `FROM` lines that come between the answers, and sends
//! on the same connection, so that the receiver sees where we can be answered.

use std::borrow::Cow;
use std::collections::VecDeque;

use log::Level;

use crate::close_reason::CloseReason;
use crate::escaped::Escaped;
use crate::protocol::{
    ClaimedIp, Code, Delivery, NodeAddress, Port, Reply, ReplyError, Request, Text,
};
use crate::role::{ConnId, Input, Output, ReadNext, Role};
use crate::session::server::say;

/// One connection that listens, or is about to.
pub(crate) struct MessageSubscription {
    /// The node at whose address it listens; else it does so at its own.
    node: Option<(ClaimedIp, Port)>,
    /// Known once the dial has succeeded.
    conn: Option<ConnId>,
    /// Where it listens, once it does.
    address: Option<NodeAddress>,
    /// What was asked and not answered yet, in order.
    asked: VecDeque<Asked>,
    /// A message that cannot be read was told.
    warned: bool,
}

/// A request that waits for its answer.
enum Asked {
    Register,
    Listen,
    Send(NodeAddress),
}

/// What comes out of a mailbox.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum SubscriptionEvent<'a> {
    /// It listens at this address now.
    Open(NodeAddress),
    /// The relay does not let us listen. The connection closes.
    Refused(Code, Cow<'a, str>),
    /// Another connection listens in our place. The connection closes.
    Replaced,
    /// Somebody says something.
    Message(Delivery<'a>),
    /// What we said was passed on to whoever listens there.
    Sent(NodeAddress),
    /// It was not.
    NotSent(NodeAddress, Code, Cow<'a, str>),
}

impl MessageSubscription {
    /// A mailbox for whoever answers the dial. If it is that of a node, it
    /// registers first: so it listens at the node's address.
    #[must_use]
    pub(crate) fn new(node: Option<(ClaimedIp, Port)>) -> Self {
        Self {
            node,
            conn: None,
            address: None,
            asked: VecDeque::new(),
            warned: false,
        }
    }

    /// Where it listens, if it does.
    #[must_use]
    pub(crate) fn address(&self) -> Option<NodeAddress> {
        self.address
    }

    /// The connection, once there is one.
    #[must_use]
    pub(crate) fn conn(&self) -> Option<ConnId> {
        self.conn
    }

    /// Something was heard on its connection.
    pub(crate) fn on_input<'a, R: Role>(
        &mut self,
        out: &mut Output<R>,
        conn: ConnId,
        heard: Input<'a>,
    ) -> (ReadNext, Option<SubscriptionEvent<'a>>) {
        let line = match heard {
            Input::Connected => {
                self.conn = Some(conn);
                let text = out.text(conn);
                if let Some((ip, port)) = self.node {
                    self.ask(text, &Request::Register(ip, port), Asked::Register);
                }
                self.ask(text, &Request::Listen, Asked::Listen);
                return (ReadNext::Line, None);
            }
            Input::Line(line) => line,
            Input::Resumed => return (ReadNext::Line, None),
            Input::Body(_) | Input::FramingError(_) => {
                return (ReadNext::Close(CloseReason::ProtocolError), None);
            }
        };
        let awaited = self.asked.len();
        let Ok(mail) = self.line(line) else {
            return (ReadNext::Close(CloseReason::ProtocolError), None);
        };
        let next = match mail {
            Some(SubscriptionEvent::Replaced) => ReadNext::Close(CloseReason::Replaced),
            Some(SubscriptionEvent::Refused(..)) => ReadNext::Close(CloseReason::Completed),
            None
            | Some(
                SubscriptionEvent::Open(_)
                | SubscriptionEvent::Message(_)
                | SubscriptionEvent::Sent(_)
                | SubscriptionEvent::NotSent(..),
            ) => ReadNext::Line,
        };
        if awaited > 0 && self.asked.is_empty() && self.address.is_some() {
            out.allow_idle(conn);
        }
        (next, mail)
    }

    /// Says something to whoever listens at `to`. Returns false if it does not
    /// listen itself yet.
    pub(crate) fn send<R: Role>(
        &mut self,
        out: &mut Output<R>,
        to: NodeAddress,
        text: Text<'static>,
    ) -> bool {
        let (Some(conn), Some(_)) = (self.conn, self.address) else {
            return false;
        };
        if self.asked.is_empty() {
            out.expect_reply(conn);
        }
        self.ask(out.text(conn), &Request::Send(to, text), Asked::Send(to));
        true
    }

    /// To whom something may or may not have been passed on.
    pub(crate) fn unanswered(&self) -> impl Iterator<Item = NodeAddress> {
        self.asked.iter().filter_map(|asked| match asked {
            Asked::Send(to) => Some(*to),
            Asked::Register | Asked::Listen => None,
        })
    }

    /// Whether it has asked to be registered, and has no answer yet.
    #[must_use]
    pub(crate) fn is_registering(&self) -> bool {
        matches!(self.asked.front(), Some(Asked::Register))
    }

    fn ask(&mut self, text: &mut Vec<u8>, request: &Request<'_>, asked: Asked) {
        say(text, request);
        self.asked.push_back(asked);
    }

    /// One line: a message, or the answer to what was asked first.
    fn line<'a>(&mut self, line: &'a [u8]) -> Result<Option<SubscriptionEvent<'a>>, ReplyError> {
        if line.starts_with(b"FROM ") {
            let delivery = std::str::from_utf8(line).ok().and_then(Delivery::parse);
            if delivery.is_none() {
                self.skip(line);
            }
            return Ok(delivery.map(SubscriptionEvent::Message));
        }
        let reply = match Reply::parse(line)? {
            // No answer of ours has this code.
            Reply::Error(Code::Changed, _) => return Ok(Some(SubscriptionEvent::Replaced)),
            reply => reply,
        };
        Ok(Some(match (self.asked.pop_front(), reply) {
            (Some(Asked::Register), Reply::Ok(_)) => return Ok(None),
            (Some(Asked::Listen), Reply::Ok(text)) => {
                let address = NodeAddress::parse(&text).map_err(|_| ReplyError)?;
                self.address = Some(address);
                SubscriptionEvent::Open(address)
            }
            (Some(Asked::Register | Asked::Listen), Reply::Error(code, text)) => {
                SubscriptionEvent::Refused(code, text)
            }
            (Some(Asked::Send(to)), Reply::Ok(_)) => SubscriptionEvent::Sent(to),
            (Some(Asked::Send(to)), Reply::Error(code, text)) => {
                SubscriptionEvent::NotSent(to, code, text)
            }
            (_, _) => return Err(ReplyError),
        }))
    }

    /// A message may come from somebody whose address is of a later kind. A
    /// hostile relay must not flood the log.
    fn skip(&mut self, line: &[u8]) {
        let level = if std::mem::replace(&mut self.warned, true) {
            Level::Debug
        } else {
            Level::Warn
        };
        log::log!(level, "the relay passes on {}", Escaped(line));
    }
}
