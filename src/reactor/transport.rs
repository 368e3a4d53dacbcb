//! The byte stream below a connection.

use std::io::{self, Read};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::os::fd::AsFd;
use std::time::Duration;

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::{SendFlags, SocketType, sockopt};

use crate::reactor::sockets;

/// How long a connection is silent before the kernel probes it, and between probes.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// Unanswered probes after which the connection is lost.
const PROBES: u32 = 3;

/// A non-blocking byte stream that can also send parts of a file `F`.
///
/// The programs use TCP; the tests of the loop use a scripted stream. TLS is a layer above,
/// which encrypts what it reads of a file. An accepted TCP connection becomes a transport by
/// [`From`].
pub trait Transport<F>: From<TcpStream> {
    /// Starts to connect to `address`, from the address of the same family in `sources`
    /// if there is one.
    ///
    /// # Errors
    /// The system refuses at once.
    fn connect_from(sources: &[IpAddr], address: SocketAddr) -> io::Result<Self>;

    /// The address from which a connection comes that we opened, if it is known.
    fn local_ip(&self) -> Option<IpAddr> {
        None
    }

    /// Registers the stream for edge-triggered events.
    ///
    /// # Errors
    /// The system refuses.
    fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()>;

    /// Whether an outgoing connection is established.
    ///
    /// # Errors
    /// It failed.
    fn is_established(&mut self) -> io::Result<bool>;

    /// Reads once; 0 bytes are the end of input.
    ///
    /// # Errors
    /// `WouldBlock`, `Interrupted`, or the connection is lost.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Sends once; with `more` the kernel holds back a partial packet for the bytes that
    /// follow. Returns the number of bytes that it accepted.
    ///
    /// # Errors
    /// `WouldBlock`, `Interrupted`, or the connection is lost.
    fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<usize>;

    /// Sends at most `length` bytes of a file from `offset` on, and advances `offset`;
    /// 0 bytes are the end of the file.
    ///
    /// # Errors
    /// `WouldBlock`, `Interrupted`, the connection is lost, or the file is unreadable.
    fn send_file(&mut self, file: &F, offset: &mut u64, length: usize) -> io::Result<usize>;

    /// Reads at most `length` bytes of a file, for a layer that changes them before they are
    /// sent; no bytes are the end of the file.
    ///
    /// # Errors
    /// The file is unreadable.
    fn read_file(file: &F, offset: u64, length: usize) -> io::Result<Vec<u8>>;

    /// Ends our side of the stream.
    fn shut_down_write(&mut self);

    /// Sets the number of received bytes that the kernel holds.
    ///
    /// # Errors
    /// The system refuses.
    fn set_receive_buffer(&mut self, bytes: usize) -> io::Result<()>;

    /// Makes the kernel detect a vanished peer within two minutes (tcp(7)).
    ///
    /// # Errors
    /// The system refuses.
    fn set_keepalive(&mut self) -> io::Result<()>;
}

/// What an event reports about a stream.
#[derive(Clone, Copy, Default, Debug)]
pub struct StreamEvent {
    /// A read may succeed.
    pub is_readable: bool,
    /// A send may be accepted.
    pub is_writable: bool,
    /// The peer has ended its side, or the stream has failed: no other event follows.
    pub is_closed: bool,
    /// The stream has failed, for example because the peer has reset it: nothing can be sent.
    pub is_failed: bool,
    /// The peer has sent urgent data.
    pub is_urgent: bool,
}

impl From<&Event> for StreamEvent {
    fn from(event: &Event) -> Self {
        let is_closed = event.is_read_closed() || event.is_error();
        Self {
            is_readable: event.is_readable() || is_closed,
            is_writable: event.is_writable() || event.is_write_closed() || event.is_error(),
            is_closed,
            is_failed: event.is_error(),
            is_urgent: event.is_priority(),
        }
    }
}

impl<F: AsFd> Transport<F> for TcpStream {
    fn connect_from(sources: &[IpAddr], address: SocketAddr) -> io::Result<Self> {
        let socket = sockets::open_from(sources, SocketType::STREAM, address)?;
        match rustix::net::connect(&socket, &address) {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(Self::from_std(socket.into())),
            Err(error) => Err(error.into()),
        }
    }

    fn local_ip(&self) -> Option<IpAddr> {
        Some(self.local_addr().ok()?.ip())
    }

    fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interests = Interest::READABLE | Interest::WRITABLE | Interest::PRIORITY;
        registry.register(self, token, interests)
    }

    fn is_established(&mut self) -> io::Result<bool> {
        if let Some(error) = self.take_error()? {
            return Err(error);
        }
        match self.peer_addr() {
            Ok(_) => {
                set_nodelay(self);
                Ok(true)
            }
            // A spurious event: the result is still to come.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read(buffer)
    }

    fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<usize> {
        let mut flags = SendFlags::NOSIGNAL;
        flags.set(SendFlags::MORE, more);
        Ok(rustix::net::send(&*self, bytes, flags)?)
    }

    fn send_file(&mut self, file: &F, offset: &mut u64, length: usize) -> io::Result<usize> {
        Ok(rustix::fs::sendfile(&*self, file, Some(offset), length)?)
    }

    fn read_file(file: &F, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(length);
        rustix::io::pread(file, spare_capacity(&mut bytes), offset)?;
        Ok(bytes)
    }

    fn shut_down_write(&mut self) {
        // An error means that the peer is gone already.
        let _ = self.shutdown(Shutdown::Write);
    }

    fn set_receive_buffer(&mut self, bytes: usize) -> io::Result<()> {
        Ok(sockopt::set_socket_recv_buffer_size(&*self, bytes)?)
    }

    fn set_keepalive(&mut self) -> io::Result<()> {
        sockopt::set_socket_keepalive(&*self, true)?;
        sockopt::set_tcp_keepidle(&*self, KEEPALIVE)?;
        sockopt::set_tcp_keepintvl(&*self, KEEPALIVE)?;
        sockopt::set_tcp_keepcnt(&*self, PROBES)?;
        let timeout = KEEPALIVE * (PROBES + 1);
        sockopt::set_tcp_user_timeout(&*self, timeout.as_millis() as u32)?;
        Ok(())
    }
}

/// Repeats a call that a signal interrupts. Returns `None` if the call would block.
///
/// # Errors
/// The call fails otherwise.
pub(super) fn unless_blocked<V>(mut call: impl FnMut() -> io::Result<V>) -> io::Result<Option<V>> {
    loop {
        match call() {
            Ok(value) => return Ok(Some(value)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

/// Turns Nagle's algorithm off: answers are complete, and must not wait for an
/// acknowledgement.
pub(super) fn set_nodelay(socket: &impl AsFd) {
    if let Err(error) = sockopt::set_tcp_nodelay(socket, true) {
        log::debug!("TCP_NODELAY: {error}");
    }
}
