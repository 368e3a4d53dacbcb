//! `peerline`: a whole network in one process, to be tried with nothing to set
//! up. Each role runs its own loop in its own thread, the same code as in the
//! programs of their own.

use std::ffi::OsStr;
use std::fmt;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use clap::Parser;

use crate::cli::exit::Exit;
use crate::cli::{HistoryArgs, LogArgs, StartupError, client, node, relay};
use crate::node::NodeEvent;
use crate::protocol::FileName;
use crate::reactor::Reactor;
use crate::role::Role;
use crate::terminal::TerminalOutput;

/// How long the nodes may take to be listed: all is on this machine.
const START: Duration = Duration::from_secs(10);

/// A relay, three nodes over files/peer1 to peer3, and a client: a whole
/// Peerline network on loopback.
#[derive(Clone, Debug, Parser)]
#[command(name = "peerline", version, max_term_width = 100)]
pub struct DemoArgs {
    /// Fetch these files and end; without a name, a prompt
    #[arg(value_name = "NAME", value_parser = client::file_name)]
    pub names: Vec<FileName<'static>>,
    /// The folder whose sub-folders are shared, one node each
    #[arg(long, value_name = "DIR")]
    pub files: Option<PathBuf>,
    /// How to talk.
    #[command(flatten)]
    pub talk: client::ReporterArgs,
    /// What is kept of the prompt.
    #[command(flatten)]
    pub history: HistoryArgs,
    /// The log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// Starts the network and runs the client in it.
///
/// # Errors
/// A part of it cannot start.
pub fn run(args: &DemoArgs) -> Result<Exit, StartupError> {
    // The client's: it waits for its reader, and loses nothing.
    let voice = TerminalOutput::default();
    args.log.start(args.talk.log_level(), &voice)?;
    let shares = shares(args.files.as_deref())?;
    let (relay, relay_address) = start_relay()?;
    let mut nodes = Vec::new();
    for share in &shares {
        nodes.push(start_node(relay_address, share)?);
    }
    if args.names.is_empty() && !args.talk.quiet && !args.talk.json {
        voice.say(Welcome {
            relay: relay_address,
            node: nodes.first().map(|(_, address)| *address),
        });
    }
    let result = client::work(&client_args(args, relay_address), &voice);
    for (node, _) in nodes {
        node.stop();
    }
    relay.stop();
    result
}

/// A role that runs in its own thread.
struct Running {
    stop: Box<dyn FnOnce()>,
    thread: JoinHandle<()>,
}

impl Running {
    /// Waits until it has said goodbye.
    fn stop(self) {
        (self.stop)();
        if self.thread.join().is_err() {
            log::error!("a part of the network has failed");
        }
    }
}

/// RunsJobs in a new thread what `prepare` makes there; a loop never changes threads.
fn start<R, S>(
    name: &str,
    prepare: impl FnOnce() -> Result<(Reactor<R>, S), StartupError> + Send + 'static,
) -> Result<(Running, S), StartupError>
where
    R: Role,
    R::File: AsFd,
    S: Send + 'static,
{
    let (sender, receiver) = mpsc::channel();
    let body = move || match prepare() {
        Ok((reactor, facts)) => {
            let handle = reactor.handle();
            if sender.send(Ok((handle, facts))).is_ok()
                && let Err(error) = reactor.run()
            {
                log::error!("poll: {error}");
            }
        }
        // If nobody waits for it, there is nobody to tell.
        Err(failure) => drop(sender.send(Err(failure))),
    };
    let thread = thread::Builder::new()
        .name(name.into())
        .spawn(body)
        .map_err(|error| StartupError::system("a thread cannot start", &error))?;
    let (handle, facts) = receiver
        .recv()
        .map_err(|_| StartupError::new(Exit::System, "a part of the network has failed"))??;
    let stop = Box::new(move || handle.stop());
    Ok((Running { stop, thread }, facts))
}

fn start_relay() -> Result<(Running, SocketAddr), StartupError> {
    start("relay", || {
        let args = relay::RelayArgs::parse_from(["relay-server", "0"]);
        let (reactor, addresses) = relay::prepare(&args)?;
        Ok((reactor, addresses[0]))
    })
}

/// Starts a node and waits until the relay lists it.
fn start_node(relay: SocketAddr, share: &Path) -> Result<(Running, SocketAddr), StartupError> {
    let (ip, port) = (relay.ip().to_string(), relay.port().to_string());
    let share = share.as_os_str().to_owned();
    let (sender, registered) = mpsc::channel();
    let (running, address) = start("node", move || {
        let args = [
            OsStr::new("peer-node"),
            ip.as_ref(),
            port.as_ref(),
            "--share".as_ref(),
            &share,
            "--no-hash-cache".as_ref(),
        ];
        let args = node::NodeArgs::parse_from(args);
        let (reactor, serving) = node::prepare(
            &args,
            move |news| {
                if let NodeEvent::Registered(_) = news {
                    // Only the first one is waited for.
                    let _ = sender.send(());
                }
            },
            None,
        )?;
        Ok((reactor, serving.addresses[0]))
    })?;
    registered.recv_timeout(START).map_err(|_| {
        StartupError::new(
            Exit::System,
            "a node of this process does not reach its relay",
        )
    })?;
    Ok((running, address))
}

fn client_args(args: &DemoArgs, relay: SocketAddr) -> client::ClientArgs {
    let (ip, port) = (relay.ip().to_string(), relay.port().to_string());
    let mut client = client::ClientArgs::parse_from(["peer-client", &ip, &port]);
    client.talk = args.talk.clone();
    client.history = args.history.clone();
    if !args.names.is_empty() {
        client.command = Some(client::ClientCommand::Get(client::GetArgs {
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
fn shares(files: Option<&Path>) -> Result<Vec<PathBuf>, StartupError> {
    let files = match files {
        Some(files) => files.to_owned(),
        // Under `cargo run` it need not be the current folder.
        None => match std::env::var_os("CARGO_MANIFEST_DIR") {
            Some(project) if !Path::new("files").is_dir() => Path::new(&project).join("files"),
            Some(_) | None => "files".into(),
        },
    };
    let failed = |why: &str| {
        StartupError::new(
            Exit::Share,
            format!(
                "{}: {why}; run it where files/peer1 to files/peer3 are, or give --files DIR",
                files.display()
            ),
        )
    };
    let mut shares: Vec<PathBuf> = std::fs::read_dir(&files)
        .map_err(|error| failed(&error.to_string()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir())
        .collect();
    shares.sort();
    if shares.is_empty() {
        return Err(failed("no folder to share in it"));
    }
    Ok(shares)
}

/// What one can type in a second terminal.
struct Welcome {
    relay: SocketAddr,
    node: Option<SocketAddr>,
}

impl fmt::Display for Welcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "A Peerline network runs in this process. In a second terminal, try:"
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
            "Here, type the name of a file, such as hello.txt, or help."
        )
    }
}
