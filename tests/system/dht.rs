//! Nodes of a group on the DHT, and clients that find them there. The DHT is one of the test's
//! own, on loopback.

use std::fs;
use std::path::Path;
use std::process::Command;

use mainline::Testnet;
use rustix::process::Signal;

use crate::support::{ProgramOutput, SECRET, SecretFile, Server, folder, run, server_id};

/// The members of a new DHT, and the flags to join it. A node looks the names of hosts up in
/// its sandbox.
fn dht() -> (Testnet, Vec<String>) {
    let dht = Testnet::builder(8).build().expect("it starts");
    let flags = dht.bootstrap.iter().take(2).flat_map(|host| {
        let host = host.replace("127.0.0.1", "localhost");
        ["--dht-bootstrap".to_owned(), host]
    });
    let flags = flags.collect();
    (dht, flags)
}

/// Starts a node that has no relay.
fn announced_node(share: &Path, group: &str, dht: &[String]) -> Server {
    announced(announced_node_command(share, group, dht))
}

fn announced_node_command(share: &Path, group: &str, dht: &[String]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peer-node"));
    command.args(["--dht", "--group", group]).args(dht);
    command.args(["--listen", "127.0.0.1", "--no-hashes", "--share"]);
    command.arg(share);
    command
}

fn announced(command: Command) -> Server {
    let node = Server::start(command);
    node.log_until("announced on the DHT as");
    node
}

fn client(group: &str, dht: &[String], args: &[&str]) -> ProgramOutput {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peer-client"));
    command.arg(format!("dht:{group}")).args(args).args(dht);
    run(command, b"")
}

#[test]
fn the_nodes_of_a_group_are_found_by_its_name() {
    let (_dht, flags) = dht();
    let shares = [
        folder(&[("a", b"A")]),
        folder(&[("b", b"BB")]),
        folder(&[("c", b"")]),
    ];
    let groups = ["blue whale", "blue whale", "other"];
    let nodes = [0, 1, 2].map(|n| announced_node(shares[n].path(), groups[n], &flags));
    let client = |args: &[&str], code| client("blue whale", &flags, args).expect_code(code);
    assert_eq!(client(&["ls"], 0).text(), "1 - 1 a\n2 - 1 b\n");
    assert_eq!(client(&["get", "b"], 0).text(), "BB");
    client(&["get", "c"], 1);
    let mut expected = [&nodes[0], &nodes[1]].map(|node| node.wire_address() + "\n");
    expected.sort();
    let listed = client(&["nodes"], 0).text();
    let mut listed: Vec<&str> = listed.split_inclusive('\n').collect();
    listed.sort_unstable();
    assert_eq!(listed, expected);
}

#[test]
fn a_node_that_left_costs_nothing_but_a_line() {
    let (_dht, flags) = dht();
    let share = folder(&[("a", b"A")]);
    let mut gone = announced_node(share.path(), "g", &flags);
    let _node = announced_node(share.path(), "g", &flags);
    gone.signal(Signal::KILL);
    gone.wait();
    let output = client("g", &flags, &["get", "a"]).expect_code(0);
    assert_eq!(output.text(), "A");
    let (ip, port) = (gone.address().ip(), gone.address().port());
    let expected = format!("node {ip} port {port}: connect failed: Connection refused");
    assert!(output.stderr.contains(&expected), "{}", output.stderr);
}

#[test]
fn nodes_whose_ids_are_not_listed_are_passed_over() {
    let (_dht, flags) = dht();
    let shares = [
        folder(&[("a", b"A"), ("both", b"right")]),
        folder(&[("b", b"B"), ("both", b"wrong")]),
        folder(&[("c", b"C")]),
    ];
    let state = folder(&[]);
    let mut nodes = [0, 1, 2].map(|number| {
        let mut command = announced_node_command(shares[number].path(), "g", &flags);
        command.env("XDG_STATE_HOME", state.path().join(number.to_string()));
        let mut node = announced(command);
        let id = server_id(&mut node);
        (node, id)
    });
    let list = state.path().join("ids");
    let allow = |ids: &[&str]| fs::write(&list, ids.join("\n")).expect("a file");
    let list = list.to_str().expect("a text");
    allow(&[&nodes[0].1, &nodes[2].1]);
    let client = |args: &[&str], code| {
        let args = [&["--allow-ids", list], args].concat();
        client("g", &flags, &args).expect_code(code)
    };
    let output = client(&["ls"], 0);
    assert_eq!(output.text(), "1 - 1 a\n5 - 1 both\n1 - 1 c\n");
    assert_eq!(output.stderr, "");
    assert_eq!(client(&["get", "both"], 0).text(), "right");
    let output = client(&["get", "b"], 1);
    assert!(!output.stderr.contains("passed over"), "{}", output.stderr);
    let output = client(&["-v", "ls"], 0);
    let (stranger, id) = &nodes[1];
    let address = format!(
        "{} port {}",
        stranger.address().ip(),
        stranger.address().port()
    );
    let expected =
        format!("node {address} is passed over: TLS failed: {id} is not in --allow-ids\n");
    assert!(output.stderr.contains(&expected), "{}", output.stderr);
    // Nobody is left.
    allow(&[]);
    let output = client(&["ls"], 3);
    assert!(
        output.stderr.contains("is not in --allow-ids"),
        "{}",
        output.stderr
    );
    for (node, _) in &mut nodes {
        assert_eq!(node.stop(), Some(0));
    }
}

#[test]
fn a_group_without_nodes_and_a_message_are_refused() {
    let (_dht, flags) = dht();
    let output = client("nobody", &flags, &["ls"]).expect_code(9);
    let expected = "peer-client: no node of the group nobody is on the DHT; start one with \
                    peer-node --dht --group NAME\n";
    assert_eq!(output.stderr, expected);
    let output = client("nobody", &flags, &["send", "127.0.0.1", "9", "hi"]).expect_code(2);
    let expected = "peer-client: dht:NAME finds nodes, but this needs a relay; write its address\n";
    assert!(output.stderr.starts_with(expected), "{}", output.stderr);
    let output = client("nobody", &flags, &["--relay", "127.0.0.1:9", "ls"]).expect_code(2);
    let expected = "peer-client: dht:NAME finds nodes; write it without relays beside it\n";
    assert!(output.stderr.starts_with(expected), "{}", output.stderr);
}

#[test]
fn a_group_with_a_secret_serves_its_members_alone() {
    let (_dht, mut flags) = dht();
    let (share, file) = (folder(&[("a", b"A")]), SecretFile::new(SECRET));
    let strangers = flags.clone();
    flags.extend(["--secret-file".to_owned(), file.path()]);
    let node = announced_node(share.path(), "g", &flags);
    let output = client("g", &flags, &["get", "a"]).expect_code(0);
    assert_eq!(output.text(), "A");
    assert!(output.stderr.contains("encrypted"), "{}", output.stderr);
    let output = client("g", &strangers, &["get", "a"]);
    assert_ne!(output.code, Some(0));
    assert_eq!(output.text(), "");
    assert!(
        output.stderr.contains("a secret is needed"),
        "{}",
        output.stderr
    );
    // A member asks no node outside the group.
    let outsider = announced_node(share.path(), "open", &strangers);
    let output = client("open", &flags, &["get", "a"]);
    assert_ne!(output.code, Some(0));
    let why = "the server refused the secret: error 501: no secret is needed here";
    assert!(output.stderr.contains(why), "{}", output.stderr);
    let log = outsider.log_until("last PROVE");
    assert!(!log.contains("last GET"), "{log}");
    assert!(!node.log().contains("wrong secret"), "{}", node.log());
}
