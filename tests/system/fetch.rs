//! How a file is found: the relay first, then one node at a time, in the order
//! of the list, until one has it. The relays here know of no holders; those that
//! do are in `asking`.

use std::net::SocketAddr;
use std::sync::mpsc;

use rustix::process::Signal;

use crate::fake::{Caller, Fake, deaf, list, nobody, register};
use crate::support::{DEADLINE, Done, client, client_command, folder, node, relay, run};

const HELLO: &[u8] = b"Hello, Peerline!\n";

/// Runs the client against a relay that is none of ours.
fn client_at(relay: SocketAddr, args: &[&str]) -> Done {
    run(client_command(relay, args), b"")
}

/// Fetches `hello.txt` with little patience.
fn get_hello(relay: SocketAddr) -> Done {
    client_at(relay, &["get", "hello.txt", "--timeout", "1"])
}

#[test]
fn the_relay_is_asked_first_and_left_properly_before_a_node_is_asked() {
    let (sender, left) = mpsc::channel();
    let node = Fake::new(move |mut caller| {
        // Nothing but the goodbye to the relay makes this node answer.
        let heard_by_relay: Vec<u8> = left.recv_timeout(DEADLINE).expect("the relay was left");
        assert_eq!(heard_by_relay, b"LIST\n");
        assert_eq!(caller.line(), "GET hello.txt\n");
        caller.say("FOUND 17\nHello, Peerline!\n");
        assert_eq!(caller.until_end().expect("a proper goodbye"), b"");
    });
    let address = node.address();
    let relay = Fake::new(move |mut caller| {
        let mut heard = caller.line().into_bytes();
        caller.say(list(&[address]));
        // A reset instead of a goodbye would be an error here.
        heard.extend(caller.until_end().expect("a proper goodbye"));
        sender.send(heard).expect("the node waits for it");
    });
    let done = client_at(relay.address(), &["get", "hello.txt"]).expect_code(0);
    assert_eq!(done.stdout, HELLO);
    assert_eq!((relay.calls(), node.calls()), (1, 1));
}

#[test]
fn nodes_are_asked_in_the_order_of_the_list_up_to_the_first_that_has_the_file() {
    let relay = relay(&[]);
    let (empty, share) = (folder(&[]), folder(&[("hello.txt", HELLO)]));
    let first = node(&relay, empty.path(), &[]);
    let second = node(&relay, share.path(), &[]);
    let third = node(&relay, share.path(), &[]);
    let never = Fake::saying("NOTFOUND\n");
    let relay = Fake::relay(&[
        first.address(),
        second.address(),
        third.address(),
        never.address(),
    ]);
    let done = client_at(relay.address(), &["get", "hello.txt"]).expect_code(0);
    assert_eq!(done.stdout, HELLO);
    let asked = [&first, &second, &third].map(|node| node.stat("gets"));
    assert_eq!(asked, [1, 1, 0]);
    assert_eq!(never.calls(), 0);
    // The user sees the same.
    let place = |address: SocketAddr| format!("{} port {}", address.ip(), address.port());
    let steps = [
        "the relay lists 4 nodes".to_owned(),
        format!("  node 4: {}", place(never.address())),
        format!("asking node 1 of 4: {}", place(first.address())),
        "  not found there".to_owned(),
        format!("asking node 2 of 4: {}", place(second.address())),
        "  found: 17 B".to_owned(),
        "  received 17 bytes, 0 remaining".to_owned(),
    ];
    let mut rest = done.stderr.as_str();
    for step in steps {
        let found = rest.split_once(&step);
        rest = found.unwrap_or_else(|| panic!("no {step:?} in {rest:?}")).1;
    }
}

#[test]
fn when_all_were_asked_in_vain_the_client_says_so() {
    let relay = relay(&[]);
    let done = client(&relay, &["get", "hello.txt"]).expect_code(1);
    assert!(done.stderr.contains("hello.txt: the relay lists no node"));
    let empty = folder(&[]);
    let nodes = [(); 2].map(|()| node(&relay, empty.path(), &[]));
    let done = client(&relay, &["get", "hello.txt"]).expect_code(1);
    assert!(done.stderr.contains("hello.txt: not found, 2 asked"));
    assert!(done.stdout.is_empty());
    assert_eq!(nodes.map(|node| node.stat("gets")), [1, 1]);
    // Of a long list only the beginning is shown, but all are asked.
    let none = Fake::saying("NOTFOUND\n");
    let relay = Fake::relay(&[none.address(); 20]);
    let done = get_hello(relay.address()).expect_code(1);
    assert!(done.stderr.contains("  and 4 more\n"), "{}", done.stderr);
    assert!(done.stderr.contains("asking node 20 of 20: "));
    assert_eq!(none.calls(), 20);
}

#[test]
fn a_dead_node_is_passed_over() {
    let (_socket, dead) = nobody();
    let relay = relay(&[]);
    register(&relay, dead);
    let done = get_hello(relay.address()).expect_code(5);
    let says = "hello.txt: not found, 1 of 1 could not be asked";
    assert!(done.stderr.contains(says), "{}", done.stderr);
    let share = folder(&[("hello.txt", HELLO)]);
    let node = node(&relay, share.path(), &[]);
    let relay = Fake::relay(&[dead, node.address()]);
    let done = get_hello(relay.address()).expect_code(0);
    assert_eq!(done.stdout, HELLO);
    assert!(done.stderr.contains("connect failed: "), "{}", done.stderr);
}

#[test]
fn a_node_that_cannot_be_reached_is_passed_over() {
    let (_queue, deaf) = deaf();
    let share = folder(&[("hello.txt", HELLO)]);
    let node = node(&relay(&[]), share.path(), &[]);
    let relay = Fake::relay(&[deaf, node.address()]);
    let args = ["get", "hello.txt", "--connect-timeout", "0.5"];
    let done = client_at(relay.address(), &args).expect_code(0);
    assert_eq!(done.stdout, HELLO);
    let says = "connect timeout";
    assert!(done.stderr.contains(says), "{}", done.stderr);
}

#[test]
fn a_frozen_node_is_passed_over() {
    let relay = relay(&[]);
    let share = folder(&[("hello.txt", HELLO)]);
    let frozen = node(&relay, share.path(), &[]);
    let _node = node(&relay, share.path(), &[]);
    // Its kernel still accepts connections, but nobody answers.
    frozen.signal(Signal::STOP);
    let done = get_hello(relay.address()).expect_code(0);
    assert_eq!(done.stdout, HELLO);
    assert!(done.stderr.contains("read timeout"), "{}", done.stderr);
}

#[test]
fn a_node_that_answers_nonsense_is_passed_over() {
    let half_a_line = "x".repeat(3000);
    let scripts: [(&[u8], &str); 14] = [
        (b"", "it closed the connection too early"),
        (b"FOUND 1", "protocol error"),
        (b"\n", "protocol error"),
        (b"FOUND\n", "protocol error"),
        (b"FOUND -17\n", "protocol error"),
        (b"FOUND 18446744073709551616\n", "protocol error"),
        (b"found 17\n", "protocol error"),
        (b"OK\n", "protocol error"),
        (b"\0\xff\xfe\x1b[2J\r\n", "protocol error"),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", "protocol error"),
        (half_a_line.as_bytes(), "protocol error"),
        (
            b"ERROR 500 the disk failed\n",
            "it says 500 the disk failed",
        ),
        (b"ERROR 503\n", "it says 503 "),
        (
            b"FOUND 100\nonly so much",
            "it closed the connection too early",
        ),
    ];
    let good = Fake::saying([b"FOUND 17\n", HELLO].concat());
    let bad = scripts.map(|(script, why)| (Fake::saying(script), why));
    let mut nodes: Vec<SocketAddr> = bad.iter().map(|(fake, _)| fake.address()).collect();
    nodes.push(good.address());
    let relay = Fake::relay(&nodes);
    let done = get_hello(relay.address()).expect_code(0);
    assert_eq!(done.stdout, HELLO);
    let complaints: Vec<&str> = done
        .stderr
        .lines()
        .filter(|l| l.starts_with("  127.0.0.1 port "))
        .collect();
    assert_eq!(complaints.len(), bad.len(), "{}", done.stderr);
    for ((fake, why), complaint) in bad.iter().zip(complaints) {
        assert_eq!(fake.calls(), 1);
        assert!(complaint.ends_with(why), "{complaint}");
    }
}

#[test]
fn a_node_that_takes_the_clients_time_or_memory_is_passed_over() {
    let line = vec![b'x'; 64 * 1024];
    let nodes = [
        Fake::stuck_after(""),
        Fake::stuck_after("FOUND 17\nHello"),
        Fake::new(move |mut caller| while caller.say(&line) {}),
        Fake::new(Caller::reset),
    ];
    let share = folder(&[("hello.txt", HELLO)]);
    let mut list: Vec<SocketAddr> = nodes.iter().map(Fake::address).collect();
    let relay_of_these = Fake::relay(&list);
    let done = get_hello(relay_of_these.address()).expect_code(5);
    assert!(done.stdout.is_empty());
    let node = node(&relay(&[]), share.path(), &[]);
    list.push(node.address());
    let relay = Fake::relay(&list);
    let done = get_hello(relay.address()).expect_code(0);
    assert_eq!(done.stdout, HELLO);
    assert!(nodes.iter().all(|fake| fake.calls() == 2));
}

#[test]
fn an_answer_may_come_in_single_bytes() {
    let trickle = |text: String| {
        Fake::new(move |mut caller| {
            caller.line();
            for byte in text.as_bytes() {
                caller.say([*byte]);
            }
            caller.until_end().expect("a proper goodbye");
        })
    };
    let node = trickle("FOUND 17 and more\r\nHello, Peerline!\n".into());
    let relay = trickle(list(&[node.address()]));
    let done = get_hello(relay.address()).expect_code(0);
    assert_eq!(done.stdout, HELLO);
}

#[test]
fn what_comes_after_the_content_is_not_of_it() {
    let chatty = [b"FOUND 17\n", HELLO, b"and so on\n"].concat();
    let nodes = [Fake::saying("NOTFOUND\nFOUND 1\nx"), Fake::saying(chatty)];
    let relay = Fake::relay(&nodes.each_ref().map(Fake::address));
    let done = get_hello(relay.address()).expect_code(0);
    assert_eq!(done.stdout, HELLO);
}

#[test]
fn a_relay_that_gives_no_list_is_named_as_the_trouble() {
    let says = |bytes: &str| Fake::saying(bytes);
    let relays = [
        (says(""), "too early"),
        (says("NODES 2\n127.0.0.1 9\n"), "too early"),
        (says("NODES 99999999999\n"), "99999999999 lines"),
        (says("ERROR 503 full\n"), "it says 503 full"),
        (says("NODES x\n"), "protocol error"),
        (says("NOTFOUND\n"), "protocol error"),
        (says(&"x".repeat(5000)), "protocol error"),
        (Fake::stuck_after("NODES 1\n127.0."), "read timeout"),
        (Fake::new(Caller::reset), "reset by peer"),
    ];
    for (relay, why) in relays {
        let done = get_hello(relay.address()).expect_code(3);
        assert!(done.stderr.starts_with("the relay gives no list: "));
        assert!(done.stderr.contains(why), "{}", done.stderr);
        assert_eq!(done.stderr.lines().count(), 1, "{}", done.stderr);
    }
}

#[test]
fn a_bad_line_in_the_list_does_not_hide_the_nodes_after_it() {
    let good = Fake::saying([b"FOUND 17\n", HELLO].concat());
    let port = good.address().port();
    let relay = Fake::stuck_after(format!(
        "NODES 4 more fields\nnonsense\n0.0.0.0 80\n\x1b[2J\n127.0.0.1 {port} and a new field\n"
    ));
    let done = get_hello(relay.address()).expect_code(0);
    assert_eq!(done.stdout, HELLO);
    // A hostile list must not flood the terminal: one word about it is enough.
    assert_eq!(done.stderr.matches("the relay lists nonsense").count(), 1);
    assert!(!done.stderr.contains("[2J"), "{}", done.stderr);
    let done = run(
        client_command(relay.address(), &["-v", "get", "hello.txt"]),
        b"",
    );
    assert!(done.stderr.contains("\\u{1b}[2J"), "{}", done.stderr);
}

/// To connect there fails at once, without an event: once two such dials in a
/// row left the client waiting for ever.
#[test]
fn nodes_that_cannot_even_be_dialled_are_passed_over() {
    let good = Fake::saying([b"FOUND 17\n", HELLO].concat());
    let port = good.address().port();
    let relay = Fake::saying(format!(
        "NODES 4\n127.255.255.255 9\n127.255.255.255 9\n127.255.255.255 9\n127.0.0.1 {port}\n"
    ));
    let done = get_hello(relay.address()).expect_code(0);
    assert_eq!(done.stdout, HELLO);
    assert_eq!(done.stderr.matches("connect failed").count(), 3);
}

#[test]
fn a_long_list_arrives_whole() {
    let nodes: Vec<SocketAddr> = (0..20_000)
        .map(|n: u32| SocketAddr::from(([10, 0, (n >> 8) as u8, n as u8], 9000)))
        .collect();
    let relay = Fake::relay(&nodes);
    let done = client_at(relay.address(), &["nodes"]).expect_code(0);
    assert_eq!(format!("NODES 20000\n{}", done.text()), list(&nodes));
    let done = client_at(relay.address(), &["nodes", "--max-nodes", "19999"]).expect_code(3);
    assert!(done.stderr.contains("--max-nodes"), "{}", done.stderr);
}
