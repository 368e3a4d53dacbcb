//! Drives the input of one connection: splits it into pieces, passes them to the
//! role, and decides when to stop, when to go on and when to close. No I/O: the loop
//! and the tests of the roles run the same driver.
//!
//! The pieces of a turn are handled in batches. The answers of a batch leave
//! together, and no batch starts while too many bytes wait to be sent to the peer.

use crate::close_reason::CloseReason;
use crate::protocol::{
    OtherProtocol, TLS_FIRST_BYTE, begins_http_request_line, is_http_request_line,
};
use crate::role::{FramingError, Input, ReadNext};
use crate::session::inbox::{Inbox, Unread};

/// Bytes of answers that count as much work as a short line.
const ANSWER_BYTES: u64 = 4096;
/// Bytes of a long line that count as much work as a short one.
const LINE_BYTES: usize = 64;
/// The same for the head of a request in HTTP.
const HEAD_BYTES: usize = 256;
/// The same for bytes of a body.
const BODY_BYTES: usize = 4096;
/// A part of a long answer counts as much work as so many short lines, beside its bytes.
const PART_WORK: usize = 32;

/// What has to happen before more input of a connection is handled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ReadState {
    /// More input arrives; the inbox is empty or holds an unfinished line.
    #[default]
    NeedsInput,
    /// The next turn comes: the inbox holds input that exceeded a budget.
    Backlogged,
    /// The role completes an answer; see [`ReadNext::Wait`].
    AwaitingRole,
    /// The next turn comes: the role has completed its answer.
    Resumable,
    /// Everything is sent, so that the role goes on with its answer; see
    /// [`ReadNext::Flush`].
    Flushing,
    /// The next turn comes: the end of input is reached.
    AtEof,
}

impl ReadState {
    /// Whether the role has not completed an answer.
    #[must_use]
    pub fn has_open_answer(self) -> bool {
        matches!(self, Self::AwaitingRole | Self::Resumable | Self::Flushing)
    }
}

/// The input side of an open connection.
#[derive(Default)]
pub struct InputDriver {
    inbox: Inbox,
    state: ReadState,
    has_received_line: bool,
    /// The first line was a request in HTTP.
    speaks_http: bool,
}

/// The limits of one turn.
#[derive(Clone, Copy, Debug)]
pub struct TurnLimits {
    /// The most bytes of a line, with its line ending.
    pub max_line: usize,
    /// The most bytes of the head of a request in HTTP. None if the peer may not speak HTTP.
    pub max_head: Option<usize>,
    /// No input is handled while this many bytes or more wait to be sent.
    pub max_queue: u64,
    /// The work of the turn: each piece of input counts 1 or more by its length, and so
    /// do each 4 KiB of answers. The role counts what neither shows.
    pub max_work: usize,
    /// The connection is not encrypted, and has to be.
    pub lacks_tls: bool,
    /// The program is stopping: no request is handled after the current one.
    pub is_draining: bool,
}

/// What happened in one turn.
#[derive(Clone, Copy, Default, Debug)]
pub struct TurnReport {
    /// The complete lines, and heads of requests in HTTP, that arrived.
    pub lines: u32,
    /// The work of the turn; see [`TurnLimits::max_work`].
    pub work: usize,
}

/// The connection around a driver, and the role behind it.
pub trait DrivenConnection {
    /// The limits of this turn.
    fn limits(&self) -> TurnLimits;

    /// The driver, unless the connection is closed for input.
    fn driver(&mut self) -> Option<&mut InputDriver>;

    /// Passes one piece of input to the role.
    fn on_input(&mut self, input: Input<'_>) -> ReadNext;

    /// The number of bytes in the actions that are not carried out yet.
    fn unapplied_bytes(&self) -> u64;

    /// Takes out the work that the role has counted beside bytes.
    fn take_work(&mut self) -> usize;

    /// Carries out the actions that the role has requested.
    fn apply(&mut self);

    /// The number of bytes that wait to be sent to the peer.
    fn queued_bytes(&self) -> u64;

    /// Closes the connection after everything that was sent to it.
    fn start_closing(&mut self, reason: CloseReason);
}

impl InputDriver {
    /// What has to happen before more input is handled.
    #[must_use]
    pub fn state(&self) -> ReadState {
        self.state
    }

    /// Whether a complete line has ever arrived.
    #[must_use]
    pub fn has_received_line(&self) -> bool {
        self.has_received_line
    }

    /// The number of bytes that have arrived and are not handled yet.
    #[must_use]
    pub fn unhandled_bytes(&self) -> usize {
        self.inbox.len()
    }

    /// Records that the awaited answer of the role is complete.
    pub fn resume(&mut self) {
        if self.state == ReadState::AwaitingRole {
            self.state = ReadState::Resumable;
        }
    }

    /// Records the end of input. Call it in the state [`ReadState::NeedsInput`] only.
    pub fn end_input(&mut self) {
        debug_assert_eq!(self.state, ReadState::NeedsInput);
        self.state = ReadState::AtEof;
    }

    /// Runs one turn. `arrived` must be empty unless the state is
    /// [`ReadState::NeedsInput`].
    pub fn run<C: DrivenConnection>(conn: &mut C, arrived: &[u8]) -> TurnReport {
        let mut report = TurnReport::default();
        match state_of(conn) {
            Some(ReadState::Resumable) => report.work = Self::on_resumed(conn),
            Some(ReadState::Flushing) if conn.queued_bytes() == 0 => {
                report.work = PART_WORK + Self::on_resumed(conn);
                return report;
            }
            _ => {}
        }
        let state = state_of(conn);
        debug_assert!(
            arrived.is_empty() || matches!(state, None | Some(ReadState::NeedsInput)),
            "input of a peer is lost"
        );
        match state {
            Some(ReadState::NeedsInput) if arrived.is_empty() => {}
            Some(ReadState::NeedsInput | ReadState::Backlogged) => {
                return Self::handle(conn, arrived);
            }
            Some(ReadState::AtEof) => Self::on_end_of_input(conn),
            Some(ReadState::AwaitingRole | ReadState::Resumable | ReadState::Flushing) | None => {}
        }
        report
    }

    /// Reports input that cannot be split any further, and closes the connection.
    pub fn on_framing_error<C: DrivenConnection>(conn: &mut C, error: FramingError) {
        let speaks_http = conn.driver().is_some_and(|driver| driver.speaks_http);
        let next = conn.on_input(match speaks_http {
            true => Input::HttpError(error),
            false => Input::FramingError(error),
        });
        conn.apply();
        conn.start_closing(reason_after_error(next));
    }

    /// Lets the role go on with an answer. Returns the work.
    fn on_resumed<C: DrivenConnection>(conn: &mut C) -> usize {
        if let Some(driver) = conn.driver() {
            driver.state = match driver.unhandled_bytes() {
                0 => ReadState::NeedsInput,
                _ => ReadState::Backlogged,
            };
        }
        let work = Self::notify(conn, Input::Resumed);
        let is_complete = !state_of(conn).is_some_and(ReadState::has_open_answer);
        if conn.limits().is_draining && is_complete {
            conn.start_closing(CloseReason::Shutdown);
        }
        work
    }

    fn on_end_of_input<C: DrivenConnection>(conn: &mut C) {
        if conn.driver().is_some_and(|d| d.unhandled_bytes() > 0) {
            Self::on_framing_error(conn, FramingError::UnexpectedEof);
        } else {
            conn.start_closing(CloseReason::EndOfInput);
        }
    }

    /// Passes to the role an input that has no bytes: [`Input::Connected`] or
    /// [`Input::Resumed`]. Returns the work of its answer.
    pub fn notify<C: DrivenConnection>(conn: &mut C, input: Input<'_>) -> usize {
        let mut reason = None;
        match (conn.on_input(input), conn.driver()) {
            (ReadNext::Close(close), _) => reason = Some(close),
            (ReadNext::Body(length), Some(driver)) => {
                let mut unread = driver.inbox.open(b"");
                unread.expect_body(length);
                driver.inbox.keep(unread);
            }
            (ReadNext::Wait, Some(driver)) => driver.state = ReadState::AwaitingRole,
            (ReadNext::Flush, Some(driver)) => driver.state = ReadState::Flushing,
            (ReadNext::Line | ReadNext::Body(_) | ReadNext::Wait | ReadNext::Flush, _) => {}
        }
        let work = (conn.unapplied_bytes() / ANSWER_BYTES) as usize + conn.take_work();
        conn.apply();
        if let Some(reason) = reason {
            conn.start_closing(reason);
        }
        work
    }

    /// Handles the stored input and `arrived`, as long as not too many bytes wait to
    /// be sent.
    fn handle<C: DrivenConnection>(conn: &mut C, arrived: &[u8]) -> TurnReport {
        let limits = conn.limits();
        let Some(driver) = conn.driver() else {
            return TurnReport::default();
        };
        let mut turn = InputTurn {
            awaits_first_line: !driver.has_received_line,
            speaks_http: driver.speaks_http,
            unread: driver.inbox.open(arrived),
            report: TurnReport::default(),
        };
        let mut end = Ok(ReadState::Backlogged);
        while turn.report.work < limits.max_work && conn.queued_bytes() < limits.max_queue {
            end = turn.run_batch(conn, &limits);
            if let (Ok(ReadState::AwaitingRole), Some(driver)) = (&end, conn.driver()) {
                // Must precede `apply`: an action may resume this connection.
                driver.state = ReadState::AwaitingRole;
            }
            // Long answers take their share of the turn as well.
            turn.report.work += (conn.unapplied_bytes() / ANSWER_BYTES) as usize;
            conn.apply();
            if !matches!(end, Ok(ReadState::Backlogged)) || conn.driver().is_none() {
                break;
            }
        }
        let report = turn.report;
        match (end, conn.driver()) {
            (Ok(state), Some(driver)) => driver.store(turn, state),
            (Ok(_), None) => {}
            (Err(reason), _) => conn.start_closing(reason),
        }
        report
    }

    /// Stores the input that a turn has left over.
    fn store(&mut self, turn: InputTurn<'_>, state: ReadState) {
        self.has_received_line |= turn.report.lines > 0;
        self.speaks_http = turn.speaks_http;
        self.state = match state {
            // An action may have resumed the connection already.
            ReadState::AwaitingRole => self.state,
            ReadState::Backlogged if turn.unread.is_empty() => ReadState::NeedsInput,
            state => state,
        };
        self.inbox.keep(turn.unread);
    }
}

/// The state of one turn.
struct InputTurn<'a> {
    unread: Unread<'a>,
    /// No complete line has arrived before this turn.
    awaits_first_line: bool,
    speaks_http: bool,
    report: TurnReport,
}

impl InputTurn<'_> {
    /// The next piece, unless more bytes must arrive first. TLS has no lines: its first
    /// byte is an error. The first line decides whether the connection speaks HTTP.
    fn next_input(&mut self, limits: &TurnLimits) -> Option<Input<'_>> {
        if self.awaits_first_line && self.report.lines == 0 {
            if self.unread.unfinished().first() == Some(&TLS_FIRST_BYTE) {
                let error = FramingError::OtherProtocol(OtherProtocol::Tls);
                return Some(Input::FramingError(error));
            }
            if let Some(max_head) = limits.max_head.filter(|_| !self.speaks_http) {
                self.speaks_http = self.begins_http(limits.max_line, max_head)?;
            }
        }
        let input = match limits.max_head.filter(|_| self.speaks_http) {
            Some(max_head) => self.unread.next_head(max_head)?,
            None => self.unread.next(limits.max_line)?,
        };
        self.report.work += match input {
            Input::Line(line) => {
                self.report.lines += 1;
                1 + line.len() / LINE_BYTES
            }
            Input::HttpHead(head) => {
                self.report.lines += 1;
                1 + head.len() / HEAD_BYTES
            }
            Input::Body(bytes) => 1 + bytes.len() / BODY_BYTES,
            Input::Connected
            | Input::Resumed
            | Input::FramingError(_)
            | Input::UnencryptedHttpHead(_)
            | Input::HttpError(_) => 1,
        };
        Some(match input {
            Input::Line(_) if limits.lacks_tls => Input::FramingError(FramingError::TlsRequired),
            Input::HttpHead(head) if limits.lacks_tls => Input::UnencryptedHttpHead(head),
            input => input,
        })
    }

    /// Whether the first line is a request in HTTP, unless more of it must arrive first. The
    /// request line may be longer than other lines, so it has to look like one from the start.
    fn begins_http(&mut self, max_line: usize, max_head: usize) -> Option<bool> {
        let arrived = self.unread.unfinished();
        let (length, start) = (arrived.len(), &arrived[..arrived.len().min(max_line)]);
        if !begins_http_request_line(start) {
            return Some(false);
        }
        match self.unread.first_line(max_head) {
            Some(line) => Some(is_http_request_line(line)),
            None => (length >= max_head).then_some(true),
        }
    }

    /// Passes pieces to the role until their answers are to be sent. Returns the state
    /// that follows.
    ///
    /// # Errors
    /// The reason to close the connection.
    fn run_batch<C: DrivenConnection>(
        &mut self,
        conn: &mut C,
        limits: &TurnLimits,
    ) -> Result<ReadState, CloseReason> {
        while self.report.work < limits.max_work
            && conn.queued_bytes() + conn.unapplied_bytes() < limits.max_queue
        {
            let Some(input) = self.next_input(limits) else {
                return Ok(ReadState::NeedsInput);
            };
            let is_error = matches!(input, Input::FramingError(_) | Input::HttpError(_));
            let next = conn.on_input(input);
            self.report.work += conn.take_work();
            match next {
                next if is_error => return Err(reason_after_error(next)),
                ReadNext::Line => {}
                ReadNext::Body(length) => self.unread.expect_body(length),
                ReadNext::Wait => return Ok(ReadState::AwaitingRole),
                ReadNext::Flush => return Ok(ReadState::Flushing),
                ReadNext::Close(reason) => return Err(reason),
            }
        }
        Ok(ReadState::Backlogged)
    }
}

fn state_of<C: DrivenConnection>(conn: &mut C) -> Option<ReadState> {
    conn.driver().map(|driver| driver.state)
}

/// The reason for closing when input cannot be read on: the role's, if it gives one.
fn reason_after_error(next: ReadNext) -> CloseReason {
    match next {
        ReadNext::Close(reason) => reason,
        ReadNext::Line | ReadNext::Body(_) | ReadNext::Wait | ReadNext::Flush => {
            CloseReason::EndOfInput
        }
    }
}
