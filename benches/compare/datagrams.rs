//! The load over UDP: one socket with so many requests in flight, each with a
//! tag, so that every reply can be told and checked.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use crate::exchange::Template;
use crate::load::Sample;

/// What is not answered by then is lost.
const PATIENCE: Duration = Duration::from_secs(1);
/// Bytes before the number in a reply.
const BEFORE_NUMBER: usize = "TAG ".len();

/// A socket whose cookie the relay knows.
pub(crate) struct Datagrams {
    socket: UdpSocket,
    request: Template,
    reply: Template,
    /// Numbers run from 0 to below this.
    numbers: u32,
    asked: u32,
    in_flight: u32,
}

impl Datagrams {
    /// Shows the relay that we are there. `request` and `reply` are lines, as
    /// over TCP.
    pub(crate) fn new(
        relay: SocketAddr,
        request: &str,
        reply: &str,
        numbers: u32,
        in_flight: u32,
    ) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(relay)?;
        socket.set_read_timeout(Some(PATIENCE))?;
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
            asked: 0,
            in_flight,
        })
    }

    /// Asks and checks for so long; returns when nothing is in flight.
    pub(crate) fn run(&mut self, time: Duration) -> io::Result<Sample> {
        let mut sample = Sample::default();
        let (mut buffer, mut request) = ([0; 2048], Vec::new());
        let mut waiting = 0;
        let begun = Instant::now();
        for _ in 0..self.in_flight {
            self.ask(&mut request)?;
            waiting += 1;
        }
        while waiting > 0 {
            let length = match self.socket.recv(&mut buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    sample.lost += waiting;
                    break;
                }
                Err(error) => return Err(error),
            };
            waiting -= 1;
            sample.wrong += u64::from(!self.is_right(&buffer[..length]));
            if begun.elapsed() < time {
                sample.replies += 1;
                self.ask(&mut request)?;
                waiting += 1;
            }
        }
        sample.time = time;
        Ok(sample)
    }

    fn ask(&mut self, request: &mut Vec<u8>) -> io::Result<()> {
        request.clear();
        let number = crate::load::leap(u64::from(self.asked), u64::from(self.numbers));
        self.asked = self.asked.wrapping_add(1);
        self.request.print(number, request);
        self.socket.send(request)?;
        Ok(())
    }

    /// The tag tells which reply it is.
    fn is_right(&self, reply: &[u8]) -> bool {
        let tag = reply.get(BEFORE_NUMBER..BEFORE_NUMBER + 6);
        let number = tag.and_then(|tag| str::from_utf8(tag).ok()?.parse().ok());
        number.is_some_and(|number| self.reply.is(number, reply))
    }
}
