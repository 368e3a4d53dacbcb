//! The TCP load: connections with several requests in flight each, in one thread. Every
//! reply is checked.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use peerline::tls::TlsConnector;

use crate::load_stream::{LoadStream, would_block};
use crate::request_spec::{ReplyState, RequestSpec};

/// Bytes in a read.
const READ_SIZE: usize = 256 * 1024;
/// Replies that take longer are lost.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Connections with the same kind of request.
pub(crate) struct ConnectionGroup {
    pub(crate) spec: Arc<RequestSpec>,
    pub(crate) connections: usize,
    /// Requests in flight on each connection.
    pub(crate) in_flight: usize,
}

/// When a load stops.
#[derive(Clone, Copy)]
pub(crate) enum StopWhen {
    /// After this time.
    Elapsed(Duration),
    /// After each number was requested once, in order.
    AllSent,
}

/// The result for one group.
#[derive(Clone, Default)]
pub(crate) struct Sample {
    pub(crate) replies: u64,
    /// Replies other than the expected ones.
    pub(crate) wrong: u64,
    /// Requests without a reply.
    pub(crate) lost: u64,
    pub(crate) time: Duration,
    /// The time of each reply, if one request is in flight on each connection.
    pub(crate) latencies: Vec<Duration>,
}

/// Connections to one server.
pub(crate) struct TcpLoad {
    address: SocketAddr,
    /// Makes a new connection for each request.
    reconnects: bool,
    tls: Option<TlsConnector>,
    poll: Poll,
    groups: Vec<ConnectionGroup>,
    requests_sent: Vec<u64>,
    connections: Vec<Connection>,
    /// Requests in flight on all connections.
    outstanding: usize,
    scratch: Box<[u8]>,
}

struct Connection {
    stream: LoadStream,
    group: usize,
    /// Requests that are not sent yet.
    unsent: Vec<u8>,
    /// The numbers of the requests in flight.
    outstanding: VecDeque<u32>,
    state: ReplyState,
    request_time: Instant,
}

impl TcpLoad {
    /// Opens all connections.
    pub(crate) fn new(address: SocketAddr, groups: Vec<ConnectionGroup>) -> io::Result<Self> {
        Self::connect_all(address, groups, false, None)
    }

    /// Opens a new connection for each request.
    pub(crate) fn reconnecting(address: SocketAddr, group: ConnectionGroup) -> io::Result<Self> {
        Self::connect_all(address, vec![group], true, None)
    }

    /// Opens all connections over TLS.
    pub(crate) fn over_tls(
        address: SocketAddr,
        group: ConnectionGroup,
        tls: TlsConnector,
    ) -> io::Result<Self> {
        Self::connect_all(address, vec![group], false, Some(tls))
    }

    /// Opens a new connection over TLS for each request.
    pub(crate) fn reconnecting_over_tls(
        address: SocketAddr,
        group: ConnectionGroup,
        tls: TlsConnector,
    ) -> io::Result<Self> {
        Self::connect_all(address, vec![group], true, Some(tls))
    }

    fn connect_all(
        address: SocketAddr,
        groups: Vec<ConnectionGroup>,
        reconnects: bool,
        tls: Option<TlsConnector>,
    ) -> io::Result<Self> {
        let mut load = Self {
            address,
            reconnects,
            tls,
            poll: Poll::new()?,
            requests_sent: vec![0; groups.len()],
            groups,
            connections: Vec::new(),
            outstanding: 0,
            scratch: vec![0; READ_SIZE].into(),
        };
        for group in 0..load.groups.len() {
            for _ in 0..load.groups[group].connections {
                let token = Token(load.connections.len());
                let connection = Connection {
                    stream: load.connect(token)?,
                    group,
                    unsent: Vec::new(),
                    outstanding: VecDeque::new(),
                    state: ReplyState::default(),
                    request_time: Instant::now(),
                };
                load.connections.push(connection);
            }
        }
        Ok(load)
    }

    fn connect(&self, token: Token) -> io::Result<LoadStream> {
        let mut socket = TcpStream::connect(self.address)?;
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut socket, token, both)?;
        // Requests are small: they must not wait for acknowledgements.
        socket.set_nodelay(true)?;
        let tls = match &self.tls {
            Some(tls) => tls.connect(self.address.ip())?,
            None => None,
        };
        Ok(LoadStream { socket, tls })
    }

    /// Sends requests and checks the replies. Returns when no request is in flight.
    pub(crate) fn run(&mut self, stop_when: StopWhen) -> io::Result<Vec<Sample>> {
        let mut samples = vec![Sample::default(); self.groups.len()];
        self.requests_sent.fill(0);
        let start = Instant::now();
        for index in 0..self.connections.len() {
            let in_flight = self.groups[self.connections[index].group].in_flight;
            self.send_requests(index, in_flight, stop_when)?;
        }
        let mut events = Events::with_capacity(1024);
        let mut is_sending = true;
        let mut stop_time = None;
        while self.outstanding > 0 {
            match self.poll.poll(&mut events, Some(TIMEOUT)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                other => other?,
            }
            let now = start.elapsed();
            if let StopWhen::Elapsed(time) = stop_when
                && is_sending
                && now >= time
            {
                is_sending = false;
                stop_time = Some(now);
            }
            for event in &events {
                self.on_event(event.token().0, is_sending, stop_when, &mut samples)?;
            }
            let too_late = stop_time.is_some_and(|at| start.elapsed() > at + TIMEOUT);
            if events.is_empty() || too_late {
                self.abandon_outstanding(&mut samples)?;
            }
        }
        let time = stop_time.unwrap_or_else(|| start.elapsed());
        for sample in &mut samples {
            sample.time = time;
        }
        Ok(samples)
    }

    /// Writes pending requests, checks replies, and sends more requests.
    fn on_event(
        &mut self,
        index: usize,
        is_sending: bool,
        stop_when: StopWhen,
        samples: &mut [Sample],
    ) -> io::Result<()> {
        if self.flush(index).is_err() {
            return self.on_connection_lost(index, samples);
        }
        loop {
            let connection = &mut self.connections[index];
            let length = match connection.stream.read(&mut self.scratch) {
                Ok(0) => return self.on_connection_lost(index, samples),
                Ok(length) => length,
                Err(error) if would_block(&error) => return Ok(()),
                Err(_) => return self.on_connection_lost(index, samples),
            };
            let replies = self.check(index, length, is_sending, samples);
            if is_sending && replies > 0 {
                if self.reconnects {
                    self.connections[index].stream = self.connect(Token(index))?;
                    return self.send_requests(index, replies, stop_when);
                }
                self.send_requests(index, replies, stop_when)?;
            }
            let stream = &self.connections[index].stream;
            if length < self.scratch.len() && stream.is_emptied_by_short_read() {
                return Ok(());
            }
        }
    }

    /// Checks the bytes that were read. Returns the number of complete replies.
    fn check(
        &mut self,
        index: usize,
        length: usize,
        is_counting: bool,
        samples: &mut [Sample],
    ) -> usize {
        let connection = &mut self.connections[index];
        let group = &self.groups[connection.group];
        let sample = &mut samples[connection.group];
        let mut replies = 0;
        let mut rest = &self.scratch[..length];
        while !rest.is_empty() {
            let Some(number) = connection.outstanding.front() else {
                // A reply without a request.
                sample.wrong += 1;
                break;
            };
            let consumed = group.spec.consume(*number, &mut connection.state, rest);
            rest = &rest[consumed.bytes..];
            if let Some(right) = consumed.complete {
                connection.outstanding.pop_front();
                self.outstanding -= 1;
                replies += 1;
                sample.replies += u64::from(is_counting);
                sample.wrong += u64::from(!right);
                if group.in_flight == 1 && is_counting {
                    sample.latencies.push(connection.request_time.elapsed());
                }
            }
        }
        replies
    }

    /// Sends the next `count` requests in one write.
    fn send_requests(&mut self, index: usize, count: usize, stop_when: StopWhen) -> io::Result<()> {
        let connection = &mut self.connections[index];
        let spec = &self.groups[connection.group].spec;
        let numbers = u64::from(spec.numbers);
        let requests_sent = &mut self.requests_sent[connection.group];
        for _ in 0..count {
            let number = match stop_when {
                StopWhen::Elapsed(_) => scattered(*requests_sent, numbers),
                StopWhen::AllSent if *requests_sent >= numbers => break,
                StopWhen::AllSent => *requests_sent as u32,
            };
            *requests_sent += 1;
            spec.request.print(number, &mut connection.unsent);
            connection.outstanding.push_back(number);
            self.outstanding += 1;
        }
        connection.request_time = Instant::now();
        self.flush(index)
    }

    fn flush(&mut self, index: usize) -> io::Result<()> {
        let connection = &mut self.connections[index];
        connection.stream.flush()?;
        while !connection.unsent.is_empty() {
            match connection.stream.write(&connection.unsent) {
                Ok(sent) => drop(connection.unsent.drain(..sent)),
                Err(error) if would_block(&error) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The server has closed a connection with requests in flight.
    fn on_connection_lost(&mut self, index: usize, samples: &mut [Sample]) -> io::Result<()> {
        let connection = &mut self.connections[index];
        samples[connection.group].lost += connection.outstanding.len() as u64;
        self.outstanding -= connection.outstanding.len();
        connection.outstanding.clear();
        connection.unsent.clear();
        connection.state = ReplyState::default();
        self.connections[index].stream = self.connect(Token(index))?;
        Ok(())
    }

    fn abandon_outstanding(&mut self, samples: &mut [Sample]) -> io::Result<()> {
        for index in 0..self.connections.len() {
            if !self.connections[index].outstanding.is_empty() {
                self.on_connection_lost(index, samples)?;
            }
        }
        Ok(())
    }
}

/// Maps 0, 1, 2… to the numbers below `numbers` in a scattered order. `numbers` is at
/// most a million.
pub(crate) fn scattered(turn: u64, numbers: u64) -> u32 {
    /// A prime, so that every number occurs.
    const STRIDE: u64 = 611_953;
    (turn.wrapping_mul(STRIDE) % numbers) as u32
}
