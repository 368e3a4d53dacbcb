//! The UDP load: one socket with several requests in flight. Each has a tag, so that
//! every reply can be matched and checked.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use crate::request_spec::Template;
use crate::tcp_load::Sample;

/// Replies that take longer are lost.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Bytes before the number in a reply.
const BEFORE_NUMBER: usize = "TAG ".len();

/// A socket with a cookie of the relay.
pub(crate) struct UdpLoad {
    socket: UdpSocket,
    request: Template,
    reply: Template,
    /// Numbers are below this.
    numbers: u32,
    requests_sent: u32,
    in_flight: u32,
}

impl UdpLoad {
    /// Gets a cookie. `request` and `reply` are lines as over TCP.
    pub(crate) fn new(
        relay: SocketAddr,
        request: &str,
        reply: &str,
        numbers: u32,
        in_flight: u32,
    ) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(relay)?;
        socket.set_read_timeout(Some(TIMEOUT))?;
        socket.send(b"COOKIE - PING\n")?;
        let mut answer = [0; 64];
        let length = socket.recv(&mut answer)?;
        let cookie = String::from_utf8_lossy(&answer[..length]);
        let cookie = cookie.trim_end();
        Ok(Self {
            request: Template::new(format!("{cookie}.#0#1#2 {request}")),
            reply: Template::new(format!("TAG #0#1#2\n{reply}")),
            socket,
            numbers,
            requests_sent: 0,
            in_flight,
        })
    }

    /// Sends requests and checks replies for `time`. Returns when no request is in
    /// flight.
    pub(crate) fn run(&mut self, time: Duration) -> io::Result<Sample> {
        let mut sample = Sample::default();
        let (mut buffer, mut request) = ([0; 2048], Vec::new());
        let mut outstanding = 0;
        let start = Instant::now();
        for _ in 0..self.in_flight {
            self.send_request(&mut request)?;
            outstanding += 1;
        }
        while outstanding > 0 {
            let length = match self.socket.recv(&mut buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    sample.lost += outstanding;
                    break;
                }
                Err(error) => return Err(error),
            };
            outstanding -= 1;
            sample.wrong += u64::from(!self.is_expected(&buffer[..length]));
            if start.elapsed() < time {
                sample.replies += 1;
                self.send_request(&mut request)?;
                outstanding += 1;
            }
        }
        sample.time = time;
        Ok(sample)
    }

    fn send_request(&mut self, request: &mut Vec<u8>) -> io::Result<()> {
        request.clear();
        let number =
            crate::tcp_load::scattered(u64::from(self.requests_sent), u64::from(self.numbers));
        self.requests_sent = self.requests_sent.wrapping_add(1);
        self.request.print(number, request);
        self.socket.send(request)?;
        Ok(())
    }

    /// The tag contains the number of the request.
    fn is_expected(&self, reply: &[u8]) -> bool {
        let tag = reply.get(BEFORE_NUMBER..BEFORE_NUMBER + 6);
        let number = tag.and_then(|tag| str::from_utf8(tag).ok()?.parse().ok());
        number.is_some_and(|number| self.reply.matches(number, reply))
    }
}
