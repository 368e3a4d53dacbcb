//! A hundred thousand leases that end at once: nobody else should notice.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::Bench;
use super::served::fill;
use crate::exchange::Exchange;
use crate::load::{Group, Load, Until};
use crate::ours;
use crate::report::{Outcome, Unit};
use crate::series::Series;

const NODES: u32 = 100_000;
/// A node's address.
const NODE: &str = "10.1#0.1#1.1#2 4000";
/// The relay is held for so long that all leases are over when it goes on.
const HELD: Duration = Duration::from_secs(4);
/// How long others ask it then.
const WATCHED: Duration = Duration::from_secs(2);

const LATENCY: Unit = Unit {
    name: "milliseconds",
    more_is_better: false,
    each: "second",
};

pub(super) fn run(_: &Bench) -> io::Result<Vec<Outcome>> {
    let relay = ours::relay(&["--lease", "3"])?;
    let register = format!("REGISTER {NODE}\n");
    let reply = format!("OK 3 {NODE} 0\n");
    fill(&relay, Exchange::exact(register, reply, NODES))?;
    let pid = Pid::from_raw(relay.pid().cast_signed());
    let pid = pid.ok_or_else(|| io::Error::other("no process"))?;
    kill_process(pid, Signal::STOP)?;
    thread::sleep(HELD);
    let group = Group {
        exchange: Arc::new(Exchange::exact("PING\n", "PONG\n", 1)),
        connections: 1,
        in_flight: 1,
    };
    let mut load = Load::new(relay.address, vec![group])?;
    kill_process(pid, Signal::CONT)?;
    let samples = load.run(Until::Time(WATCHED))?;
    let left = ours::ask(relay.address, "LIST\n")?;
    let mut series = Series::new("PING meanwhile");
    let latencies = samples[0].latencies.iter();
    series.figures = latencies.map(|time| time.as_secs_f64() * 1e3).collect();
    series.faults = samples[0].wrong + samples[0].lost + u64::from(left != "NODES 0\n");
    let longest = series.figures.iter().copied().fold(0.0, f64::max);
    let title = "100,000 leases are over at once, while another client sends PING";
    Ok(vec![
        Outcome::new("leases", title, LATENCY, vec![series]).at_most(
            "longest PING, milliseconds,",
            5.0,
            longest,
        ),
    ])
}
