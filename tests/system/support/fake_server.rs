//! Relays and nodes that misbehave: a thread that accepts one connection after the other
//! and runs a script on each.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket, sockopt};

use crate::support::{DEADLINE, Server, ask};

/// A server that runs a script on each connection, until it is dropped.
pub struct FakeServer {
    address: SocketAddr,
    connection_count: Arc<AtomicUsize>,
    is_stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// An accepted connection. Reads and writes ignore errors, so that a script does not fail
/// if the other side has closed.
pub struct FakeConnection {
    input: BufReader<TcpStream>,
}

impl FakeServer {
    /// Runs `script` on each connection.
    pub fn new(mut script: impl FnMut(FakeConnection) + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let (connection_count, is_stopped) = <(Arc<AtomicUsize>, Arc<AtomicBool>)>::default();
        let (count, stop) = (Arc::clone(&connection_count), Arc::clone(&is_stopped));
        let body = move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                count.fetch_add(1, Ordering::SeqCst);
                script(FakeConnection::new(stream.expect("a connection")));
            }
        };
        Self {
            address,
            connection_count,
            is_stopped,
            thread: Some(thread::spawn(body)),
        }
    }

    /// Reads a line, sends `bytes` and closes.
    pub fn replying(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::new(move |mut connection| {
            connection.line();
            connection.send(&bytes);
        })
    }

    /// Reads a line, sends `bytes`, and waits until the other side closes.
    pub fn hanging_after(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::new(move |mut connection| {
            connection.line();
            connection.send(&bytes);
            // The way the connection ends does not matter.
            let _ = connection.read_to_end();
        })
    }

    /// A relay that lists these nodes.
    pub fn relay(nodes: &[SocketAddr]) -> Self {
        Self::hanging_after(node_list(nodes))
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Number of accepted connections.
    pub fn connections(&self) -> usize {
        self.connection_count.load(Ordering::SeqCst)
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::SeqCst);
        // Wakes the thread from accept(2).
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !thread::panicking()
        {
            panic!("the script of {} has failed", self.address);
        }
    }
}

impl FakeConnection {
    fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).expect("an option");
        stream.set_write_timeout(Some(DEADLINE)).expect("an option");
        // Each `send` is a segment of its own.
        stream.set_nodelay(true).expect("an option");
        Self {
            input: BufReader::new(stream),
        }
    }

    /// The next line with its newline; empty at the end of input.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        let _ = self.input.read_line(&mut line);
        line
    }

    /// Fills a buffer.
    pub fn read_exact(&mut self, buffer: &mut [u8]) -> std::io::Result<()> {
        self.input.read_exact(buffer)
    }

    /// Sends bytes. Returns whether that succeeded.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.input.get_ref().write_all(bytes.as_ref()).is_ok()
    }

    /// Reads until the other side closes; an error if it resets.
    pub fn read_to_end(&mut self) -> std::io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.input.read_to_end(&mut rest).map(|_| rest)
    }

    /// Whether the other side closes within this time.
    pub fn is_closed_within(&mut self, time: Duration) -> bool {
        let stream = self.input.get_ref();
        stream.set_read_timeout(Some(time)).expect("an option");
        let end = self.input.read(&mut [0; 64]);
        !matches!(end, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    }

    /// Closes with a reset.
    pub fn reset(self) {
        sockopt::set_socket_linger(self.input.get_ref(), Some(Duration::ZERO)).expect("an option");
    }
}

/// A relay's reply to `LIST`.
pub fn node_list(nodes: &[SocketAddr]) -> String {
    let items = nodes
        .iter()
        .map(|node| format!("{} {}\n", node.ip(), node.port()));
    format!("NODES {}\n{}", nodes.len(), items.collect::<String>())
}

/// Registers a node.
pub fn register(relay: &Server, node: SocketAddr) {
    let line = format!("REGISTER {} {}\n", node.ip(), node.port());
    let reply = ask(relay.address(), line.as_bytes());
    assert!(reply.starts_with("OK "), "{reply}");
}

/// Unregisters a node.
pub fn unregister(relay: &Server, node: SocketAddr) {
    let line = format!("UNREGISTER {} {}\n", node.ip(), node.port());
    assert_eq!(ask(relay.address(), line.as_bytes()), "OK\n");
}

/// An address that refuses connections. The socket is bound, so that no other program
/// gets the port while the socket is open.
pub fn closed_port() -> (OwnedFd, SocketAddr) {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = getsockname(&socket).expect("it is bound");
    let address = address.try_into().expect("it is an IPv4 address");
    (socket, address)
}

/// An address at which connects time out: its accept queue is full, so the kernel drops
/// each SYN.
pub fn unresponsive_port() -> ((Vec<TcpStream>, OwnedFd), SocketAddr) {
    let (socket, address) = closed_port();
    listen(&socket, 0).expect("it is bound");
    let patience = Duration::from_millis(100);
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, patience) {
        waiting.push(stream);
    }
    ((waiting, socket), address)
}
