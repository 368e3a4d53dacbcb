//! Servers under the same load.

use std::io;
use std::sync::Arc;

use super::{ROUNDS, TIME};
use crate::datagrams::Datagrams;
use crate::exchange::Exchange;
use crate::load::{Group, Load, Until};
use crate::process::Server;
use crate::series::{Contender, Round, Series, alternate};

/// Who is compared: its name, the server, and how it is asked.
pub(super) struct Served {
    pub(super) name: &'static str,
    pub(super) server: Server,
    pub(super) exchange: Arc<Exchange>,
}

impl Served {
    pub(super) fn new(name: &'static str, server: Server, exchange: Exchange) -> Self {
        Self {
            name,
            server,
            exchange: Arc::new(exchange),
        }
    }

    /// As it does under a load of its own.
    pub(super) fn contender(&self, load: Load) -> Contender<'_> {
        Contender::loaded(self.name, &self.server, load, TIME)
    }

    pub(super) fn group(&self, connections: usize, in_flight: usize) -> Group {
        Group {
            exchange: Arc::clone(&self.exchange),
            connections,
            in_flight,
        }
    }
}

/// So many connections with so many requests in flight on each.
pub(super) fn loaded(
    all: &[Served],
    connections: usize,
    in_flight: usize,
) -> io::Result<Vec<Series>> {
    take_turns(all, |served| {
        let group = served.group(connections, in_flight);
        Load::new(served.server.address, vec![group])
    })
}

/// A new connection for each request, so many at once.
pub(super) fn loaded_anew(all: &[Served], connections: usize) -> io::Result<Vec<Series>> {
    take_turns(all, |served| {
        Load::anew(served.server.address, served.group(connections, 1))
    })
}

/// The same over UDP, with so many requests in flight.
pub(super) fn by_udp<'a>(
    name: &'static str,
    server: &'a Server,
    mut datagrams: Datagrams,
) -> Contender<'a> {
    Contender::new(name, move || {
        let before = server.processor_time();
        let sample = datagrams.run(TIME)?;
        Ok(Round::of(&[sample], server.processor_time() - before))
    })
}

fn take_turns(
    all: &[Served],
    load: impl Fn(&Served) -> io::Result<Load>,
) -> io::Result<Vec<Series>> {
    let contenders = all.iter().map(|served| Ok(served.contender(load(served)?)));
    alternate(ROUNDS, contenders.collect::<io::Result<_>>()?)
}

/// Asks for each number once; all must be answered rightly.
pub(super) fn fill(server: &Server, exchange: Exchange) -> io::Result<()> {
    let group = Group {
        exchange: Arc::new(exchange),
        connections: 1,
        in_flight: 256,
    };
    let samples = Load::new(server.address, vec![group])?.run(Until::Each)?;
    match samples[0].wrong + samples[0].lost {
        0 => Ok(()),
        faults => Err(io::Error::other(format!("{faults} entries were refused"))),
    }
}
