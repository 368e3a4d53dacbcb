//! Answers datagrams: checks nothing of a cookie, repeats the tag, and answers
//! with the same text; only the digits of the number that is asked for differ.

use std::net::{Ipv4Addr, UdpSocket};
use std::{fs, io};

use super::memory::number_in;
use crate::exchange::Template;

/// The cookie that everybody gets.
const COOKIE: &[u8] = b"COOKIE abcdefg\n";

/// `reply` is the file that holds the template.
pub(super) fn run(reply: &str) -> io::Result<()> {
    let reply = Template::new(fs::read(reply)?);
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("limit listening on {}", socket.local_addr()?);
    let (mut buffer, mut text) = (vec![0; 2048], Vec::new());
    loop {
        let (length, from) = socket.recv_from(&mut buffer)?;
        text.clear();
        match &buffer[..length] {
            asked if asked.starts_with(b"COOKIE - ") => text.extend_from_slice(COOKIE),
            asked => reply.print(number_in(asked), &mut text),
        }
        socket.send_to(&text, from)?;
    }
}
