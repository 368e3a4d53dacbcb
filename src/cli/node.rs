//! `peer-node`: its command line, and its start.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use clap::Parser;

use crate::cli::access::AccessArgs;
use crate::cli::console::ConsoleArgs;
use crate::cli::discovery::{AnnounceArgs, ServiceKind};
use crate::cli::group::GroupArgs;
use crate::cli::http::HttpArgs;
use crate::cli::logging::LogArgs;
use crate::cli::message_command::{MessageCommand, MessageCommandArgs, RunningCommand};
use crate::cli::network::{self, NodeNetwork, wait_for_network};
use crate::cli::node_events::{ConsoleEvents, log_event};
use crate::cli::node_relays::{claim, follow_relays, registrars};
use crate::cli::relay_address::{FoundRelay, RelayAddressArgs};
use crate::cli::relay_tls::RelayTls;
use crate::cli::service_manager::ServiceManager;
use crate::cli::shared_folder::{describe, folder_to_share, open_folder, print_addresses};
use crate::cli::signals::{self, EndingSignals, Patience};
use crate::cli::sockets::{bind_tcp, local_addresses, source_addresses, udp_requests};
use crate::cli::tls::{ServerId, ServerTls, ServerTlsArgs, print_id};
use crate::cli::user::UserArgs;
use crate::cli::{
    Exit, SERVER_READ_SIZE, StartupError, build_reactor, is_interactive, rights, run_server, values,
};
use crate::jobs::{JobRunner, NodeTls};
use crate::limits::{Limits, RateLimits, Timeouts};
use crate::node::{Console, HELP, Node, NodeEvent, NodeMessage, NodeReport};
use crate::protocol::{ClaimedIp, Port, ServerKind};
use crate::reactor::{Clock, Reactor, ReactorSettings};
use crate::sandbox::Sandbox;
use crate::session::{AccessControl, GroupSecret};
use crate::share::{Folder, FolderSettings, HashWorker, ScanWorker, open_hash_cache};
use crate::terminal::prompt::{self, PromptSettings};
use crate::terminal::{HistoryArgs, Screen, TerminalOutput, open_history};
use crate::tls::{Certificates, KnownRelays, TlsConnector};
use crate::xdg::user_folder;

const ABOUT: &str = "\
Shares a folder in a Peerline network.

  peer-node 127.0.0.1:8888 --share DIR --port 9001
  printf 'GET hello.txt\\n' | nc -N 127.0.0.1 9001

The node registers with the relay. Then it serves files to everybody who connects. It encrypts \
its connections to the relay by the same rule as a client. With --announce, it needs no relay: \
leave the address out.

peer-node id prints the id of its key.";

/// See [`crate::cli::usage::parse`].
pub(super) const HINTS: &str = "\
unknown flag | -p | write --port PORT
unknown flag | -d --dir --directory --folder -s --path | write --share DIR
unknown flag | --port -H --host --ip --addr --address --server | \
    the relay's address is an argument: peer-node 127.0.0.1:8888
missing | any | write its address: peer-node 127.0.0.1:8888 --share DIR
unexpected word | any | to share a folder: --share {subject}";

/// The command line of `peer-node`.
#[derive(Parser)]
#[command(name = "peer-node", version, about = ABOUT, max_term_width = 100)]
pub(super) struct NodeArgs {
    #[command(flatten)]
    pub(super) relay: RelayAddressArgs,
    /// Folder to share, with its sub-folders [default: the current folder, unless that is a
    /// home folder or /]
    #[arg(long, value_name = "DIR")]
    pub(super) share: Option<PathBuf>,
    #[command(flatten)]
    folder: FolderSettings,
    /// Compute no hashes; lists then show - instead of each hash
    #[arg(long)]
    no_hashes: bool,
    /// Keep computed hashes in this file [default: peerline/hashes in the user's cache folder]
    #[arg(long, value_name = "FILE")]
    hash_cache: Option<PathBuf>,
    /// Do not keep hashes; each start computes them again
    #[arg(long, conflicts_with = "hash_cache")]
    no_hash_cache: bool,
    /// Address to listen on [default: the local address from which the relay is reached, also after
    /// it changes; without a relay, 0.0.0.0]
    #[arg(long, value_name = "ADDR", value_parser = values::ip)]
    listen: Option<IpAddr>,
    /// Port to listen on; 0 lets the system choose
    #[arg(long, value_name = "PORT", default_value = "0", value_parser = values::listen_port)]
    port: u16,
    /// Address under which the relay lists the node, and the port if another one is forwarded to
    /// the node; * is the address that the relay sees
    #[arg(long, value_name = "IP[:PORT]", default_value = "*", value_parser = values::advertised)]
    advertise: (ClaimedIp, Option<Port>),
    /// Receive messages that are sent to the node's address [default: with a console]
    #[arg(long, conflicts_with = "no_listen_messages")]
    listen_messages: bool,
    /// Receive no messages
    #[arg(long)]
    no_listen_messages: bool,
    #[command(flatten)]
    messages: MessageCommandArgs,
    /// Use UDP for requests to the relay, and TCP only if UDP fails
    #[arg(long)]
    udp: bool,
    /// Keep all rights of the user: by default, the node can read only its share, and write
    /// only its cache of hashes; with a console, it can read all files and also write the share,
    /// the folders of --save-dir and the history of commands. The command of --on-message keeps
    /// all rights in any case
    #[arg(long)]
    no_sandbox: bool,
    #[command(flatten)]
    user: UserArgs,
    #[command(flatten)]
    console: ConsoleArgs,
    #[command(flatten)]
    history: HistoryArgs,
    #[command(flatten)]
    announce: AnnounceArgs,
    #[command(flatten)]
    group: GroupArgs,
    #[command(flatten)]
    tls: ServerTlsArgs,
    #[command(flatten)]
    pub(super) access: AccessArgs,
    #[command(flatten)]
    http: HttpArgs,
    #[command(flatten)]
    limits: Limits,
    #[command(flatten)]
    timeouts: Timeouts,
    #[command(flatten)]
    rates: RateLimits,
    #[command(flatten)]
    log: LogArgs,
}

impl NodeArgs {
    /// Whether SIGHUP reads or makes files again.
    fn has_files(&self) -> bool {
        self.log.has_file() || self.tls.has_files() || self.access.has_files()
    }

    /// The file in which hashes are kept, if any.
    fn hash_cache(&self) -> Option<PathBuf> {
        if self.no_hashes || self.no_hash_cache {
            return None;
        }
        let folder = || user_folder("XDG_CACHE_HOME", ".cache", self.user.home());
        (self.hash_cache.clone()).or_else(|| Some(folder()?.join("hashes")))
    }
}

/// Runs the node until it is stopped.
pub(super) fn run(args: NodeArgs) -> Result<Exit, StartupError> {
    let share = folder_to_share(args.share.as_deref())?;
    args.console.check_folders()?;
    let survives_hangup = signals::is_hangup_ignored();
    let signals = EndingSignals::of_server(args.has_files())?;
    let has_console = args.console.is_enabled();
    let (output, _log_writer) = TerminalOutput::for_server(has_console)
        .map_err(StartupError::system("cannot start a thread"))?;
    let _log_file = args.log.start(args.console.log_level(), &output)?;
    let manager = ServiceManager::from_environment();
    let network = wait_for_network(&args.relay, args.listen, &output, &manager)?;
    let (line_requests, requests) = mpsc::channel();
    let screen = || (args.console).screen(share, !args.no_sandbox, &output, line_requests);
    let user = args.console.fetches().then(screen);
    let mut console = has_console.then(|| ConsoleEvents::new(&output, args.log.rate()));
    let registration = manager.clone();
    let (mut queue, command) = args.messages.command(&args.user).unzip();
    let on_event = move |report: &NodeReport<'_>| {
        match &mut console {
            Some(console) => console.print(report),
            None => log_event(report),
        }
        if let (NodeEvent::Message(message), Some(queue)) = (&report.event, &mut queue) {
            queue.push(report.relay_index.unwrap_or(0), message);
        }
        if let NodeEvent::Registered(_)
        | NodeEvent::RegistrationFailed(_)
        | NodeEvent::Unreachable(_)
        | NodeEvent::Unregistered = report.event
        {
            registration.notify_status(report);
        }
    };
    let PreparedNode {
        mut reactor,
        addresses,
        id,
        share,
        command: _command,
    } = prepare(&args, network, on_event, user, command)?;
    // As long as this takes, signals end the program at once.
    let announcement =
        args.announce
            .announce(ServiceKind::Node, &addresses, id.map(|id| id.key))?;
    let patience = match has_console {
        true => Patience::None,
        false => Patience::UntilSecondSignal,
    };
    signals.stop(&mut reactor, &[], Exit::Aborted, patience)?;
    print_addresses(&output, &addresses, &share);
    print_id(&output, "peer-node", id, has_console);
    let settings = prompt_settings(&args, survives_hangup);
    let commands = args.console.first_commands();
    commands.for_each(|command| reactor.handle().send(command.into()));
    let _prompt = has_console
        .then(|| prompt::start(requests, reactor.handle(), &output, settings))
        .transpose()
        .map_err(StartupError::system("cannot start the console"))?;
    run_server(reactor, manager, announcement)
}

fn prompt_settings(args: &NodeArgs, survives_hangup: bool) -> PromptSettings {
    PromptSettings {
        help: HELP,
        history: args.history.path(),
        file: None,
        outlives_input: true,
        survives_hangup,
    }
}

/// A node that is ready to run.
pub(super) struct PreparedNode {
    pub(super) reactor: Reactor<Node<Folder>>,
    /// The addresses on which it listens, at least one, all with the same port.
    pub(super) addresses: Vec<SocketAddr>,
    /// Who it is, if it speaks TLS.
    id: Option<ServerId>,
    /// What it shares, such as `2 files (5 B) from /tmp`.
    share: String,
    /// The command for messages, if there is one.
    command: Option<RunningCommand>,
}

/// Binds the sockets, reads the folder and builds the node. `on_event` receives the
/// events of registration and messages. `user` is the user of the console, if there
/// is a console; `command` is run for messages.
pub(super) fn prepare(
    args: &NodeArgs,
    network: NodeNetwork,
    on_event: impl FnMut(&NodeReport<'_>) + 'static,
    user: Option<Screen>,
    command: Option<MessageCommand>,
) -> Result<PreparedNode, StartupError> {
    let folder = folder_to_share(args.share.as_deref())?;
    let NodeNetwork { relays, listen } = network;
    let (listeners, addresses) = bind_tcp(&listen, args.port)?;
    let sources = source_addresses(listen, args.advertise.0);
    let (sockets, udp) = udp_requests(args.udp, &network::addresses(&relays), &sources);
    let tls = args.tls.prepare("node")?;
    let (id, certificates) = (tls.id, tls.certificates.clone());
    let now = Instant::now();
    let access = args.access.settings(&tls)?;
    args.user.switch()?;
    let relay_tls = relay_tls(args, tls.certificates.clone())?;
    let connectors = relay_tls.connectors(&relays)?;
    let settings = reactor_settings(args, tls, access.secret.clone(), connectors, sources);
    let sandbox = (!args.no_sandbox).then(|| rights(args, &folder, user.is_some()));
    let (mut folder, scan_worker, hash_worker) = open_folder(&folder, args.folder)?;
    let share = describe(&mut folder);
    let changes = folder.inotify_fd();
    let claim = claim(args.advertise, &addresses)?;
    args.group
        .announce(&args.relay.browse, claim.1, !args.no_sandbox)?;
    let (registrars, look_ups) = registrars(&relays, claim, now);
    let mut node = Node::new(folder, registrars, args.limits.max_unknown, now, on_event);
    node.udp = udp;
    // An address that the user has chosen stays.
    node.choose_addresses = args.listen.is_none().then_some(local_addresses);
    node.certificates = certificates;
    let access = AccessControl::new(ServerKind::Node, &access, now);
    (node.http, node.access) = (args.http.settings(), access);
    let has_console = user.is_some() && args.console.is_enabled();
    if args.listen_messages || command.is_some() || (has_console && !args.no_listen_messages) {
        node.receive_messages(fastrand::u64(..));
    }
    node.console = user.map(|user| console(args, user, &relays)).transpose()?;
    let clock = Clock::with_suspends(now);
    let mut reactor = build_reactor(node, settings, listeners, sockets, clock)?;
    let command = start_command(&reactor, command)?;
    let relays = (&relays[..], look_ups);
    follow_relays(&reactor, &args.relay, relays, relay_tls, sandbox.is_some())?;
    start_workers(&reactor, args, scan_worker, hash_worker, sandbox)
        .map_err(StartupError::system("cannot start a thread"))?;
    if let Some(changes) = changes {
        let result = reactor.watch_external(changes);
        result.map_err(StartupError::system("cannot watch the folder"))?;
    }
    Ok(PreparedNode {
        reactor,
        addresses,
        id,
        share,
        command,
    })
}

/// The console, whose jobs ask these relays.
fn console(args: &NodeArgs, user: Screen, relays: &[FoundRelay]) -> Result<Console, StartupError> {
    let mode = args.access.secret.tls_mode(args.tls.mode(), args.udp)?;
    let limits = args.console.limits.clone().with_rates(&args.rates);
    let sources = relays.iter().map(|relay| relay.source.clone()).collect();
    let mut jobs = JobRunner::new(user, sources, limits);
    jobs.set_may_choose(args.console.is_enabled() && is_interactive());
    jobs.set_piece_order(fastrand::u64(..));
    jobs.set_node_tls(NodeTls::new(mode, None));
    Ok(Console::new(jobs, args.console.max_downloads))
}

/// How to connect to relays, those that are found later, too.
fn relay_tls(
    args: &NodeArgs,
    certificates: Option<Arc<Certificates>>,
) -> Result<RelayTls, StartupError> {
    Ok(RelayTls {
        mode: args.access.secret.tls_mode(args.tls.mode(), args.udp)?,
        is_udp: args.udp,
        certificates,
        file: KnownRelays::of_user(args.user.home()),
    })
}

fn reactor_settings(
    args: &NodeArgs,
    tls: ServerTls,
    secret: Option<Arc<GroupSecret>>,
    relay_tls: Vec<Option<TlsConnector>>,
    sources: Vec<IpAddr>,
) -> ReactorSettings {
    ReactorSettings {
        limits: args.limits.clone(),
        speaks_http: !args.http.no_http,
        tls: tls.acceptor,
        relay_tls,
        certificates: tls.certificates,
        node_ids: None,
        secret,
        timeouts: args.timeouts.clone(),
        rates: args.rates,
        read_size: SERVER_READ_SIZE,
        source_addresses: sources,
    }
}

/// Starts the thread of the command for messages, before the node gives up its rights.
fn start_command(
    reactor: &Reactor<Node<Folder>>,
    command: Option<MessageCommand>,
) -> Result<Option<RunningCommand>, StartupError> {
    let handle = reactor.handle();
    let answer = move |relay, to, text| handle.send(NodeMessage::Answer(relay, to, text));
    let command = command.map(|command| command.start(answer)).transpose();
    command.map_err(StartupError::system("cannot start a thread"))
}

/// The rights that a node needs after its start. Makes the files that the node writes: in its
/// sandbox, it cannot make them.
fn rights(args: &NodeArgs, share: &Path, fetches: bool) -> Sandbox {
    let hash_cache = args.hash_cache();
    // An error is reported when the file is used.
    let _ = hash_cache.as_deref().map(open_hash_cache);
    if !fetches {
        return rights::of_node(share, hash_cache, args.messages.on_message.is_some());
    }
    let is_read = args.console.is_enabled();
    let history = args.history.path().filter(|_| is_read);
    let _ = history.as_deref().map(open_history);
    let files = hash_cache.into_iter().chain(history);
    rights::of_console(share, files, args.console.save_folders(share))
}

/// Starts the threads that walk the folder, compute hashes, and look the relay up for each
/// of `look_ups`. From here on, this thread and the first two have the rights of `sandbox`.
fn start_workers(
    reactor: &Reactor<Node<Folder>>,
    args: &NodeArgs,
    scan_worker: ScanWorker,
    hash_worker: HashWorker,
    sandbox: Option<Sandbox>,
) -> io::Result<()> {
    if let Some(sandbox) = sandbox {
        // The threads of resolvers run already: they read the files that they need.
        rights::keep_only(&sandbox);
    }
    let handle = reactor.handle();
    let on_update = move |update| handle.send(NodeMessage::ShareUpdate(update));
    scan_worker.start(on_update.clone())?;
    if args.no_hashes {
        return Ok(());
    }
    hash_worker.start(args.hash_cache(), on_update)
}
