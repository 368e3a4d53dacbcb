//! `peerline`: a whole network in one process, to try Peerline without any set-up.
//! Each role runs its own loop in its own thread, with the same code as in the
//! separate programs.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;

use crate::cli::client;
use crate::cli::client_args::{ClientArgs, ReporterArgs};
use crate::cli::logging::LogArgs;
use crate::cli::network::NodeNetwork;
use crate::cli::node::{self, NodeArgs};
use crate::cli::relay::{self, RelayArgs};
use crate::cli::sample_files::SampleFolder;
use crate::cli::signals::EndingSignals;
use crate::cli::startup_error::report;
use crate::cli::{Exit, StartupError, values};
use crate::jobs::FilePattern;
use crate::logging::OPERATOR;
use crate::node::{NodeEvent, NodeReport};
use crate::protocol::FileItem;
use crate::reactor::Reactor;
use crate::role::Role;
use crate::system_error::Reason;
use crate::terminal::{HistoryArgs, TerminalOutput};

/// How long a node may take to register. All parts are on this machine.
const REGISTRATION_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the client waits until the hashes of all files are known: what it fetches can
/// be verified then.
const HASH_TIMEOUT: Duration = Duration::from_secs(3);

/// How often the relay is asked for them.
const HASH_INTERVAL: Duration = Duration::from_millis(20);

const ABOUT: &str = "\
Runs a whole Peerline network in one process: a relay, three nodes and a client.

  peerline
  peerline hello.txt

The nodes share the sample files of the project, which are in the program.";

/// The command line of `peerline`.
#[derive(Parser)]
#[command(name = "peerline", version, about = ABOUT, max_term_width = 100)]
pub(super) struct DemoArgs {
    /// Fetch these files and end; without a name, show a prompt
    #[arg(value_name = "NAME", value_parser = values::file_pattern)]
    names: Vec<FilePattern>,
    /// Folder whose sub-folders are shared, one node per sub-folder, instead of the sample files
    #[arg(long, value_name = "DIR")]
    files: Option<PathBuf>,
    #[command(flatten)]
    reporter: ReporterArgs,
    #[command(flatten)]
    history: HistoryArgs,
    #[command(flatten)]
    log: LogArgs,
}

/// Runs the network until its client has finished.
pub(super) fn run(mut args: DemoArgs) -> Result<Exit, StartupError> {
    let is_json = args.reporter.json;
    args.log = args.log.or_json(is_json);
    report(is_json, || run_network(args))
}

fn run_network(args: DemoArgs) -> Result<Exit, StartupError> {
    let signals = EndingSignals::of_client()?;
    // Like a client, and unlike a server, it may wait for its reader.
    let output = TerminalOutput::default();
    let _log_file = args.log.start(args.reporter.log_level(), &output)?;
    let (folders, _samples) = match &args.files {
        Some(files) => (folders(files)?, None),
        None => {
            let samples = SampleFolder::create()
                .map_err(StartupError::system("cannot write the sample files"))?;
            (folders(samples.path())?, Some(samples))
        }
    };
    let (stop_relay, relay) = start_role("relay", || {
        // Everything is in one process, and the demo leaves no files behind.
        let mut args = RelayArgs::parse_from(["relay-server", "0", "--tls", "off"]);
        args.access.secret.ignore_variable();
        let (reactor, addresses, ..) = relay::prepare(&args)?;
        Ok((reactor, addresses[0]))
    })?;
    let (mut stop_nodes, mut nodes) = (Vec::new(), Vec::new());
    for folder in &folders {
        let (stop, address) = start_node(relay, folder)?;
        stop_nodes.push(stop);
        nodes.push(address);
    }
    wait_for_hashes(relay);
    if args.names.is_empty() && !args.reporter.quiet && !args.reporter.json {
        output.eprintln(welcome(relay, nodes[0]));
    }
    let result = client::run_client(client_args(args, relay), &output, &signals);
    for stop in stop_nodes {
        stop();
    }
    stop_relay();
    result
}

/// Shuts a role down and waits for the end of its thread.
type StopRole = Box<dyn FnOnce()>;

/// Starts a thread that calls `prepare` and runs the reactor. A reactor cannot move to
/// another thread. Returns the value that `prepare` returns beside the reactor.
fn start_role<R, S>(
    name: &str,
    prepare: impl FnOnce() -> Result<(Reactor<R>, S), StartupError> + Send + 'static,
) -> Result<(StopRole, S), StartupError>
where
    R: Role,
    R::File: AsFd,
    S: Send + 'static,
{
    let (sender, receiver) = mpsc::channel();
    let body = move || match prepare() {
        Ok((reactor, value)) => {
            let handle = reactor.handle();
            if sender.send(Ok((handle, value))).is_ok()
                && let Err(error) = reactor.run()
            {
                log::error!(target: OPERATOR, "poll: {error}");
            }
        }
        // Without a receiver, the program has ended.
        Err(error) => drop(sender.send(Err(error))),
    };
    let thread = thread::Builder::new()
        .name(name.into())
        .spawn(body)
        .map_err(StartupError::system("cannot start a thread"))?;
    let (handle, value) = receiver
        .recv()
        .map_err(|_| StartupError::new(Exit::System, "a thread of the network has failed"))??;
    let stop = move || {
        handle.stop();
        if thread.join().is_err() {
            log::error!(target: OPERATOR, "a thread of the network has failed");
        }
    };
    Ok((Box::new(stop), value))
}

/// Starts a node and waits until the relay lists it.
fn start_node(relay: SocketAddr, folder: &Path) -> Result<(StopRole, SocketAddr), StartupError> {
    let folder = folder.to_owned();
    let (sender, registered) = mpsc::channel();
    let node = start_role("node", move || {
        let relay = relay.to_string();
        let flags = ["--no-hash-cache", "--no-sandbox", "--tls", "off"];
        let words = ["peer-node", &relay].into_iter().chain(flags);
        let mut args = NodeArgs::parse_from(words);
        args.share = Some(folder);
        args.access.secret.ignore_variable();
        let on_event = move |report: &NodeReport<'_>| {
            if let NodeEvent::Registered(_) = report.event {
                // Only the first registration has a receiver.
                let _ = sender.send(());
            }
        };
        let network = NodeNetwork::find(&args.relay, None)?;
        let node = node::prepare(&args, network, on_event, None, None)?;
        Ok((node.reactor, node.addresses[0]))
    })?;
    registered
        .recv_timeout(REGISTRATION_TIMEOUT)
        .map_err(|_| StartupError::new(Exit::System, "a node cannot register with its relay"))?;
    Ok(node)
}

/// Waits until the relay lists the hashes of all files, but not for long.
fn wait_for_hashes(relay: SocketAddr) {
    let end = Instant::now() + HASH_TIMEOUT;
    while Instant::now() < end && matches!(lists_hashes(relay), Ok(false)) {
        thread::sleep(HASH_INTERVAL);
    }
}

/// Whether the relay lists files, each with its hash.
fn lists_hashes(relay: SocketAddr) -> io::Result<bool> {
    let mut relay = TcpStream::connect(relay)?;
    relay.set_read_timeout(Some(HASH_TIMEOUT))?;
    relay.write_all(b"SEARCH\nQUIT\n")?;
    let mut list = String::new();
    relay.read_to_string(&mut list)?;
    let lines = list.lines().skip(1);
    let mut files = lines
        .filter_map(|line| FileItem::parse(line).ok())
        .peekable();
    Ok(files.peek().is_some() && files.all(|file| file.hash.0.is_some()))
}

fn client_args(args: DemoArgs, relay: SocketAddr) -> ClientArgs {
    let mut words = vec!["peer-client".to_owned(), relay.to_string()];
    if !args.names.is_empty() {
        words.extend(["get", "--"].map(String::from));
        words.extend(args.names.iter().map(ToString::to_string));
    }
    let mut client_args = ClientArgs {
        reporter: args.reporter,
        history: args.history,
        ..ClientArgs::parse_from(words)
    };
    client_args.access.secret.ignore_variable();
    client_args
}

/// The folders to share: the sub-folders of `files`, in the order of their names.
fn folders(files: &Path) -> Result<Vec<PathBuf>, StartupError> {
    let error = |reason: String| {
        let path = files.display();
        let advice = "write --files DIR, a folder with one sub-folder for each node";
        StartupError::new(Exit::Share, format!("{path}: {reason}; {advice}"))
    };
    let mut folders: Vec<PathBuf> = std::fs::read_dir(files)
        .map_err(|reason| error(Reason(&reason).to_string()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    if folders.is_empty() {
        return Err(error("no sub-folder to share".into()));
    }
    Ok(folders)
}

/// What to try in a browser and in a second terminal.
fn welcome(relay: SocketAddr, node: SocketAddr) -> String {
    let page = relay;
    let [relay, node] = [relay, node].map(|to| format!("nc -N {} {}", to.ip(), to.port()));
    format!(
        "A Peerline network runs in this process. Open http://{page} in a browser,\n\
         or try in a second terminal:\n  \
           printf 'LIST\\n' | {relay}\n  \
           printf 'LIST\\n' | {node}\n  \
           printf 'GET hello.txt\\n' | {node}\n\
         Type the name of a file here, such as hello.txt, or help."
    )
}
