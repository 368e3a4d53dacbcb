//! The client side of `PROVE`: a program sends its proof, and nothing else before the server
//! has answered with its own. An impostor therefore gets no request. No I/O.

use std::fmt;
use std::io;

use memchr::memchr;

use crate::escaped::Escaped;
use crate::protocol::{ErrorCode, Proof, Prover, Reply, Request, SharedSecret};
use crate::session::line_codec::write_line;

/// The most bytes of a reply: more is no reply to `PROVE`.
const MAX_REPLY: usize = 1024;

/// A proof that was sent, and the reply to it as far as it has arrived.
pub(crate) struct ProofExchange {
    /// What the server must answer.
    expected: Proof,
    reply: Vec<u8>,
}

/// Why no requests are sent to a server.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum ProofError {
    /// The server does not accept the proof.
    Refused(ErrorCode, String),
    /// The server has not proven that it knows the secret.
    ServerUnproven,
    /// The connection has no TLS, to which proofs are bound.
    Unencrypted,
}

impl ProofExchange {
    /// Appends the request to `out`. `exporter` is that of the connection.
    pub(crate) fn start(secret: &SharedSecret, exporter: &[u8; 32], out: &mut Vec<u8>) -> Self {
        let proof = secret.proof(Prover::Client, exporter);
        write_line(out, Request::Prove(proof));
        Self {
            expected: secret.proof(Prover::Server, exporter),
            reply: Vec::new(),
        }
    }

    /// Reads received bytes. Returns whether the reply is complete, and the server is proven.
    ///
    /// # Errors
    /// No requests may be sent to the server.
    pub(crate) fn on_bytes(&mut self, bytes: &[u8]) -> Result<bool, ProofError> {
        self.reply.extend_from_slice(bytes);
        let line = match memchr(b'\n', &self.reply) {
            Some(end) => &self.reply[..end],
            None if self.reply.len() < MAX_REPLY => return Ok(false),
            None => return Err(ProofError::ServerUnproven),
        };
        // Nothing was requested that could be answered by more.
        let is_whole = line.len() + 1 == self.reply.len();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match Reply::parse(line) {
            Ok(Reply::Ok(text)) if is_whole && Proof::parse(&text) == Ok(self.expected) => Ok(true),
            Ok(Reply::Error(code, text)) => Err(ProofError::Refused(code, text.into_owned())),
            _ => Err(ProofError::ServerUnproven),
        }
    }
}

impl ProofError {
    /// The error of this kind in an error of a connection, if it is one.
    pub(crate) fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl std::error::Error for ProofError {}

impl fmt::Display for ProofError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(code, text) => {
                let advice = match *code {
                    ErrorCode::NO_SECRET => {
                        "; give its secret by --secret-file FILE or PEERLINE_SECRET"
                    }
                    ErrorCode::UNKNOWN_VERB => "; leave out --secret-file and PEERLINE_SECRET",
                    _ => "",
                };
                let text = Escaped::text(text);
                write!(
                    f,
                    "the server refused the secret: error {code}: {text}{advice}"
                )
            }
            Self::ServerUnproven => f.write_str(
                "the server has not proved that it knows the secret; is its secret the same?",
            ),
            Self::Unencrypted => f.write_str("not encrypted, and a secret needs TLS"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPORTER: [u8; 32] = [7; 32];

    fn start() -> (SharedSecret, ProofExchange) {
        let secret = SharedSecret::new("correct horse battery").expect("a secret");
        let mut request = Vec::new();
        let exchange = ProofExchange::start(&secret, &EXPORTER, &mut request);
        let proof = secret.proof(Prover::Client, &EXPORTER);
        assert_eq!(request, format!("PROVE {proof}\n").into_bytes());
        (secret, exchange)
    }

    #[test]
    fn the_reply_may_come_in_parts() {
        let (secret, mut exchange) = start();
        let proof = secret.proof(Prover::Server, &EXPORTER);
        let reply = format!("OK {proof}\r\n").into_bytes();
        let (last, first) = reply.split_last().expect("bytes");
        for byte in first {
            assert_eq!(exchange.on_bytes(&[*byte]), Ok(false));
        }
        assert_eq!(exchange.on_bytes(&[*last]), Ok(true));
    }

    #[test]
    fn only_the_proof_of_the_server_is_accepted() {
        let (secret, _) = start();
        let right = secret.proof(Prover::Server, &EXPORTER);
        for reply in [
            "OK\n".to_owned(),
            format!("OK {}\n", secret.proof(Prover::Client, &EXPORTER)),
            format!("OK {}\n", secret.proof(Prover::Server, &[8; 32])),
            format!("OK {right}\nFROM 127.0.0.1 1 x\n"),
            format!("PONG {right}\n"),
            "\n".to_owned(),
            "x".repeat(MAX_REPLY),
        ] {
            let (_, mut exchange) = start();
            let error = exchange.on_bytes(reply.as_bytes());
            assert_eq!(error, Err(ProofError::ServerUnproven), "{reply:?}");
        }
        let (_, mut exchange) = start();
        let error = exchange
            .on_bytes(b"ERROR 401 wrong secret\n")
            .expect_err("refused");
        let text = "the server refused the secret: error 401: wrong secret; give its secret by \
                    --secret-file FILE or PEERLINE_SECRET";
        assert_eq!(error.to_string(), text);
    }
}
