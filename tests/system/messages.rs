//! `LISTEN`, `WHO` and `SEND` at the relay.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{
    Nc, Server, ask, client, eventually, folder, node, relay, unlisted_node, without_epochs,
};

fn wire(address: SocketAddr) -> String {
    format!("{} {}", address.ip(), address.port())
}

/// A connection that listens, and its address.
pub fn listener(relay: &Server) -> (Nc, String) {
    let mut nc = Nc::connect(relay.address());
    let address = wire(nc.local());
    assert_eq!(nc.ask("LISTEN"), format!("OK {address}"));
    (nc, address)
}

#[test]
fn two_connections_exchange_messages() {
    let relay = relay(&[]);
    let (mut anna, anna_address) = listener(&relay);
    let (mut bert, bert_address) = listener(&relay);
    for round in 0..10 {
        assert_eq!(
            anna.ask(&format!("SEND {bert_address} Grüße, {round}")),
            "OK"
        );
        assert_eq!(bert.line(), format!("FROM {anna_address} Grüße, {round}"));
        // Uses the address from the received line.
        assert_eq!(
            bert.ask(&format!("SEND {anna_address}   {round}, too ")),
            "OK"
        );
        assert_eq!(anna.line(), format!("FROM {bert_address} {round}, too"));
    }
    bert.half_close();
    assert_eq!(bert.rest_text(), "");
    let nobody = format!("ERROR 404 nobody listens at {bert_address}");
    eventually("it is noticed that Bert has gone", || {
        anna.ask(&format!("SEND {bert_address} bye"))
            .starts_with(&nobody)
    });
    assert_eq!(relay.stat("listeners"), 1);
    assert!(relay.stat("messages") >= 20);
}

#[test]
fn a_second_listener_replaces_the_first() {
    let relay = relay(&[]);
    let mut first = Nc::connect(relay.address());
    first.send("REGISTER * 40001\nLISTEN\n");
    assert_eq!(without_epochs(&first.line()), "OK 60 127.0.0.1 40001 0");
    assert_eq!(first.line(), "OK 127.0.0.1 40001");
    let mut sender = Nc::connect(relay.address());
    let from = wire(sender.local());
    assert_eq!(sender.ask("SEND 127.0.0.1 40001 one"), "OK");
    assert_eq!(first.line(), format!("FROM {from} one"));
    let mut second = Nc::connect(relay.address());
    second.send("REGISTER * 40001\nLISTEN\n");
    assert_eq!(without_epochs(&second.line()), "OK 60 127.0.0.1 40001 0");
    assert_eq!(second.line(), "OK 127.0.0.1 40001");
    assert_eq!(
        first.rest_text(),
        "ERROR 409 replaced by a newer listener\n"
    );
    assert_eq!(sender.ask("SEND 127.0.0.1 40001 two"), "OK");
    assert_eq!(second.line(), format!("FROM {from} two"));
    drop(first);
    relay.log_until("replaced by a newer listener");
    assert_eq!(sender.ask("SEND 127.0.0.1 40001 three"), "OK");
    assert_eq!(second.line(), format!("FROM {from} three"));
}

#[test]
fn ten_thousand_messages_arrive_in_order() {
    const MESSAGES: usize = 10_000;
    let relay = relay(&["--message-rate", "1000000"]);
    let (mut listener, address) = listener(&relay);
    let mut sender = Nc::connect(relay.address());
    let from = wire(sender.local());
    let requests = (0..MESSAGES).map(|number| format!("SEND {address} message {number}\n"));
    let requests: String = requests.collect();
    let reading = thread::spawn(move || {
        for number in 0..MESSAGES {
            assert_eq!(listener.line(), format!("FROM {from} message {number}"));
        }
    });
    sender.send(requests);
    sender.half_close();
    assert_eq!(sender.rest_text(), "OK\n".repeat(MESSAGES));
    reading.join().expect("all came in order");
    assert_eq!(relay.stat("messages"), MESSAGES as u64);
}

#[test]
fn messages_of_each_sender_arrive_in_order() {
    const MESSAGES: usize = 500;
    let relay = relay(&["--message-rate", "1000000"]);
    let (mut listener, address) = listener(&relay);
    let senders: Vec<_> = (0..4)
        .map(|_| {
            let (relay, address) = (relay.address(), address.clone());
            thread::spawn(move || {
                let mut nc = Nc::connect(relay);
                for number in 0..MESSAGES {
                    assert_eq!(nc.ask(&format!("SEND {address} {number}")), "OK");
                }
                wire(nc.local())
            })
        })
        .collect();
    let lines: Vec<String> = (0..4 * MESSAGES).map(|_| listener.line()).collect();
    for sender in senders {
        let head = format!("FROM {} ", sender.join().expect("all were accepted"));
        let numbers = lines.iter().filter_map(|line| line.strip_prefix(&head));
        let expected = (0..MESSAGES).map(|number| number.to_string());
        assert!(numbers.eq(expected), "{head}");
    }
}

/// Sends messages of a kilobyte, each with its number, until one is refused because the
/// listener does not read. Returns the number of those accepted.
fn fill_up(sender: &mut Nc, address: &str) -> usize {
    let refused = format!("ERROR 429 the listener at {address} ");
    let text = "x".repeat(1000);
    let mut accepted = 0;
    // The socket buffers take some megabytes first.
    eventually("a message is refused", || {
        let answer = sender.ask(&format!("SEND {address} {accepted} {text}"));
        let is_refused = answer.starts_with(&refused);
        assert!(is_refused || answer == "OK", "{answer}");
        accepted += usize::from(!is_refused);
        is_refused
    });
    accepted
}

#[test]
fn too_much_for_a_listener_is_told_to_the_sender() {
    let relay = relay(&["--message-rate", "1000000", "--max-queue", "65536"]);
    let (mut slow, slow_address) = listener(&relay);
    let (mut other, other_address) = listener(&relay);
    let mut sender = Nc::connect(relay.address());
    let accepted = fill_up(&mut sender, &slow_address);
    // Others are not affected.
    assert_eq!(sender.ask(&format!("SEND {other_address} hello")), "OK");
    assert!(other.line().ends_with(" hello"));
    assert_eq!(relay.stat("listeners"), 2);
    // The listener loses nothing that was accepted, and listens on.
    for number in 0..accepted {
        assert!(slow.line().contains(&format!(" {number} xxx")), "{number}");
    }
    assert_eq!(sender.ask(&format!("SEND {slow_address} hello")), "OK");
    assert!(slow.line().ends_with(" hello"));
}

#[test]
fn the_shortest_queue_has_room_for_messages() {
    let relay = relay(&["--max-queue", "1"]);
    let (mut listener, address) = listener(&relay);
    let mut sender = Nc::connect(relay.address());
    for number in 0..3 {
        assert_eq!(sender.ask(&format!("SEND {address} {number}")), "OK");
        assert!(listener.line().ends_with(&format!(" {number}")));
    }
}

#[test]
fn a_listener_that_reads_nothing_is_cut_off_and_told_why() {
    let relay = relay(&[
        "--message-rate",
        "1000000",
        "--max-queue",
        "65536",
        "--stall",
        "1",
    ]);
    let (mut slow, address) = listener(&relay);
    let mut sender = Nc::connect(relay.address());
    fill_up(&mut sender, &address);
    let nobody = format!("ERROR 404 nobody listens at {address}");
    eventually("it is cut off", || {
        sender
            .ask(&format!("SEND {address} hello"))
            .starts_with(&nobody)
    });
    let received = slow.rest_text();
    let (messages, last) = received.trim_end().rsplit_once('\n').expect("lines");
    assert_eq!(last, "ERROR 408 messages were not read in time");
    for line in messages.lines() {
        let is_whole = line.ends_with("xxx") || line.ends_with(" hello");
        assert!(line.starts_with("FROM ") && is_whole, "{line}");
    }
    let log = relay.log_until("slow receiver");
    assert!(log.contains(&slow.local().to_string()), "{log}");
}

#[test]
fn a_listener_with_a_long_reply_pending_is_not_disconnected() {
    let relay = relay(&["--max-queue", "1000"]);
    let mut node = Nc::connect(relay.address());
    let name = |number: usize| format!("{number:04}{}", "n".repeat(1000));
    let shares = (0..1000).map(|number| format!("SHARE 1 - {}\n", name(number)));
    let shares: String = shares.collect();
    node.send(format!("REGISTER * 40001\n{shares}"));
    node.half_close();
    assert!(node.rest_text().ends_with("OK\n"));
    let (mut listener, address) = listener(&relay);
    // More than the socket buffers hold; the rest is queued in the relay.
    const SEARCHES: usize = 80;
    // A page has at most 256 KiB.
    const LISTED: usize = 235;
    listener.send("SEARCH\n".repeat(SEARCHES));
    let mut sender = Nc::connect(relay.address());
    let mut sent = 0;
    let mut quiet = 0;
    eventually("no more is taken", || {
        let now = relay.stat("bytes_out");
        // Nothing but the replies to STATS is sent.
        quiet = if now < sent + 1000 { quiet + 1 } else { 0 };
        sent = now;
        sent > 1_000_000 && quiet > 20
    });
    assert_eq!(sender.ask(&format!("SEND {address} hello")), "OK");
    let mut messages = 0;
    for _ in 0..SEARCHES {
        let mut head = listener.line();
        if head.starts_with("FROM ") {
            messages += 1;
            head = listener.line();
        }
        assert_eq!(head, format!("FILES {LISTED} 1000"));
        for number in 0..LISTED {
            assert_eq!(listener.line(), format!("1 - 1 {}", name(number)));
        }
    }
    if messages == 0 {
        assert!(listener.line().ends_with(" hello"));
    }
}

#[test]
fn only_listeners_outlive_the_idle_timeout() {
    let relay = relay(&["--idle", "1"]);
    let (mut listener, address) = listener(&relay);
    let mut silent = Nc::connect(relay.address());
    // Before the request that starts the first of two idle timeouts.
    let start = Instant::now();
    assert_eq!(silent.ask("PING"), "PONG");
    for _ in 0..2 {
        assert_eq!(silent.rest_text(), "");
        silent = Nc::connect(relay.address());
        assert_eq!(silent.ask("PING"), "PONG");
    }
    assert!(start.elapsed() >= Duration::from_secs(2));
    let sent = silent.ask(&format!("SEND {address} still there?"));
    assert_eq!(sent, "OK");
    assert!(listener.line().ends_with(" still there?"));
    assert_eq!(listener.ask("PING"), "PONG");
}

#[test]
fn messages_over_the_rate_limit_are_refused() {
    let relay = relay(&["--message-rate", "2"]);
    let (mut listener, address) = listener(&relay);
    let request = format!("SEND {address} hello\n");
    let answers = ask(relay.address(), request.repeat(3).as_bytes());
    let refused = "ERROR 429 too many messages; the limit is 2 per second\n";
    assert_eq!(answers, format!("OK\nOK\n{refused}"));
    assert!(listener.line().starts_with("FROM "));
    assert!(listener.line().starts_with("FROM "));
    assert_eq!(listener.ask("PING"), "PONG", "there was no third");
}

#[test]
fn who_lists_those_who_receive_messages() {
    let relay = relay(&[]);
    let share = folder(&[]);
    assert_eq!(client(&relay, &["who"]).expect_code(0).text(), "");
    let node = node(&relay, share.path(), &["--listen-messages"]);
    node.log_until("arrive here");
    let _deaf = unlisted_node(relay.address(), share.path(), &[]);
    let listed = format!("{}\n", node.wire_address());
    assert_eq!(client(&relay, &["who"]).expect_code(0).text(), listed);
    // A message from a client that receives none.
    let port = node.address().port().to_string();
    let output = client(&relay, &["send", "127.0.0.1", &port, "hello"]).expect_code(0);
    let sent = "sent; it cannot be answered, because no messages arrive here\n";
    assert_eq!(output.stderr, sent);
    let json = client(&relay, &["send", "127.0.0.1", &port, "hello", "--json"]);
    let sent = "{\"can_be_answered\":false,\"sent\":true}\n";
    assert_eq!(json.expect_code(0).stderr, sent);
}
