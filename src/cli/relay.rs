//! `relay-server`

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use clap::Parser;
use log::LevelFilter;

use crate::cli::{
    LogArgs, SERVER_READ_SIZE, StartupError, announce, bind, bind_datagrams, server_exit,
    server_voice,
};
use crate::exit::Exit;
use crate::limits::{self, Limits, Timeouts};
use crate::reactor::{DatagramSocket, ListeningSocket, Reactor, ReactorSettings};
use crate::relay::{Network, Quota, Relay, RelaySettings, Trust};

/// Ports that the system may choose until one is free for UDP as well.
const PORTS_TRIED: u32 = 16;

/// Keeps the directory of a Peerline network: which nodes are alive.
///
/// Talk to it: printf 'LIST\n' | nc -N 127.0.0.1 PORT
#[derive(Clone, Debug, Parser)]
#[command(name = "relay-server", version, max_term_width = 100)]
pub struct RelayArgs {
    /// The port to listen on; 0 lets the system choose
    pub port: u16,
    /// The address to listen on, repeatable; 0.0.0.0 opens it to the network
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1")]
    pub listen: Vec<IpAddr>,
    /// Seconds that a node stays listed unless it registers again
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = limits::lease)]
    pub lease: Duration,
    /// Who may register addresses that are not their own, repeatable
    /// [default: loopback]
    #[arg(long, value_name = "NETWORK")]
    pub trust: Vec<Network>,
    /// Nodes in the directory
    #[arg(long, value_name = "N", default_value = "1000000", value_parser = limits::at_least_one)]
    pub max_nodes: usize,
    /// Nodes of one address; who is trusted has no such limit
    #[arg(long, value_name = "N", default_value = "1024", value_parser = limits::at_least_one)]
    pub max_nodes_per_address: usize,
    /// Files that one node may share
    #[arg(long, value_name = "N", default_value = "1000000")]
    pub max_shared: u64,
    /// Files that all nodes may share together
    #[arg(long, value_name = "N", default_value = "10000000")]
    pub max_shared_in_all: u64,
    /// Bytes that the names of one node's files may have together
    #[arg(long, value_name = "BYTES", default_value = "268435456")]
    pub max_shared_bytes: u64,
    /// Take no requests over UDP
    #[arg(long)]
    pub no_udp: bool,
    /// Datagrams with a wrong cookie that are answered in a second
    #[arg(long, value_name = "N", default_value = "10000",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub wrong_cookies: u32,
    /// Messages that one connection may send in a second
    #[arg(long, value_name = "N", default_value = "50",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub message_rate: u32,
    /// Lines in the log about nodes that come and go in a second; of more only the number is told
    #[arg(long, value_name = "N", default_value = "100",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub log_rate: u32,
    /// The limits of connections.
    #[command(flatten)]
    pub limits: Limits,
    /// The log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// Binds and puts the relay together. Returns the addresses it listens on, at
/// least one.
///
/// # Errors
/// An address cannot be listened on.
pub fn prepare(args: &RelayArgs) -> Result<(Reactor<Relay>, Vec<SocketAddr>), StartupError> {
    let system = |error| StartupError::system("the loop cannot start", &error);
    let OpenSockets {
        listeners,
        sockets,
        addresses,
    } = open(args)?;
    let now = Instant::now();
    let relay = Relay::new(
        RelaySettings {
            lease: args.lease,
            max_nodes: args.max_nodes,
            max_nodes_per_address: args.max_nodes_per_address,
            max_line: args.limits.max_line,
            max_unknown: args.limits.max_unknown,
            wrong_cookie_rate: args.wrong_cookies,
            quota: Quota {
                files: args.max_shared,
                bytes: args.max_shared_bytes,
                all: args.max_shared_in_all,
            },
            message_rate: args.message_rate,
            log_rate: args.log_rate,
            trust: Trust::new(args.trust.clone()),
        },
        secret().map_err(|error| StartupError::system("no random numbers", &error))?,
        now,
    );
    let settings = ReactorSettings {
        limits: args.limits.clone(),
        patience: Timeouts::default(),
        read_size: SERVER_READ_SIZE,
        sources: Vec::new(),
    };
    let mut reactor = Reactor::new(relay, settings, now).map_err(system)?;
    for listener in listeners {
        reactor.listen(listener).map_err(system)?;
    }
    for socket in sockets {
        reactor.exchange(socket).map_err(system)?;
    }
    Ok((reactor, addresses))
}

/// Where the relay can be reached.
struct OpenSockets {
    listeners: Vec<ListeningSocket>,
    sockets: Vec<DatagramSocket>,
    addresses: Vec<SocketAddr>,
}

/// Opens all sockets. A port that the system chooses must be free for UDP as well.
fn open(args: &RelayArgs) -> Result<OpenSockets, StartupError> {
    let mut tries = if args.port == 0 { PORTS_TRIED } else { 1 };
    loop {
        let (listeners, addresses) = bind(&args.listen, args.port)?;
        let udp: &[SocketAddr] = if args.no_udp { &[] } else { &addresses };
        tries -= 1;
        match bind_datagrams(udp) {
            Ok(sockets) => {
                return Ok(OpenSockets {
                    listeners,
                    sockets,
                    addresses,
                });
            }
            Err(failure) if tries == 0 => return Err(failure),
            Err(_) => {}
        }
    }
}

/// What nobody else knows.
fn secret() -> io::Result<[u8; 32]> {
    let mut secret = [0; 32];
    // So few bytes come whole (getrandom(2)).
    rustix::rand::getrandom(&mut secret, rustix::rand::GetRandomFlags::empty())?;
    Ok(secret)
}

/// RunsJobs the relay until it is stopped.
///
/// # Errors
/// It cannot start, or the system's poll fails.
pub fn run(args: &RelayArgs) -> Result<Exit, StartupError> {
    let (voice, _scribe) = server_voice()?;
    args.log.start(LevelFilter::Info, &voice)?;
    let (mut reactor, addresses) = prepare(args)?;
    reactor
        .stop_on_signals()
        .map_err(|error| StartupError::system("signals", &error))?;
    let udp = if args.no_udp { "" } else { ", also over UDP" };
    for address in addresses {
        let open = if address.ip().is_loopback() {
            ""
        } else {
            ", open to the network"
        };
        announce(format_args!(
            "relay-server listening on {address}{udp}{open}"
        ));
    }
    let (_, outcome) = reactor
        .run()
        .map_err(|error| StartupError::system("poll", &error))?;
    Ok(server_exit(outcome))
}
