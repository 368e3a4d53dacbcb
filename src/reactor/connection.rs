//! One connection: its stream with the recorded readiness, its phase, and its output
//! queue.

use std::net::{IpAddr, SocketAddr};

use crate::close_reason::CloseReason;
use crate::reactor::address_groups::{GroupId, OUTBOUND};
use crate::reactor::byte_stream::{ByteStream, close_reason};
use crate::reactor::outbox::{self, MemoryUsage, Outbox};
use crate::reactor::readiness::{EndOfInput, InputLeft, Readiness};
use crate::reactor::tls_session::TlsSession;
use crate::reactor::transport::{Transport, unless_blocked};
use crate::role::SendableFile;
use crate::session::driver::{InputDriver, ReadState};

/// Bytes sent to one peer before the others have their turn.
const WRITE_BUDGET: u64 = 4 * 1024 * 1024;

/// Where a connection is in its life.
pub(super) enum Phase {
    /// Our connection attempt has no result yet.
    Connecting,
    /// Both sides may send.
    Open(InputDriver),
    /// No more input is handled; the outbox is being flushed.
    Closing(Box<CloseReason>),
    /// Everything is sent and our side is shut down; input is discarded.
    Lingering(Box<CloseReason>),
    /// Nothing is left to do; the connection is removed at the end of the round.
    Closed(Box<CloseReason>),
}

/// Which side opened the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    /// The peer.
    Inbound,
    /// We.
    Outbound,
}

/// Whether the peer may be silent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum IdlePolicy {
    /// As long as the limits allow.
    Limited,
    /// As long as it answers TCP keepalive probes.
    Unlimited,
    /// As long as a reply may take; TCP keepalive is set already.
    ReplyExpected,
}

/// What waits for a rate limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Pacing {
    #[default]
    None,
    /// Bytes to the peer are sent in turns of the connection only.
    Sending,
    /// Reads.
    Receiving,
}

/// The peer's address, smaller than a `SocketAddr`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    pub(super) ip: IpAddr,
    pub(super) port: u16,
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

/// A connection. Most of very many are idle, so state that they do not need is boxed.
pub(super) struct Connection<S, F, T> {
    pub(super) transport: T,
    /// None if the stream is not encrypted.
    pub(super) tls: Option<Box<TlsSession>>,
    pub(super) serial: u32,
    pub(super) peer: Peer,
    /// The group that shares its turns.
    pub(super) group: GroupId,
    pub(super) origin: Origin,
    pub(super) idle_policy: IdlePolicy,
    pub(super) pacing: Pacing,
    pub(super) readiness: Readiness,
    /// The connection is in the run queue.
    pub(super) is_queued: bool,
    /// The driver works on the input.
    pub(super) is_handling_input: bool,
    pub(super) phase: Phase,
    /// The role's state; none for a refused connection.
    pub(super) session: Option<S>,
    pub(super) outbox: Outbox<F>,
    /// When the connection was opened, in nanoseconds since the start of the loop.
    pub(super) opened_at: u64,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
}

impl<S, F, T> Connection<S, F, T> {
    pub(super) fn new(
        transport: T,
        peer: SocketAddr,
        group: GroupId,
        session: Option<S>,
        serial: u32,
        opened_at: u64,
    ) -> Self {
        let is_open = group != OUTBOUND;
        Self {
            transport,
            tls: None,
            serial,
            peer: peer.into(),
            group,
            origin: match is_open {
                true => Origin::Inbound,
                false => Origin::Outbound,
            },
            idle_policy: IdlePolicy::Limited,
            pacing: Pacing::None,
            // The first events of an accepted socket may have passed.
            readiness: Readiness {
                readable: is_open,
                writable: is_open,
                ..Readiness::default()
            },
            is_queued: false,
            is_handling_input: false,
            phase: match is_open {
                true => Phase::Open(InputDriver::default()),
                false => Phase::Connecting,
            },
            session,
            outbox: Outbox::default(),
            opened_at,
            bytes_in: 0,
            bytes_out: 0,
        }
    }

    /// The driver of the input, as long as input is handled.
    pub(super) fn driver(&mut self) -> Option<&mut InputDriver> {
        match &mut self.phase {
            Phase::Open(driver) => Some(driver),
            _ => None,
        }
    }

    /// The number of received bytes that wait to be handled.
    pub(super) fn unhandled_bytes(&self) -> u64 {
        match &self.phase {
            _ if self.is_handling_input => 0,
            Phase::Open(driver) => driver.unhandled_bytes() as u64,
            _ => 0,
        }
    }

    /// What the connection holds beside shared bytes.
    pub(super) fn usage(&self) -> MemoryUsage {
        let usage = self.outbox.usage();
        MemoryUsage {
            bytes: usage.bytes + self.unsent_records() + self.unhandled_bytes(),
            ..usage
        }
    }

    /// The number of encrypted bytes that the kernel has not accepted.
    pub(super) fn unsent_records(&self) -> u64 {
        self.tls.as_ref().map_or(0, |tls| tls.unsent() as u64)
    }

    /// Whether bytes wait to be sent.
    pub(super) fn has_output(&self) -> bool {
        !self.outbox.is_empty() || self.unsent_records() > 0
    }

    /// Whether no more unsolicited bytes may be sent: half of the queue is for replies.
    pub(super) fn is_full(&self, max_queue: usize) -> bool {
        self.outbox.unsolicited() >= max_queue.div_ceil(2) as u64
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed(_))
    }

    /// Whether bytes may be sent to the peer.
    pub(super) fn may_send(&self) -> bool {
        matches!(self.phase, Phase::Open(_) | Phase::Closing(_))
    }

    /// Whether input can be handled, and some may have arrived.
    pub(super) fn may_receive(&self) -> bool {
        let needs_input =
            matches!(&self.phase, Phase::Open(driver) if driver.state() == ReadState::NeedsInput);
        needs_input && self.readiness.readable
    }

    /// The bytes received and sent so far.
    pub(super) fn bytes_moved(&self) -> (u64, u64) {
        (self.bytes_in, self.bytes_out)
    }

    /// Stops handling input: the outbox is flushed, then the connection closes.
    pub(super) fn start_closing(&mut self, reason: CloseReason) {
        if let Phase::Open(_) = self.phase {
            self.phase = Phase::Closing(Box::new(reason));
        }
    }

    /// Closes the connection at once; the reason for which it was closing already
    /// remains, unless bytes are left unsent. Returns false if it is closed already.
    pub(super) fn set_closed(&mut self, reason: CloseReason) -> bool {
        let is_flushed = !self.has_output();
        let reason = match std::mem::replace(&mut self.phase, Phase::Connecting) {
            Phase::Closing(first) | Phase::Lingering(first) if is_flushed => first,
            Phase::Closed(first) => {
                self.phase = Phase::Closed(first);
                return false;
            }
            _ => Box::new(reason),
        };
        self.phase = Phase::Closed(reason);
        true
    }

    /// Drops a closed connection. Returns the role's state and the reason.
    pub(super) fn into_session(self) -> (Option<S>, CloseReason) {
        match self.phase {
            Phase::Closed(reason) => (self.session, *reason),
            _ => unreachable!("only closed connections are removed"),
        }
    }
}

impl<S, F: SendableFile, T: Transport<F>> Connection<S, F, T> {
    fn stream(&mut self) -> ByteStream<'_, T> {
        ByteStream::new(&mut self.transport, self.tls.as_deref_mut())
    }

    /// Sends what ends an encrypted stream. Returns whether the kernel has accepted it.
    ///
    /// # Errors
    /// The connection is lost.
    pub(super) fn finish_stream(&mut self) -> Result<bool, CloseReason> {
        let Some(tls) = &mut self.tls else {
            return Ok(true);
        };
        tls.finish();
        let flushed = self.stream().flush();
        if flushed.is_err()
            && let Some(tls) = &mut self.tls
        {
            // What is sent is sent: a reset after that changes nothing.
            tls.discard_output();
        }
        self.readiness.writable = flushed?;
        Ok(!self.has_output())
    }

    /// Ends an encrypted stream if all was well: a stream that breaks off must not look complete.
    pub(super) fn close_tls(&mut self, is_lost: bool) {
        if !is_lost && self.outbox.is_empty() {
            // The connection is closed anyway.
            let _ = self.finish_stream();
        }
        if let Some(tls) = &mut self.tls {
            tls.discard_output();
        }
    }

    /// Ends our side of a closing connection.
    pub(super) fn start_lingering(&mut self) {
        self.transport.shut_down_write();
        self.phase = match std::mem::replace(&mut self.phase, Phase::Connecting) {
            Phase::Closing(reason) => Phase::Lingering(reason),
            other => other,
        };
    }

    /// Reads once. Returns the number of bytes, 0 at the end of input, or `None` if the
    /// stream is empty.
    ///
    /// # Errors
    /// The connection is lost.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, CloseReason> {
        let mut stream = self.stream();
        let received = unless_blocked(|| stream.receive(buffer)).map_err(close_reason)?;
        let left = stream.input_left(received, buffer.len());
        if received == Some(0) {
            self.readiness.end_of_input = EndOfInput::Reached;
        }
        self.readiness.readable = match left {
            InputLeft::None => false,
            InputLeft::Unlikely => !self.readiness.is_short_read_trusted(),
            InputLeft::Likely => true,
        };
        self.bytes_in += received.unwrap_or(0) as u64;
        Ok(received)
    }

    /// Sends the content of the outbox, within the budget of a turn, unless it waits for a
    /// rate limit. `now` counts nanoseconds since the start of the loop.
    ///
    /// # Errors
    /// The reason to close the connection.
    pub(super) fn flush(&mut self, now: u64) -> Result<(), CloseReason> {
        match self.pacing {
            Pacing::Sending => Ok(()),
            Pacing::None | Pacing::Receiving => self.flush_up_to(WRITE_BUDGET, now),
        }
    }

    /// Sends so many bytes of the outbox.
    ///
    /// # Errors
    /// The reason to close the connection.
    pub(super) fn flush_up_to(&mut self, budget: u64, now: u64) -> Result<(), CloseReason> {
        if !self.readiness.writable || !self.has_output() {
            return Ok(());
        }
        let before = self.outbox.queued();
        let peer = self.peer;
        let mut stream = ByteStream::new(&mut self.transport, self.tls.as_deref_mut());
        let result = self.outbox.flush(&mut stream, budget, |transfer| {
            transfer.log(peer.into(), 0, now, "complete");
        });
        self.bytes_out += before - self.outbox.queued();
        self.readiness.writable = result?;
        Ok(())
    }

    /// Sends bytes at once as far as the stream accepts them, and queues the rest.
    /// `more` announces that more bytes follow at once. Requests of ours wait for the
    /// connection's next turn: those of many jobs leave together.
    ///
    /// # Errors
    /// The connection is lost.
    pub(super) fn send(&mut self, bytes: &[u8], more: bool) -> Result<(), CloseReason> {
        let mut sent = 0;
        let waits = self.pacing == Pacing::Sending || self.origin == Origin::Outbound;
        if self.readiness.writable && self.outbox.is_empty() && !bytes.is_empty() && !waits {
            sent = outbox::send(&mut self.stream(), bytes, more)?;
            self.bytes_out += sent as u64;
            self.readiness.writable = sent == bytes.len();
        }
        if sent < bytes.len() {
            self.outbox.push_bytes(&bytes[sent..]);
        }
        Ok(())
    }

    /// Sends bytes that answer no request.
    ///
    /// # Errors
    /// The connection is lost.
    pub(super) fn send_unsolicited(&mut self, bytes: &[u8]) -> Result<(), CloseReason> {
        let (queued, unsolicited) = (self.outbox.queued(), self.outbox.unsolicited());
        self.send(bytes, false)?;
        let added = self.outbox.queued() - queued;
        self.outbox.set_unsolicited(unsolicited + added);
        Ok(())
    }

    /// Lifts the idle timeout; the kernel probes whether the peer is alive.
    pub(super) fn allow_idle(&mut self) {
        let policy = std::mem::replace(&mut self.idle_policy, IdlePolicy::Unlimited);
        if policy == IdlePolicy::Limited
            && let Err(error) = self.transport.set_keepalive()
        {
            log::warn!("{}: keepalive: {error}", SocketAddr::from(self.peer));
        }
    }

    /// Demands the next reply in time, if the idle timeout is lifted.
    pub(super) fn expect_reply(&mut self) {
        if self.idle_policy == IdlePolicy::Unlimited {
            self.idle_policy = IdlePolicy::ReplyExpected;
        }
    }
}

// There may be very many connections; a session and a timer come on top.
const _: () = assert!(size_of::<Phase>() == 16);
const _: () = assert!(size_of::<Connection<(), (), ()>>() <= 96);
