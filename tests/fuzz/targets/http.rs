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
        let mut sent = Sent::new(&self.parts);
        let mut count = 0;
        let mut is_last = false;
        while !sent.is_empty() {
            assert!(!is_last, "no response after a close");
            let head = sent.take_until(b"\r\n\r\n").expect("the head is whole");
            let head = std::str::from_utf8(head).expect("it is text");
            let (content, closes) = read_head(head);
            (is_last, count) = (closes, count + 1);
            // Nothing follows the head of an answer to HEAD.
            if !sent.is_empty() && !sent.bytes.starts_with(b"HTTP/1.1 ") {
                sent.skip_content(content).expect("the content is whole");
            }
        }
        count
    }
}

/// What is left of the parts that were sent.
struct Sent<'a> {
    /// The bytes before the next file.
    bytes: &'a [u8],
    /// The bytes of a file that come after them.
    file: u64,
    parts: &'a [Part],
}

impl<'a> Sent<'a> {
    fn new(parts: &'a [Part]) -> Self {
        let mut sent = Self {
            bytes: &[],
            file: 0,
            parts,
        };
        sent.fill();
        sent
    }

    /// Takes the next parts if nothing is left of the last ones.
    fn fill(&mut self) {
        while self.is_empty()
            && let Some((part, parts)) = self.parts.split_first()
        {
            self.parts = parts;
            match part {
                Part::Bytes(bytes) => self.bytes = bytes,
                Part::File(length) => self.file = *length,
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.file == 0
    }

    /// Returns the bytes before `end`, and removes both. None if there is no such end.
    fn take_until(&mut self, end: &[u8]) -> Option<&'a [u8]> {
        let length = memmem::find(self.bytes, end)?;
        let taken = &self.bytes[..length];
        self.skip((length + end.len()) as u64)?;
        Some(taken)
    }

    /// Removes so many bytes. None if fewer are left.
    fn skip(&mut self, mut length: u64) -> Option<()> {
        while length > 0 {
            let of_bytes = length.min(self.bytes.len() as u64);
            self.bytes = &self.bytes[usize::try_from(of_bytes).ok()?..];
            let of_file = (length - of_bytes).min(self.file);
            self.file -= of_file;
            if of_bytes + of_file == 0 {
                return None;
            }
            length -= of_bytes + of_file;
            self.fill();
        }
        Some(())
    }

    fn skip_content(&mut self, content: ContentEnd) -> Option<()> {
        match content {
            ContentEnd::After(length) => self.skip(length),
            ContentEnd::Close => {
                *self = Self::new(&[]);
                Some(())
            }
            ContentEnd::LastChunk => loop {
                let length = std::str::from_utf8(self.take_until(b"\r\n")?).ok()?;
                let length = u64::from_str_radix(length, 16).ok()?;
                self.skip(length)?;
                if !self.take_until(b"\r\n")?.is_empty() {
                    return None;
                }
                if length == 0 {
                    return Some(());
                }
            },
        }
    }
}

/// Where the content of a response ends.
#[derive(Clone, Copy)]
enum ContentEnd {
    After(u64),
    LastChunk,
    Close,
}

/// Where the content ends, and whether the connection closes.
fn read_head(head: &str) -> (ContentEnd, bool) {
    let mut lines = head.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    assert!(status_line.starts_with("HTTP/1.1 "), "{head:?}");
    let mut content = ContentEnd::Close;
    let mut closes = false;
    for line in lines {
        assert!(!line.contains(char::is_control), "{line:?}");
        match line.split_once(": ").expect("a header") {
            ("Content-Length", value) => {
                content = ContentEnd::After(value.parse().expect("a length"));
            }
            ("Transfer-Encoding", value) => {
                assert_eq!(value, "chunked");
                content = ContentEnd::LastChunk;
            }
            ("Connection", value) => closes = value == "close",
            _ => {}
        }
    }
    (content, closes)
}
