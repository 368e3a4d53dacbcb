//! The client's prompt: a person at a terminal, or lines from a pipe.

use std::io::{Read, Write};
use std::process::Stdio;

use crate::fake::{Fake, nobody};
use crate::running::Running;
use crate::support::{Done, Server, client_command, folder, node, relay, run};
use crate::terminal::Terminal;

const HELLO: &[u8] = b"Hello, Peerline!\n";

/// The client at a terminal.
fn prompt(relay: &Server) -> Terminal {
    Terminal::start(client_command(relay.address(), &[]))
}

/// The client with these lines on stdin.
fn piped(relay: &Server, input: impl AsRef<[u8]>) -> Done {
    run(client_command(relay.address(), &[]), input.as_ref())
}

#[test]
fn a_person_asks_for_one_file_after_the_other() {
    let share = folder(&[("hello.txt", HELLO), ("two words.txt", b"no end of line")]);
    let relay = relay(&[]);
    let node = node(&relay, share.path(), &[]);
    let mut terminal = prompt(&relay);
    let welcome = terminal.expect("peerline> ");
    assert!(welcome.contains("the relay lists 1 node"), "{welcome}");
    terminal.enter("hello.txt");
    terminal.expect("\nHello, Peerline!\r\n");
    terminal.at_prompt("  two words.txt ");
    // The next prompt stands on a line of its own.
    terminal.expect("\nno end of line\r\n");
    terminal.at_prompt("");
    terminal.at_prompt("nodes");
    terminal.expect(&node.wire_address());
    terminal.at_prompt("help");
    terminal.expect("get NAME");
    terminal.at_prompt("quit");
    let (rest, code) = terminal.end();
    assert!(rest.ends_with("quit\r\n"), "{rest:?}");
    assert_eq!(code, 0);
}

#[test]
fn what_cannot_be_done_is_said_and_the_prompt_goes_on() {
    let relay = relay(&[]);
    let share = folder(&[("hello.txt", HELLO)]);
    let _node = node(&relay, share.path(), &[]);
    let mut terminal = prompt(&relay);
    terminal.at_prompt("missing.txt");
    terminal.expect("missing.txt: not found, 1 asked");
    terminal.at_prompt("../etc/passwd");
    terminal.expect("a file name must be relative");
    terminal.at_prompt("get");
    terminal.expect("the file name is missing");
    terminal.at_prompt("chat hello");
    terminal.expect("use: chat IP PORT, or chat");
    terminal.at_prompt("hello.txt");
    terminal.expect("Hello, Peerline!");
    terminal.expect("peerline> ");
    terminal.ctrl('d');
    // The first failure counts: not found.
    assert_eq!(terminal.end().1, 1);
}

#[test]
fn a_name_that_starts_with_a_command_is_fetched_with_get() {
    let names = ["help", "nodes of mine.txt", "get", "quit"];
    let share = folder(&names.map(|name| (name, name.as_bytes())));
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    let input = names.map(|name| format!("get {name}\n")).concat();
    let done = piped(&relay, input).expect_code(0);
    assert_eq!(done.text(), names.concat());
}

#[test]
fn binary_content_at_the_prompt_leaves_the_terminal_alone() {
    let share = folder(&[("picture", b"\x89PNG\0\x01"), ("hello.txt", HELLO)]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    let mut terminal = prompt(&relay);
    terminal.at_prompt("picture");
    terminal.expect("picture: it is no text: on the command line get NAME -o FILE saves it");
    terminal.at_prompt("hello.txt");
    terminal.expect("Hello, Peerline!");
    terminal.at_prompt("quit");
    assert_eq!(terminal.end().1, 6);
}

#[test]
fn each_command_asks_the_relay_anew() {
    let relay = relay(&[]);
    let mut terminal = prompt(&relay);
    let welcome = terminal.expect("peerline> ");
    assert!(welcome.contains("the relay lists 0 nodes"), "{welcome}");
    let share = folder(&[("hello.txt", HELLO)]);
    let _node = node(&relay, share.path(), &[]);
    terminal.enter("hello.txt");
    terminal.expect("Hello, Peerline!");
    terminal.at_prompt("quit");
    assert_eq!(terminal.end().1, 0);
}

#[test]
fn a_relay_that_goes_away_does_not_end_the_prompt() {
    let mut relay = relay(&[]);
    let mut terminal = prompt(&relay);
    terminal.expect("peerline> ");
    relay.stop();
    terminal.enter("hello.txt");
    terminal.expect("the relay gives no list: connect failed: ");
    terminal.at_prompt("nodes");
    terminal.expect("the relay gives no list: ");
    terminal.at_prompt("help");
    terminal.expect("get NAME");
    terminal.at_prompt("quit");
    assert_eq!(terminal.end().1, 3);
}

#[test]
fn without_a_relay_there_is_no_prompt() {
    let (_socket, dead) = nobody();
    let (shown, code) = Terminal::start(client_command(dead, &[])).end();
    assert!(!shown.contains("peerline>"), "{shown}");
    assert_eq!(code, 3);
}

#[test]
fn ctrl_c_ends_the_prompt_and_what_is_under_way() {
    let stuck = Fake::stuck_after("FOUND 17\nHello");
    let relay = Fake::relay(&[stuck.address()]);
    for name in [None, Some("hello.txt")] {
        let mut terminal = Terminal::start(client_command(relay.address(), &[]));
        terminal.expect("peerline> ");
        if let Some(name) = name {
            terminal.enter(name);
            terminal.expect("found: 17 B");
        }
        terminal.ctrl('c');
        let (rest, code) = terminal.end();
        assert_eq!(code, 130, "{rest}");
        assert!(!rest.contains("Hello"), "{rest}");
    }
}

#[test]
fn names_from_a_pipe_end_with_the_input_or_an_empty_line() {
    let share = folder(&[("one", b"1"), ("two", b"2"), ("größe", b"3")]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    let out = |input: &str| piped(&relay, input).expect_code(0).text();
    assert_eq!(out("one\ntwo\ngröße\n"), "123");
    assert_eq!(out("one\r\nget two\r\n"), "12");
    // As with echo -n.
    assert_eq!(out("one\ntwo"), "12");
    assert_eq!(out("one\n\ntwo\n"), "1");
    assert_eq!(out("one\nquit\ntwo\n"), "1");
    assert_eq!(out(""), "");
    let done = piped(&relay, "one\n").expect_code(0);
    assert!(!done.stderr.contains("peerline>"), "{}", done.stderr);
}

#[test]
fn the_exit_code_of_names_from_a_pipe_is_the_first_failures() {
    let share = folder(&[("one", b"1")]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    let code = |input: &str| {
        let done = piped(&relay, format!("{input}one\n"));
        assert_eq!(done.text(), "1", "{}", done.stderr);
        done.code
    };
    assert_eq!(code(""), Some(0));
    assert_eq!(code("missing\n../x\n"), Some(1));
    assert_eq!(code("../x\nmissing\n"), Some(2));
    assert_eq!(code("chat one\nmissing\n"), Some(2));
}

#[test]
fn a_line_that_is_too_long_is_one_bad_name() {
    let share = folder(&[("one", b"1")]);
    let relay = relay(&[]);
    let node = node(&relay, share.path(), &[]);
    // Its end looks like a name.
    let long = format!("{}one\none\n", "x".repeat(4096));
    let done = piped(&relay, long).expect_code(2);
    assert_eq!(done.text(), "1");
    assert_eq!(done.stderr.matches("at most 1024 bytes").count(), 1);
    assert_eq!(node.stat("gets"), 1);
}

#[test]
fn a_program_can_lead_a_dialogue_through_pipes() {
    let node = Fake::saying("FOUND 1\n1");
    let relay = Fake::relay(&[node.address()]);
    let mut client = Running::start(
        client_command(relay.address(), &["-q"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped()),
    );
    let mut stdin = client.child.stdin.take().expect("it is a pipe");
    let mut stdout = client.child.stdout.take().expect("it is a pipe");
    for _ in 0..3 {
        // Each line waits for the whole answer to the one before.
        stdin.write_all(b"one\n").expect("it reads");
        let mut one = [0];
        stdout.read_exact(&mut one).expect("an answer");
        assert_eq!(&one, b"1");
    }
    drop(stdin);
    assert_eq!(client.end(), Some(0));
}
