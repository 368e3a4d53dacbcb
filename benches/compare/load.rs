//! The load: so many connections with so many requests in flight on each, one
//! thread, and every reply is checked.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::exchange::{Exchange, Reading};

/// Bytes read at once.
const READ_SIZE: usize = 256 * 1024;
/// What is not answered by then is lost.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connections that all ask for the same kind of thing.
pub(crate) struct Group {
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) connections: usize,
    /// Requests on each connection whose answers have not come.
    pub(crate) in_flight: usize,
}

/// How long to go on.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    /// So long.
    Time(Duration),
    /// Until each number was asked for once, in order.
    Each,
}

/// What came of it, for each group.
#[derive(Clone, Default)]
pub(crate) struct Sample {
    pub(crate) replies: u64,
    /// Replies that were not the right ones.
    pub(crate) wrong: u64,
    /// Requests that nobody answered.
    pub(crate) lost: u64,
    pub(crate) time: Duration,
    /// How long each reply took, if one is in flight at a time.
    pub(crate) latencies: Vec<Duration>,
}

/// Connections to one server.
pub(crate) struct Load {
    address: SocketAddr,
    /// A new connection for each request.
    anew: bool,
    poll: Poll,
    groups: Vec<Group>,
    asked: Vec<u64>,
    connections: Vec<Connection>,
    /// Requests whose answers have not come, on all connections.
    waiting: usize,
    scratch: Box<[u8]>,
}

struct Connection {
    stream: TcpStream,
    group: usize,
    /// Requests to write as soon as the connection is made.
    unsent: Vec<u8>,
    /// The numbers that were asked for.
    waiting: VecDeque<u32>,
    reading: Reading,
    asked_at: Instant,
}

impl Load {
    /// Connects.
    pub(crate) fn new(address: SocketAddr, groups: Vec<Group>) -> io::Result<Self> {
        Self::start(address, groups, false)
    }

    /// Connects again for each request.
    pub(crate) fn anew(address: SocketAddr, group: Group) -> io::Result<Self> {
        Self::start(address, vec![group], true)
    }

    fn start(address: SocketAddr, groups: Vec<Group>, anew: bool) -> io::Result<Self> {
        let mut load = Self {
            address,
            anew,
            poll: Poll::new()?,
            asked: vec![0; groups.len()],
            groups,
            connections: Vec::new(),
            waiting: 0,
            scratch: vec![0; READ_SIZE].into(),
        };
        for group in 0..load.groups.len() {
            for _ in 0..load.groups[group].connections {
                let token = Token(load.connections.len());
                let connection = Connection {
                    stream: load.connect(token)?,
                    group,
                    unsent: Vec::new(),
                    waiting: VecDeque::new(),
                    reading: Reading::default(),
                    asked_at: Instant::now(),
                };
                load.connections.push(connection);
            }
        }
        Ok(load)
    }

    fn connect(&self, token: Token) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(self.address)?;
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, token, both)?;
        // Replies are small: ours must not wait for their acknowledgement.
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Asks and checks what is answered; returns when nothing is in flight.
    pub(crate) fn run(&mut self, until: Until) -> io::Result<Vec<Sample>> {
        let mut samples = vec![Sample::default(); self.groups.len()];
        self.asked.fill(0);
        let begun = Instant::now();
        for index in 0..self.connections.len() {
            let in_flight = self.groups[self.connections[index].group].in_flight;
            self.ask(index, in_flight, until)?;
        }
        let mut events = Events::with_capacity(1024);
        let mut asking = true;
        let mut stopped = None;
        while self.waiting > 0 {
            match self.poll.poll(&mut events, Some(PATIENCE)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                other => other?,
            }
            let now = begun.elapsed();
            if let Until::Time(time) = until
                && asking
                && now >= time
            {
                asking = false;
                stopped = Some(now);
            }
            for event in &events {
                self.attend(event.token().0, asking, until, &mut samples)?;
            }
            let too_late = stopped.is_some_and(|at| begun.elapsed() > at + PATIENCE);
            if events.is_empty() || too_late {
                self.give_up(&mut samples)?;
            }
        }
        let time = stopped.unwrap_or_else(|| begun.elapsed());
        for sample in &mut samples {
            sample.time = time;
        }
        Ok(samples)
    }

    /// Writes what waits, reads and checks, asks again.
    fn attend(
        &mut self,
        index: usize,
        asking: bool,
        until: Until,
        samples: &mut [Sample],
    ) -> io::Result<()> {
        self.send(index)?;
        loop {
            let connection = &mut self.connections[index];
            let length = match connection.stream.read(&mut self.scratch) {
                Ok(0) => return self.lost(index, samples),
                Ok(length) => length,
                Err(error) if is_not_yet(&error) => return Ok(()),
                Err(_) => return self.lost(index, samples),
            };
            let answered = self.check(index, length, asking, samples);
            if asking && answered > 0 {
                if self.anew {
                    self.connections[index].stream = self.connect(Token(index))?;
                    return self.ask(index, answered, until);
                }
                self.ask(index, answered, until)?;
            }
            if length < self.scratch.len() {
                return Ok(());
            }
        }
    }

    /// Checks what was read; returns how many replies are complete.
    fn check(
        &mut self,
        index: usize,
        length: usize,
        counting: bool,
        samples: &mut [Sample],
    ) -> usize {
        let connection = &mut self.connections[index];
        let group = &self.groups[connection.group];
        let sample = &mut samples[connection.group];
        let mut answered = 0;
        let mut rest = &self.scratch[..length];
        while !rest.is_empty() {
            let Some(number) = connection.waiting.front() else {
                // Nobody asked for this.
                sample.wrong += 1;
                break;
            };
            let taken = group.exchange.take(*number, &mut connection.reading, rest);
            rest = &rest[taken.bytes..];
            if let Some(right) = taken.complete {
                connection.waiting.pop_front();
                self.waiting -= 1;
                answered += 1;
                sample.replies += u64::from(counting);
                sample.wrong += u64::from(!right);
                if group.in_flight == 1 && counting {
                    sample.latencies.push(connection.asked_at.elapsed());
                }
            }
        }
        answered
    }

    /// Asks for the next so many numbers, in one write.
    fn ask(&mut self, index: usize, count: usize, until: Until) -> io::Result<()> {
        let connection = &mut self.connections[index];
        let exchange = &self.groups[connection.group].exchange;
        let numbers = u64::from(exchange.numbers);
        let asked = &mut self.asked[connection.group];
        for _ in 0..count {
            let number = match until {
                Until::Time(_) => leap(*asked, numbers),
                Until::Each if *asked >= numbers => break,
                Until::Each => *asked as u32,
            };
            *asked += 1;
            exchange.request.print(number, &mut connection.unsent);
            connection.waiting.push_back(number);
            self.waiting += 1;
        }
        connection.asked_at = Instant::now();
        self.send(index)
    }

    fn send(&mut self, index: usize) -> io::Result<()> {
        let connection = &mut self.connections[index];
        while !connection.unsent.is_empty() {
            match connection.stream.write(&connection.unsent) {
                Ok(sent) => drop(connection.unsent.drain(..sent)),
                Err(error) if is_not_yet(&error) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The server has ended a connection whose answers had not all come.
    fn lost(&mut self, index: usize, samples: &mut [Sample]) -> io::Result<()> {
        let connection = &mut self.connections[index];
        samples[connection.group].lost += connection.waiting.len() as u64;
        self.waiting -= connection.waiting.len();
        connection.waiting.clear();
        connection.unsent.clear();
        connection.reading = Reading::default();
        self.connections[index].stream = self.connect(Token(index))?;
        Ok(())
    }

    fn give_up(&mut self, samples: &mut [Sample]) -> io::Result<()> {
        for index in 0..self.connections.len() {
            if !self.connections[index].waiting.is_empty() {
                self.lost(index, samples)?;
            }
        }
        Ok(())
    }
}

/// The numbers below `numbers`, at most a million, in an order that jumps about.
pub(crate) fn leap(turn: u64, numbers: u64) -> u32 {
    /// Prime, so that every number has its turn.
    const STRIDE: u64 = 611_953;
    (turn.wrapping_mul(STRIDE) % numbers) as u32
}

/// The socket has nothing, takes nothing, or is not connected yet.
fn is_not_yet(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::NotConnected | ErrorKind::Interrupted
    )
}
