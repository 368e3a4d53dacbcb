//! Attacks the servers and measures meanwhile how long honest users wait:
//! `cargo bench --bench load`.
//!
//! The real programs run on one processor, the users and the attackers on another one,
//! each crowd of attackers in a thread of lower priority. Users and attackers have
//! addresses of their own, in a network namespace if the system allows it. The program
//! fails if a demand is missed.
//!
//! - [`rows`]: the attacks, and the memory that each may cost.
//! - [`habits`], [`users`]: what honest users do, and how long they wait.
//! - [`attackers`], [`datagrams`]: the attackers.
//! - [`servers`], [`network`], [`process`], [`host`], [`cleanup`]: programs, addresses,
//!   processors, temporary folders.
//! - [`report`], [`soak`]: the table, and what must not grow from line to line of a soak.

mod attackers;
#[path = "../shared/cleanup.rs"]
mod cleanup;
mod datagrams;
mod habits;
#[path = "../shared/host.rs"]
mod host;
mod network;
#[path = "../shared/process.rs"]
mod process;
mod report;
mod rows;
mod servers;
mod soak;
mod users;

use std::env;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use clap::Parser;
use tempfile::TempDir;

use crate::attackers::{Attackers, Damage};
use crate::host::CpuRole;
use crate::network::Network;
use crate::report::Measured;
use crate::rows::{ALL, Crowd, ROWS, Row, Script};
use crate::servers::{Servers, Target};
use crate::soak::Soak;

/// The time of a row.
const TIME: Duration = Duration::from_secs(10);
const QUICK_TIME: Duration = Duration::from_millis(2500);
/// The time of a line of a soak.
const SOAK_TIME: Duration = Duration::from_secs(60);
/// The files of the node.
const FILES: usize = 100_000;
const QUICK_FILES: usize = 10_000;
/// The group of the addresses of the first crowd.
const FIRST_GROUP: u8 = 16;
/// Descriptors of this program that attackers leave to others.
const RESERVE: u64 = 1024;
/// The lowest priority (nice(2)).
const LOWEST_PRIORITY: i32 = 19;

/// Attacks the servers and measures how long honest users wait meanwhile.
#[derive(Parser)]
#[command(name = "load")]
struct Args {
    /// Rows to run, by the beginning of their names; all without any
    names: Vec<String>,
    /// List the rows
    #[arg(long)]
    list: bool,
    /// A few seconds for each row
    #[arg(long)]
    quick: bool,
    /// Succeed if all rows ran, also if demands are missed: for a noisy machine
    #[arg(long)]
    report_only: bool,
    /// Attack the same servers for this long, with a line a minute; the row is `all`
    /// unless others are named
    #[arg(long, value_name = "MINUTES")]
    soak: Option<u32>,
    /// Stay in the network of this machine
    #[arg(long)]
    here: bool,
    /// The program is in a network namespace of its own
    #[arg(long, hide = true)]
    inside: bool,
    /// Ignored; cargo passes it to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let outcome = match args.split_first() {
        Some((word, rest)) if word == process::LAUNCH => Err(process::launch(rest)),
        _ => load(&Args::parse(), &args),
    };
    process::exit_code("load", outcome)
}

/// Runs the chosen rows. Returns whether all demands are met.
fn load(args: &Args, own: &[String]) -> io::Result<bool> {
    if args.list {
        for Row { name, about, .. } in ROWS {
            println!("{name:<12}{about}");
        }
        return Ok(true);
    }
    if !args.here && !args.inside {
        let inside = [own, &["--inside".to_owned()]].concat();
        let error = host::enter_network_namespace(Network::SETUP, &inside);
        eprintln!("no network of our own, so no limits by address apply: {error}");
    }
    let network = match args.inside {
        true => Network::OWN,
        false => Network::LOOPBACK,
    };
    let rows = chosen_rows(args)?;
    eprintln!("{}", host::describe());
    host::pin_to_cpu(CpuRole::Load.cpu()?)?;
    let most = peerline::reactor::reserve_descriptors().saturating_sub(RESERVE) as usize;
    let files = if args.quick { QUICK_FILES } else { FILES };
    let time = match (args.soak, args.quick) {
        (Some(_), _) => SOAK_TIME,
        (None, true) => QUICK_TIME,
        (None, false) => TIME,
    };
    let folder = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new())?;
    cleanup::remove_on_signal(vec![folder.path().to_owned()])?;
    servers::create_share(folder.path(), files)?;
    println!("{}", report::head());
    let mut is_met = true;
    for row in rows {
        let settings = (row.relay_args, row.node_descriptors);
        let mut servers = Servers::start(network, settings, folder.path(), files)?;
        let soak = |_| Soak::start(&servers, row.targets());
        let mut soak = args.soak.map(soak).transpose()?;
        for _ in 0..args.soak.unwrap_or(1) {
            let mut measured = measure(network, &mut servers, row, time, most)
                .map_err(|error| io::Error::other(format!("{}: {error}", row.name)))?;
            if let Some(soak) = &mut soak {
                measured.growth = soak.growth(&servers, &measured)?;
            }
            let (line, is_row_met) = measured.line(row);
            println!("{line}");
            is_met &= is_row_met;
        }
    }
    Ok(is_met || args.report_only)
}

fn chosen_rows(args: &Args) -> io::Result<Vec<&'static Row>> {
    if args.names.is_empty() && args.soak.is_some() {
        return Ok(vec![&ALL]);
    }
    let is_chosen = |row: &&Row| {
        args.names.is_empty() || args.names.iter().any(|name| row.name.starts_with(name))
    };
    let rows: Vec<&Row> = ROWS.iter().filter(is_chosen).collect();
    if rows.is_empty() {
        return Err(io::Error::other("no such row; --list lists them"));
    }
    Ok(rows)
}

/// Attacks the servers for a time, and measures how long the users wait.
fn measure(
    network: Network,
    servers: &mut Servers,
    row: &Row,
    time: Duration,
    most: usize,
) -> io::Result<Measured> {
    let targets = row.targets();
    let mut users = users::create(network, servers, &targets)?;
    let under_attack: Vec<_> = targets.iter().map(|target| servers.get(*target)).collect();
    let before: Vec<Duration> = under_attack
        .iter()
        .map(|server| server.processor_time())
        .collect();
    let (log_before, waited) = (log_size(servers, &targets)?, waited_for(servers, &targets)?);
    let stop = Arc::new(AtomicBool::new(false));
    let start = Instant::now();
    let mut crowds = Vec::new();
    for (group, crowd) in (FIRST_GROUP..).zip(row.crowds) {
        let crowd = attack(*crowd, (network, group), servers, most, &stop)?;
        crowds.push(crowd);
    }
    users::run(&mut users, time)?;
    let seconds = start.elapsed().as_secs_f64();
    let processor = under_attack.iter().zip(before);
    let processor = processor
        .map(|(server, before)| (server.processor_time() - before).as_secs_f64() / seconds)
        .collect();
    let memory = under_attack.iter().map(|server| server.memory("VmHWM"));
    let memory = memory
        .map(|bytes| Ok(bytes? >> 20))
        .collect::<io::Result<_>>();
    let kept_waiting = (waited_for(servers, &targets)? - waited).as_secs_f64() / seconds;
    let log = (log_size(servers, &targets)? - log_before) as f64 / seconds;
    stop.store(true, Ordering::Relaxed);
    let mut damage = Damage::default();
    for crowd in crowds {
        let Damage { connections, bytes } = crowd.join().expect("attackers do not panic")?;
        damage.connections += connections;
        damage.bytes += bytes;
    }
    servers.check_running()?;
    Ok(Measured {
        users,
        damage,
        memory: memory?,
        processor,
        kept_waiting,
        log: log as u64,
        growth: Vec::new(),
    })
}

/// The time that the servers have waited for their processor.
fn waited_for(servers: &Servers, targets: &[Target]) -> io::Result<Duration> {
    let times = targets
        .iter()
        .map(|target| servers.time_kept_waiting(*target));
    times.sum()
}

/// The size of the logs in bytes.
fn log_size(servers: &Servers, targets: &[Target]) -> io::Result<u64> {
    targets.iter().map(|target| servers.log_size(*target)).sum()
}

/// Lets a crowd attack in a thread of the lowest priority, so that users do not wait
/// for the attackers' processor.
fn attack(
    crowd: Crowd,
    (network, group): (Network, u8),
    servers: &Servers,
    most: usize,
    stop: &Arc<AtomicBool>,
) -> io::Result<JoinHandle<io::Result<Damage>>> {
    let stop = Arc::clone(stop);
    let server = servers.address(crowd.target);
    let listener = habits::listener(network);
    let attackers = Attackers::new(crowd, (network, group), server, listener, most)?;
    Ok(thread::spawn(move || {
        // On Linux each thread has a priority of its own.
        rustix::process::nice(LOWEST_PRIORITY)?;
        if let Script::Datagrams(text) = crowd.script {
            let addresses = (0..crowd.addresses).map(|number| network.address(group, number + 1));
            return datagrams::flood(addresses, server, text, &stop);
        }
        attackers.run(&stop)
    }))
}
