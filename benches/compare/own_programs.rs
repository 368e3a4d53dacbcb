//! Our programs in release builds, and the limit programs.

use std::env;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::limit;
use crate::process::Server;

/// The client program.
pub(crate) const CLIENT: &str = env!("CARGO_BIN_EXE_peer-client");

/// The longest time for a node to be listed.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Starts a relay. Like the other servers it logs warnings only.
pub(crate) fn relay(args: &[&str]) -> io::Result<Server> {
    let mut all = vec!["0", "--log-level", "warn"];
    all.extend(args);
    Server::start_reporting_address(env!("CARGO_BIN_EXE_relay-server"), &all)
}

/// Starts a node that shares `folder`, and waits until `relay` lists it. It computes no
/// hashes.
pub(crate) fn node(relay: &Server, folder: &Path) -> io::Result<Server> {
    let node = unlisted_node(relay, folder)?;
    let address = format!("{} {}\n", node.address.ip(), node.address.port());
    ask_until(relay, "LIST\n", |list| list.contains(&address))?;
    Ok(node)
}

/// Starts nodes that compute the hashes of their files.
pub(crate) fn hashing_nodes(
    relay: &Server,
    folder: &Path,
    count: usize,
    flags: &[&str],
) -> io::Result<Vec<Server>> {
    let flags = [&["--no-hash-cache"], flags].concat();
    let started = (0..count).map(|_| start_node(relay, folder, &flags));
    started.collect()
}

/// Waits until the relay knows the hash of a file from so many nodes.
pub(crate) fn hash_of(relay: &Server, name: &str, nodes: usize) -> io::Result<String> {
    let hash = |line: &str| {
        line.split(' ')
            .nth(3)
            .filter(|hash| hash.len() == 64)
            .map(str::to_owned)
    };
    let holders = ask_until(relay, &format!("FIND {name}\n"), |holders| {
        holders.lines().filter_map(hash).count() >= nodes
    })?;
    holders
        .lines()
        .find_map(hash)
        .ok_or_else(|| io::Error::other("no hash"))
}

/// Starts a node without hashes, and does not wait until it is listed.
pub(crate) fn unlisted_node(relay: &Server, folder: &Path) -> io::Result<Server> {
    start_node(relay, folder, &["--no-hashes"])
}

/// The same with a key: `identity` has it and its certificate as PEM.
pub(crate) fn node_with_key(relay: &Server, folder: &Path, identity: &str) -> io::Result<Server> {
    let flags = ["--no-hashes", "--key", identity, "--certificate", identity];
    start_node(relay, folder, &flags)
}

fn start_node(relay: &Server, folder: &Path, flags: &[&str]) -> io::Result<Server> {
    let (ip, port) = (relay.address.ip().to_string(), relay.address.port());
    let (port, folder) = (port.to_string(), folder.to_string_lossy());
    let mut args = vec![&*ip, &*port, "--share", &*folder, "--log-level", "warn"];
    args.extend(flags);
    Server::start_reporting_address(env!("CARGO_BIN_EXE_peer-node"), &args)
}

/// Repeats a request until the reply is accepted.
fn ask_until(relay: &Server, request: &str, found: impl Fn(&str) -> bool) -> io::Result<String> {
    let start = Instant::now();
    loop {
        let answer = ask(relay.address, request)?;
        if found(&answer) {
            return Ok(answer);
        }
        if start.elapsed() > TIMEOUT {
            return Err(io::Error::other(format!("still {answer:?}")));
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Starts a limit program: this program with other arguments.
pub(crate) fn limit(name: &str, args: &[&str]) -> io::Result<Server> {
    let this = env::current_exe()?;
    let mut all = vec![limit::WORD, name];
    all.extend(args);
    Server::start_reporting_address(&this.to_string_lossy(), &all)
}

/// Sends a request, half-closes, and reads the whole reply, as `nc -N` does.
pub(crate) fn ask(address: SocketAddr, request: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(request.as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
