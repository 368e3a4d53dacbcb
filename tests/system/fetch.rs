//! Fetches without holders in the index: the client asks the relay, then one node at a
//! time in list order, until one has the file. Fetches from holders: `find_holders`.

use std::net::SocketAddr;
use std::sync::mpsc;

use rustix::process::Signal;

use crate::support::fake_server::{
    FakeConnection, FakeServer, closed_port, node_list, register, unresponsive_port,
};
use crate::support::{DEADLINE, ProgramOutput, client, client_command, folder, node, relay, run};

const HELLO: &[u8] = b"Hello, Peerline!\n";

/// Runs the client against a relay at any address.
fn client_at(relay: SocketAddr, args: &[&str]) -> ProgramOutput {
    run(client_command(relay, args), b"")
}

/// Fetches `hello.txt` with short timeouts.
/// Asks one node after the other.
fn get_hello(relay: SocketAddr) -> ProgramOutput {
    let args = ["get", "hello.txt", "--timeout", "1", "--try-delay", "60"];
    client_at(relay, &args)
}

#[test]
fn the_relay_connection_is_closed_before_a_node_is_dialled() {
    let (sender, left) = mpsc::channel();
    let node = FakeServer::new(move |mut connection| {
        // The node answers only after the relay connections were closed.
        for request in ["LIST\n", "FIND hello.txt\n"] {
            let received: Vec<u8> = left.recv_timeout(DEADLINE).expect("the relay was left");
            assert_eq!(received, request.as_bytes());
        }
        assert_eq!(connection.line(), "GET hello.txt\n");
        connection.send("FOUND 17\nHello, Peerline!\n");
        assert_eq!(connection.read_to_end().expect("a proper goodbye"), b"");
    });
    let address = node.address();
    let relay = FakeServer::new(move |mut connection| {
        let mut received = connection.line().into_bytes();
        connection.send(node_list(&[address]));
        // A reset instead of a graceful close would be an error here.
        received.extend(connection.read_to_end().expect("a proper goodbye"));
        sender.send(received).expect("the node waits for it");
    });
    let output = client_at(relay.address(), &["get", "hello.txt"]).expect_code(0);
    assert_eq!(output.stdout, HELLO);
    assert_eq!((relay.connections(), node.connections()), (2, 1));
}

#[test]
fn nodes_are_asked_in_list_order_until_one_has_the_file() {
    let relay = relay(&[]);
    let (empty, share) = (folder(&[]), folder(&[("hello.txt", HELLO)]));
    let first = node(&relay, empty.path(), &[]);
    let second = node(&relay, share.path(), &[]);
    let third = node(&relay, share.path(), &[]);
    let never = FakeServer::replying("NOTFOUND\n");
    let relay = FakeServer::relay(&[
        first.address(),
        second.address(),
        third.address(),
        never.address(),
    ]);
    let output = client_at(relay.address(), &["get", "hello.txt"]).expect_code(0);
    assert_eq!(output.stdout, HELLO);
    let gets = [&first, &second, &third].map(|node| node.stat("gets"));
    assert_eq!(gets, [1, 1, 0]);
    assert_eq!(never.connections(), 0);
    // The messages show the same order.
    let place = |address: SocketAddr| format!("{} port {}", address.ip(), address.port());
    let steps = [
        "the relay lists 4 nodes".to_owned(),
        format!("  node 4: {}", place(never.address())),
        format!("asking node 1 of 4: {}", place(first.address())),
        "  not found".to_owned(),
        format!("asking node 2 of 4: {}", place(second.address())),
        "  found: 17 B".to_owned(),
        "  received 17 bytes, 0 remaining".to_owned(),
    ];
    let mut rest = output.stderr.as_str();
    for step in steps {
        let found = rest.split_once(&step);
        rest = found.unwrap_or_else(|| panic!("no {step:?} in {rest:?}")).1;
    }
}

#[test]
fn a_file_on_no_node_is_not_found() {
    let relay = relay(&[]);
    let output = client(&relay, &["get", "hello.txt"]).expect_code(1);
    assert!(
        output
            .stderr
            .contains("hello.txt: the relay lists no nodes")
    );
    let empty = folder(&[]);
    let nodes = [(); 2].map(|()| node(&relay, empty.path(), &[]));
    let output = client(&relay, &["get", "hello.txt"]).expect_code(1);
    assert!(
        output
            .stderr
            .contains("hello.txt: not found, 2 nodes asked")
    );
    assert!(output.stdout.is_empty());
    assert_eq!(nodes.map(|node| node.stat("gets")), [1, 1]);
    // Only the first nodes are shown, but all are asked.
    let none = FakeServer::replying("NOTFOUND\n");
    let relay = FakeServer::relay(&[none.address(); 20]);
    let output = get_hello(relay.address()).expect_code(1);
    assert!(
        output.stderr.contains("  and 4 more\n"),
        "{}",
        output.stderr
    );
    // The number is the one of the list, which names the same node each time.
    let tries = output.stderr.matches("asking node 1 of 20: ").count();
    assert_eq!(tries, 20, "{}", output.stderr);
    assert_eq!(none.connections(), 20);
}

#[test]
fn a_dead_node_is_skipped() {
    let (_socket, dead) = closed_port();
    let relay = relay(&[]);
    register(&relay, dead);
    let output = get_hello(relay.address()).expect_code(5);
    let message = "hello.txt: not found, 1 of 1 node failed";
    assert!(output.stderr.contains(message), "{}", output.stderr);
    let share = folder(&[("hello.txt", HELLO)]);
    let node = node(&relay, share.path(), &[]);
    let relay = FakeServer::relay(&[dead, node.address()]);
    let output = get_hello(relay.address()).expect_code(0);
    assert_eq!(output.stdout, HELLO);
    assert!(
        output.stderr.contains("connect failed: "),
        "{}",
        output.stderr
    );
}

#[test]
fn an_unreachable_node_is_skipped() {
    let (_queue, unresponsive) = unresponsive_port();
    let share = folder(&[("hello.txt", HELLO)]);
    let node = node(&relay(&[]), share.path(), &[]);
    let relay = FakeServer::relay(&[unresponsive, node.address()]);
    let args = [
        "get",
        "hello.txt",
        "--connect-timeout",
        "0.5",
        "--try-delay",
        "60",
    ];
    let output = client_at(relay.address(), &args).expect_code(0);
    assert_eq!(output.stdout, HELLO);
    let message = "connect timeout";
    assert!(output.stderr.contains(message), "{}", output.stderr);
}

#[test]
fn a_frozen_node_is_skipped() {
    let relay = relay(&[]);
    let share = folder(&[("hello.txt", HELLO)]);
    let frozen = node(&relay, share.path(), &[]);
    let _node = node(&relay, share.path(), &[]);
    // Its kernel still accepts connections, but the process does not answer.
    frozen.signal(Signal::STOP);
    let output = get_hello(relay.address()).expect_code(0);
    assert_eq!(output.stdout, HELLO);
    assert!(output.stderr.contains("read timeout"), "{}", output.stderr);
}

#[test]
fn a_node_with_invalid_replies_is_skipped() {
    let half_a_line = "x".repeat(3000);
    let scripts: [(&[u8], &str); 14] = [
        (b"", "the connection was closed too early"),
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
        (b"ERROR 500 the disk failed\n", "error 500: the disk failed"),
        (b"ERROR 503\n", "error 503: "),
        (
            b"FOUND 100\nonly so much",
            "the connection was closed too early",
        ),
    ];
    let good = FakeServer::replying([b"FOUND 17\n", HELLO].concat());
    let bad = scripts.map(|(script, why)| (FakeServer::replying(script), why));
    let mut nodes: Vec<SocketAddr> = bad.iter().map(|(fake, _)| fake.address()).collect();
    nodes.push(good.address());
    let relay = FakeServer::relay(&nodes);
    let output = get_hello(relay.address()).expect_code(0);
    assert_eq!(output.stdout, HELLO);
    let complaints: Vec<&str> = output
        .stderr
        .lines()
        .filter(|l| l.starts_with("  127.0.0.1 port "))
        .collect();
    assert_eq!(complaints.len(), bad.len(), "{}", output.stderr);
    for ((fake, why), complaint) in bad.iter().zip(complaints) {
        assert_eq!(fake.connections(), 1);
        assert!(complaint.ends_with(why), "{complaint}");
    }
}

#[test]
fn a_node_that_wastes_time_or_memory_is_skipped() {
    let line = vec![b'x'; 64 * 1024];
    let nodes = [
        FakeServer::hanging_after(""),
        FakeServer::hanging_after("FOUND 17\nHello"),
        FakeServer::new(move |mut connection| while connection.send(&line) {}),
        FakeServer::new(FakeConnection::reset),
    ];
    let share = folder(&[("hello.txt", HELLO)]);
    let mut list: Vec<SocketAddr> = nodes.iter().map(FakeServer::address).collect();
    let relay_of_these = FakeServer::relay(&list);
    let output = get_hello(relay_of_these.address()).expect_code(5);
    assert!(output.stdout.is_empty());
    let node = node(&relay(&[]), share.path(), &[]);
    list.push(node.address());
    let relay = FakeServer::relay(&list);
    let output = get_hello(relay.address()).expect_code(0);
    assert_eq!(output.stdout, HELLO);
    assert!(nodes.iter().all(|fake| fake.connections() == 2));
}

#[test]
fn a_reply_may_arrive_in_single_bytes() {
    let trickle = |text: String, is_read_to_its_end: bool| {
        FakeServer::new(move |mut connection| {
            connection.line();
            for byte in text.as_bytes() {
                connection.send([*byte]);
            }
            let end = connection.read_to_end();
            assert!(end.is_ok() || !is_read_to_its_end, "{end:?}");
        })
    };
    let node = trickle("FOUND 17 and more\r\nHello, Peerline!\n".into(), true);
    // The list also comes as the answer to `FIND`, which it is none of.
    let relay = trickle(node_list(&[node.address()]), false);
    let output = get_hello(relay.address()).expect_code(0);
    assert_eq!(output.stdout, HELLO);
}

#[test]
fn bytes_after_the_content_are_ignored() {
    let chatty = [b"FOUND 17\n", HELLO, b"and so on\n"].concat();
    let nodes = [
        FakeServer::replying("NOTFOUND\nFOUND 1\nx"),
        FakeServer::replying(chatty),
    ];
    let relay = FakeServer::relay(&nodes.each_ref().map(FakeServer::address));
    let output = get_hello(relay.address()).expect_code(0);
    assert_eq!(output.stdout, HELLO);
}

#[test]
fn a_failed_relay_list_is_reported() {
    let replying = |bytes: &str| FakeServer::replying(bytes);
    let relays = [
        (replying(""), "too early"),
        (replying("NODES 2\n127.0.0.1 9\n"), "too early"),
        (replying("NODES 99999999999\n"), "99999999999 lines"),
        (replying("ERROR 503 full\n"), "error 503: full"),
        (replying("NODES x\n"), "protocol error"),
        (replying("NOTFOUND\n"), "protocol error"),
        (replying(&"x".repeat(5000)), "protocol error"),
        (FakeServer::hanging_after("NODES 1\n127.0."), "read timeout"),
        (FakeServer::new(FakeConnection::reset), "reset by peer"),
    ];
    for (relay, why) in relays {
        let output = get_hello(relay.address()).expect_code(3);
        assert!(output.stderr.starts_with("no list from the relay: "));
        assert!(output.stderr.contains(why), "{}", output.stderr);
        assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
    }
}

#[test]
fn an_invalid_list_line_is_skipped() {
    let good = FakeServer::replying([b"FOUND 17\n", HELLO].concat());
    let port = good.address().port();
    let relay = FakeServer::hanging_after(format!(
        "NODES 4 more fields\nnonsense\n0.0.0.0 80\n\x1b[2J\n127.0.0.1 {port} and a new field\n"
    ));
    let output = get_hello(relay.address()).expect_code(0);
    assert_eq!(output.stdout, HELLO);
    // A hostile list must not flood the terminal: it is reported once.
    assert_eq!(output.stderr.matches("the relay lists nonsense").count(), 1);
    assert!(!output.stderr.contains("[2J"), "{}", output.stderr);
    let output = run(
        client_command(relay.address(), &["-v", "get", "hello.txt"]),
        b"",
    );
    assert!(output.stderr.contains("\\u{1b}[2J"), "{}", output.stderr);
}

/// Regression: a connect to such an address fails at once, without an event. Two in a row
/// made the client wait for ever.
#[test]
fn undialable_nodes_are_skipped() {
    let good = FakeServer::replying([b"FOUND 17\n", HELLO].concat());
    let port = good.address().port();
    let relay = FakeServer::replying(format!(
        "NODES 4\n127.255.255.255 9\n127.255.255.255 9\n127.255.255.255 9\n127.0.0.1 {port}\n"
    ));
    let output = get_hello(relay.address()).expect_code(0);
    assert_eq!(output.stdout, HELLO);
    assert_eq!(output.stderr.matches("connect failed").count(), 3);
}

#[test]
fn a_list_of_20000_nodes() {
    let nodes: Vec<SocketAddr> = (0..20_000)
        .map(|n: u32| SocketAddr::from(([10, 0, (n >> 8) as u8, n as u8], 9000)))
        .collect();
    let relay = FakeServer::relay(&nodes);
    let output = client_at(relay.address(), &["nodes"]).expect_code(0);
    assert_eq!(format!("NODES 20000\n{}", output.text()), node_list(&nodes));
    let output = client_at(relay.address(), &["nodes", "--max-nodes", "19999"]).expect_code(3);
    assert!(output.stderr.contains("--max-nodes"), "{}", output.stderr);
}
