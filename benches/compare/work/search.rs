//! Searching among a million names, and whether others have to wait meanwhile.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::{Bench, directory};
use crate::exchange::Exchange;
use crate::load::{Group, Load, Until};
use crate::ours;
use crate::process::Server;
use crate::report::{Outcome, Unit};
use crate::series::{Series, quantile};

const NAMES: u32 = 1_000_000;
/// How long is searched for each text.
const TIME: Duration = Duration::from_secs(3);

/// What is searched for, and how many names have it.
const TEXTS: [(&str, &str); 4] = [
    ("in no name", "trumpet"),
    ("in one name", "album 12/disc 34/track 56"),
    ("in 10,000", "DISC 34"),
    ("in all", "music"),
];

/// The last of them, for the limit program.
const LONGEST: (&str, &str) = ("limit, in all", "music");

const LATENCY: Unit = Unit {
    name: "milliseconds",
    more_is_better: false,
    each: "search",
};

pub(super) fn run(_: &Bench) -> io::Result<Vec<Outcome>> {
    let relay = ours::relay(&["--lease", "86400"])?;
    let limit = ours::limit("search", &[])?;
    directory::share(&relay, NAMES)?;
    directory::share(&limit, NAMES)?;
    let mut all = Vec::new();
    let mut pings = Series::new("PING meanwhile");
    for (name, text) in TEXTS {
        // What the relay says at first must be what both always say.
        let request = format!("SEARCH {text}\n");
        let reply = ours::ask(relay.address, &request)?;
        let exchanges = [(request.as_str(), reply.as_str()), ("PING\n", "PONG\n")];
        let [search, ping] = one_by_one(name, &relay, exchanges)?;
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
    let reply = ours::ask(relay.address, &request)?;
    let [search] = one_by_one(name, &limit, [(&request, &reply)])?;
    all.push(search);
    let title = "SEARCH among a million names, while another client sends PING";
    Ok(vec![
        Outcome::new("search", title, LATENCY, all)
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

/// How long each answer takes, in milliseconds, if each request is sent by a
/// connection of its own, again and again.
fn one_by_one<const N: usize>(
    name: &'static str,
    server: &Server,
    exchanges: [(&str, &str); N],
) -> io::Result<[Series; N]> {
    let groups = exchanges.map(|(request, reply)| Group {
        exchange: Arc::new(Exchange::exact(request, reply, 1)),
        connections: 1,
        in_flight: 1,
    });
    let before = server.processor_time();
    let samples = Load::new(server.address, groups.into())?.run(Until::Time(TIME))?;
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
