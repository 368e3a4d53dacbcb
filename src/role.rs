//! The interface between the loop and the program that it runs. No I/O, no clock.
//!
//! A [`Role`] receives events (a connection was accepted, a line arrived, a
//! deadline passed) with the current time, and appends the actions that follow to
//! an [`Output`]. A role owns no socket and opens no file, so a test can run a day
//! of it in a millisecond. The loop in `reactor` is generic over the role.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::close_reason::{CloseReason, ResourceLimit};

/// Identifies a connection for the lifetime of the process: slots are reused,
/// serials are not, so an outdated identifier never matches a newer connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ConnId {
    /// The index in the table of connections.
    pub slot: u32,
    /// The number of connections made before this one.
    pub serial: u32,
}

/// The remote end of a datagram, and the local socket that reaches it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct UdpPeer {
    /// The index of the local socket.
    pub socket: u32,
    /// The remote address.
    pub address: SocketAddr,
}

/// What one program decides. The loop calls a role; a role never blocks.
pub trait Role: Sized {
    /// The role's state of one connection. It prints as a summary of what the
    /// connection did, for the log.
    type Session: fmt::Display;
    /// An open file that the loop can send.
    type File;
    /// What other threads may send to the role.
    type Message: Send + 'static;

    /// The loop starts.
    fn start(&mut self, context: &mut Context<'_, Self>);

    /// A peer connected.
    fn on_accept(&mut self, peer: SocketAddr) -> Self::Session;

    /// A peer connected and a limit leaves no room: appends the text to send before
    /// the connection is closed.
    fn on_refuse(&self, limit: ResourceLimit, text: &mut Vec<u8>);

    /// Optional CPU-cache prefetch. Receives the raw, unparsed input of a batch of
    /// peers before any of it is handled: a piece may begin and end within a line.
    /// Must not change state.
    fn prefetch<'a>(&self, _arrived: impl Iterator<Item = (SocketAddr, &'a [u8])>) {}

    /// A piece of input arrived from `peer`. Answers to the pieces of one turn are
    /// sent together. Returns what to read next.
    fn on_input(
        &mut self,
        context: &mut Context<'_, Self>,
        conn: ConnId,
        peer: SocketAddr,
        session: &mut Self::Session,
        input: Input<'_>,
    ) -> ReadNext;

    /// A connection is closed, or could not be established.
    fn on_close(
        &mut self,
        context: &mut Context<'_, Self>,
        session: Self::Session,
        reason: &CloseReason,
    );

    /// A datagram arrived. The answer, if any, goes to [`Output::datagram`].
    fn on_datagram(&mut self, _context: &mut Context<'_, Self>, _from: UdpPeer, _bytes: &[u8]) {}

    /// The remote end of a connected datagram socket reports its port as closed.
    fn on_udp_unreachable(&mut self, _context: &mut Context<'_, Self>, _socket: u32) {}

    /// Whether requests of the role wait for responses outside of connections: a
    /// loop that stops waits for them.
    fn has_open_requests(&self) -> bool {
        false
    }

    /// Another thread sent a message.
    fn on_message(&mut self, context: &mut Context<'_, Self>, message: Self::Message);

    /// When to call [`Role::on_timer`].
    fn next_deadline(&self) -> Option<Instant>;

    /// The deadline has passed; the next one is later.
    fn on_timer(&mut self, context: &mut Context<'_, Self>);

    /// The file descriptor that the program watches became readable.
    fn on_external_event(&mut self, _context: &mut Context<'_, Self>) {}

    /// The program stops: finish the requests in progress, start none.
    fn drain(&mut self, context: &mut Context<'_, Self>);
}

/// One piece of input of a connection.
#[derive(PartialEq, Eq, Debug)]
pub enum Input<'a> {
    /// The outgoing connection is established.
    Connected,
    /// The role called [`Output::resume`] after [`ReadNext::Wait`].
    Resumed,
    /// A complete line, without its line ending.
    Line(&'a [u8]),
    /// Bytes of the body that [`ReadNext::Body`] announced.
    Body(&'a [u8]),
    /// The input cannot be split into lines any further.
    FramingError(FramingError),
}

/// Why input cannot be split into lines any further.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FramingError {
    /// The line is longer than the limit.
    LineTooLong,
    /// The input ended within a line.
    UnexpectedEof,
    /// The rest of a line did not arrive in time.
    LineTimeout,
}

/// What to read next from a connection.
#[derive(Debug)]
pub enum ReadNext {
    /// A line.
    Line,
    /// This many bytes, at least one, then a line.
    Body(u64),
    /// Nothing until the role calls [`Output::resume`].
    Wait,
    /// Nothing: send the answers so far, then close.
    Close(CloseReason),
}

/// The surroundings of one call of a role.
pub struct Context<'a, R: Role> {
    /// The current time.
    pub now: Instant,
    /// Counters of the loop.
    pub traffic: &'a Traffic,
    /// The actions to carry out after the call.
    pub out: &'a mut Output<R>,
}

/// Counters of a loop since its start.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Traffic {
    /// Connections open now.
    pub open: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections refused because of a limit.
    pub refused: u64,
    /// Reads that returned bytes. The reads of a batch are counted before its input
    /// is handled.
    pub reads: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Datagrams received.
    pub datagrams: u64,
    /// Datagrams that the system did not accept for sending.
    pub datagrams_lost: u64,
}

/// The actions that a role requests, in order. Consecutive texts for one connection
/// lie together in one buffer, so the answers of a turn leave with one write.
pub struct Output<R: Role> {
    text: Vec<u8>,
    actions: Vec<Action<R>>,
    /// Bytes to send that are not in `text`.
    external_bytes: u64,
}

/// One action that a role requests.
pub enum Action<R: Role> {
    /// Send the text that starts where the previous one ends.
    Text {
        /// The receiver.
        to: ConnId,
        /// The offset of its end.
        end: usize,
        /// The text answers no request: a peer that lets such text pile up is
        /// disconnected.
        unsolicited: bool,
    },
    /// Send the text that starts where the previous one ends as a datagram, unless
    /// it is empty.
    Datagram {
        /// The receiver.
        to: UdpPeer,
        /// The offset of its end.
        end: usize,
    },
    /// Lift the idle timeout of a connection that waits for messages of others: TCP
    /// keepalive alone decides whether the peer is alive.
    AllowIdle {
        /// The connection.
        conn: ConnId,
    },
    /// Demand the reply to a request in time on a connection without idle timeout,
    /// until the timeout is lifted again.
    ExpectReply {
        /// The connection.
        conn: ConnId,
    },
    /// Read on a connection that waits since [`ReadNext::Wait`].
    Resume {
        /// The connection.
        conn: ConnId,
    },
    /// Close a connection after everything that was sent to it.
    Close {
        /// The connection.
        conn: ConnId,
        /// The reason.
        reason: CloseReason,
    },
    /// Send bytes that several receivers share.
    Shared {
        /// The receiver.
        to: ConnId,
        /// The bytes.
        bytes: Arc<[u8]>,
    },
    /// Send `length` bytes of a file from `offset` on.
    File {
        /// The receiver.
        to: ConnId,
        /// The open file.
        file: R::File,
        /// The first byte.
        offset: u64,
        /// The number of bytes.
        length: u64,
    },
    /// Connect to an address.
    Dial {
        /// The address.
        address: SocketAddr,
        /// The state of the new connection.
        session: R::Session,
    },
    /// Stop the program gracefully, as SIGTERM does.
    ShutDown,
    /// Stop the loop at once: the role has finished.
    StopLoop,
}

impl<R: Role> Default for Output<R> {
    fn default() -> Self {
        Self {
            text: Vec::new(),
            actions: Vec::new(),
            external_bytes: 0,
        }
    }
}

impl<R: Role> Output<R> {
    /// The buffer to which an answer for `to` is appended. Only append.
    pub fn text(&mut self, to: ConnId) -> &mut Vec<u8> {
        self.append(to, false)
    }

    /// The buffer to which text that answers no request of `to` is appended.
    pub fn unsolicited(&mut self, to: ConnId) -> &mut Vec<u8> {
        self.append(to, true)
    }

    fn append(&mut self, to: ConnId, unsolicited: bool) -> &mut Vec<u8> {
        let continues = matches!(
            self.actions.last(),
            Some(Action::Text { to: last, unsolicited: last_unsolicited, .. }) if *last == to && *last_unsolicited == unsolicited
        );
        if !continues {
            // Its end is set when the next action begins.
            let end = 0;
            self.push(Action::Text {
                to,
                end,
                unsolicited,
            });
        }
        &mut self.text
    }

    /// The buffer to which a datagram for `to` is appended. Each call begins another
    /// datagram.
    pub fn datagram(&mut self, to: UdpPeer) -> &mut Vec<u8> {
        // Its end is set when the next action begins.
        self.push(Action::Datagram { to, end: 0 });
        &mut self.text
    }

    /// Lifts the idle timeout of a connection.
    pub fn allow_idle(&mut self, conn: ConnId) {
        self.push(Action::AllowIdle { conn });
    }

    /// Demands the reply to a request in time; see [`Action::ExpectReply`].
    pub fn expect_reply(&mut self, conn: ConnId) {
        self.push(Action::ExpectReply { conn });
    }

    /// Ends a [`ReadNext::Wait`]: [`Role::on_input`] gets [`Input::Resumed`].
    pub fn resume(&mut self, conn: ConnId) {
        self.push(Action::Resume { conn });
    }

    /// Closes a connection after everything that was sent to it. For the connection
    /// whose input is being handled, return [`ReadNext::Close`] instead.
    pub fn close(&mut self, conn: ConnId, reason: CloseReason) {
        self.push(Action::Close { conn, reason });
    }

    /// Sends bytes that several receivers share.
    pub fn shared(&mut self, to: ConnId, bytes: Arc<[u8]>) {
        self.external_bytes += bytes.len() as u64;
        self.push(Action::Shared { to, bytes });
    }

    /// Sends a part of a file.
    pub fn file(&mut self, to: ConnId, file: R::File, offset: u64, length: u64) {
        self.external_bytes += length;
        self.push(Action::File {
            to,
            file,
            offset,
            length,
        });
    }

    /// Connects; [`Input::Connected`] or [`Role::on_close`] reports the result.
    pub fn dial(&mut self, address: SocketAddr, session: R::Session) {
        self.push(Action::Dial { address, session });
    }

    /// Stops the program gracefully, as SIGTERM does.
    pub fn shut_down(&mut self) {
        self.push(Action::ShutDown);
    }

    /// Stops the loop at once.
    pub fn stop_loop(&mut self) {
        self.push(Action::StopLoop);
    }

    /// Whether no action is requested.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    /// The number of bytes to send.
    #[must_use]
    pub fn queued(&self) -> u64 {
        self.text.len() as u64 + self.external_bytes
    }

    /// Takes out the text and the actions. [`Output::recycle`] returns the buffers.
    pub fn take(&mut self) -> (Vec<u8>, Vec<Action<R>>) {
        self.end_text();
        self.external_bytes = 0;
        (
            std::mem::take(&mut self.text),
            std::mem::take(&mut self.actions),
        )
    }

    /// Returns the buffers of [`Output::take`] for reuse.
    pub fn recycle(&mut self, mut text: Vec<u8>, mut actions: Vec<Action<R>>) {
        if self.is_empty() {
            text.clear();
            actions.clear();
            self.text = text;
            self.actions = actions;
        }
    }

    fn push(&mut self, action: Action<R>) {
        self.end_text();
        self.actions.push(action);
    }

    fn end_text(&mut self) {
        if let Some(Action::Text { end, .. } | Action::Datagram { end, .. }) =
            self.actions.last_mut()
        {
            *end = self.text.len();
        }
    }
}

impl<R: Role> Action<R> {
    /// The receiver, if the action sends to a connection.
    #[must_use]
    pub fn to(&self) -> Option<ConnId> {
        match self {
            Self::Text { to, .. } | Self::Shared { to, .. } | Self::File { to, .. } => Some(*to),
            Self::Datagram { .. }
            | Self::AllowIdle { .. }
            | Self::ExpectReply { .. }
            | Self::Resume { .. }
            | Self::Close { .. }
            | Self::Dial { .. }
            | Self::ShutDown
            | Self::StopLoop => None,
        }
    }
}
