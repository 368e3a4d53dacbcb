//! Start-up times: a client that fetches one small file, and a node with many files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::ScratchFolders;
use crate::command;
use crate::process::Server;
use crate::report::{Comparison, Unit};
use crate::rounds::{Contender, RoundResult, median, run_rounds};
use crate::{other_servers, own_programs};

/// The content of each file.
const CONTENT: &str = "Hello, Peerline!\n";
/// Number of client starts.
const CLIENTS: usize = 40;

/// Files of the large share, and of each of its folders.
const FILES: usize = 100_000;
const A_FOLDER: usize = 1000;
/// Number of node starts.
const NODES: usize = 5;

const TIME: Unit = Unit {
    name: "milliseconds",
    more_is_better: false,
    each: "start",
};

/// The whole client: start, ask the relay, ask the node, print, exit.
pub(super) fn client(scratch: &ScratchFolders) -> io::Result<Vec<Comparison>> {
    let folder = scratch.disk().join("one");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("hello.txt"), CONTENT)?;
    let relay = own_programs::relay(&[])?;
    let node = own_programs::node(&relay, &folder)?;
    let (ip, port) = (relay.address.ip().to_string(), relay.address.port());
    let port = port.to_string();
    let get = [&*ip, &*port, "--quiet", "get", "hello.txt"];
    let nginx = other_servers::nginx(scratch.disk(), &folder)?;
    let url;
    let mut contenders = vec![starting("peer-client", &node, own_programs::CLIENT, &get)];
    if let Some(nginx) = nginx.as_ref().filter(|_| other_servers::has("curl")) {
        url = format!("http://{}/hello.txt", nginx.address);
        contenders.push(starting("nginx+curl", nginx, "curl", &["-s", &url]));
    }
    let title = "a small file, the whole program: list, ask, print";
    let series = run_rounds(CLIENTS, contenders)?;
    Ok(vec![
        Comparison::new("client", title, TIME, series).at_least(1.0, "nginx+curl"),
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
        let (printed, time) = command::run_with_output(client, &args)?;
        Ok(RoundResult {
            figure: milliseconds(time),
            units: 1.0,
            processor: server.processor_time() - before,
            faults: u64::from(printed != CONTENT.as_bytes()),
        })
    })
}

/// The time from the start of a node to the first served file.
pub(super) fn node(scratch: &ScratchFolders) -> io::Result<Vec<Comparison>> {
    let folder = make_files(&scratch.disk().join("many"))?;
    let relay = own_programs::relay(&[])?;
    let contender = Contender::new("peer-node", || {
        let start = Instant::now();
        let node = own_programs::unlisted_node(&relay, &folder)?;
        let answer = own_programs::ask(node.address, "GET 99/999.txt\n")?;
        Ok(RoundResult {
            figure: milliseconds(start.elapsed()),
            units: 1.0,
            processor: node.processor_time(),
            faults: u64::from(answer != format!("FOUND {}\n{CONTENT}", CONTENT.len())),
        })
    });
    let series = run_rounds(NODES, vec![contender])?;
    let middle = median(&series[0].figures);
    let title = "a share of 100,000 files, from the start until the first one was served";
    Ok(vec![Comparison::new("share", title, TIME, series).at_most(
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
