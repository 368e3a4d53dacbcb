//! Talks in datagrams, as `nc -u` would.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use crate::support::DEADLINE;

/// A socket for datagrams to one server.
pub struct Datagrams {
    socket: UdpSocket,
    cookie: String,
}

impl Datagrams {
    pub fn to(address: SocketAddr) -> Self {
        Self::from(address.ip(), address)
    }

    /// From another address of this machine, as if it were another machine.
    pub fn from(source: IpAddr, address: SocketAddr) -> Self {
        let socket = UdpSocket::bind((source, 0)).expect("an address of this machine");
        socket.connect(address).expect("an address");
        socket.set_read_timeout(Some(DEADLINE)).expect("an option");
        let cookie = "-".to_owned();
        Self { socket, cookie }
    }

    /// The last cookie that came, or `-`.
    pub fn cookie(&self) -> String {
        self.cookie.clone()
    }

    pub fn send(&self, datagram: impl AsRef<[u8]>) {
        self.socket.send(datagram.as_ref()).expect("it is sent");
    }

    /// The next datagram that comes. It is text of whole lines.
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

    /// Asks behind a cookie, after having got one.
    pub fn ask_with_cookie(&mut self, lines: &str) -> String {
        if self.cookie == "-" {
            self.ask("PING\n");
        }
        self.ask(format!("COOKIE {} {lines}", self.cookie))
    }

    /// What comes before the answer to a request that is sent now: the relay takes
    /// datagrams in order, and nothing is lost on loopback.
    pub fn until_now(&mut self) -> Vec<String> {
        self.send("COOKIE -.now PING\n");
        let mut before = Vec::new();
        loop {
            match self.receive() {
                end if end.starts_with("TAG now\n") => return before,
                other => before.push(other),
            }
        }
    }

    /// Whether the other side's system says that nobody takes datagrams there.
    pub fn is_refused(&self, datagram: &str) -> bool {
        self.send(datagram);
        let answer = self.socket.recv(&mut [0]);
        answer.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    }
}
