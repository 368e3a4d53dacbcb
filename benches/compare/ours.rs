//! Our own programs, as they are built for release, and the limit programs.

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

/// No node needs longer to be listed.
const PATIENCE: Duration = Duration::from_secs(30);

/// A relay. It logs warnings only, as the peers do.
pub(crate) fn relay(args: &[&str]) -> io::Result<Server> {
    let mut all = vec!["0", "--log-level", "warn"];
    all.extend(args);
    Server::that_tells(env!("CARGO_BIN_EXE_relay-server"), &all)
}

/// A node that shares `folder` and is listed by `relay`. It computes no hashes:
/// that is another work than serving.
pub(crate) fn node(relay: &Server, folder: &Path) -> io::Result<Server> {
    let node = unlisted_node(relay, folder)?;
    let address = format!("{} {}\n", node.address.ip(), node.address.port());
    ask_until(relay, "LIST\n", |list| list.contains(&address))?;
    Ok(node)
}

/// The same, but it computes the hashes of its files.
pub(crate) fn hashing_node(relay: &Server, folder: &Path) -> io::Result<Server> {
    start_node(relay, folder, "--no-hash-cache")
}

/// The hash of a file, as soon as the relay knows it.
pub(crate) fn hash_of(relay: &Server, name: &str) -> io::Result<String> {
    let hash = |line: &str| {
        line.split(' ')
            .nth(3)
            .filter(|hash| hash.len() == 64)
            .map(str::to_owned)
    };
    let holders = ask_until(relay, &format!("FIND {name}\n"), |holders| {
        holders.lines().any(|line| hash(line).is_some())
    })?;
    holders
        .lines()
        .find_map(hash)
        .ok_or_else(|| io::Error::other("no hash"))
}

/// A node that may not be listed yet, and computes no hashes.
pub(crate) fn unlisted_node(relay: &Server, folder: &Path) -> io::Result<Server> {
    start_node(relay, folder, "--no-hashes")
}

fn start_node(relay: &Server, folder: &Path, hashes: &str) -> io::Result<Server> {
    let (ip, port) = (relay.address.ip().to_string(), relay.address.port());
    let (port, folder) = (port.to_string(), folder.to_string_lossy());
    let args = [
        &*ip,
        &*port,
        "--share",
        &*folder,
        hashes,
        "--log-level",
        "warn",
    ];
    Server::that_tells(env!("CARGO_BIN_EXE_peer-node"), &args)
}

/// Asks again until the answer is the one that is waited for.
fn ask_until(relay: &Server, request: &str, found: impl Fn(&str) -> bool) -> io::Result<String> {
    let begun = Instant::now();
    loop {
        let answer = ask(relay.address, request)?;
        if found(&answer) {
            return Ok(answer);
        }
        if begun.elapsed() > PATIENCE {
            return Err(io::Error::other(format!("still {answer:?}")));
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// A limit program: this very program under another name.
pub(crate) fn limit(name: &str, args: &[&str]) -> io::Result<Server> {
    let this = env::current_exe()?;
    let mut all = vec![limit::WORD, name];
    all.extend(args);
    Server::that_tells(&this.to_string_lossy(), &all)
}

/// Asks as `nc -N` does: the whole answer.
pub(crate) fn ask(address: SocketAddr, request: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(request.as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
