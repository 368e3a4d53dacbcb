//! Conversations over datagrams. Whoever talks writes lines and hears lines, as on
//! a connection; here they are packed behind a cookie, sent again when no answer
//! comes, and each answer is taken for what it answers, once.
//!
//! What does not go well over datagrams is handed back, to be said over TCP.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fastrand::Rng;
use log::debug;
use memchr::{memchr, memchr_iter};

use crate::close_reason::CloseReason;
use crate::protocol::{Cookie, DatagramHeader, MAX_DATAGRAM, Reply, RequestDatagram, Tag};
use crate::role::{Output, ReadNext, Role, UdpPeer};

/// A datagram is sent again at these times after the first time, and given up at
/// the last one.
const REPEATS: [Duration; 4] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

/// For so long nothing is sent to who has not answered.
const UNAVAILABLE_FOR: Duration = Duration::from_secs(300);

/// Cookies that are taken as an answer to one datagram.
const COOKIES: u32 = 3;

/// All conversations with one server. `S` is what their owner remembers of each.
pub struct UdpRequests<S> {
    routes: Vec<Route>,
    open: Vec<UdpRequest<S>>,
    /// The next tag. No other datagram of late has it.
    next_tag: u32,
}

/// One address of the server.
struct Route {
    to: UdpPeer,
    cookie: Option<Cookie>,
    /// It did not answer: nothing is sent there before this.
    unavailable_until: Option<Instant>,
}

/// One conversation. A datagram of it is on its way, always.
struct UdpRequest<S> {
    session: S,
    route: usize,
    /// Lines that have no answer yet, with their ends.
    lines: VecDeque<Box<[u8]>>,
    /// The `REGISTER` line with which it began. A server remembers nothing, so each
    /// datagram begins with it.
    introduction: Option<Box<[u8]>>,
    tag: Tag,
    /// The cookie that was sent last: one that comes may answer what was sent before.
    cookie: Option<Cookie>,
    /// So many of the lines are on their way.
    sent: usize,
    /// Behind the introduction, whose answer is not theirs.
    introduced: bool,
    /// When it was sent for the first time.
    since: Instant,
    /// How often it was sent again.
    repeats: usize,
    /// How many cookies came as an answer to it.
    cookies: u32,
}

/// A conversation is over here.
#[derive(Debug)]
pub enum UdpOutcome<S> {
    /// As on a connection.
    Ended(S, CloseReason),
    /// To be held again over TCP, from its beginning.
    FallBack(SocketAddr, S),
}

/// The answers in one datagram.
struct Answers<'a> {
    /// All but the one to the introduction.
    lines: &'a [u8],
    /// How many they are; each may have several lines.
    count: usize,
    /// One of them is a list that was cut.
    is_cut: bool,
}

/// Nobody can be reached in datagrams.
impl<S> Default for UdpRequests<S> {
    fn default() -> Self {
        Self::new(&[], 0)
    }
}

impl<S> UdpRequests<S> {
    /// No conversations yet. `routes` are the addresses to which datagrams can be sent.
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
            next_tag: Rng::with_seed(seed).u32(..),
        }
    }

    /// Whether there is any conversation.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Begins a conversation with what `write` says first.
    ///
    /// # Errors
    /// No datagrams go to that address.
    pub fn begin<R: Role>(
        &mut self,
        out: &mut Output<R>,
        now: Instant,
        address: SocketAddr,
        mut session: S,
        write: impl FnOnce(&mut S, &mut Vec<u8>),
    ) -> Result<(), S> {
        let Some(route) = self.route(now, address) else {
            return Err(session);
        };
        let mut text = Vec::new();
        write(&mut session, &mut text);
        let mut exchange = UdpRequest::new(session, route, now);
        exchange.write(&text);
        if text.starts_with(b"REGISTER ") {
            exchange.introduction = exchange.lines.front().cloned();
        }
        self.post_next(out, now, exchange)
            .map_err(|open| open.session)
    }

    /// A datagram came. The lines of the answers go to `hear`, which says what else
    /// it wants to say.
    pub fn receive<R: Role>(
        &mut self,
        out: &mut Output<R>,
        now: Instant,
        from: UdpPeer,
        bytes: &[u8],
        mut hear: impl FnMut(&mut S, &[u8], &mut Vec<u8>) -> ReadNext,
    ) -> Option<UdpOutcome<S>> {
        let (tag, body) = tagged(bytes)?;
        let routes = &self.routes;
        let is_for = |open: &UdpRequest<S>| open.tag == tag && routes[open.route].to == from;
        let place = self.open.iter().position(is_for)?;
        let exchange = &mut self.open[place];
        if let Some(cookie) = only_cookie(body) {
            if exchange.cookie != Some(cookie) && exchange.cookies < COOKIES {
                self.routes[exchange.route].cookie = Some(cookie);
                exchange.cookies += 1;
                exchange.tag = next(&mut self.next_tag);
                exchange.post(out, &self.routes);
            }
            return None;
        }
        let answers = exchange.answers(body)?;
        let mut exchange = self.open.swap_remove(place);
        if answers.is_cut {
            return Some(UdpOutcome::FallBack(from.address, exchange.session));
        }
        exchange.lines.drain(..answers.count);
        let mut more = Vec::new();
        for line in lines(answers.lines) {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            if let ReadNext::Close(end) = hear(&mut exchange.session, line, &mut more) {
                return Some(UdpOutcome::Ended(exchange.session, end));
            }
        }
        exchange.write(&more);
        // Who has heard all and says nothing waits in vain.
        let stuck = self.post_next(out, now, exchange).err();
        stuck.map(|open| UdpOutcome::Ended(open.session, CloseReason::EndOfInput))
    }

    /// Nobody takes datagrams at the other end of a socket: what was said there.
    pub fn on_udp_unreachable(&mut self, socket: u32) -> Vec<UdpOutcome<S>> {
        self.give_up(|_, route| route.to.socket == socket)
    }

    /// When to call [`UdpRequests::on_timer`].
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.open.iter().map(UdpRequest::due).min()
    }

    /// Sends again what was not answered in time.
    pub fn on_timer<R: Role>(&mut self, out: &mut Output<R>, now: Instant) -> Vec<UdpOutcome<S>> {
        for open in self.open.iter_mut().filter(|open| open.due() <= now) {
            open.repeats += 1;
            if open.repeats < REPEATS.len() {
                open.post(out, &self.routes);
            } else {
                let route = &mut self.routes[open.route];
                debug!("{} answers no datagrams", route.to.address);
                route.unavailable_until = Some(now + UNAVAILABLE_FOR);
            }
        }
        self.give_up(|open, _| open.repeats >= REPEATS.len())
    }

    fn route(&self, now: Instant, address: SocketAddr) -> Option<usize> {
        let is_open = |route: &Route| route.unavailable_until.is_none_or(|until| until <= now);
        let mut routes = self.routes.iter();
        routes.position(|route| route.to.address == address && is_open(route))
    }

    /// Sends the next lines, if there are any.
    fn post_next<R: Role>(
        &mut self,
        out: &mut Output<R>,
        now: Instant,
        mut exchange: UdpRequest<S>,
    ) -> Result<(), UdpRequest<S>> {
        if exchange.lines.is_empty() {
            return Err(exchange);
        }
        exchange.tag = next(&mut self.next_tag);
        exchange.pack();
        (exchange.since, exchange.repeats, exchange.cookies) = (now, 0, 0);
        exchange.post(out, &self.routes);
        self.open.push(exchange);
        Ok(())
    }

    fn give_up(&mut self, is_over: impl Fn(&UdpRequest<S>, &Route) -> bool) -> Vec<UdpOutcome<S>> {
        let routes = &self.routes;
        let is_over = |open: &mut UdpRequest<S>| is_over(open, &routes[open.route]);
        let over = self.open.extract_if(.., is_over);
        let fall_back =
            |open: UdpRequest<S>| UdpOutcome::FallBack(routes[open.route].to.address, open.session);
        over.map(fall_back).collect()
    }
}

impl<S> UdpRequest<S> {
    fn new(session: S, route: usize, now: Instant) -> Self {
        Self {
            session,
            route,
            lines: VecDeque::new(),
            introduction: None,
            tag: Tag::from(0),
            cookie: None,
            sent: 0,
            introduced: false,
            since: now,
            repeats: 0,
            cookies: 0,
        }
    }

    /// Takes whole lines.
    fn write(&mut self, text: &[u8]) {
        self.lines.extend(lines(text).map(Box::from));
    }

    fn due(&self) -> Instant {
        self.since + REPEATS[self.repeats.min(REPEATS.len() - 1)]
    }

    /// Decides which lines go together: as many as fit, at least one.
    fn pack(&mut self) {
        self.introduced =
            self.introduction.is_some() && self.introduction.as_ref() != self.lines.front();
        let introduction = self.introduction.as_ref().filter(|_| self.introduced);
        let mut length = DatagramHeader::MAX_LEN + introduction.map_or(0, |line| line.len());
        let lengths = self.lines.iter().map(|line| line.len());
        let fits = |line: &usize| {
            length += line;
            length <= MAX_DATAGRAM
        };
        self.sent = lengths.take_while(fits).count().max(1);
    }

    /// Sends the lines that are on their way, once more if they are already.
    fn post<R: Role>(&mut self, out: &mut Output<R>, routes: &[Route]) {
        let Route { to, cookie, .. } = &routes[self.route];
        self.cookie = *cookie;
        let introduction = self.introduction.iter().filter(|_| self.introduced);
        let lines = introduction.chain(self.lines.iter().take(self.sent));
        let lines: Vec<u8> = lines.flatten().copied().collect();
        let header = DatagramHeader {
            cookie: *cookie,
            tag: Some(self.tag),
        };
        let lines = &lines;
        RequestDatagram { header, lines }.write(out.datagram(*to));
    }

    /// Counts the answers. Nothing if they cannot be those that are waited for.
    fn answers<'a>(&self, body: &'a [u8]) -> Option<Answers<'a>> {
        let mut answers = Answers {
            lines: body,
            count: 0,
            is_cut: false,
        };
        let mut rest = body;
        if self.introduced {
            rest = answer(rest)?.1;
            answers.lines = rest;
        }
        while !rest.is_empty() {
            let (is_cut, left) = answer(rest)?;
            answers.is_cut |= is_cut;
            answers.count += 1;
            rest = left;
        }
        (1..=self.sent).contains(&answers.count).then_some(answers)
    }
}

/// The next tag, and one later for the next time.
fn next(tag: &mut u32) -> Tag {
    *tag = tag.wrapping_add(1);
    Tag::from(*tag)
}

/// Splits text into lines, each with its end.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n')
}

/// Splits off the first line, without its end.
fn line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr(b'\n', text)?;
    Some((&text[..end], &text[end + 1..]))
}

/// The tag of a datagram, and what follows it.
fn tagged(datagram: &[u8]) -> Option<(Tag, &[u8])> {
    let (head, body) = line(datagram)?;
    match Reply::parse(head) {
        Ok(Reply::Tag(tag)) => Some((tag, body)),
        Ok(_) | Err(_) => None,
    }
}

/// The cookie, if nothing else came.
fn only_cookie(body: &[u8]) -> Option<Cookie> {
    match Reply::parse(line(body)?.0) {
        Ok(Reply::Cookie(cookie)) => Some(cookie),
        Ok(_) | Err(_) => None,
    }
}

/// Splits off one whole answer: whether it is a list that was cut, and what follows.
fn answer(body: &[u8]) -> Option<(bool, &[u8])> {
    let (head, rest) = line(body)?;
    let (items, is_cut) = match Reply::parse(head) {
        Ok(Reply::Nodes(count) | Reply::Holders(count)) => {
            (count.shown(), count.shown() < count.total())
        }
        // No other list comes in datagrams.
        Ok(_) | Err(_) => (0, false),
    };
    let Some(last) = usize::try_from(items).ok()?.checked_sub(1) else {
        return Some((is_cut, rest));
    };
    let end = memchr_iter(b'\n', rest).nth(last)?;
    Some((is_cut, &rest[end + 1..]))
}
