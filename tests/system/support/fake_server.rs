//! Relays and nodes that misbehave: a thread with a listener that plays a
//! script to everybody who calls, one after the other.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket, sockopt};

use crate::support::{DEADLINE, Server, ask};

/// A server that plays a script until it is dropped.
pub struct Fake {
    address: SocketAddr,
    calls: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Somebody who called. Whoever is gone already hears nothing: no script fails
/// because of it.
pub struct Caller {
    input: BufReader<TcpStream>,
}

impl Fake {
    /// Plays `script` to everybody.
    pub fn new(mut script: impl FnMut(Caller) + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let (calls, over) = <(Arc<AtomicUsize>, Arc<AtomicBool>)>::default();
        let (count, stop) = (Arc::clone(&calls), Arc::clone(&over));
        let body = move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                count.fetch_add(1, Ordering::SeqCst);
                script(Caller::new(stream.expect("a caller")));
            }
        };
        Self {
            address,
            calls,
            over,
            thread: Some(thread::spawn(body)),
        }
    }

    /// Hears a line, says these bytes and hangs up.
    pub fn saying(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::new(move |mut caller| {
            caller.line();
            caller.say(&bytes);
        })
    }

    /// Hears a line, says these bytes and waits in silence for the other side
    /// to give up.
    pub fn stuck_after(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::new(move |mut caller| {
            caller.line();
            caller.say(&bytes);
            // However it ends.
            let _ = caller.until_end();
        })
    }

    /// A relay that lists these nodes.
    pub fn relay(nodes: &[SocketAddr]) -> Self {
        Self::stuck_after(list(nodes))
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many have called.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // Wakes it from the accept.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !thread::panicking()
        {
            panic!("the script of {} has failed", self.address);
        }
    }
}

impl Caller {
    fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).expect("an option");
        stream.set_write_timeout(Some(DEADLINE)).expect("an option");
        // Each `say` is a packet of its own.
        stream.set_nodelay(true).expect("an option");
        Self {
            input: BufReader::new(stream),
        }
    }

    /// The next line, with its end; empty at the end.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        let _ = self.input.read_line(&mut line);
        line
    }

    /// Whether all the bytes could be sent.
    pub fn say(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.input.get_ref().write_all(bytes.as_ref()).is_ok()
    }

    /// What comes until the other side closes; an error if it resets.
    pub fn until_end(&mut self) -> std::io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.input.read_to_end(&mut rest).map(|_| rest)
    }

    /// Hangs up with a reset, as a machine that lost its memory.
    pub fn reset(self) {
        sockopt::set_socket_linger(self.input.get_ref(), Some(Duration::ZERO)).expect("an option");
    }
}

/// The list of these nodes, as a relay gives it.
pub fn list(nodes: &[SocketAddr]) -> String {
    let items = nodes
        .iter()
        .map(|node| format!("{} {}\n", node.ip(), node.port()));
    format!("NODES {}\n{}", nodes.len(), items.collect::<String>())
}

/// Puts a node that does not register by itself into the relay's list.
pub fn register(relay: &Server, node: SocketAddr) {
    let line = format!("REGISTER {} {}\n", node.ip(), node.port());
    let reply = ask(relay.address(), line.as_bytes());
    assert!(reply.starts_with("OK "), "{reply}");
}

/// Takes a node that cannot say goodbye itself out of the relay's list.
pub fn unregister(relay: &Server, node: SocketAddr) {
    let line = format!("UNREGISTER {} {}\n", node.ip(), node.port());
    assert_eq!(ask(relay.address(), line.as_bytes()), "OK\n");
}

/// An address where nobody listens. It is bound, so that nobody else gets it
/// while the socket lives.
pub fn nobody() -> (OwnedFd, SocketAddr) {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = getsockname(&socket).expect("it is bound");
    let address = address.try_into().expect("it is an IPv4 address");
    (socket, address)
}

/// An address where nobody answers: the kernel drops every new connection,
/// because those that nobody accepts have filled the queue.
pub fn deaf() -> ((Vec<TcpStream>, OwnedFd), SocketAddr) {
    let (socket, address) = nobody();
    listen(&socket, 0).expect("it is bound");
    let patience = Duration::from_millis(100);
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, patience) {
        waiting.push(stream);
    }
    ((waiting, socket), address)
}
