//! The client side of datagrams. A session writes request lines and reads response
//! lines, as on a connection. Here its lines are packed behind a cookie and a tag,
//! sent again while no response comes, and each response is used once.
//!
//! A session that fails over UDP is handed back, to be repeated over TCP.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fastrand::Rng;
use log::debug;
use memchr::{memchr, memchr_iter};

use crate::close_reason::CloseReason;
use crate::protocol::{
    Cookie, DatagramHeader, MAX_DATAGRAM, ParseError, Reply, ReplyContent, Request,
    RequestDatagram, Tag,
};
use crate::role::{Output, ReadNext, Role, UdpPeer};

/// A datagram is sent again after this time; then the time doubles.
const FIRST_TIMEOUT: Duration = Duration::from_millis(500);

/// When a datagram has been sent this many times, the session fails at the next timeout.
const MAX_SENDS: u32 = 4;

/// A server that has not answered gets no datagrams for this time.
const UNAVAILABLE_FOR: Duration = Duration::from_secs(300);

/// The most cookies that are accepted as the response to one datagram.
const MAX_COOKIES: u32 = 3;

/// All sessions with one server. `S` is the state that their owner keeps for each.
pub struct UdpRequests<S> {
    routes: Vec<Route>,
    open: Vec<UdpRequest<S>>,
    /// The tag of the last datagram. No other recent datagram has the next one.
    last_tag: u32,
}

/// One address of the server.
struct Route {
    to: UdpPeer,
    cookie: Option<Cookie>,
    /// It did not answer: nothing is sent there before this time.
    unavailable_until: Option<Instant>,
}

/// One session. One datagram of it is always outstanding.
struct UdpRequest<S> {
    session: S,
    route: usize,
    /// The request lines without a response, with their ends.
    lines: VecDeque<Box<[u8]>>,
    /// The `REGISTER` line with which the session began. The server keeps no state
    /// between datagrams, so each of them begins with this line.
    register: Option<Box<[u8]>>,
    tag: Tag,
    /// The cookie that was sent last. The response to an earlier datagram may bring
    /// the same one again.
    cookie: Option<Cookie>,
    /// The text of the outstanding datagram: so many of the lines.
    text: Vec<u8>,
    sent: usize,
    /// Whether `register` stands before them.
    repeats_register: bool,
    /// When the datagram was sent for the first time.
    sent_at: Instant,
    retransmissions: u32,
    /// How many cookies came as a response to it.
    cookies: u32,
}

/// A session has left the [`UdpRequests`].
#[derive(Debug)]
pub enum UdpOutcome<S> {
    /// It has ended, as on a connection.
    Ended(S, CloseReason),
    /// It is to be repeated over TCP, from its start.
    FallBack(SocketAddr, S),
}

/// No server can be reached.
impl<S> Default for UdpRequests<S> {
    fn default() -> Self {
        Self::new(&[], 0)
    }
}

impl<S> UdpRequests<S> {
    /// No sessions yet. `routes` are the addresses of the server.
    #[must_use]
    pub fn new(routes: &[UdpPeer], seed: u64) -> Self {
        let route = |to: &UdpPeer| Route {
            to: *to,
            cookie: None,
            unavailable_until: None,
        };
        Self {
            routes: routes.iter().map(route).collect(),
            open: Vec::new(),
            last_tag: Rng::with_seed(seed).u32(..),
        }
    }

    /// Whether requests to this address go over UDP if that is possible.
    #[must_use]
    pub fn has_route(&self, address: SocketAddr) -> bool {
        self.routes.iter().any(|route| route.to.address == address)
    }

    /// Whether there is no session.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Starts a session with the request lines that `write` appends, at least one.
    ///
    /// # Errors
    /// No datagrams go to that address now.
    pub fn start<R: Role, C: Into<S>>(
        &mut self,
        out: &mut Output<R>,
        now: Instant,
        address: SocketAddr,
        mut session: C,
        write: impl FnOnce(&mut C, &mut Vec<u8>),
    ) -> Result<(), C> {
        let is_available = |route: &Route| route.unavailable_until.is_none_or(|until| until <= now);
        let is_route = |route: &Route| route.to.address == address && is_available(route);
        let Some(route) = self.routes.iter().position(is_route) else {
            return Err(session);
        };
        let mut text = Vec::new();
        write(&mut session, &mut text);
        let lines: VecDeque<Box<[u8]>> = lines(&text).map(Box::from).collect();
        let register = lines.front().filter(|line| {
            let request = Request::parse(line.trim_ascii_end());
            matches!(request, Ok(Request::Register(..)))
        });
        let register = register.cloned();
        self.send_next(out, now, session.into(), route, register, lines);
        Ok(())
    }

    /// Reads a datagram. `on_line` gets the lines of the responses, and appends more
    /// requests.
    pub fn on_datagram<R: Role>(
        &mut self,
        out: &mut Output<R>,
        now: Instant,
        from: UdpPeer,
        bytes: &[u8],
        mut on_line: impl FnMut(&mut S, &[u8], &mut Vec<u8>) -> ReadNext,
    ) -> Option<UdpOutcome<S>> {
        let (Ok(Reply::Tag(tag)), body) = split_reply(bytes)? else {
            return None;
        };
        let routes = &self.routes;
        let is_for =
            |request: &UdpRequest<S>| request.tag == tag && routes[request.route].to == from;
        let index = self.open.iter().position(is_for)?;
        let request = &mut self.open[index];
        if let Some((Ok(Reply::Cookie(cookie)), _)) = split_reply(body) {
            if request.cookie != Some(cookie) && request.cookies < MAX_COOKIES {
                self.routes[request.route].cookie = Some(cookie);
                request.cookies += 1;
                request.tag = next_tag(&mut self.last_tag);
                request.send(out, &self.routes);
            }
            return None;
        }
        let (count, responses, is_cut) = request.responses(body)?;
        let request = self.open.swap_remove(index);
        let (mut session, mut unanswered) = (request.session, request.lines);
        if is_cut {
            return Some(UdpOutcome::FallBack(from.address, session));
        }
        unanswered.drain(..count);
        let mut more = Vec::new();
        for line in lines(responses) {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            if let ReadNext::Close(reason) = on_line(&mut session, line, &mut more) {
                return Some(UdpOutcome::Ended(session, reason));
            }
        }
        unanswered.extend(lines(&more).map(Box::from));
        if unanswered.is_empty() {
            // A session without outstanding requests would wait for ever.
            return Some(UdpOutcome::Ended(session, CloseReason::EndOfInput));
        }
        self.send_next(
            out,
            now,
            session,
            request.route,
            request.register,
            unanswered,
        );
        None
    }

    /// No program receives datagrams at the other end of a socket: its sessions fail.
    pub fn on_unreachable(&mut self, socket: u32) -> Vec<UdpOutcome<S>> {
        self.fail(|_, route| route.to.socket == socket)
    }

    /// When to call [`UdpRequests::on_timer`].
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.open.iter().map(UdpRequest::deadline).min()
    }

    /// Sends datagrams again whose response is late.
    pub fn on_timer<R: Role>(&mut self, out: &mut Output<R>, now: Instant) -> Vec<UdpOutcome<S>> {
        let open = self.open.iter_mut();
        for request in open.filter(|request| request.deadline() <= now) {
            request.retransmissions += 1;
            if request.retransmissions < MAX_SENDS {
                request.send(out, &self.routes);
            } else {
                let route = &mut self.routes[request.route];
                debug!("{} answers no datagrams", route.to.address);
                route.unavailable_until = Some(now + UNAVAILABLE_FOR);
            }
        }
        self.fail(|request, _| request.retransmissions >= MAX_SENDS)
    }

    /// Sends as many of the lines as fit into a datagram, at least one.
    fn send_next<R: Role>(
        &mut self,
        out: &mut Output<R>,
        now: Instant,
        session: S,
        route: usize,
        register: Option<Box<[u8]>>,
        lines: VecDeque<Box<[u8]>>,
    ) {
        let repeated = register.as_ref();
        let repeated = repeated.filter(|line| lines.front() != Some(line));
        let mut text = repeated.map_or(Vec::new(), |line| line.to_vec());
        let mut sent = 0;
        for line in &lines {
            let length = DatagramHeader::MAX_LEN + text.len() + line.len();
            if sent > 0 && length > MAX_DATAGRAM {
                break;
            }
            text.extend_from_slice(line);
            sent += 1;
        }
        let mut request = UdpRequest {
            session,
            route,
            repeats_register: repeated.is_some(),
            register,
            lines,
            text,
            sent,
            tag: next_tag(&mut self.last_tag),
            cookie: None,
            sent_at: now,
            retransmissions: 0,
            cookies: 0,
        };
        request.send(out, &self.routes);
        self.open.push(request);
    }

    fn fail(&mut self, has_failed: impl Fn(&UdpRequest<S>, &Route) -> bool) -> Vec<UdpOutcome<S>> {
        let routes = &self.routes;
        let has_failed = |request: &mut UdpRequest<S>| has_failed(request, &routes[request.route]);
        let failed = self.open.extract_if(.., has_failed);
        let fall_back = |request: UdpRequest<S>| {
            UdpOutcome::FallBack(routes[request.route].to.address, request.session)
        };
        failed.map(fall_back).collect()
    }
}

impl<S> UdpRequest<S> {
    fn deadline(&self) -> Instant {
        self.sent_at + FIRST_TIMEOUT * 2_u32.pow(self.retransmissions)
    }

    /// Sends the text, for the first time or again.
    fn send<R: Role>(&mut self, out: &mut Output<R>, routes: &[Route]) {
        let Route { to, cookie, .. } = routes[self.route];
        self.cookie = cookie;
        let tag = Some(self.tag);
        let (header, lines) = (DatagramHeader { cookie, tag }, &self.text);
        RequestDatagram { header, lines }.write(out.begin_datagram(to));
    }

    /// Counts the responses in a datagram, without the one to a repeated `REGISTER`.
    /// Returns their number, their lines, and whether one of them is a list without its
    /// end. None if they cannot be those to the outstanding lines.
    fn responses<'a>(&self, body: &'a [u8]) -> Option<(usize, &'a [u8], bool)> {
        let lines = match self.repeats_register {
            true => split_response(body)?.1,
            false => body,
        };
        let (mut rest, mut count, mut is_any_cut) = (lines, 0, false);
        while !rest.is_empty() {
            let (is_cut, after) = split_response(rest)?;
            is_any_cut |= is_cut;
            count += 1;
            rest = after;
        }
        let is_valid = (1..=self.sent).contains(&count);
        is_valid.then_some((count, lines, is_any_cut))
    }
}

fn next_tag(last: &mut u32) -> Tag {
    *last = last.wrapping_add(1);
    Tag::from(*last)
}

/// Splits text into lines, each with its end.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n')
}

/// Splits off the first line, which is a reply or unreadable.
fn split_reply(text: &[u8]) -> Option<(Result<Reply<'_>, ParseError>, &[u8])> {
    let end = memchr(b'\n', text)?;
    Some((Reply::parse(&text[..end]), &text[end + 1..]))
}

/// Splits off one whole response: whether it is a list without its end, and the
/// bytes after it.
fn split_response(body: &[u8]) -> Option<(bool, &[u8])> {
    let (head, rest) = split_reply(body)?;
    // The session reads an unreadable line as well, and ends.
    let Ok(head) = head else {
        return Some((false, rest));
    };
    let is_cut = match &head {
        Reply::Nodes(count) | Reply::Holders(count) => count.shown() < count.total(),
        _ => false,
    };
    let ReplyContent::Items(_, items) = head.content() else {
        return Some((is_cut, rest));
    };
    let last = usize::try_from(items - 1).ok()?;
    let end = memchr_iter(b'\n', rest).nth(last)?;
    Some((is_cut, &rest[end + 1..]))
}
