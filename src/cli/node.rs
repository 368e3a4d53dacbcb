//! `peer-node`

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;
use log::LevelFilter;

use crate::cli::addresses::listen_addresses;
use crate::cli::{
    ConsoleArgs, HistoryArgs, LogArgs, SERVER_READ_SIZE, StartupError, announce, bind, console,
    datagram_routes, port, resolve, server_exit, server_voice,
};
use crate::exit::Exit;
use crate::limits::{self, Limits, Timeouts};
use crate::node::{
    Console, HELP, MessageListener, Node, NodeEvent, NodeMessage, Registrar, Share, ShareTotals,
};
use crate::protocol::{ClaimedIp, NodeAddress, Port};
use crate::reactor::{Reactor, ReactorSettings};
use crate::session::udp_requests::UdpRequests;
use crate::share::{Folder, FolderSettings, ShareUpdate};
use crate::terminal::{Screen, prompt};

/// Shares a folder in a Peerline network: registers with the relay, then serves
/// files to whoever connects.
///
/// RelayExchange to it: printf 'GET hello.txt\n' | nc -N 127.0.0.1 PORT
#[derive(Clone, Debug, Parser)]
#[command(name = "peer-node", version, max_term_width = 100)]
pub struct NodeArgs {
    /// The relay: a host name or an address
    pub relay_addr: String,
    /// The relay's port
    #[arg(value_parser = port)]
    pub relay_port: Port,
    /// The folder to share, with its sub-folders
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub share: PathBuf,
    /// Share files and folders whose names start with a dot as well
    #[arg(long)]
    pub hidden: bool,
    /// Compute no hashes: files are listed with - instead
    #[arg(long)]
    pub no_hashes: bool,
    /// Keep hashes in this file [default: peerline/hashes in the user's cache folder]
    #[arg(long, value_name = "FILE")]
    pub hash_cache: Option<PathBuf>,
    /// Keep no hashes: a restart computes them all again
    #[arg(long, conflicts_with = "hash_cache")]
    pub no_hash_cache: bool,
    /// Files in the list of the share
    #[arg(long, value_name = "N", default_value = "1000000", value_parser = limits::at_least_one)]
    pub max_files: usize,
    /// Bytes of small files to keep in memory for who asks next; 0 keeps none
    #[arg(long, value_name = "BYTES", default_value = "16777216")]
    pub max_kept: usize,
    /// The address to listen on [default: the one from which the relay is reached]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<IpAddr>,
    /// The port to listen on; 0 lets the system choose
    #[arg(long, value_name = "PORT", default_value = "0")]
    pub port: u16,
    /// The address to be listed under; * is the one that the relay sees
    #[arg(long, value_name = "IP", default_value = "*", value_parser = claimed_ip)]
    pub advertise: ClaimedIp,
    /// Receive the messages that are sent to the address under which the node is listed
    /// [default: with a console]
    #[arg(long, overrides_with = "no_listen_messages")]
    pub listen_messages: bool,
    /// Receive no messages
    #[arg(long)]
    pub no_listen_messages: bool,
    /// RelayExchange to the relay over UDP, and over TCP only where that fails
    #[arg(long)]
    pub udp: bool,
    /// The console.
    #[command(flatten)]
    pub console: ConsoleArgs,
    /// Where the lines typed at the console are kept.
    #[command(flatten)]
    pub history: HistoryArgs,
    /// The limits of connections.
    #[command(flatten)]
    pub limits: Limits,
    /// How long to wait for the relay.
    #[command(flatten)]
    pub patience: Timeouts,
    /// The log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// What a node says when it is ready to serve.
#[derive(Clone, Debug)]
pub struct Serving {
    /// The addresses it listens on, at least one, all with the same port.
    pub addresses: Vec<SocketAddr>,
    extent: ShareTotals,
    folder: PathBuf,
}

impl fmt::Display for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            addresses,
            extent,
            folder,
        } = self;
        let (address, folder) = (addresses[0], folder.display());
        write!(f, "listening on {address}, sharing {extent} from {folder}")
    }
}

/// Binds, reads the folder and puts the node together. `news` hears how the
/// registration goes; `user` is who is at the console, if there is one.
///
/// # Errors
/// The folder, the relay's name or the address is of no use.
pub fn prepare(
    args: &NodeArgs,
    news: impl FnMut(&NodeEvent<'_>) + 'static,
    user: Option<Screen>,
) -> Result<(Reactor<Node<Folder>>, Serving), StartupError> {
    let system = |error| StartupError::system("the loop cannot start", &error);
    let relay = resolve(&args.relay_addr, args.relay_port.get())?;
    let listen = listen_addresses(args.listen, &args.relay_addr, &relay)?;
    let (listeners, addresses) = bind(&listen, args.port)?;
    let settings = FolderSettings {
        hidden: args.hidden,
        max_files: args.max_files,
        max_cached: args.max_kept,
    };
    let mut folder = Folder::open(&args.share, settings).map_err(|error| {
        let path = args.share.display();
        StartupError::new(
            Exit::Share,
            format!("cannot share {path}: {error}; --share takes a folder that you may read"),
        )
    })?;
    let serving = Serving {
        addresses,
        extent: ShareTotals {
            files: folder.count(None),
            bytes: folder.bytes(),
        },
        folder: folder.path().to_owned(),
    };
    let (changes, workers) = (folder.inotify_fd(), folder.take_workers());
    let now = Instant::now();
    let port = Port::new(serving.addresses[0].port())
        .ok_or_else(|| StartupError::new(Exit::System, "the system gave no port"))?;
    // So that the address that the relay sees is one that we listen on.
    let sources = listen.into_iter().filter(|ip| !ip.is_unspecified());
    let sources: Vec<IpAddr> = sources.collect();
    let by_udp: &[SocketAddr] = if args.udp { &relay } else { &[] };
    let (sockets, routes) = datagram_routes(by_udp, &sources);
    let registrar = Registrar::new(relay.clone(), args.advertise, port, fastrand::u64(..), now);
    let mut node = Node::new(folder, registrar, args.limits.max_unknown, now, news)
        .with_udp(UdpRequests::new(&routes, fastrand::u64(..)));
    if args.listen_messages || (user.is_some() && !args.no_listen_messages) {
        let listener = MessageListener::new(relay.clone(), args.advertise, port, fastrand::u64(..));
        node = node.with_message_listener(listener);
    }
    if let Some(user) = user {
        let ConsoleArgs {
            max_nodes,
            max_downloads,
            ..
        } = args.console;
        let may_choose = console::has_terminal();
        let console = Console::new(user, may_choose, relay, max_nodes, max_downloads)
            .with_udp(UdpRequests::new(&routes, fastrand::u64(..)));
        node = node.with_console(console);
    }
    let settings = ReactorSettings {
        limits: args.limits.clone(),
        patience: args.patience.clone(),
        read_size: SERVER_READ_SIZE,
        sources,
    };
    let mut reactor = Reactor::new(node, settings, now).map_err(system)?;
    for listener in listeners {
        reactor.listen(listener).map_err(system)?;
    }
    for socket in sockets {
        reactor.exchange(socket).map_err(system)?;
    }
    if let Some((scan_worker, hash_worker)) = workers {
        let handle = reactor.handle();
        let on_scan = move |result| handle.tell(NodeMessage::Share(ShareUpdate::Scan(result)));
        scan_worker.start(on_scan).map_err(system)?;
        if !args.no_hashes {
            let handle = reactor.handle();
            let on_hash = move |result| handle.tell(NodeMessage::Share(ShareUpdate::Hash(result)));
            hash_worker
                .start(hash_cache(args), on_hash)
                .map_err(system)?;
        }
    }
    if let Some(changes) = changes {
        reactor.watch_outside(changes).map_err(system)?;
    }
    Ok((reactor, serving))
}

/// Where hashes are kept.
fn hash_cache(args: &NodeArgs) -> Option<PathBuf> {
    if args.no_hash_cache {
        return None;
    }
    let own = || Some(crate::xdg::user_folder("XDG_CACHE_HOME", ".cache")?.join("hashes"));
    args.hash_cache.clone().or_else(own)
}

/// RunsJobs the node until it is stopped.
///
/// # Errors
/// It cannot start, or the system's poll fails.
pub fn run(args: &NodeArgs) -> Result<Exit, StartupError> {
    let (voice, _scribe) = server_voice()?;
    let has_console = args.console.is_wanted();
    // Who types wants to see what comes of it, not who comes and goes.
    let level = match has_console {
        true => LevelFilter::Warn,
        false => LevelFilter::Info,
    };
    args.log.start(level, &voice)?;
    let (asker, asked) = prompt::channel();
    let (mut reactor, serving) = if has_console {
        let user = console::screen(&args.share, &voice, asker);
        prepare(args, console::announcing_node(&voice), Some(user))?
    } else {
        prepare(args, log_news, None)?
    };
    reactor
        .stop_on_signals()
        .map_err(|error| StartupError::system("signals", &error))?;
    announce(format_args!("peer-node {serving}"));
    for address in &serving.addresses[1..] {
        announce(format_args!("peer-node listening on {address}"));
    }
    let _prompt = if has_console {
        let settings = prompt::PromptSettings {
            help: HELP,
            history: args.history.path(),
            at_end: prompt::AtEnd::GoesOn,
        };
        let prompt = prompt::start(asked, reactor.handle(), &voice, settings);
        Some(prompt.map_err(|error| StartupError::system("the console cannot start", &error))?)
    } else {
        None
    };
    let (_, outcome) = reactor
        .run()
        .map_err(|error| StartupError::system("poll", &error))?;
    Ok(server_exit(outcome))
}

fn log_news(news: &NodeEvent<'_>) {
    match news {
        NodeEvent::RegistrationFailed(_)
        | NodeEvent::ListenFailed(_)
        | NodeEvent::ListenerReplaced
        | NodeEvent::MessageNotSent(..) => {
            log::warn!("{news}");
        }
        NodeEvent::Registered(_)
        | NodeEvent::Unregistered
        | NodeEvent::Listening(_)
        | NodeEvent::Message(_)
        | NodeEvent::MessageSent(_) => log::info!("{news}"),
    }
}

fn claimed_ip(text: &str) -> Result<ClaimedIp, String> {
    match text {
        "*" => Ok(ClaimedIp::Seen),
        text => {
            let ip = text.parse().map_err(|_| "an IPv4 or IPv6 address, or *")?;
            // Any port will do: the address is what is looked at.
            let address = NodeAddress::new(ip, Port::MIN).map_err(|why| why.to_string())?;
            Ok(ClaimedIp::Is(address.ip()))
        }
    }
}
