//! A hundred thousand leases that end at once, and the latency of another client
//! meanwhile.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::ScratchFolders;
use super::server_under_load::fill;
use crate::own_programs;
use crate::process::Server;
use crate::report::{Comparison, Unit};
use crate::request_spec::{EPOCH, RequestSpec};
use crate::rounds::{Series, median};
use crate::tcp_load::{ConnectionGroup, StopWhen, TcpLoad};

const NODES: u32 = 100_000;
/// The address of a node.
const NODE: &str = "10.1#0.1#1.1#2 4000";
/// Number of repetitions.
const TIMES: usize = 5;
/// How long the relay is stopped, so that all leases have ended when it continues.
const HELD: Duration = Duration::from_millis(2500);
/// How long the other client sends requests.
const WATCHED: Duration = Duration::from_secs(1);

const LATENCY: Unit = Unit {
    name: "milliseconds",
    more_is_better: false,
    each: "second",
};

pub(super) fn run(_: &ScratchFolders) -> io::Result<Vec<Comparison>> {
    let relay = own_programs::relay(&["--lease", "2"])?;
    let mut longest = Series::new("longest PING");
    for _ in 0..TIMES {
        let register = RequestSpec::exact(
            format!("REGISTER {NODE}\n"),
            format!("OK 2 {NODE} 0 {EPOCH}\n"),
            NODES,
        );
        fill(&relay, register)?;
        send_signal(&relay, Signal::STOP)?;
        thread::sleep(HELD);
        let ping = ConnectionGroup {
            spec: Arc::new(RequestSpec::exact("PING\n", "PONG\n", 1)),
            connections: 1,
            in_flight: 1,
        };
        let mut load = TcpLoad::new(relay.address, vec![ping])?;
        send_signal(&relay, Signal::CONT)?;
        let samples = load.run(StopWhen::Elapsed(WATCHED))?;
        let left = own_programs::ask(relay.address, "LIST\n")?;
        let latency = samples[0].latencies.iter().max().copied();
        let latency = latency.unwrap_or(WATCHED).as_secs_f64() * 1e3;
        longest.figures.push(latency);
        longest.faults += samples[0].wrong + samples[0].lost + u64::from(left != "NODES 0\n");
    }
    let middle = median(&longest.figures);
    let title = "100,000 leases are over at once, while another client sends PING";
    Ok(vec![
        Comparison::new("leases", title, LATENCY, vec![longest]).at_most(
            "the median of the longest, milliseconds,",
            5.0,
            middle,
        ),
    ])
}

fn send_signal(server: &Server, signal: Signal) -> io::Result<()> {
    let pid = Pid::from_raw(server.pid().cast_signed());
    let pid = pid.ok_or_else(|| io::Error::other("no process"))?;
    Ok(kill_process(pid, signal)?)
}
