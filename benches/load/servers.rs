//! The servers under attack: release builds of a relay and of a node that shares a
//! folder.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::network::{Network, ask};
use crate::process::Server;

/// The file that users fetch.
pub(crate) const SMALL_FILE: &str = "small.txt";
/// The file that attackers fetch.
pub(crate) const BIG_FILE: &str = "big.bin";

const SMALL_SIZE: usize = 1024;
const BIG_SIZE: usize = 8 * 1024 * 1024;

/// The longest time for the node to announce its files.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The folder that the node shares.
const SHARE: &str = "share";

/// A server under attack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Target {
    Relay,
    Node,
}

/// A relay and a node.
pub(crate) struct Servers {
    relay: Server,
    node: Server,
    /// Where they keep their logs.
    folder: PathBuf,
}

impl Servers {
    /// Starts both, the relay with these arguments and the node with at most so many
    /// descriptors, and waits until the relay knows the `files` files of the node in `folder`.
    pub(crate) fn start(
        network: Network,
        (relay_args, node_descriptors): (&[&str], Option<u32>),
        folder: &Path,
        files: usize,
    ) -> io::Result<Self> {
        let ip = network.server();
        let relay = start_relay(ip, relay_args, folder)?;
        let node = start_node(&relay, node_descriptors, folder)?;
        let folder = folder.to_owned();
        let announced = format!("\nnames {files}\n");
        let start = Instant::now();
        loop {
            let stats = ask(ip, relay.address, "STATS\n")?;
            if String::from_utf8_lossy(&stats).contains(&announced) {
                return Ok(Self {
                    relay,
                    node,
                    folder,
                });
            }
            if start.elapsed() > TIMEOUT {
                return Err(io::Error::other("the node does not announce its files"));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn get(&self, target: Target) -> &Server {
        match target {
            Target::Relay => &self.relay,
            Target::Node => &self.node,
        }
    }

    /// The time that a server could not run because other programs used its processor
    /// (schedstats in proc(5)).
    pub(crate) fn time_kept_waiting(&self, target: Target) -> io::Result<Duration> {
        let statistics = fs::read_to_string(format!("/proc/{}/schedstat", self.get(target).pid()))?;
        let nanoseconds = statistics.split(' ').nth(1);
        let nanoseconds = nanoseconds.and_then(|number| number.parse().ok());
        Ok(Duration::from_nanos(nanoseconds.unwrap_or(0)))
    }

    /// The number of open descriptors.
    pub(crate) fn descriptors(&self, target: Target) -> io::Result<usize> {
        let folder = format!("/proc/{}/fd", self.get(target).pid());
        Ok(fs::read_dir(folder)?.count())
    }

    /// The size of a log in bytes.
    pub(crate) fn log_size(&self, target: Target) -> io::Result<u64> {
        Ok(log_file(&self.folder, target).metadata()?.len())
    }

    pub(crate) fn address(&self, target: Target) -> SocketAddr {
        self.get(target).address
    }

    /// Fails if one of them has ended.
    pub(crate) fn check_running(&mut self) -> io::Result<()> {
        self.relay.check_running()?;
        self.node.check_running()
    }
}

fn log_file(folder: &Path, target: Target) -> PathBuf {
    folder.join(format!("{target:?}.log"))
}

fn start_relay(ip: Ipv4Addr, args: &[&str], folder: &Path) -> io::Result<Server> {
    let (ip, log) = (ip.to_string(), log_file(folder, Target::Relay));
    let log = log.to_string_lossy();
    let mut all = vec!["0", "--listen", &*ip, "--log-file", &*log];
    // On loopback, too, users and attackers are not trusted.
    all.extend(["--trust", "192.0.2.0/24"]);
    all.extend(args);
    Server::start_reporting_address(env!("CARGO_BIN_EXE_relay-server"), &all)
}

/// Starts a node without hashes, with at most this many descriptors.
fn start_node(relay: &Server, descriptors: Option<u32>, folder: &Path) -> io::Result<Server> {
    let (share, log) = (folder.join(SHARE), log_file(folder, Target::Node));
    let (share, log) = (share.to_string_lossy(), log.to_string_lossy());
    let relay = relay.address.to_string();
    let limit = match descriptors {
        Some(descriptors) => format!("ulimit -n {descriptors} && exec \"$0\" \"$@\""),
        None => "exec \"$0\" \"$@\"".to_owned(),
    };
    let mut all = vec!["-c", &*limit, env!("CARGO_BIN_EXE_peer-node"), &*relay];
    all.extend(["--share", &*share, "--no-hashes", "--log-file", &*log]);
    Server::start_reporting_address("sh", &all)
}

/// Creates the share below `folder`, with `files` files in all.
pub(crate) fn create_share(folder: &Path, files: usize) -> io::Result<()> {
    let folder = &folder.join(SHARE);
    fs::create_dir(folder)?;
    fs::write(folder.join(SMALL_FILE), vec![b's'; SMALL_SIZE])?;
    fs::write(folder.join(BIG_FILE), vec![b'b'; BIG_SIZE])?;
    for number in 2..files {
        fs::write(
            folder.join(format!("a file of the node, number {number:06}")),
            "",
        )?;
    }
    Ok(())
}
