//! Runs a role by the commands of a script, with a clock that only the script moves.
//!
//! Commands that every role understands:
//!
//! - `connect N from=IP key=NAME`: a peer connects. With a key, over TLS with a certificate.
//! - `say N LINE…`: lines arrive together. `send N TEXT`: bytes arrive, without a line
//!   ending. `pad=COUNT` adds this many blanks to either. `send-hex N HEX`: bytes that
//!   are not text.
//! - `end-input N`: the input ends. `line-timeout N`: the rest of a line did not arrive
//!   in time. `reset N`, `read-timeout N`: the connection fails.
//! - `connected N`, `connect-failed N`, `connect-timeout N`: the result of an outgoing
//!   connection. Its number is the next one after the highest.
//! - `datagram from=IP:PORT LINE…`: the lines arrive in one datagram.
//! - `advance TIME`: the clock moves, and timers fire on the way. `advance 0s` lets the
//!   role do the work that waits.
//! - `wake from=TIME to=TIME`: the clock moves to the next deadline, which must be in
//!   this range. `deadline`: shows the time until then.
//! - `refuse LIMIT`: a connection is refused.
//! - `stop`: the program stops gracefully.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use goldenscript::{ArgumentConsumer, Command};
use peerline::close_reason::{CloseReason, ResourceLimit};
use peerline::role::{Context, FramingError, Role, UdpPeer};
use peerline::tls::KeyId;

use crate::machine::{Event, Machine, Observer};
use crate::warnings;

pub type StageResult<T = ()> = Result<T, Box<dyn Error>>;

/// The most times that timers may fire without the clock moving.
const MAX_FIRED: usize = 100;

pub struct Stage<R: Role> {
    machine: Machine<R, Transcript<R::File>>,
}

/// Prints what the role does.
struct Transcript<F> {
    show_file: fn(&F) -> String,
    /// The lines of the role's user.
    user_lines: Receiver<String>,
    /// Everything since the last command.
    text: String,
}

impl<R: Role> Stage<R> {
    /// A stage for a role that was created at the time `started`.
    pub fn new(
        role: R,
        started: Instant,
        user_lines: Receiver<String>,
        show_file: fn(&R::File) -> String,
    ) -> Self {
        warnings::install();
        let transcript = Transcript {
            show_file,
            user_lines,
            text: String::new(),
        };
        Self {
            machine: Machine::new(role, started, transcript),
        }
    }

    pub fn role(&self) -> &R {
        self.machine.role()
    }

    /// Requests in HTTP are answered from now on.
    pub fn enable_http(&mut self) {
        self.machine.max_head = Some(16 * 1024);
    }

    /// Takes everything that the role did since the last call.
    pub fn take_text(&mut self) -> String {
        self.machine.observer.append_user_events();
        std::mem::take(&mut self.machine.observer.text)
    }

    /// Executes one of the commands above.
    pub fn run(&mut self, command: &Command) -> StageResult {
        let mut args = command.consume_args();
        match command.name.as_str() {
            "connect" => {
                let number = number(&mut args)?;
                let from: IpAddr = key(&mut args, "from")?.parse()?;
                self.connect(number, from)?;
                if let Some(name) = args.take_key("key") {
                    self.machine
                        .on_encrypted(number, KeyId::of(name.as_bytes()))?;
                }
            }
            "say" | "send" | "send-hex" => self.run_input(&command.name, &mut args)?,
            "datagram" => {
                let socket = args.take_key("socket").map_or(Ok(0), str::parse)?;
                let address = key(&mut args, "from")?.parse()?;
                let from = UdpPeer { socket, address };
                let text = lines(&mut args)?;
                self.call(|role, context| role.on_datagram(context, from, text.as_bytes()));
            }
            "advance" => self.advance(time(args.next_pos().ok_or("the time is missing")?)?),
            "wake" => {
                let from = time(key(&mut args, "from")?)?;
                let to = time(key(&mut args, "to")?)?;
                let left = self.time_left().ok_or("there is no deadline")?;
                if !(from..=to).contains(&left) {
                    return Err(format!("the deadline is in {left:?}").into());
                }
                self.advance(left);
            }
            "deadline" => match self.time_left() {
                Some(left) => writeln!(self.machine.observer.text, "in {left:?}")?,
                None => writeln!(self.machine.observer.text, "none")?,
            },
            "refuse" => {
                let limit = match args.next_pos().ok_or("the limit is missing")? {
                    "connections" => ResourceLimit::Connections,
                    "address" => ResourceLimit::ConnectionsPerAddress,
                    other => return Err(format!("{other} is not a limit").into()),
                };
                let mut text = Vec::new();
                self.role().on_refuse(limit, &mut text);
                self.machine.observer.show(0, &text);
            }
            "stop" => self.call(R::drain),
            other => {
                let number = number(&mut args)?;
                self.run_incident(other, number)?;
            }
        }
        args.reject_next()
    }

    /// Executes a command that sends bytes to a connection.
    fn run_input(&mut self, name: &str, args: &mut ArgumentConsumer<'_>) -> StageResult {
        let number = number(args)?;
        let bytes = match name {
            "say" => lines(args)?.into_bytes(),
            "send" => {
                let pad = padding(args)?;
                let text = args.next_pos().ok_or("the text is missing")?;
                format!("{text}{pad}").into_bytes()
            }
            _ => {
                let hex = args.next_pos().ok_or("the bytes are missing")?;
                let bytes = hex.split(' ').map(|byte| u8::from_str_radix(byte, 16));
                bytes.collect::<Result<_, _>>()?
            }
        };
        self.arrive(number, &bytes)
    }

    /// Executes a command that names only a connection and what happens to it.
    fn run_incident(&mut self, name: &str, number: u32) -> StageResult {
        let machine = &mut self.machine;
        match name {
            "connected" => machine.on_connected(number)?,
            "connect-failed" => {
                let refused = io::ErrorKind::ConnectionRefused.into();
                machine.close(number, &CloseReason::ConnectFailed(refused))?;
            }
            "connect-timeout" => machine.close(number, &CloseReason::ConnectTimeout)?,
            "end-input" => machine.end_input(number)?,
            "line-timeout" => machine.on_framing_error(number, FramingError::LineTimeout)?,
            "read-timeout" => machine.close(number, &CloseReason::ReadTimeout)?,
            "reset" => self.reset(number)?,
            other => return Err(format!("unknown command {other}").into()),
        }
        Ok(())
    }

    /// Calls the role.
    pub fn call(&mut self, act: impl FnOnce(&mut R, &mut Context<'_, R>)) {
        self.machine.call(act);
    }

    /// A peer connects.
    pub fn connect(&mut self, number: u32, from: IpAddr) -> StageResult {
        let port = 50_000 + u16::try_from(number)?;
        Ok(self.machine.accept(number, SocketAddr::new(from, port))?)
    }

    /// Bytes arrive.
    pub fn arrive(&mut self, number: u32, bytes: &[u8]) -> StageResult {
        Ok(self.machine.receive(number, bytes)?)
    }

    /// Peers may speak HTTP from now on.
    pub fn allow_http(&mut self) {
        self.machine.max_head = Some(16 * 1024);
    }

    /// A connection is reset.
    pub fn reset(&mut self, number: u32) -> StageResult {
        let reset = io::ErrorKind::ConnectionReset.into();
        Ok(self
            .machine
            .close(number, &CloseReason::ConnectionLost(reset))?)
    }

    pub fn is_connected(&self, number: u32) -> bool {
        self.machine.is_connected(number)
    }

    /// The time until the next deadline; zero if work waits.
    fn time_left(&self) -> Option<Duration> {
        if self.role().has_work() {
            return Some(Duration::ZERO);
        }
        let due = self.role().next_deadline()?;
        Some(due.saturating_duration_since(self.machine.now))
    }

    pub fn advance(&mut self, by: Duration) {
        let end = self.machine.now + by;
        let mut fired = 0;
        while let Some(left) = self
            .time_left()
            .filter(|left| self.machine.now + *left <= end)
        {
            fired = if left.is_zero() { fired + 1 } else { 1 };
            assert!(fired <= MAX_FIRED, "timers fire for ever");
            self.machine.now += left;
            self.machine.observer.text.push_str("timer\n");
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
            Event::IdleAllowed { number } => format!("{number} may idle"),
            Event::ReplyExpected { number } => format!("{number} expects a reply"),
            Event::Connecting {
                number,
                address,
                session,
            } => format!("{number} connects to {address} ({session})"),
            Event::Closed {
                number,
                reason,
                session,
            } => format!("{number} closed: {reason} ({session})"),
            Event::ShutDown => "shuts down".to_owned(),
            Event::AddressesUsed { ips } => format!("uses the addresses {ips:?}"),
            Event::LoopStopped => "loop stops".to_owned(),
        };
        self.text.push_str(&line);
        self.text.push('\n');
    }
}

impl<F> Transcript<F> {
    /// Appends the lines of the user: they come before the next action.
    fn append_user_events(&mut self) {
        // Writing to a String cannot fail.
        for warning in warnings::take() {
            let _ = writeln!(self.text, "warning: {warning}");
        }
        for line in self.user_lines.try_iter() {
            let _ = writeln!(self.text, "{line}");
        }
    }

    /// Prints bytes that are sent; a line without a line ending is quoted.
    fn show(&mut self, to: impl fmt::Display, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        for line in text.split_inclusive('\n') {
            let _ = match line.strip_suffix('\n') {
                Some(line) => writeln!(self.text, "{to} < {line}"),
                None => writeln!(self.text, "{to} < {line:?}"),
            };
        }
    }
}

fn number(args: &mut ArgumentConsumer<'_>) -> StageResult<u32> {
    Ok(args
        .next_pos()
        .ok_or("the connection is missing")?
        .parse()?)
}

/// The positional arguments as lines, each with its padding.
fn lines(args: &mut ArgumentConsumer<'_>) -> StageResult<String> {
    let pad = padding(args)?;
    let lines = std::iter::from_fn(|| args.next_pos());
    Ok(lines.map(|line| format!("{line}{pad}\n")).collect())
}

fn padding(args: &mut ArgumentConsumer<'_>) -> StageResult<String> {
    let count = args.take_key("pad").map_or(Ok(0), str::parse)?;
    Ok(" ".repeat(count))
}

fn key<'a>(args: &mut ArgumentConsumer<'a>, key: &str) -> StageResult<&'a str> {
    args.take_key(key)
        .ok_or_else(|| format!("{key} is missing").into())
}

/// Reads `20s`, `59.999s` or `1ms`.
pub fn time(text: &str) -> StageResult<Duration> {
    if let Some(millis) = text.strip_suffix("ms") {
        return Ok(Duration::from_millis(millis.parse()?));
    }
    let seconds = text.strip_suffix('s').ok_or("a time ends by s or ms")?;
    Ok(Duration::try_from_secs_f64(seconds.parse()?)?)
}

/// The first two lines and the last line of a long answer.
pub fn abbreviate(answer: &str) -> String {
    let lines: Vec<&str> = answer.lines().collect();
    match lines.as_slice() {
        [head, first, .., last] => format!("{head}\n{first}\n... {}\n{last}", lines.len() - 3),
        _ => answer.to_owned(),
    }
}
