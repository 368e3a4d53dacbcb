//! What relay and node have in common towards those who talk to them: reading a
//! request, answering what is no request, and the verbs that every server has.

use std::fmt;
use std::io::Write;
use std::time::Duration;

use crate::close_reason::{CloseReason, ResourceLimit};
use crate::protocol::{
    Code, HelpItem, OtherProtocol, Rejection, Reply, Request, RequestError, StatsItem, Verb,
};
use crate::role::{FramingError, Input, ReadNext, Traffic};

/// One command in the answer to `HELP`, with what it does.
pub(crate) type Help = (Verb, &'static str);

/// Somebody who connected to us.
#[derive(Default)]
pub struct ServerSession {
    requests: u32,
    unknown: u16,
    /// The last verb.
    last: Option<Verb>,
    /// What the last line was meant to be, if its form was wrong.
    pub(crate) malformed: Option<Verb>,
}

impl ServerSession {
    /// Reads a request. What is none is answered here, and the error says how
    /// the connection goes on.
    ///
    /// # Errors
    /// What to listen for next, where there is nothing more to answer.
    pub(crate) fn request<'a>(
        &mut self,
        heard: Input<'a>,
        max_unknown: u16,
        reply: &mut Vec<u8>,
    ) -> Result<Request<'a>, ReadNext> {
        let line = match heard {
            Input::Line(line) => line,
            Input::FramingError(fault) => return Err(broken(fault, reply)),
            Input::Connected | Input::Resumed | Input::Body(_) => return Err(ReadNext::Line),
        };
        let is_first = self.requests == 0;
        self.requests = self.requests.saturating_add(1);
        if let Some(language) = OtherProtocol::detect(line, is_first) {
            let text = format!("{language} is not spoken here; type HELP and a newline");
            say(reply, Reply::Error(Code::UnknownVerb, text.into()));
            return Err(ReadNext::Close(CloseReason::OtherProtocol(language)));
        }
        match Request::parse(line) {
            Ok(request) => {
                self.malformed = None;
                self.last = request.verb();
                Ok(request)
            }
            Err(error) => {
                self.malformed = error.verb();
                say(reply, Reply::Error(error.code(), error.to_string().into()));
                if let RequestError::UnknownVerb(_) = error {
                    self.unknown += 1;
                }
                Err(if self.unknown >= max_unknown {
                    ReadNext::Close(CloseReason::TooManyUnknownCommands)
                } else {
                    ReadNext::Line
                })
            }
        }
    }
}

/// What was done: `3 requests, last GET`.
impl fmt::Display for ServerSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.requests == 1 { "" } else { "s" };
        write!(f, "{} request{plural}", self.requests)?;
        match self.last {
            Some(verb) => write!(f, ", last {}", verb.word()),
            None => Ok(()),
        }
    }
}

fn broken(fault: FramingError, reply: &mut Vec<u8>) -> ReadNext {
    let (code, text, end) = match fault {
        FramingError::LineTooLong => (Code::LineTooLong, "line too long", CloseReason::LineTooLong),
        FramingError::UnexpectedEof => (Code::Syntax, "line not ended", CloseReason::UnexpectedEof),
        FramingError::LineTimeout => (
            Code::TooSlow,
            "line not ended in time",
            CloseReason::LineTimeout,
        ),
    };
    say(reply, Reply::Error(code, text.into()));
    ReadNext::Close(end)
}

/// Appends one line.
pub(crate) fn say(reply: &mut Vec<u8>, line: impl fmt::Display) {
    // Writing to a Vec cannot fail.
    let _ = writeln!(reply, "{line}");
}

/// `ERROR 501`: the verb exists, but others answer it.
pub(crate) fn not_here(reply: &mut Vec<u8>, advice: &'static str) -> ReadNext {
    say(reply, Reply::Error(Code::UnknownVerb, advice.into()));
    ReadNext::Line
}

/// The answer to `PING`.
pub(crate) fn pong(reply: &mut Vec<u8>) -> ReadNext {
    say(reply, Reply::Pong);
    ReadNext::Line
}

/// The answer to `QUIT`.
pub(crate) fn bye(reply: &mut Vec<u8>) -> ReadNext {
    say(reply, Reply::BYE);
    ReadNext::Close(CloseReason::Quit)
}

/// The answer to `HELP`.
pub(crate) fn help(reply: &mut Vec<u8>, commands: &[Help]) -> ReadNext {
    say(reply, Reply::Help(commands.len() as u64));
    for (verb, meaning) in commands {
        let usage = verb.usage();
        say(reply, HelpItem { usage, meaning });
    }
    ReadNext::Line
}

/// The answer to `STATS`: what every server counts, and the role's `own` figures.
pub(crate) fn stats(
    reply: &mut Vec<u8>,
    uptime: Duration,
    traffic: &Traffic,
    own: &[(&str, u64)],
) -> ReadNext {
    let common = [
        ("uptime_seconds", uptime.as_secs()),
        ("connections", traffic.open),
        ("connections_accepted", traffic.accepted),
        ("connections_refused", traffic.refused),
        ("bytes_in", traffic.bytes_in),
        ("bytes_out", traffic.bytes_out),
    ];
    say(reply, Reply::Stats((common.len() + own.len()) as u64));
    for &(name, value) in common.iter().chain(own) {
        say(reply, StatsItem { name, value });
    }
    ReadNext::Line
}

/// `ERROR 503`: the only line that is said without being asked.
pub(crate) fn refuse(reply: &mut Vec<u8>, full: ResourceLimit) {
    say(reply, Rejection::from(full).reply());
}
