//! Why a relay or a node has not answered a request.

use std::fmt;
use std::time::Duration;

use crate::close_reason::CloseReason;
use crate::counted::Counted;
use crate::escaped::Escaped;
use crate::protocol::ErrorCode;
use crate::session::proof_exchange::ProofError;
use crate::tls::TlsError;

/// The failure of a relay or a node.
#[derive(Debug)]
pub enum Failure<'a> {
    /// The reply is an error.
    Error(ErrorCode, String),
    /// The connection ended before the reply.
    Ended(&'a CloseReason),
    /// The connection ended in the middle of the content.
    Broken {
        /// In bytes.
        received: u64,
        /// In bytes.
        size: u64,
        /// Why it ended.
        reason: &'a CloseReason,
    },
    /// The connection ended because our output took no data for this time.
    SlowOutput(Duration),
    /// No node has announced the file.
    NoHolder,
    /// The content has another hash than the node had announced.
    OtherContent,
    /// The node has announced no hash, and its content does not have the one that others have
    /// announced.
    UnknownContent,
    /// There is no space for content of the size that the node states. Others may be right.
    NoSpace(u64),
    /// The values that the node has listed for the pieces do not belong to the hash.
    WrongPieceList,
    /// This piece has another value than the content has there.
    WrongPiece(u32),
    /// The list has so many lines, more than this flag, or the protocol, allows.
    TooMany(u64, &'static str),
    /// The names of the files of a list have more bytes than this limit.
    TooLongNames(u64),
    /// The names of a list are not sorted.
    Unsorted,
    /// Others have answered, and the time for the rest is over.
    OutpacedByOthers,
    /// There is nobody to ask.
    NoRelay,
    /// It was asked as a node, and answers as a relay.
    IsRelay,
    /// The connection to the relay of the receiver was lost earlier.
    RelayLost,
}

impl Failure<'_> {
    /// Whether the other side has another secret than we have now.
    pub(super) fn is_other_secret(&self) -> bool {
        match self {
            Self::Error(ErrorCode::NO_SECRET, _) | Self::Ended(CloseReason::SecretChanged) => true,
            Self::Ended(CloseReason::ConnectFailed(error)) => ProofError::of(error).is_some(),
            _ => false,
        }
    }

    /// Whether the other side refuses us, or we refuse its key or its proof: until somebody
    /// changes that, another connection fails likewise.
    pub(crate) fn is_refusal(&self) -> bool {
        let is_final = |code: &ErrorCode| {
            matches!(
                *code,
                ErrorCode::NO_SECRET | ErrorCode::NOT_ALLOWED | ErrorCode::TLS_REQUIRED
            )
        };
        match self {
            Self::Error(code, _) => is_final(code),
            Self::Ended(CloseReason::TlsFailed(error)) => {
                TlsError::of(error).is_some_and(TlsError::is_refusal)
            }
            Self::Ended(CloseReason::ConnectFailed(error)) => match ProofError::of(error) {
                Some(ProofError::Refused(code, _)) => is_final(code),
                Some(ProofError::ServerUnproven | ProofError::Unencrypted) => true,
                None => false,
            },
            _ => false,
        }
    }

    /// Whether perhaps no server runs at the address: its end says nothing else.
    pub(crate) fn may_be_unreachable(&self) -> bool {
        match self {
            Self::Ended(CloseReason::Replaced | CloseReason::TlsFailed(_)) => false,
            Self::Ended(_) => !self.is_other_secret(),
            _ => false,
        }
    }
}

/// Text from the network is escaped.
impl fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(code, text) => {
                let text = code.text_for_program(text);
                write!(f, "error {code}: {}", Escaped::text(&text))
            }
            Self::Ended(CloseReason::EndOfInput) => {
                f.write_str("the connection was closed too early")
            }
            Self::Ended(reason) => reason.fmt(f),
            Self::Broken {
                received,
                size,
                reason,
            } => {
                let remaining = size - received;
                let received = Counted(*received, "byte");
                write!(
                    f,
                    "broken off: received {received}, {remaining} remaining: "
                )?;
                Failure::Ended(reason).fmt(f)
            }
            Self::SlowOutput(waited) => write!(
                f,
                "broken off: the output took no data for {} s, and the node did not wait",
                waited.as_secs()
            ),
            Self::OtherContent => f.write_str("the content does not have the announced hash"),
            Self::UnknownContent => f.write_str(
                "its content does not have the hash that is known; peer-client --from fetches it all the same",
            ),
            Self::NoSpace(size) => write!(
                f,
                "it says that the file has {}, for which there is no space",
                Counted(*size, "byte")
            ),
            Self::WrongPieceList => f.write_str("its list of pieces does not have the hash"),
            Self::WrongPiece(index) => write!(f, "piece {index} that it sent is wrong"),
            Self::NoHolder => f.write_str("no node has announced it"),
            Self::TooMany(count, limit) => {
                let lines = Counted(*count, "line");
                write!(f, "its list has {lines}, more than {limit} allows")
            }
            Self::TooLongNames(limit) => write!(
                f,
                "the names in its list have more than {limit} bytes, the limit of --max-listed-bytes"
            ),
            Self::NoRelay => f.write_str("there is no relay"),
            Self::IsRelay => {
                f.write_str("a relay answers there, not a node; for a relay, leave out --from")
            }
            Self::RelayLost => f.write_str("the connection to the relay of the receiver was lost"),
            Self::OutpacedByOthers => {
                f.write_str("no complete answer in time; others have answered")
            }
            Self::Unsorted => f.write_str("its list is not sorted"),
        }
    }
}
