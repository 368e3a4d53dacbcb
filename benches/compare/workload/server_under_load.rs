//! Servers under the same load.

use std::io;
use std::sync::Arc;

use super::{ROUNDS, TIME};
use crate::process::Server;
use crate::request_spec::RequestSpec;
use crate::rounds::{Contender, RoundResult, Series, run_rounds};
use crate::tcp_load::{ConnectionGroup, StopWhen, TcpLoad};
use crate::udp_load::UdpLoad;

/// A named server and its requests.
pub(super) struct ServerUnderLoad {
    pub(super) name: &'static str,
    pub(super) server: Server,
    pub(super) spec: Arc<RequestSpec>,
}

impl ServerUnderLoad {
    pub(super) fn new(name: &'static str, server: Server, spec: RequestSpec) -> Self {
        Self {
            name,
            server,
            spec: Arc::new(spec),
        }
    }

    /// A contender with its own load.
    pub(super) fn contender(&self, load: TcpLoad) -> Contender<'_> {
        Contender::under_load(self.name, &self.server, load, TIME)
    }

    pub(super) fn group(&self, connections: usize, in_flight: usize) -> ConnectionGroup {
        ConnectionGroup {
            spec: Arc::clone(&self.spec),
            connections,
            in_flight,
        }
    }
}

/// Compares servers with `in_flight` requests on each connection.
pub(super) fn run_tcp(
    all: &[ServerUnderLoad],
    connections: usize,
    in_flight: usize,
) -> io::Result<Vec<Series>> {
    run_contenders(all, |server_under_load| {
        let group = server_under_load.group(connections, in_flight);
        TcpLoad::new(server_under_load.server.address, vec![group])
    })
}

/// Compares servers with a new connection for each request.
pub(super) fn run_tcp_reconnecting(
    all: &[ServerUnderLoad],
    connections: usize,
) -> io::Result<Vec<Series>> {
    run_contenders(all, |server_under_load| {
        TcpLoad::reconnecting(
            server_under_load.server.address,
            server_under_load.group(connections, 1),
        )
    })
}

/// A contender under UDP load.
pub(super) fn udp_contender<'a>(
    name: &'static str,
    server: &'a Server,
    mut datagrams: UdpLoad,
) -> Contender<'a> {
    Contender::new(name, move || {
        let before = server.processor_time();
        let sample = datagrams.run(TIME)?;
        Ok(RoundResult::from_samples(
            &[sample],
            server.processor_time() - before,
        ))
    })
}

/// Compares servers, each with its own load.
pub(super) fn run_contenders(
    all: &[ServerUnderLoad],
    load: impl Fn(&ServerUnderLoad) -> io::Result<TcpLoad>,
) -> io::Result<Vec<Series>> {
    let contenders = all
        .iter()
        .map(|server_under_load| Ok(server_under_load.contender(load(server_under_load)?)));
    run_rounds(ROUNDS, contenders.collect::<io::Result<_>>()?)
}

/// Sends each request once. Fails if a reply is wrong or missing.
pub(super) fn fill(server: &Server, spec: RequestSpec) -> io::Result<()> {
    let group = ConnectionGroup {
        spec: Arc::new(spec),
        connections: 1,
        in_flight: 256,
    };
    let samples = TcpLoad::new(server.address, vec![group])?.run(StopWhen::AllSent)?;
    match samples[0].wrong + samples[0].lost {
        0 => Ok(()),
        faults => Err(io::Error::other(format!("{faults} entries were refused"))),
    }
}
