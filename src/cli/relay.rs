//! `relay-server`: its command line, and its start.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use clap::Parser;
use log::LevelFilter;

use crate::cli::exit::Exit;
use crate::cli::sockets::{bind_tcp, bind_udp};
use crate::cli::usage::{Mistake, MistakeKind};
use crate::cli::{
    LogArgs, Program, SERVER_READ_SIZE, StartupError, print_line, server_exit, server_output,
    values,
};
use crate::limits::{Limits, Timeouts};
use crate::quantity::{bytes, lease, whole_number};
use crate::reactor::{DatagramSocket, ListeningSocket, Reactor, ReactorSettings};
use crate::relay::{Network, Quota, Relay, RelaySettings, Trust};

/// How many ports of the system's choice are tried until one is free for UDP, too.
const MAX_PORT_ATTEMPTS: u32 = 16;

const ABOUT: &str = "\
Keeps the directory of a Peerline network: its nodes and their files.

  relay-server 8888
  printf 'LIST\\n' | nc -N 127.0.0.1 8888";

/// The command line of `relay-server`.
#[derive(Clone, Debug, Parser)]
#[command(name = "relay-server", version, about = ABOUT, max_term_width = 100)]
pub struct RelayArgs {
    /// Port to listen on; 0 lets the system choose
    #[arg(value_parser = values::listen_port)]
    pub port: u16,
    /// Address to listen on, may be repeated; 0.0.0.0 opens the relay to the network
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1", value_parser = values::ip)]
    pub listen: Vec<IpAddr>,
    /// Remove a node that does not register again within this time
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = lease)]
    pub lease: Duration,
    /// Network whose nodes may register addresses that are not their own, may be repeated
    /// [default: loopback]
    #[arg(long, value_name = "NETWORK", value_parser = values::network)]
    pub trust: Vec<Network>,
    /// Maximum number of nodes
    #[arg(long, value_name = "N", default_value = "1000000",
          value_parser = whole_number::<usize>(1..))]
    pub max_nodes: usize,
    /// Maximum number of nodes at one address; trusted networks are exempt
    #[arg(long, value_name = "N", default_value = "1024", value_parser = whole_number::<usize>(1..))]
    pub max_nodes_per_address: usize,
    /// Maximum number of files of one node
    #[arg(long, value_name = "N", default_value = "1000000",
          value_parser = whole_number::<u64>(0..))]
    pub max_shared: u64,
    /// Maximum number of files of all nodes together
    #[arg(long, value_name = "N", default_value = "10000000",
          value_parser = whole_number::<u64>(0..))]
    pub max_shared_in_all: u64,
    /// Maximum total length of the file names of one node
    #[arg(long, value_name = "BYTES", default_value = "268435456", value_parser = bytes::<u64>(0..))]
    pub max_shared_bytes: u64,
    /// Answer no requests over UDP
    #[arg(long)]
    pub no_udp: bool,
    /// Maximum number of datagrams with a wrong cookie that are answered per second
    #[arg(long, value_name = "N", default_value = "10000", value_parser = whole_number::<u32>(1..))]
    pub wrong_cookies: u32,
    /// Maximum number of messages per second from one connection
    #[arg(long, value_name = "N", default_value = "50", value_parser = whole_number::<u32>(1..))]
    pub message_rate: u32,
    /// Maximum number of join and leave log lines per second; the excess is summarised
    #[arg(long, value_name = "N", default_value = "100", value_parser = whole_number::<u32>(1..))]
    pub log_rate: u32,
    /// The limits of connections.
    #[command(flatten)]
    pub limits: Limits,
    /// The log.
    #[command(flatten)]
    pub log: LogArgs,
}

impl Program for RelayArgs {
    fn run(&self) -> Result<Exit, StartupError> {
        run(self)
    }

    fn hint(mistake: &Mistake<'_>) -> Option<String> {
        const ADDRESS_FLAGS: [&str; 5] = ["--host", "--address", "--addr", "--bind", "--ip"];
        let port = mistake.port().unwrap_or("8888");
        let address = mistake.words.iter().find_map(|word| {
            let word = word
                .rsplit_once(':')
                .map_or(word.as_str(), |(host, _)| host);
            match word {
                "localhost" => Some("127.0.0.1"),
                word => values::ip(word).is_ok().then_some(word),
            }
        });
        match (mistake.kind, address) {
            (MistakeKind::UnknownFlag, _) if mistake.is_about(&["-p", "--port"]) => {
                Some(format!("the port is the argument: relay-server {port}"))
            }
            (MistakeKind::UnknownFlag, _) if mistake.is_about(&ADDRESS_FLAGS) => {
                Some("write --listen ADDR".into())
            }
            (MistakeKind::Missing, _) => Some(format!("write it first: relay-server {port}")),
            (MistakeKind::UnexpectedWord | MistakeKind::InvalidValue, Some(address))
                if mistake.kind == MistakeKind::UnexpectedWord || mistake.subject == "PORT" =>
            {
                Some(format!(
                    "the port is the argument, the address a flag: \
                 relay-server {port} --listen {address}"
                ))
            }
            (MistakeKind::UnexpectedWord, None) => Some("the relay listens on one port".into()),
            _ => None,
        }
    }
}

fn run(args: &RelayArgs) -> Result<Exit, StartupError> {
    let (output, _log_writer) = server_output()?;
    args.log.start(LevelFilter::Info, &output)?;
    let (mut reactor, addresses) = prepare(args)?;
    reactor
        .stop_on_signals()
        .map_err(|error| StartupError::system("cannot handle signals", &error))?;
    let udp = if args.no_udp { "" } else { ", also over UDP" };
    for address in addresses {
        let open = match address.ip().is_loopback() {
            true => "",
            false => ", open to the network",
        };
        print_line(format_args!(
            "relay-server listening on {address}{udp}{open}"
        ));
    }
    let (_, outcome) = reactor
        .run()
        .map_err(|error| StartupError::system("poll", &error))?;
    Ok(server_exit(outcome))
}

/// Binds the sockets and builds the relay. Returns the addresses on which it
/// listens, at least one.
pub(super) fn prepare(args: &RelayArgs) -> Result<(Reactor<Relay>, Vec<SocketAddr>), StartupError> {
    let system = |error| StartupError::system("cannot start the loop", &error);
    let OpenSockets {
        listeners,
        sockets,
        addresses,
    } = open_sockets(args)?;
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
        random_secret().map_err(|error| StartupError::system("cannot get random bytes", &error))?,
        now,
    );
    let settings = ReactorSettings {
        limits: args.limits.clone(),
        timeouts: Timeouts::default(),
        read_size: SERVER_READ_SIZE,
        source_addresses: Vec::new(),
    };
    let mut reactor = Reactor::new(relay, settings, now).map_err(system)?;
    for listener in listeners {
        reactor.listen(listener).map_err(system)?;
    }
    for socket in sockets {
        reactor.add_datagram_socket(socket).map_err(system)?;
    }
    Ok((reactor, addresses))
}

/// The sockets of the relay and their addresses.
struct OpenSockets {
    listeners: Vec<ListeningSocket>,
    sockets: Vec<DatagramSocket>,
    addresses: Vec<SocketAddr>,
}

/// Opens all sockets. A port that the system chooses must be free for UDP, too.
fn open_sockets(args: &RelayArgs) -> Result<OpenSockets, StartupError> {
    let mut attempts = if args.port == 0 { MAX_PORT_ATTEMPTS } else { 1 };
    loop {
        let (listeners, addresses) = bind_tcp(&args.listen, args.port)?;
        let udp: &[SocketAddr] = if args.no_udp { &[] } else { &addresses };
        attempts -= 1;
        match bind_udp(udp) {
            Ok(sockets) => {
                return Ok(OpenSockets {
                    listeners,
                    sockets,
                    addresses,
                });
            }
            Err(error) if attempts == 0 => return Err(error),
            Err(_) => {}
        }
    }
}

/// The key of the cookies.
fn random_secret() -> io::Result<[u8; 32]> {
    let mut secret = [0; 32];
    // Up to 256 bytes are never returned in part (getrandom(2)).
    rustix::rand::getrandom(&mut secret, rustix::rand::GetRandomFlags::empty())?;
    Ok(secret)
}
