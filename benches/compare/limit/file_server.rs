//! Serves files by `GET name`, with sendfile(2).

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::str;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustix::io::Errno;
use slab::Slab;

use super::line_server::listen;

const LISTENER: Token = Token(usize::MAX);
/// Bytes in a sendfile call.
const PIECE: u64 = 1024 * 1024;

struct Connection {
    stream: TcpStream,
    /// The file, the offset, and the bytes left.
    file: Option<(File, u64, u64)>,
}

/// Serves the files of `folder`.
pub(super) fn run(folder: &str) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut listener = listen()?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut connections: Slab<Connection> = Slab::new();
    let mut events = Events::with_capacity(64);
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nodelay(true)?;
                    let entry = connections.vacant_entry();
                    let both = Interest::READABLE | Interest::WRITABLE;
                    let token = Token(entry.key());
                    poll.registry().register(&mut stream, token, both)?;
                    entry.insert(Connection { stream, file: None });
                }
            } else if let Some(connection) = connections.get_mut(event.token().0) {
                let turn = connection.turn(Path::new(folder));
                if turn.is_err() {
                    connections.remove(event.token().0);
                }
            }
        }
    }
}

impl Connection {
    fn turn(&mut self, folder: &Path) -> io::Result<()> {
        let mut line = [0; 256];
        match self.stream.read(&mut line) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            // A request is short enough to arrive in one read.
            Ok(length) => self.begin(folder, &line[..length])?,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        while let Some((file, offset, left)) = &mut self.file {
            let piece = (*left).min(PIECE) as usize;
            match rustix::fs::sendfile(&self.stream, &*file, Some(offset), piece) {
                Ok(sent) => *left -= sent as u64,
                Err(Errno::AGAIN) => break,
                Err(error) => return Err(error.into()),
            }
            if *left == 0 {
                self.file = None;
            }
        }
        Ok(())
    }

    fn begin(&mut self, folder: &Path, line: &[u8]) -> io::Result<()> {
        let line = str::from_utf8(line).map_err(io::Error::other)?;
        let name = line.trim_end().strip_prefix("GET ").unwrap_or_default();
        let file = File::open(folder.join(name))?;
        let size = file.metadata()?.len();
        writeln!(self.stream, "FOUND {size}")?;
        self.file = Some((file, 0, size));
        Ok(())
    }
}
