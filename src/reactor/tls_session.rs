//! The TLS session of a connection: records between its transport and its plain bytes.
//!
//! Encrypted bytes that the kernel does not accept wait here. Until they are sent, no more
//! bytes are encrypted, so at most [`PIECE`] bytes of plain data wait in this form.

use std::io::{self, ErrorKind, Read, Write};

use rustls::{Connection as RustlsConnection, IoState};

use crate::reactor::readiness::InputLeft;
use crate::reactor::record_counter::RecordCounter;
use crate::reactor::transport::Transport;
use crate::session::proof_exchange::ProofExchange;
use crate::tls::{ConnectionSecurity, TlsError};

/// The most bytes of records that one read returns.
const READ_SIZE: usize = 32 * 1024;
/// The most bytes that are encrypted before they are sent. A record has at most 16 KiB. With
/// twice as many, the C library returns the buffers of each piece to the system: that cost more
/// than the cipher.
const PIECE: usize = 32 * 1024;
/// How a server without TLS answers the first byte of TLS.
const NO_TLS: &[u8] = b"ERROR 501 ";
/// How a full server answers, before it has read anything.
const FULL: &[u8] = b"ERROR 503 ";
/// The first byte of an answer in TLS: an alert, or a message of the handshake.
const FIRST_BYTES: [u8; 2] = [0x15, 0x16];

/// An encrypted connection. A few kilobytes; it is boxed.
pub(super) struct TlsSession {
    connection: RustlsConnection,
    /// Received bytes that are not decrypted yet: mostly none.
    input: Vec<u8>,
    input_left: InputLeft,
    records: RecordCounter,
    /// See [`TlsSession::take_overhead`].
    overhead: usize,
    /// Encrypted bytes; mostly none.
    output: Vec<u8>,
    /// The number of them that are sent.
    sent: usize,
    /// The handshake counts as one that is under way.
    is_handshaking: bool,
    /// The other side has answered in TLS. Matters to a client alone.
    is_answered: bool,
    is_finished: bool,
    /// Set while both sides prove that they know the secret of their group.
    pub(super) proof_exchange: Option<ProofExchange>,
}

impl TlsSession {
    pub(super) fn new(connection: impl Into<RustlsConnection>) -> Self {
        let mut connection = connection.into();
        // `send` limits the records.
        connection.set_buffer_limit(None);
        Self {
            connection,
            input: Vec::new(),
            input_left: InputLeft::Likely,
            records: RecordCounter::default(),
            overhead: 0,
            output: Vec::new(),
            sent: 0,
            is_handshaking: true,
            is_answered: false,
            is_finished: false,
            proof_exchange: None,
        }
    }

    /// Handles bytes that were received before the session began, with the next read.
    pub(super) fn push_input(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// Returns true once: when the handshake is complete, or will never be because the
    /// connection is closed.
    pub(super) fn end_handshake(&mut self, is_closed: bool) -> bool {
        let has_ended = is_closed || !self.connection.is_handshaking();
        has_ended && std::mem::take(&mut self.is_handshaking)
    }

    /// What the handshake has shown; none unless it is complete.
    pub(super) fn security(&self) -> Option<ConnectionSecurity> {
        ConnectionSecurity::of(&self.connection).ok()
    }

    /// What is left after the last read.
    pub(super) fn input_left(&self) -> InputLeft {
        self.input_left
    }

    /// Takes out the number of bytes that were received in complete records and are no content.
    /// Each record has some, and one that changes keys has no others.
    pub(super) fn take_overhead(&mut self) -> usize {
        std::mem::take(&mut self.overhead)
    }

    /// The number of encrypted bytes that are not sent.
    pub(super) fn unsent(&self) -> usize {
        self.output.len() - self.sent
    }

    /// Reads once from the transport unless input is left, and sends what the other side
    /// must have, as the answers in a handshake.
    ///
    /// # Errors
    /// See [`Transport::receive`]; a [`TlsError`], if the other side breaks the protocol;
    /// `UnexpectedEof`, if the end of input is not authentic.
    pub(super) fn receive<F, T: Transport<F>>(
        &mut self,
        transport: &mut T,
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        self.input_left = InputLeft::Likely;
        match self.connection.reader().read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // Nothing comes after the end of TLS.
            result => return result,
        }
        if !self.input.is_empty() {
            let input = std::mem::take(&mut self.input);
            return self.decrypt(transport, &input, buffer);
        }
        let mut records = [0; READ_SIZE];
        let size = READ_SIZE.min(buffer.len());
        match transport.receive(&mut records[..size]) {
            // What ends here without the end of TLS may have been cut off by anybody.
            Ok(0) => Err(io::Error::new(
                ErrorKind::UnexpectedEof,
                "cut off before the end of TLS",
            )),
            Ok(length) => {
                if length < size {
                    self.input_left = InputLeft::Unlikely;
                }
                self.decrypt(transport, &records[..length], buffer)
            }
            Err(error) => {
                if error.kind() == ErrorKind::WouldBlock {
                    self.input_left = InputLeft::None;
                }
                Err(error)
            }
        }
    }

    /// Decrypts received bytes. Keeps those for whose content there is no room.
    fn decrypt<F, T: Transport<F>>(
        &mut self,
        transport: &mut T,
        mut records: &[u8],
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() && !records.is_empty() {
            let state = self.process(transport, &mut records)?;
            filled += match self.connection.reader().read(&mut buffer[filled..]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                result => result?,
            };
            if state.peer_has_closed() {
                self.input_left = InputLeft::Likely;
                records = &[];
            }
        }
        if !records.is_empty() || filled == buffer.len() {
            self.input.extend_from_slice(records);
            self.input_left = InputLeft::Likely;
        }
        match filled {
            0 => self.connection.reader().read(buffer),
            _ => Ok(filled),
        }
    }

    /// Passes some of the records to the library.
    fn process<F, T: Transport<F>>(
        &mut self,
        transport: &mut T,
        records: &mut &[u8],
    ) -> io::Result<IoState> {
        let received = *records;
        if self.connection.read_tls(records)? == 0 {
            // The other side has finished; what follows means nothing.
            *records = &[];
        }
        let complete = self
            .records
            .complete(&received[..received.len() - records.len()]);
        let state = self.connection.process_new_packets();
        self.take_records()?;
        // The answers, or why the session fails. What is left is sent when it can be.
        let sent = self.flush(transport, false);
        let state = state.map_err(tls_error)?;
        unless_full(sent)?;
        self.overhead += complete.saturating_sub(state.plaintext_bytes_to_read());
        Ok(state)
    }

    /// Goes on with the handshake of a client.
    ///
    /// # Errors
    /// `WouldBlock`, if the other side has to answer; else see [`TlsSession::receive`].
    pub(super) fn shake_hands<F, T: Transport<F>>(&mut self, transport: &mut T) -> io::Result<()> {
        self.take_records()?;
        self.flush(transport, false)?;
        while self.connection.is_handshaking() {
            let mut records = [0; READ_SIZE];
            let length = transport.receive(&mut records)?;
            if length == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            self.input.extend_from_slice(&records[..length]);
            if !self.is_answered && !self.is_answer()? {
                continue;
            }
            self.is_answered = true;
            let input = std::mem::take(&mut self.input);
            let mut records = &input[..];
            while self.connection.is_handshaking() && !records.is_empty() {
                self.process(transport, &mut records)?;
            }
            self.input.extend_from_slice(records);
        }
        Ok(())
    }

    /// Whether the first input is in TLS; false if more input must tell.
    fn is_answer(&self) -> io::Result<bool> {
        let error = match &self.input[..] {
            [first, ..] if FIRST_BYTES.contains(first) => return Ok(true),
            input if [NO_TLS, FULL].iter().any(|text| is_start(text, input)) => return Ok(false),
            input if input.starts_with(NO_TLS) => TlsError::NoTls,
            input if input.starts_with(FULL) => TlsError::ServerFull,
            _ => TlsError::OtherProtocol,
        };
        Err(io::Error::new(ErrorKind::InvalidData, error))
    }

    /// Encrypts and sends.
    ///
    /// # Errors
    /// See [`Transport::send`].
    pub(super) fn send<F, T: Transport<F>>(
        &mut self,
        transport: &mut T,
        bytes: &[u8],
        more: bool,
    ) -> io::Result<usize> {
        self.flush(transport, true)?;
        let mut accepted = 0;
        for piece in bytes.chunks(PIECE) {
            accepted += piece.len();
            self.encrypt(piece)?;
            match self.flush(transport, more || accepted < bytes.len()) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(accepted)
    }

    /// Encrypts and sends at most one piece of a file.
    ///
    /// # Errors
    /// See [`Transport::send_file`].
    pub(super) fn send_file<F, T: Transport<F>>(
        &mut self,
        transport: &mut T,
        file: &F,
        offset: &mut u64,
        length: usize,
    ) -> io::Result<usize> {
        self.flush(transport, true)?;
        let piece = T::read_file(file, *offset, length.min(PIECE))?;
        self.encrypt(&piece)?;
        *offset += piece.len() as u64;
        match self.flush(transport, false) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(piece.len()),
        }
    }

    /// Says that nothing follows: without this the other side takes its input for cut off.
    pub(super) fn finish(&mut self) {
        if !std::mem::replace(&mut self.is_finished, true) {
            self.connection.send_close_notify();
            // Vectors accept everything.
            let _ = self.take_records();
        }
    }

    /// Whether our side has ended.
    pub(super) fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// Sends the encrypted bytes that wait.
    ///
    /// # Errors
    /// `WouldBlock`, if some are left; else see [`Transport::send`].
    pub(super) fn flush<F, T: Transport<F>>(
        &mut self,
        transport: &mut T,
        more: bool,
    ) -> io::Result<()> {
        while self.unsent() > 0 {
            match transport.send(&self.output[self.sent..], more) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => self.sent += result?,
            }
        }
        // An idle connection owns no buffer.
        (self.output, self.sent) = (Vec::new(), 0);
        Ok(())
    }

    /// Forgets the encrypted bytes that wait: the connection is closed.
    pub(super) fn discard_output(&mut self) {
        (self.output, self.sent) = (Vec::new(), 0);
    }

    fn encrypt(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.connection.writer().write_all(bytes)?;
        self.take_records()
    }

    fn take_records(&mut self) -> io::Result<()> {
        while self.connection.wants_write() {
            self.connection.write_tls(&mut self.output)?;
        }
        Ok(())
    }
}

/// Whether `input` is the start of `text`, but not all of it.
fn is_start(text: &[u8], input: &[u8]) -> bool {
    input.len() < text.len() && text.starts_with(input)
}

fn tls_error(error: rustls::Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, TlsError::Library(error))
}

/// What the kernel has no room for is sent later.
fn unless_full(sent: io::Result<()>) -> io::Result<()> {
    match sent {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
        sent => sent,
    }
}
