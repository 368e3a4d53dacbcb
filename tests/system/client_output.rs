//! Messages of the client as lines and as JSON, and its exit codes.

use std::fs::{self, File};
use std::io::Read;
use std::net::{Ipv6Addr, TcpListener};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::fake_server::{FakeServer, closed_port, register};
use crate::support::{
    ProgramOutput, RunningProgram, Server, client, client_command, folder, node, relay, run,
};

const HELLO: &[u8] = b"Hello, Peerline!\n";

/// Parses each line as JSON.
#[track_caller]
fn json_lines(text: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line:?}"));
    text.lines().map(parse).collect()
}

#[test]
fn text_from_a_node_is_escaped() {
    let rude = FakeServer::replying("ERROR 500 \x1b[31mred\x07 \u{202e}\u{9b}2J\r\n");
    let relay = relay(&[]);
    register(&relay, rude.address());
    let output = client(&relay, &["get", "x"]).expect_code(5);
    let message = "error 500: \\u{1b}[31mred\\u{7} \\u{202e}\\u{9b}2J\n";
    assert!(output.stderr.contains(message), "{}", output.stderr);
    assert!(
        !output
            .stderr
            .contains(|c: char| c.is_control() && c != '\n')
    );
}

#[test]
fn quiet_prints_only_errors() {
    let share = folder(&[("hello.txt", HELLO)]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    let output = client(&relay, &["-q", "get", "hello.txt"]).expect_code(0);
    assert_eq!((&output.stdout[..], &output.stderr[..]), (HELLO, ""));
    let output = client(&relay, &["get", "missing", "-q"]).expect_code(1);
    assert_eq!(output.stderr, "missing: not found, 1 node asked\n");
}

#[test]
fn all_names_are_fetched_after_a_failure() {
    let share = folder(&[("one", b"1"), ("two", b"2")]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    let output = client(&relay, &["get", "one", "missing", "two", "one"]).expect_code(1);
    assert_eq!(output.stdout, b"121");
    // The relay is asked once for all names.
    assert_eq!(output.stderr.matches("the relay lists").count(), 1);
}

#[test]
fn json_results_go_to_stdout_unless_content_does() {
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
    let output = client(&relay, &["--json", "get", "hello.txt"]).expect_code(0);
    assert_eq!(output.stdout, HELLO);
    check(&json_lines(&output.stderr)[0], "hello.txt");
    let home = folder(&[]);
    let dir = home.path().to_str().expect("a text");
    let output = client(&relay, &["get", "hello.txt", "-d", dir, "--json"]).expect_code(0);
    check(&json_lines(&output.text())[0], "hello.txt");
    assert_eq!(output.stderr, "");
    let output = client(&relay, &["nodes", "--json"]).expect_code(0);
    let nodes = json!({"nodes": [{"ip": "127.0.0.1", "port": port, "id": null}]});
    assert_eq!(json_lines(&output.text()), [nodes]);
    assert_eq!(output.stderr, "");
}

/// A program reads stderr as well, where errors are reported before there is a result.
#[test]
fn with_json_errors_at_the_start_and_the_log_are_json() {
    let (relay, home) = (relay(&[]), folder(&[]));
    let start = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_peer-client"));
        command.env("PEERLINE_RELAY", relay.address().to_string());
        command.args(args);
        command.current_dir(home.path());
        run(command, b"")
    };
    for (args, code, why) in [
        (
            &["ls", "--from", "unknown.invalid:1"][..],
            9,
            "cannot resolve unknown.invalid",
        ),
        (&["get", "a", "-d", "no"], 6, "no"),
        (
            &["verify", "no/such"],
            6,
            "no/such is no file on this computer",
        ),
        (
            &["ls", "--log-file", "/no/such"],
            11,
            "cannot open the log file",
        ),
    ] {
        let output = start(&[args, &["--json"]].concat()).expect_code(code);
        assert_eq!(output.text(), "");
        let [error] = &json_lines(&output.stderr)[..] else {
            panic!("{args:?}: {}", output.stderr);
        };
        assert_eq!(
            (&error["error"], &error["code"]),
            (&json!("start"), &json!(code))
        );
        assert!(
            error["why"].as_str().is_some_and(|text| text.contains(why)),
            "{error}"
        );
    }
    // A warning of the log, and one in the form that the user wants.
    let args = ["nodes", "--relay", "unknown.invalid:1", "--json"];
    let output = start(&args).expect_code(0);
    let lines = json_lines(&output.stderr);
    let is_warning = |line: &Value| line["level"] == "warn" && line["time"].is_string();
    assert!(
        !lines.is_empty() && lines.iter().all(is_warning),
        "{}",
        output.stderr
    );
    let output = start(&[&args[..], &["--log-format", "text"]].concat()).expect_code(0);
    assert!(output.stderr.contains("Z [WARN] "), "{}", output.stderr);
}

#[test]
fn json_failures() {
    let share = folder(&[("hello.txt", HELLO)]);
    let home = folder(&[("hello.txt", b"mine")]);
    let dir = home.path().to_str().expect("a text");
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    let output = client(&relay, &["get", "missing", "--json"]).expect_code(1);
    let missing =
        json!({"name": "missing", "error": "not found", "nodes": 1, "failed": 0, "similar": []});
    assert_eq!(json_lines(&output.stderr), [missing]);
    let output = client(&relay, &["get", "hello.txt", "-d", dir, "--json"]).expect_code(6);
    let value = &json_lines(&output.text())[0];
    assert_eq!(
        (&value["name"], &value["error"]),
        (&json!("hello.txt"), &json!("not stored"))
    );
    let aborting = FakeServer::replying([&b"FOUND 2000000\n"[..], &[7; 1_500_000]].concat());
    let relay = FakeServer::relay(&[aborting.address()]);
    let output = run(
        client_command(relay.address(), &["get", "x", "--json"]),
        b"",
    );
    let output = output.expect_code(4);
    let incomplete =
        json!({"name": "x", "error": "incomplete", "shown": 1_500_000, "size": 2_000_000});
    let note = "x: the relay has not said which nodes have it: protocol error; asking all nodes";
    assert_eq!(
        json_lines(&output.stderr),
        [json!({ "note": note }), incomplete]
    );
    assert_eq!(output.stdout.len(), 1_500_000);
    let (_socket, dead) = closed_port();
    let output = run(client_command(dead, &["nodes", "--json"]), b"").expect_code(3);
    assert_eq!(json_lines(&output.stderr)[0]["error"], "relay");
}

#[test]
fn an_unreachable_relay_is_reported_in_one_line() {
    let (_socket, dead) = closed_port();
    let no_list = "no list from the relay: connect failed: ";
    let of_x = format!("x: {no_list}");
    let not_sent = "not sent: connect failed: ";
    let no_messages = "cannot receive messages: connect failed: ";
    for (args, message) in [
        (&["get", "x"][..], no_list),
        (&["nodes"], no_list),
        (&[], no_list),
        (&["find", "x"], &of_x),
        (&["send", "127.0.0.1", "9", "x"], not_sent),
        (&["chat"], no_messages),
    ] {
        let output = run(client_command(dead, args), b"x\n").expect_code(3);
        assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
        assert!(output.stderr.starts_with(message), "{}", output.stderr);
        let advice = "; is the relay running, and is its address right?\n";
        assert!(output.stderr.ends_with(advice), "{}", output.stderr);
        assert!(output.stdout.is_empty());
    }
}

/// Fetches from a relay at `host`.
fn get_at(host: &str, relay: &Server) -> ProgramOutput {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peer-client"));
    let port = relay.address().port().to_string();
    command.args([host, &port, "get", "hello.txt"]);
    run(command, b"")
}

#[test]
fn a_list_that_cannot_be_written_fails() {
    let relay = relay(&[]);
    register(&relay, closed_port().1);
    for args in [&["nodes"][..], &["nodes", "--json"]] {
        let full = File::options().write(true).open("/dev/full");
        let mut command = client_command(relay.address(), args);
        command
            .stdin(Stdio::null())
            .stdout(full.expect("a device"))
            .stderr(Stdio::null());
        assert_eq!(RunningProgram::start(&mut command).wait(), Some(6));
    }
}

#[test]
fn the_relay_host_may_be_a_name() {
    let relay = relay(&[]);
    let share = folder(&[("hello.txt", HELLO)]);
    let _node = node(&relay, share.path(), &[]);
    // If localhost is ::1 first, 127.0.0.1 is tried next.
    let output = get_at("localhost", &relay).expect_code(0);
    assert_eq!(output.stdout, HELLO);
    let output = get_at("name.invalid", &relay).expect_code(9);
    let message = "peer-client: cannot resolve name.invalid: ";
    assert!(output.stderr.starts_with(message), "{}", output.stderr);
    assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
}

#[test]
fn ipv6_addresses_may_have_brackets() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        return eprintln!("skipped: this machine has no ::1");
    }
    let relay = relay(&["--listen", "::1"]);
    let share = folder(&[("hello.txt", HELLO)]);
    let _node = node(&relay, share.path(), &[]);
    for host in ["::1", "[::1]", "0:0:0:0:0:0:0:1"] {
        let output = get_at(host, &relay).expect_code(0);
        assert_eq!(output.stdout, HELLO);
        assert!(output.stderr.contains("::1 port "), "{}", output.stderr);
    }
}

#[test]
fn invalid_command_lines_are_usage_errors() {
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
        let output = run(command, b"").expect_code(2);
        assert!(output.stderr.contains("--help"), "{}", output.stderr);
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn an_invalid_port_is_explained() {
    for port in ["0", "65536", "x"] {
        for args in [&[port][..], &["1", "send", "127.0.0.1", port, "hello"]] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_peer-client"));
            command.arg("127.0.0.1").args(args);
            let output = run(command, b"").expect_code(2);
            let message = "a port is a whole number from 1 to 65535\n";
            assert!(output.stderr.contains(message), "{}", output.stderr);
        }
    }
}

#[test]
fn without_a_stdout_nothing_is_fetched_in_vain() {
    let share = folder(&[("large", &[7; 2_000_000]), ("small", b"7"), ("empty", b"")]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    let get = |name: &str, redirection: &str| {
        let client = client_command(relay.address(), &["get", name]);
        let mut shell = Command::new("sh");
        let script = format!("exec \"$@\" {redirection}");
        shell.args(["-c", &script, "sh"]).arg(client.get_program());
        shell.args(client.get_args());
        run(shell, b"")
    };
    for name in ["large", "small", "empty"] {
        let output = get(name, ">&-").expect_code(6);
        assert!(
            output
                .stderr
                .contains("cannot write to stdout: it is closed"),
            "{}",
            output.stderr
        );
        get(name, ">/dev/null").expect_code(0);
    }
}

#[test]
fn a_closed_stdout_is_a_failure_without_a_message() {
    let share = folder(&[("large", &[7; 8_000_000]), ("small", b"7")]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    let mut client = RunningProgram::start(
        client_command(relay.address(), &["get", "large"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    );
    // head -c 1
    let mut stdout = client.child.stdout.take().expect("it is a pipe");
    stdout.read_exact(&mut [0]).expect("a byte");
    drop(stdout);
    assert_eq!(client.wait(), Some(6));
    let mut stderr = String::new();
    let mut pipe = client.child.stderr.take().expect("it is a pipe");
    pipe.read_to_string(&mut stderr).expect("text");
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert!(!stderr.contains("stdout"), "{stderr}");
    // A closed stderr does not stop the work.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut client = RunningProgram::start(
        client_command(relay.address(), &["get", "small", "missing", "-v"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(writer),
    );
    assert_eq!(client.wait(), Some(1));
    let mut pipe = client.child.stdout.take().expect("it is a pipe");
    let mut stdout = String::new();
    pipe.read_to_string(&mut stdout).expect("text");
    assert_eq!(stdout, "7");
    // A full disk is an error, even if only the last flush fails.
    let full = fs::File::options().write(true).open("/dev/full");
    let mut client = RunningProgram::start(
        client_command(relay.address(), &["get", "small", "-q"])
            .stdin(Stdio::null())
            .stdout(full.expect("a device"))
            .stderr(Stdio::null()),
    );
    assert_eq!(client.wait(), Some(6));
}

#[test]
fn every_program_has_version_and_help() {
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
            let output = run(command, b"").expect_code(0);
            assert_eq!(output.stderr, "");
            output.text()
        };
        assert_eq!(
            say("--version"),
            format!("{name} {}\n", env!("CARGO_PKG_VERSION"))
        );
        assert!(say("--help").contains(&format!("Usage: {name} ")));
        assert!(say("-h").contains("--version"));
    }
}
