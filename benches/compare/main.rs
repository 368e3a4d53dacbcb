//! Compares Peerline with other servers and with the limits of this machine:
//! `cargo bench --bench compare`.
//!
//! The real programs, the installed ones of nginx, Redis, memcached, curl and aria2, and
//! a *limit* program that does nothing but the transfer take turns within one run.
//! Servers run on one processor, the load on another one. Every reply is checked; a wrong
//! or missing one fails the run.
//!
//! - [`workload`]: what is compared, and the demands.
//! - [`own_programs`], [`other_servers`], [`limit`]: the contenders.
//! - [`tcp_load`], [`load_stream`], [`udp_load`], [`request_spec`]: the load, and the
//!   expected replies.
//! - [`rounds`], [`report`]: the rounds, and the report of them.
//! - [`process`], [`command`], [`host`], [`cleanup`]: programs, processors, the network,
//!   temporary folders.

#[path = "../shared/cleanup.rs"]
mod cleanup;
mod command;
#[path = "../shared/host.rs"]
mod host;
mod limit;
mod load_stream;
mod other_servers;
mod own_programs;
#[path = "../shared/process.rs"]
mod process;
mod report;
mod request_spec;
mod rounds;
mod tcp_load;
mod udp_load;
mod workload;

use std::env;
use std::io;
use std::process::ExitCode;

use clap::Parser;

use crate::host::CpuRole;
use crate::workload::{ScratchFolders, WORKLOADS, Workload};

/// Compares Peerline with other servers and with what the machine can do.
#[derive(Parser)]
#[command(name = "compare")]
struct Args {
    /// Workloads to run, by the beginning of their names; all without any
    names: Vec<String>,
    /// List the workloads
    #[arg(long)]
    list: bool,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    /// Stay in the network of this machine
    #[arg(long)]
    here: bool,
    /// Ignored; cargo passes it to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let outcome = match args.split_first() {
        Some((word, rest)) if word == process::LAUNCH => Err(process::launch(rest)),
        Some((word, rest)) if word == limit::WORD => limit::run(rest).map(|()| true),
        _ => compare(&Args::parse(), &args),
    };
    process::exit_code("compare", outcome)
}

/// Runs the chosen workloads. Returns whether all replies were right.
fn compare(args: &Args, own: &[String]) -> io::Result<bool> {
    if args.list {
        for Workload { name, about, .. } in WORKLOADS {
            println!("{name:<12}{about}");
        }
        return Ok(true);
    }
    if !args.here {
        let inside = [own, &["--here".to_owned()]].concat();
        let error = host::enter_network_namespace("ip link set lo up", &inside);
        eprintln!("no network of our own, so nothing runs under reno: {error}");
    }
    let chosen: Vec<&Workload> = WORKLOADS
        .iter()
        .filter(|work| {
            args.names.is_empty() || args.names.iter().any(|name| work.name.starts_with(name))
        })
        .collect();
    if chosen.is_empty() {
        return Err(io::Error::other("no such workload; --list lists them"));
    }
    eprintln!("{}", host::describe());
    if let Some(missing) = other_servers::missing() {
        eprintln!("{missing}");
    }
    host::pin_to_cpu(CpuRole::Load.cpu()?)?;
    // Ten thousand connections need as many descriptors.
    peerline::reactor::reserve_descriptors();
    let scratch = ScratchFolders::new()?;
    let (mut reached, mut demanded, mut faults) = (0, 0, 0);
    for work in chosen {
        let comparisons = (work.run)(&scratch)
            .map_err(|error| io::Error::other(format!("{}: {error}", work.name)))?;
        for outcome in comparisons {
            if args.json {
                println!("{}", outcome.json());
            } else {
                print!("{}", outcome.table());
            }
            demanded += outcome.demands.len();
            let demands = outcome.demands.iter();
            reached += demands
                .filter(|demand| demand.is_reached == Some(true))
                .count();
            faults += outcome.faults();
        }
    }
    eprintln!("{reached} of {demanded} demands reached, {faults} answers wrong or lost");
    Ok(faults == 0)
}
