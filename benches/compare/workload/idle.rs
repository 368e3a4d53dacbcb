//! Ten thousand idle connections: their memory and processor time.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::{PRIVATE_MEMORY, ScratchFolders};
use crate::process::Server;
use crate::report::{Comparison, Unit};
use crate::request_spec::{ReplyFormat, RequestSpec};
use crate::rounds::Series;
use crate::tcp_load::{ConnectionGroup, StopWhen, TcpLoad};
use crate::{other_servers, own_programs};

const CONNECTIONS: usize = 10_000;
/// Connections opened at once, few enough for the accept queue.
const AT_ONCE: usize = 500;
/// The time in which the idle server is observed.
const WATCHED: Duration = Duration::from_secs(2);

pub(super) const MEMORY: Unit = Unit {
    name: "bytes each",
    more_is_better: false,
    each: "second",
};

pub(super) fn run(scratch: &ScratchFolders) -> io::Result<Vec<Comparison>> {
    let ping = || RequestSpec::exact("PING\n", "PONG\n", 1);
    let mut all = vec![idle("relay", own_programs::relay(&[])?, ping(), plain)?];
    let folder = scratch.disk();
    std::fs::write(folder.join("hello"), "hello")?;
    if let Some(server) = other_servers::nginx(folder, folder)? {
        let request = "GET /hello HTTP/1.1\r\nHost: bench\r\n\r\n";
        let spec = RequestSpec {
            format: ReplyFormat::Http,
            ..RequestSpec::exact(request, "hello", 1)
        };
        all.push(idle("nginx", server, spec, plain)?);
    }
    if let Some(server) = other_servers::redis()? {
        let spec = RequestSpec::exact("PING\r\n", "+PONG\r\n", 1);
        all.push(idle("redis", server, spec, plain)?);
    }
    if let Some(server) = other_servers::memcached()? {
        let spec = RequestSpec::exact("mn\r\n", "MN\r\n", 1);
        all.push(idle("memcached", server, spec, plain)?);
    }
    let reply = folder.join("pong");
    std::fs::write(&reply, "PONG\n")?;
    let limit = own_programs::limit("template-reply", &[&reply.to_string_lossy()])?;
    all.push(idle("limit", limit, ping(), plain)?);
    let (each, busy) = (all[0].figures[0], all[0].processor.as_secs_f64());
    let title = "ten thousand connections that have spoken once: memory of the process";
    Ok(vec![
        Comparison::new("idle", title, MEMORY, all)
            .at_most("bytes each", 160.0, each)
            .at_most("processor seconds in two seconds", 0.0, busy),
    ])
}

/// Connections in plain text.
fn plain(address: SocketAddr, group: ConnectionGroup) -> io::Result<TcpLoad> {
    TcpLoad::new(address, vec![group])
}

/// Opens connections by `open`, sends one request on each, and observes the server.
pub(super) fn idle(
    name: &'static str,
    server: Server,
    spec: RequestSpec,
    open: impl Fn(SocketAddr, ConnectionGroup) -> io::Result<TcpLoad>,
) -> io::Result<Series> {
    let spec = Arc::new(spec);
    // The first connection makes the server allocate memory that is not counted.
    let mut first = connect(&server, &spec, 1, &open)?;
    let mut faults = first.1;
    let before = server.memory(PRIVATE_MEMORY)?;
    let mut connections = vec![first.0];
    for _ in 0..CONNECTIONS / AT_ONCE {
        first = connect(&server, &spec, AT_ONCE, &open)?;
        faults += first.1;
        connections.push(first.0);
    }
    let grown = server.memory(PRIVATE_MEMORY)?.saturating_sub(before);
    let used = server.processor_time();
    thread::sleep(WATCHED);
    let mut series = Series::once(name, grown as f64 / CONNECTIONS as f64);
    series.processor = server.processor_time() - used;
    series.units = WATCHED.as_secs_f64();
    series.faults = faults;
    Ok(series)
}

/// Opens connections. Returns them with the number of wrong and missing replies.
fn connect(
    server: &Server,
    spec: &Arc<RequestSpec>,
    count: usize,
    open: impl Fn(SocketAddr, ConnectionGroup) -> io::Result<TcpLoad>,
) -> io::Result<(TcpLoad, u64)> {
    let group = ConnectionGroup {
        spec: Arc::clone(spec),
        connections: count,
        in_flight: 1,
    };
    let mut load = open(server.address, group)?;
    let samples = load.run(StopWhen::Elapsed(Duration::ZERO))?;
    Ok((load, samples[0].wrong + samples[0].lost))
}
