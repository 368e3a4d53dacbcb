//! HTTP through the driver and the roles: however a stream arrives, its responses are the
//! same, and each is whole. A request that is understood means the same when it is written
//! in another form.

use std::time::Instant;

use httparse::EMPTY_HEADER;
use memchr::memmem;
use peerline::role::Role;

use super::Bytes;
use super::machine::{Event, Machine, Observer};
use super::roles::{new_node, new_relay};

/// The numbers of the connections.
const SETUP: u32 = 999;
const CONN: u32 = 1000;
/// Short, so that arbitrary input reaches it.
const MAX_HEAD: usize = 300;

const HASH: &str = "1111111111111111111111111111111111111111111111111111111111111111";

/// What a server has sent on the connection, and how the connection has ended.
#[derive(PartialEq, Eq, Debug, Default)]
struct Conversation {
    parts: Vec<Part>,
    reason: Option<String>,
}

#[derive(PartialEq, Eq, Debug)]
enum Part {
    Bytes(Vec<u8>),
    /// So many bytes of a file.
    File(u64),
}

impl<F> Observer<F> for Conversation {
    fn observe(&mut self, event: Event<F>) {
        match event {
            Event::Sent { to: CONN, bytes } => match self.parts.last_mut() {
                Some(Part::Bytes(sent)) => sent.extend_from_slice(&bytes),
                _ => self.parts.push(Part::Bytes(bytes)),
            },
            Event::File {
                to: CONN, length, ..
            } => self.parts.push(Part::File(length)),
            Event::Closed {
                number: CONN,
                reason,
                ..
            } => self.reason = Some(reason),
            _ => {}
        }
    }
}

/// Sends segments to a node or a relay, and sends them again as one.
pub fn http(data: &[u8]) {
    let mut bytes = Bytes(data);
    let is_node = bytes.number() % 2 == 0;
    let mut segments = Vec::new();
    while !bytes.is_empty() {
        segments.push(bytes.slice());
    }
    match is_node {
        true => check(new_node, &segments),
        false => check(new_relay, &segments),
    }
}

fn check<R: Role>(new_role: fn(Instant) -> R, segments: &[&[u8]]) {
    let now = Instant::now();
    let run = |segments: &[&[u8]]| Conversation::run(new_role(now), now, segments);
    let stream = segments.concat();
    let at_once = run(&[&stream]);
    assert_eq!(run(segments), at_once);
    if let Some(status) = at_once.first_status() {
        let heads = memmem::find_iter(&stream, b"\n\n").count()
            + memmem::find_iter(&stream, b"\n\r\n").count();
        let responses = at_once.responses();
        assert!(responses <= heads + 1, "{responses} to {heads} requests");
        let is_understood = !matches!(status, "400" | "431" | "505");
        if let Some(request) = in_another_form(&stream).filter(|_| is_understood) {
            assert_eq!(run(&[&request]), at_once);
        }
    }
}

/// The only request of a stream, written without its optional blanks.
fn in_another_form(stream: &[u8]) -> Option<Vec<u8>> {
    let mut headers = [EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    let status = request.parse(stream).ok()?;
    if !status.is_complete() || status.unwrap() != stream.len() {
        return None;
    }
    let (method, target) = (request.method?, request.path?);
    let line = format!("{method} {target} HTTP/1.{}\n", request.version?);
    let mut text = line.into_bytes();
    for header in request.headers.iter() {
        text.extend_from_slice(header.name.to_lowercase().as_bytes());
        text.push(b':');
        text.extend_from_slice(header.value);
        text.push(b'\n');
    }
    text.push(b'\n');
    Some(text)
}

impl Conversation {
    fn run<R: Role>(role: R, now: Instant, segments: &[&[u8]]) -> Self {
        let mut machine = Machine::new(role, now, Self::default());
        machine.max_head = Some(MAX_HEAD);
        let peer = "127.0.0.1:50000".parse().expect("an address");
        // A relay knows two files then. A node refuses these lines.
        machine.accept(SETUP, peer).expect("a new number");
        let lines = format!("REGISTER * 9\nSHARE 17 - hello.txt\nSHARE 18 {HASH} sub/größe.txt\n");
        machine
            .receive(SETUP, lines.as_bytes())
            .expect("it is open");
        machine.accept(CONN, peer).expect("a new number");
        for segment in segments {
            if machine.receive(CONN, segment).is_err() {
                break;
            }
            while machine.role().has_work() {
                machine.call(R::on_timer);
            }
        }
        // The server may have closed the connection.
        let _ = machine.end_input(CONN);
        assert!(machine.observer.reason.is_some(), "the connection ends");
        machine.observer
    }

    /// None if the server has not answered in HTTP.
    fn first_status(&self) -> Option<&str> {
        match self.parts.first()? {
            Part::Bytes(bytes) => {
                let status = bytes.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
                Some(std::str::from_utf8(status).expect("a number"))
            }
            Part::File(_) => panic!("a file without a head"),
        }
    }

    /// Checks that all responses are whole. Returns their number.
    fn responses(&self) -> usize {
        let mut count = 0;
        // The length of a content that has not arrived, which is none after HEAD.
        let mut announced = 0;
        let mut is_last = false;
        for part in &self.parts {
            let mut rest = match part {
                Part::Bytes(bytes) => bytes.as_slice(),
                Part::File(length) => {
                    assert_eq!(*length, announced);
                    continue;
                }
            };
            while !rest.is_empty() {
                assert!(!is_last, "no response after a close");
                let end = memmem::find(rest, b"\r\n\r\n").expect("the head is whole");
                let head = std::str::from_utf8(&rest[..end]).expect("it is text");
                (announced, is_last) = read_head(head);
                count += 1;
                rest = &rest[end + 4..];
                if !rest.is_empty() && !rest.starts_with(b"HTTP/1.1 ") {
                    let length = usize::try_from(announced).expect("it is in memory");
                    rest = rest.get(length..).expect("the content is whole");
                    announced = 0;
                }
            }
        }
        count
    }
}

/// The length of the content, and whether the connection closes.
fn read_head(head: &str) -> (u64, bool) {
    let mut lines = head.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    assert!(status_line.starts_with("HTTP/1.1 "), "{head:?}");
    let mut length = 0;
    let mut closes = false;
    for line in lines {
        assert!(!line.contains(char::is_control), "{line:?}");
        match line.split_once(": ").expect("a header") {
            ("Content-Length", value) => length = value.parse().expect("a length"),
            ("Connection", value) => closes = value == "close",
            _ => {}
        }
    }
    (length, closes)
}
