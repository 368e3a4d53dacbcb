//! Proves on outgoing connections that this program knows the secret of its group, before the
//! role uses them.

use std::io::{self, ErrorKind};

use crate::close_reason::CloseReason;
use crate::protocol::SharedSecret;
use crate::reactor::byte_stream::close_reason;
use crate::reactor::connection::Connection;
use crate::reactor::readiness::InputLeft;
use crate::reactor::transport::{Transport, unless_blocked};
use crate::role::SendableFile;
use crate::session::proof_exchange::{ProofError, ProofExchange};

/// Bytes of one read.
const READ_SIZE: usize = 4096;
/// The most reads of a turn. Tickets come before the reply, but not as many as this: a server
/// that has proved nothing must not hold up the loop.
const MAX_READS: usize = 8;

impl<S, F: SendableFile, T: Transport<F>> Connection<S, F, T> {
    /// Goes on with the proofs of both sides. Returns whether they are complete.
    ///
    /// # Errors
    /// The other side does not know the secret, or the connection is lost.
    pub(super) fn exchange_proofs(&mut self, secret: &SharedSecret) -> Result<bool, CloseReason> {
        let failed = |error: ProofError| CloseReason::ConnectFailed(io::Error::other(error));
        let Some(tls) = &mut self.tls else {
            return Err(failed(ProofError::Unencrypted));
        };
        if tls.proof_exchange.is_none() {
            let security = tls.security();
            let security = security.ok_or_else(|| failed(ProofError::Unencrypted))?;
            let mut request = Vec::new();
            let exchange = ProofExchange::start(secret, &security.exporter, &mut request);
            tls.proof_exchange = Some(exchange);
            // What the kernel does not accept is sent when the handshake goes on.
            unless_blocked(|| tls.send(&mut self.transport, &request, false))
                .map_err(close_reason)?;
        }
        let mut buffer = [0; READ_SIZE];
        for _ in 0..MAX_READS {
            let received = unless_blocked(|| tls.receive(&mut self.transport, &mut buffer));
            let bytes = match received.map_err(close_reason)? {
                // A record without content, such as a ticket, came first.
                None if tls.input_left() == InputLeft::Likely => continue,
                None => return Ok(false),
                Some(0) => return Err(close_reason(ErrorKind::UnexpectedEof.into())),
                Some(length) => &buffer[..length],
            };
            if let Some(exchange) = &mut tls.proof_exchange
                && !exchange.on_bytes(bytes).map_err(failed)?
            {
                continue;
            }
            tls.proof_exchange = None;
            return Ok(true);
        }
        Err(failed(ProofError::ServerUnproven))
    }
}
