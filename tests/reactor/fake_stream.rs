//! A scripted stream, and the kernel's side of it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use mio::net::TcpStream;
use mio::{Registry, Token};
use peerline::reactor::{StreamEvent, Transport};
use peerline::role::SendableFile;

/// What one call of the stream does instead of succeeding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InjectedFault {
    WouldBlock,
    Interrupted,
    Reset,
    /// A send accepts at most this many bytes; a receive is not affected.
    Short(usize),
}

/// What comes behind the input that has arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tail {
    Open,
    Eof,
    Reset,
}

/// The kernel's side of a stream.
pub struct Wire {
    /// The token under which the loop has registered the stream.
    pub token: Option<Token>,
    arrived: Vec<u8>,
    tail: Tail,
    pub sent: Vec<u8>,
    /// The bytes for which the kernel has room; none if it has room for all.
    pub room: Option<usize>,
    /// By the number of the call, counting sends and receives from 0.
    pub faults: BTreeMap<usize, InjectedFault>,
    pub calls: usize,
    /// The connection attempt has a result.
    established: Option<Result<(), ErrorKind>>,
    pub is_shut_down: bool,
    pub is_dropped: bool,
    /// Events that the loop has not seen yet.
    raise_readable: bool,
    raise_writable: bool,
}

/// A file in memory.
pub struct FakeFile {
    pub content: Vec<u8>,
    /// Another program has written to the file since it was opened.
    pub is_changed: bool,
}

impl SendableFile for FakeFile {
    fn is_unchanged(&self) -> bool {
        !self.is_changed
    }
}

pub type SharedWire = Rc<RefCell<Wire>>;

pub struct FakeStream(pub SharedWire);

thread_local! {
    /// The streams of outgoing connections of this test, the newest last.
    static CONNECTED: RefCell<Vec<SharedWire>> = const { RefCell::new(Vec::new()) };
}

/// Takes the stream of the newest outgoing connection.
pub fn last_connected() -> SharedWire {
    let wire = CONNECTED.with_borrow_mut(Vec::pop);
    wire.expect("an outgoing connection")
}

impl From<TcpStream> for FakeStream {
    fn from(_: TcpStream) -> Self {
        unreachable!("the loop has no listener")
    }
}

impl Drop for FakeStream {
    fn drop(&mut self) {
        self.0.borrow_mut().is_dropped = true;
    }
}

impl Default for Wire {
    fn default() -> Self {
        Self {
            token: None,
            arrived: Vec::new(),
            tail: Tail::Open,
            sent: Vec::new(),
            room: None,
            faults: BTreeMap::new(),
            calls: 0,
            established: None,
            is_shut_down: false,
            is_dropped: false,
            raise_readable: false,
            raise_writable: false,
        }
    }
}

impl Wire {
    pub fn tail(&self) -> Tail {
        self.tail
    }

    /// The number of bytes that have arrived and are not read yet.
    pub fn unread(&self) -> usize {
        self.arrived.len()
    }

    /// The event that the loop has not seen yet.
    pub fn take_event(&mut self) -> StreamEvent {
        StreamEvent {
            is_readable: std::mem::take(&mut self.raise_readable),
            is_writable: std::mem::take(&mut self.raise_writable),
            is_closed: self.tail != Tail::Open,
            is_failed: self.tail == Tail::Reset,
            ..StreamEvent::default()
        }
    }

    /// Whether there is such an event.
    pub fn has_event(&self) -> bool {
        !self.is_dropped && (self.raise_readable || self.raise_writable)
    }

    /// The connection attempt gets its result.
    pub fn establish(&mut self, result: Result<(), ErrorKind>) {
        self.established = Some(result);
        self.raise_writable = true;
    }

    /// Input arrives.
    pub fn deliver(&mut self, bytes: &[u8], tail: Tail) {
        self.arrived.extend_from_slice(bytes);
        self.tail = tail;
        self.raise_readable = true;
    }

    /// The peer reads so many bytes, of those for which there was no room.
    pub fn read(&mut self, bytes: usize) {
        self.room = self.room.map(|room| room + bytes);
        self.raise_writable = true;
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
            None => {
                let length = bytes.len().min(self.room.unwrap_or(usize::MAX));
                self.room = self.room.map(|room| room - length);
                self.sent.extend_from_slice(&bytes[..length]);
                return match length {
                    0 => Err(ErrorKind::WouldBlock.into()),
                    length => Ok(length),
                };
            }
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

impl Transport<FakeFile> for FakeStream {
    fn connect_from(_: &[IpAddr], _: SocketAddr) -> io::Result<Self> {
        let wire = SharedWire::default();
        CONNECTED.with_borrow_mut(|connected| connected.push(Rc::clone(&wire)));
        Ok(Self(wire))
    }

    fn register(&mut self, _: &Registry, token: Token) -> io::Result<()> {
        self.0.borrow_mut().token = Some(token);
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

    fn send_file(&mut self, file: &FakeFile, offset: &mut u64, length: usize) -> io::Result<usize> {
        let rest = &file.content[*offset as usize..];
        let rest = &rest[..length.min(rest.len())];
        if rest.is_empty() {
            return Ok(0);
        }
        let sent = self.0.borrow_mut().accept(rest)?;
        *offset += sent as u64;
        Ok(sent)
    }

    fn read_file(file: &FakeFile, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let rest = &file.content[offset as usize..];
        Ok(rest[..length.min(rest.len())].to_vec())
    }

    fn shut_down_write(&mut self) {
        self.0.borrow_mut().is_shut_down = true;
    }

    fn set_receive_buffer(&mut self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn set_keepalive(&mut self) -> io::Result<()> {
        Ok(())
    }
}
