//! The honest users: a few connections that send requests at a modest pace, whatever
//! happens, and check the replies.
//!
//! Each request is due at a fixed time. Its answer time counts from there, so that a
//! server that answers nobody for a second spoils the answers of that whole second. Only
//! if the users themselves come too late, because their processor is busy, it counts
//! from the moment when the request is sent. The next one is due as planned: otherwise all
//! users would soon send at the same moments, and one pause would spoil all of their answers.

use std::io::{self, ErrorKind, Read, Write};
use std::iter;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Registry, Token};

use crate::habits::{HABITS, Habit, Repeats, user_address};
use crate::network::{Network, ask, start_connect};
use crate::servers::{Servers, Target};

/// Users with the same habit.
const USERS: u8 = 3;
/// The time between two requests of a user.
const PACE: Duration = Duration::from_millis(25);
/// A request without an answer for this time is an error.
const TIMEOUT: Duration = Duration::from_secs(10);
const A_DAY: Duration = Duration::from_secs(86_400);
/// The pause after an error.
const ERROR_PAUSE: Duration = Duration::from_millis(100);

/// A user, and what it has seen.
pub(crate) struct User {
    pub(crate) habit: &'static Habit,
    from: Ipv4Addr,
    server: SocketAddr,
    request: String,
    expected: Vec<u8>,
    connection: Option<Connection>,
    /// When the next request is due, or the current one was.
    due: Instant,
    /// Since when the current request counts.
    since: Instant,
    is_waiting: bool,
    /// The request is due only after the last reply has arrived.
    is_idle: bool,
    /// The answer times.
    pub(crate) times: Vec<Duration>,
    pub(crate) errors: usize,
    pub(crate) first_error: Option<String>,
}

struct Connection {
    stream: TcpStream,
    /// Bytes of the request that were sent.
    sent: usize,
    /// Bytes of the reply that have arrived.
    received: usize,
}

impl User {
    /// A user at an address. Asks the server for the reply to expect.
    fn new(habit: &'static Habit, from: Ipv4Addr, server: SocketAddr) -> io::Result<Self> {
        let request = habit.request.replace("IP", &from.to_string());
        let expected = ask(from, server, &request)?;
        if expected.is_empty() || expected.starts_with(b"ERROR") {
            let reply = String::from_utf8_lossy(&expected);
            let name = habit.name;
            return Err(io::Error::other(format!("{name}: {reply:?}")));
        }
        Ok(Self {
            habit,
            from,
            server,
            request,
            expected,
            connection: None,
            due: Instant::now(),
            since: Instant::now(),
            is_waiting: false,
            is_idle: true,
            times: Vec::new(),
            errors: 0,
            first_error: None,
        })
    }

    /// The next time at which [`User::on_time`] has something to do.
    fn deadline(&self) -> Instant {
        if self.is_waiting {
            return self.since + TIMEOUT;
        }
        self.due
    }

    fn on_time(&mut self, now: Instant, registry: &Registry, token: Token) {
        if now < self.deadline() {
            return;
        }
        if self.is_waiting {
            return self.fail(now, "no answer");
        }
        self.since = self.due;
        if std::mem::take(&mut self.is_idle) {
            self.since = now;
            while self.due + PACE <= now {
                self.due += PACE;
            }
        }
        self.is_waiting = true;
        let result = self.connect(registry, token).and_then(|()| self.flush());
        if let Err(error) = result {
            self.fail(now, &error.to_string());
        }
    }

    /// Makes the connection ready for the next request.
    fn connect(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        if let Some(connection) = &mut self.connection {
            (connection.sent, connection.received) = (0, 0);
            return Ok(());
        }
        let mut stream = start_connect(self.from, self.server)?;
        let both = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut stream, token, both)?;
        self.connection = Some(Connection {
            stream,
            sent: 0,
            received: 0,
        });
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        while self.is_waiting && connection.sent < self.request.len() {
            match connection
                .stream
                .write(&self.request.as_bytes()[connection.sent..])
            {
                Ok(length) => connection.sent += length,
                Err(error) if is_not_ready(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn on_event(&mut self, scratch: &mut [u8]) {
        if let Err(error) = self.flush().and_then(|()| self.read(scratch)) {
            self.fail(Instant::now(), &error.to_string());
        }
    }

    /// Reads and checks what has arrived.
    fn read(&mut self, scratch: &mut [u8]) -> io::Result<()> {
        while let Some(connection) = &mut self.connection {
            let length = match connection.stream.read(scratch) {
                Ok(0) => return Err(io::Error::other("connection closed")),
                Ok(length) => length,
                Err(error) if is_not_ready(&error) => return Ok(()),
                Err(error) => return Err(error),
            };
            let arrived = &scratch[..length];
            if !self.is_waiting && self.habit.repeats == Repeats::Never {
                // Messages of others.
                continue;
            }
            let rest = &self.expected[connection.received..];
            let checked = match self.habit.repeats {
                Repeats::Never => length.min(rest.len()),
                _ => length,
            };
            if !self.is_waiting || !rest.starts_with(&arrived[..checked]) {
                let arrived = String::from_utf8_lossy(&arrived[..length.min(80)]);
                return Err(io::Error::other(format!("unexpected {arrived:?}")));
            }
            connection.received += checked;
            if connection.received == self.expected.len() {
                self.on_reply();
            }
        }
        Ok(())
    }

    fn on_reply(&mut self) {
        self.times.push(self.since.elapsed());
        self.is_waiting = false;
        self.due += match self.habit.repeats {
            Repeats::Never => A_DAY,
            Repeats::OnConnection | Repeats::Reconnecting => PACE,
        };
        self.is_idle = self.due > Instant::now();
        if self.habit.repeats == Repeats::Reconnecting {
            self.connection = None;
        }
    }

    /// Counts an error. The next request needs a new connection.
    fn fail(&mut self, now: Instant, error: &str) {
        self.errors += 1;
        let text = || format!("{}: {error}", self.habit.name);
        self.first_error.get_or_insert_with(text);
        if self.is_waiting {
            self.times.push(self.since.elapsed());
        }
        self.is_waiting = false;
        self.connection = None;
        self.due = now + ERROR_PAUSE;
    }
}

/// Some users for each habit that concerns one of the targets. See [`User::new`].
pub(crate) fn create(
    network: Network,
    servers: &Servers,
    targets: &[Target],
) -> io::Result<Vec<User>> {
    let habits = HABITS
        .iter()
        .filter(|habit| habit.rows.iter().any(|target| targets.contains(target)));
    (1..)
        .zip(habits.flat_map(|habit| iter::repeat_n(habit, USERS.into())))
        .map(|(number, habit)| {
            let address = user_address(network, number);
            User::new(habit, address, servers.address(habit.server))
        })
        .collect()
}

/// Lets users send requests for a time. Requests that are under way at the end count
/// with the time that they have taken so far.
pub(crate) fn run(users: &mut [User], time: Duration) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(64);
    let mut scratch = vec![0; 64 * 1024];
    let end = Instant::now() + time;
    let step = PACE / users.len() as u32;
    for (nth, user) in (0..).zip(&mut *users) {
        (user.due, user.is_idle) = (Instant::now() + step * nth, true);
    }
    loop {
        let now = Instant::now();
        if now >= end {
            break;
        }
        for (index, user) in users.iter_mut().enumerate() {
            user.on_time(now, poll.registry(), Token(index));
        }
        let next = users.iter().map(User::deadline).min().unwrap_or(end);
        let wait = next.min(end).saturating_duration_since(Instant::now());
        match poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            users[event.token().0].on_event(&mut scratch);
        }
    }
    for user in users {
        if user.is_waiting {
            user.times.push(user.since.elapsed());
        }
        (user.is_waiting, user.connection) = (false, None);
    }
    Ok(())
}

/// The operation would block, or the socket is not connected yet.
fn is_not_ready(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::NotConnected | ErrorKind::Interrupted
    )
}
