//! SEARCH among a million names, and the latency of another client meanwhile.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::{ScratchFolders, directory};
use crate::own_programs;
use crate::process::Server;
use crate::report::{Comparison, Unit};
use crate::request_spec::RequestSpec;
use crate::rounds::{Series, quantile};
use crate::tcp_load::{ConnectionGroup, StopWhen, TcpLoad};

const NAMES: u32 = 1_000_000;
/// The time for each text.
const TIME: Duration = Duration::from_secs(3);

/// The number of names that match, and the text.
const TEXTS: [(&str, &str); 4] = [
    ("in no name", "trumpet"),
    ("in one name", "album 12/disc 34/track 56"),
    ("in 10,000", "DISC 34"),
    ("in all", "music"),
];

/// The search for the limit program.
const LONGEST: (&str, &str) = ("limit, in all", "music");

const LATENCY: Unit = Unit {
    name: "milliseconds",
    more_is_better: false,
    each: "search",
};

pub(super) fn run(_: &ScratchFolders) -> io::Result<Vec<Comparison>> {
    let relay = own_programs::relay(&["--lease", "86400"])?;
    let limit = own_programs::limit("search", &[])?;
    directory::share_files(&relay, NAMES)?;
    directory::share_files(&limit, NAMES)?;
    let mut all = Vec::new();
    let mut pings = Series::new("PING meanwhile");
    for (name, text) in TEXTS {
        // All replies must equal the first one.
        let request = format!("SEARCH {text}\n");
        let reply = own_programs::ask(relay.address, &request)?;
        let specs = [(request.as_str(), reply.as_str()), ("PING\n", "PONG\n")];
        let [search, ping] = measure_latency(name, &relay, specs)?;
        all.push(search);
        pings.figures.extend(ping.figures);
        pings.faults += ping.faults;
    }
    let slow = |series: &Series| quantile(&series.figures, 0.99);
    let slowest = all.iter().map(slow).fold(0.0, f64::max);
    let ping = quantile(&pings.figures, 0.999);
    all.push(pings);
    let (name, text) = LONGEST;
    let request = format!("SEARCH {text}\n");
    let reply = own_programs::ask(relay.address, &request)?;
    let [search] = measure_latency(name, &limit, [(&request, &reply)])?;
    all.push(search);
    let title = "SEARCH among a million names, while another client sends PING";
    Ok(vec![
        Comparison::new("search", title, LATENCY, all)
            .at_most(
                "99th percentile of the slowest, milliseconds,",
                10.0,
                slowest,
            )
            .at_most(
                "99.9th percentile of PING meanwhile, milliseconds,",
                5.0,
                ping,
            ),
    ])
}

/// The latencies in milliseconds. Each request is sent again and again on a connection
/// of its own.
fn measure_latency<const N: usize>(
    name: &'static str,
    server: &Server,
    specs: [(&str, &str); N],
) -> io::Result<[Series; N]> {
    let groups = specs.map(|(request, reply)| ConnectionGroup {
        spec: Arc::new(RequestSpec::exact(request, reply, 1)),
        connections: 1,
        in_flight: 1,
    });
    let before = server.processor_time();
    let samples = TcpLoad::new(server.address, groups.into())?.run(StopWhen::Elapsed(TIME))?;
    let processor = server.processor_time() - before;
    Ok(std::array::from_fn(|nth| {
        let sample = &samples[nth];
        let latencies = sample.latencies.iter();
        Series {
            figures: latencies.map(|time| time.as_secs_f64() * 1e3).collect(),
            units: sample.replies as f64,
            processor,
            faults: sample.wrong + sample.lost,
            ..Series::new(name)
        }
    }))
}
