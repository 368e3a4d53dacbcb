//! Where a role is played: it stands in for the loop, with a clock that only
//! moves when the script says so and connections that are only numbers.
//!
//! Commands that every role understands:
//!
//! - `connect N from=IP`: somebody connects.
//! - `say N LINE…`: lines arrive together. `send N TEXT`: bytes arrive, with no
//!   end of line added. `pad=COUNT` adds so many blanks to either. `send-hex N
//!   HEX`: bytes that are no text.
//! - `end N`: the input ends. `late N`: a line was not ended in time.
//!   `lose N`, `stall N`: the connection breaks.
//! - `reached N`, `unreached N`, `unanswered N`: how a dial went. Dials are
//!   numbered on from the highest number.
//! - `advance TIME`: the clock moves, and deadlines are met on the way.
//!   An answer that the role needs deadlines for comes with `advance 0s`.
//! - `wake from=TIME to=TIME`: the clock moves to the next deadline, which must
//!   be so far away. `deadline`: how far it is.
//! - `turn-away WHY`: there is no place for a connection.
//! - `stop`: the program is told to stop.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use goldenscript::{ArgumentConsumer, Command};
use peerline::end::{End, Full};
use peerline::inbox::{Inbox, Piece};
use peerline::protocol::MAX_LINE;
use peerline::role::{ConnId, Fault, Heard, Next, Output, Role, Step, Traffic, Turn};

use crate::warnings;

pub type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// A role does not meet one deadline more often than this.
const TICKS_AT_ONCE: usize = 100;

pub struct Stage<R: Role> {
    role: R,
    began: Instant,
    clock: Duration,
    traffic: Traffic,
    out: Output<R>,
    peers: BTreeMap<u32, Peer<R::Session>>,
    /// The highest number of a connection.
    last: u32,
    show_file: fn(&R::File) -> String,
    /// What the role tells its user.
    news: Receiver<String>,
    /// What was seen since the last command.
    seen: String,
}

struct Peer<S> {
    session: S,
    inbox: Inbox,
    /// The role works on its answer: what arrives stays in the inbox.
    waits: bool,
    /// The input has ended behind what is in the inbox.
    ended: bool,
}

impl<R: Role> Stage<R> {
    /// Puts a role on the stage. `began` is the time that it was made at.
    pub fn new(
        role: R,
        began: Instant,
        news: Receiver<String>,
        show_file: fn(&R::File) -> String,
    ) -> Self {
        let mut stage = Self {
            role,
            began,
            clock: Duration::ZERO,
            traffic: Traffic::default(),
            out: Output::default(),
            peers: BTreeMap::new(),
            last: 0,
            show_file,
            news,
            seen: String::new(),
        };
        warnings::keep();
        stage.call(R::start);
        stage
    }

    pub fn role(&self) -> &R {
        &self.role
    }

    /// What was seen since the last time.
    pub fn seen(&mut self) -> String {
        std::mem::take(&mut self.seen)
    }

    /// Carries out one of the commands above.
    pub fn run(&mut self, command: &Command) -> Outcome {
        let mut args = command.consume_args();
        match command.name.as_str() {
            "connect" => {
                let number = number(&mut args)?;
                let from: IpAddr = key(&mut args, "from")?.parse()?;
                self.connect(number, from)?;
            }
            "say" => {
                let number = number(&mut args)?;
                let pad = padding(&mut args)?;
                let lines = std::iter::from_fn(|| args.next_pos());
                let text: String = lines.map(|line| format!("{line}{pad}\n")).collect();
                self.arrive(number, text.as_bytes())?;
            }
            "send" => {
                let number = number(&mut args)?;
                let pad = padding(&mut args)?;
                let text = args.next_pos().ok_or("what is sent?")?;
                self.arrive(number, format!("{text}{pad}").as_bytes())?;
            }
            "send-hex" => {
                let number = number(&mut args)?;
                let hex = args.next_pos().ok_or("what is sent?")?;
                let bytes = hex.split(' ').map(|byte| u8::from_str_radix(byte, 16));
                self.arrive(number, &bytes.collect::<Result<Vec<u8>, _>>()?)?;
            }
            "end" => {
                let number = number(&mut args)?;
                let peer = self.peers.get_mut(&number).ok_or("it is not connected")?;
                peer.ended = true;
                self.arrive(number, b"")?;
            }
            "late" => self.broken(number(&mut args)?, Fault::Late)?,
            "lose" => self.lose(number(&mut args)?)?,
            "stall" => self.over(number(&mut args)?, &End::NoProgress)?,
            "reached" => {
                let number = number(&mut args)?;
                let close = self.hear(number, Heard::Connected)?;
                self.apply();
                self.close(number, close)?;
            }
            "unreached" => {
                let refused = io::ErrorKind::ConnectionRefused.into();
                self.over(number(&mut args)?, &End::NotReached(refused))?;
            }
            "unanswered" => self.over(number(&mut args)?, &End::DialTimeout)?,
            "advance" => self.advance(time(args.next_pos().ok_or("how far?")?)?),
            "wake" => {
                let from = time(key(&mut args, "from")?)?;
                let to = time(key(&mut args, "to")?)?;
                let away = self.away().ok_or("there is no deadline")?;
                if !(from..=to).contains(&away) {
                    return Err(format!("the deadline is in {away:?}").into());
                }
                self.advance(away);
            }
            "deadline" => match self.away() {
                Some(away) => writeln!(self.seen, "in {away:?}")?,
                None => writeln!(self.seen, "none")?,
            },
            "turn-away" => {
                let full = match args.next_pos().ok_or("why?")? {
                    "connections" => Full::Connections,
                    "address" => Full::Address,
                    other => return Err(format!("{other} is no reason").into()),
                };
                let mut text = Vec::new();
                self.role.refused(full, &mut text);
                self.show(0, &text);
            }
            "stop" => self.call(R::drain),
            other => return Err(format!("{other} is no command of this stage").into()),
        }
        args.reject_next()
    }

    /// Lets the role do something that is no matter of one connection.
    pub fn call(&mut self, act: impl FnOnce(&mut R, &mut Turn<'_, R>)) {
        self.turn(act);
        self.apply();
    }

    fn turn<T>(&mut self, act: impl FnOnce(&mut R, &mut Turn<'_, R>) -> T) -> T {
        let mut turn = Turn {
            now: self.began + self.clock,
            traffic: &self.traffic,
            out: &mut self.out,
        };
        act(&mut self.role, &mut turn)
    }

    /// Somebody connects.
    pub fn connect(&mut self, number: u32, from: IpAddr) -> Outcome {
        let port = 50_000 + u16::try_from(number)?;
        let session = self.role.accepted(SocketAddr::new(from, port));
        self.add(number, session)
    }

    /// A connection breaks.
    pub fn lose(&mut self, number: u32) -> Outcome {
        let reset = io::ErrorKind::ConnectionReset.into();
        self.over(number, &End::Lost(reset))
    }

    pub fn is_connected(&self, number: u32) -> bool {
        self.peers.contains_key(&number)
    }

    fn add(&mut self, number: u32, session: R::Session) -> Outcome {
        let peer = Peer {
            session,
            inbox: Inbox::default(),
            waits: false,
            ended: false,
        };
        if self.peers.insert(number, peer).is_some() {
            return Err("that connection is still there".into());
        }
        self.last = self.last.max(number);
        Ok(())
    }

    /// Bytes arrive; the answers to all that is whole leave together.
    pub fn arrive(&mut self, number: u32, bytes: &[u8]) -> Outcome {
        let peer = self.peers.get_mut(&number).ok_or("it is not connected")?;
        let mut inbox = std::mem::take(&mut peer.inbox);
        let mut unread = inbox.open(bytes);
        let mut waits = peer.waits;
        let mut close = None;
        while close.is_none() && !waits {
            let heard = match unread.next(MAX_LINE) {
                None => break,
                Some(Piece::Line(line)) => Heard::Line(line),
                Some(Piece::Body(bytes)) => Heard::Body(bytes),
                Some(Piece::TooLong) => Heard::Broken(Fault::TooLong),
            };
            match self.hear(number, heard)? {
                Next::Line => {}
                Next::Body(length) => unread.expect_body(length),
                Next::Wait => waits = true,
                end @ Next::Close(_) => close = Some(end),
            }
        }
        inbox.keep(unread);
        let peer = self.peers.get_mut(&number).ok_or("it is not connected")?;
        let cut = !inbox.is_empty();
        peer.inbox = inbox;
        peer.waits = waits;
        let ended = peer.ended && !waits;
        self.apply();
        match close {
            Some(close) => self.close(number, close),
            None if ended && cut => self.broken(number, Fault::Cut),
            None if ended => self.over(number, &End::Done),
            None => Ok(()),
        }
    }

    /// The answer that a connection waits for is complete.
    fn resume(&mut self, number: u32) -> Outcome {
        let Some(peer) = self.peers.get_mut(&number) else {
            return Ok(());
        };
        peer.waits = false;
        let next = self.hear(number, Heard::Resumed)?;
        self.apply();
        self.close(number, next)?;
        if self.peers.contains_key(&number) {
            // What has waited in its inbox.
            self.arrive(number, b"")?;
        }
        Ok(())
    }

    fn hear(&mut self, number: u32, heard: Heard<'_>) -> Outcome<Next> {
        let mut peer = self.peers.remove(&number).ok_or("it is not connected")?;
        let conn = ConnId {
            slot: number,
            serial: number,
        };
        let next = self.turn(|role, turn| role.heard(turn, conn, &mut peer.session, heard));
        self.peers.insert(number, peer);
        Ok(next)
    }

    fn broken(&mut self, number: u32, fault: Fault) -> Outcome {
        let next = self.hear(number, Heard::Broken(fault))?;
        self.apply();
        self.close(number, next)
    }

    fn close(&mut self, number: u32, next: Next) -> Outcome {
        match next {
            Next::Line | Next::Body(_) | Next::Wait => Ok(()),
            Next::Close(end) => self.over(number, &end),
        }
    }

    /// The connection is over.
    fn over(&mut self, number: u32, end: &End) -> Outcome {
        let peer = self.peers.remove(&number).ok_or("it is not connected")?;
        writeln!(self.seen, "{number} is over: {end} ({})", peer.session)?;
        self.call(|role, turn| role.ended(turn, peer.session, end));
        Ok(())
    }

    /// How far away the next deadline is.
    fn away(&self) -> Option<Duration> {
        let due = self.role.next_deadline()?;
        Some(due.saturating_duration_since(self.began + self.clock))
    }

    pub fn advance(&mut self, by: Duration) {
        let end = self.clock + by;
        let mut ticks = 0;
        while let Some(away) = self.away().filter(|away| self.clock + *away <= end) {
            ticks = if away.is_zero() { ticks + 1 } else { 1 };
            assert!(ticks <= TICKS_AT_ONCE, "a deadline is never met");
            self.clock += away;
            // Writing to a String cannot fail.
            let _ = writeln!(self.seen, "tick");
            self.call(R::tick);
        }
        self.clock = end;
    }

    /// Shows what the role wants, and does what can be done here.
    fn apply(&mut self) {
        for warning in warnings::take() {
            let _ = writeln!(self.seen, "warning: {warning}");
        }
        for news in self.news.try_iter() {
            let _ = writeln!(self.seen, "{news}");
        }
        let (text, steps) = self.out.take();
        let mut start = 0;
        // These may have more to say, and it comes behind all this.
        let (mut resumed, mut closed) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                // What is shown tells by itself whether it was asked for.
                Step::Text { to, end, .. } => {
                    self.show(to.slot, &text[start..end]);
                    start = end;
                }
                Step::Keep { conn } => {
                    let _ = writeln!(self.seen, "{} is kept", conn.slot);
                }
                Step::Resume { conn } => resumed.push(conn.slot),
                Step::Close { conn, end } => closed.push((conn.slot, end)),
                Step::Shared { to, bytes } => self.show(to.slot, &bytes),
                Step::File {
                    to,
                    file,
                    offset,
                    length,
                } => {
                    let file = (self.show_file)(&file);
                    let to = to.slot;
                    let _ = writeln!(self.seen, "{to} < {length} bytes of {file} from {offset}");
                }
                Step::Dial { address, session } => {
                    let number = self.last + 1;
                    let _ = writeln!(self.seen, "{number} dials {address} ({session})");
                    self.add(number, session).expect("a new number");
                }
                Step::Finish => self.seen.push_str("finished\n"),
            }
        }
        for (number, end) in closed {
            self.over(number, &end).expect("it is connected");
        }
        for number in resumed {
            self.resume(number).expect("it is connected");
        }
    }

    /// Shows what a connection is sent; what has no end of line is quoted.
    fn show(&mut self, to: u32, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        for line in text.split_inclusive('\n') {
            let _ = match line.strip_suffix('\n') {
                Some(line) => writeln!(self.seen, "{to} < {line}"),
                None => writeln!(self.seen, "{to} < {line:?}"),
            };
        }
    }
}

fn number(args: &mut ArgumentConsumer<'_>) -> Outcome<u32> {
    Ok(args.next_pos().ok_or("which connection?")?.parse()?)
}

fn padding(args: &mut ArgumentConsumer<'_>) -> Outcome<String> {
    let count = args.take_key("pad").map_or(Ok(0), str::parse)?;
    Ok(" ".repeat(count))
}

fn key<'a>(args: &mut ArgumentConsumer<'a>, key: &str) -> Outcome<&'a str> {
    args.take_key(key)
        .ok_or_else(|| format!("{key} is missing").into())
}

/// Reads `20s`, `59.999s` or `1ms`.
pub fn time(text: &str) -> Outcome<Duration> {
    if let Some(millis) = text.strip_suffix("ms") {
        return Ok(Duration::from_millis(millis.parse()?));
    }
    let seconds = text.strip_suffix('s').ok_or("a time ends by s or ms")?;
    Ok(Duration::try_from_secs_f64(seconds.parse()?)?)
}

/// Of a long answer the first two lines and the last one.
pub fn brief(answer: &str) -> String {
    let lines: Vec<&str> = answer.lines().collect();
    match lines.as_slice() {
        [head, first, .., last] => format!("{head}\n{first}\n... {}\n{last}", lines.len() - 3),
        _ => answer.to_owned(),
    }
}
