//! Roles: what a relay, a node and a client decide. No I/O, no clock.
//!
//! A role is told what happened (a connection came, a line was heard, a
//! deadline passed) and the time, and answers by writing to an [`Output`]. It
//! owns no socket and opens no file, so that a test can drive it through a day
//! in a millisecond. The one loop that really listens, in `reactor`, is generic
//! over [`Role`].

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::close_reason::{CloseReason, ResourceLimit};

/// A connection, for as long as the process runs: slots are used again,
/// serials are not, so an old name never meets a new connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ConnId {
    /// The place in the table of connections.
    pub slot: u32,
    /// How many connections there were before it.
    pub serial: u32,
}

/// Somebody with whom datagrams are exchanged.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct UdpPeer {
    /// Through which of our sockets.
    pub socket: u32,
    /// Where they are.
    pub address: SocketAddr,
}

/// The part that one program plays. The loop calls it; it never blocks.
pub trait Role: Sized {
    /// What the role remembers of one connection. It prints as what was done
    /// there, for the log.
    type Session: fmt::Display;
    /// An open file that the loop can send.
    type File;
    /// What other threads may tell the role.
    type Message: Send + 'static;

    /// The loop starts.
    fn start(&mut self, context: &mut Context<'_, Self>);

    /// Somebody connected.
    fn on_accept(&mut self, peer: SocketAddr) -> Self::Session;

    /// There is no place for somebody who connected: what to tell them.
    fn on_refuse(&self, full: ResourceLimit, text: &mut Vec<u8>);

    /// Optional CPU-cache prefetch. Receives the raw, unparsed input of a batch of
    /// connections before any of it is handled. Must not change state.
    fn prefetch<'a>(&self, _arrived: impl Iterator<Item = (SocketAddr, &'a [u8])>) {}

    /// Something was heard on a connection with `peer`. Answers written to it
    /// leave together. Returns what to listen for next.
    fn on_input(
        &mut self,
        context: &mut Context<'_, Self>,
        conn: ConnId,
        peer: SocketAddr,
        session: &mut Self::Session,
        heard: Input<'_>,
    ) -> ReadNext;

    /// A connection is over, or a dial failed.
    fn on_close(
        &mut self,
        context: &mut Context<'_, Self>,
        session: Self::Session,
        end: &CloseReason,
    );

    /// A datagram came. Answer with [`Output::datagram`], or not at all.
    fn on_datagram(&mut self, _turn: &mut Context<'_, Self>, _from: UdpPeer, _bytes: &[u8]) {}

    /// Nobody takes datagrams at the other end of a socket that is connected.
    fn on_udp_unreachable(&mut self, _turn: &mut Context<'_, Self>, _socket: u32) {}

    /// Whether there are conversations of ours beside those on connections: a loop
    /// that stops lets them come to their end.
    fn has_open_requests(&self) -> bool {
        false
    }

    /// Another thread sent a message.
    fn on_message(&mut self, context: &mut Context<'_, Self>, message: Self::Message);

    /// Whether work waits that needs no event: the loop then does not block.
    fn has_work(&self) -> bool {
        false
    }

    /// When to call [`Role::on_timer`].
    fn next_deadline(&self) -> Option<Instant>;

    /// The deadline has passed, or work waits: a bounded part of it is done. Afterwards
    /// the next deadline is later, unless more than a bounded part was due.
    fn on_timer(&mut self, context: &mut Context<'_, Self>);

    /// Something outside that the role's program watches has changed.
    fn on_external_event(&mut self, _turn: &mut Context<'_, Self>) {}

    /// The program is to stop: finish what is begun, begin nothing new.
    fn drain(&mut self, context: &mut Context<'_, Self>);
}

/// What a role hears on a connection.
#[derive(PartialEq, Eq, Debug)]
pub enum Input<'a> {
    /// The dial succeeded.
    Connected,
    /// The answer that [`ReadNext::Wait`] waited for is complete.
    Resumed,
    /// A whole line, without its end.
    Line(&'a [u8]),
    /// Bytes of the body that was asked for with [`ReadNext::Body`].
    Body(&'a [u8]),
    /// The input is broken and cannot be read on.
    FramingError(FramingError),
}

/// How input is broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FramingError {
    /// The line has more bytes than allowed.
    LineTooLong,
    /// The input ended in mid-line.
    UnexpectedEof,
    /// A line was begun and not ended in time.
    LineTimeout,
}

/// What to listen for on a connection.
#[derive(Debug)]
pub enum ReadNext {
    /// A line.
    Line,
    /// So many bytes, at least one, and then a line.
    Body(u64),
    /// Nothing until [`Output::resume`]: the answer takes longer.
    Wait,
    /// Nothing: send what was written, then close.
    Close(CloseReason),
}

/// What a role sees and may do while it is called.
pub struct Context<'a, R: Role> {
    /// The time.
    pub now: Instant,
    /// Figures about the loop.
    pub traffic: &'a Traffic,
    /// What it wants done.
    pub out: &'a mut Output<R>,
}

/// What passed through a loop since it started.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Traffic {
    /// Connections open now.
    pub open: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections turned away because there was no place.
    pub refused: u64,
    /// Times that something was received. What is read together is counted before
    /// the first of it is heard.
    pub reads: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Datagrams received.
    pub datagrams: u64,
    /// Datagrams that could not be sent: they count as lost on the way.
    pub datagrams_lost: u64,
}

/// What a role wants done, in order. The texts of one connection lie together
/// in one buffer, so that a turn's answers leave with one write.
pub struct Output<R: Role> {
    text: Vec<u8>,
    steps: Vec<Action<R>>,
    /// Bytes to send that do not lie in `text`.
    elsewhere: u64,
}

/// One thing to do.
pub enum Action<R: Role> {
    /// Send the text from where the text before it ended.
    Text {
        /// Who gets it.
        to: ConnId,
        /// Where it ends.
        end: usize,
        /// Nobody asked for it: who does not take such text is cut off.
        unsolicited: bool,
    },
    /// Send a datagram: the text from where the text before it ended. Without
    /// bytes there is none.
    Datagram {
        /// Who gets it.
        to: UdpPeer,
        /// Where it ends.
        end: usize,
    },
    /// The connection waits for what others say: it may be silent for ever, as
    /// long as the other side is alive.
    AllowIdle {
        /// Which.
        conn: ConnId,
    },
    /// A connection that is kept waits for an answer: until it is kept again, it
    /// must come in time.
    ExpectReply {
        /// Which.
        conn: ConnId,
    },
    /// The answer that a connection waited for is complete.
    Resume {
        /// Which.
        conn: ConnId,
    },
    /// Ends a connection after what was sent to it.
    Close {
        /// Which.
        conn: ConnId,
        /// Why.
        end: CloseReason,
    },
    /// Send bytes that many may share.
    Shared {
        /// Who gets them.
        to: ConnId,
        /// The bytes.
        bytes: Arc<[u8]>,
    },
    /// Send `length` bytes of a file from `offset` on.
    File {
        /// Who gets them.
        to: ConnId,
        /// The open file.
        file: R::File,
        /// The first byte.
        offset: u64,
        /// How many.
        length: u64,
    },
    /// Connect to somebody.
    Dial {
        /// Where they listen.
        address: SocketAddr,
        /// What to remember about it.
        session: R::Session,
    },
    /// The program is to stop, as if it had been told to from outside.
    ShutDown,
    /// The role's work is done: stop the loop.
    StopLoop,
}

impl<R: Role> Default for Output<R> {
    fn default() -> Self {
        Self {
            text: Vec::new(),
            steps: Vec::new(),
            elsewhere: 0,
        }
    }
}

impl<R: Role> Output<R> {
    /// The buffer to append an answer to `to` to. Only append.
    pub fn text(&mut self, to: ConnId) -> &mut Vec<u8> {
        self.append(to, false)
    }

    /// The buffer to append text to that `to` gets without having asked.
    pub fn unsolicited(&mut self, to: ConnId) -> &mut Vec<u8> {
        self.append(to, true)
    }

    fn append(&mut self, to: ConnId, unsolicited: bool) -> &mut Vec<u8> {
        let goes_on = matches!(
            self.steps.last(),
            Some(Action::Text { to: last, unsolicited: was, .. }) if *last == to && *was == unsolicited
        );
        if !goes_on {
            // Its end is set when the next step begins.
            let end = 0;
            self.push(Action::Text {
                to,
                end,
                unsolicited,
            });
        }
        &mut self.text
    }

    /// The buffer to append a datagram to `to` to. Each call begins another one.
    pub fn datagram(&mut self, to: UdpPeer) -> &mut Vec<u8> {
        // Its end is set when the next step begins.
        self.push(Action::Datagram { to, end: 0 });
        &mut self.text
    }

    /// The buffer of the datagram that was begun last, to append to it.
    pub fn datagram_text(&mut self) -> &mut Vec<u8> {
        &mut self.text
    }

    /// Lets a connection be silent for as long as the other side is alive.
    pub fn allow_idle(&mut self, conn: ConnId) {
        self.push(Action::AllowIdle { conn });
    }

    /// Lets a connection be silent no longer: an answer is due.
    pub fn expect_reply(&mut self, conn: ConnId) {
        self.push(Action::ExpectReply { conn });
    }

    /// Calls back a connection that waits: it hears [`Input::Resumed`].
    pub fn resume(&mut self, conn: ConnId) {
        self.push(Action::Resume { conn });
    }

    /// Ends a connection after what was sent to it; for the one that is heard
    /// just now, return [`ReadNext::Close`].
    pub fn close(&mut self, conn: ConnId, end: CloseReason) {
        self.push(Action::Close { conn, end });
    }

    /// Sends bytes that others may be sent as well.
    pub fn shared(&mut self, to: ConnId, bytes: Arc<[u8]>) {
        self.elsewhere += bytes.len() as u64;
        self.push(Action::Shared { to, bytes });
    }

    /// Sends a part of a file.
    pub fn file(&mut self, to: ConnId, file: R::File, offset: u64, length: u64) {
        self.elsewhere += length;
        self.push(Action::File {
            to,
            file,
            offset,
            length,
        });
    }

    /// Connects; [`Input::Connected`] or [`Role::on_close`] tells how it went.
    pub fn dial(&mut self, address: SocketAddr, session: R::Session) {
        self.push(Action::Dial { address, session });
    }

    /// Stops the program as SIGTERM does.
    pub fn shut_down(&mut self) {
        self.push(Action::ShutDown);
    }

    /// Stops the loop.
    pub fn stop_loop(&mut self) {
        self.push(Action::StopLoop);
    }

    /// Whether nothing is wanted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// How many bytes wait to be sent.
    #[must_use]
    pub fn queued(&self) -> u64 {
        self.text.len() as u64 + self.elsewhere
    }

    /// Takes everything out: the text, and what to do. [`Output::recycle`] gives
    /// the buffers back.
    pub fn take(&mut self) -> (Vec<u8>, Vec<Action<R>>) {
        self.end_text();
        self.elsewhere = 0;
        (
            std::mem::take(&mut self.text),
            std::mem::take(&mut self.steps),
        )
    }

    /// Gives the buffers of [`Output::take`] back, to be used again.
    pub fn recycle(&mut self, mut text: Vec<u8>, mut steps: Vec<Action<R>>) {
        if self.is_empty() {
            text.clear();
            steps.clear();
            self.text = text;
            self.steps = steps;
        }
    }

    fn push(&mut self, step: Action<R>) {
        self.end_text();
        self.steps.push(step);
    }

    fn end_text(&mut self) {
        if let Some(Action::Text { end, .. } | Action::Datagram { end, .. }) = self.steps.last_mut()
        {
            *end = self.text.len();
        }
    }
}

impl<R: Role> Action<R> {
    /// The connection that it is for.
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
