//! Ten thousand connections that say nothing: what they cost.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::Bench;
use crate::exchange::{Exchange, Form};
use crate::load::{Group, Load, Until};
use crate::process::Server;
use crate::report::{Outcome, Unit};
use crate::series::Series;
use crate::{ours, peers};

const CONNECTIONS: usize = 10_000;
/// Made at once, so that no queue of the kernel overflows.
const AT_ONCE: usize = 500;
/// How long is watched whether the server does anything.
const WATCHED: Duration = Duration::from_secs(2);

const MEMORY: Unit = Unit {
    name: "bytes each",
    more_is_better: false,
    each: "second",
};

pub(super) fn run(bench: &Bench) -> io::Result<Vec<Outcome>> {
    let ping = || Exchange::exact("PING\n", "PONG\n", 1);
    let mut all = vec![idle("relay", ours::relay(&[])?, ping())?];
    let folder = bench.disk();
    std::fs::write(folder.join("hello"), "hello")?;
    if let Some(server) = peers::nginx(folder, folder)? {
        let request = "GET /hello HTTP/1.1\r\nHost: bench\r\n\r\n";
        let exchange = Exchange {
            form: Form::Http,
            ..Exchange::exact(request, "hello", 1)
        };
        all.push(idle("nginx", server, exchange)?);
    }
    if let Some(server) = peers::redis()? {
        let exchange = Exchange::exact("PING\r\n", "+PONG\r\n", 1);
        all.push(idle("redis", server, exchange)?);
    }
    if let Some(server) = peers::memcached()? {
        let exchange = Exchange::exact("mn\r\n", "MN\r\n", 1);
        all.push(idle("memcached", server, exchange)?);
    }
    let reply = folder.join("pong");
    std::fs::write(&reply, "PONG\n")?;
    let limit = ours::limit("memory", &[&reply.to_string_lossy()])?;
    all.push(idle("limit", limit, ping())?);
    let (each, busy) = (all[0].figures[0], all[0].processor.as_secs_f64());
    let title = "ten thousand connections that have spoken once: memory of the process";
    Ok(vec![
        Outcome::new("idle", title, MEMORY, all)
            .at_most("bytes each", 128.0, each)
            .at_most("processor seconds in two seconds", 0.0, busy),
    ])
}

/// Connects, lets each connection speak once, and watches.
fn idle(name: &'static str, server: Server, exchange: Exchange) -> io::Result<Series> {
    let exchange = Arc::new(exchange);
    // What the first connection alone makes it allocate.
    let mut first = connect(&server, &exchange, 1)?;
    let mut faults = first.1;
    let before = server.memory()?;
    let mut connections = vec![first.0];
    for _ in 0..CONNECTIONS / AT_ONCE {
        first = connect(&server, &exchange, AT_ONCE)?;
        faults += first.1;
        connections.push(first.0);
    }
    let grown = server.memory()?.saturating_sub(before);
    let used = server.processor_time();
    thread::sleep(WATCHED);
    let mut series = Series::once(name, grown as f64 / CONNECTIONS as f64);
    series.processor = server.processor_time() - used;
    series.units = WATCHED.as_secs_f64();
    series.faults = faults;
    Ok(series)
}

/// Makes connections; returns them with the number of wrong and lost answers.
fn connect(server: &Server, exchange: &Arc<Exchange>, count: usize) -> io::Result<(Load, u64)> {
    let group = Group {
        exchange: Arc::clone(exchange),
        connections: count,
        in_flight: 1,
    };
    let mut load = Load::new(server.address, vec![group])?;
    let samples = load.run(Until::Time(Duration::ZERO))?;
    Ok((load, samples[0].wrong + samples[0].lost))
}
