//! Strangers who send invented mDNS records, as many as they can: a server stays announced, and
//! keeps its memory. The tests need network namespaces; where the system allows none, they test
//! nothing.

use std::process::Stdio;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::support::namespaces::Machine;
use crate::support::{RunningProgram, Server, folder, is_missing, run};

/// Sends datagrams to port 5353 of a host, each with 30 addresses of names that are all
/// different, for years to come.
const FLOOD: &str = "
import os, socket, struct, sys
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
fixed = struct.pack('!HHIH', 1, 1, 0x7fffffff, 4)
head = struct.pack('!HHHHHH', 0, 0x8400, 0, 30, 0, 0)
for _ in range(int(sys.argv[2])):
    names = os.urandom(120).hex().encode()
    records = (b'\\x08' + names[i:i + 8] + b'\\0' + fixed + b'abcd' for i in range(0, 240, 8))
    out.sendto(head + b''.join(records), (sys.argv[1], 5353))
";

/// How far the memory of a server may grow, in bytes. Without a limit, it grows by more than
/// this in five seconds.
const GROWTH: u64 = 40 << 20;

/// A stranger on a machine, who sends this many datagrams to an address.
fn flood(machine: &Machine, address: &str, datagrams: &str) -> RunningProgram {
    let mut command = machine.command("python3");
    command
        .args(["-c", FLOOD, address, datagrams])
        .stdout(Stdio::null());
    RunningProgram::start(&mut command)
}

fn announced_relay(machine: &Machine) -> Server {
    let mut command = machine.command(env!("CARGO_BIN_EXE_relay-server"));
    command.args(["0", "--listen", "0.0.0.0", "--announce"]);
    let relay = Server::start(command);
    relay.log_until("announced on the network as");
    relay
}

#[test]
fn invented_records_neither_fill_the_memory_of_an_announced_server_nor_hide_it() {
    if is_missing("python3") {
        return;
    }
    let Some(here) = Machine::new() else {
        return;
    };
    let there = here.neighbour();
    let relay = announced_relay(&there);
    let before = relay.resident();
    let mut stranger = flood(&here, "10.9.0.2", "120000");
    let status = stranger.child.wait().expect("it ends");
    assert!(status.success());
    let growth = relay.resident().saturating_sub(before);
    assert!(growth < GROWTH, "{growth} bytes");
    let stranger = flood(&here, "10.9.0.2", "10000000");
    let mut command = here.command(env!("CARGO_BIN_EXE_peer-client"));
    command.args(["auto", "nodes", "--discovery-time", "5"]);
    run(command, b"").expect_code(0);
    drop(stranger);
}

#[test]
fn a_node_that_is_flooded_with_records_finds_relays_again_afterwards() {
    if is_missing("python3") {
        return;
    }
    let Some(here) = Machine::new() else {
        return;
    };
    let there = here.neighbour();
    let first = announced_relay(&there);
    let share = folder(&[]);
    let mut command = here.command(env!("CARGO_BIN_EXE_peer-node"));
    command
        .args(["auto", "--no-hashes", "--share"])
        .arg(share.path());
    let node = Server::start(command);
    first.log_until(" registered by ");
    let stranger = flood(&there, "10.9.0.1", "10000000");
    node.log_until("mDNS: too many ");
    drop(stranger);
    // The first attempt afterwards fails: there is no descriptor for it.
    let limit = getrlimit(Resource::Nofile);
    let few = Rlimit {
        current: Some(3),
        ..limit
    };
    let pid = i32::try_from(node.pid()).ok().and_then(Pid::from_raw);
    let set_limit = |limit| prlimit(pid, Resource::Nofile, limit).expect("the limit is set");
    set_limit(few);
    node.log_until("Too many open files");
    set_limit(limit);
    let second = announced_relay(&there);
    second.log_until(" registered by ");
}
