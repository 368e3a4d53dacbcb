//! A connection of the load, in plain text or over TLS.

use std::io::{self, ErrorKind, Read, Write};

use mio::net::TcpStream;
use rustls::ClientConnection;

/// A socket, and the session on it if it is encrypted.
pub(crate) struct LoadStream {
    pub(crate) socket: TcpStream,
    pub(crate) tls: Option<ClientConnection>,
}

impl LoadStream {
    /// Whether a read that does not fill its buffer has emptied the socket. A record of TLS
    /// can end anywhere.
    pub(crate) fn is_emptied_by_short_read(&self) -> bool {
        self.tls.is_none()
    }
}

impl Read for LoadStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(tls) = &mut self.tls else {
                return self.socket.read(buffer);
            };
            match tls.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                other => return other,
            }
            if tls.read_tls(&mut self.socket)? == 0 {
                return Ok(0);
            }
            tls.process_new_packets().map_err(io::Error::other)?;
            // The handshake goes on.
            self.flush()?;
        }
    }
}

impl Write for LoadStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return self.socket.write(bytes);
        };
        let length = tls.writer().write(bytes)?;
        self.flush()?;
        Ok(length)
    }

    /// Sends what is encrypted, as far as the socket accepts it.
    fn flush(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else {
            return Ok(());
        };
        while tls.wants_write() {
            match tls.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if would_block(&error) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The operation would block, or the socket is not connected yet.
pub(crate) fn would_block(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::NotConnected | ErrorKind::Interrupted
    )
}
