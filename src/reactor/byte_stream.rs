//! The byte stream of a connection, encrypted or not. Nothing else knows which.

use std::error::Error;
use std::io;

use crate::close_reason::CloseReason;
use crate::reactor::readiness::InputLeft;
use crate::reactor::tls_session::TlsSession;
use crate::reactor::transport::{Transport, unless_blocked};
use crate::tls::TlsError;

/// A transport, and the TLS session above it if the stream is encrypted.
pub(super) struct ByteStream<'a, T> {
    transport: &'a mut T,
    tls: Option<&'a mut TlsSession>,
}

impl<'a, T> ByteStream<'a, T> {
    pub(super) fn new(transport: &'a mut T, tls: Option<&'a mut TlsSession>) -> Self {
        Self { transport, tls }
    }

    /// Reads once; 0 bytes are the end of input. After the end of our side of TLS, records are
    /// not decrypted: an alert about a broken one would come after that end.
    ///
    /// # Errors
    /// See [`Transport::receive`]. An end of input that may have been forged is an error.
    pub(super) fn receive<F>(&mut self, buffer: &mut [u8]) -> io::Result<usize>
    where
        T: Transport<F>,
    {
        match &mut self.tls {
            Some(tls) if !tls.is_finished() => tls.receive(self.transport, buffer),
            _ => self.transport.receive(buffer),
        }
    }

    /// What is left after [`ByteStream::receive`] with a buffer of this size.
    pub(super) fn input_left(&self, received: Option<usize>, size: usize) -> InputLeft {
        let tls = self.tls.as_ref().filter(|tls| !tls.is_finished());
        match (received, tls) {
            (Some(0), _) | (None, None) => InputLeft::None,
            (_, Some(tls)) => tls.input_left(),
            (Some(length), None) if length < size => InputLeft::Unlikely,
            (Some(_), None) => InputLeft::Likely,
        }
    }

    /// Sends once; see [`Transport::send`].
    ///
    /// # Errors
    /// See [`Transport::send`].
    pub(super) fn send<F>(&mut self, bytes: &[u8], more: bool) -> io::Result<usize>
    where
        T: Transport<F>,
    {
        match &mut self.tls {
            None => self.transport.send(bytes, more),
            Some(tls) => tls.send(self.transport, bytes, more),
        }
    }

    /// Sends a part of a file; see [`Transport::send_file`].
    ///
    /// # Errors
    /// See [`Transport::send_file`].
    pub(super) fn send_file<F>(
        &mut self,
        file: &F,
        offset: &mut u64,
        length: usize,
    ) -> io::Result<usize>
    where
        T: Transport<F>,
    {
        match &mut self.tls {
            None => self.transport.send_file(file, offset, length),
            Some(tls) => tls.send_file(self.transport, file, offset, length),
        }
    }

    /// Sends the encrypted bytes that wait. Returns whether the transport may accept more.
    ///
    /// # Errors
    /// The connection is lost.
    pub(super) fn flush<F>(&mut self) -> Result<bool, CloseReason>
    where
        T: Transport<F>,
    {
        let Some(tls) = &mut self.tls else {
            return Ok(true);
        };
        let flushed = unless_blocked(|| tls.flush(self.transport, false));
        Ok(flushed.map_err(close_reason)?.is_some())
    }
}

/// Why the failure of a stream closes the connection.
pub(super) fn close_reason(error: io::Error) -> CloseReason {
    match error
        .get_ref()
        .is_some_and(<dyn Error + Send + Sync>::is::<TlsError>)
    {
        true => CloseReason::TlsFailed(error),
        false => CloseReason::ConnectionLost(error),
    }
}
