//! Where a role is played, with a clock that only moves when the script says so.
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
//! - `datagram from=IP:PORT LINE…`: these lines come in one datagram.
//! - `advance TIME`: the clock moves, and deadlines are met on the way.
//!   An answer that the role needs deadlines for comes with `advance 0s`.
//! - `wake from=TIME to=TIME`: the clock moves to the next deadline, which must
//!   be so far away. `deadline`: how far it is.
//! - `turn-away WHY`: there is no place for a connection.
//! - `stop`: the program is told to stop.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use goldenscript::{ArgumentConsumer, Command};
use peerline::close_reason::{CloseReason, ResourceLimit};
use peerline::role::{Context, FramingError, Role, UdpPeer};

use crate::machine::{Event, Machine, Observer};
use crate::warnings;

pub type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// A role does not meet one deadline more often than this.
const TICKS_AT_ONCE: usize = 100;

pub struct Stage<R: Role> {
    machine: Machine<R, Transcript<R::File>>,
}

/// Writes down what the role does.
struct Transcript<F> {
    show_file: fn(&F) -> String,
    /// What the role tells its user.
    news: Receiver<String>,
    /// What was seen since the last command.
    seen: String,
}

impl<R: Role> Stage<R> {
    /// Puts a role on the stage. `started` is the time that it was made at.
    pub fn new(
        role: R,
        started: Instant,
        news: Receiver<String>,
        show_file: fn(&R::File) -> String,
    ) -> Self {
        warnings::keep();
        let transcript = Transcript {
            show_file,
            news,
            seen: String::new(),
        };
        Self {
            machine: Machine::new(role, started, transcript),
        }
    }

    pub fn role(&self) -> &R {
        self.machine.role()
    }

    /// What was seen since the last time.
    pub fn seen(&mut self) -> String {
        self.machine.observer.append_user_events();
        std::mem::take(&mut self.machine.observer.seen)
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
                self.machine.end_input(number)?;
            }
            "late" => self
                .machine
                .on_framing_error(number(&mut args)?, FramingError::LineTimeout)?,
            "lose" => self.lose(number(&mut args)?)?,
            "stall" => self
                .machine
                .close(number(&mut args)?, &CloseReason::ReadTimeout)?,
            "reached" => self.machine.on_connected(number(&mut args)?)?,
            "unreached" => {
                let refused = io::ErrorKind::ConnectionRefused.into();
                self.machine
                    .close(number(&mut args)?, &CloseReason::ConnectFailed(refused))?;
            }
            "unanswered" => self
                .machine
                .close(number(&mut args)?, &CloseReason::ConnectTimeout)?,
            "datagram" => {
                let socket = args.take_key("socket").map_or(Ok(0), str::parse)?;
                let address = key(&mut args, "from")?.parse()?;
                let from = UdpPeer { socket, address };
                let pad = padding(&mut args)?;
                let lines = std::iter::from_fn(|| args.next_pos());
                let text: String = lines.map(|line| format!("{line}{pad}\n")).collect();
                self.call(|role, context| role.on_datagram(context, from, text.as_bytes()));
            }
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
                Some(away) => writeln!(self.machine.observer.seen, "in {away:?}")?,
                None => writeln!(self.machine.observer.seen, "none")?,
            },
            "turn-away" => {
                let full = match args.next_pos().ok_or("why?")? {
                    "connections" => ResourceLimit::Connections,
                    "address" => ResourceLimit::ConnectionsPerAddress,
                    other => return Err(format!("{other} is no reason").into()),
                };
                let mut text = Vec::new();
                self.role().on_refuse(full, &mut text);
                self.machine.observer.show(0, &text);
            }
            "stop" => self.call(R::drain),
            other => return Err(format!("{other} is no command of this stage").into()),
        }
        args.reject_next()
    }

    /// Lets the role do something that is no matter of one connection.
    pub fn call(&mut self, act: impl FnOnce(&mut R, &mut Context<'_, R>)) {
        self.machine.call(act);
    }

    /// Somebody connects.
    pub fn connect(&mut self, number: u32, from: IpAddr) -> Outcome {
        let port = 50_000 + u16::try_from(number)?;
        Ok(self.machine.accept(number, SocketAddr::new(from, port))?)
    }

    /// Bytes arrive.
    pub fn arrive(&mut self, number: u32, bytes: &[u8]) -> Outcome {
        Ok(self.machine.receive(number, bytes)?)
    }

    /// A connection breaks.
    pub fn lose(&mut self, number: u32) -> Outcome {
        let reset = io::ErrorKind::ConnectionReset.into();
        Ok(self
            .machine
            .close(number, &CloseReason::ConnectionLost(reset))?)
    }

    pub fn is_connected(&self, number: u32) -> bool {
        self.machine.is_connected(number)
    }

    /// How far away the next deadline is.
    fn away(&self) -> Option<Duration> {
        if self.role().has_work() {
            return Some(Duration::ZERO);
        }
        let due = self.role().next_deadline()?;
        Some(due.saturating_duration_since(self.machine.now))
    }

    pub fn advance(&mut self, by: Duration) {
        let end = self.machine.now + by;
        let mut ticks = 0;
        while let Some(away) = self.away().filter(|away| self.machine.now + *away <= end) {
            ticks = if away.is_zero() { ticks + 1 } else { 1 };
            assert!(ticks <= TICKS_AT_ONCE, "a deadline is never met");
            self.machine.now += away;
            self.machine.observer.seen.push_str("tick\n");
            self.call(R::on_timer);
        }
        self.machine.now = end;
    }
}

impl<F> Observer<F> for Transcript<F> {
    fn observe(&mut self, event: Event<F>) {
        self.append_user_events();
        let line = match event {
            Event::Sent { to, bytes } => return self.show(to, &bytes),
            Event::Datagram { to, bytes } => {
                let to = format!("{} {}", to.address.ip(), to.address.port());
                return self.show(to, &bytes);
            }
            Event::File {
                to,
                file,
                offset,
                length,
            } => {
                let file = (self.show_file)(&file);
                format!("{to} < {length} bytes of {file} from {offset}")
            }
            Event::IdleAllowed { number } => format!("{number} is kept"),
            Event::ReplyExpected { number } => format!("{number} owes an answer"),
            Event::Connecting {
                number,
                address,
                session,
            } => format!("{number} dials {address} ({session})"),
            Event::Closed {
                number,
                reason,
                session,
            } => format!("{number} is over: {reason} ({session})"),
            Event::ShutDown => "stops".to_owned(),
            Event::LoopStopped => "finished".to_owned(),
        };
        self.seen.push_str(&line);
        self.seen.push('\n');
    }
}

impl<F> Transcript<F> {
    /// What the role has told its user comes before what it wants next.
    fn append_user_events(&mut self) {
        // Writing to a String cannot fail.
        for warning in warnings::take() {
            let _ = writeln!(self.seen, "warning: {warning}");
        }
        for news in self.news.try_iter() {
            let _ = writeln!(self.seen, "{news}");
        }
    }

    /// Shows what a connection is sent; what has no end of line is quoted.
    fn show(&mut self, to: impl fmt::Display, bytes: &[u8]) {
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
