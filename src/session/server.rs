//! The server side of a connection: input into requests. Answers what is not a
//! request, and knows nothing of what the requests do.

mod http;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::{Instant, SystemTime};

use crate::close_reason::{CloseReason, ResourceLimit};
use crate::counted::Counted;
use crate::figure::Figure;
use crate::protocol::{
    Count, FileName, NodeAddress, OtherProtocol, Port, Rejection, Reply, Request, RequestError,
    Tag, Verb, canonical,
};
use crate::role::{
    ConnId, ConnectionInfo, Context, FramingError, Input, LastRequest, ReadNext, Role, Traffic,
    UdpPeer,
};
use crate::session::access::RequestSource;
use crate::session::line_codec::write_line;
use crate::session::responder::Responder;
use crate::tls::ConnectionSecurity;

/// A request that is being handled: its client, the state of the connection, and where
/// the reply goes.
pub(crate) struct RequestContext<'a, R: Role, S> {
    /// The time.
    pub(crate) now: Instant,
    /// Reads the time of day.
    pub(crate) wall_clock: fn() -> SystemTime,
    /// Figures about the loop.
    pub(crate) traffic: &'a Traffic,
    /// The client's address as the server sees it, in canonical form.
    pub(crate) ip: IpAddr,
    port: u16,
    /// The connection; none if the request came in a datagram.
    pub(crate) conn: Option<ConnId>,
    /// The state of the connection or datagram.
    pub(crate) session: &'a mut S,
    /// Answers the request.
    pub(crate) reply: Responder<'a, R>,
}

impl<'a, R: Role, S> RequestContext<'a, R, S> {
    /// For input of a connection.
    pub(crate) fn of_connection(
        context: &'a mut Context<'_, R>,
        conn: ConnId,
        peer: SocketAddr,
        session: &'a mut S,
    ) -> Self {
        let reply = Responder::to_connection(context.out, conn);
        Self::new(
            (context.now, context.wall_clock),
            context.traffic,
            peer,
            Some(conn),
            session,
            reply,
        )
    }

    /// For the requests in a datagram.
    pub(crate) fn of_datagram(
        context: &'a mut Context<'_, R>,
        from: UdpPeer,
        tag: Option<Tag>,
        session: &'a mut S,
    ) -> Self {
        let reply = Responder::to_datagram(context.out, from, tag);
        Self::new(
            (context.now, context.wall_clock),
            context.traffic,
            from.address,
            None,
            session,
            reply,
        )
    }

    fn new(
        (now, wall_clock): (Instant, fn() -> SystemTime),
        traffic: &'a Traffic,
        peer: SocketAddr,
        conn: Option<ConnId>,
        session: &'a mut S,
        reply: Responder<'a, R>,
    ) -> Self {
        Self {
            now,
            wall_clock,
            traffic,
            ip: canonical(peer.ip()),
            port: peer.port(),
            conn,
            session,
            reply,
        }
    }

    /// The number of the read that received the request, or of a later one in the same
    /// batch.
    pub(crate) fn arrival(&self) -> u64 {
        self.traffic.reads
    }

    /// Whether the client is on the server's machine, and sees its loopback nodes.
    pub(crate) fn is_loopback(&self) -> bool {
        self.ip.is_loopback()
    }

    /// The sender of the request.
    pub(crate) fn source(&self) -> RequestSource {
        RequestSource {
            ip: self.ip,
            now: self.now,
        }
    }

    /// The client's own address, if it is one that a node can have.
    pub(crate) fn peer_address(&self) -> Option<NodeAddress> {
        NodeAddress::new(self.ip, Port::new(self.port)?).ok()
    }
}

/// The state of one connection to a server, or of one datagram.
#[derive(Default)]
pub struct ServerSession {
    requests: u32,
    unknown_commands: u16,
    last_verb: Option<Verb>,
    /// The last request was a `HEAD` in HTTP.
    is_last_head: bool,
    uncommon: Option<Box<UncommonState>>,
    /// The client has requested content.
    has_requested_content: bool,
    /// The version of the server's secret that the client has shown; 0 for none.
    secret_version: u32,
    /// The verb of the last request, if its form was wrong.
    pub(crate) malformed: Option<Verb>,
}

/// What few connections have, boxed so that an idle session stays small.
#[derive(Default)]
struct UncommonState {
    /// The name of the file that the last request asks for, if it is logged.
    last_name: String,
    has_last_name: bool,
    /// How the connection is encrypted.
    security: Option<ConnectionSecurity>,
}

impl ServerSession {
    /// The version of the server's secret that the client has shown; 0 for none.
    pub(crate) fn secret_version(&self) -> u32 {
        self.secret_version
    }

    /// The client has shown this version of the secret.
    pub(super) fn unlock(&mut self, version: u32) {
        self.secret_version = version;
    }

    /// Reads a request. Input that is not a request is answered here.
    ///
    /// # Errors
    /// There is no request to execute: how to read on.
    pub(crate) fn read<'i, R: Role>(
        &mut self,
        input: Input<'i>,
        max_unknown: u16,
        reply: &mut Responder<'_, R>,
    ) -> Result<Request<'i>, ReadNext> {
        let line = match input {
            Input::Line(line) => line,
            Input::FramingError(error) => {
                if let FramingError::OtherProtocol(_) = error {
                    self.requests = self.requests.saturating_add(1);
                }
                return Err(framing_error(error, reply));
            }
            // The roles read HTTP elsewhere.
            Input::Connected
            | Input::Resumed
            | Input::Body(_)
            | Input::HttpHead(_)
            | Input::UnencryptedHttpHead(_)
            | Input::HttpError(_) => return Err(ReadNext::Line),
        };
        let is_first = self.requests == 0;
        self.requests = self.requests.saturating_add(1);
        let parsed = Request::parse(line);
        // Only a first line can be a request in both languages.
        if (is_first || parsed.is_err())
            && let Some(protocol) = OtherProtocol::detect(line, is_first)
        {
            return Err(framing_error(FramingError::OtherProtocol(protocol), reply));
        }
        match parsed {
            Ok(request) => {
                self.malformed = None;
                self.record_request(request.verb(), request.file_name());
                self.has_requested_content |= matches!(
                    request,
                    Request::Get(_) | Request::Range { .. } | Request::Pieces(_)
                );
                Ok(request)
            }
            Err(error) => Err(self.answer_malformed(&error, max_unknown, reply)),
        }
    }

    /// Records that the client requests the content of a file in HTTP, or only its head.
    pub(crate) fn request_content(&mut self, is_head: bool, name: &FileName<'_>) {
        self.record_request(Some(Verb::Get), Some(name));
        self.is_last_head = is_head;
        self.has_requested_content = true;
    }

    /// Counts a request in HTTP.
    pub(crate) fn count_request(&mut self) {
        self.requests = self.requests.saturating_add(1);
        self.record_request(None, None);
    }

    /// Records a request for the log.
    pub(crate) fn record_request(&mut self, verb: Option<Verb>, name: Option<&FileName<'_>>) {
        self.last_verb = verb;
        self.is_last_head = false;
        match name {
            // Reuses the buffer: many small files are requested on one connection.
            Some(name) => {
                let uncommon = self.uncommon.get_or_insert_default();
                uncommon.has_last_name = true;
                name.as_str().clone_into(&mut uncommon.last_name);
            }
            None => {
                if let Some(uncommon) = &mut self.uncommon {
                    uncommon.has_last_name = false;
                }
            }
        }
    }

    fn last_word(&self) -> Option<&'static str> {
        match self.is_last_head {
            true => Some("HEAD"),
            false => self.last_verb.map(Verb::word),
        }
    }

    /// The last request, for the log.
    pub(crate) fn last_request(&self) -> Option<LastRequest<'_>> {
        let uncommon = self.uncommon.as_deref();
        let uncommon = uncommon.filter(|uncommon| uncommon.has_last_name);
        Some(LastRequest {
            verb: self.last_word()?,
            name: uncommon.map(|uncommon| uncommon.last_name.as_str()),
        })
    }

    /// The handshake of the connection is complete.
    pub(crate) fn on_encrypted(&mut self, security: ConnectionSecurity) {
        self.uncommon.get_or_insert_default().security = Some(security);
    }

    /// How the connection is encrypted, if it is.
    #[must_use]
    pub fn security(&self) -> Option<&ConnectionSecurity> {
        self.uncommon.as_ref()?.security.as_ref()
    }

    /// Whether replies may contain files.
    pub(crate) fn carries_content(&self) -> bool {
        self.has_requested_content
    }

    fn answer_malformed<R: Role>(
        &mut self,
        error: &RequestError<'_>,
        max_unknown: u16,
        reply: &mut Responder<'_, R>,
    ) -> ReadNext {
        self.malformed = error.verb();
        if let RequestError::UnknownVerb(_) = error {
            self.unknown_commands += 1;
        }
        let next = reply.malformed(error);
        if self.unknown_commands < max_unknown {
            return next;
        }
        ReadNext::Close(CloseReason::TooManyUnknownCommands)
    }
}

/// The requests so far, for the log: `3 requests, last GET`.
impl fmt::Display for ServerSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Counted(self.requests.into(), "request").fmt(f)?;
        match self.last_word() {
            Some(word) => write!(f, ", last {word}"),
            None => Ok(()),
        }
    }
}

fn framing_error<R: Role>(error: FramingError, reply: &mut Responder<'_, R>) -> ReadNext {
    let (rejection, reason) = match error {
        FramingError::LineTooLong => (Rejection::LineTooLong, CloseReason::LineTooLong),
        FramingError::UnexpectedEof => (Rejection::IncompleteLine, CloseReason::UnexpectedEof),
        FramingError::LineTimeout => (Rejection::LineTimeout, CloseReason::LineTimeout),
        FramingError::SlowReceiver => (Rejection::SlowReceiver, CloseReason::SlowReceiver),
        FramingError::TlsRequired => (Rejection::TlsRequired, CloseReason::TlsRequired),
        FramingError::OtherProtocol(protocol) => (
            Rejection::OtherProtocol(protocol),
            CloseReason::OtherProtocol(protocol),
        ),
    };
    reply.reject_and_close(rejection, reason)
}

/// The figures that every server has.
pub(crate) fn figures<R: Role, S>(
    request: &RequestContext<'_, R, S>,
    started: Instant,
) -> Vec<Figure> {
    let uptime = request.now.saturating_duration_since(started);
    let traffic = request.traffic;
    vec![
        Figure::gauge(
            "uptime_seconds",
            uptime.as_secs(),
            "Seconds since the start",
        ),
        Figure::gauge("connections", traffic.open, "Open connections"),
        Figure::counter(
            "connections_accepted",
            traffic.accepted,
            "Accepted connections",
        ),
        Figure::counter(
            "connections_refused",
            traffic.refused,
            "Connections refused because of a limit",
        ),
        Figure::counter("bytes_in", traffic.bytes_in, "Received bytes"),
        Figure::counter("bytes_out", traffic.bytes_out, "Sent bytes"),
    ]
}

/// Answers `CONNECTIONS`, if the client is trusted.
pub(crate) fn list_connections<R: Role, S>(
    request: &mut RequestContext<'_, R, S>,
    is_trusted: bool,
) -> ReadNext {
    match is_trusted {
        true => request.reply.connections(),
        false => request.reply.reject(Rejection::NotTrusted),
    }
}

/// Prints the list that answers `CONNECTIONS`.
pub(crate) fn write_connections(total: u64, connections: &[ConnectionInfo], text: &mut Vec<u8>) {
    let count = Count::truncated(connections.len() as u64, total);
    write_line(text, Reply::Connections(count));
    for connection in connections {
        write_line(text, connection.item());
    }
}

/// `ERROR 503`: the only reply that is sent without a request.
pub(crate) fn refuse(text: &mut Vec<u8>, limit: ResourceLimit) {
    write_line(text, Rejection::from(limit).reply());
}
