//! Answers datagrams with a template, behind the tag. The cookie is not checked.

use std::net::{Ipv4Addr, UdpSocket};
use std::{fs, io};

use super::template_reply::number_in;
use crate::request_spec::Template;

/// The cookie for every client.
const COOKIE: &[u8] = b"COOKIE abcdefg\n";

/// `reply` is the path of the template.
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
