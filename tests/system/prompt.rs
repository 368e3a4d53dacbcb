//! The client's prompt, at a terminal and from a pipe.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;

use crate::support::fake_server::{FakeServer, closed_port};
use crate::support::{
    ProgramOutput, RunningProgram, Server, Terminal, ask, client, client_command, folder, node,
    relay, run,
};

const HELLO: &[u8] = b"Hello, Peerline!\n";

/// Starts the client at a terminal.
fn prompt(relay: &Server) -> Terminal {
    Terminal::start(client_command(relay.address(), &[]))
}

/// Runs the client with `input` on stdin.
fn piped(relay: &Server, input: impl AsRef<[u8]>) -> ProgramOutput {
    run(client_command(relay.address(), &[]), input.as_ref())
}

#[test]
fn files_are_fetched_one_by_one() {
    let share = folder(&[("hello.txt", HELLO), ("two words.txt", b"no end of line")]);
    let relay = relay(&[]);
    let node = node(&relay, share.path(), &[]);
    let mut terminal = prompt(&relay);
    let welcome = terminal.expect("peerline> ");
    assert!(welcome.contains("the relay lists 1 node"), "{welcome}");
    terminal.enter("hello.txt");
    terminal.expect("\nHello, Peerline!\r\n");
    terminal.at_prompt("  two words.txt ");
    // The next prompt starts at the beginning of a line.
    terminal.expect("\nno end of line\r\n");
    terminal.at_prompt("");
    terminal.at_prompt("nodes");
    terminal.expect(&node.wire_address());
    terminal.at_prompt("help");
    terminal.expect("get NAME");
    terminal.at_prompt("quit");
    let (rest, code) = terminal.wait();
    assert!(rest.ends_with("quit\r\n"), "{rest:?}");
    assert_eq!(code, 0);
}

#[test]
fn the_prompt_continues_after_errors() {
    let relay = relay(&[]);
    let share = folder(&[("hello.txt", HELLO)]);
    let _node = node(&relay, share.path(), &[]);
    let mut terminal = prompt(&relay);
    terminal.at_prompt("missing.txt");
    terminal.expect("missing.txt: not found, 1 node asked");
    terminal.at_prompt("../etc/passwd");
    terminal.expect("a file name must be relative");
    terminal.at_prompt("get");
    terminal.expect("the file name is missing");
    terminal.at_prompt("chat hello");
    terminal.expect("usage: chat IP PORT, or chat");
    terminal.at_prompt("hello.txt");
    terminal.expect("Hello, Peerline!");
    terminal.expect("peerline> ");
    terminal.ctrl('d');
    // The person has seen each failure.
    assert_eq!(terminal.wait().1, 0);
}

#[test]
fn get_fetches_names_that_start_with_a_command() {
    let names = ["help", "nodes of mine.txt", "get", "quit"];
    let share = folder(&names.map(|name| (name, name.as_bytes())));
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    let input = names.map(|name| format!("get '{name}'\n")).concat();
    let output = piped(&relay, input).expect_code(0);
    assert_eq!(output.text(), names.concat());
}

#[test]
fn binary_content_is_not_printed_at_the_prompt() {
    let share = folder(&[("picture", b"\x89PNG\0\x01"), ("hello.txt", HELLO)]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    let mut terminal = prompt(&relay);
    terminal.at_prompt("picture");
    terminal.expect("picture: binary content is not printed on a terminal: ");
    terminal.expect("get -o FILE -- picture saves it");
    terminal.at("save it? [y/N] ", "n");
    terminal.at_prompt("hello.txt");
    terminal.expect("Hello, Peerline!");
    terminal.at_prompt("quit");
    assert_eq!(terminal.wait().1, 0);
}

#[test]
fn each_command_asks_the_relay_again() {
    let relay = relay(&[]);
    let mut terminal = prompt(&relay);
    let welcome = terminal.expect("peerline> ");
    assert!(welcome.contains("the relay lists 0 nodes"), "{welcome}");
    let share = folder(&[("hello.txt", HELLO)]);
    let _node = node(&relay, share.path(), &[]);
    terminal.enter("hello.txt");
    terminal.expect("Hello, Peerline!");
    terminal.at_prompt("quit");
    assert_eq!(terminal.wait().1, 0);
}

#[test]
fn a_stopped_relay_does_not_end_the_prompt() {
    let mut relay = relay(&[]);
    let mut terminal = prompt(&relay);
    terminal.expect("peerline> ");
    relay.stop();
    terminal.enter("hello.txt");
    terminal.expect("no list from the relay: connect failed: ");
    terminal.at_prompt("nodes");
    terminal.expect("no list from the relay: ");
    terminal.at_prompt("help");
    terminal.expect("get NAME");
    terminal.at_prompt("quit");
    assert_eq!(terminal.wait().1, 0);
}

#[test]
fn the_prompt_needs_a_relay_at_start() {
    let (_socket, dead) = closed_port();
    let (shown, code) = Terminal::start(client_command(dead, &[])).wait();
    assert!(!shown.contains("peerline>"), "{shown}");
    assert_eq!(code, 3);
}

#[test]
fn ctrl_c_ends_a_running_fetch_and_not_the_prompt() {
    let stuck = FakeServer::hanging_after("FOUND 17\nHello");
    let relay = FakeServer::relay(&[stuck.address()]);
    let mut terminal = Terminal::start(client_command(relay.address(), &[]));
    terminal.at_prompt("hello.txt");
    terminal.expect("found: 17 B");
    terminal.ctrl('c');
    let shown = terminal.expect("stopped");
    assert!(!shown.contains("Hello"), "{shown}");
    terminal.expect("peerline> ");
    terminal.ctrl('c');
    terminal.expect("to leave, type exit or press ctrl-D");
    terminal.at_prompt("exit");
    assert_eq!(terminal.wait().1, 0);
}

#[test]
fn piped_commands_end_at_quit_or_end_of_input() {
    let share = folder(&[("one", b"1"), ("two", b"2"), ("größe", b"3")]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    let out = |input: &str| piped(&relay, input).expect_code(0).text();
    assert_eq!(out("one\ntwo\ngröße\n"), "123");
    assert_eq!(out("one\r\nget two\r\n"), "12");
    // As with echo -n.
    assert_eq!(out("one\ntwo"), "12");
    // An empty line is no command, and a byte order mark is no part of one.
    assert_eq!(out("one\n\n \r\ntwo\n"), "12");
    assert_eq!(out("\u{feff}one\r\n"), "1");
    assert_eq!(out("one\nquit\ntwo\n"), "1");
    assert_eq!(out(""), "");
    let output = piped(&relay, "one\n").expect_code(0);
    assert!(!output.stderr.contains("peerline>"), "{}", output.stderr);
}

#[test]
fn a_list_holds_names_only() {
    let names = ["quit", "nodes", "get one", "größe", "one"];
    let share = folder(&names.map(|name| (name, name.as_bytes())));
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    let (home, list) = (folder(&[]), folder(&[]));
    let path = list.path().join("names.txt");
    let path = path.to_str().expect("text");
    let get = |list: &str, args: &[&str]| {
        std::fs::write(path, list).expect("a list");
        let from_stdin = [&["get", "-i", "-"], args].concat();
        let from_stdin = run(
            client_command(relay.address(), &from_stdin),
            list.as_bytes(),
        );
        let from_file = client(&relay, &[&["get", "--input", path], args].concat());
        assert_eq!(from_file.stdout, from_stdin.stdout);
        assert_eq!(from_file.code, from_stdin.code);
        from_file
    };
    let lines = format!("\u{feff}{}", names.join("\r\n\r\n"));
    assert_eq!(get(&lines, &[]).expect_code(0).text(), names.concat());
    assert_eq!(get("", &[]).expect_code(0).text(), "");
    // The rest of the list is fetched after a failure.
    assert_eq!(get("missing\none\n", &[]).expect_code(1).text(), "one");
    assert_eq!(get("../x\none\n", &[]).expect_code(2).text(), "one");
    let dir = home.path().to_str().expect("text");
    get(&lines, &["-d", dir, "--force"]).expect_code(0);
    assert_eq!(std::fs::read_dir(dir).expect("it").count(), names.len());
    client(&relay, &["get", "-i", "/no/such/list"]).expect_code(2);
    client(&relay, &["get", "-i", path, "-o", "one"]).expect_code(2);
    client(&relay, &["get", "-i", dir]).expect_code(6);
}

#[test]
fn a_line_that_is_not_utf8_names_no_file() {
    // With U+FFFD for the byte, the name would be this one.
    let share = folder(&[("caf\u{fffd}", &b"forged"[..]), ("one", b"1")]);
    let relay = relay(&[]);
    let node = node(&relay, share.path(), &[]);
    let list = folder(&[("names", &b"caf\xe9\none\n"[..])]);
    let path = list.path().join("names");
    let path = path.to_str().expect("text");
    let lines: [(&[&str], &[u8]); 3] = [
        (&["get", "-i", "-"], b"caf\xe9\none\n"),
        (&["get", "-i", path], b""),
        (&[], b"get caf\xe9\nget one\n"),
    ];
    for (args, input) in lines {
        let output = run(client_command(relay.address(), args), input).expect_code(2);
        assert_eq!(output.text(), "1", "{args:?}");
        let message = "a line is not UTF-8, and was skipped";
        assert!(output.stderr.contains(message), "{}", output.stderr);
    }
    assert_eq!(node.stat("gets"), 3);
    let mut command = client_command(relay.address(), &["get"]);
    command.arg(OsStr::from_bytes(b"caf\xe9"));
    assert_eq!(run(command, b"").expect_code(2).text(), "");
}

#[test]
fn a_long_list_of_missing_names_does_not_keep_the_relay_busy() {
    let share = folder(&[("one", b"1")]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    let list = "missing\n".repeat(50) + "one\n";
    let command = client_command(relay.address(), &["get", "-q", "-i", "-"]);
    assert_eq!(run(command, list.as_bytes()).expect_code(1).text(), "1");
    assert_eq!(ask(relay.address(), b"PING\n"), "PONG\n");
    let log = relay.log_until("last PING");
    // Similar names are searched for the first of them only.
    assert_eq!(log.matches("last SEARCH").count(), 16);
}

#[test]
fn the_exit_code_is_that_of_the_worst_failure() {
    let share = folder(&[("one", b"1")]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    let code = |input: &str| {
        let output = piped(&relay, format!("{input}one\n"));
        assert_eq!(output.text(), "1", "{}", output.stderr);
        output.code
    };
    assert_eq!(code(""), Some(0));
    assert_eq!(code("missing\n../x\n"), Some(1));
    assert_eq!(code("../x\nmissing\n"), Some(1));
    assert_eq!(code("chat one\n"), Some(2));
    let output = piped(&relay, "get missing\nexit\n");
    assert_eq!(
        output.code,
        Some(1),
        "a program sees no failure but by the code"
    );
}

#[test]
fn a_line_that_is_too_long_is_one_invalid_name() {
    let share = folder(&[("one", b"1")]);
    let relay = relay(&[]);
    let node = node(&relay, share.path(), &[]);
    // The end of the line looks like a name.
    let long = format!("{}one\none\n", "x".repeat(4096));
    let output = piped(&relay, long).expect_code(2);
    assert_eq!(output.text(), "1");
    assert_eq!(output.stderr.matches("at most 1024 bytes").count(), 1);
    assert_eq!(node.stat("gets"), 1);
}

#[test]
fn a_program_can_use_the_prompt_through_pipes() {
    let node = FakeServer::replying("FOUND 1\n1");
    let relay = FakeServer::relay(&[node.address()]);
    let mut client = RunningProgram::start(
        client_command(relay.address(), &["-q"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped()),
    );
    let mut stdin = client.child.stdin.take().expect("it is a pipe");
    let mut stdout = client.child.stdout.take().expect("it is a pipe");
    for _ in 0..3 {
        // Each line is written after the whole reply to the previous one.
        stdin.write_all(b"one\n").expect("it reads");
        let mut one = [0];
        stdout.read_exact(&mut one).expect("an answer");
        assert_eq!(&one, b"1");
    }
    drop(stdin);
    assert_eq!(client.wait(), Some(0));
}
