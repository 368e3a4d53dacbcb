//! One connection: its socket, what is known of its readiness, what has come in
//! and what waits to go out.

use std::fmt;
use std::io::{self, Read};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use mio::event::Event;
use mio::net::TcpStream;
use rustix::net::sockopt;

use crate::close_reason::CloseReason;
use crate::reactor::outbox::{self, FlushStatus, Outbox};
use crate::session::inbox::Inbox;

/// Bytes sent to one peer before the others have their turn.
const WRITE_BUDGET: u64 = 4 * 1024 * 1024;

/// How long a kept connection is silent before the kernel probes it, and between probes.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// Probes without an answer that end it.
const PROBES: u32 = 3;

/// Where a connection is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// We connect; the other side has not answered yet.
    Connecting,
    /// Both sides may talk.
    Open,
    /// Nothing more is input; what waits is sent.
    Closing,
    /// All is sent and our side is shut; the peer may have words in flight.
    Lingering,
    /// Over; it is taken away at the end of the loop's round.
    Closed,
}

/// Whether the role works on an answer that takes longer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum RoleWait {
    No,
    Yes,
    /// It is complete; the role will be called back.
    Over,
}

/// Who began it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    Inbound,
    Outbound,
}

/// How long the other side may say nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum IdlePolicy {
    /// As long as the limits say.
    Limited,
    /// As long as it is alive.
    Unlimited,
    /// Likewise, but an answer is due.
    ReplyExpected,
}

/// Whether a whole line has been input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LineSeen {
    Never,
    /// Not since the deadline was set.
    Earlier,
    /// Since the deadline was set.
    ThisTurn,
}

/// The other side's address, smaller than a `SocketAddr`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    pub(super) ip: IpAddr,
    port: u16,
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Self {
            ip: address.ip(),
            port: address.port(),
        }
    }
}

impl From<Peer> for SocketAddr {
    fn from(peer: Peer) -> Self {
        Self::new(peer.ip, peer.port)
    }
}

/// Who is connected. There may be very many that say nothing: what most of them
/// have no use for lies elsewhere.
pub(super) struct Connection<S, F> {
    pub(super) stream: TcpStream,
    pub(super) serial: u32,
    pub(super) peer: Peer,
    pub(super) origin: Origin,
    pub(super) phase: Phase,
    /// None only for somebody who was turned away.
    pub(super) session: Option<S>,
    /// Reading may give something. Set by an event, cleared by the read that
    /// finds the socket empty.
    pub(super) readable: bool,
    /// Writing may be accepted. Likewise.
    pub(super) writable: bool,
    /// The peer's end of input is on its way: read on until it is reached, for
    /// no other event will tell.
    pub(super) is_read_closed: bool,
    /// The end of input was reached.
    pub(super) is_at_eof: bool,
    /// It waits in the run queue.
    pub(super) is_queued: bool,
    /// Whole requests wait in the inbox, because too many answers wait already.
    pub(super) has_backlog: bool,
    /// The role works on its answer; until then nothing more is input.
    pub(super) role_wait: RoleWait,
    pub(super) idle_policy: IdlePolicy,
    pub(super) line_seen: LineSeen,
    pub(super) inbox: Inbox,
    pub(super) outbox: Outbox<F>,
    /// When it began: nanoseconds after the loop did.
    pub(super) opened_at: u64,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) close_reason: Option<Box<CloseReason>>,
}

/// What a read gave.
pub(super) enum Received {
    Bytes(usize),
    Nothing,
    EndOfInput,
}

impl<S, F: AsFd> Connection<S, F> {
    pub(super) fn new(
        stream: TcpStream,
        peer: SocketAddr,
        origin: Origin,
        session: Option<S>,
        serial: u32,
        opened_at: u64,
    ) -> Self {
        Self {
            stream,
            serial,
            peer: peer.into(),
            origin,
            phase: match origin {
                Origin::Inbound => Phase::Open,
                Origin::Outbound => Phase::Connecting,
            },
            session,
            // An accepted socket can be tried at once: its events may have passed.
            readable: origin == Origin::Inbound,
            writable: origin == Origin::Inbound,
            is_read_closed: false,
            is_at_eof: false,
            is_queued: false,
            has_backlog: false,
            role_wait: RoleWait::No,
            idle_policy: IdlePolicy::Limited,
            line_seen: LineSeen::Never,
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            opened_at,
            bytes_in: 0,
            bytes_out: 0,
            close_reason: None,
        }
    }

    /// Remembers what an event says.
    pub(super) fn record_event(&mut self, event: &Event) {
        let is_closed = event.is_read_closed() || event.is_error();
        self.readable |= event.is_readable() || is_closed;
        self.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
        self.is_read_closed |= is_closed;
    }

    /// Whether the dial has an outcome.
    ///
    /// # Errors
    /// The dial failed.
    pub(super) fn connect_result(&mut self) -> Result<bool, CloseReason> {
        let failed = |error| CloseReason::ConnectFailed(error);
        if let Some(error) = self.stream.take_error().map_err(failed)? {
            return Err(CloseReason::ConnectFailed(error));
        }
        match self.stream.peer_addr() {
            Ok(_) => {
                set_nodelay(&self.stream);
                self.phase = Phase::Open;
                Ok(true)
            }
            // A spurious event: the answer is still to come.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(CloseReason::ConnectFailed(error)),
        }
    }

    /// Bytes that have come in and gone out so far.
    pub(super) fn moved(&self) -> (u64, u64) {
        (self.bytes_in, self.bytes_out)
    }

    /// Whether more may be input, and something may be there.
    pub(super) fn may_receive(&self) -> bool {
        let is_open = self.phase == Phase::Open && self.role_wait == RoleWait::No;
        is_open && !self.has_backlog && !self.is_at_eof && self.readable
    }

    /// Reads once.
    ///
    /// # Errors
    /// The connection is lost.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> Result<Received, CloseReason> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => {
                    self.readable = false;
                    self.is_at_eof = true;
                    return Ok(Received::EndOfInput);
                }
                Ok(length) => {
                    // A short read means empty (epoll(7), question 9), unless
                    // the end follows: it came with the same event.
                    if length < buffer.len() && !self.is_read_closed {
                        self.readable = false;
                    }
                    self.bytes_in += length as u64;
                    return Ok(Received::Bytes(length));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.readable = false;
                    return Ok(Received::Nothing);
                }
                Err(error) => return Err(CloseReason::ConnectionLost(error)),
            }
        }
    }

    /// Sends what waits, within the budget of a turn.
    ///
    /// # Errors
    /// How the connection ended.
    pub(super) fn flush(&mut self) -> Result<(), CloseReason> {
        if !self.writable || self.outbox.is_empty() {
            return Ok(());
        }
        let bytes_out = &mut self.bytes_out;
        let sent = self
            .outbox
            .flush(&self.stream, WRITE_BUDGET, |n| *bytes_out += n)?;
        if let FlushStatus::Blocked = sent {
            self.writable = false;
        }
        Ok(())
    }

    /// Sends bytes at once as far as the socket takes them; the rest waits.
    /// `more` says that more follows in the same breath.
    ///
    /// # Errors
    /// The connection is lost.
    pub(super) fn send(&mut self, bytes: &[u8], more: bool) -> Result<(), CloseReason> {
        let mut sent = 0;
        if self.writable && self.outbox.is_empty() && !bytes.is_empty() {
            sent = outbox::send(&self.stream, bytes, more)?;
            self.bytes_out += sent as u64;
            self.writable = sent == bytes.len();
        }
        if sent < bytes.len() {
            self.outbox.push_bytes(&bytes[sent..]);
        }
        Ok(())
    }

    /// Sends bytes that were not asked for, if of such bytes no more than `most`
    /// wait. A long answer that waits as well is no fault of the peer.
    ///
    /// # Errors
    /// The connection is lost, or the peer does not read.
    pub(super) fn send_unsolicited(&mut self, bytes: &[u8], most: u64) -> Result<(), CloseReason> {
        let (queued, unsolicited) = (self.outbox.queued(), self.outbox.unsolicited());
        if unsolicited + bytes.len() as u64 > most {
            return Err(CloseReason::SlowReceiver);
        }
        self.send(bytes, false)?;
        let more = self.outbox.queued() - queued;
        self.outbox.set_unsolicited(unsolicited + more);
        Ok(())
    }

    /// Sends bytes that others are sent as well.
    ///
    /// # Errors
    /// The connection is lost.
    pub(super) fn send_shared(&mut self, bytes: Arc<[u8]>) -> Result<(), CloseReason> {
        self.outbox.push_shared(bytes);
        self.flush()
    }

    /// Sends a part of a file.
    ///
    /// # Errors
    /// The connection is lost, or the file.
    pub(super) fn send_file(
        &mut self,
        file: F,
        offset: u64,
        length: u64,
    ) -> Result<(), CloseReason> {
        self.outbox.push_file(file, offset, length);
        self.flush()
    }

    /// From now on it may be silent; the kernel asks whether the other side is
    /// still there.
    pub(super) fn allow_idle(&mut self) {
        if std::mem::replace(&mut self.idle_policy, IdlePolicy::Unlimited) == IdlePolicy::Limited
            && let Err(error) = set_keepalive(&self.stream)
        {
            log::warn!("{}: keepalive: {error}", SocketAddr::from(self.peer));
        }
    }

    /// Why it is over, unless that was taken already.
    pub(super) fn take_close_reason(&mut self) -> CloseReason {
        self.close_reason
            .take()
            .map_or(CloseReason::EndOfInput, |end| *end)
    }

    /// Says that nothing more will be sent.
    pub(super) fn shut_down_write(&self) {
        // If the peer is gone already, there is nobody to tell.
        let _ = self.stream.shutdown(Shutdown::Write);
    }
}

impl<S: fmt::Display, F> Connection<S, F> {
    /// One line for each connection that others made; our own are told by the role.
    pub(super) fn log_close(&self, reason: &CloseReason, now: u64) {
        let level = match self.origin {
            Origin::Inbound => log::Level::Info,
            Origin::Outbound => log::Level::Debug,
        };
        let (bytes_in, bytes_out) = (self.bytes_in, self.bytes_out);
        let peer = SocketAddr::from(self.peer);
        let ms = now.saturating_sub(self.opened_at) / 1_000_000;
        match &self.session {
            Some(session) => log::log!(
                level,
                "{peer}: {session}, {bytes_in} B in, {bytes_out} B out, {ms} ms, {reason}"
            ),
            None => log::log!(level, "{peer}: {reason}"),
        }
    }
}

/// Notices a peer that has vanished within two minutes (tcp(7)).
fn set_keepalive(stream: &TcpStream) -> rustix::io::Result<()> {
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEPALIVE)?;
    sockopt::set_tcp_keepintvl(stream, KEEPALIVE)?;
    sockopt::set_tcp_keepcnt(stream, PROBES)?;
    let patience = KEEPALIVE * (PROBES + 1);
    sockopt::set_tcp_user_timeout(stream, patience.as_millis() as u32)
}

/// Answers are small and complete: they must not wait for an acknowledgement.
pub(super) fn set_nodelay(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        log::debug!("TCP_NODELAY: {error}");
    }
}
