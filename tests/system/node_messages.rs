//! Messages to nodes and from their consoles.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::messages::listener;
use crate::support::fake_server::FakeServer;
use crate::support::{
    Nc, Server, Terminal, client, client_command, eventually, folder, node, relay, run,
    unlisted_node,
};

/// A node without files that has subscribed to messages.
fn listening_node(relay: &Server, args: &[&str]) -> Server {
    let node = node(
        relay,
        folder(&[]).path(),
        &[&["--listen-messages"], args].concat(),
    );
    node.log_until(&arrival_message(&node));
    node
}

fn arrival_message(node: &Server) -> String {
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
fn messages_are_shown_with_their_sender() {
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

/// The command line of a node at a terminal.
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

/// The console of a node that receives messages, and its address.
fn console(relay: &Server, share: &Path) -> (Terminal, String) {
    let mut terminal = Terminal::start(node_command(relay, share, &[]));
    terminal.expect("messages to ");
    let address = terminal.expect(" arrive here");
    terminal.expect("peerline> ");
    (terminal, address)
}

#[test]
fn two_node_consoles_exchange_messages() {
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
    assert_eq!(bert.wait().1, 0);
    anna.enter("reply gone?");
    anna.expect(&format!("not sent to {to_bert}: the relay says 404"));
    anna.enter("quit");
    assert_eq!(anna.wait().1, 0);
}

#[test]
fn a_client_and_a_node_console_exchange_messages() {
    let relay = relay(&[]);
    let share = folder(&[]);
    let (mut node, to_node) = console(&relay, share.path());
    let (ip, port) = to_node.split_once(' ').expect("two fields");
    let mut chat = Terminal::start(client_command(relay.address(), &["chat", ip, port]));
    chat.expect("receiving messages at 127.0.0.1 port ");
    let to_chat = format!("127.0.0.1 {}", chat.expect("\r\n"));
    chat.at(&format!("{to_node}> "), "Who is there?");
    node.expect(&format!("message from {to_chat}: Who is there?"));
    node.enter("reply It is me.");
    chat.expect(&format!("{to_node} It is me."));
    node.enter(&format!("send {to_chat} Still there?"));
    chat.expect(&format!("{to_node} Still there?"));
    chat.enter("/quit");
    assert_eq!(chat.wait().1, 0);
    // send --wait gets the reply as well.
    let answering = thread::spawn(move || {
        node.expect(": What time is it?");
        node.enter("reply Tea time.");
        node
    });
    let args = ["send", ip, port, "What time is it?", "--wait", "3"];
    let output = run(client_command(relay.address(), &args), b"").expect_code(0);
    assert_eq!(output.text(), format!("{to_node} Tea time.\n"));
    drop(answering.join().expect("it was asked"));
}

#[test]
fn no_listen_messages_allows_sending() {
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
    assert_eq!(terminal.wait().1, 0);
}

#[test]
fn messages_reach_a_node_that_registers_over_udp() {
    let relay = relay(&[]);
    let mut node = listening_node(&relay, &["--udp"]);
    send(&relay, &node, "hello");
    node.log_until(": hello");
    assert_eq!(node.stop(), Some(0));
    assert_eq!(relay.stat("nodes"), 0);
}

#[test]
fn nodes_do_not_listen_by_default() {
    let relay = relay(&[]);
    let node = node(&relay, folder(&[]).path(), &[]);
    let mut nc = Nc::connect(relay.address());
    let answer = nc.ask(&format!("SEND {} hello", node.wire_address()));
    assert!(answer.starts_with("ERROR 404 "), "{answer}");
    assert_eq!(relay.stat("listeners"), 0);
}

#[test]
fn a_subscription_outlives_the_idle_timeout() {
    let relay = relay(&["--idle", "1"]);
    let node = listening_node(&relay, &["--timeout", "0.5"]);
    let start = Instant::now();
    // Another connection measures twice the relay's idle timeout.
    for _ in 0..2 {
        let mut silent = Nc::connect(relay.address());
        assert_eq!(silent.ask("PING"), "PONG");
        assert_eq!(silent.rest_text(), "");
    }
    assert!(start.elapsed() >= Duration::from_secs(2));
    send(&relay, &node, "still there?");
    let log = node.log_until("still there?");
    assert_eq!(log.matches("arrive here").count(), 1, "{log}");
}

#[test]
fn a_subscription_is_restored_after_a_relay_restart() {
    let mut first = relay(&[]);
    let node = listening_node(&first, &[]);
    let port = first.address().port().to_string();
    first.signal(Signal::KILL);
    first.wait();
    node.log_until("no messages arrive: ");
    let mut command = Command::new(env!("CARGO_BIN_EXE_relay-server"));
    command.arg(port);
    let second = Server::start(command);
    node.log_until_count(&arrival_message(&node), 2);
    send(&second, &node, "welcome back");
    node.log_until("welcome back");
}

#[test]
fn a_replaced_subscription_is_reported() {
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
fn invalid_messages_from_a_hostile_relay_are_escaped() {
    let relay = FakeServer::new(|mut connection| {
        connection.line();
        connection.send("OK 1000 127.0.0.1 9 0\n");
        if connection.line() == "LISTEN\n" {
            connection.send("OK 127.0.0.1 9\nFROM 127.0.0.1 7 \x1b[2J\nFROM 127.0.0.1 7\n");
            connection.send(b"FROM \xff\nFROM 127.0.0.1 99999 x\nFROM 127.0.0.1 7 harmless\n");
            // The way the connection ends does not matter.
            let _ = connection.read_to_end();
        }
    });
    let mut node = unlisted_node(relay.address(), folder(&[]).path(), &["--listen-messages"]);
    let log = node.log_until("message from 127.0.0.1 7: harmless");
    let odd = "the relay passes on FROM 127.0.0.1 7 \\u{1b}[2J";
    assert!(log.contains(odd), "{log}");
    assert_eq!(log.matches("passes on").count(), 4, "{log}");
    assert!(!log.contains('\x1b'), "{log}");
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn a_relay_that_passes_on_junk_is_left_with_growing_pauses() {
    let relay = FakeServer::new(|mut connection| {
        connection.line();
        connection.send("OK 1000 127.0.0.1 9 0\n");
        if connection.line() == "LISTEN\n" {
            connection.send("OK 127.0.0.1 9\n");
            while connection.send("FROM nobody\n".repeat(100)) {}
        }
    });
    let mut node = unlisted_node(relay.address(), folder(&[]).path(), &["--listen-messages"]);
    let log = node.log_until("no messages arrive: relay");
    assert!(log.contains(": protocol error; retrying"), "{log}");
    let log = node.log_until_count("messages to 127.0.0.1 9 arrive here", 3);
    assert_eq!(
        log.matches("no messages arrive").count(),
        1,
        "it says so once: {log}"
    );
    assert!(log.matches("passes on").count() <= 3 * 101, "{log}");
    assert_eq!(node.stop(), Some(0));
}
