//! What it takes to begin: a client that fetches one small file, and a node with
//! many files that is to serve the first one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Bench;
use crate::process::{self, Server};
use crate::report::{Outcome, Unit};
use crate::series::{Contender, Round, alternate, median};
use crate::{ours, peers};

/// What the small file holds.
const CONTENT: &str = "Hello, Peerline!\n";
/// How often a client is started.
const CLIENTS: usize = 40;

/// Files of the large share, and of each of its folders.
const FILES: usize = 100_000;
const A_FOLDER: usize = 1000;
/// How often the node is started.
const NODES: usize = 5;

const TIME: Unit = Unit {
    name: "milliseconds",
    more_is_better: false,
    each: "start",
};

/// The whole program: start, ask the relay, ask the node, print, end.
pub(super) fn client(bench: &Bench) -> io::Result<Vec<Outcome>> {
    let folder = bench.disk().join("one");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("hello.txt"), CONTENT)?;
    let relay = ours::relay(&[])?;
    let node = ours::node(&relay, &folder)?;
    let (ip, port) = (relay.address.ip().to_string(), relay.address.port());
    let port = port.to_string();
    let get = [&*ip, &*port, "--quiet", "get", "hello.txt"];
    let nginx = peers::nginx(bench.disk(), &folder)?;
    let url;
    let mut contenders = vec![starting("peer-client", &node, ours::CLIENT, &get)];
    if let Some(nginx) = nginx.as_ref().filter(|_| peers::has("curl")) {
        url = format!("http://{}/hello.txt", nginx.address);
        contenders.push(starting("nginx+curl", nginx, "curl", &["-s", &url]));
    }
    let title = "a small file, the whole program: list, ask, print";
    let series = alternate(CLIENTS, contenders)?;
    Ok(vec![
        Outcome::new("client", title, TIME, series).at_least(1.0, "nginx+curl"),
    ])
}

fn starting<'a>(
    name: &'static str,
    server: &'a Server,
    client: &'a str,
    args: &[&str],
) -> Contender<'a> {
    let args: Vec<String> = args.iter().map(ToString::to_string).collect();
    Contender::new(name, move || {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let before = server.processor_time();
        let (printed, time) = process::output_of(client, &args)?;
        Ok(Round {
            figure: milliseconds(time),
            units: 1.0,
            processor: server.processor_time() - before,
            faults: u64::from(printed != CONTENT.as_bytes()),
        })
    })
}

/// From the start of the node until it has served a file.
pub(super) fn node(bench: &Bench) -> io::Result<Vec<Outcome>> {
    let folder = make_files(&bench.disk().join("many"))?;
    let relay = ours::relay(&[])?;
    let contender = Contender::new("peer-node", || {
        let begun = Instant::now();
        let node = ours::unlisted_node(&relay, &folder)?;
        let answer = ours::ask(node.address, "GET 99/999.txt\n")?;
        Ok(Round {
            figure: milliseconds(begun.elapsed()),
            units: 1.0,
            processor: node.processor_time(),
            faults: u64::from(answer != format!("FOUND {}\n{CONTENT}", CONTENT.len())),
        })
    });
    let series = alternate(NODES, vec![contender])?;
    let middle = median(&series[0].figures);
    let title = "a share of 100,000 files, from the start until the first one was served";
    Ok(vec![Outcome::new("share", title, TIME, series).at_most(
        "milliseconds",
        1000.0,
        middle,
    )])
}

fn make_files(folder: &Path) -> io::Result<PathBuf> {
    for number in 0..FILES {
        let inner = folder.join((number / A_FOLDER).to_string());
        if number % A_FOLDER == 0 {
            fs::create_dir_all(&inner)?;
        }
        fs::write(inner.join(format!("{}.txt", number % A_FOLDER)), CONTENT)?;
    }
    Ok(folder.to_owned())
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
