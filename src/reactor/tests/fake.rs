//! A scripted stream, and the kernel's side of it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use mio::{Registry, Token};

use crate::reactor::transport::Transport;

/// What one call of the stream does instead of succeeding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum InjectedFault {
    WouldBlock,
    Interrupted,
    Reset,
    /// A send accepts at most this many bytes; a receive is not affected.
    Short(usize),
}

/// What comes behind the input that has arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tail {
    Open,
    Eof,
    Reset,
}

/// The kernel's side of a stream.
pub(super) struct Wire {
    arrived: Vec<u8>,
    tail: Tail,
    pub(super) sent: Vec<u8>,
    /// By the number of the call, counting sends and receives from 0.
    pub(super) faults: BTreeMap<usize, InjectedFault>,
    pub(super) calls: usize,
    /// The connection attempt has a result.
    pub(super) established: Option<Result<(), ErrorKind>>,
    pub(super) is_shut_down: bool,
    pub(super) is_dropped: bool,
    /// Events to raise before the next round.
    pub(super) raise_readable: bool,
    pub(super) raise_writable: bool,
}

pub(super) type SharedWire = Rc<RefCell<Wire>>;

pub(super) struct FakeStream(pub(super) SharedWire);

impl Drop for FakeStream {
    fn drop(&mut self) {
        self.0.borrow_mut().is_dropped = true;
    }
}

impl Wire {
    pub(super) fn new() -> Self {
        Self {
            arrived: Vec::new(),
            tail: Tail::Open,
            sent: Vec::new(),
            faults: BTreeMap::new(),
            calls: 0,
            established: None,
            is_shut_down: false,
            is_dropped: false,
            raise_readable: false,
            raise_writable: false,
        }
    }

    pub(super) fn tail(&self) -> Tail {
        self.tail
    }

    /// Input arrives.
    pub(super) fn deliver(&mut self, bytes: &[u8], tail: Tail) {
        self.arrived.extend_from_slice(bytes);
        self.tail = tail;
        self.raise_readable = true;
    }

    fn fault(&mut self) -> Option<InjectedFault> {
        let call = self.calls;
        self.calls += 1;
        self.faults.remove(&call)
    }

    fn accept(&mut self, bytes: &[u8]) -> io::Result<usize> {
        assert!(!self.is_shut_down, "sent after the end of our side");
        assert!(!bytes.is_empty(), "an empty send");
        let length = match self.fault() {
            None if self.tail == Tail::Reset => return Err(ErrorKind::ConnectionReset.into()),
            None => bytes.len(),
            Some(InjectedFault::Short(most)) if most > 0 => most.min(bytes.len()),
            Some(InjectedFault::Short(_) | InjectedFault::WouldBlock) => 0,
            Some(InjectedFault::Interrupted) => return Err(ErrorKind::Interrupted.into()),
            Some(InjectedFault::Reset) => {
                self.tail = Tail::Reset;
                return Err(ErrorKind::ConnectionReset.into());
            }
        };
        // The kernel's buffer is full, and soon has room again.
        self.raise_writable |= length < bytes.len();
        self.sent.extend_from_slice(&bytes[..length]);
        match length {
            0 => Err(ErrorKind::WouldBlock.into()),
            length => Ok(length),
        }
    }
}

impl Transport<Rc<[u8]>> for FakeStream {
    fn connect_from(_: &[IpAddr], _: SocketAddr) -> io::Result<Self> {
        Err(ErrorKind::Unsupported.into())
    }

    fn register(&mut self, _: &Registry, _: Token) -> io::Result<()> {
        Ok(())
    }

    fn is_established(&mut self) -> io::Result<bool> {
        match self.0.borrow_mut().established {
            None => Ok(false),
            Some(Ok(())) => Ok(true),
            Some(Err(error)) => Err(error.into()),
        }
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut wire = self.0.borrow_mut();
        match wire.fault() {
            Some(InjectedFault::WouldBlock) => {
                wire.raise_readable = true;
                return Err(ErrorKind::WouldBlock.into());
            }
            Some(InjectedFault::Interrupted) => return Err(ErrorKind::Interrupted.into()),
            Some(InjectedFault::Reset) => {
                wire.tail = Tail::Reset;
                return Err(ErrorKind::ConnectionReset.into());
            }
            Some(InjectedFault::Short(_)) | None => {}
        }
        if wire.arrived.is_empty() {
            return match wire.tail {
                Tail::Open => Err(ErrorKind::WouldBlock.into()),
                Tail::Eof => Ok(0),
                Tail::Reset => Err(ErrorKind::ConnectionReset.into()),
            };
        }
        let length = buffer.len().min(wire.arrived.len());
        buffer[..length].copy_from_slice(&wire.arrived[..length]);
        wire.arrived.drain(..length);
        Ok(length)
    }

    fn send(&mut self, bytes: &[u8], _: bool) -> io::Result<usize> {
        self.0.borrow_mut().accept(bytes)
    }

    fn send_file(&mut self, file: &Rc<[u8]>, offset: &mut u64, length: usize) -> io::Result<usize> {
        let rest = &file[*offset as usize..];
        let rest = &rest[..length.min(rest.len())];
        if rest.is_empty() {
            return Ok(0);
        }
        let sent = self.0.borrow_mut().accept(rest)?;
        *offset += sent as u64;
        Ok(sent)
    }

    fn shut_down_write(&mut self) {
        self.0.borrow_mut().is_shut_down = true;
    }

    fn set_keepalive(&mut self) -> io::Result<()> {
        Ok(())
    }
}
