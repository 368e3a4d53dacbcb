//! A proxy between a program and its relay that loses, duplicates and reorders datagrams
//! by a random seed. TCP connections pass unchanged.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fastrand::Rng;

/// The largest datagram.
const MAX_DATAGRAM: usize = 65_536;

/// How long a delayed datagram waits for another one to overtake it.
const MAX_DELAY: Duration = Duration::from_millis(5);

/// How many of a hundred datagrams are lost, duplicated and delayed.
#[derive(Clone, Copy)]
pub struct Impairment {
    pub lost: u32,
    pub duplicated: u32,
    pub delayed: u32,
}

/// No impairment.
pub const NO_LOSS: Impairment = Impairment {
    lost: 0,
    duplicated: 0,
    delayed: 0,
};

/// All datagrams are lost.
pub const TOTAL_LOSS: Impairment = Impairment {
    lost: 100,
    duplicated: 0,
    delayed: 0,
};

/// A very bad network.
pub const HEAVY_LOSS: Impairment = Impairment {
    lost: 15,
    duplicated: 25,
    delayed: 25,
};

/// A proxy that runs until it is dropped.
pub struct LossyProxy {
    address: SocketAddr,
    shared: Arc<SharedState>,
    threads: Vec<JoinHandle<()>>,
}

struct SharedState {
    relay: SocketAddr,
    is_stopped: AtomicBool,
    connections: AtomicUsize,
    impairment: Mutex<(Impairment, Rng)>,
}

impl LossyProxy {
    /// Starts a proxy for `relay` and prints the seed.
    pub fn new(relay: SocketAddr, impairment: Impairment) -> Self {
        let seed = fastrand::u64(..);
        println!("lossy proxy: seed {seed}");
        let (listener, socket) = bind_tcp_and_udp();
        let address = socket.local_addr().expect("it is bound");
        let shared = Arc::new(SharedState {
            relay,
            is_stopped: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            impairment: Mutex::new((impairment, Rng::with_seed(seed))),
        });
        let (datagrams, streams) = (Arc::clone(&shared), Arc::clone(&shared));
        let threads = vec![
            thread::spawn(move || datagrams.forward_all(socket)),
            thread::spawn(move || streams.accept(&listener)),
        ];
        Self {
            address,
            shared,
            threads,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Number of TCP connections.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for LossyProxy {
    fn drop(&mut self) {
        self.shared.is_stopped.store(true, Ordering::SeqCst);
        // Wakes the thread from accept(2).
        drop(TcpStream::connect(self.address));
        for thread in self.threads.drain(..) {
            if thread.join().is_err() && !thread::panicking() {
                panic!("the proxy has failed");
            }
        }
    }
}

/// A port that is free for TCP and UDP.
fn bind_tcp_and_udp() -> (TcpListener, UdpSocket) {
    for _ in 0..100 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("it is bound");
        if let Ok(socket) = UdpSocket::bind(address) {
            return (listener, socket);
        }
    }
    panic!("no port is free for both");
}

impl SharedState {
    fn has_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::SeqCst)
    }

    /// Forwards datagrams to the relay; each program has a socket and a thread for replies.
    fn forward_all(self: Arc<Self>, socket: UdpSocket) {
        let socket = Arc::new(socket);
        let mut sockets: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
        let mut reply_threads = Vec::new();
        self.forward(&socket, |bytes, from| {
            let to_relay = sockets.entry(from).or_insert_with(|| {
                let to_relay = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
                to_relay.connect(self.relay).expect("an address");
                let to_relay = Arc::new(to_relay);
                let (this, socket, relay) = (
                    Arc::clone(&self),
                    Arc::clone(&socket),
                    Arc::clone(&to_relay),
                );
                reply_threads.push(thread::spawn(move || {
                    this.forward(&relay, |bytes, _| drop(socket.send_to(bytes, from)));
                }));
                to_relay
            });
            // The relay may not run. A network does not report that.
            let _ = to_relay.send(bytes);
        });
        for thread in reply_threads {
            thread.join().expect("the thread ends");
        }
    }

    /// Forwards the datagrams of a socket, impaired.
    fn forward(&self, socket: &UdpSocket, mut send: impl FnMut(&[u8], SocketAddr)) {
        socket.set_read_timeout(Some(MAX_DELAY)).expect("an option");
        let mut delayed_datagram: Option<(Vec<u8>, SocketAddr)> = None;
        let mut buffer = vec![0; MAX_DATAGRAM];
        while !self.has_stopped() {
            let (length, from) = match socket.recv_from(&mut buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                // A timeout, or the port of the relay is closed.
                Err(_) => {
                    if let Some((bytes, from)) = delayed_datagram.take() {
                        send(&bytes, from);
                    }
                    continue;
                }
            };
            let bytes = &buffer[..length];
            let mut guard = self.impairment.lock().expect("no holder has failed");
            let (impairment, rng) = &mut *guard;
            let mut happens = |percent: u32| rng.u32(..100) < percent;
            let is_lost = happens(impairment.lost);
            let is_duplicated = happens(impairment.duplicated);
            let is_delayed = happens(impairment.delayed);
            drop(guard);
            if is_lost {
                continue;
            }
            if is_duplicated {
                send(bytes, from);
            }
            match delayed_datagram.take() {
                None if is_delayed => delayed_datagram = Some((bytes.to_vec(), from)),
                earlier => {
                    send(bytes, from);
                    if let Some((bytes, from)) = earlier {
                        send(&bytes, from);
                    }
                }
            }
        }
    }

    fn accept(self: Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming() {
            if self.has_stopped() {
                return;
            }
            self.connections.fetch_add(1, Ordering::SeqCst);
            let near = stream.expect("a program");
            let far = TcpStream::connect(self.relay).expect("the relay listens");
            for (mut from, mut to) in [
                (
                    near.try_clone().expect("a handle"),
                    far.try_clone().expect("a handle"),
                ),
                (far, near),
            ] {
                // The thread ends with its connection.
                thread::spawn(move || {
                    let _ = io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Write);
                });
            }
        }
    }
}
