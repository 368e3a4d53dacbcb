//! Searching among a million names, and whether others have to wait meanwhile.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::{Bench, directory};
use crate::exchange::Exchange;
use crate::load::{Group, Load, Sample, Until};
use crate::peerline;
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

const LATENCY: Unit = Unit {
    name: "milliseconds",
    more_is_better: false,
    each: "search",
};

pub(super) fn run(_: &Bench) -> io::Result<Vec<Outcome>> {
    let relay = peerline::relay(&["--lease", "86400"])?;
    directory::share(&relay, NAMES)?;
    let mut all = Vec::new();
    let mut pings = Series::once("PING meanwhile", 0.0);
    pings.figures.clear();
    for (name, text) in TEXTS {
        let request = format!("SEARCH {text}\n");
        // What it says at first must be what it always says.
        let reply = peerline::ask(relay.address, &request)?;
        let search = one_by_one(Exchange::exact(request, reply, 1));
        let ping = one_by_one(Exchange::exact("PING\n", "PONG\n", 1));
        let before = relay.processor_time();
        let mut load = Load::new(relay.address, vec![search, ping])?;
        let samples = load.run(Until::Time(TIME))?;
        let faults = |sample: &Sample| sample.wrong + sample.lost;
        all.push(Series {
            name,
            figures: milliseconds(&samples[0]),
            units: samples[0].replies as f64,
            processor: relay.processor_time() - before,
            faults: faults(&samples[0]),
        });
        pings.figures.extend(milliseconds(&samples[1]));
        pings.faults += faults(&samples[1]);
    }
    let slow = |series: &Series| quantile(&series.figures, 0.99);
    let slowest = all.iter().map(slow).fold(0.0, f64::max);
    let ping = quantile(&pings.figures, 0.999);
    all.push(pings);
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

fn one_by_one(exchange: Exchange) -> Group {
    Group {
        exchange: Arc::new(exchange),
        connections: 1,
        in_flight: 1,
    }
}

fn milliseconds(sample: &Sample) -> Vec<f64> {
    let latencies = sample.latencies.iter();
    latencies.map(|time| time.as_secs_f64() * 1e3).collect()
}
