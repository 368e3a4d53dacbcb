//! Downloads in pieces from several nodes, some of which misbehave.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::hashes::node;
use crate::support::piece_node::{Fault, PieceNode};
use crate::support::relay_index::{announce, wait_for_hash};
use crate::support::{
    ProgramOutput, RunningProgram, Server, client_command, eventually, folder, noise, relay, run,
};

const MIB: usize = 1024 * 1024;

/// A relay, and nodes that have one content.
struct Swarm {
    relay: Server,
    content: Vec<u8>,
    nodes: Vec<PieceNode>,
    home: TempDir,
}

impl Swarm {
    fn new(size: usize, faults: &[Fault]) -> Self {
        let relay = relay(&[]);
        let content = noise(size, 11);
        let nodes = faults.iter();
        let nodes = nodes.map(|fault| PieceNode::new(&relay, &content, *fault));
        Self {
            nodes: nodes.collect(),
            relay,
            content,
            home: folder(&[]),
        }
    }

    fn get(&self, args: &[&str]) -> ProgramOutput {
        let mut command = client_command(self.relay.address(), &["get", "file"]);
        command.args(args).current_dir(self.home.path());
        run(command, b"")
    }

    /// Saves the file, which must be right.
    #[track_caller]
    fn save(&self, args: &[&str]) -> String {
        let args = [args, &["-o", "saved"]].concat();
        let output = self.get(&args).expect_code(0);
        let path = self.home.path().join("saved");
        let saved = fs::read(&path).expect("the file");
        assert!(saved == self.content, "{}", output.stderr);
        fs::remove_file(path).expect("it is there");
        assert!(output.stderr.contains(", verified"), "{}", output.stderr);
        output.stderr
    }

    /// Prints the file, which must be right and in order.
    #[track_caller]
    fn print(&self, args: &[&str]) -> String {
        let output = self.get(args).expect_code(0);
        assert!(output.stdout == self.content, "{}", output.stderr);
        output.stderr
    }

    fn served(&self) -> Vec<usize> {
        self.nodes.iter().map(PieceNode::served).collect()
    }
}

#[test]
fn any_number_of_connections_may_be_allowed() {
    let swarm = Swarm::new(3 * MIB, &[Fault::None]);
    swarm.save(&["--connections", "9223372036854775808"]);
}

#[test]
fn all_holders_share_the_work() {
    let swarm = Swarm::new(20 * MIB + 1, &[Fault::None; 3]);
    // On a busy machine the last pieces would be requested twice.
    let text = swarm.save(&["--try-delay", "60"]);
    assert!(text.contains("from 3 nodes, plain, verified"), "{text}");
    assert!(swarm.served().iter().all(|count| *count > 0));
    assert_eq!(swarm.served().iter().sum::<usize>(), 21);
    swarm.print(&[]);
    // One node is enough if that is said.
    let before = swarm.served();
    let text = swarm.save(&["--sources", "1"]);
    assert!(text.contains("from 127.0.0.1 port"), "{text}");
    let after = swarm.served();
    let unchanged = before.iter().zip(&after).filter(|(old, new)| old == new);
    assert_eq!(unchanged.count(), 2);
}

#[test]
fn contents_around_one_piece_are_verified() {
    for size in [0, 1, MIB - 1, MIB, MIB + 1, 2 * MIB] {
        let swarm = Swarm::new(size, &[Fault::None]);
        swarm.save(&[]);
        let text = swarm.print(&["--hash", &blake3::hash(&swarm.content).to_string()]);
        assert!(text.contains(", verified"), "{text}");
    }
}

#[test]
fn a_node_that_sends_a_wrong_byte_is_named_and_costs_a_piece() {
    let swarm = Swarm::new(9 * MIB, &[Fault::WrongByte, Fault::None, Fault::WrongByte]);
    for text in [swarm.save(&[]), swarm.print(&[])] {
        for liar in [&swarm.nodes[0], &swarm.nodes[2]] {
            let message = format!("{}: piece ", liar.name());
            assert!(text.contains(&message), "{text}");
        }
        assert!(text.contains(&format!("from {}, plain, verified", swarm.nodes[1].name())));
    }
    // Nobody else has it: nothing wrong is printed or saved.
    let swarm = Swarm::new(9 * MIB, &[Fault::WrongByte]);
    let output = swarm.get(&[]).expect_code(12);
    assert!(output.stdout.is_empty());
    assert!(output.stderr.contains(" is wrong"), "{}", output.stderr);
    swarm.get(&["-o", "saved"]).expect_code(12);
    assert!(!swarm.home.path().join("saved").exists());
}

#[test]
fn a_node_that_lies_in_its_list_is_named() {
    let swarm = Swarm::new(5 * MIB, &[Fault::WrongList, Fault::None]);
    // The relay names each of them first in turn.
    let texts = [swarm.save(&[]), swarm.save(&[])].concat();
    let message = format!(
        "{}: its list of pieces does not have the hash",
        swarm.nodes[0].name()
    );
    assert!(texts.contains(&message), "{texts}");
    let swarm = Swarm::new(5 * MIB, &[Fault::WrongList]);
    swarm.get(&[]).expect_code(12);
}

#[test]
fn a_connection_that_closes_costs_a_piece() {
    let faults = [Fault::CloseAt(2), Fault::CloseAt(3), Fault::None];
    let swarm = Swarm::new(12 * MIB, &faults);
    swarm.save(&[]);
    // The only node is asked again.
    let swarm = Swarm::new(12 * MIB, &[Fault::CloseAt(4)]);
    swarm.save(&[]);
    let swarm = Swarm::new(12 * MIB, &[Fault::CloseAt(4)]);
    swarm.print(&[]);
}

#[test]
fn the_bytes_of_each_node_are_told_on_request() {
    let swarm = Swarm::new(12 * MIB, &[Fault::None, Fault::None]);
    let lines = |args: &[&str]| {
        let text = swarm.save(args);
        let is_sum =
            |line: &&str| line.starts_with("  ") && line.contains("MB from 127.0.0.1 port ");
        let sums: Vec<String> = text.lines().filter(is_sum).map(str::to_owned).collect();
        sums
    };
    assert_eq!(lines(&[]), Vec::<String>::new());
    assert_eq!(lines(&["-v", "--force", "--sources", "1"]).len(), 1);
}

#[test]
fn progress_is_told_to_programs() {
    let swarm = Swarm::new(12 * MIB, &[Fault::None]);
    let args = ["-o", "saved", "--json", "--limit-rate", "6M"];
    let output = swarm.get(&args).expect_code(0);
    let lines = output.text();
    let objects = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    let objects: Vec<serde_json::Value> = objects.collect();
    let progress = &objects[0]["progress"];
    assert_eq!(progress["size"], 12 * MIB, "{lines}");
    assert!(
        progress["received"].as_u64() < progress["size"].as_u64(),
        "{lines}"
    );
    assert!(progress["rate"].as_u64() > Some(0), "{lines}");
}

#[test]
fn silent_and_slow_nodes_do_not_hold_up_the_others() {
    for fault in [Fault::HangAt(1), Fault::HangAt(2), Fault::Trickle] {
        let swarm = Swarm::new(12 * MIB, &[fault, Fault::None]);
        let started = Instant::now();
        swarm.save(&["--timeout", "30"]);
        swarm.print(&["--timeout", "30"]);
        // Much less than the time-out of the connection.
        assert!(started.elapsed() < Duration::from_secs(25), "{fault:?}");
    }
}

#[test]
fn a_node_whose_content_changes_never_mixes_two_versions() {
    let swarm = Swarm::new(12 * MIB, &[Fault::ChangeAt(3), Fault::None]);
    let text = swarm.save(&[]);
    assert!(text.contains("error 409"), "{text}");
    let swarm = Swarm::new(12 * MIB, &[Fault::ChangeAt(3)]);
    let output = swarm.get(&["-o", "saved"]).expect_code(4);
    assert!(output.stderr.contains("error 409"), "{}", output.stderr);
    assert!(!swarm.home.path().join("saved").exists());
    let output = swarm.get(&[]);
    assert!(swarm.content.starts_with(&output.stdout));
}

#[test]
fn one_living_holder_of_many_is_enough() {
    let relay = relay(&[]);
    let content = noise(6 * MIB, 11);
    let dead: Vec<_> = (0..10)
        .map(|_| PieceNode::new(&relay, &content, Fault::None))
        .collect();
    // The relay still names their addresses.
    drop(dead);
    let nodes = vec![PieceNode::new(&relay, &content, Fault::None)];
    let home = folder(&[]);
    let swarm = Swarm {
        relay,
        content,
        nodes,
        home,
    };
    swarm.save(&[]);
    swarm.print(&[]);
}

#[test]
fn nodes_that_only_know_get_are_used_as_before() {
    let swarm = Swarm::new(3 * MIB, &[Fault::OnlyGet, Fault::OnlyGet]);
    swarm.save(&[]);
    swarm.print(&[]);
}

#[test]
fn a_client_waits_for_a_holder_that_comes_back() {
    let content = noise(8 * MIB, 11);
    let share = folder(&[("file", &content)]);
    let relay = relay(&[]);
    let mut first = node(&relay, share.path(), &[]);
    wait_for_hash(&relay, "file", &content, 1);
    let home = folder(&[]);
    let args = [
        "get",
        "file",
        "-o",
        "saved",
        "--wait",
        "60",
        "--limit-rate",
        "4M",
    ];
    let mut command = client_command(relay.address(), &args);
    command.current_dir(home.path()).stdin(Stdio::null());
    let mut client = RunningProgram::start(command.stderr(Stdio::piped()));
    let count = || fs::read_dir(home.path()).expect("the folder").count();
    eventually("a part of the file", || count() > 0);
    first.signal(Signal::KILL);
    first.wait();
    let _second = node(&relay, share.path(), &[]);
    assert_eq!(client.wait(), Some(0));
    assert!(fs::read(home.path().join("saved")).expect("the file") == content);
    let mut text = String::new();
    let stderr = client.child.stderr.as_mut().expect("it is a pipe");
    stderr.read_to_string(&mut text).expect("text");
    assert!(text.contains(", verified"), "{text}");
}

#[test]
fn a_client_waits_for_the_first_holder() {
    let share = folder(&[("small", b"Hello"), ("large", &noise(3 * MIB, 12))]);
    let relay = relay(&[]);
    let home = folder(&[]);
    let start = |args: &[&str]| {
        let mut command = client_command(relay.address(), args);
        command.current_dir(home.path()).stdin(Stdio::null());
        RunningProgram::start(command.stderr(Stdio::piped()))
    };
    let mut clients = [
        start(&["get", "small", "-o", "s", "--wait", "60"]),
        start(&["get", "large", "-o", "l", "--wait", "60"]),
    ];
    for client in &mut clients {
        let mut text = BufReader::new(client.child.stderr.as_mut().expect("it is a pipe"));
        let mut line = String::new();
        while !line.contains("no node sends it; waiting up to 60 s") {
            line.clear();
            assert_ne!(text.read_line(&mut line).expect("text"), 0);
        }
    }
    let _node = node(&relay, share.path(), &[]);
    for mut client in clients {
        assert_eq!(client.wait(), Some(0));
    }
    for (name, saved) in [("small", "s"), ("large", "l")] {
        let saved = fs::read(home.path().join(saved)).expect("saved");
        assert!(fs::read(share.path().join(name)).expect("a file") == saved);
    }
    let output = start(&["get", "nowhere", "--wait", "0.1"]).wait();
    assert_eq!(output, Some(1));
}

#[test]
fn a_slow_reader_of_stdout_gets_everything() {
    let content = noise(24 * MIB, 11);
    let share = folder(&[("file", &content)]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &["--stall", "1"]);
    wait_for_hash(&relay, "file", &content, 1);
    let mut client = RunningProgram::start(
        client_command(relay.address(), &["get", "file", "--timeout", "1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    );
    let mut stdout = client.child.stdout.take().expect("it is a pipe");
    let mut printed = vec![0];
    stdout.read_exact(&mut printed).expect("the first byte");
    // Longer than all time limits: no node is to blame.
    assert!(client.is_running_after(Duration::from_secs(3)));
    stdout.read_to_end(&mut printed).expect("the rest");
    assert_eq!(client.wait(), Some(0));
    assert!(printed == content);
    let mut text = String::new();
    let stderr = client.child.stderr.as_mut().expect("it is a pipe");
    stderr.read_to_string(&mut text).expect("text");
    assert!(!text.contains("time"), "{text}");
}

#[test]
fn a_content_without_a_hash_is_not_verified() {
    let relay = relay(&[]);
    let node = PieceNode::new(&relay, b"hello", Fault::OnlyGet);
    announce(&relay, node.address(), 5, "file");
    let get = |args: &[&str]| {
        let args = [&["get", "file"], args].concat();
        run(client_command(relay.address(), &args), b"")
    };
    let output = get(&[]).expect_code(0);
    let message = ", not verified: the node knows no hash";
    assert!(output.stderr.contains(message), "{}", output.stderr);
    let output = get(&["--require-hash"]).expect_code(1);
    assert!(output.stdout.is_empty());
    let message = "file: not fetched: no node knows its hash, and --require-hash is set";
    assert!(output.stderr.contains(message), "{}", output.stderr);
}
