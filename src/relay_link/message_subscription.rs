//! The client side of a connection that listens for messages: it asks the relay to
//! let it listen, reads the `FROM` lines that come between the responses, and sends
//! messages on the same connection, so that the receiver sees the address to answer.

use std::borrow::Cow;

use crate::close_reason::CloseReason;
use crate::escaped::Escaped;
use crate::protocol::{
    ClaimedIp, Delivery, ErrorCode, Listening, NodeAddress, Port, Reply, Request, Text,
};
use crate::role::{ConnId, Input, Output, ReadNext, Role};
use crate::session::requests::{RequestQueue, ResponsePart};

/// The most unreadable messages on a connection: the address of a sender may be of a kind
/// that this version does not know.
const MAX_UNREADABLE: u32 = 100;

/// One connection that listens, or is about to.
pub(crate) struct MessageSubscription {
    /// The node at whose address it listens, instead of the connection's own address.
    node: Option<(ClaimedIp, Port)>,
    /// Known once the dial has succeeded.
    conn: Option<ConnId>,
    /// The address at which it listens, once it does.
    pub(crate) address: Option<NodeAddress>,
    requests: RequestQueue<SubscriptionRequest>,
    unreadable: u32,
}

/// A request of a subscription.
enum SubscriptionRequest {
    Register,
    Listen,
    Send(NodeAddress),
}

/// An event of a subscription.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum SubscriptionEvent<'a> {
    /// It listens at this address now.
    Open(NodeAddress),
    /// The relay does not let it listen, or not any longer. The connection closes.
    Refused(ErrorCode, Cow<'a, str>),
    /// Another connection listens in its place. The connection closes.
    Replaced,
    /// A message arrived.
    Message(Delivery<'a>),
    /// A message was passed on to the listener at this address.
    Sent(NodeAddress),
    /// A message was not passed on.
    NotSent(NodeAddress, ErrorCode, Cow<'a, str>),
}

impl MessageSubscription {
    /// A subscription without a connection. With a `node`, it registers the node first.
    pub(crate) fn new(node: Option<(ClaimedIp, Port)>) -> Self {
        Self {
            node,
            conn: None,
            address: None,
            requests: RequestQueue::default(),
            unreadable: 0,
        }
    }

    /// Whether there is a connection.
    pub(crate) fn is_connected(&self) -> bool {
        self.conn.is_some()
    }

    /// Closes the connection, if there is one.
    pub(crate) fn close<R: Role>(&self, out: &mut Output<R>, reason: CloseReason) {
        if let Some(conn) = self.conn {
            out.close(conn, reason);
        }
    }

    pub(crate) fn on_input<'a, R: Role>(
        &mut self,
        out: &mut Output<R>,
        conn: ConnId,
        input: Input<'a>,
    ) -> (ReadNext, Option<SubscriptionEvent<'a>>) {
        if let Input::Connected = input {
            self.conn = Some(conn);
            let (requests, text) = (&mut self.requests, out.append_reply(conn));
            if let Some((ip, port)) = self.node {
                let request = Request::Register(ip, port);
                requests.send(&request, SubscriptionRequest::Register, text);
            }
            requests.send(&Request::Listen, SubscriptionRequest::Listen, text);
            return (ReadNext::Line, None);
        }
        let was_waiting = !self.requests.is_empty();
        let (next, event) = match self.requests.on_input(input) {
            Ok(Some((part, request))) => self.on_response(part, request),
            Ok(None) => (ReadNext::Line, None),
            Err(_) => (ReadNext::Close(CloseReason::ProtocolError), None),
        };
        if was_waiting && self.requests.is_empty() && self.address.is_some() {
            out.allow_idle(conn);
        }
        (next, event)
    }

    /// Sends a message to the listener at `to`. Returns false if the subscription is
    /// not open yet.
    pub(crate) fn send<R: Role>(
        &mut self,
        out: &mut Output<R>,
        to: NodeAddress,
        text: Text<'static>,
    ) -> bool {
        let (Some(conn), Some(_)) = (self.conn, self.address) else {
            return false;
        };
        if self.requests.is_empty() {
            out.expect_reply(conn);
        }
        let (request, tag) = (Request::Send(to, text), SubscriptionRequest::Send(to));
        self.requests.send(&request, tag, out.append_reply(conn));
        true
    }

    /// Whether `REGISTER` is outstanding.
    pub(crate) fn is_registering(&self) -> bool {
        let first = self.requests.tags().next();
        matches!(first, Some(SubscriptionRequest::Register))
    }

    fn on_response<'a>(
        &mut self,
        part: ResponsePart<'a>,
        request: Option<SubscriptionRequest>,
    ) -> (ReadNext, Option<SubscriptionEvent<'a>>) {
        let protocol_error = (ReadNext::Close(CloseReason::ProtocolError), None);
        let (reply, request) = match (part, request) {
            (ResponsePart::Message(message), _) => {
                return (ReadNext::Line, Some(SubscriptionEvent::Message(message)));
            }
            (ResponsePart::UnreadableMessage(line), _) => {
                log::warn!("the relay passes on {}", Escaped(line));
                self.unreadable += 1;
                if self.unreadable > MAX_UNREADABLE {
                    return protocol_error;
                }
                return (ReadNext::Line, None);
            }
            // No request of ours gets this code.
            (ResponsePart::Head(Reply::Error(ErrorCode::CHANGED, _)), _) => {
                let next = ReadNext::Close(CloseReason::Replaced);
                return (next, Some(SubscriptionEvent::Replaced));
            }
            // The relay says why it is about to close the connection.
            (ResponsePart::Head(Reply::Error(code, text)), None) => {
                let next = ReadNext::Close(CloseReason::Completed);
                return (next, Some(SubscriptionEvent::Refused(code, text)));
            }
            (ResponsePart::Head(reply), Some(request)) => (reply, request),
            (_, _) => return protocol_error,
        };
        let event = match (request, reply) {
            (SubscriptionRequest::Register, Reply::Ok(_)) => return (ReadNext::Line, None),
            (SubscriptionRequest::Listen, Reply::Ok(text)) => {
                let Ok(Listening(address)) = Listening::parse(&text) else {
                    return protocol_error;
                };
                self.address = Some(address);
                SubscriptionEvent::Open(address)
            }
            (SubscriptionRequest::Send(to), Reply::Ok(_)) => SubscriptionEvent::Sent(to),
            (SubscriptionRequest::Send(to), Reply::Error(code, text)) => {
                SubscriptionEvent::NotSent(to, code, text)
            }
            (_, Reply::Error(code, text)) => {
                let next = ReadNext::Close(CloseReason::Completed);
                return (next, Some(SubscriptionEvent::Refused(code, text)));
            }
            (_, _) => return protocol_error,
        };
        (ReadNext::Line, Some(event))
    }
}
