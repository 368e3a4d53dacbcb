//! A network between a program and its relay that loses, doubles and reorders
//! datagrams, as its seed has it. Connections pass as they are.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fastrand::Rng;

/// The largest datagram there is.
const DATAGRAM: usize = 65_536;

/// So long a datagram that is held back waits for another one to overtake it.
const HELD: Duration = Duration::from_millis(5);

/// Of a hundred datagrams so many are lost, doubled and held back.
#[derive(Clone, Copy)]
pub struct Weather {
    pub lost: u32,
    pub doubled: u32,
    pub held: u32,
}

/// Everything comes through.
pub const CALM: Weather = Weather {
    lost: 0,
    doubled: 0,
    held: 0,
};

/// Nothing does.
pub const BLACK_HOLE: Weather = Weather {
    lost: 100,
    doubled: 0,
    held: 0,
};

/// What most programs never see.
pub const STORM: Weather = Weather {
    lost: 15,
    doubled: 25,
    held: 25,
};

/// Stands between until it is dropped.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    relay: SocketAddr,
    over: AtomicBool,
    connections: AtomicUsize,
    weather: Mutex<(Weather, Rng)>,
}

impl Proxy {
    /// A network before `relay`, whose seed is printed.
    pub fn new(relay: SocketAddr, weather: Weather) -> Self {
        let seed = fastrand::u64(..);
        println!("the weather has the seed {seed}");
        let (listener, socket) = both();
        let address = socket.local_addr().expect("it is bound");
        let shared = Arc::new(Shared {
            relay,
            over: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            weather: Mutex::new((weather, Rng::with_seed(seed))),
        });
        let (datagrams, streams) = (Arc::clone(&shared), Arc::clone(&shared));
        let threads = vec![
            thread::spawn(move || datagrams.carry_all(socket)),
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

    /// How many connections were made.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        // Wakes it from the accept.
        drop(TcpStream::connect(self.address));
        for thread in self.threads.drain(..) {
            if thread.join().is_err() && !thread::panicking() {
                panic!("the proxy has failed");
            }
        }
    }
}

/// A port that is free for both.
fn both() -> (TcpListener, UdpSocket) {
    for _ in 0..100 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("it is bound");
        if let Ok(socket) = UdpSocket::bind(address) {
            return (listener, socket);
        }
    }
    panic!("no port is free for both");
}

impl Shared {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// From the programs to the relay; each program has a way back of its own.
    fn carry_all(self: Arc<Self>, socket: UdpSocket) {
        let socket = Arc::new(socket);
        let mut ways: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
        let mut back = Vec::new();
        self.carry(&socket, |bytes, from| {
            let way = ways.entry(from).or_insert_with(|| {
                let way = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
                way.connect(self.relay).expect("an address");
                let way = Arc::new(way);
                let (this, socket, relay) =
                    (Arc::clone(&self), Arc::clone(&socket), Arc::clone(&way));
                back.push(thread::spawn(move || {
                    this.carry(&relay, |bytes, _| drop(socket.send_to(bytes, from)));
                }));
                way
            });
            // Nobody there: that is what the network is for.
            let _ = way.send(bytes);
        });
        for thread in back {
            thread.join().expect("a way back");
        }
    }

    /// Carries what comes on a socket, in this weather.
    fn carry(&self, socket: &UdpSocket, mut send: impl FnMut(&[u8], SocketAddr)) {
        socket.set_read_timeout(Some(HELD)).expect("an option");
        let mut held: Option<(Vec<u8>, SocketAddr)> = None;
        let mut buffer = vec![0; DATAGRAM];
        while !self.is_over() {
            let (length, from) = match socket.recv_from(&mut buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                // Silence, or word from the relay's system that nobody is there.
                Err(_) => {
                    if let Some((bytes, from)) = held.take() {
                        send(&bytes, from);
                    }
                    continue;
                }
            };
            let bytes = &buffer[..length];
            let mut weather = self.weather.lock().expect("no holder has failed");
            let (
                Weather {
                    lost,
                    doubled,
                    held: late,
                },
                rng,
            ) = &mut *weather;
            let mut happens = |percent: u32| rng.u32(..100) < percent;
            let (is_lost, is_doubled, is_late) =
                (happens(*lost), happens(*doubled), happens(*late));
            drop(weather);
            if is_lost {
                continue;
            }
            if is_doubled {
                send(bytes, from);
            }
            match held.take() {
                None if is_late => held = Some((bytes.to_vec(), from)),
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
            if self.is_over() {
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
                // Each ends with its connection.
                thread::spawn(move || {
                    let _ = io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Write);
                });
            }
        }
    }
}
