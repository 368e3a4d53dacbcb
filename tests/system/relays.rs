//! Several relays: a node registers with each, and a client asks all of them.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::fake_server::{FakeServer, closed_port, register, unresponsive_port};
use crate::support::{
    ProgramOutput, Server, ask, client_command, eventually, folder, node, node_command, relay,
    relay_command, run,
};

/// The client, with all of these relays.
fn client(relays: &[SocketAddr], args: &[&str]) -> ProgramOutput {
    let mut command = client_command(relays[0], args);
    for relay in &relays[1..] {
        command.args(["--relay", &relay.to_string()]);
    }
    run(command, b"")
}

/// A node that is registered with both relays.
fn node_of_both(relays: &[Server; 2], share: &Path, args: &[&str]) -> Server {
    let node = Server::start(both(relays, share, args));
    node.log_until_count("registered as", 2);
    node
}

fn both(relays: &[Server; 2], share: &Path, args: &[&str]) -> Command {
    let mut command = node_command(relays[0].address(), share, args);
    command.args(["--relay", &relays[1].address().to_string()]);
    command
}

fn two_relays(args: &[&str]) -> ([Server; 2], [SocketAddr; 2]) {
    let relays = [relay(args), relay(args)];
    let addresses = [relays[0].address(), relays[1].address()];
    (relays, addresses)
}

#[test]
fn a_client_merges_what_two_relays_say() {
    let (relays, addresses) = two_relays(&[]);
    let shares = [
        folder(&[("a.txt", b"A"), ("same.txt", b"same")]),
        folder(&[("b.txt", b"BB"), ("same.txt", b"same")]),
        folder(&[("c.txt", b"CCC")]),
    ];
    let first = node(&relays[0], shares[0].path(), &[]);
    let second = node(&relays[1], shares[1].path(), &[]);
    let both = node_of_both(&relays, shares[2].path(), &[]);
    eventually("all files are announced", || {
        let list = client(&addresses, &["ls"]).expect_code(0).text();
        list == "1 - 1 a.txt\n2 - 1 b.txt\n3 - 1 c.txt\n4 - 1 same.txt\n"
    });
    let nodes = client(&addresses, &["nodes"]).expect_code(0).text();
    let [first, second, both] = [first, second, both].map(|node| {
        let address = node.wire_address();
        (node, address)
    });
    let expected = [&first.1, &second.1, &both.1].map(|node| format!("{node}\n"));
    assert_eq!(nodes, expected.concat(), "the relays take turns");
    for (name, content) in [("a.txt", "A"), ("b.txt", "BB"), ("c.txt", "CCC")] {
        let output = client(&addresses, &["get", name]).expect_code(0);
        assert_eq!(output.text(), content);
    }
    let holders = client(&addresses, &["find", "same.txt"]).expect_code(0);
    let expected = [&first.1, &second.1].map(|node| format!("{node} 4 -\n"));
    assert_eq!(holders.text(), expected.concat());
    assert!(!holders.stderr.contains("lists"), "{}", holders.stderr);
    let search = client(&addresses, &["search", "SAME", "-v"]).expect_code(0);
    for relay in addresses {
        let line = format!("{relay} lists 1 line\n  same.txt\n");
        assert!(search.stderr.contains(&line), "{}", search.stderr);
    }
    // All relays may stand in the environment.
    let mut command = Command::new(env!("CARGO_BIN_EXE_peer-client"));
    let list = format!("{},{}", addresses[0], addresses[1]);
    command.env("PEERLINE_RELAY", list).arg("nodes");
    assert_eq!(run(command, b"").expect_code(0).text(), nodes);
}

/// A client gives up on a file after 50 nodes.
#[test]
fn a_lying_relay_hides_no_node_of_another_one() {
    let relay = relay(&[]);
    let share = folder(&[("announced", b"A")]);
    let _node = node(&relay, share.path(), &[]);
    eventually("the file is announced", || {
        ask(relay.address(), b"FIND announced\n").starts_with("HOLDERS 1\n")
    });
    let other = FakeServer::new(|mut connection| {
        let is_there = connection.line() == "GET other\n";
        connection.send(if is_there { "FOUND 1\nB" } else { "NOTFOUND\n" });
    });
    register(&relay, other.address());
    let (_socket, refusing) = closed_port();
    let invented = move |end: &str| {
        let nodes = (1..=60).map(|host| format!("127.9.0.{host} {}{end}\n", refusing.port()));
        nodes.collect::<String>()
    };
    let liar = FakeServer::new(move |mut connection| {
        let request = connection.line();
        connection.send(match request.as_str() {
            "LIST\n" => "NODES 60\n".to_owned() + &invented(""),
            "FIND announced\n" => "HOLDERS 60\n".to_owned() + &invented(" 1 -"),
            _ => "HOLDERS 0\n".to_owned(),
        });
    });
    for relays in [
        [liar.address(), relay.address()],
        [relay.address(), liar.address()],
    ] {
        for (name, content) in [("announced", "A"), ("other", "B")] {
            let output = client(&relays, &["get", name]).expect_code(0);
            assert_eq!(output.text(), content);
        }
    }
}

/// Two queries, and each of them would have to wait for the relay that is down.
#[test]
fn a_relay_that_is_down_costs_a_client_less_than_a_second() {
    let share = folder(&[("a.txt", b"A")]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    eventually("the file is announced", || {
        ask(relay.address(), b"FIND a.txt\n").starts_with("HOLDERS")
    });
    let time = |relays: &[SocketAddr]| {
        let started = Instant::now();
        let output = client(relays, &["get", "a.txt"]).expect_code(0);
        assert_eq!(output.text(), "A");
        (started.elapsed(), output.stderr)
    };
    let (usual, _) = time(&[relay.address()]);
    let silent = FakeServer::hanging_after("");
    let (_socket, refusing) = closed_port();
    let (_queue, unresponsive) = unresponsive_port();
    for (dead, reason) in [
        (silent.address(), "others have answered"),
        (refusing, "Connection refused"),
        (unresponsive, "others have answered"),
    ] {
        let (took, stderr) = time(&[dead, relay.address()]);
        assert!(took < usual + Duration::from_secs(1), "{took:?}: {stderr}");
        assert_eq!(stderr.matches(reason).count(), 1, "told once: {stderr}");
        assert!(stderr.contains(&format!("relay {dead}: ")), "{stderr}");
        assert!(stderr.contains("the relays list 1 node"), "{stderr}");
    }
    let (_other_socket, other) = closed_port();
    let output = client(&[refusing, other], &["nodes"]).expect_code(3);
    assert!(output.stderr.contains("no list from the relay"));
}

/// The files of the nodes at the relay that does not answer are not known.
#[test]
fn a_file_may_be_at_the_relay_that_does_not_answer() {
    let share = folder(&[("d/a.txt", b"A")]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    eventually("the file is announced", || {
        ask(relay.address(), b"FIND d/a.txt\n").starts_with("HOLDERS")
    });
    let (_socket, refusing) = closed_port();
    let silent = FakeServer::hanging_after("");
    let saved = folder(&[]);
    let save = ["--force", "-d", saved.path().to_str().expect("UTF-8")];
    for (dead, reason) in [
        (refusing, "Connection refused"),
        (silent.address(), "others have answered"),
    ] {
        let relays = [relay.address(), dead];
        for (args, without_dead) in [
            (&["get", "no"][..], 1),
            (&["find", "no"], 1),
            (&["search", "no"], 1),
            (&[&["get", "no/"], &save[..]].concat(), 1),
            (&[&["get", "no*"], &save[..]].concat(), 1),
            (&[&["get", "d/"], &save[..]].concat(), 0),
            (&[&["get", "d/*"], &save[..]].concat(), 0),
            (&[&["get", "--all"], &save[..]].concat(), 0),
        ] {
            client(&relays[..1], args).expect_code(without_dead);
            let output = client(&relays, args).expect_code(5);
            let told = output.stderr.matches(&format!("relay {dead}: ")).count();
            assert_eq!(told, 1, "{args:?}: {}", output.stderr);
            assert!(output.stderr.contains(reason), "{}", output.stderr);
        }
        // These got what they wanted.
        client(&relays, &["get", "d/a.txt"]).expect_code(0);
        client(&relays, &["find", "d/a.txt"]).expect_code(0);
        client(&relays, &["search", "a"]).expect_code(0);
    }
}

/// A relay whose name does not resolve is one that does not answer.
#[test]
fn a_file_may_be_at_the_relay_whose_name_does_not_resolve() {
    let relay = relay(&[]);
    let mut command = client_command(relay.address(), &["get", "no"]);
    command.args(["--relay", "unknown.invalid:7"]);
    let output = run(command, b"").expect_code(5);
    assert!(output.stderr.contains("cannot resolve unknown.invalid"));
}

/// A relay at an address of its own, so that its port is free when it starts again.
fn relay_at(ip: &str, port: u16) -> Server {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relay-server"));
    command.arg(port.to_string());
    command.args(["--listen", ip, "--lease", "1"]);
    Server::start(command)
}

#[test]
fn relays_are_killed_in_turn_and_nobody_misses_a_file() {
    const IPS: [&str; 2] = ["127.0.0.78", "127.0.0.79"];
    let rounds = std::env::var("ROUNDS").map_or(8, |rounds| rounds.parse().expect("a number"));
    let mut relays = IPS.map(|ip| relay_at(ip, 0));
    let addresses = [relays[0].address(), relays[1].address()];
    let share = folder(&[("a.txt", b"A")]);
    let node = node_of_both(&relays, share.path(), &["--log-level", "debug"]);
    let is_listed = |relay: SocketAddr| {
        ask(relay, b"FIND a.txt\n") == format!("HOLDERS 1\n{} 1 -\n", node.wire_address())
    };
    for round in 0..rounds {
        for relay in addresses {
            eventually("the file is announced", || is_listed(relay));
        }
        let victim = round % 2;
        relays[victim].signal(Signal::KILL);
        relays[victim].wait();
        let output = client(&addresses, &["get", "a.txt"]).expect_code(0);
        assert_eq!(output.text(), "A", "round {round}");
        assert!(is_listed(addresses[1 - victim]), "round {round}");
        relays[victim] = relay_at(IPS[victim], addresses[victim].port());
    }
    // The node has told of each loss at most once.
    let losses = node.log().matches("not registered: ").count();
    assert!(losses <= rounds, "{losses} of {rounds}");
}

#[test]
fn a_relay_that_is_down_is_told_once_and_costs_the_others_nothing() {
    let good = relay(&["--lease", "1"]);
    let share = folder(&[("a.txt", b"A")]);
    let (_socket, refusing) = closed_port();
    let args = [
        "--relay",
        &refusing.to_string(),
        "--relay",
        "unknown.invalid:7",
        "--log-level",
        "debug",
    ];
    let mut node = node(&good, share.path(), &args);
    let log = node.log_until_count("connect failed: ", 3);
    let unresolved = "not registered: cannot resolve unknown.invalid:7";
    assert_eq!(log.matches(unresolved).count(), 1, "{log}");
    let warning = format!("{refusing}: not registered: ");
    assert_eq!(log.matches(&warning).count(), 1, "{log}");
    let line = format!("{}: registered as ", good.address());
    assert!(log.contains(&line), "{log}");
    assert!(ask(good.address(), b"FIND a.txt\n").starts_with("HOLDERS 1\n"));
    assert_eq!(node.stop(), Some(0));
    assert_eq!(ask(good.address(), b"LIST\n"), "NODES 0\n");
    // A client goes on as well.
    let mut command = client_command(good.address(), &["nodes"]);
    command.args(["--relay", "unknown.invalid:7"]);
    let output = run(command, b"").expect_code(0);
    assert!(output.stderr.contains("cannot resolve unknown.invalid"));
}

#[test]
fn a_node_shows_its_state_at_each_relay() {
    let (relays, addresses) = two_relays(&[]);
    let share = folder(&[("a.txt", b"A")]);
    let mut node = Server::start_with_stdin(both(&relays, share.path(), &["--console"]));
    node.log_until_count("messages to ", 2);
    for relay in addresses {
        assert_eq!(node.stat(&format!("registered_at_{relay}")), 1);
    }
    let announced = |relay: &SocketAddr| ask(*relay, b"FIND a.txt\n").starts_with("HOLDERS");
    eventually("the file is announced", || addresses.iter().all(announced));
    node.enter("status");
    for relay in addresses {
        let state = format!("{relay}: registered as {}, lease ", node.wire_address());
        node.log_until(&state);
    }
    let log = node.log_until_count("1 file announced, receiving messages", 2);
    assert!(!log.contains("not registered"), "{log}");
}

#[test]
fn messages_go_through_the_relay_where_the_receiver_is_found() {
    let (relays, addresses) = two_relays(&[]);
    let share = folder(&[]);
    let args = ["--listen-messages"];
    let second = node(&relays[1], share.path(), &args);
    second.log_until("messages to ");
    let receiver = second.wire_address();
    let to: Vec<&str> = receiver.split(' ').collect();
    let args = [&["send"], &to[..], &["hello"]].concat();
    client(&addresses, &args).expect_code(0);
    second.log_until(": hello");
    // Nobody listens there.
    client(&addresses, &["send", "127.0.0.1", "9", "hello"]).expect_code(1);
    // A node of both relays reaches a node of one of them.
    let mut both = Server::start_with_stdin(both(&relays, share.path(), &["--console"]));
    both.log_until_count("messages to ", 2);
    both.enter(&format!("send {receiver} from both"));
    both.log_until("sent to ");
    second.log_until(": from both");
    // It is reached through either relay, also if the other one is gone.
    for relay in &relays {
        let line = format!("SEND {} one\nQUIT\n", both.wire_address());
        assert!(ask(relay.address(), line.as_bytes()).starts_with("OK"));
    }
    both.log_until_count(": one", 2);
    relays[0].signal(Signal::STOP);
    let command = both.wire_address();
    let to: Vec<&str> = command.split(' ').collect();
    let args = [&["send"], &to[..], &["two"]].concat();
    client(&addresses, &args).expect_code(0);
    both.log_until(": two");
    relays[0].signal(Signal::CONT);
    // A chat finds its relay, too.
    let mut command = client_command(addresses[0], &[&["chat"], &to[..]].concat());
    command.args(["--relay", &addresses[1].to_string()]);
    run(command, b"three\n").expect_code(0);
    both.log_until(": three");
}

#[test]
fn datagrams_go_to_each_relay() {
    let (relays, addresses) = two_relays(&["--log-level", "debug"]);
    let share = folder(&[("a.txt", b"A")]);
    let _node = node_of_both(&relays, share.path(), &["--udp"]);
    for relay in &relays {
        relay.log_until("registered by");
        let log = relay.log();
        assert!(!log.contains(" B in, "), "all over UDP: {log}");
    }
    let mut command = client_command(addresses[0], &["nodes", "--udp"]);
    command.args(["--relay", &addresses[1].to_string()]);
    assert_eq!(run(command, b"").expect_code(0).text().lines().count(), 1);
    // One of them answers no datagrams.
    let silent = FakeServer::hanging_after("");
    let mut command = client_command(addresses[0], &["nodes", "--udp"]);
    command.args(["--relay", &silent.address().to_string()]);
    assert_eq!(run(command, b"").expect_code(0).text().lines().count(), 1);
}

/// The id that a server prints at its start.
fn id(server: &mut Server) -> String {
    let line = server.line();
    let id = line.split(" id ").nth(1);
    id.unwrap_or_else(|| panic!("no id in {line:?}")).to_owned()
}

#[test]
fn each_relay_has_a_key_of_its_own() {
    let state = [folder(&[]), folder(&[])];
    let mut relays = [0, 1].map(|index| {
        let mut command = relay_command(&[]);
        command.env("XDG_STATE_HOME", state[index].path());
        Server::start(command)
    });
    let addresses = [relays[0].address(), relays[1].address()];
    let ids = [id(&mut relays[0]), id(&mut relays[1])];
    assert_ne!(ids[0], ids[1]);
    let share = folder(&[("a.txt", b"A")]);
    let pins = ["--relay-id", &ids[0], "--relay-id", &ids[1]];
    let _node = node_of_both(&relays, share.path(), &pins);
    let nodes = client(&addresses, &[&["nodes", "-v"], &pins[..]].concat()).expect_code(0);
    assert_eq!(
        nodes.stderr.matches(" lists 1 line").count(),
        2,
        "{}",
        nodes.stderr
    );
    let swapped = ["nodes", "--relay-id", &ids[1], "--relay-id", &ids[0]];
    client(&addresses, &swapped).expect_code(3);
}
