//! The actions that a role requests of the loop.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;

use crate::close_reason::CloseReason;
use crate::role::{ConnId, FileRequest, Role, UdpPeer};

/// The actions that a role requests, in order. Consecutive texts for one connection
/// lie together in one buffer, so the answers of a turn leave with one write.
pub struct Output<R: Role> {
    text: Vec<u8>,
    actions: Vec<Action<R>>,
    /// Bytes to send that are not in `text`.
    external_bytes: u64,
    /// Files to send.
    files: usize,
    /// See [`Output::add_work`].
    work: usize,
    /// Connections for which much unsolicited text waits already.
    full: HashSet<ConnId>,
}

/// One action that a role requests.
pub enum Action<R: Role> {
    /// Send the text that starts where the previous one ends.
    Text {
        /// The receiver.
        to: ConnId,
        /// The offset of its end.
        end: usize,
        /// What the text is to the receiver.
        kind: TextKind,
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
    AllowIdle(ConnId),
    /// Demand the reply to a request in time on a connection without idle timeout,
    /// until the timeout is lifted again.
    ExpectReply(ConnId),
    /// Read on a connection that waits since [`ReadNext::Wait`](super::ReadNext::Wait).
    Resume(ConnId),
    /// Send the list of accepted connections, then resume the connection, which waits since
    /// [`ReadNext::Wait`](super::ReadNext::Wait): so a peer has it once a turn at most.
    ListConnections(ConnId),
    /// Report the accepted connections to the role.
    ReportConnections,
    /// Close a connection after everything that was sent to it.
    Close(ConnId, CloseReason),
    /// Send bytes that several receivers share.
    Shared(ConnId, Arc<[u8]>),
    /// Send the bytes of a file in this range; the request is for the log.
    File(ConnId, R::File, Range<u64>, Option<Box<FileRequest>>),
    /// Connect to an address; the new connection has this state.
    Dial(SocketAddr, R::Session),
    /// See [`Output::use_addresses`].
    UseAddresses(Vec<IpAddr>),
    /// Stop the program gracefully, as SIGTERM does.
    StopGracefully,
    /// Stop the loop at once: the role has finished.
    StopLoop,
}

/// What a text is to its receiver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TextKind {
    /// An answer, or a request of ours.
    Reply,
    /// A request for more of an answer that has begun; see [`Output::append_continuation`].
    Continuation,
    /// It answers no request; see [`Output::is_full`].
    Unsolicited,
}

impl<R: Role> Default for Output<R> {
    fn default() -> Self {
        Self {
            text: Vec::new(),
            actions: Vec::new(),
            external_bytes: 0,
            files: 0,
            work: 0,
            full: HashSet::new(),
        }
    }
}

impl<R: Role> Output<R> {
    /// The buffer to which an answer for `to` is appended. Only append.
    pub fn append_reply(&mut self, to: ConnId) -> &mut Vec<u8> {
        self.append(to, TextKind::Reply)
    }

    /// The buffer to which a request for more of the same answer is appended, such as `MORE`.
    /// The time for the answer goes on: it does not start anew with each part.
    pub fn append_continuation(&mut self, to: ConnId) -> &mut Vec<u8> {
        self.append(to, TextKind::Continuation)
    }

    /// The buffer to which text that answers no request of `to` is appended.
    pub fn append_unsolicited(&mut self, to: ConnId) -> &mut Vec<u8> {
        self.append(to, TextKind::Unsolicited)
    }

    /// Whether so much unsolicited text waits for `to` that no more may be sent.
    #[must_use]
    pub fn is_full(&self, to: ConnId) -> bool {
        self.full.contains(&to)
    }

    /// Records whether much unsolicited text waits for a connection.
    pub fn set_full(&mut self, conn: ConnId, is_full: bool) {
        if is_full {
            self.full.insert(conn);
        } else if !self.full.is_empty() {
            self.full.remove(&conn);
        }
    }

    fn append(&mut self, to: ConnId, kind: TextKind) -> &mut Vec<u8> {
        let continues = matches!(
            self.actions.last(),
            Some(Action::Text { to: last, kind: other, .. }) if (*last, *other) == (to, kind)
        );
        if !continues {
            // The end is set when the next action begins.
            self.push(Action::Text { to, end: 0, kind });
        }
        &mut self.text
    }

    /// The buffer to which a datagram for `to` is appended. Each call begins another
    /// datagram.
    pub fn begin_datagram(&mut self, to: UdpPeer) -> &mut Vec<u8> {
        // The end is set when the next action begins.
        self.push(Action::Datagram { to, end: 0 });
        &mut self.text
    }

    /// The buffer of the last datagram, to append to it.
    pub fn datagram_buffer(&mut self) -> &mut Vec<u8> {
        &mut self.text
    }

    /// Lifts the idle timeout of a connection.
    pub fn allow_idle(&mut self, conn: ConnId) {
        self.push(Action::AllowIdle(conn));
    }

    /// Demands the reply to a request in time; see [`Action::ExpectReply`].
    pub fn expect_reply(&mut self, conn: ConnId) {
        self.push(Action::ExpectReply(conn));
    }

    /// Ends a [`ReadNext::Wait`](super::ReadNext::Wait): [`Role::on_input`] gets
    /// [`Input::Resumed`](super::Input::Resumed).
    pub fn resume(&mut self, conn: ConnId) {
        self.push(Action::Resume(conn));
    }

    /// Sends the list of accepted connections; return
    /// [`ReadNext::Wait`](super::ReadNext::Wait).
    pub fn list_connections(&mut self, to: ConnId) {
        self.push(Action::ListConnections(to));
    }

    /// Asks for the accepted connections; [`Role::on_connections`] gets them.
    pub fn report_connections(&mut self) {
        self.push(Action::ReportConnections);
    }

    /// Closes a connection after everything that was sent to it. For the connection
    /// whose input is being handled, return [`ReadNext::Close`](super::ReadNext::Close) instead.
    pub fn close(&mut self, conn: ConnId, reason: CloseReason) {
        self.push(Action::Close(conn, reason));
    }

    /// Sends bytes that several receivers share.
    pub fn send_shared(&mut self, to: ConnId, bytes: Arc<[u8]>) {
        self.external_bytes += bytes.len() as u64;
        self.push(Action::Shared(to, bytes));
    }

    /// Sends a part of a file.
    pub fn send_file(&mut self, to: ConnId, file: R::File, offset: u64, length: u64) {
        self.external_bytes += length;
        self.files += 1;
        self.push(Action::File(to, file, offset..offset + length, None));
    }

    /// Sets the request that the last file answers.
    pub fn set_file_request(&mut self, request: Option<FileRequest>) {
        let last = self
            .actions
            .iter_mut()
            .rev()
            .find_map(|action| match action {
                Action::File(.., request) => Some(request),
                _ => None,
            });
        if let Some(last) = last {
            *last = request.map(Box::new);
        }
    }

    /// Connects; [`Input::Connected`](super::Input::Connected) or [`Role::on_close`] reports the
    /// result.
    pub fn dial(&mut self, address: SocketAddr, session: R::Session) {
        self.push(Action::Dial(address, session));
    }

    /// Listens at these local addresses too, with the port of the other listeners, and connects to
    /// relays from them only, unless any address will do. Listeners at addresses that the machine
    /// no longer has are closed.
    pub fn use_addresses(&mut self, ips: Vec<IpAddr>) {
        self.push(Action::UseAddresses(ips));
    }

    /// Stops the program gracefully, as SIGTERM does.
    pub fn stop_gracefully(&mut self) {
        self.push(Action::StopGracefully);
    }

    /// Stops the loop at once.
    pub fn stop_loop(&mut self) {
        self.push(Action::StopLoop);
    }

    /// Counts work for the input being handled that neither its length nor that of its answer
    /// shows. A unit is the work for a short line.
    pub fn add_work(&mut self, units: usize) {
        self.work += units;
    }

    /// Takes out the work that was counted.
    #[must_use]
    pub fn take_work(&mut self) -> usize {
        std::mem::take(&mut self.work)
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

    /// The number of files to send.
    #[must_use]
    pub fn pending_files(&self) -> usize {
        self.files
    }

    /// Takes out the text and the actions. [`Output::recycle`] returns the buffers.
    pub fn take(&mut self) -> (Vec<u8>, Vec<Action<R>>) {
        self.end_text();
        self.external_bytes = 0;
        self.files = 0;
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
    /// Whether the action sends to this connection.
    #[must_use]
    pub fn sends_to(&self, conn: ConnId) -> bool {
        match self {
            Self::Text { to, .. } | Self::Shared(to, _) | Self::File(to, ..) => *to == conn,
            _ => false,
        }
    }
}
