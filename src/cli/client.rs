//! `peer-client`: its start.

use std::io::{self, IsTerminal};
use std::net::IpAddr;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use signal_hook::consts::SIGINT;

use crate::cli::client_args::{ClientArgs, ClientCommand, ReporterArgs};
use crate::cli::client_servers::ClientServers;
use crate::cli::get;
use crate::cli::signals::{self, EndingSignals, Patience};
use crate::cli::sockets::udp_requests;
use crate::cli::startup_error::report;
use crate::cli::{Exit, StartupError, build_reactor, is_interactive, saving};
use crate::client::{Client, Task};
use crate::download::{Destination, FileWriter, Printer};
use crate::jobs::{FileSearch, HELP, JobRunner, Query, TerminalEvent};
use crate::limits::{JobLimits, Limits, RateLimits, Timeouts};
use crate::protocol::{NodeAddress, Port};
use crate::reactor::{Clock, LoopOutcome, Reactor, ReactorSettings};
use crate::terminal::prompt::{self, PromptSettings};
use crate::terminal::{Screen, Style, TerminalOutput};
use crate::tls::TlsConnector;

/// Bytes per read. Contents are long, so the buffer is large.
const READ_SIZE: usize = 1024 * 1024;

/// Starts the log and runs the client.
pub(super) fn run(mut args: ClientArgs) -> Result<Exit, StartupError> {
    let is_json = args.reporter.json;
    args.log = args.log.or_json(is_json);
    report(is_json, || {
        let signals = EndingSignals::of_client()?;
        let output = TerminalOutput::default();
        let _log_file = args.log.start(args.reporter.log_level(), &output)?;
        run_client(args, &output, &signals)
    })
}

/// Runs the client until its task is done, or until one of `signals` arrives. The log has
/// been started.
pub(super) fn run_client(
    mut args: ClientArgs,
    output: &TerminalOutput,
    signals: &EndingSignals,
) -> Result<Exit, StartupError> {
    let prompt_settings = prompt_settings(&args)?;
    let (limits, max_downloads) = job_limits(&args);
    args.relay.browse.patience = limits.wait;
    let (task, destination) = task(&mut args, output)?;
    let servers = ClientServers::find(&args, &task)?;
    // The lines of a list are names, not choices.
    let can_choose = !args.reporter.json && is_interactive() && !matches!(task, Task::GetList(_));
    let reads_lines = reads_lines(&task, can_choose);
    let is_prompt = task == Task::Prompt && is_interactive();
    let saves_files = destination.is_some();
    let saves_many = is_prompt || destination.as_ref().is_some_and(Destination::takes_many);
    let style = style(&args.reporter, saves_files);
    let destination = destination
        .unwrap_or_else(|| Destination::Print(Printer::new(args.reporter.raw, is_prompt)));
    let (line_requests, requests) = mpsc::channel();
    let (writer, writer_thread) = FileWriter::new();
    let screen = Screen::new(style, output, destination, line_requests)
        .with_rates(&args.rates)
        .with_writer(writer);
    let (sockets, udp) = udp_requests(args.udp, &servers.relay_addresses(), &[]);
    let mut jobs = JobRunner::new(screen, servers.sources, limits);
    jobs.set_may_choose(can_choose);
    jobs.set_node_tls(servers.node_tls);
    let mut client = Client::new(jobs, task);
    client.set_max_downloads(max_downloads);
    client.set_interactive(is_prompt);
    client.set_seed(fastrand::u64(..));
    if saves_files {
        client.set_saves_files();
    }
    client.udp = udp;
    let settings = ReactorSettings {
        secret: args.access.secret.read()?,
        certificates: servers.certificates,
        node_ids: servers.node_ids,
        ..reactor_settings(servers.tls, args.timeouts, args.rates)
    };
    let clock = Clock::with_suspends(Instant::now());
    let mut reactor = build_reactor(client, settings, Vec::new(), sockets, clock)?;
    handle_signals(&mut reactor, signals, is_prompt)?;
    args.relay
        .follow_nodes(servers.followed, reactor.handle())?;
    let _prompt = reads_lines
        .then(|| prompt::start(requests, reactor.handle(), output, prompt_settings))
        .transpose()
        .map_err(StartupError::system("cannot start the prompt"))?;
    let (result, outcome) = saving::run(reactor, saves_many.then_some(writer_thread))?;
    Ok(match outcome {
        LoopOutcome::Finished => match result.into() {
            Exit::Success if output.has_failed() => Exit::StoreError,
            exit => exit,
        },
        LoopOutcome::Drained | LoopOutcome::Aborted(_) => Exit::Interrupted,
    })
}

fn reactor_settings(
    relay_tls: Vec<Option<TlsConnector>>,
    timeouts: Timeouts,
    rates: RateLimits,
) -> ReactorSettings {
    ReactorSettings {
        limits: Limits::default(),
        speaks_http: false,
        tls: None,
        relay_tls,
        certificates: None,
        node_ids: None,
        secret: None,
        timeouts,
        rates,
        read_size: READ_SIZE,
        source_addresses: Vec::new(),
    }
}

/// The limits of the jobs, and the most files that are saved at once.
fn job_limits(args: &ClientArgs) -> (JobLimits, usize) {
    let (wait, max_downloads) = match &args.command {
        Some(ClientCommand::Get(get)) => (get.wait, get.max_downloads),
        Some(ClientCommand::Verify(verify)) => (verify.wait, get::MAX_DOWNLOADS),
        _ => (Duration::ZERO, get::MAX_DOWNLOADS),
    };
    let limits = args.limits.clone().with_rates(&args.rates);
    (JobLimits { wait, ..limits }, max_downloads)
}

/// At a prompt, SIGINT stops a transfer. Elsewhere it ends the program.
fn handle_signals(
    reactor: &mut Reactor<Client>,
    signals: &EndingSignals,
    is_prompt: bool,
) -> Result<(), StartupError> {
    let handled: &[i32] = if is_prompt { &[SIGINT] } else { &[] };
    if is_prompt {
        let handle = reactor.handle();
        signals::handle_interrupts(move || handle.send(TerminalEvent::InterruptSignal.into()))?;
    }
    signals.stop(reactor, handled, Exit::Interrupted, Patience::None)
}

/// Whether the user types lines.
fn reads_lines(task: &Task, can_choose: bool) -> bool {
    match task {
        Task::Prompt | Task::Chat(..) | Task::GetList(_) => true,
        // The user may have to choose one of several contents.
        Task::Get(..) => can_choose,
        Task::Query(_) | Task::Search(_) | Task::SendAndWait(..) => false,
    }
}

fn prompt_settings(args: &ClientArgs) -> Result<PromptSettings, StartupError> {
    let file = match &args.command {
        Some(ClientCommand::Get(get)) => get.open_list()?,
        _ => None,
    };
    // The history holds commands only.
    let history = args.command.is_none().then(|| args.history.path());
    Ok(PromptSettings {
        help: HELP,
        history: history.flatten(),
        file,
        outlives_input: false,
        survives_hangup: false,
    })
}

/// The task, and where the contents go unless they are printed.
fn task(
    args: &mut ClientArgs,
    output: &TerminalOutput,
) -> Result<(Task, Option<Destination>), StartupError> {
    let task = match args.command.take() {
        None => Task::Prompt,
        Some(ClientCommand::Nodes) => Task::Query(Query::Nodes),
        Some(ClientCommand::Who) => Task::Query(Query::Listeners),
        Some(ClientCommand::Ls { long }) => Task::Search(FileSearch::all(long)),
        Some(ClientCommand::Search { text, long }) => {
            Task::Search(FileSearch::parse(&text, long).map_err(StartupError::usage)?)
        }
        Some(ClientCommand::Find { name }) => Task::Query(Query::Holders(name)),
        Some(ClientCommand::Send {
            ip,
            port,
            text,
            wait,
        }) => {
            let to = receiver(ip, port)?;
            match wait {
                Some(wait) => Task::SendAndWait(to, text, wait),
                None => Task::Query(Query::Message(to, text)),
            }
        }
        Some(ClientCommand::Chat { ip, port, wait }) => {
            let to = ip.zip(port).map(|(ip, port)| receiver(ip, port));
            // A person who ends the input expects no more messages.
            let wait = match io::stdin().is_terminal() {
                true => Duration::ZERO,
                false => wait,
            };
            Task::Chat(to.transpose()?, wait)
        }
        Some(ClientCommand::Verify(verify)) => return verify.task(args.command_start()),
        Some(ClientCommand::Get(get)) => {
            return Ok((get.task(), get.destination(output)?));
        }
    };
    Ok((task, None))
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
        verbose: args.verbose,
        // A progress bar would mix with content on the same terminal.
        progress: !args.quiet && (saves_files || !io::stdout().is_terminal()),
    }
}
