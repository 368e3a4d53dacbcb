//! Relays that share their directory through Redis: look-ups, announcements, how soon another
//! relay knows them, the start of a relay, and what renewals cost the engine.
//!
//! The engine runs on the processor of the load, so that it does not take the relay's.

use std::io::{self, BufReader, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::directory::{NODE, find_file, share_files};
use super::registry_load::{Engine, FILES_PER_NODE, announce, connect, read_lines, wait_for_names};
use super::server_under_load::{ServerUnderLoad, fill, run_tcp};
use super::{REQUESTS, ScratchFolders};
use crate::own_programs;
use crate::process::Server;
use crate::report::{Comparison, Unit};
use crate::request_spec::{EPOCH, RequestSpec};
use crate::rounds::{Contender, RoundResult, Series, median, quantile, run_rounds};

/// Files of the relays whose look-ups are compared.
const LOOKED_UP: u32 = 10_000;
/// Files in a round of announcements, and in the directory that a relay loads.
const ANNOUNCED: u32 = 200_000;
const LOADED: u32 = 1_000_000;
/// Rounds of announcements, and starts of a relay.
const ROUNDS: usize = 5;
const STARTS: usize = 3;
/// Changes a second while their way to another relay is measured, and for how long.
const CHANGES: u32 = 10_000;
const MEASURED: Duration = Duration::from_secs(5);
/// How often changes are sent.
const STEP: Duration = Duration::from_millis(10);
/// Nodes that renew their leases, the leases in seconds, and for how long.
const NODES: u32 = 100_000;
const LEASE: u32 = 60;
const RENEWED: Duration = Duration::from_secs(20);

const FILES: Unit = Unit {
    name: "files/s",
    more_is_better: true,
    each: "file",
};
const MILLISECONDS: Unit = Unit {
    name: "milliseconds",
    more_is_better: false,
    each: "change",
};
const SECONDS: Unit = Unit {
    name: "seconds",
    more_is_better: false,
    each: "start",
};
const PERCENT: Unit = Unit {
    name: "% of a core",
    more_is_better: false,
    each: "renewal",
};

pub(super) fn run(scratch: &ScratchFolders) -> io::Result<Vec<Comparison>> {
    if engine(scratch).is_err() {
        return Ok(Vec::new());
    }
    let mut all = look_ups(scratch)?;
    all.push(announcements(scratch)?);
    all.push(visibility(scratch)?);
    all.push(start(scratch)?);
    all.push(renewals(scratch)?);
    Ok(all)
}

fn engine(scratch: &ScratchFolders) -> io::Result<Engine> {
    let engine = Engine::start(scratch.memory())?;
    engine.ok_or_else(|| io::Error::other("redis-server is missing"))
}

fn relay_of(engine: &Engine, lease: &str) -> io::Result<Server> {
    own_programs::relay(&["--lease", lease, "--registry", &engine.url])
}

/// FIND and LIST of a relay with a registry, and of one without.
fn look_ups(scratch: &ScratchFolders) -> io::Result<Vec<Comparison>> {
    let engine = engine(scratch)?;
    let with = relay_of(&engine, "86400")?;
    let without = own_programs::relay(&["--lease", "86400"])?;
    let mut all = Vec::new();
    for (name, relay) in [("registry", with), ("alone", without)] {
        share_files(&relay, LOOKED_UP)?;
        all.push(ServerUnderLoad::new(name, relay, find_file(LOOKED_UP)));
    }
    let mut comparisons = vec![look_up("find", &all)?];
    let list = own_programs::ask(all[1].server.address, "LIST\n")?;
    for relay in &mut all {
        relay.spec = Arc::new(RequestSpec::exact("LIST\n", list.clone(), 1));
    }
    comparisons.push(look_up("list", &all)?);
    Ok(comparisons)
}

fn look_up(name: &str, relays: &[ServerUnderLoad]) -> io::Result<Comparison> {
    let series = run_tcp(relays, 16, 16)?;
    let title = format!("{name} with a registry and without, 16 connections with 16 in flight");
    let comparison = Comparison::new(format!("registry-{name}"), title, REQUESTS, series);
    Ok(comparison.at_least(0.95, "alone"))
}

/// Announcements in batches at one relay, until the engine has them, and the same commands
/// without a relay.
fn announcements(scratch: &ScratchFolders) -> io::Result<Comparison> {
    let nodes = ANNOUNCED / FILES_PER_NODE;
    let fields = u64::from(ANNOUNCED) + u64::from(nodes);
    let ours = || {
        let engine = engine(scratch)?;
        let (relay, mut client) = (relay_of(&engine, "86400")?, engine.connect()?);
        round(&relay, || {
            let faults = announce(&relay, ANNOUNCED)?;
            client.wait_for_fields(nodes, fields)?;
            Ok(faults)
        })
    };
    let alone = || {
        let relay = own_programs::relay(&["--lease", "86400"])?;
        round(&relay, || announce(&relay, ANNOUNCED))
    };
    let commands = || {
        let engine = engine(scratch)?;
        let mut client = engine.connect()?;
        round(&engine.server, || client.publish(ANNOUNCED))
    };
    let contenders = vec![
        Contender::new("relay", ours),
        Contender::new("without registry", alone),
        Contender::new("redis", commands),
    ];
    let title =
        "REGISTER and SHARE in batches, until the engine has them (redis: its commands alone)";
    let series = run_rounds(ROUNDS, contenders)?;
    Ok(Comparison::new("registry-share", title, FILES, series).figure_at_least(200_000.0))
}

/// Measures a server while files are announced. `announce` returns the number of wrong replies.
fn round(server: &Server, announce: impl FnOnce() -> io::Result<u64>) -> io::Result<RoundResult> {
    let before = server.processor_time();
    let start = Instant::now();
    let faults = announce()?;
    Ok(RoundResult {
        figure: f64::from(ANNOUNCED) / start.elapsed().as_secs_f64(),
        units: f64::from(ANNOUNCED),
        processor: server.processor_time() - before,
        faults,
    })
}

/// How soon another relay knows a file, while many others change.
fn visibility(scratch: &ScratchFolders) -> io::Result<Comparison> {
    let engine = engine(scratch)?;
    let [here, there] = [relay_of(&engine, "86400")?, relay_of(&engine, "86400")?];
    let mut delays = Series::new("another relay");
    let before = there.processor_time();
    let changes = thread::scope(|scope| {
        let changes = scope.spawn(|| change_steadily(&here));
        let probed = probe(&here, &there, &mut delays);
        let changes = changes.join();
        probed.and_then(|()| changes.map_err(|_| io::Error::other("a thread panicked"))?)
    })?;
    delays.processor = there.processor_time() - before;
    delays.units = changes as f64;
    let (rate, late) = (
        changes as f64 / MEASURED.as_secs_f64(),
        quantile(&delays.figures, 0.99),
    );
    let title =
        format!("from SHARE at one relay to FIND at another, at {rate:.0} changes a second");
    Ok(
        Comparison::new("registry-visible", title, MILLISECONDS, vec![delays]).at_most(
            "99 of 100, milliseconds,",
            50.0,
            late,
        ),
    )
}

/// Announces files at a steady rate. Returns their number.
fn change_steadily(relay: &Server) -> io::Result<u64> {
    let mut connection = BufReader::new(connect(relay)?);
    let (start, mut sent) = (Instant::now(), 0u64);
    while start.elapsed() < MEASURED {
        let due = (start.elapsed().as_secs_f64() * f64::from(CHANGES)) as u64;
        let mut lines = "REGISTER 10.30.1.1 4000\n".to_owned();
        for number in sent..due {
            let (number, size) = (number % 10_000, number);
            lines += &format!("SHARE {size} - changing/{number:06}\n");
        }
        let count = lines.matches('\n').count();
        connection.get_mut().write_all(lines.as_bytes())?;
        read_lines(&mut connection, count)?;
        sent = due;
        thread::sleep(STEP);
    }
    Ok(sent)
}

/// Measures how soon files are known, one after the other.
fn probe(here: &Server, there: &Server, delays: &mut Series) -> io::Result<()> {
    let [mut here, mut there] = [
        BufReader::new(connect(here)?),
        BufReader::new(connect(there)?),
    ];
    let begin = Instant::now();
    for number in 0.. {
        if begin.elapsed() >= MEASURED {
            break;
        }
        let start = Instant::now();
        let share = format!("REGISTER 10.30.1.2 4000\nSHARE 1 - probe/{number}\n");
        here.get_mut().write_all(share.as_bytes())?;
        read_lines(&mut here, 2)?;
        loop {
            let find = format!("FIND probe/{number}\n");
            there.get_mut().write_all(find.as_bytes())?;
            if read_lines(&mut there, 1)? == ["HOLDERS 1"] {
                read_lines(&mut there, 1)?;
                break;
            }
            thread::sleep(Duration::from_micros(200));
        }
        delays.figures.push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(())
}

/// The start of a relay that loads a large directory.
fn start(scratch: &ScratchFolders) -> io::Result<Comparison> {
    let engine = engine(scratch)?;
    let relay = relay_of(&engine, "86400")?;
    let faults = announce(&relay, LOADED)?;
    let nodes = LOADED / FILES_PER_NODE;
    let mut client = engine.connect()?;
    client.wait_for_fields(nodes, u64::from(LOADED) + u64::from(nodes))?;
    let contender = Contender::new("relay", || {
        let start = Instant::now();
        let relay = relay_of(&engine, "86400")?;
        let took = start.elapsed();
        wait_for_names(&relay, LOADED)?;
        Ok(RoundResult {
            figure: took.as_secs_f64(),
            units: 1.0,
            processor: relay.processor_time(),
            faults,
        })
    });
    let series = run_rounds(STARTS, vec![contender])?;
    let middle = median(&series[0].figures);
    let title = "from the start of a relay until it serves a million files of the engine";
    let comparison = Comparison::new("registry-start", title, SECONDS, series);
    Ok(comparison.at_most("seconds", 5.0, middle))
}

/// The processor time of the engine for renewals.
fn renewals(scratch: &ScratchFolders) -> io::Result<Comparison> {
    let engine = engine(scratch)?;
    let relay = relay_of(&engine, &LEASE.to_string())?;
    let register = || {
        let reply = format!("OK {LEASE} {NODE} 0 {EPOCH}\n");
        RequestSpec::exact(format!("REGISTER {NODE}\n"), reply, NODES)
    };
    let request = register().request;
    let mut used = Series::new("engine");
    fill(&relay, register())?;
    engine.connect()?.wait_for_records(u64::from(NODES))?;
    let mut connection = BufReader::new(connect(&relay)?);
    let before = engine.server.processor_time();
    let (start, mut sent) = (Instant::now(), 0);
    while start.elapsed() < RENEWED {
        let due = (start.elapsed().as_secs_f64() * f64::from(NODES / LEASE)) as u32;
        let lines: Vec<u8> = (sent..due)
            .flat_map(|number| request.text(number % NODES))
            .collect();
        connection.get_mut().write_all(&lines)?;
        let replies = read_lines(&mut connection, (due - sent) as usize)?;
        let wrong = replies.iter().filter(|reply| !reply.starts_with("OK"));
        used.faults += wrong.count() as u64;
        sent = due;
        thread::sleep(STEP);
    }
    used.processor = engine.server.processor_time() - before;
    used.units = f64::from(sent);
    let percent = used.processor.as_secs_f64() / start.elapsed().as_secs_f64() * 100.0;
    used.figures.push(percent);
    let title = "the engine's processor time, while 100,000 nodes renew leases of 60 seconds";
    let comparison = Comparison::new("registry-renew", title, PERCENT, vec![used]);
    Ok(comparison.at_most("per cent of a core", 5.0, percent))
}
