//! Drives the input of one connection: splits it into pieces, passes them to the
//! role, and decides when to stop, when to go on and when to close. No I/O: the loop
//! and the tests of the roles run the same driver.
//!
//! The pieces of a turn are handled in batches. The answers of a batch leave
//! together, and no batch starts while too many bytes wait to be sent to the peer.

use crate::close_reason::CloseReason;
use crate::role::{FramingError, Input, ReadNext};
use crate::session::inbox::{Inbox, Piece, Unread};
use crate::session::language::{self, Language};

/// Pieces of input that one turn of a connection handles.
const PIECES_PER_TURN: usize = 4096;
/// Bytes of answers that count as one more piece.
const BYTES_PER_PIECE: u64 = 1024;

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
    /// The next turn comes: the end of input is reached.
    AtEof,
}

/// The input side of an open connection.
#[derive(Default)]
pub struct InputDriver {
    inbox: Inbox,
    state: ReadState,
    has_received_line: bool,
}

/// The limits of one turn.
#[derive(Clone, Copy, Debug)]
pub struct TurnLimits {
    /// The most bytes of a line, with its line ending.
    pub max_line: usize,
    /// The number of bytes to send from which on no more input is handled.
    pub max_queue: u64,
    /// The program is stopping: no request is handled after the current one.
    pub is_draining: bool,
}

/// The connection around a driver, and the role behind it.
pub trait DriverHost {
    /// The limits of this turn.
    fn limits(&self) -> TurnLimits;

    /// The driver, unless the connection is closed for input.
    fn driver(&mut self) -> Option<&mut InputDriver>;

    /// Passes one piece of input to the role.
    fn on_input(&mut self, input: Input<'_>) -> ReadNext;

    /// The number of bytes in the actions that are not carried out yet.
    fn unapplied_bytes(&self) -> u64;

    /// Carries out the actions that the role has requested.
    fn apply(&mut self);

    /// The number of bytes that wait to be sent to the peer.
    fn queued_bytes(&self) -> u64;

    /// Closes the connection after everything that was sent to it.
    fn close(&mut self, reason: CloseReason);
}

/// Why a batch of pieces ended.
enum BatchEnd {
    NeedsInput,
    OutOfBudget,
    AwaitingRole,
    Close(CloseReason),
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

    /// Whether bytes have arrived that are not handled yet.
    #[must_use]
    pub fn has_unhandled_bytes(&self) -> bool {
        !self.inbox.is_empty()
    }

    /// Records that the role has completed the answer that it is awaited for.
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
    /// [`ReadState::NeedsInput`]. Returns whether a complete line arrived.
    pub fn run<H: DriverHost>(host: &mut H, arrived: &[u8]) -> bool {
        if state_of(host) == Some(ReadState::Resumable) {
            Self::on_resumed(host);
        }
        let state = state_of(host);
        debug_assert!(
            arrived.is_empty() || matches!(state, None | Some(ReadState::NeedsInput)),
            "input of a peer is lost"
        );
        match state {
            Some(ReadState::NeedsInput) if !arrived.is_empty() => Self::handle(host, arrived),
            Some(ReadState::Backlogged) => Self::handle(host, arrived),
            Some(ReadState::AtEof) => {
                Self::on_end_of_input(host);
                false
            }
            Some(ReadState::NeedsInput | ReadState::AwaitingRole | ReadState::Resumable) | None => {
                false
            }
        }
    }

    /// Reports an established outgoing connection to the role.
    pub fn on_connected<H: DriverHost>(host: &mut H) {
        Self::notify(host, Input::Connected);
    }

    /// Reports input that cannot be split into lines, and closes the connection.
    pub fn on_framing_error<H: DriverHost>(host: &mut H, error: FramingError) {
        let next = host.on_input(Input::FramingError(error));
        host.apply();
        host.close(reason_after_error(next));
    }

    fn on_resumed<H: DriverHost>(host: &mut H) {
        if let Some(driver) = host.driver() {
            driver.state = match driver.inbox.is_empty() {
                true => ReadState::NeedsInput,
                false => ReadState::Backlogged,
            };
        }
        Self::notify(host, Input::Resumed);
        if host.limits().is_draining && state_of(host) != Some(ReadState::AwaitingRole) {
            host.close(CloseReason::Shutdown);
        }
    }

    fn on_end_of_input<H: DriverHost>(host: &mut H) {
        if host
            .driver()
            .is_some_and(|driver| driver.has_unhandled_bytes())
        {
            Self::on_framing_error(host, FramingError::UnexpectedEof);
        } else {
            host.close(CloseReason::EndOfInput);
        }
    }

    /// Passes to the role an event that has no bytes.
    fn notify<H: DriverHost>(host: &mut H, input: Input<'_>) {
        let next = host.on_input(input);
        let close = match (next, host.driver()) {
            (ReadNext::Close(reason), _) => Some(reason),
            (ReadNext::Body(length), Some(driver)) => {
                let mut unread = driver.inbox.open(b"");
                unread.expect_body(length);
                driver.inbox.keep(unread);
                None
            }
            (ReadNext::Wait, Some(driver)) => {
                driver.state = ReadState::AwaitingRole;
                None
            }
            (ReadNext::Line | ReadNext::Body(_) | ReadNext::Wait, _) => None,
        };
        host.apply();
        if let Some(reason) = close {
            host.close(reason);
        }
    }

    /// Handles the stored input and `arrived`, as long as not too many bytes wait to
    /// be sent. Returns whether a complete line was among the input.
    fn handle<H: DriverHost>(host: &mut H, arrived: &[u8]) -> bool {
        let limits = host.limits();
        let Some(driver) = host.driver() else {
            return false;
        };
        let mut turn = InputTurn {
            awaits_first_line: !driver.has_received_line,
            unread: driver.inbox.open(arrived),
            pieces_left: PIECES_PER_TURN,
            has_line: false,
        };
        let mut end = BatchEnd::OutOfBudget;
        while turn.pieces_left > 0 && host.queued_bytes() < limits.max_queue {
            end = turn.run_batch(host, &limits);
            if matches!(end, BatchEnd::AwaitingRole)
                && let Some(driver) = host.driver()
            {
                // Before the actions: one of them may resume this connection.
                driver.state = ReadState::AwaitingRole;
            }
            // Long answers take their share of the turn as well.
            let answers = (host.unapplied_bytes() / BYTES_PER_PIECE) as usize;
            turn.pieces_left = turn.pieces_left.saturating_sub(answers);
            host.apply();
            if !matches!(end, BatchEnd::OutOfBudget) || host.driver().is_none() {
                break;
            }
        }
        if let Some(driver) = host.driver() {
            driver.store(&mut turn, &end);
        }
        if let BatchEnd::Close(reason) = end {
            host.close(reason);
        }
        turn.has_line
    }

    /// Stores the input that a turn has left over.
    fn store(&mut self, turn: &mut InputTurn<'_>, end: &BatchEnd) {
        self.has_received_line |= turn.has_line;
        let unread = std::mem::take(&mut turn.unread);
        match end {
            BatchEnd::OutOfBudget if !unread.is_empty() => self.state = ReadState::Backlogged,
            BatchEnd::OutOfBudget | BatchEnd::NeedsInput => self.state = ReadState::NeedsInput,
            BatchEnd::AwaitingRole => {}
            BatchEnd::Close(_) => return,
        }
        self.inbox.keep(unread);
    }
}

/// The state of one turn.
struct InputTurn<'a> {
    unread: Unread<'a>,
    pieces_left: usize,
    /// No complete line has arrived before this turn.
    awaits_first_line: bool,
    /// A complete line has arrived in this turn.
    has_line: bool,
}

impl InputTurn<'_> {
    /// Whether the peer speaks another protocol, as far as a first line of at most
    /// `max_line` bytes shows.
    fn other_protocol(&self, max_line: usize) -> Option<FramingError> {
        if !self.awaits_first_line || self.has_line {
            return None;
        }
        let received = self.unread.unfinished();
        match language::detect(&received[..received.len().min(max_line)]) {
            Language::Rejected(protocol) => Some(FramingError::OtherProtocol(protocol)),
            Language::Unknown | Language::Lines => None,
        }
    }

    /// Passes pieces to the role until their answers are to be sent.
    fn run_batch<H: DriverHost>(&mut self, host: &mut H, limits: &TurnLimits) -> BatchEnd {
        loop {
            if self.pieces_left == 0 || host.unapplied_bytes() >= limits.max_queue {
                return BatchEnd::OutOfBudget;
            }
            self.pieces_left -= 1;
            if let Some(error) = self.other_protocol(limits.max_line) {
                let next = host.on_input(Input::FramingError(error));
                return BatchEnd::Close(reason_after_error(next));
            }
            let input = match self.unread.next(limits.max_line) {
                None => return BatchEnd::NeedsInput,
                Some(Piece::Line(line)) => {
                    self.has_line = true;
                    Input::Line(line)
                }
                Some(Piece::Body(bytes)) => Input::Body(bytes),
                Some(Piece::TooLong) => {
                    let error = Input::FramingError(FramingError::LineTooLong);
                    return BatchEnd::Close(reason_after_error(host.on_input(error)));
                }
            };
            match host.on_input(input) {
                ReadNext::Line => {}
                ReadNext::Body(length) => self.unread.expect_body(length),
                ReadNext::Wait => return BatchEnd::AwaitingRole,
                ReadNext::Close(reason) => return BatchEnd::Close(reason),
            }
        }
    }
}

fn state_of<H: DriverHost>(host: &mut H) -> Option<ReadState> {
    host.driver().map(|driver| driver.state)
}

/// The reason for closing when input cannot be read on: the role's, if it gives one.
fn reason_after_error(next: ReadNext) -> CloseReason {
    match next {
        ReadNext::Close(reason) => reason,
        ReadNext::Line | ReadNext::Body(_) | ReadNext::Wait => CloseReason::EndOfInput,
    }
}
