//! Starts `peer-node`.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Instant;

use log::LevelFilter;

use crate::cli::exit::Exit;
use crate::cli::node_args::NodeArgs;
use crate::cli::sockets::{bind_tcp, node_addresses, udp_routes};
use crate::cli::{SERVER_READ_SIZE, StartupError, console, print_line, server_exit, server_output};
use crate::node::{
    Console, HELP, MessageListener, Node, NodeEvent, NodeMessage, Registrar, Share, ShareTotals,
};
use crate::protocol::Port;
use crate::reactor::{Reactor, ReactorSettings};
use crate::session::udp_requests::UdpRequests;
use crate::share::{Folder, FolderSettings, HashWorker, ScanWorker};
use crate::terminal::{Screen, prompt};

/// What a node that is ready prints: its address and its share.
#[derive(Clone, Debug)]
pub(super) struct Serving {
    /// The addresses on which it listens, at least one, all with the same port.
    pub(super) addresses: Vec<SocketAddr>,
    totals: ShareTotals,
    folder: PathBuf,
}

impl fmt::Display for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            addresses,
            totals,
            folder,
        } = self;
        let (address, folder) = (addresses[0], folder.display());
        write!(f, "listening on {address}, sharing {totals} from {folder}")
    }
}

/// Runs the node until it is stopped.
pub(super) fn run(args: &NodeArgs) -> Result<Exit, StartupError> {
    let (output, _log_writer) = server_output()?;
    let has_console = args.console.is_enabled();
    // A person at the console wants results, not a line per connection.
    let level = match has_console {
        true => LevelFilter::Warn,
        false => LevelFilter::Info,
    };
    args.log.start(level, &output)?;
    let (line_requests, requests) = mpsc::channel();
    let (mut reactor, serving) = if has_console {
        let user = console::screen(&args.share, &output, line_requests);
        prepare(args, console::event_printer(&output), Some(user))?
    } else {
        prepare(args, log_event, None)?
    };
    reactor
        .stop_on_signals()
        .map_err(|error| StartupError::system("cannot handle signals", &error))?;
    print_line(format_args!("peer-node {serving}"));
    for address in &serving.addresses[1..] {
        print_line(format_args!("peer-node listening on {address}"));
    }
    let settings = prompt::PromptSettings {
        help: HELP,
        history: args.history.path(),
        on_end_of_input: prompt::OnEndOfInput::Continue,
    };
    let _prompt = has_console
        .then(|| prompt::start(requests, reactor.handle(), &output, settings))
        .transpose()
        .map_err(|error| StartupError::system("cannot start the console", &error))?;
    let (_, outcome) = reactor
        .run()
        .map_err(|error| StartupError::system("poll", &error))?;
    Ok(server_exit(outcome))
}

/// Binds the sockets, reads the folder and builds the node. `on_event` receives the
/// events of registration and messages. `user` is the user of the console, if there
/// is a console.
pub(super) fn prepare(
    args: &NodeArgs,
    on_event: impl FnMut(&NodeEvent<'_>) + 'static,
    user: Option<Screen>,
) -> Result<(Reactor<Node<Folder>>, Serving), StartupError> {
    let system = |error| StartupError::system("cannot start the loop", &error);
    let relay = args.relay.resolve()?;
    let ips = node_addresses(args.listen, &relay)?;
    let (listeners, addresses) = bind_tcp(&ips, args.port)?;
    let (mut folder, scan_worker, hash_worker) = open_folder(args)?;
    let serving = Serving {
        addresses,
        totals: ShareTotals {
            files: folder.count(None),
            bytes: folder.bytes(),
        },
        folder: folder.path().to_owned(),
    };
    let changes = folder.inotify_fd();
    // The relay lists the source address of the node's requests, so it must be one
    // on which the node listens.
    let sources: Vec<IpAddr> = ips.into_iter().filter(|ip| !ip.is_unspecified()).collect();
    let (sockets, routes) = udp_routes(if args.udp { &relay } else { &[] }, &sources);
    let port = Port::new(serving.addresses[0].port())
        .ok_or_else(|| StartupError::new(Exit::System, "the system chose no port"))?;
    let settings = ReactorSettings {
        limits: args.limits.clone(),
        timeouts: args.timeouts.clone(),
        read_size: SERVER_READ_SIZE,
        source_addresses: sources,
    };
    let now = Instant::now();
    let registrar = Registrar::new(relay.clone(), args.advertise, port, fastrand::u64(..), now);
    let node = Node::new(folder, registrar, args.limits.max_unknown, now, on_event)
        .with_udp(UdpRequests::new(&routes, fastrand::u64(..)));
    let node = with_console_and_messages(node, args, port, relay, user);
    let mut reactor = Reactor::new(node, settings, now).map_err(system)?;
    for listener in listeners {
        reactor.listen(listener).map_err(system)?;
    }
    for socket in sockets {
        reactor.add_datagram_socket(socket).map_err(system)?;
    }
    start_workers(&reactor, args, scan_worker, hash_worker).map_err(system)?;
    if let Some(changes) = changes {
        reactor.watch_external(changes).map_err(system)?;
    }
    Ok((reactor, serving))
}

fn open_folder(args: &NodeArgs) -> Result<(Folder, ScanWorker, HashWorker), StartupError> {
    let settings = FolderSettings {
        hidden: args.hidden,
        max_files: args.max_files,
        max_cached: args.max_cached,
    };
    Folder::open(&args.share, settings).map_err(|error| {
        let path = args.share.display();
        let text = format!("cannot share {path}: {error}; --share takes a readable folder");
        StartupError::new(Exit::Share, text)
    })
}

fn with_console_and_messages(
    mut node: Node<Folder>,
    args: &NodeArgs,
    port: Port,
    relay: Vec<SocketAddr>,
    user: Option<Screen>,
) -> Node<Folder> {
    if args.listen_messages || (user.is_some() && !args.no_listen_messages) {
        let listener = MessageListener::new(relay.clone(), args.advertise, port, fastrand::u64(..));
        node = node.with_message_listener(listener);
    }
    if let Some(user) = user {
        let can_choose = console::is_interactive();
        let (max_nodes, max_downloads) = (args.console.max_nodes, args.console.max_downloads);
        let console = Console::new(user, can_choose, relay, max_nodes, max_downloads);
        node = node.with_console(console);
    }
    node
}

/// Starts the threads that walk the folder and compute hashes.
fn start_workers(
    reactor: &Reactor<Node<Folder>>,
    args: &NodeArgs,
    scan_worker: ScanWorker,
    hash_worker: HashWorker,
) -> io::Result<()> {
    let handle = reactor.handle();
    let on_update = move |update| handle.send(NodeMessage::Share(update));
    scan_worker.start(on_update.clone())?;
    if !args.no_hashes {
        hash_worker.start(args.hash_cache_path(), on_update)?;
    }
    Ok(())
}

fn log_event(event: &NodeEvent<'_>) {
    match event {
        NodeEvent::RegistrationFailed(_)
        | NodeEvent::ListenFailed(_)
        | NodeEvent::ListenerReplaced
        | NodeEvent::MessageNotSent(..) => {
            log::warn!("{event}");
        }
        NodeEvent::Registered(_)
        | NodeEvent::Unregistered
        | NodeEvent::Listening(_)
        | NodeEvent::Message(_)
        | NodeEvent::MessageSent(_) => log::info!("{event}"),
    }
}
