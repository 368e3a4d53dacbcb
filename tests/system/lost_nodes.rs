//! Nodes that are killed while files are fetched from them.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;

use crate::hashes;
use crate::small_files::SmallFilesNetwork;
use crate::support::relay_index::wait_for_hash;
use crate::support::{RunningProgram, client_command, eventually, folder, noise, relay};

/// Nodes are killed at random moments, and each time another one takes the place.
#[test]
fn a_download_outlives_its_nodes() {
    const NODES: usize = 3;
    /// Then they live: each has to hash the file first, which takes longer on a slow machine.
    const MOST_KILLED: usize = 24;
    let content = noise(16_000_000, 21);
    let share = folder(&[("file", &content)]);
    let relay = relay(&[]);
    let start = || hashes::node(&relay, share.path(), &[]);
    let mut nodes: Vec<_> = (0..NODES).map(|_| start()).collect();
    wait_for_hash(&relay, "file", &content, NODES);
    let home = folder(&[]);
    let args = [
        "get",
        "file",
        "-o",
        "saved",
        "--wait",
        "60",
        "--limit-rate",
        "8M",
    ];
    let mut command = client_command(relay.address(), &args);
    command.current_dir(home.path()).stdin(Stdio::null());
    let mut client = RunningProgram::start(&mut command);
    let mut killed = 0;
    while killed < MOST_KILLED
        && client.is_running_after(Duration::from_millis(fastrand::u64(..300)))
    {
        let node = &mut nodes[killed % NODES];
        node.signal(Signal::KILL);
        node.wait();
        *node = start();
        killed += 1;
    }
    assert_eq!(client.wait(), Some(0), "{killed} nodes were killed");
    assert!(killed >= NODES);
    let saved = fs::read(home.path().join("saved")).expect("the file");
    assert!(saved == content);
}

/// Two of three nodes are killed, or all, and then one comes back.
#[test]
fn small_files_come_from_the_nodes_that_are_left_or_come_back() {
    const FILES: usize = 1500;
    for left in [1, 0] {
        let mut network = SmallFilesNetwork::new(3, FILES);
        let home = folder(&[]);
        let mut command = network.command(home.path(), &["--wait", "60"]);
        command.stdin(Stdio::null());
        let mut client = RunningProgram::start(&mut command);
        let saved = || fs::read_dir(home.path().join("docs")).map_or(0, Iterator::count);
        eventually("some files", || saved() >= 100);
        for mut node in network.nodes.drain(left..) {
            node.signal(Signal::KILL);
            node.wait();
        }
        let _back = (left == 0).then(|| network.start_node());
        assert_eq!(client.wait(), Some(0), "{left} nodes were left");
        assert_eq!(network.whole_files(home.path()), FILES);
    }
}
