//! Why a server does not let a client in.

use std::fmt;

use crate::protocol::error_code::ErrorCode;
use crate::tls::KeyId;

/// Why a client may not use a server. Prints as the text of the reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AccessRejection {
    /// The server has a secret, and the client has not shown that it knows it.
    SecretRequired {
        /// Whether it may show it on this connection.
        is_private: bool,
    },
    /// The secret, or the proof, is another one.
    WrongSecret,
    /// A secret is not taken over a connection that others can read.
    SecretUnencrypted,
    /// A proof is bound to a TLS session, and there is none.
    ProofUnencrypted,
    /// The server has no secret.
    NoSecret,
    /// The clients at this address have guessed too often: more than this per second.
    TooManyGuesses(u32),
    /// The server has a list of keys, and the client has shown none.
    IdRequired,
    /// The key of the client is not in the list of those that are allowed.
    IdNotAllowed(KeyId),
    /// The key of the client is in the list of those that are denied.
    IdDenied(KeyId),
}

impl AccessRejection {
    /// The class of the error.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::SecretRequired { .. } | Self::WrongSecret => ErrorCode::NO_SECRET,
            Self::SecretUnencrypted | Self::ProofUnencrypted => ErrorCode::TLS_REQUIRED,
            Self::NoSecret => ErrorCode::UNKNOWN_VERB,
            Self::TooManyGuesses(_) => ErrorCode::SLOW_DOWN,
            Self::IdRequired | Self::IdNotAllowed(_) | Self::IdDenied(_) => ErrorCode::NOT_ALLOWED,
        }
    }
}

impl fmt::Display for AccessRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SecretRequired { is_private: true } => "a secret is needed; type AUTH secret",
            Self::SecretRequired { is_private: false } => {
                "a secret is needed; type openssl s_client -quiet -connect HOST:PORT, then AUTH secret"
            }
            Self::WrongSecret => "wrong secret",
            Self::SecretUnencrypted => {
                "this connection is not encrypted, so the secret may have been read: replace it; \
                 to type a secret, use openssl s_client -quiet -connect HOST:PORT"
            }
            Self::ProofUnencrypted => "a proof needs TLS",
            Self::NoSecret => "no secret is needed here",
            Self::TooManyGuesses(rate) => {
                return write!(
                    f,
                    "too many wrong secrets; the limit is {rate} per second, try again later"
                );
            }
            Self::IdRequired => {
                "only listed ids may do this; show yours over TLS: peer-node --tls required, \
                 peer-client --show-id"
            }
            Self::IdNotAllowed(id) => {
                return write!(f, "{id} is not in --allow-ids of this server");
            }
            Self::IdDenied(id) => return write!(f, "{id} is in --deny-ids of this server"),
        })
    }
}
