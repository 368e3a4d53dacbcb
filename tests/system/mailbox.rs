//! Nodes that receive messages at their own address.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::fake::Fake;
use crate::messages::listener;
use crate::support::{
    Nc, Server, client, client_command, eventually, folder, node, relay, run, unlisted_node,
};
use crate::terminal::Terminal;

/// A node without files that receives messages; it does so already.
fn listening_node(relay: &Server, args: &[&str]) -> Server {
    let node = node(
        relay,
        folder(&[]).path(),
        &[&["--listen-messages"], args].concat(),
    );
    node.log_until(&arrive_at(&node));
    node
}

fn arrive_at(node: &Server) -> String {
    format!("messages to {} arrive here", node.wire_address())
}

/// Sends a message with the client.
#[track_caller]
fn send(relay: &Server, node: &Server, text: &str) {
    let to = node.wire_address();
    let (ip, port) = to.split_once(' ').expect("two fields");
    client(relay, &["send", ip, port, text]).expect_code(0);
}

#[test]
fn what_arrives_is_shown_with_who_sent_it() {
    let relay = relay(&[]);
    let mut node = listening_node(&relay, &[]);
    let mut nc = Nc::connect(relay.address());
    let from = nc.ask("LISTEN").split_off("OK ".len());
    let to = node.wire_address();
    assert_eq!(nc.ask(&format!("SEND {to} Grüße \u{2028}aus Köln")), "OK");
    node.log_until(&format!("message from {from}: Grüße \\u{{2028}}aus Köln"));
    send(&relay, &node, "hello");
    node.log_until(": hello");
    assert_eq!(relay.stat("listeners"), 2);
    assert_eq!(node.stop(), Some(0));
    eventually("its mailbox is closed", || relay.stat("listeners") == 1);
    assert_eq!(relay.stat("nodes"), 0);
}

/// The command line of a node, for a terminal.
fn node_command(relay: &Server, share: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peer-node"));
    command
        .arg(relay.address().ip().to_string())
        .arg(relay.address().port().to_string())
        .args(["--no-hashes", "--share"])
        .arg(share)
        .args(args);
    command
}

/// Somebody at the console of a node that receives messages, and its address.
fn console(relay: &Server, share: &Path) -> (Terminal, String) {
    let mut terminal = Terminal::start(node_command(relay, share, &[]));
    terminal.expect("messages to ");
    let address = terminal.expect(" arrive here");
    terminal.expect("peerline> ");
    (terminal, address)
}

#[test]
fn two_people_talk_at_the_consoles_of_their_nodes() {
    let relay = relay(&[]);
    let share = folder(&[]);
    let (mut anna, to_anna) = console(&relay, share.path());
    let (mut bert, to_bert) = console(&relay, share.path());
    bert.enter("reply hello?");
    bert.expect("nobody has written yet");
    for round in 0..5 {
        anna.enter(&format!("send {to_bert} ping {round}"));
        bert.expect(&format!("message from {to_anna}: ping {round}"));
        anna.expect(&format!("sent to {to_bert}"));
        bert.enter(&format!("reply pong {round}"));
        anna.expect(&format!("message from {to_bert}: pong {round}"));
        bert.expect(&format!("sent to {to_anna}"));
    }
    bert.enter("quit");
    assert_eq!(bert.end().1, 0);
    anna.enter("reply gone?");
    anna.expect(&format!("not sent to {to_bert}: the relay says 404"));
    anna.enter("quit");
    assert_eq!(anna.end().1, 0);
}

#[test]
fn a_client_and_the_console_of_a_node_talk_both_ways() {
    let relay = relay(&[]);
    let share = folder(&[]);
    let (mut node, to_node) = console(&relay, share.path());
    let (ip, port) = to_node.split_once(' ').expect("two fields");
    let mut chat = Terminal::start(client_command(relay.address(), &["chat", ip, port]));
    chat.expect("you are reached at 127.0.0.1 port ");
    let to_chat = format!("127.0.0.1 {}", chat.expect("\r\n"));
    chat.at(&format!("{to_node}> "), "Who is there?");
    node.expect(&format!("message from {to_chat}: Who is there?"));
    node.enter("reply It is me.");
    chat.expect(&format!("{to_node} It is me."));
    node.enter(&format!("send {to_chat} Still there?"));
    chat.expect(&format!("{to_node} Still there?"));
    chat.enter("/quit");
    assert_eq!(chat.end().1, 0);
    // Who only waits for an answer gets it as well.
    let answering = thread::spawn(move || {
        node.expect(": What time is it?");
        node.enter("reply Tea time.");
        node
    });
    let args = ["send", ip, port, "What time is it?", "--wait", "3"];
    let done = run(client_command(relay.address(), &args), b"").expect_code(0);
    assert_eq!(done.text(), format!("{to_node} Tea time.\n"));
    drop(answering.join().expect("it was asked"));
}

#[test]
fn a_console_need_not_receive_messages() {
    let relay = relay(&[]);
    let share = folder(&[]);
    let command = node_command(&relay, share.path(), &["--no-listen-messages"]);
    let mut terminal = Terminal::start(command);
    terminal.expect("registered as ");
    let (mut nc, to) = listener(&relay);
    terminal.enter(&format!("send {to} hello"));
    assert!(nc.line().ends_with(" hello"));
    assert_eq!(relay.stat("listeners"), 1);
    terminal.enter("quit");
    assert_eq!(terminal.end().1, 0);
}

#[test]
fn messages_reach_a_node_that_registers_by_datagrams() {
    let relay = relay(&[]);
    let mut node = listening_node(&relay, &["--udp"]);
    send(&relay, &node, "hello");
    node.log_until(": hello");
    assert_eq!(node.stop(), Some(0));
    assert_eq!(relay.stat("nodes"), 0);
}

#[test]
fn a_node_receives_no_messages_unless_it_is_told_to() {
    let relay = relay(&[]);
    let node = node(&relay, folder(&[]).path(), &[]);
    let mut nc = Nc::connect(relay.address());
    let answer = nc.ask(&format!("SEND {} hello", node.wire_address()));
    assert!(answer.starts_with("ERROR 404 "), "{answer}");
    assert_eq!(relay.stat("listeners"), 0);
}

#[test]
fn a_mailbox_may_be_silent_for_longer_than_any_patience() {
    let relay = relay(&["--idle", "1"]);
    let node = listening_node(&relay, &["--timeout", "0.5"]);
    let began = Instant::now();
    // Twice the relay's limit, as another connection measures it.
    for _ in 0..2 {
        let mut silent = Nc::connect(relay.address());
        assert_eq!(silent.ask("PING"), "PONG");
        assert_eq!(silent.rest_text(), "");
    }
    assert!(began.elapsed() >= Duration::from_secs(2));
    send(&relay, &node, "still there?");
    let log = node.log_until("still there?");
    assert_eq!(log.matches("arrive here").count(), 1, "{log}");
}

#[test]
fn a_mailbox_comes_back_after_its_relay() {
    let mut first = relay(&[]);
    let node = listening_node(&first, &[]);
    let port = first.address().port().to_string();
    first.signal(Signal::KILL);
    first.wait();
    node.log_until("no messages arrive: ");
    let mut command = Command::new(env!("CARGO_BIN_EXE_relay-server"));
    command.arg(port);
    let second = Server::start(command);
    node.log_until_count(&arrive_at(&node), 2);
    send(&second, &node, "welcome back");
    node.log_until("welcome back");
}

#[test]
fn a_node_that_is_replaced_says_so_and_serves_on() {
    let relay = relay(&[]);
    let node = listening_node(&relay, &[]);
    let mut other = Nc::connect(relay.address());
    other.send(format!("REGISTER {}\nLISTEN\n", node.wire_address()));
    other.line();
    assert_eq!(other.line(), format!("OK {}", node.wire_address()));
    node.log_until(
        "no more messages arrive: another connection listens at the address of this node",
    );
    send(&relay, &node, "who gets it?");
    assert!(other.line().ends_with("who gets it?"));
    assert_eq!(Nc::connect(node.address()).ask("PING"), "PONG");
}

#[test]
fn a_hostile_relay_does_a_node_with_a_mailbox_no_harm() {
    let relay = Fake::new(|mut caller| {
        caller.line();
        caller.say("OK 1000 127.0.0.1 9 0\n");
        if caller.line() == "LISTEN\n" {
            caller.say("OK 127.0.0.1 9\nFROM 127.0.0.1 7 \x1b[2J\nFROM 127.0.0.1 7\n");
            caller.say(b"FROM \xff\nFROM 127.0.0.1 99999 x\nFROM 127.0.0.1 7 harmless\n");
            // However it ends.
            let _ = caller.until_end();
        }
    });
    let mut node = unlisted_node(relay.address(), folder(&[]).path(), &["--listen-messages"]);
    let log = node.log_until("message from 127.0.0.1 7: harmless");
    let odd = "the relay passes on FROM 127.0.0.1 7 \\u{1b}[2J";
    assert!(log.contains(odd), "{log}");
    assert_eq!(log.matches("passes on").count(), 1, "{log}");
    assert!(!log.contains('\x1b'), "{log}");
    assert_eq!(node.stop(), Some(0));
}
