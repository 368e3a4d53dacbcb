//! Peerline side by side with other servers and with what the machine leaves to
//! reach: `cargo bench --bench compare`.
//!
//! The real programs, those that are installed of nginx, Redis, memcached, curl
//! and aria2, and a *limit* program that does nothing but the transfer take turns
//! within one run. Servers have one processor, the load another one; every reply
//! is checked, and a wrong or lost one makes the run fail.
//!
//! - [`work`]: what is compared, and what is demanded.
//! - [`peers`], [`ours`], [`limit`]: who is compared.
//! - [`load`], [`datagrams`], [`exchange`]: the load, and what must be answered.
//! - [`series`], [`report`]: rounds, and what is printed of them.
//! - [`process`], [`machine`]: programs, processors, the network.

mod datagrams;
mod exchange;
mod limit;
mod load;
mod machine;
mod ours;
mod peers;
mod process;
mod report;
mod series;
mod work;

use std::env;
use std::io;
use std::process::ExitCode;

use clap::Parser;

use crate::machine::Side;
use crate::work::{Bench, WORKLOADS, Workload};

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
    /// What cargo says to every benchmark
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
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs what was asked for; returns whether all answers were right.
fn compare(args: &Args, own: &[String]) -> io::Result<bool> {
    if args.list {
        for Workload { name, about, .. } in WORKLOADS {
            println!("{name:<12}{about}");
        }
        return Ok(true);
    }
    if !args.here {
        let inside = [own, &["--here".to_owned()]].concat();
        let error = machine::enter_own_network(&inside);
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
    eprintln!("{}", machine::describe());
    if let Some(missing) = peers::missing() {
        eprintln!("{missing}");
    }
    machine::settle(Side::Load)?;
    // Ten thousand connections are open files.
    peerline::reactor::raise_limit();
    let bench = Bench::new()?;
    let (mut reached, mut demanded, mut faults) = (0, 0, 0);
    for work in chosen {
        let outcomes = (work.run)(&bench)
            .map_err(|error| io::Error::other(format!("{}: {error}", work.name)))?;
        for outcome in outcomes {
            if args.json {
                println!("{}", outcome.json());
            } else {
                print!("{}", outcome.table());
            }
            demanded += outcome.verdicts.len();
            let verdicts = outcome.verdicts.iter();
            reached += verdicts
                .filter(|verdict| verdict.is_reached == Some(true))
                .count();
            faults += outcome.faults();
        }
    }
    eprintln!("{reached} of {demanded} demands reached, {faults} answers wrong or lost");
    Ok(faults == 0)
}
