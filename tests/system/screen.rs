//! What the client says about its work, as lines or as JSON, and its exit code.

use std::fs::{self, File};
use std::io::Read;
use std::net::{Ipv6Addr, TcpListener};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::fake::{Fake, nobody, register};
use crate::running::Running;
use crate::support::{Done, Server, client, client_command, folder, node, relay, run};

const HELLO: &[u8] = b"Hello, Peerline!\n";

/// Every line as JSON.
#[track_caller]
fn json_lines(text: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line:?}"));
    text.lines().map(parse).collect()
}

#[test]
fn what_a_node_says_cannot_play_with_the_terminal() {
    let rude = Fake::saying("ERROR 500 \x1b[31mred\x07 \u{202e}\u{9b}2J\r\n");
    let relay = relay(&[]);
    register(&relay, rude.address());
    let done = client(&relay, &["get", "x"]).expect_code(5);
    let says = "it says 500 \\u{1b}[31mred\\u{7} \\u{202e}\\u{9b}2J\n";
    assert!(done.stderr.contains(says), "{}", done.stderr);
    assert!(!done.stderr.contains(|c: char| c.is_control() && c != '\n'));
}

#[test]
fn a_quiet_client_says_only_what_went_wrong() {
    let share = folder(&[("hello.txt", HELLO)]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    let done = client(&relay, &["-q", "get", "hello.txt"]).expect_code(0);
    assert_eq!((&done.stdout[..], &done.stderr[..]), (HELLO, ""));
    let done = client(&relay, &["get", "missing", "-q"]).expect_code(1);
    assert_eq!(done.stderr, "missing: not found, 1 asked\n");
}

#[test]
fn of_several_names_each_is_fetched_and_the_first_failure_counts() {
    let share = folder(&[("one", b"1"), ("two", b"2")]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    let done = client(&relay, &["get", "one", "missing", "two", "one"]).expect_code(1);
    assert_eq!(done.stdout, b"121");
    // The relay is asked once, however many names there are.
    assert_eq!(done.stderr.matches("the relay lists").count(), 1);
}

#[test]
fn results_come_as_json_where_no_content_goes() {
    let share = folder(&[("hello.txt", HELLO)]);
    let relay = relay(&[]);
    let node = node(&relay, share.path(), &[]);
    let port = node.address().port();
    let check = |value: &Value, name: &str| {
        assert_eq!(value["name"], name);
        assert_eq!(value["size"], 17);
        assert_eq!(
            (&value["ip"], &value["port"]),
            (&json!("127.0.0.1"), &json!(port))
        );
        assert!(
            value["seconds"]
                .as_f64()
                .is_some_and(|seconds| seconds >= 0.0)
        );
    };
    let done = client(&relay, &["--json", "get", "hello.txt"]).expect_code(0);
    assert_eq!(done.stdout, HELLO);
    check(&json_lines(&done.stderr)[0], "hello.txt");
    let home = folder(&[]);
    let dir = home.path().to_str().expect("a text");
    let done = client(&relay, &["get", "hello.txt", "-d", dir, "--json"]).expect_code(0);
    check(&json_lines(&done.text())[0], "hello.txt");
    assert_eq!(done.stderr, "");
    let done = client(&relay, &["nodes", "--json"]).expect_code(0);
    let nodes = json!({"nodes": [{"ip": "127.0.0.1", "port": port}]});
    assert_eq!(json_lines(&done.text()), [nodes]);
    assert_eq!(done.stderr, "");
}

#[test]
fn failures_come_as_json_too() {
    let share = folder(&[("hello.txt", HELLO)]);
    let home = folder(&[("hello.txt", b"mine")]);
    let dir = home.path().to_str().expect("a text");
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    let done = client(&relay, &["get", "missing", "--json"]).expect_code(1);
    let missing = json!({"name": "missing", "error": "not found", "nodes": 1, "failed": 0});
    assert_eq!(json_lines(&done.stderr), [missing]);
    let done = client(&relay, &["get", "hello.txt", "-d", dir, "--json"]).expect_code(6);
    let value = &json_lines(&done.text())[0];
    assert_eq!(
        (&value["name"], &value["error"]),
        (&json!("hello.txt"), &json!("not stored"))
    );
    let dies = Fake::saying([&b"FOUND 2000000\n"[..], &[7; 1_500_000]].concat());
    let relay = Fake::relay(&[dies.address()]);
    let done = run(
        client_command(relay.address(), &["get", "x", "--json"]),
        b"",
    );
    let done = done.expect_code(4);
    let incomplete =
        json!({"name": "x", "error": "incomplete", "shown": 1_500_000, "size": 2_000_000});
    assert_eq!(json_lines(&done.stderr), [incomplete]);
    assert_eq!(done.stdout.len(), 1_500_000);
    let (_socket, dead) = nobody();
    let done = run(client_command(dead, &["nodes", "--json"]), b"").expect_code(3);
    assert_eq!(json_lines(&done.stderr)[0]["error"], "relay");
}

#[test]
fn a_relay_that_is_not_there_is_one_line() {
    let (_socket, dead) = nobody();
    let no_list = "the relay gives no list: connect failed: ";
    let of_x = format!("x: {no_list}");
    let not_sent = "not sent by the relay: connect failed: ";
    let no_messages = "no messages arrive from the relay: connect failed: ";
    for (args, says) in [
        (&["get", "x"][..], no_list),
        (&["nodes"], no_list),
        (&[], no_list),
        (&["find", "x"], &of_x),
        (&["send", "127.0.0.1", "9", "x"], not_sent),
        (&["chat"], no_messages),
    ] {
        let done = run(client_command(dead, args), b"x\n").expect_code(3);
        assert_eq!(done.stderr.lines().count(), 1, "{}", done.stderr);
        assert!(done.stderr.starts_with(says), "{}", done.stderr);
        let advice = "; is it running, and is the address right?\n";
        assert!(done.stderr.ends_with(advice), "{}", done.stderr);
        assert!(done.stdout.is_empty());
    }
}

/// Fetches from a relay that is named so.
fn get_at(host: &str, relay: &Server) -> Done {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peer-client"));
    let port = relay.address().port().to_string();
    command.args([host, &port, "get", "hello.txt"]);
    run(command, b"")
}

#[test]
fn a_list_that_cannot_be_written_is_a_failure() {
    let relay = relay(&[]);
    register(&relay, nobody().1);
    for args in [&["nodes"][..], &["nodes", "--json"]] {
        let full = File::options().write(true).open("/dev/full");
        let mut command = client_command(relay.address(), args);
        command
            .stdin(Stdio::null())
            .stdout(full.expect("a device"))
            .stderr(Stdio::null());
        assert_eq!(Running::start(&mut command).end(), Some(6));
    }
}

#[test]
fn a_relay_is_found_by_name() {
    let relay = relay(&[]);
    let share = folder(&[("hello.txt", HELLO)]);
    let _node = node(&relay, share.path(), &[]);
    // Where localhost is ::1 first, 127.0.0.1 is tried after it.
    let done = get_at("localhost", &relay).expect_code(0);
    assert_eq!(done.stdout, HELLO);
    let done = get_at("name.invalid", &relay).expect_code(9);
    let says = "peer-client: name.invalid does not resolve: ";
    assert!(done.stderr.starts_with(says), "{}", done.stderr);
    assert_eq!(done.stderr.lines().count(), 1, "{}", done.stderr);
}

#[test]
fn ipv6_works_with_and_without_brackets() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        return eprintln!("skipped: this machine has no ::1");
    }
    let relay = relay(&["--listen", "::1"]);
    let share = folder(&[("hello.txt", HELLO)]);
    let _node = node(&relay, share.path(), &[]);
    for host in ["::1", "[::1]", "0:0:0:0:0:0:0:1"] {
        let done = get_at(host, &relay).expect_code(0);
        assert_eq!(done.stdout, HELLO);
        assert!(done.stderr.contains("::1 port "), "{}", done.stderr);
    }
}

#[test]
fn a_wrong_command_line_is_said_to_be_wrong() {
    let wrong: [&[&str]; 10] = [
        &[],
        &["127.0.0.1"],
        &["127.0.0.1", "0"],
        &["127.0.0.1", "65536"],
        &["127.0.0.1", "1", "fetch", "x"],
        &["127.0.0.1", "1", "get"],
        &["127.0.0.1", "1", "nodes", "x"],
        &["127.0.0.1", "1", "nodes", "-q", "-v"],
        &["127.0.0.1", "1", "nodes", "--timeout", "0"],
        &["127.0.0.1", "1", "nodes", "--no-such-flag"],
    ];
    for args in wrong {
        let mut command = Command::new(env!("CARGO_BIN_EXE_peer-client"));
        command.args(args);
        let done = run(command, b"").expect_code(2);
        assert!(done.stderr.contains("--help"), "{}", done.stderr);
        assert!(done.stdout.is_empty());
    }
}

#[test]
fn what_a_port_is_is_told() {
    for port in ["0", "65536", "x"] {
        for args in [&[port][..], &["1", "send", "127.0.0.1", port, "hello"]] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_peer-client"));
            command.arg("127.0.0.1").args(args);
            let done = run(command, b"").expect_code(2);
            let says = "a port is a whole number from 1 to 65535\n";
            assert!(done.stderr.contains(says), "{}", done.stderr);
        }
    }
}

#[test]
fn when_nobody_reads_any_more_the_client_ends_in_peace() {
    let share = folder(&[("large", &[7; 8_000_000]), ("small", b"7")]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    let mut client = Running::start(
        client_command(relay.address(), &["get", "large"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    );
    // head -c 1
    let mut stdout = client.child.stdout.take().expect("it is a pipe");
    stdout.read_exact(&mut [0]).expect("a byte");
    drop(stdout);
    assert_eq!(client.end(), Some(0));
    let mut stderr = String::new();
    let mut pipe = client.child.stderr.take().expect("it is a pipe");
    pipe.read_to_string(&mut stderr).expect("text");
    assert!(!stderr.contains("panicked"), "{stderr}");
    // Without a stderr the work is done all the same.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut client = Running::start(
        client_command(relay.address(), &["get", "small", "missing", "-v"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(writer),
    );
    assert_eq!(client.end(), Some(1));
    let mut pipe = client.child.stdout.take().expect("it is a pipe");
    let mut stdout = String::new();
    pipe.read_to_string(&mut stdout).expect("text");
    assert_eq!(stdout, "7");
    // A full disk behind stdout is a failure, even if it shows at the last flush.
    let full = fs::File::options().write(true).open("/dev/full");
    let mut client = Running::start(
        client_command(relay.address(), &["get", "small", "-q"])
            .stdin(Stdio::null())
            .stdout(full.expect("a device"))
            .stderr(Stdio::null()),
    );
    assert_eq!(client.end(), Some(6));
}

#[test]
fn every_program_explains_itself() {
    let programs = [
        ("relay-server", env!("CARGO_BIN_EXE_relay-server")),
        ("peer-node", env!("CARGO_BIN_EXE_peer-node")),
        ("peer-client", env!("CARGO_BIN_EXE_peer-client")),
        ("peerline", env!("CARGO_BIN_EXE_peerline")),
    ];
    for (name, path) in programs {
        let say = |flag| {
            let mut command = Command::new(path);
            command.arg(flag);
            let done = run(command, b"").expect_code(0);
            assert_eq!(done.stderr, "");
            done.text()
        };
        assert_eq!(
            say("--version"),
            format!("{name} {}\n", env!("CARGO_PKG_VERSION"))
        );
        assert!(say("--help").contains(&format!("Usage: {name} ")));
        assert!(say("-h").contains("--version"));
    }
}
