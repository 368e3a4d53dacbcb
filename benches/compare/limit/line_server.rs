//! A loop that answers lines: one read, a reply to each complete line, one write. Only
//! incomplete lines and unsent replies are kept for a connection.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use rustix::net::sockopt;
use slab::Slab;

const LISTENER: Token = Token(usize::MAX);

struct Connection {
    stream: TcpStream,
    /// An incomplete line.
    input: Vec<u8>,
    /// Unsent replies.
    output: Vec<u8>,
}

/// Answers lines until the process is killed.
pub(super) fn serve(mut answer: impl FnMut(&[u8], &mut Vec<u8>)) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut listener = listen()?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut connections: Slab<Connection> = Slab::new();
    let mut events = Events::with_capacity(1024);
    let mut scratch = vec![0; 64 * 1024];
    let mut replies = Vec::new();
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nodelay(true)?;
                    let entry = connections.vacant_entry();
                    let token = Token(entry.key());
                    let both = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut stream, token, both)?;
                    entry.insert(Connection {
                        stream,
                        input: Vec::new(),
                        output: Vec::new(),
                    });
                }
            } else if let Some(connection) = connections.get_mut(event.token().0) {
                let turn = connection.turn(&mut scratch, &mut replies, &mut answer);
                if turn.is_err() {
                    connections.remove(event.token().0);
                }
            }
        }
    }
}

/// Listens as [`bind`] does, for a loop.
pub(super) fn listen() -> io::Result<TcpListener> {
    let listener = bind()?;
    listener.set_nonblocking(true)?;
    Ok(TcpListener::from_std(listener))
}

/// Listens and prints the address. bbr paces by timers, which costs half of the rate on
/// loopback: connections use reno if the system allows it.
pub(super) fn bind() -> io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let _ = sockopt::set_tcp_congestion(&listener, "reno");
    println!("limit listening on {}", listener.local_addr()?);
    rustix::net::listen(&listener, 4096)?;
    Ok(listener)
}

impl Connection {
    fn turn(
        &mut self,
        scratch: &mut [u8],
        replies: &mut Vec<u8>,
        answer: &mut impl FnMut(&[u8], &mut Vec<u8>),
    ) -> io::Result<()> {
        loop {
            if !self.output.is_empty() {
                let sent = write(&mut self.stream, &self.output)?;
                self.output.drain(..sent);
            }
            let length = match self.stream.read(scratch) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            replies.clear();
            let mut rest = &scratch[..length];
            while let Some(end) = memchr::memchr(b'\n', rest) {
                let (line, after) = rest.split_at(end + 1);
                if self.input.is_empty() {
                    answer(&line[..end], replies);
                } else {
                    self.input.extend_from_slice(&line[..end]);
                    answer(&std::mem::take(&mut self.input), replies);
                }
                rest = after;
            }
            self.input.extend_from_slice(rest);
            let sent = match self.output.is_empty() {
                true => write(&mut self.stream, replies)?,
                false => 0,
            };
            self.output.extend_from_slice(&replies[sent..]);
            if length < scratch.len() {
                return Ok(());
            }
        }
    }
}

/// Writes once. Returns the number of bytes that were sent.
pub(super) fn write(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    match stream.write(bytes) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        other => other,
    }
}
