//! The driver of a connection: however its input arrives, and whenever its peer reads,
//! the role gets the same input.

use peerline::close_reason::CloseReason;
use peerline::role::{Input, ReadNext};
use peerline::session::driver::{DrivenConnection, InputDriver, ReadState, TurnLimits};

use super::Bytes;

/// Short limits, so that arbitrary input reaches them.
const MAX_LINE: usize = 24;
const MAX_HEAD: usize = 48;
const MAX_QUEUE: u64 = 64;
/// The longest answer to a line.
const MAX_ANSWER: u64 = 9 * 16;

/// One step of a connection.
enum Step<'a> {
    /// Bytes arrive.
    Arrive(&'a [u8]),
    /// The peer reads everything that was sent to it.
    PeerReads,
    /// The role completes an answer.
    Resume,
}

/// A piece of input as the role gets it; the pieces of one body are joined.
#[derive(PartialEq, Eq, Debug)]
enum Piece {
    Line(Vec<u8>),
    Body(Vec<u8>),
    HttpHead(Vec<u8>),
    Error(String),
    HttpError(String),
}

/// A connection without a socket, and a role that does what each line says: `b5` reads
/// a body of 5 bytes, `l5` answers with 80 bytes, `p5` in five parts, `w` waits, `W` waits
/// and is resumed by an action, `q` closes. In HTTP, the path is the line.
struct Connection {
    /// None once it is closed.
    driver: Option<InputDriver>,
    unread: Vec<u8>,
    is_at_eof: bool,
    unapplied: u64,
    queued: u64,
    resumes_at_once: bool,
    body_left: u64,
    parts_left: u64,
    received: Vec<Piece>,
    reason: Option<String>,
}

/// Runs the steps, and runs their bytes again as one piece.
pub fn driver(data: &[u8]) {
    let mut bytes = Bytes(data);
    let mut steps = Vec::new();
    while !bytes.is_empty() {
        steps.push(match bytes.number() % 8 {
            0 => Step::PeerReads,
            1 => Step::Resume,
            _ => Step::Arrive(bytes.slice()),
        });
    }
    let mut stream = Vec::new();
    for step in &steps {
        if let Step::Arrive(bytes) = step {
            stream.extend_from_slice(bytes);
        }
    }
    let in_steps = Connection::run(&steps);
    let at_once = Connection::run(&[Step::Arrive(&stream)]);
    assert_eq!(in_steps.received, at_once.received);
    assert_eq!(in_steps.reason, at_once.reason);
}

impl Connection {
    /// Runs the steps, and then the connection to its end.
    fn run(steps: &[Step<'_>]) -> Self {
        let mut connection = Self {
            driver: Some(InputDriver::default()),
            unread: Vec::new(),
            is_at_eof: false,
            unapplied: 0,
            queued: 0,
            resumes_at_once: false,
            body_left: 0,
            parts_left: 0,
            received: Vec::new(),
            reason: None,
        };
        let mut length = 0;
        for step in steps {
            match step {
                Step::Arrive(bytes) => {
                    length += bytes.len();
                    connection.unread.extend_from_slice(bytes);
                }
                Step::PeerReads => connection.queued = 0,
                Step::Resume => connection.resume(),
            }
            connection.take_turns();
        }
        connection.is_at_eof = true;
        for _ in 0..9 * length + 2 {
            connection.queued = 0;
            connection.resume();
            connection.take_turns();
        }
        assert!(
            connection.reason.is_some(),
            "the connection comes to its end"
        );
        connection
    }

    fn resume(&mut self) {
        if let Some(driver) = &mut self.driver {
            driver.resume();
        }
    }

    /// Gives the connection turns, until it waits for its peer or the role.
    fn take_turns(&mut self) {
        while let Some(driver) = &mut self.driver {
            let mut arrived = Vec::new();
            match driver.state() {
                ReadState::NeedsInput if !self.unread.is_empty() => {
                    arrived = std::mem::take(&mut self.unread);
                }
                ReadState::NeedsInput if self.is_at_eof => driver.end_input(),
                ReadState::Backlogged if self.queued < MAX_QUEUE => {}
                ReadState::Flushing if self.queued == 0 => {}
                ReadState::Resumable | ReadState::AtEof => {}
                ReadState::NeedsInput
                | ReadState::Backlogged
                | ReadState::AwaitingRole
                | ReadState::Flushing => return,
            }
            InputDriver::run(self, &arrived);
            assert!(
                self.queued < 2 * MAX_QUEUE + MAX_ANSWER,
                "{} bytes",
                self.queued
            );
            assert_eq!(self.unapplied, 0, "all actions are carried out");
        }
    }

    fn on_line(&mut self, line: &[u8]) -> ReadNext {
        assert!(line.len() < MAX_LINE && !line.contains(&b'\n'));
        self.received.push(Piece::Line(line.to_vec()));
        self.execute(line)
    }

    fn on_head(&mut self, head: &[u8]) -> ReadNext {
        assert!(head.len() <= MAX_HEAD, "{} bytes", head.len());
        let mut lines = head.split_inclusive(|byte| *byte == b'\n');
        let is_empty = |line: &[u8]| matches!(line, b"\n" | b"\r\n");
        assert!(lines.next_back().is_some_and(is_empty), "the head is whole");
        let rest: Vec<_> = lines.collect();
        assert!(!rest.is_empty() && !rest.iter().any(|line| is_empty(line)));
        let is_of_http = |piece: &Piece| matches!(piece, Piece::HttpHead(_));
        assert!(self.received.iter().all(is_of_http), "one language");
        self.received.push(Piece::HttpHead(head.to_vec()));
        let path = head.iter().position(|byte| *byte == b'/');
        match path.map(|path| &head[path + 1..]) {
            // Requests in HTTP have no body.
            Some([b'b', ..]) | None => ReadNext::Line,
            Some(line) => self.execute(line),
        }
    }

    fn execute(&mut self, line: &[u8]) -> ReadNext {
        let digit = line.get(1).filter(|byte| byte.is_ascii_digit());
        let number = digit.map_or(0, |byte| u64::from(byte - b'0'));
        match line.first() {
            Some(b'b') if number > 0 => {
                self.body_left = number;
                ReadNext::Body(number)
            }
            Some(b'w') => ReadNext::Wait,
            Some(b'W') => {
                self.resumes_at_once = true;
                ReadNext::Wait
            }
            Some(b'p') if number > 0 => {
                self.parts_left = number;
                self.send_part()
            }
            Some(b'q') => ReadNext::Close(CloseReason::Completed),
            _ => {
                self.unapplied += 1 + number * (MAX_ANSWER / 9 - 1);
                ReadNext::Line
            }
        }
    }

    fn send_part(&mut self) -> ReadNext {
        self.parts_left -= 1;
        self.unapplied += 1;
        match self.parts_left {
            0 => ReadNext::Line,
            _ => ReadNext::Flush,
        }
    }

    fn on_body(&mut self, bytes: &[u8]) {
        assert!(!bytes.is_empty() && bytes.len() as u64 <= self.body_left);
        self.body_left -= bytes.len() as u64;
        match self.received.last_mut() {
            Some(Piece::Body(body)) => body.extend_from_slice(bytes),
            _ => self.received.push(Piece::Body(bytes.to_vec())),
        }
    }
}

impl DrivenConnection for Connection {
    fn limits(&self) -> TurnLimits {
        TurnLimits {
            max_line: MAX_LINE,
            max_head: Some(MAX_HEAD),
            max_queue: MAX_QUEUE,
            max_work: 4096,
            lacks_tls: false,
            is_draining: false,
        }
    }

    fn driver(&mut self) -> Option<&mut InputDriver> {
        self.driver.as_mut()
    }

    fn on_input(&mut self, input: Input<'_>) -> ReadNext {
        assert!(self.reason.is_none(), "input after the end: {input:?}");
        match input {
            Input::Line(line) => {
                assert_eq!(self.body_left, 0, "the body is whole");
                return self.on_line(line);
            }
            Input::Body(bytes) => self.on_body(bytes),
            Input::FramingError(error) => self.received.push(Piece::Error(format!("{error:?}"))),
            Input::Resumed if self.parts_left > 0 => {
                assert_eq!(self.queued, 0, "everything is sent");
                return self.send_part();
            }
            Input::HttpHead(head) => return self.on_head(head),
            Input::HttpError(error) => self.received.push(Piece::HttpError(format!("{error:?}"))),
            Input::Resumed => {}
            Input::Connected | Input::UnencryptedHttpHead(_) => {
                panic!("the connection is inbound, and need not be encrypted")
            }
        }
        ReadNext::Line
    }

    fn unapplied_bytes(&self) -> u64 {
        self.unapplied
    }

    fn take_work(&mut self) -> usize {
        0
    }

    fn apply(&mut self) {
        self.queued += std::mem::take(&mut self.unapplied);
        if std::mem::take(&mut self.resumes_at_once) {
            self.resume();
        }
    }

    fn queued_bytes(&self) -> u64 {
        self.queued
    }

    fn start_closing(&mut self, reason: CloseReason) {
        assert_eq!(self.reason, None, "a connection is closed once");
        self.reason = Some(format!("{reason:?}"));
        self.driver = None;
    }
}
