//! `peer-client`

use std::io::{self, IsTerminal};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use log::LevelFilter;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::cli::console::has_terminal;
use crate::cli::{HistoryArgs, LogArgs, StartupError, datagram_routes, port, resolve};
use crate::client::{Client, Task};
use crate::download::{Destination, Printer, Target};
use crate::exit::Exit;
use crate::jobs::{HELP, Query};
use crate::limits::{self, Limits, Timeouts};
use crate::protocol::{ContentHash, FileName, NodeAddress, Port, Text};
use crate::reactor::{LoopOutcome, Reactor, ReactorSettings};
use crate::session::udp_requests::UdpRequests;
use crate::terminal::{Reporter, Screen, Style, TerminalOutput, prompt};

/// Bytes read at once: bodies are long.
const READ_SIZE: usize = 1024 * 1024;

/// Fetches files by name from a Peerline network: asks the relay for its nodes,
/// then one node after the other for the file.
///
/// Without a command it takes names of files and commands at a prompt; `help`
/// lists them.
#[derive(Clone, Debug, Parser)]
#[command(name = "peer-client", version, max_term_width = 100)]
pub struct ClientArgs {
    /// The relay: a host name or an address
    pub relay_addr: String,
    /// The relay's port
    #[arg(value_parser = port)]
    pub relay_port: Port,
    /// What to do; without it, a prompt
    #[command(subcommand)]
    pub command: Option<ClientCommand>,
    /// How to talk.
    #[command(flatten)]
    pub talk: ReporterArgs,
    /// Nodes that a relay may list
    #[arg(long, value_name = "N", default_value = "1000000", global = true)]
    pub max_nodes: u64,
    /// Ask the relay over UDP, and over TCP what does not fit or where that fails
    #[arg(long, global = true)]
    pub udp: bool,
    /// How long to wait for relay and nodes.
    #[command(flatten)]
    pub patience: Timeouts,
    /// What is kept of the prompt.
    #[command(flatten)]
    pub history: HistoryArgs,
    /// The log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// How the client talks to its user.
#[derive(Clone, Debug, clap::Args)]
pub struct ReporterArgs {
    /// Say only what went wrong
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Log everything
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Give results as JSON, one object a line: on stdout if no content goes there
    #[arg(long, global = true)]
    pub json: bool,
    /// Print control characters and binary content on a terminal as they are
    #[arg(long, global = true)]
    pub raw: bool,
}

impl ReporterArgs {
    pub(super) fn log_level(&self) -> LevelFilter {
        if self.verbose {
            LevelFilter::Debug
        } else {
            LevelFilter::Warn
        }
    }
}

/// What a client is asked to do.
#[derive(Clone, Debug, Subcommand)]
pub enum ClientCommand {
    /// Fetch files and print them, or save them
    Get(GetArgs),
    /// List the nodes that the relay knows
    Nodes,
    /// List all files that the nodes have announced
    Ls,
    /// List the files whose names contain a text, whatever the case
    Search {
        /// The text; without it, all files
        #[arg(default_value = "")]
        text: String,
    },
    /// List who has a file of exactly this name: ip port size hash
    Find {
        /// The file's name
        #[arg(value_parser = file_name)]
        name: FileName<'static>,
    },
    /// Send a message to whoever listens at an address
    Send {
        /// The listener's address
        ip: IpAddr,
        /// The listener's port
        #[arg(value_parser = port)]
        port: Port,
        /// What to say
        #[arg(value_parser = text)]
        text: Text<'static>,
        /// Listen first, and print what arrives in so many seconds: ip port text
        #[arg(long, value_name = "SECONDS", value_parser = limits::seconds)]
        wait: Option<Duration>,
    },
    /// Lead a conversation: say what is typed, print what arrives; /quit ends it
    Chat {
        /// Who is to hear it; without an address, whoever wrote last
        #[arg(requires = "port")]
        ip: Option<IpAddr>,
        /// Its port
        #[arg(value_parser = port)]
        port: Option<Port>,
        /// Seconds to listen on after the end of input, unless that is a terminal
        #[arg(long, value_name = "SECONDS", default_value = "1",
              value_parser = limits::seconds_or_none)]
        wait: Duration,
    },
}

/// What to fetch, and where to put it.
#[derive(Clone, Debug, clap::Args)]
pub struct GetArgs {
    /// The files' names
    #[arg(value_name = "NAME", required = true, value_parser = file_name)]
    pub names: Vec<FileName<'static>>,
    /// Fetch only the content with this hash, and check that it has it
    #[arg(long, value_name = "HASH", value_parser = content_hash)]
    pub hash: Option<ContentHash>,
    /// Save to this file; - is stdout
    #[arg(short, long, value_name = "FILE", conflicts_with = "dir")]
    pub output: Option<PathBuf>,
    /// Save into this folder, under the files' own names
    #[arg(short, long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Replace files that exist
    #[arg(short, long)]
    pub force: bool,
}

/// RunsJobs the client until its work is done.
///
/// # Errors
/// It cannot start, or the system's poll fails.
pub fn run(args: &ClientArgs) -> Result<Exit, StartupError> {
    let voice = TerminalOutput::default();
    args.log.start(args.talk.log_level(), &voice)?;
    work(args, &voice)
}

/// The same, where the log runs already.
pub(super) fn work(args: &ClientArgs, voice: &TerminalOutput) -> Result<Exit, StartupError> {
    let relay = resolve(&args.relay_addr, args.relay_port.get())?;
    let (task, destination) = match &args.command {
        None => (Task::Prompt, None),
        Some(ClientCommand::Nodes) => (Task::Ask(Query::Nodes), None),
        Some(ClientCommand::Ls) => (Task::Ask(Query::Files(String::new())), None),
        Some(ClientCommand::Search { text }) => {
            let question = Query::files(text)
                .map_err(|why| StartupError::new(Exit::Usage, why.to_string()))?;
            (Task::Ask(question), None)
        }
        Some(ClientCommand::Find { name }) => (Task::Ask(Query::Holders(name.clone())), None),
        Some(ClientCommand::Send {
            ip,
            port,
            text,
            wait,
        }) => {
            let (to, text) = (listener(*ip, *port)?, text.clone());
            let task = match wait {
                Some(wait) => Task::SendAndWait(to, text, *wait),
                None => Task::Ask(Query::Message(to, text)),
            };
            (task, None)
        }
        Some(ClientCommand::Chat { ip, port, wait }) => {
            let to = ip.zip(*port).map(|(ip, port)| listener(ip, port));
            // A person who ends the input has heard enough.
            let wait = match io::stdin().is_terminal() {
                true => Duration::ZERO,
                false => *wait,
            };
            (Task::Chat(to.transpose()?, wait), None)
        }
        Some(ClientCommand::Get(get)) => {
            let names = get.names.iter().cloned().collect();
            (Task::Get(names, get.hash), saving(get)?)
        }
    };
    let may_ask = !args.talk.json && has_terminal();
    let listening = match &task {
        Task::Prompt | Task::Chat(..) => true,
        // The user may have to choose one of several contents.
        Task::Get(..) => may_ask,
        Task::Ask(_) | Task::SendAndWait(..) => false,
    };
    let style = style(&args.talk, destination.is_some());
    let destination =
        destination.unwrap_or_else(|| Destination::Print(Printer::new(args.talk.raw)));
    let (asker, asked) = prompt::channel();
    let talk = Reporter::new(style, voice.clone());
    let screen = Screen::new(talk, destination, move |wanted| asker.ask(wanted));
    let by_udp: &[SocketAddr] = if args.udp { &relay } else { &[] };
    let (sockets, routes) = datagram_routes(by_udp, &[]);
    let client = Client::new(screen, relay, args.max_nodes, task)
        .asking(may_ask)
        .by_datagrams(UdpRequests::new(&routes, fastrand::u64(..)));
    let settings = ReactorSettings {
        limits: Limits::default(),
        timeouts: args.patience.clone(),
        read_size: READ_SIZE,
        source_addresses: Vec::new(),
    };
    let mut reactor = Reactor::new(client, settings, Instant::now())
        .map_err(|error| StartupError::system("the loop cannot start", &error))?;
    for socket in sockets {
        reactor
            .add_datagram_socket(socket)
            .map_err(|error| StartupError::system("UDP", &error))?;
    }
    reactor
        .stop_on_signals()
        .and_then(|()| end_on_second_signal())
        .map_err(|error| StartupError::system("signals", &error))?;
    let _prompt = if listening {
        let settings = prompt::PromptSettings {
            help: HELP,
            // Without commands there is nothing to be brought back.
            history: args.history.path().filter(|_| args.command.is_none()),
            at_end: match args.command {
                None => prompt::AtEnd::Ends,
                Some(_) => prompt::AtEnd::IsTold,
            },
        };
        let prompt = prompt::start(asked, reactor.handle(), voice, settings);
        Some(prompt.map_err(|error| StartupError::system("the prompt cannot start", &error))?)
    } else {
        None
    };
    let (client, outcome) = reactor
        .run()
        .map_err(|error| StartupError::system("poll", &error))?;
    Ok(match outcome {
        LoopOutcome::Finished => client.exit(),
        LoopOutcome::Drained | LoopOutcome::Aborted(_) => Exit::Interrupted,
    })
}

/// The loop hears the first signal. While it waits for a slow reader of our
/// output it hears nothing: then the second one ends the program.
fn end_on_second_signal() -> io::Result<()> {
    let first = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_default(signal, Arc::clone(&first))?;
        flag::register(signal, Arc::clone(&first))?;
    }
    Ok(())
}

/// Where files are saved, unless they are printed.
fn saving(get: &GetArgs) -> Result<Option<Destination>, StartupError> {
    let target = match (&get.output, &get.dir) {
        (Some(file), _) if file.as_os_str() == "-" => return Ok(None),
        (Some(_), _) if get.names.len() > 1 => {
            return Err(StartupError::new(
                Exit::Usage,
                "-o takes one file, but there are several names; use -d DIR",
            ));
        }
        (Some(file), _) => Target::File(file.clone()),
        (None, Some(folder)) => Target::Folder(folder.clone()),
        (None, None) => return Ok(None),
    };
    Ok(Some(Destination::save(target, get.force)))
}

fn style(talk: &ReporterArgs, saving: bool) -> Style {
    if talk.json {
        return Style::Json { on_stdout: saving };
    }
    Style::People {
        quiet: talk.quiet,
        // Content on the same terminal would meet the bar.
        progress: !talk.quiet && (saving || !io::stdout().is_terminal()),
    }
}

/// Where somebody may listen.
fn listener(ip: IpAddr, port: Port) -> Result<NodeAddress, StartupError> {
    NodeAddress::new(ip, port).map_err(|why| StartupError::new(Exit::Usage, why.to_string()))
}

fn content_hash(text: &str) -> Result<ContentHash, String> {
    text.parse().map_err(|_| "64 hex digits are needed".into())
}

fn text(text: &str) -> Result<Text<'static>, String> {
    match Text::parse(text) {
        Ok(text) => Ok(text.into_owned()),
        Err(why) => Err(why.to_string()),
    }
}

pub(super) fn file_name(text: &str) -> Result<FileName<'static>, String> {
    match FileName::parse(text) {
        Ok(name) => Ok(name.into_owned()),
        Err(why) => Err(why.to_string()),
    }
}
