//! The interface between the loop and the program that it runs. No I/O, no clock.
//!
//! A [`Role`] receives events (a connection was accepted, a line arrived, a
//! deadline passed) with the current time, and appends the actions that follow to
//! an [`Output`]. A role owns no socket and opens no file, so a test can run a day
//! of it in a millisecond. The loop in `reactor` is generic over the role.

mod output;
mod peer_tls;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant, SystemTime};

pub use output::{Action, Output, TextKind};
pub use peer_tls::PeerTls;

use crate::close_reason::{CloseReason, ResourceLimit};
use crate::histogram::TimeHistogram;
use crate::protocol::{ConnectionItem, OtherProtocol, canonical};
use crate::tls::ConnectionSecurity;

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

/// An open file that the loop can send.
pub trait SendableFile {
    /// Whether the content is still the one whose size was announced. The loop asks before
    /// it sends the last bytes.
    fn is_unchanged(&self) -> bool;
}

/// The file of a role that sends none.
impl SendableFile for std::os::fd::OwnedFd {
    fn is_unchanged(&self) -> bool {
        true
    }
}

/// What one program decides. The loop calls a role; a role never blocks.
pub trait Role: Sized {
    /// The role's state of one connection. It prints as a summary of what the
    /// connection did, for the log.
    type Session: fmt::Display;
    /// An open file that the loop can send.
    type File: SendableFile;
    /// What other threads may send to the role.
    type Message: Send + 'static;

    /// The loop starts.
    fn start(&mut self, context: &mut Context<'_, Self>);

    /// A peer connected.
    fn on_accept(&mut self, peer: SocketAddr) -> Self::Session;

    /// Whether the program knows this address, so that its connections are accepted when
    /// the last places are left.
    fn is_known(&self, _ip: IpAddr) -> bool {
        false
    }

    /// The TLS handshake of a connection is complete; its input follows. Not called for a
    /// connection that is not encrypted.
    fn on_encrypted(&mut self, _session: &mut Self::Session, _security: ConnectionSecurity) {}

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

    /// Appends the answer to the role's [`Output::list_connections`]: `connections` are some of
    /// the `total` accepted ones. The session is that of the connection which waits.
    fn write_connections(
        &self,
        _session: &Self::Session,
        _total: u64,
        _connections: &[ConnectionInfo],
        _text: &mut Vec<u8>,
    ) {
    }

    /// The role has called [`Output::report_connections`]: `connections` are some of the `total`
    /// accepted ones.
    fn on_connections(
        &mut self,
        _context: &mut Context<'_, Self>,
        _total: u64,
        _connections: &[ConnectionInfo],
    ) {
    }

    /// The last request of a connection, for the log.
    fn last_request(_session: &Self::Session) -> Option<LastRequest<'_>> {
        None
    }

    /// Whether a connection carries content, so that rate limits hold for it. The loop asks
    /// after each piece of input, if there are limits.
    fn carries_content(_session: &Self::Session) -> bool {
        false
    }

    /// Whether an outgoing connection is encrypted, and whom it must lead to.
    fn peer_tls(_session: &Self::Session) -> PeerTls {
        PeerTls::Plain
    }

    /// A connection is closed, or could not be established.
    fn on_close(
        &mut self,
        context: &mut Context<'_, Self>,
        session: Self::Session,
        reason: &CloseReason,
    );

    /// A datagram arrived. The answer, if any, goes to [`Output::begin_datagram`].
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

    /// Whether work waits that needs no event: the loop then does not block, and calls
    /// [`Role::on_timer`] in each round.
    fn has_work(&self) -> bool {
        false
    }

    /// The deadline has passed, or work waits: a bounded part of it is done. Afterwards
    /// the next deadline is later, unless more than a bounded part was due.
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
    /// The role called [`Output::resume`] after [`ReadNext::Wait`], or everything is sent
    /// after [`ReadNext::Flush`].
    Resumed,
    /// A complete line, without its line ending.
    Line(&'a [u8]),
    /// Bytes of the body that [`ReadNext::Body`] announced.
    Body(&'a [u8]),
    /// The request line and the headers of a request in HTTP, with the empty line at their
    /// end. A connection that begins in HTTP has no other input.
    HttpHead(&'a [u8]),
    /// The same on a connection that has to be encrypted, and is not: no request is executed.
    UnencryptedHttpHead(&'a [u8]),
    /// The input in HTTP cannot be split into requests any further.
    HttpError(FramingError),
    /// The input cannot be split into lines any further.
    FramingError(FramingError),
}

impl Input<'_> {
    /// Whether the connection speaks HTTP.
    #[must_use]
    pub fn is_http(&self) -> bool {
        matches!(
            self,
            Self::HttpHead(_) | Self::UnencryptedHttpHead(_) | Self::HttpError(_)
        )
    }
}

/// Why no further line of a connection is handled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FramingError {
    /// The line, or the head of a request in HTTP, is longer than the limit.
    LineTooLong,
    /// The input ended within a line.
    UnexpectedEof,
    /// The rest of a line did not arrive in time.
    LineTimeout,
    /// The peer did not read messages in time.
    SlowReceiver,
    /// The connection is not encrypted, and has to be.
    TlsRequired,
    /// The connection does not speak the language of lines.
    OtherProtocol(OtherProtocol),
}

/// An accepted connection, as the loop knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectionInfo {
    /// The peer's address.
    pub peer: SocketAddr,
    /// The time since it was opened.
    pub age: Duration,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Bytes per second, since it was listed before or else since it was opened.
    pub rate: u64,
    /// The verb of its last request.
    pub verb: Option<&'static str>,
    /// The large file that is being sent to it.
    pub file: Option<FileProgress>,
}

impl ConnectionInfo {
    /// Its line in the answer to `CONNECTIONS`.
    pub(crate) fn item(&self) -> ConnectionItem<'_> {
        ConnectionItem {
            ip: canonical(self.peer.ip()),
            port: self.peer.port(),
            seconds: self.age.as_secs(),
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            rate: self.rate,
            verb: self.verb.unwrap_or("-"),
        }
    }
}

/// How much of a file, or of a part of it, is sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileProgress {
    /// The name of the file.
    pub name: Box<str>,
    /// The number of bytes that are sent.
    pub sent: u64,
    /// The number of all bytes.
    pub length: u64,
}

/// The last request that a peer made on a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LastRequest<'a> {
    /// Its verb.
    pub verb: &'static str,
    /// The name of the file that it asks for.
    pub name: Option<&'a str>,
}

impl LastRequest<'_> {
    /// The request, if it asks for a file.
    #[must_use]
    pub fn for_file(self) -> Option<FileRequest> {
        let (verb, name) = (self.verb, self.name?.into());
        Some(FileRequest { verb, name })
    }
}

/// A request for a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileRequest {
    /// Its verb.
    pub verb: &'static str,
    /// The name of the file.
    pub name: Box<str>,
}

/// What to read next from a connection.
#[derive(Debug)]
pub enum ReadNext {
    /// A line; on a connection in HTTP the head of a request.
    Line,
    /// This many bytes, at least one, then a line.
    Body(u64),
    /// Nothing until the role calls [`Output::resume`].
    Wait,
    /// Nothing until everything is sent: the role then gets [`Input::Resumed`], and goes on
    /// with a long answer. Each part of it must take a short time.
    Flush,
    /// Nothing: send the answers so far, then close.
    Close(CloseReason),
}

/// The surroundings of one call of a role.
pub struct Context<'a, R: Role> {
    /// The current time.
    pub now: Instant,
    /// Reads the time of day, which few calls need.
    pub wall_clock: fn() -> SystemTime,
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
    /// Whether the address of the connection whose input is handled may have no other file
    /// sent for now.
    pub are_files_exhausted: bool,
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
    /// For each request on a connection, the time from the start of the round that read it
    /// until the answers to its batch were written or queued. A search that takes several
    /// rounds counts with its first one.
    pub answer_times: TimeHistogram,
}
