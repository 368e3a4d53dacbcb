//! Answers each line with the same bytes without copying them, for replies that are
//! larger than the socket buffers.

use std::fs;
use std::io::{self, ErrorKind, Read};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use super::line_server::{listen, write};

const LISTENER: Token = Token(usize::MAX);

struct Connection {
    stream: TcpStream,
    /// Bytes left to send: one reply for each line.
    left: usize,
}

/// `reply` is the path of the reply.
pub(super) fn run(reply: &str) -> io::Result<()> {
    let reply = fs::read(reply)?;
    let mut poll = Poll::new()?;
    let mut listener = listen()?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut connections: Slab<Connection> = Slab::new();
    let mut events = Events::with_capacity(1024);
    let mut scratch = vec![0; 64 * 1024];
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    let entry = connections.vacant_entry();
                    let both = Interest::READABLE | Interest::WRITABLE;
                    let token = Token(entry.key());
                    poll.registry().register(&mut stream, token, both)?;
                    entry.insert(Connection { stream, left: 0 });
                }
            } else if let Some(connection) = connections.get_mut(event.token().0) {
                let turn = connection.turn(&mut scratch, &reply);
                if turn.is_err() {
                    connections.remove(event.token().0);
                }
            }
        }
    }
}

impl Connection {
    fn turn(&mut self, scratch: &mut [u8], reply: &[u8]) -> io::Result<()> {
        match self.stream.read(scratch) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(length) => {
                self.left += memchr::memchr_iter(b'\n', &scratch[..length]).count() * reply.len();
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        while self.left > 0 {
            // A part of the first reply may have been sent.
            let from = (reply.len() - self.left % reply.len()) % reply.len();
            let sent = write(&mut self.stream, &reply[from..])?;
            if sent == 0 {
                break;
            }
            self.left -= sent;
        }
        Ok(())
    }
}
