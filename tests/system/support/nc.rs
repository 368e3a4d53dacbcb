//! A TCP connection that is used as a person uses `nc`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use rustix::net::{
    AddressFamily, SendFlags, SocketFlags, SocketType, bind, connect, send, socket_with,
};

use crate::support::DEADLINE;

/// A TCP connection, used like `nc`.
pub struct Nc {
    input: BufReader<TcpStream>,
}

impl Nc {
    pub fn connect(address: SocketAddr) -> Self {
        Self::from_stream(TcpStream::connect_timeout(&address, DEADLINE).expect("it listens"))
    }

    /// Connects from another address of this machine.
    pub fn connect_from(source: &str, address: SocketAddr) -> Self {
        let kind = (AddressFamily::INET, SocketType::STREAM);
        // A server that another test starts must not inherit the socket.
        let socket = socket_with(kind.0, kind.1, SocketFlags::CLOEXEC, None).expect("a socket");
        let source: IpAddr = source.parse().expect("an address");
        bind(&socket, &SocketAddr::new(source, 0)).expect("an address of this machine");
        connect(&socket, &address).expect("it listens");
        Self::from_stream(socket.into())
    }

    /// Wraps an open connection.
    pub fn from_stream(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).expect("an option");
        stream.set_write_timeout(Some(DEADLINE)).expect("an option");
        stream.set_nodelay(true).expect("an option");
        Self {
            input: BufReader::new(stream),
        }
    }

    pub fn local(&self) -> SocketAddr {
        self.stream().local_addr().expect("it is connected")
    }

    pub fn stream(&self) -> &TcpStream {
        self.input.get_ref()
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream()
            .write_all(bytes.as_ref())
            .expect("the other side takes it");
    }

    /// Sends urgent data, which is no part of the stream; `telnet` does so at ctrl-C.
    pub fn send_urgent(&mut self, byte: u8) {
        let sent = send(self.stream(), &[byte], SendFlags::OOB);
        sent.expect("the other side takes it");
    }

    /// Closes the writing side, as `nc -N` does at the end of its input.
    pub fn half_close(&mut self) {
        self.stream().shutdown(Shutdown::Write).expect("it is open");
    }

    /// Whether nothing arrives within `time`.
    pub fn is_silent_for(&self, time: Duration) -> bool {
        self.stream()
            .set_read_timeout(Some(time))
            .expect("an option");
        let silent = self.stream().peek(&mut [0]).is_err();
        self.stream()
            .set_read_timeout(Some(DEADLINE))
            .expect("an option");
        silent
    }

    /// The next line, without the newline.
    pub fn line(&mut self) -> String {
        let mut line = Vec::new();
        self.input.read_until(b'\n', &mut line).expect("a line");
        assert_eq!(line.pop(), Some(b'\n'), "the line is whole");
        String::from_utf8(line).expect("lines are UTF-8")
    }

    /// Sends a line and reads one.
    pub fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\n"));
        self.line()
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.input.read_exact(&mut bytes).expect("so many bytes");
        bytes
    }

    /// All bytes until the other side closes.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.input.read_to_end(&mut rest).expect("a proper end");
        rest
    }

    /// The same as text.
    pub fn rest_text(&mut self) -> String {
        String::from_utf8(self.rest()).expect("lines are UTF-8")
    }
}

/// Sends a request, half-closes, and reads to the end: `printf … | nc -N`.
pub fn ask(address: SocketAddr, request: &[u8]) -> String {
    String::from_utf8(ask_bytes(address, request)).expect("lines are UTF-8")
}

/// The same for a binary reply.
pub fn ask_bytes(address: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut nc = Nc::connect(address);
    nc.send(request);
    nc.half_close();
    nc.rest()
}

/// Removes the epoch from each reply to `REGISTER`, which must have one.
pub fn without_epochs(replies: &str) -> String {
    let line = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        match fields.as_slice() {
            ["OK", lease, _, _, files, rest @ ..] if lease.parse::<u64>().is_ok() => {
                assert!(files.parse::<u64>().is_ok(), "{line}");
                let [epoch] = rest else {
                    panic!("one field is missing or too many: {line}");
                };
                assert!(epoch.parse::<u64>().is_ok(), "{line}");
                line.replacen(&format!(" {files} {epoch}"), &format!(" {files}"), 1)
            }
            _ => line.to_owned(),
        }
    };
    replies.split_inclusive('\n').map(line).collect()
}
