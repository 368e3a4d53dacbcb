//! A UDP client of a relay, used like `nc -u`.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use crate::support::DEADLINE;

/// A UDP socket that is connected to one server.
pub struct UdpClient {
    socket: UdpSocket,
    cookie: String,
}

impl UdpClient {
    pub fn connect(address: SocketAddr) -> Self {
        Self::connect_from(address.ip(), address)
    }

    /// Sends from another address of this machine.
    pub fn connect_from(source: IpAddr, address: SocketAddr) -> Self {
        let socket = UdpSocket::bind((source, 0)).expect("an address of this machine");
        socket.connect(address).expect("an address");
        socket.set_read_timeout(Some(DEADLINE)).expect("an option");
        let cookie = "-".to_owned();
        Self { socket, cookie }
    }

    /// The last received cookie, or `-`.
    pub fn cookie(&self) -> String {
        self.cookie.clone()
    }

    pub fn send(&self, datagram: impl AsRef<[u8]>) {
        self.socket.send(datagram.as_ref()).expect("it is sent");
    }

    /// The next datagram. It must consist of complete lines.
    pub fn receive(&mut self) -> String {
        let mut buffer = [0; 65_536];
        let length = self.socket.recv(&mut buffer).expect("a datagram comes");
        let text = String::from_utf8(buffer[..length].to_vec()).expect("lines are UTF-8");
        assert!(text.ends_with('\n'), "{text:?}");
        let cookie = text.lines().find_map(|line| line.strip_prefix("COOKIE "));
        if let Some(cookie) = cookie {
            self.cookie = cookie.to_owned();
        }
        text
    }

    pub fn ask(&mut self, datagram: impl AsRef<[u8]>) -> String {
        self.send(datagram);
        self.receive()
    }

    /// Sends lines with a cookie, which is requested first if there is none.
    pub fn ask_with_cookie(&mut self, lines: &str) -> String {
        if self.cookie == "-" {
            self.ask("PING\n");
        }
        self.ask(format!("COOKIE {} {lines}", self.cookie))
    }

    /// Receives all datagrams that the relay has sent so far: those before the reply to a
    /// request that is sent now. Loopback neither loses nor reorders datagrams.
    pub fn drain(&mut self) -> Vec<String> {
        self.send("COOKIE -.now PING\n");
        let mut before = Vec::new();
        loop {
            match self.receive() {
                end if end.starts_with("TAG now\n") => return before,
                other => before.push(other),
            }
        }
    }

    /// The number of datagrams that have arrived.
    pub fn received(&self) -> usize {
        self.socket.set_nonblocking(true).expect("an option");
        let count = std::iter::from_fn(|| self.socket.recv(&mut [0; 2048]).ok()).count();
        self.socket.set_nonblocking(false).expect("an option");
        count
    }

    /// Whether the port of the server is closed (ICMP port unreachable).
    pub fn is_refused(&self, datagram: &str) -> bool {
        self.send(datagram);
        let answer = self.socket.recv(&mut [0]);
        answer.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    }
}
