//! Starts `peer-client`.

use std::io::{self, IsTerminal};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::cli::StartupError;
use crate::cli::client_args::{ClientArgs, ClientCommand, GetArgs, ReporterArgs};
use crate::cli::console::is_interactive;
use crate::cli::exit::Exit;
use crate::cli::sockets::udp_routes;
use crate::client::{Client, Task};
use crate::download::{Destination, Printer, Target};
use crate::jobs::{HELP, Query};
use crate::limits::Limits;
use crate::protocol::{NodeAddress, Port};
use crate::reactor::{LoopOutcome, Reactor, ReactorSettings};
use crate::session::udp_requests::UdpRequests;
use crate::terminal::{Reporter, Screen, Style, TerminalOutput, prompt};

/// Bytes per read. Contents are long, so the buffer is large.
const READ_SIZE: usize = 1024 * 1024;

/// Starts the log and runs the client.
pub(super) fn run(args: &ClientArgs) -> Result<Exit, StartupError> {
    let output = TerminalOutput::default();
    args.log.start(args.reporter.log_level(), &output)?;
    run_client(args, &output)
}

/// Runs the client until its task is done. The log has been started.
pub(super) fn run_client(args: &ClientArgs, output: &TerminalOutput) -> Result<Exit, StartupError> {
    let (task, destination) = task(args.command.as_ref())?;
    let relay = args.relay.resolve()?;
    let can_choose = !args.reporter.json && is_interactive();
    let reads_lines = match &task {
        Task::Prompt | Task::Chat(..) => true,
        // The user may have to choose one of several contents.
        Task::Get(..) => can_choose,
        Task::Query(_) | Task::SendAndWait(..) => false,
    };
    let style = style(&args.reporter, destination.is_some());
    let destination =
        destination.unwrap_or_else(|| Destination::Print(Printer::new(args.reporter.raw)));
    let (prompt, requests) = prompt::channel();
    let reporter = Reporter::new(style, output.clone());
    let screen = Screen::new(reporter, destination, move |kind| prompt.request_line(kind));
    let (sockets, routes) = udp_routes(if args.udp { &relay } else { &[] }, &[]);
    let client = Client::new(screen, relay, args.max_nodes, task)
        .with_choices(can_choose)
        .with_udp(UdpRequests::new(&routes, fastrand::u64(..)));
    let settings = ReactorSettings {
        limits: Limits::default(),
        timeouts: args.timeouts.clone(),
        read_size: READ_SIZE,
        source_addresses: Vec::new(),
    };
    let mut reactor: Reactor<_> = Reactor::new(client, settings, Instant::now())
        .map_err(|error| StartupError::system("cannot start the loop", &error))?;
    for socket in sockets {
        reactor
            .add_datagram_socket(socket)
            .map_err(|error| StartupError::system("cannot use UDP", &error))?;
    }
    reactor
        .stop_on_signals()
        .and_then(|()| end_on_second_signal())
        .map_err(|error| StartupError::system("cannot handle signals", &error))?;
    let start = || prompt::start(requests, reactor.handle(), output, prompt_settings(args));
    let _prompt = reads_lines
        .then(start)
        .transpose()
        .map_err(|error| StartupError::system("cannot start the prompt", &error))?;
    let (client, outcome) = reactor
        .run()
        .map_err(|error| StartupError::system("poll", &error))?;
    Ok(match outcome {
        LoopOutcome::Finished => client.result().into(),
        LoopOutcome::Drained | LoopOutcome::Aborted(_) => Exit::Interrupted,
    })
}

/// The task, and where the contents go unless they are printed.
fn task(command: Option<&ClientCommand>) -> Result<(Task, Option<Destination>), StartupError> {
    let task = match command {
        None => Task::Prompt,
        Some(ClientCommand::Nodes) => Task::Query(Query::Nodes),
        Some(ClientCommand::Ls) => Task::Query(Query::Files(String::new())),
        Some(ClientCommand::Search { text }) => {
            Task::Query(Query::files(text).map_err(StartupError::usage)?)
        }
        Some(ClientCommand::Find { name }) => Task::Query(Query::Holders(name.clone())),
        Some(ClientCommand::Send {
            ip,
            port,
            text,
            wait,
        }) => {
            let (to, text) = (receiver(*ip, *port)?, text.clone());
            match wait {
                Some(wait) => Task::SendAndWait(to, text, *wait),
                None => Task::Query(Query::Message(to, text)),
            }
        }
        Some(ClientCommand::Chat { ip, port, wait }) => {
            let to = ip.zip(*port).map(|(ip, port)| receiver(ip, port));
            // A person who ends the input expects no more messages.
            let wait = match io::stdin().is_terminal() {
                true => Duration::ZERO,
                false => *wait,
            };
            Task::Chat(to.transpose()?, wait)
        }
        Some(ClientCommand::Get(get)) => {
            let names = get.names.iter().cloned().collect();
            return Ok((Task::Get(names, get.hash), destination(get)?));
        }
    };
    Ok((task, None))
}

/// Where files are saved, or none if they are printed.
fn destination(get: &GetArgs) -> Result<Option<Destination>, StartupError> {
    let target = match (&get.output, &get.dir) {
        (Some(file), _) if file.as_os_str() == "-" => return Ok(None),
        (Some(_), _) if get.names.len() > 1 => {
            return Err(StartupError::usage(
                "-o takes one file, but there are several names; write -d DIR",
            ));
        }
        (Some(file), _) => Target::File(file.clone()),
        (None, Some(folder)) => Target::Folder(folder.clone()),
        (None, None) => return Ok(None),
    };
    Ok(Some(Destination::save(target, get.force)))
}

fn receiver(ip: IpAddr, port: Port) -> Result<NodeAddress, StartupError> {
    NodeAddress::new(ip, port).map_err(StartupError::usage)
}

fn style(args: &ReporterArgs, saves_files: bool) -> Style {
    if args.json {
        return Style::Json {
            on_stdout: saves_files,
        };
    }
    Style::Human {
        quiet: args.quiet,
        // A progress bar would mix with content on the same terminal.
        progress: !args.quiet && (saves_files || !io::stdout().is_terminal()),
    }
}

fn prompt_settings(args: &ClientArgs) -> prompt::PromptSettings {
    let is_command_prompt = args.command.is_none();
    prompt::PromptSettings {
        help: HELP,
        // The history holds commands only.
        history: args.history.path().filter(|_| is_command_prompt),
        on_end_of_input: match is_command_prompt {
            true => prompt::OnEndOfInput::Exit,
            false => prompt::OnEndOfInput::Report,
        },
    }
}

/// The loop handles the first signal. It cannot handle one while it waits for a slow
/// reader of stdout. Then the second signal ends the program.
fn end_on_second_signal() -> io::Result<()> {
    let first = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_default(signal, Arc::clone(&first))?;
        flag::register(signal, Arc::clone(&first))?;
    }
    Ok(())
}
