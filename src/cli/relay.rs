//! `relay-server`: its command line, and its start.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use clap::Parser;
use log::{LevelFilter, info};

use crate::cli::access::AccessArgs;
use crate::cli::discovery::{AnnounceArgs, ServiceKind};
use crate::cli::http::HttpArgs;
use crate::cli::logging::LogArgs;
use crate::cli::registry::{PreparedRegistry, RegistryArgs};
use crate::cli::service_manager::ServiceManager;
use crate::cli::signals::{EndingSignals, Patience};
use crate::cli::sockets::{bind_tcp, bind_udp};
use crate::cli::tls::{ServerId, ServerTls, ServerTlsArgs, print_id};
use crate::cli::user::UserArgs;
use crate::cli::{Exit, SERVER_READ_SIZE, StartupError, build_reactor, rights, run_server, values};
use crate::limits::{Limits, RateLimits, Timeouts, without_flags};
use crate::logging::OPERATOR;
use crate::quantity::{bytes, integer, lease};
use crate::reactor::{Clock, Reactor, ReactorSettings};
use crate::relay::{
    BYTES_PER_FILE, BYTES_PER_KEY, BYTES_PER_NODE, Network, Quota, Relay, RelaySettings, Trust,
};
use crate::session::AccessSettings;
use crate::terminal::TerminalOutput;

/// How often the system may choose a port until one is also free for UDP.
const MAX_PORT_ATTEMPTS: u32 = 16;

const ABOUT: &str = "\
Keeps the directory of a Peerline network: its nodes and their files.

  relay-server 8888
  printf 'LIST\\n' | nc -N 127.0.0.1 8888

relay-server id prints the id of its key.";

/// See [`crate::cli::usage::parse`].
pub(super) const HINTS: &str = "\
unknown flag | -p --port | the port is an argument: relay-server {port}
unknown flag | --host --address --addr --bind --ip | write --listen ADDR
missing | any | write the port to listen on: relay-server {port}
invalid value | PORT | the port is an argument, and the address is a flag: \
    relay-server {port} --listen {address}
unexpected word | any | the port is an argument, and the address is a flag: \
    relay-server {port} --listen {address}
unexpected word | any | the relay listens on one port";

/// The command line of `relay-server`.
#[derive(Parser)]
#[command(name = "relay-server", version, about = ABOUT, max_term_width = 100)]
#[command(after_help = default_memory())]
pub(super) struct RelayArgs {
    /// Port to listen on; 0 lets the system choose
    #[arg(value_parser = values::listen_port)]
    port: u16,
    /// Address to listen on; may be repeated; 0.0.0.0 opens the relay to the network
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1", value_parser = values::ip)]
    listen: Vec<IpAddr>,
    /// Remove a node that does not register again within this time
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = lease)]
    lease: Duration,
    /// Network whose nodes may register addresses that are not their own; may be repeated
    /// [default: loopback]
    #[arg(long, value_name = "NETWORK")]
    trust: Vec<Network>,
    #[command(flatten)]
    directory: DirectoryArgs,
    /// Answer no requests over UDP
    #[arg(long)]
    no_udp: bool,
    /// Maximum number of datagrams with a wrong cookie that are answered per second
    #[arg(long, value_name = "N", default_value = "10000", value_parser = integer::<u32>(1..))]
    wrong_cookies: u32,
    /// Maximum number of datagrams per second from one address that are answered; addresses in
    /// --trust are exempt
    #[arg(long, value_name = "N", default_value = "1000", value_parser = integer::<u32>(1..))]
    datagram_rate: u32,
    /// Maximum number of messages per second from one connection
    #[arg(long, value_name = "N", default_value = "50", value_parser = integer::<u32>(1..))]
    message_rate: u32,
    /// Maximum number of messages per second from one address; addresses in --trust are exempt
    #[arg(long, value_name = "N", default_value = "200", value_parser = integer::<u32>(1..))]
    message_rate_per_address: u32,
    /// Keep all rights of the user: by default, the relay can open no file, and neither connect
    /// over TCP or to abstract Unix sockets nor signal other processes
    #[arg(long)]
    no_sandbox: bool,
    #[command(flatten)]
    user: UserArgs,
    #[command(flatten)]
    announce: AnnounceArgs,
    #[command(flatten)]
    registry: RegistryArgs,
    #[command(flatten)]
    tls: ServerTlsArgs,
    #[command(flatten)]
    pub(super) access: AccessArgs,
    /// Let clients whose id is not in --allow-ids only read: they can neither register nor send
    /// or receive messages
    #[arg(long, requires = "allow_ids", help_heading = "Access")]
    read_only_relay: bool,
    #[command(flatten)]
    http: HttpArgs,
    #[command(flatten)]
    limits: Limits,
    #[command(flatten)]
    log: LogArgs,
}

/// How much the directory may hold.
#[derive(clap::Args)]
struct DirectoryArgs {
    /// Maximum number of nodes
    #[arg(long, value_name = "N", default_value = "1000000", value_parser = integer::<usize>(1..))]
    max_nodes: usize,
    /// Maximum number of nodes at one address; trusted networks are exempt
    #[arg(long, value_name = "N", default_value = "1024", value_parser = integer::<usize>(1..))]
    max_nodes_per_address: usize,
    /// Maximum number of files of one node
    #[arg(long, value_name = "N", default_value = "1000000", value_parser = integer::<u64>(0..))]
    max_shared: u64,
    /// Maximum number of files of all nodes together
    #[arg(long, value_name = "N", default_value = "10000000", value_parser = integer::<u64>(0..))]
    max_shared_in_all: u64,
    /// Maximum bytes of file names of one node; a name counts twice, as announced and for searches
    #[arg(long, value_name = "BYTES", default_value = "268435456", value_parser = bytes::<u64>(0..))]
    max_shared_bytes: u64,
    /// Maximum bytes of file names of all nodes at one address; trusted networks are exempt
    #[arg(long, value_name = "BYTES", default_value = "536870912", value_parser = bytes::<u64>(0..))]
    max_shared_bytes_per_address: u64,
    /// Maximum bytes of file names of all nodes together
    #[arg(long, value_name = "BYTES", default_value = "1073741824", value_parser = bytes::<u64>(0..))]
    max_shared_bytes_in_all: u64,
}

impl DirectoryArgs {
    fn quota(&self) -> Quota {
        Quota {
            node_files: self.max_shared,
            node_bytes: self.max_shared_bytes,
            address_bytes: self.max_shared_bytes_per_address,
            all_files: self.max_shared_in_all,
            all_bytes: self.max_shared_bytes_in_all,
        }
    }

    /// The most memory that the relay needs, as a text for people.
    fn memory(&self, limits: &Limits) -> String {
        const MIB: u64 = 1 << 20;
        let queued = limits.max_queue_total as u64;
        let sums = self.directory_bytes().and_then(|directory| {
            let total = directory.checked_add(queued)?;
            Some((total / MIB, directory / MIB))
        });
        // A limit may be as good as none.
        let sums = sums.map_or("no limit on memory".into(), |(total, directory)| {
            let queued = queued / MIB;
            format!(
                "at most about {total} MiB of memory: {directory} for nodes and files, \
                 {queued} for queued data"
            )
        });
        let connection = (SERVER_READ_SIZE + limits.max_line.max(limits.max_head)) / 1024;
        format!(
            "{sums}; beside its queued data, each connection adds at most {connection} KiB, \
             usually less than 1"
        )
    }

    /// The most bytes that nodes and files need, unless there are more than a number can state.
    fn directory_bytes(&self) -> Option<u64> {
        let nodes = (self.max_nodes as u64).checked_mul(BYTES_PER_NODE + BYTES_PER_KEY)?;
        let files = self.max_shared_in_all.checked_mul(BYTES_PER_FILE)?;
        // Blocks of names have unused room: less than an eighth.
        let names = self.max_shared_bytes_in_all;
        let names = names.checked_add(names / 8)?;
        nodes.checked_add(files)?.checked_add(names)
    }
}

/// For `--help`: the memory with the defaults.
fn default_memory() -> String {
    let memory = without_flags::<DirectoryArgs>().memory(&Limits::default());
    format!("With the default limits, the relay needs {memory}.")
}

/// Runs the relay until it is stopped.
pub(super) fn run(args: RelayArgs) -> Result<Exit, StartupError> {
    let signals = EndingSignals::of_server(args.has_files())?;
    let (output, _log_writer) =
        TerminalOutput::for_server(false).map_err(StartupError::system("cannot start a thread"))?;
    let _log_file = args.log.start(LevelFilter::Info, &output)?;
    let memory = args.directory.memory(&args.limits);
    let udp = if args.has_udp() {
        ", also over UDP"
    } else {
        ""
    };
    let has_sandbox = !args.no_sandbox;
    let (mut reactor, addresses, id, registry) = prepare(&args)?;
    args.user.switch()?;
    if let Some(registry) = registry {
        registry.start(has_sandbox, reactor.handle())?;
    }
    // In its sandbox, the relay cannot connect to an abstract socket.
    let manager = ServiceManager::from_environment();
    if has_sandbox {
        rights::keep_only(&rights::of_relay());
    }
    // Its thread has the same few rights.
    let announcement =
        args.announce
            .announce(ServiceKind::Relay, &addresses, id.map(|id| id.key))?;
    let patience = Patience::UntilSecondSignal;
    signals.stop(&mut reactor, &[], Exit::Aborted, patience)?;
    info!(target: OPERATOR, "limits: {memory}");
    for address in addresses {
        let open = match address.ip().is_loopback() {
            true => "",
            false => ", open to the network",
        };
        output.println(format_args!(
            "relay-server listening on {address}{udp}{open}"
        ));
    }
    print_id(&output, "relay-server", id, false);
    run_server(reactor, manager, announcement)
}

impl RelayArgs {
    /// Reads who may use the relay.
    fn access_settings(&self, tls: &ServerTls) -> Result<AccessSettings, StartupError> {
        let access = self.access.settings(tls)?;
        if access.secret.is_some() && !self.no_udp {
            info!(target: OPERATOR, "UDP is off: a secret needs TLS");
        }
        Ok(AccessSettings {
            is_read_only: self.read_only_relay,
            ..access
        })
    }

    /// Whether SIGHUP reads or makes files again.
    fn has_files(&self) -> bool {
        self.log.has_file() || self.tls.has_files() || self.access.has_files()
    }

    /// Whether requests over UDP are answered: they are not encrypted.
    fn has_udp(&self) -> bool {
        !self.no_udp && !self.tls.is_required() && !self.access.secret.is_set()
    }
}

/// A relay, the addresses on which it listens, at least one, its id, and its registry.
type PreparedRelay = (
    Reactor<Relay>,
    Vec<SocketAddr>,
    Option<ServerId>,
    Option<PreparedRegistry>,
);

/// Binds the sockets and builds the relay.
pub(super) fn prepare(args: &RelayArgs) -> Result<PreparedRelay, StartupError> {
    let tls = args.tls.prepare("relay")?;
    let access = args.access_settings(&tls)?;
    // A port that the system chooses must be free for UDP, too.
    let mut attempts = if args.port == 0 { MAX_PORT_ATTEMPTS } else { 1 };
    let (listeners, sockets, addresses) = loop {
        let (listeners, addresses) = bind_tcp(&args.listen, args.port)?;
        attempts -= 1;
        match bind_udp(if args.has_udp() { &addresses } else { &[] }) {
            Ok(sockets) => break (listeners, sockets, addresses),
            Err(error) if attempts == 0 => return Err(error),
            Err(_) => {}
        }
    };
    let mut secret = [0; 32];
    // Up to 256 bytes are never returned in part (getrandom(2)).
    rustix::rand::getrandom(&mut secret, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| StartupError::system("cannot get random bytes")(error.into()))?;
    let speaks_http = !args.http.no_http;
    let settings = RelaySettings {
        lease: args.lease,
        max_nodes: args.directory.max_nodes,
        max_nodes_per_address: args.directory.max_nodes_per_address,
        max_line: args.limits.max_line,
        max_unknown: args.limits.max_unknown,
        wrong_cookie_rate: args.wrong_cookies,
        datagram_rate: args.datagram_rate,
        quota: args.directory.quota(),
        message_rate: args.message_rate,
        message_rate_per_address: args.message_rate_per_address,
        trust: Trust::new(args.trust.clone()),
        certificates: tls.certificates,
        http: args.http.settings(),
        access,
    };
    let now = Instant::now();
    let mut relay = Relay::new(settings, secret, now);
    let registry = args.registry.prepare(&mut relay, now)?;
    let settings = ReactorSettings {
        limits: args.limits.clone(),
        speaks_http,
        tls: tls.acceptor,
        relay_tls: Vec::new(),
        certificates: None,
        node_ids: None,
        secret: None,
        timeouts: Timeouts::default(),
        rates: RateLimits::default(),
        read_size: SERVER_READ_SIZE,
        source_addresses: Vec::new(),
    };
    let reactor = build_reactor(
        relay,
        settings,
        listeners,
        sockets,
        Clock::without_suspends(now),
    )?;
    Ok((reactor, addresses, tls.id, registry))
}
