//! Wrong command lines: each program says what is wrong, and what to write instead.

use std::process::Command;

use crate::support::{ProgramOutput, Server, folder, node, node_command, relay, run};

/// Command lines after `$ `, each followed by the first line on stderr.
const TABLE: &str = include_str!("usage.txt");

fn start(line: &str) -> ProgramOutput {
    let (program, arguments) = line.split_once(' ').unwrap_or((line, ""));
    let mut command = Command::new(match program {
        "relay-server" => env!("CARGO_BIN_EXE_relay-server"),
        "peer-node" => env!("CARGO_BIN_EXE_peer-node"),
        "peer-client" => env!("CARGO_BIN_EXE_peer-client"),
        "peerline" => env!("CARGO_BIN_EXE_peerline"),
        other => panic!("no program {other}"),
    });
    command.env_remove("PEERLINE_RELAY");
    for (index, part) in arguments.split('\'').enumerate() {
        match index % 2 {
            0 => command.args(part.split_whitespace()),
            _ => command.arg(part),
        };
    }
    run(command, b"")
}

#[test]
fn wrong_command_lines_are_explained() {
    let mut count = 0;
    let lines: Vec<&str> = TABLE.lines().collect();
    for pair in lines.windows(2) {
        let Some(line) = pair[0].strip_prefix("$ ") else {
            continue;
        };
        let output = start(line);
        let program = line.split(' ').next().unwrap_or(line);
        let stderr: Vec<&str> = output.stderr.lines().collect();
        assert_eq!(stderr[0], pair[1], "{line}");
        assert!(stderr[0].starts_with(&format!("{program}: ")), "{line}");
        assert!(
            stderr[1].starts_with(&format!("For help: {program}")),
            "{line}"
        );
        assert_eq!((stderr.len(), output.text().as_str()), (2, ""), "{line}");
        assert_eq!(output.code, Some(2), "{line}");
        count += 1;
    }
    assert!(count > 90, "only {count} command lines were read");
}

#[test]
fn a_variable_stands_in_for_the_relay() {
    let share = folder(&[("a", b"A")]);
    let relay = relay(&[]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_peer-node"));
    command.env("PEERLINE_RELAY", relay.address().to_string());
    command.arg("--share").arg(share.path());
    let node = Server::start(command);
    node.log_until("registered as");
    let client = |value: &str, args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_peer-client"));
        command.env("PEERLINE_RELAY", value).args(args);
        run(command, b"")
    };
    let address = relay.address().to_string();
    let output = client(&address, &["get", "a"]).expect_code(0);
    assert_eq!(output.text(), "A");
    // The command line comes first.
    let output = client("unknown.invalid:1", &[&address, "get", "a"]).expect_code(0);
    assert_eq!(output.text(), "A");
    let output = client("8888", &["get", "a"]).expect_code(2);
    let expected = "peer-client: invalid value '8888' for PEERLINE_RELAY: \
                    write the host before the port, such as 127.0.0.1:8888";
    assert_eq!(output.stderr.lines().next(), Some(expected));
}

#[test]
fn the_help_of_the_command_is_named() {
    let output = start("peer-client a:1 get").expect_code(2);
    let help = output.stderr.lines().nth(1);
    assert_eq!(help, Some("For help: peer-client get --help"));
    let help = start("peer-client get --help").expect_code(0).text();
    assert!(
        help.contains("Usage: peer-client <RELAY> get [OPTIONS] [NAME]..."),
        "{help}"
    );
}

#[test]
fn the_relay_is_one_word_or_two() {
    let relay = relay(&["--listen", "127.0.0.1", "--listen", "::1"]);
    let share = folder(&[("hello.txt", b"hello")]);
    let _node = node(&relay, share.path(), &["--listen", "127.0.0.1"]);
    let port = relay.address().port();
    for address in [
        format!("127.0.0.1:{port}"),
        format!("127.0.0.1 {port}"),
        format!("localhost:{port}"),
        format!("[::1]:{port}"),
        format!("::1 {port}"),
        format!("[::1] {port}"),
    ] {
        let output = start(&format!("peer-client {address} -q get hello.txt")).expect_code(0);
        assert_eq!(output.text(), "hello", "{address}");
    }
}

#[test]
fn a_node_takes_the_relay_as_one_word() {
    let relay = relay(&[]);
    let share = folder(&[]);
    let two_words = node_command(relay.address(), share.path(), &[]);
    let mut one_word = Command::new(two_words.get_program());
    one_word.arg(relay.address().to_string());
    one_word.args(two_words.get_args().skip(2));
    let node = Server::start(one_word);
    node.log_until("registered as");
}

#[test]
fn control_characters_on_the_command_line_are_escaped() {
    for (line, escaped) in [
        ("peer-client a:1 '\u{1b}[31mls'", "'\\u{1b}[31mls'"),
        ("peer-client a:1 ls '--\u{1b}[2J'", "--\\u{1b}[2J"),
        ("peer-client a:1 find '/\u{1b}[2J'", "\\u{1b}[2J"),
        ("peer-client a:1 get x --hash '\u{9b}2J'", "\\u{9b}2J"),
        ("peer-client a:1 get -i '\u{1b}c'", "\\u{1b}c"),
    ] {
        let stderr = start(line).stderr;
        assert!(
            !stderr.contains(['\u{1b}', '\u{9b}']),
            "{line:?}: {stderr:?}"
        );
        assert!(stderr.contains(escaped), "{line:?}: {stderr:?}");
    }
}
