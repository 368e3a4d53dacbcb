//! The other side of an encrypted stream: a real client or server of TLS over a scripted stream.

use std::io::{ErrorKind, Read, Write};
use std::sync::LazyLock;

use peerline::tls::{Certificates, Identity, TlsAcceptor};
use rustls::Connection;

use super::fake_stream::{SharedWire, Tail};
use super::tls_session::tls_session;
use super::world::World;

/// The key of all servers.
pub static IDENTITY: LazyLock<Identity> = LazyLock::new(identity);

pub static ACCEPTOR: LazyLock<TlsAcceptor> = LazyLock::new(|| {
    let certificates = Certificates::new(IDENTITY.clone());
    TlsAcceptor::new(certificates, false).expect("random bytes")
});

/// A new key with its certificate.
pub fn identity() -> Identity {
    let pem = Identity::generate().expect("random bytes");
    Identity::from_pem(pem.as_bytes(), pem.as_bytes()).expect("a key and its certificate")
}

/// The other side of a stream.
pub struct Peer {
    pub connection: Connection,
    pub wire: SharedWire,
    /// The bytes of the wire that it has read.
    pub read: usize,
    pub received: Vec<u8>,
    /// The loop has ended its side, as TLS has it.
    pub is_ended: bool,
}

impl Peer {
    /// A client of the loop.
    pub fn client(wire: &SharedWire) -> Self {
        Self::new(wire, tls_session().into())
    }

    /// A server to which the loop has connected.
    pub fn server(wire: &SharedWire) -> Self {
        Self::new(wire, ACCEPTOR.accept().expect("random bytes").into())
    }

    /// The same, after the handshake and the first lines.
    pub fn connected_server(world: &mut World, port: u16) -> Self {
        let wire = world.connect(port);
        wire.borrow_mut().establish(Ok(()));
        world.run();
        let mut server = Self::server(&wire);
        server.read();
        server.exchange(world, 10_000);
        server
    }

    pub fn new(wire: &SharedWire, connection: Connection) -> Self {
        Self {
            connection,
            wire: SharedWire::clone(wire),
            read: 0,
            received: Vec::new(),
            is_ended: false,
        }
    }

    /// What it sends next.
    pub fn output(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.connection.wants_write() {
            self.connection.write_tls(&mut bytes).expect("a vector");
        }
        bytes
    }

    /// Handles what has arrived.
    pub fn read(&mut self) {
        self.try_read().expect("the loop keeps the rules");
    }

    /// Does the same, where somebody may have changed what was sent.
    pub fn try_read(&mut self) -> Result<(), rustls::Error> {
        let arrived = self.wire.borrow().sent[self.read..].to_vec();
        self.read += arrived.len();
        let mut rest = &arrived[..];
        while !rest.is_empty() {
            let length = self.connection.read_tls(&mut rest).expect("room");
            assert!(length > 0, "bytes after the end");
            self.connection.process_new_packets()?;
            match self.connection.reader().read_to_end(&mut self.received) {
                Ok(_) => self.is_ended = true,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        Ok(())
    }

    /// Lets both sides speak until neither has anything to say. The bytes of the peer arrive
    /// in pieces of this size.
    pub fn exchange(&mut self, world: &mut World, piece: usize) {
        loop {
            let output = self.output();
            for piece in output.chunks(piece) {
                self.wire.borrow_mut().deliver(piece, Tail::Open);
                world.run();
            }
            let before = self.read;
            self.read();
            if output.is_empty() && self.read == before {
                return;
            }
        }
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.connection.writer().write_all(bytes).expect("room");
    }
}
