//! Servers that announce themselves on their network, and `auto`, which finds them. The tests
//! need network namespaces; where the system allows none, they test nothing.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::support::namespaces::{Machine, NEIGHBOUR};
use crate::support::{
    ProgramOutput, RunningProgram, SECRET, SecretFile, Server, folder, is_missing, run, server_id,
};

const IS_ANNOUNCED: &str = "is announced on this network; start a relay with relay-server \
                            --announce, or write its address";
const OTHER_ID: &str = "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
const ANNOUNCED: &str = "announced on the network as";

/// Starts a relay on a machine.
fn relay_on(machine: &Machine, args: &[&str]) -> Server {
    let mut command = machine.command(env!("CARGO_BIN_EXE_relay-server"));
    command.arg("0").args(args);
    Server::start(command)
}

/// Starts a relay that listens on all networks of a machine and is announced there.
fn announced_relay(machine: &Machine, args: &[&str]) -> Server {
    let args = [&["--listen", "0.0.0.0", "--announce"], args].concat();
    let relay = relay_on(machine, &args);
    relay.log_until(ANNOUNCED);
    relay
}

fn node_on(machine: &Machine, share: &Path, args: &[&str]) -> Command {
    let mut command = machine.command(env!("CARGO_BIN_EXE_peer-node"));
    command.arg("auto").arg("--share").arg(share);
    command.args(["--no-hashes"]).args(args);
    command
}

/// Runs `peer-client auto` on a machine.
fn client_on(machine: &Machine, args: &[&str]) -> ProgramOutput {
    let mut command = machine.command(env!("CARGO_BIN_EXE_peer-client"));
    command.arg("auto").args(args);
    run(command, b"")
}

/// `auto` on a machine finds nothing.
#[track_caller]
fn assert_finds_nothing(machine: &Machine, args: &[&str]) {
    let output = client_on(machine, &[args, &["nodes"]].concat()).expect_code(9);
    let what = match args.contains(&"--relay-id") {
        true => "no relay",
        false => "no relay and no node",
    };
    let expected = format!("peer-client: {what} {IS_ANNOUNCED}\n");
    assert_eq!(output.stderr, expected);
}

#[test]
fn a_relay_is_found_on_its_network_and_nowhere_else() {
    let (Some(here), Some(elsewhere)) = (Machine::new(), Machine::new()) else {
        return;
    };
    let there = here.neighbour();
    let mut relay = announced_relay(&there, &[]);
    let share = folder(&[("hello.txt", b"hello")]);
    let node = Server::start(node_on(&there, share.path(), &[]));
    node.log_until("registered as");
    let output = client_on(&here, &["get", "hello.txt"]).expect_code(0);
    assert_eq!(output.text(), "hello");
    let nodes = client_on(&here, &["nodes"]).expect_code(0).text();
    // The node has registered over TLS.
    let listed = format!("{NEIGHBOUR} {} sha256//", node.address().port());
    assert!(nodes.starts_with(&listed), "{nodes}");
    assert_finds_nothing(&elsewhere, &[]);
    assert_eq!(relay.stop(), Some(0));
    assert_finds_nothing(&here, &[]);
}

#[test]
fn nothing_is_announced_unless_asked_for() {
    let Some(here) = Machine::new() else {
        return;
    };
    let there = here.neighbour();
    let relay = relay_on(&there, &["--listen", "0.0.0.0"]);
    assert_finds_nothing(&here, &[]);
    assert!(!relay.log().contains("announced"), "{}", relay.log());
    let relay = relay_on(&there, &["--listen", "0.0.0.0", "--announce-on", "lo"]);
    relay.log_until(ANNOUNCED);
    assert_finds_nothing(&here, &[]);
    client_on(&there, &["nodes"]).expect_code(0);
}

#[test]
fn a_relay_on_loopback_is_announced_to_its_own_machine() {
    let Some(here) = Machine::new() else {
        return;
    };
    let there = here.neighbour();
    let relay = relay_on(&there, &["--announce"]);
    relay.log_until("announced on this machine only");
    relay.log_until(ANNOUNCED);
    assert_finds_nothing(&here, &[]);
    client_on(&there, &["nodes"]).expect_code(0);
}

#[test]
fn a_node_waits_for_a_relay_to_be_announced() {
    let Some(here) = Machine::new() else {
        return;
    };
    let there = here.neighbour();
    let share = folder(&[]);
    let mut command = node_on(&here, share.path(), &["--discovery-time", "1.5"]);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut node = RunningProgram::start(&mut command);
    let mut stderr = BufReader::new(node.child.stderr.take().expect("a pipe"));
    let mut line = String::new();
    stderr.read_line(&mut line).expect("a line");
    let expected = format!("peer-node: no relay {IS_ANNOUNCED}; still trying\n");
    assert_eq!(line, expected);
    let relay = announced_relay(&there, &[]);
    relay.log_until(" registered by ");
}

#[test]
fn a_running_node_registers_with_relays_that_are_announced_later() {
    let Some(here) = Machine::new() else {
        return;
    };
    let there = here.neighbour();
    let mut first = announced_relay(&there, &[]);
    let share = folder(&[("hello.txt", b"hello")]);
    let mut command = node_on(&here, share.path(), &["--console", "--listen-messages"]);
    command.args(["--save-dir"]).arg(share.path());
    let mut node = Server::start_with_stdin(command);
    node.log_until("registered as");
    let second = announced_relay(&there, &[]);
    second.log_until(" registered by ");
    assert_eq!(first.stop(), Some(0));
    let output = client_on(&there, &["get", "hello.txt"]).expect_code(0);
    assert_eq!(output.text(), "hello");
    // Messages to the node go through it, and the console asks it.
    let address = node.wire_address();
    let to: Vec<&str> = address.split(' ').collect();
    client_on(&there, &[&["send"], &to[..], &["hi"]].concat()).expect_code(0);
    node.log_until(": hi");
    node.enter("find hello.txt");
    node.log_until(&address);
}

#[test]
fn a_running_node_follows_a_relay_to_another_address() {
    let Some(here) = Machine::new() else {
        return;
    };
    let there = here.neighbour();
    let mut relay = announced_relay(&there, &[]);
    let port = relay.address().port().to_string();
    let share = folder(&[]);
    let node = Server::start(node_on(&here, share.path(), &[]));
    node.log_until("registered as");
    assert_eq!(relay.stop(), Some(0));
    for (change, address) in [("del", "10.9.0.2/24"), ("add", "10.9.0.3/24")] {
        there.run(&["ip", "address", change, address, "dev", "net0"]);
    }
    let mut command = there.command(env!("CARGO_BIN_EXE_relay-server"));
    command.args([&port, "--listen", "0.0.0.0", "--announce"]);
    let relay = Server::start(command);
    relay.log_until(" registered by ");
}

#[test]
fn only_the_relay_with_the_wanted_id_is_used() {
    let Some(here) = Machine::new() else {
        return;
    };
    let there = here.neighbour();
    let state = folder(&[]);
    let with_key = |name: &str| {
        let mut command = there.command(env!("CARGO_BIN_EXE_relay-server"));
        command.env("XDG_STATE_HOME", state.path().join(name));
        command.args(["0", "--listen", "0.0.0.0", "--announce"]);
        let mut relay = Server::start(command);
        relay.log_until(ANNOUNCED);
        let line = relay.line();
        let id = line.strip_prefix("relay-server id ").expect("an id");
        (relay, id.to_owned())
    };
    let (_other, other_id) = with_key("a");
    let (relay, id) = with_key("b");
    assert_ne!(id, other_id);
    client_on(&here, &["--relay-id", &id, "nodes"]).expect_code(0);
    relay.log_until("last LIST");
    drop(relay);
    assert_finds_nothing(&here, &["--relay-id", &id]);
}

#[test]
fn the_key_of_an_announced_relay_is_not_remembered() {
    let Some(here) = Machine::new() else {
        return;
    };
    let there = here.neighbour();
    let relay = announced_relay(&there, &[]);
    let share = folder(&[]);
    let use_relay = || {
        let node = Server::start(node_on(&here, share.path(), &[]));
        node.log_until("registered as");
        let log = node.log_until("first connection to the relay");
        let told = client_on(&here, &["nodes"]).expect_code(0).stderr;
        for text in [log, told] {
            let reason = "(not remembered: the relay was found on the network)";
            assert!(text.contains(reason), "{text}");
        }
    };
    use_relay();
    assert!(!here.known_relays().exists());
    let others = format!("192.0.2.1:1 {OTHER_ID}\n");
    fs::create_dir_all(here.known_relays().parent().expect("a folder")).expect("a folder");
    fs::write(here.known_relays(), &others).expect("a file");
    use_relay();
    let content = fs::read_to_string(here.known_relays()).expect("a file");
    assert_eq!(content, others);
    relay.log_until("last LIST, TLS");
}

#[test]
fn a_key_that_is_known_for_one_address_of_an_announced_relay_holds_for_all() {
    let Some(here) = Machine::new() else {
        return;
    };
    let there = here.neighbour();
    there.run(&["ip", "address", "add", "10.9.0.3/24", "dev", "net0"]);
    let mut relay = announced_relay(&there, &[]);
    let (port, id) = (relay.address().port(), server_id(&mut relay));
    fs::create_dir_all(here.known_relays().parent().expect("a folder")).expect("a folder");
    let share = folder(&[]);
    for last in [3, 2] {
        let other = format!("10.9.0.{last}:{port} {OTHER_ID}\n");
        fs::write(here.known_relays(), &other).expect("a file");
        let refused = client_on(&here, &["nodes"]).expect_code(3).stderr;
        assert!(refused.contains("does not match line 1 of "), "{refused}");
        let node = Server::start(node_on(&here, share.path(), &[]));
        node.log_until("does not match line 1 of ");
        for flag in ["--tls=off", "--udp"] {
            client_on(&here, &["nodes", flag]).expect_code(2);
        }
        // The user corrects the line: a running program reads it again.
        let known = format!("10.9.0.{last}:{port} {id}\n");
        fs::write(here.known_relays(), &known).expect("a file");
        node.log_until("registered as");
        let output = client_on(&here, &["nodes"]).expect_code(0);
        assert_eq!(output.stderr, "");
        let content = fs::read_to_string(here.known_relays()).expect("a file");
        assert_eq!(content, known);
    }
    drop(relay);
    // A relay without TLS, at another address of the same machine.
    let plain = announced_relay(&there, &["--tls", "off"]);
    let known = format!("10.9.0.3:{} {id}\n", plain.address().port());
    fs::write(here.known_relays(), &known).expect("a file");
    client_on(&here, &["nodes"]).expect_code(3);
    let log = plain.log();
    assert!(!log.contains("last LIST"), "{log}");
}

#[test]
fn members_of_a_group_find_their_relay_and_strangers_get_nothing() {
    let Some(here) = Machine::new() else {
        return;
    };
    let there = here.neighbour();
    let file = SecretFile::new(SECRET);
    let path = file.path();
    let secret = ["--secret-file", &path];
    let relay = announced_relay(&there, &secret);
    let share = folder(&[("a", b"A")]);
    let node = Server::start(node_on(&there, share.path(), &secret));
    node.log_until("registered as");
    let args = [&["get", "a"], &secret[..]].concat();
    let output = client_on(&here, &args).expect_code(0);
    assert_eq!(output.text(), "A");
    assert!(output.stderr.contains("encrypted"), "{}", output.stderr);
    let output = client_on(&here, &["get", "a"]).expect_code(3);
    assert!(
        output.stderr.contains("a secret is needed"),
        "{}",
        output.stderr
    );
    // Without a relay, the nodes are asked.
    drop(relay);
    drop(node);
    let mut command = there.command(env!("CARGO_BIN_EXE_peer-node"));
    command.args(["--announce", "--no-hashes", "--share"]);
    command.arg(share.path()).args(secret);
    let node = Server::start(command);
    node.log_until(ANNOUNCED);
    let output = client_on(&here, &args).expect_code(0);
    assert_eq!(output.text(), "A");
    assert!(output.stderr.contains("encrypted"), "{}", output.stderr);
    let output = client_on(&here, &["get", "a"]);
    assert_ne!(output.code, Some(0));
    assert!(
        output.stderr.contains("a secret is needed"),
        "{}",
        output.stderr
    );
}

/// Starts a node that is announced and has no relay.
fn announced_node(machine: &Machine, share: &Path) -> Server {
    let mut command = machine.command(env!("CARGO_BIN_EXE_peer-node"));
    command
        .args(["--announce", "--no-hashes", "--share"])
        .arg(share);
    let node = Server::start(command);
    node.log_until(ANNOUNCED);
    node
}

#[test]
fn without_a_relay_the_nodes_themselves_are_asked() {
    let Some(here) = Machine::new() else {
        return;
    };
    let there = here.neighbour();
    let shares = [
        folder(&[("a.txt", b"A"), ("both", b"same")]),
        folder(&[("b.txt", b"BB"), ("both", b"same")]),
    ];
    let nodes = [&shares[0], &shares[1]].map(|share| announced_node(&there, share.path()));
    let mut listed = nodes.each_ref().map(|node| {
        let port = node.address().port();
        format!("{NEIGHBOUR} {port}\n")
    });
    listed.sort();
    let client = |args: &[&str], code| client_on(&here, args).expect_code(code);
    let mut lines: Vec<String> = client(&["nodes"], 0)
        .text()
        .lines()
        .map(String::from)
        .collect();
    lines.sort();
    assert_eq!(lines.join("\n") + "\n", listed.concat());
    assert_eq!(
        client(&["ls"], 0).text(),
        "1 - 1 a.txt\n2 - 1 b.txt\n4 - 2 both\n"
    );
    assert_eq!(client(&["search", "B.T"], 0).text(), "2 - 1 b.txt\n");
    // They have announced their ids, so they are spoken to over TLS, and must have these keys.
    let output = client(&["get", "a.txt"], 0);
    assert_eq!(output.text(), "A");
    assert!(output.stderr.contains(", encrypted, "), "{}", output.stderr);
    assert_eq!(client(&["get", "b.txt"], 0).text(), "BB");
    assert_eq!(client(&["find", "both"], 0).text().lines().count(), 2);
    assert!(
        client(&["get", "c"], 1)
            .stderr
            .contains("c: not found, 2 nodes asked")
    );
    let output = client(&["send", "10.9.0.2", "1", "hi"], 9);
    assert_eq!(
        output.stderr,
        format!("peer-client: no relay {IS_ANNOUNCED}\n")
    );
}

#[test]
fn a_download_that_waits_looks_for_nodes_again() {
    let Some(here) = Machine::new() else {
        return;
    };
    let there = here.neighbour();
    let mut command = here.command(env!("CARGO_BIN_EXE_peer-client"));
    command.args(["auto", "get", "late", "--wait", "50"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut client = RunningProgram::start(&mut command);
    let mut stderr = BufReader::new(client.child.stderr.take().expect("a pipe"));
    let mut wait_for = |text: &str| {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            let length = stderr.read_line(&mut line).expect("a line");
            assert!(length > 0, "never: {text}");
        }
    };
    // Nobody is there, then a node without the file, then one that has it.
    wait_for("no relay and no node is announced on this network; waiting up to 50 s");
    let shares = [
        folder(&[("other", b"")]),
        folder(&[("late", b"it is there")]),
    ];
    let _first = announced_node(&there, shares[0].path());
    wait_for("waiting up to");
    let _second = announced_node(&there, shares[1].path());
    assert_eq!(client.wait(), Some(0));
    let mut content = String::new();
    let mut stdout = client.child.stdout.take().expect("a pipe");
    stdout.read_to_string(&mut content).expect("a text");
    assert_eq!(content, "it is there");
}

/// It handles the signal: the system ignores others for the first process of a container.
#[test]
fn a_signal_ends_a_client_that_waits_for_a_server() {
    let Some(here) = Machine::new() else {
        return;
    };
    let mut command = here.command(env!("CARGO_BIN_EXE_peer-client"));
    command.args(["auto", "get", "file", "--wait", "50"]);
    command.stderr(Stdio::piped());
    let mut client = RunningProgram::start(&mut command);
    let stderr = client.child.stderr.take().expect("a pipe");
    let mut lines = BufReader::new(stderr).lines();
    assert!(lines.any(|line| line.expect("text").contains("waiting up to 50 s")));
    client.signal(Signal::TERM);
    assert_eq!(client.wait(), Some(130));
}

#[test]
fn a_node_that_the_user_has_named_is_the_only_one_that_is_asked() {
    let Some(here) = Machine::new() else {
        return;
    };
    let there = here.neighbour();
    let shares = [
        folder(&[("other", b"")]),
        folder(&[("late", b"it is there")]),
    ];
    let mut command = there.command(env!("CARGO_BIN_EXE_peer-node"));
    // No relay is there.
    command.args(["127.0.0.1:9", "--listen", "0.0.0.0", "--no-hashes"]);
    command.arg("--share").arg(shares[0].path());
    let named = Server::start(command);
    let _found = announced_node(&there, shares[1].path());
    let from = format!("{NEIGHBOUR}:{}", named.address().port());
    let client = |args: &[&str]| {
        let mut command = here.command(env!("CARGO_BIN_EXE_peer-client"));
        // It does not count.
        command.env("PEERLINE_RELAY", "auto").args(args);
        run(command, b"")
    };
    // A download that waits looks for nodes again after five seconds.
    let args = ["get", "late", "--wait", "8", "--discovery-time", "0.5"];
    let output = client(&[&args[..], &["--from", &from]].concat()).expect_code(1);
    assert_eq!(output.text(), "");
    let output = client(&args).expect_code(0);
    assert_eq!(output.text(), "it is there");
}

#[test]
fn the_console_of_a_node_without_a_relay_says_so() {
    let Some(here) = Machine::new() else {
        return;
    };
    let share = folder(&[("a.txt", b"A")]);
    let mut command = here.command(env!("CARGO_BIN_EXE_peer-node"));
    command.args(["--announce", "--console", "--no-hashes", "--share"]);
    command.arg(share.path());
    let output = run(command, b"ls\nget a\nsend 10.9.0.2 9 hi\nstatus\nquit\n");
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    let refusals = output.stderr.matches("there is no relay").count();
    assert_eq!(refusals, 3, "{}", output.stderr);
}

/// A message bus without users, for `avahi-daemon`.
const BUS: &[u8] = b"<busconfig>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <policy context='default'>
    <allow user='*'/><allow own='*'/>
    <allow send_type='method_call'/><allow receive_type='method_call'/>
    <allow send_type='method_return'/><allow receive_type='method_return'/>
    <allow send_type='error'/><allow receive_type='error'/>
    <allow send_type='signal'/><allow receive_type='signal'/>
  </policy>
</busconfig>";

/// Starts the name service of the desktop beside a relay, on a machine of their own.
const AVAHI: &str = "
  mount -t tmpfs none /run && mkdir /run/dbus && ip link set lo up || exit 77
  ip link add net0 type veth peer name net1 || exit 77
  ip address add 10.9.0.1/24 dev net0; ip link set net0 up; ip link set net1 up
  dbus-daemon --config-file=$0/bus --nofork &
  until [ -S /run/dbus/system_bus_socket ]; do :; done
  avahi-daemon --no-drop-root --no-chroot --no-rlimits &
  until avahi-daemon --check; do :; done
  \"$@\" 8888 --listen 0.0.0.0 --announce >/dev/null &
  until avahi-browse -rtp _peerline._tcp | grep '^=;net0;IPv4'; do :; done";

/// Unlike the other tests, this one needs a real administrator.
#[test]
fn avahi_browse_sees_a_relay() {
    if is_missing("avahi-browse") || is_missing("avahi-daemon") || is_missing("dbus-daemon") {
        return;
    }
    let home = folder(&[("bus", BUS)]);
    let mut command = Command::new("unshare");
    // When the first process ends, all of them do.
    command.args(["-mnpf", "--kill-child", "sh", "-c", AVAHI]);
    command
        .arg(home.path())
        .arg(env!("CARGO_BIN_EXE_relay-server"));
    let output = run(command, b"");
    if !rustix::process::geteuid().is_root() || output.code == Some(77) {
        eprintln!("not tested: the system allows no network of its own");
        return;
    }
    let line = output.expect_code(0).text();
    let fields: Vec<&str> = line.trim_end().split(';').collect();
    assert!(fields[3].ends_with("\\0328888"), "{line}");
    assert_eq!(fields[4..6], ["_peerline._tcp", "local"], "{line}");
    assert_eq!(fields[7..9], ["10.9.0.1", "8888"], "{line}");
    assert!(
        fields[9].contains("\"version=") && fields[9].contains("\"id=sha256//"),
        "{line}"
    );
}
