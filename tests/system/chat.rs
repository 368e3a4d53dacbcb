//! The client's `chat` and `send --wait`.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::thread;

use rustix::process::Signal;

use crate::messages::listener;
use crate::support::fake_server::FakeServer;
use crate::support::{
    Nc, ProgramOutput, RunningProgram, Server, Terminal, client, client_command, folder, node,
    relay, run,
};

/// Replies to `count` messages with `answer` and their text, in a thread. Ends when the
/// relay has accepted all replies.
fn reply_to_messages(mut nc: Nc, answer: &'static str, count: usize) -> thread::JoinHandle<Nc> {
    thread::spawn(move || {
        let mut passed_on = 0;
        while passed_on < count {
            let line = nc.line();
            let fields: Vec<&str> = line.splitn(4, ' ').collect();
            match fields[..] {
                ["OK"] => passed_on += 1,
                ["FROM", ip, port, text] => nc.send(format!("SEND {ip} {port} {answer}{text}\n")),
                _ => panic!("no message: {line}"),
            }
        }
        nc
    })
}

/// Command-line arguments with an address between others.
fn with_address<'a>(before: &[&'a str], address: &'a str, after: &[&'a str]) -> Vec<&'a str> {
    let (ip, port) = address.split_once(' ').expect("two fields");
    [before, &[ip, port], after].concat()
}

/// Runs the client with `input` on stdin.
fn piped(relay: &Server, args: &[&str], input: &str) -> ProgramOutput {
    run(client_command(relay.address(), args), input.as_bytes())
}

#[test]
fn send_wait_prints_replies() {
    let relay = relay(&[]);
    let (nc, to) = listener(&relay);
    let answering = reply_to_messages(nc, "Yes, ", 1);
    let args = with_address(&["send"], &to, &["Grüße!", "--wait", "2"]);
    let output = client(&relay, &args).expect_code(0);
    assert_eq!(output.text(), format!("{to} Yes, Grüße!\n"));
    let stderr = &output.stderr;
    assert!(
        stderr.contains("receiving messages at 127.0.0.1 port "),
        "{stderr}"
    );
    assert!(stderr.ends_with("sent\n"), "{stderr}");
    answering.join().expect("it was asked");
}

#[test]
fn send_wait_prints_json() {
    let relay = FakeServer::new(|mut connection| {
        connection.line();
        connection.send("OK 127.0.0.1 9\n");
        connection.line();
        connection.send("FROM ::1 7 it's \"me\"\nOK\n");
        // The way the connection ends does not matter.
        let _ = connection.read_to_end();
    });
    let args = ["--json", "send", "127.0.0.1", "7", "x", "--wait", "0.1"];
    let output = run(client_command(relay.address(), &args), b"").expect_code(0);
    let message = r#"{"ip":"::1","port":7,"text":"it's \"me\""}"#;
    assert_eq!(output.text(), format!("{message}\n"));
    let events = "{\"listening\":{\"ip\":\"127.0.0.1\",\"port\":9}}\n{\"sent\":true}\n";
    assert_eq!(output.stderr, events);
}

#[test]
fn send_wait_without_a_reply_fails() {
    let relay = relay(&[]);
    let (mut nc, to) = listener(&relay);
    let args = with_address(&["send"], &to, &["hello", "--wait", "0.1"]);
    let output = client(&relay, &args).expect_code(1);
    assert!(
        output.stderr.contains("no answer within 0.1 s"),
        "{}",
        output.stderr
    );
    assert!(nc.line().ends_with(" hello"));
    drop(nc);
    let output = client(&relay, &["send", "127.0.0.1", "9", "hello", "--wait", "9"]);
    let output = output.expect_code(1);
    assert!(
        output.stderr.contains("error 404: nobody listens"),
        "{}",
        output.stderr
    );
    let output = client(&relay, &["send", "127.0.0.1", "9", "hello", "--wait", "0"]);
    output.expect_code(2);
}

#[test]
fn chat_through_pipes() {
    let relay = relay(&[]);
    let (nc, to) = listener(&relay);
    let answering = reply_to_messages(nc, "heard: ", 3);
    let args = with_address(&["chat"], &to, &["--wait", "2"]);
    let output = piped(&relay, &args, "one\n\n  two words \nthree").expect_code(0);
    let expected = ["one", "two words", "three"].map(|text| format!("{to} heard: {text}\n"));
    assert_eq!(output.text(), expected.concat());
    answering.join().expect("it heard all");
}

#[test]
fn ten_thousand_lines_from_a_pipe_arrive_in_order() {
    const LINES: usize = 10_000;
    let relay = relay(&["--message-rate", "1000000"]);
    let (mut nc, to) = listener(&relay);
    let reading = thread::spawn(move || {
        for number in 0..LINES {
            let line = nc.line();
            assert!(
                line.ends_with(&format!(" line {number}")),
                "{number}: {line}"
            );
        }
    });
    let lines: String = (0..LINES)
        .map(|number| format!("line {number}\n"))
        .collect();
    let args = with_address(&["chat"], &to, &["--wait", "0"]);
    piped(&relay, &args, &lines).expect_code(0);
    reading.join().expect("all came in order");
}

#[test]
fn chat_without_an_address_replies_to_the_last_sender() {
    let relay = relay(&[]);
    let start = |args: &[&str]| {
        let mut command = client_command(relay.address(), args);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut running = RunningProgram::start(&mut command);
        let stdin = running.child.stdin.take().expect("a pipe");
        let stdout = BufReader::new(running.child.stdout.take().expect("a pipe"));
        let mut stderr = BufReader::new(running.child.stderr.take().expect("a pipe"));
        let mut first = String::new();
        stderr
            .read_line(&mut first)
            .expect("it says where it is reached");
        let address = first
            .trim_end()
            .split_once("messages at ")
            .expect("an address")
            .1;
        (running, stdin, stdout, address.replace(" port ", " "))
    };
    let line = |stdout: &mut BufReader<_>| {
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a line");
        line
    };
    let (mut bert, mut berts_in, mut berts_out, to_bert) = start(&["chat"]);
    let args = with_address(&["chat"], &to_bert, &[]);
    let (mut anna, mut annas_in, mut annas_out, to_anna) = start(&args);
    for round in 0..10 {
        writeln!(annas_in, "ping {round}").expect("she reads");
        assert_eq!(line(&mut berts_out), format!("{to_anna} ping {round}\n"));
        writeln!(berts_in, "pong {round}").expect("he reads");
        assert_eq!(line(&mut annas_out), format!("{to_bert} pong {round}\n"));
    }
    writeln!(annas_in, "/quit").expect("she reads");
    assert_eq!(anna.wait(), Some(0));
    drop(berts_in);
    assert_eq!(bert.wait(), Some(0));
}

#[test]
fn chat_at_a_terminal() {
    let relay = relay(&["--message-rate", "1"]);
    let mut terminal = Terminal::start(client_command(relay.address(), &["chat"]));
    let shown = terminal.expect("receiving messages at 127.0.0.1 port ");
    assert!(!shown.contains("> "), "it asks when it listens: {shown}");
    let port = terminal.expect("\r\n");
    terminal.at("reply> ", "anybody?");
    terminal.expect("nobody has written yet");
    terminal.expect("reply> ");
    let (mut nc, from) = listener(&relay);
    assert_eq!(
        nc.ask(&format!("SEND 127.0.0.1 {port} \u{2067} hi")),
        "ERROR 400 usage: SEND ip port text; a text must not contain control characters"
    );
    assert_eq!(nc.ask(&format!("SEND 127.0.0.1 {port} hi\u{200b}")), "OK");
    terminal.expect(&format!("{from} hi\\u{{200b}}"));
    terminal.enter("hello");
    assert_eq!(nc.line(), format!("FROM 127.0.0.1 {port} hello"));
    terminal.at("reply> ", &"x".repeat(1025));
    terminal.expect("a text has at most 1024 bytes");
    // A message over the rate limit is sent a little later.
    for word in ["two", "three"] {
        terminal.at("reply> ", word);
        assert_eq!(nc.line(), format!("FROM 127.0.0.1 {port} {word}"));
    }
    terminal.at("reply> ", "/quit");
    let (_, code) = terminal.wait();
    // The worst failure counts: there was no sender to reply to.
    assert_eq!(code, 1);
}

#[test]
fn messages_are_shown_above_the_edited_line() {
    let relay = relay(&[]);
    let (mut nc, to) = listener(&relay);
    let client = with_address(&["chat"], &to, &[]);
    let mut terminal = Terminal::start(client_command(relay.address(), &client));
    terminal.expect("receiving messages at 127.0.0.1 port ");
    let port = terminal.expect("\r\n");
    let prompt = format!("{to}> ");
    terminal.expect(&prompt);
    terminal.keys("half a");
    terminal.expect("half a");
    assert_eq!(nc.ask(&format!("SEND 127.0.0.1 {port} Wait!")), "OK");
    terminal.expect(&format!("{to} Wait!\r\n"));
    terminal.expect(&format!("{prompt}half a"));
    // Lines of a chat are no commands, so nothing is completed.
    terminal.keys("\t line\r");
    assert_eq!(nc.line(), format!("FROM 127.0.0.1 {port} half a line"));
    terminal.at(&prompt, "/quit");
    assert_eq!(terminal.wait().1, 0);
}

#[test]
fn ctrl_d_ends_a_chat_and_ctrl_c_interrupts_it() {
    let relay = relay(&[]);
    for (key, code) in [('d', 0), ('c', 130)] {
        let mut terminal = Terminal::start(client_command(relay.address(), &["chat"]));
        terminal.expect("reply> ");
        terminal.ctrl(key);
        assert_eq!(terminal.wait().1, code);
    }
}

#[test]
fn chat_at_the_prompt_returns_to_the_prompt() {
    let share = folder(&[("hello.txt", b"Hello, Peerline!\n")]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    let (mut nc, to) = listener(&relay);
    let history_file = share.path().join(".history");
    let flags = ["--history", history_file.to_str().expect("a text")];
    let mut terminal = Terminal::start(client_command(relay.address(), &flags));
    terminal.at_prompt(&format!("chat {to}"));
    // At the prompt TAB would complete this to "help" or "hello.txt".
    let prompt = format!("{to}> ");
    terminal.at(&prompt, "he\tllo.txt");
    assert!(nc.line().ends_with(" hello.txt"));
    terminal.at(&prompt, "/quit");
    terminal.at_prompt("hello.txt");
    terminal.expect("Hello, Peerline!");
    terminal.at_prompt("quit");
    assert_eq!(terminal.wait().1, 0);
    // Lines of a chat are not in the history.
    let history = std::fs::read_to_string(history_file).expect("a history");
    assert_eq!(history, format!("chat {to}\nhello.txt\nquit\n"));
}

#[test]
fn the_prompt_returns_when_the_relay_ends_a_chat() {
    let relay = FakeServer::new(|mut connection| {
        if connection.line() == "LIST\n" {
            connection.send("NODES 0\n");
            return;
        }
        connection.send("OK 127.0.0.1 9\nFROM ::1 7 hi\n");
        connection.line();
        connection.send("OK\nERROR 409 replaced by a newer listener\n");
    });
    let mut terminal = Terminal::start(client_command(relay.address(), &[]));
    terminal.at_prompt("chat ::1 7");
    terminal.expect("::1 7> ");
    terminal.enter("hello");
    terminal.expect("cannot receive messages: ");
    // Lines that were meant for the chat are not executed as commands.
    terminal.at("::1 7> ", "a line");
    terminal.expect("not sent: the conversation is over");
    terminal.at_prompt("quit");
    assert_eq!(terminal.wait().1, 0);
}

/// A relay at an address that no other test uses, so that its port is still free at the
/// restart.
fn relay_at(port: u16) -> Server {
    Server::start(relay_at_command(port))
}

fn relay_at_command(port: u16) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relay-server"));
    command.arg(port.to_string());
    command.args(["--listen", "127.0.0.78"]);
    command
}

#[test]
fn a_chat_outlives_a_restart_of_its_relay() {
    let mut first = relay_at(0);
    let relay_address = first.address();
    let mut terminal = Terminal::start(client_command(relay_address, &["chat"]));
    terminal.expect("receiving messages at ");
    let from = |terminal: &mut Terminal| terminal.expect("\r\n").trim().replace(" port ", " ");
    let address = from(&mut terminal);
    let mut nc = Nc::connect(relay_address);
    nc.ask("LISTEN");
    assert_eq!(nc.ask(&format!("SEND {address} hi")), "OK");
    terminal.expect(" hi\r\n");
    first.signal(Signal::KILL);
    first.wait();
    terminal.expect("no messages arrive: ");
    terminal.expect("; retrying");
    terminal.enter("are you there?");
    terminal.expect("not sent: the connection to the relay of the receiver was lost");
    let _second = relay_at(relay_address.port());
    terminal.expect("receiving messages at ");
    let address = from(&mut terminal);
    let mut nc = Nc::connect(relay_address);
    nc.ask("LISTEN");
    assert_eq!(nc.ask(&format!("SEND {address} back")), "OK");
    terminal.expect(" back\r\n");
    terminal.enter("welcome");
    assert!(nc.line().ends_with(" welcome"));
    terminal.enter("/quit");
    // One message was not sent.
    assert_eq!(terminal.wait().1, 3);
}

#[test]
fn a_chat_over_tls_outlives_a_handshake_that_fails_while_its_relay_restarts() {
    let state = folder(&[]);
    let start = |port| {
        let mut command = relay_at_command(port);
        command.env("XDG_STATE_HOME", state.path());
        Server::start(command)
    };
    let mut first = start(0);
    let relay_address = first.address();
    let args = ["chat", "--tls", "required"];
    let mut terminal = Terminal::start(client_command(relay_address, &args));
    terminal.expect("receiving messages at ");
    first.signal(Signal::KILL);
    first.wait();
    terminal.expect("no messages arrive: ");
    let full = TcpListener::bind(relay_address).expect("the port is free");
    let (mut stream, _) = full.accept().expect("the chat connects again");
    drop(full);
    stream
        .write_all(b"ERROR 503 too many connections\n")
        .expect("it is open");
    terminal.expect("TLS failed: the server is full; try again later; retrying");
    drop(stream);
    let _second = start(relay_address.port());
    terminal.expect("receiving messages at ");
    terminal.enter("/quit");
    assert_eq!(terminal.wait().1, 0);
}

#[test]
fn text_from_a_hostile_relay_is_escaped() {
    let relay = FakeServer::new(|mut connection| {
        connection.line();
        connection.send("OK 127.0.0.1 9\nFROM 127.0.0.1 7 \x1b[2J\nFROM 127.0.0.1 7\n");
        connection.send("FROM 127.0.0.1 7 harmless\n");
        connection.line();
        connection.send("ERROR 404 \x1b[31mred\n");
        connection.line();
        connection.send("FROM 127.0.0.1 7 bye\nERROR 409 \x1b[31mreplaced\n");
    });
    let mut terminal =
        Terminal::start(client_command(relay.address(), &["chat", "127.0.0.1", "7"]));
    let mut shown = terminal.expect("127.0.0.1 7 harmless");
    terminal.enter("one");
    shown += &terminal.expect("error 404: \\u{1b}[31mred");
    terminal.enter("two");
    shown += &terminal.expect("127.0.0.1 7 bye");
    let (rest, code) = terminal.wait();
    assert!(
        rest.contains("not sent: replaced by a newer listener"),
        "{rest}"
    );
    assert_eq!(code, 3);
    shown += &rest;
    assert!(
        shown.contains("the relay passes on FROM 127.0.0.1 7 \\u{1b}[2J"),
        "{shown}"
    );
    assert!(
        !shown.contains("\x1b[2J") && !shown.contains("\x1b[31m"),
        "{shown}"
    );
}

#[test]
fn the_words_of_a_relay_that_ends_a_chat_are_shown() {
    // Unasked, and as the reply to a message.
    let unasked = FakeServer::replying("OK 127.0.0.1 9\nERROR 429 you read too slowly\n");
    let reply = FakeServer::new(|mut connection| {
        connection.line();
        connection.send("OK 127.0.0.1 9\n");
        connection.line();
        connection.send("ERROR 429 you read too slowly\n");
    });
    for (relay, message) in [
        (
            &unasked,
            "no messages arrive: error 429: you read too slowly; retrying",
        ),
        (&reply, "not sent: error 429: you read too slowly"),
    ] {
        let args = ["chat", "127.0.0.1", "7", "--wait", "0.1"];
        let input: &[u8] = if message.starts_with("not") {
            b"hello\n"
        } else {
            b""
        };
        let output = run(client_command(relay.address(), &args), input).expect_code(3);
        assert!(output.stderr.contains(message), "{}", output.stderr);
    }
}

#[test]
fn an_unresponsive_relay_times_out() {
    let silent = FakeServer::hanging_after("");
    let unresponsive = FakeServer::hanging_after("OK 127.0.0.1 9\n");
    for relay in [&silent, &unresponsive] {
        for args in [
            &["send", "127.0.0.1", "7", "hello", "--wait", "60"][..],
            &["chat", "127.0.0.1", "7"],
        ] {
            let args = [&["--timeout", "0.2"], args].concat();
            let output = run(client_command(relay.address(), &args), b"hello\n").expect_code(3);
            assert!(output.stderr.contains("read timeout"), "{}", output.stderr);
        }
    }
}
