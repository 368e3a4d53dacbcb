//! Attackers over TCP: many connections in one thread, which send what their script
//! says and connect again when the server closes them.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustix::net::sockopt::{set_socket_linger, set_socket_recv_buffer_size};

use crate::network::{Network, start_connect};
use crate::rows::{Attacker, Crowd, Script};

/// The time between two steps of slow connections, and of those that open.
const TICK: Duration = Duration::from_millis(20);
/// Connections that are opened in one tick, few enough for the accept queue.
const OPENED_PER_TICK: usize = 250;
/// The pause before a closed connection is opened again.
const REOPEN_PAUSE: Duration = Duration::from_millis(200);
/// The pause between two bytes of a slow connection.
const BYTE_PAUSE: Duration = Duration::from_secs(1);
/// The receive buffer of connections that read nothing.
const SMALL_BUFFER: usize = 4096;

/// What attackers have done.
#[derive(Clone, Copy, Default)]
pub(crate) struct Damage {
    pub(crate) connections: u64,
    pub(crate) bytes: u64,
}

/// The connections of one crowd.
pub(crate) struct Attackers {
    crowd: Crowd,
    server: SocketAddr,
    listener: String,
    poll: Poll,
    connections: Vec<Connection>,
    /// The connections that can make progress.
    active: Vec<usize>,
    damage: Damage,
    scratch: Box<[u8]>,
}

struct Connection {
    from: Ipv4Addr,
    stream: Option<TcpStream>,
    /// When it is opened, or when its next byte is sent.
    due: Instant,
    turn: usize,
    unsent: String,
    /// How much of `unsent` was sent.
    sent: usize,
    is_readable: bool,
    is_writable: bool,
    is_active: bool,
}

impl Attackers {
    /// At most `most` connections to a server, from addresses of a group.
    pub(crate) fn new(
        crowd: Crowd,
        (network, group): (Network, u8),
        server: SocketAddr,
        listener: String,
        most: usize,
    ) -> io::Result<Self> {
        let each = 0..crowd.connections;
        let addresses = (0..crowd.addresses).flat_map(|number| {
            let address = network.address(group, number + 1);
            each.clone().map(move |_| address)
        });
        let now = Instant::now();
        let connections = addresses.take(most).map(|from| Connection {
            from,
            stream: None,
            due: now,
            turn: 0,
            unsent: String::new(),
            sent: 0,
            is_readable: false,
            is_writable: false,
            is_active: false,
        });
        Ok(Self {
            connections: connections.collect(),
            crowd,
            server,
            listener,
            poll: Poll::new()?,
            active: Vec::new(),
            damage: Damage::default(),
            scratch: vec![0; 64 * 1024].into(),
        })
    }

    /// Attacks until `stop` is set.
    pub(crate) fn run(mut self, stop: &AtomicBool) -> io::Result<Damage> {
        let mut events = Events::with_capacity(1024);
        let mut next_tick = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            let now = Instant::now();
            if now >= next_tick {
                next_tick = now + TICK;
                self.tick(now)?;
            }
            let wait = match self.active.is_empty() {
                true => next_tick.saturating_duration_since(now),
                false => Duration::ZERO,
            };
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                other => other?,
            }
            for event in &events {
                let index = event.token().0;
                let connection = &mut self.connections[index];
                connection.is_readable |= event.is_readable();
                connection.is_writable |= event.is_writable();
                self.activate(index);
                if event.is_error() || event.is_write_closed() {
                    self.close(index, now + REOPEN_PAUSE);
                }
            }
            for index in std::mem::take(&mut self.active) {
                self.connections[index].is_active = false;
                if self.act(index, now)? {
                    self.activate(index);
                }
            }
        }
        Ok(self.damage)
    }

    fn activate(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        if !std::mem::replace(&mut connection.is_active, true) {
            self.active.push(index);
        }
    }

    /// Opens connections, and sends the next byte of slow ones.
    fn tick(&mut self, now: Instant) -> io::Result<()> {
        let mut opened = 0;
        for index in 0..self.connections.len() {
            let connection = &mut self.connections[index];
            if connection.due > now {
                continue;
            }
            if connection.stream.is_none() && opened < OPENED_PER_TICK {
                opened += 1;
                self.open(index, now)?;
            } else if let Script::Slow(_) = self.crowd.script {
                self.activate(index);
            }
        }
        Ok(())
    }

    fn open(&mut self, index: usize, now: Instant) -> io::Result<()> {
        let connection = &mut self.connections[index];
        let mut stream = match start_connect(connection.from, self.server) {
            Ok(stream) => stream,
            // No port or descriptor is free at the moment.
            Err(_) => {
                connection.due = now + REOPEN_PAUSE;
                return Ok(());
            }
        };
        if !self.crowd.reads {
            set_socket_recv_buffer_size(&stream, SMALL_BUFFER)?;
        }
        let both = Interest::READABLE | Interest::WRITABLE;
        let registry = self.poll.registry();
        registry.register(&mut stream, Token(index), both)?;
        connection.stream = Some(stream);
        connection.due = now;
        self.damage.connections += 1;
        Ok(())
    }

    fn close(&mut self, index: usize, reopen: Instant) {
        let connection = &mut self.connections[index];
        if let Some(stream) = connection.stream.take() {
            // A reset leaves no port in the state TIME_WAIT. It cannot fail here.
            let _ = set_socket_linger(&stream, Some(Duration::ZERO));
        }
        connection.unsent.clear();
        connection.sent = 0;
        connection.turn = 0;
        (connection.is_readable, connection.is_writable) = (false, false);
        connection.due = reopen;
    }

    /// Reads and sends once. Returns whether the connection can go on at once.
    fn act(&mut self, index: usize, now: Instant) -> io::Result<bool> {
        let connection = &mut self.connections[index];
        let Some(stream) = &mut connection.stream else {
            return Ok(false);
        };
        if connection.is_readable && self.crowd.reads {
            match stream.read(&mut self.scratch) {
                Ok(1..) => {}
                Err(error) if is_not_ready(&error) => connection.is_readable = false,
                Ok(0) | Err(_) => {
                    self.close(index, now + REOPEN_PAUSE);
                    return Ok(false);
                }
            }
        }
        let can_send = connection.is_writable && self.has_more_to_send(index, now);
        if can_send && self.send(index, now).is_err() {
            self.close(index, now + REOPEN_PAUSE);
        }
        let connection = &self.connections[index];
        if connection.stream.is_none() && connection.due <= now {
            self.open(index, now)?;
        }
        let connection = &self.connections[index];
        let floods = matches!(self.crowd.script, Script::Flood(_));
        Ok(connection.is_readable && self.crowd.reads || connection.is_writable && floods)
    }

    /// Whether there is something to send; asks the script for it.
    fn has_more_to_send(&mut self, index: usize, now: Instant) -> bool {
        let connection = &mut self.connections[index];
        let (payload, repeats) = match self.crowd.script {
            Script::Flood(payload) => (payload, true),
            Script::Slow(payload) => (payload, connection.due <= now),
            Script::Once(payload) | Script::Reset(payload) => (payload, connection.turn == 0),
            Script::Datagrams(_) => return false,
        };
        if connection.sent == connection.unsent.len() && repeats {
            connection.unsent.clear();
            connection.sent = 0;
            let attacker = Attacker {
                number: index,
                turn: connection.turn,
                listener: &self.listener,
            };
            payload(&mut connection.unsent, attacker);
            connection.turn += 1;
        }
        connection.sent < connection.unsent.len() && connection.due <= now
    }

    fn send(&mut self, index: usize, now: Instant) -> io::Result<()> {
        let connection = &mut self.connections[index];
        let Some(stream) = &mut connection.stream else {
            return Ok(());
        };
        let mut bytes = &connection.unsent.as_bytes()[connection.sent..];
        if let Script::Slow(_) = self.crowd.script {
            bytes = &bytes[..1];
            connection.due = now + BYTE_PAUSE;
        }
        match stream.write(bytes) {
            Ok(length) => {
                connection.sent += length;
                self.damage.bytes += length as u64;
            }
            Err(error) if is_not_ready(&error) => connection.is_writable = false,
            Err(error) => return Err(error),
        }
        let is_sent = connection.sent == connection.unsent.len();
        if is_sent && matches!(self.crowd.script, Script::Reset(_)) {
            self.close(index, now);
        }
        Ok(())
    }
}

/// The operation would block, or the socket is not connected yet.
fn is_not_ready(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::NotConnected | ErrorKind::Interrupted
    )
}
