//! `peerline`: a whole network in one process, to try Peerline without any set-up.
//! Each role runs its own loop in its own thread, with the same code as in the
//! separate programs.

use std::ffi::OsStr;
use std::fmt;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use clap::Parser;

use crate::cli::client::run_client;
use crate::cli::client_args::{ClientCommand, GetArgs, ReporterArgs};
use crate::cli::exit::Exit;
use crate::cli::usage::Mistake;
use crate::cli::{
    ClientArgs, HistoryArgs, LogArgs, NodeArgs, Program, RelayArgs, StartupError, node, relay,
    values,
};
use crate::node::NodeEvent;
use crate::protocol::FileName;
use crate::reactor::Reactor;
use crate::role::Role;
use crate::terminal::TerminalOutput;

/// How long a node may take to register. All parts are on this machine.
const REGISTRATION_TIMEOUT: Duration = Duration::from_secs(10);

const ABOUT: &str = "\
Runs a whole Peerline network in one process: a relay, three nodes and a client.

  peerline
  peerline hello.txt

The nodes share the folders files/peer1 to files/peer3.";

/// The command line of `peerline`.
#[derive(Clone, Debug, Parser)]
#[command(name = "peerline", version, about = ABOUT, max_term_width = 100)]
pub struct DemoArgs {
    /// Fetch these files and end; without a name, show a prompt
    #[arg(value_name = "NAME", value_parser = values::file_name)]
    pub names: Vec<FileName<'static>>,
    /// Folder whose sub-folders are shared, one node per sub-folder
    #[arg(long, value_name = "DIR")]
    pub files: Option<PathBuf>,
    /// How to report.
    #[command(flatten)]
    pub reporter: ReporterArgs,
    /// The history of the prompt.
    #[command(flatten)]
    pub history: HistoryArgs,
    /// The log.
    #[command(flatten)]
    pub log: LogArgs,
}

impl Program for DemoArgs {
    fn run(&self) -> Result<Exit, StartupError> {
        // Like a client, and unlike a server, it may wait for its reader.
        let output = TerminalOutput::default();
        self.log.start(self.reporter.log_level(), &output)?;
        let folders = folders(self.files.as_deref())?;
        let (relay, relay_address) = start_relay()?;
        let mut nodes = Vec::new();
        for folder in &folders {
            nodes.push(start_node(relay_address, folder)?);
        }
        if self.names.is_empty() && !self.reporter.quiet && !self.reporter.json {
            output.eprintln(Welcome {
                relay: relay_address,
                node: nodes.first().map(|(_, address)| *address),
            });
        }
        let result = run_client(&client_args(self, relay_address), &output);
        for (node, _) in nodes {
            node.stop();
        }
        relay.stop();
        result
    }

    fn hint(_: &Mistake<'_>) -> Option<String> {
        None
    }
}

/// A role that runs in its own thread.
struct RoleThread {
    stop: Box<dyn FnOnce()>,
    thread: JoinHandle<()>,
}

impl RoleThread {
    /// Shuts the role down and waits for its end.
    fn stop(self) {
        (self.stop)();
        if self.thread.join().is_err() {
            log::error!("a thread of the network has failed");
        }
    }
}

/// Starts a thread that calls `prepare` and runs the reactor. A reactor cannot move to
/// another thread. Returns the value that `prepare` returns beside the reactor.
fn start_role<R, S>(
    name: &str,
    prepare: impl FnOnce() -> Result<(Reactor<R>, S), StartupError> + Send + 'static,
) -> Result<(RoleThread, S), StartupError>
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
                log::error!("poll: {error}");
            }
        }
        // Without a receiver, the program has ended.
        Err(error) => drop(sender.send(Err(error))),
    };
    let thread = thread::Builder::new()
        .name(name.into())
        .spawn(body)
        .map_err(|error| StartupError::system("cannot start a thread", &error))?;
    let (handle, value) = receiver
        .recv()
        .map_err(|_| StartupError::new(Exit::System, "a thread of the network has failed"))??;
    let stop = Box::new(move || handle.stop());
    Ok((RoleThread { stop, thread }, value))
}

fn start_relay() -> Result<(RoleThread, SocketAddr), StartupError> {
    start_role("relay", || {
        let args = RelayArgs::parse_from(["relay-server", "0"]);
        let (reactor, addresses) = relay::prepare(&args)?;
        Ok((reactor, addresses[0]))
    })
}

/// Starts a node and waits until the relay lists it.
fn start_node(relay: SocketAddr, folder: &Path) -> Result<(RoleThread, SocketAddr), StartupError> {
    let relay = relay.to_string();
    let folder = folder.as_os_str().to_owned();
    let (sender, registered) = mpsc::channel();
    let (thread, address) = start_role("node", move || {
        let args = [
            OsStr::new("peer-node"),
            relay.as_ref(),
            "--share".as_ref(),
            &folder,
            "--no-hash-cache".as_ref(),
        ];
        let args = NodeArgs::parse_from(args);
        let (reactor, serving) = node::prepare(
            &args,
            move |event| {
                if let NodeEvent::Registered(_) = event {
                    // Only the first registration has a receiver.
                    let _ = sender.send(());
                }
            },
            None,
        )?;
        Ok((reactor, serving.addresses[0]))
    })?;
    registered
        .recv_timeout(REGISTRATION_TIMEOUT)
        .map_err(|_| StartupError::new(Exit::System, "a node cannot register with its relay"))?;
    Ok((thread, address))
}

fn client_args(args: &DemoArgs, relay: SocketAddr) -> ClientArgs {
    let mut client = ClientArgs::parse_from(["peer-client", &relay.to_string()]);
    client.reporter = args.reporter.clone();
    client.history = args.history.clone();
    if !args.names.is_empty() {
        client.command = Some(ClientCommand::Get(GetArgs {
            names: args.names.clone(),
            hash: None,
            output: None,
            dir: None,
            force: false,
        }));
    }
    client
}

/// The folders to share: the sub-folders of `files`, in the order of their names.
fn folders(files: Option<&Path>) -> Result<Vec<PathBuf>, StartupError> {
    let files = match files {
        Some(files) => files.to_owned(),
        // `cargo run` may be called in another folder of the project.
        None => match std::env::var_os("CARGO_MANIFEST_DIR") {
            Some(project) if !Path::new("files").is_dir() => Path::new(&project).join("files"),
            Some(_) | None => "files".into(),
        },
    };
    let error = |reason: &str| {
        let files = files.display();
        let text = format!(
            "{files}: {reason}; change to the folder that contains files/peer1, or write --files DIR"
        );
        StartupError::new(Exit::Share, text)
    };
    let mut folders: Vec<PathBuf> = std::fs::read_dir(&files)
        .map_err(|reason| error(&reason.to_string()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    if folders.is_empty() {
        return Err(error("no sub-folder to share"));
    }
    Ok(folders)
}

/// Commands to try in a second terminal.
struct Welcome {
    relay: SocketAddr,
    node: Option<SocketAddr>,
}

impl fmt::Display for Welcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "A Peerline network runs in this process. Try in a second terminal:"
        )?;
        let (ip, port) = (self.relay.ip(), self.relay.port());
        writeln!(f, "  printf 'LIST\\n' | nc -N {ip} {port}")?;
        if let Some(node) = self.node {
            let (ip, port) = (node.ip(), node.port());
            writeln!(f, "  printf 'LIST\\n' | nc -N {ip} {port}")?;
            writeln!(f, "  printf 'GET hello.txt\\n' | nc -N {ip} {port}")?;
        }
        write!(
            f,
            "Type the name of a file here, such as hello.txt, or help."
        )
    }
}
