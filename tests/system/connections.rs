//! `CONNECTIONS`: who is connected, for trusted clients.

use std::net::SocketAddr;

use peerline::protocol::ConnectionItem;

use crate::support::{Nc, Server, ask, eventually, large_file, node_with_relay, relay};

/// The line of a connection in the list that another one gets.
fn listed(server: &Server, of: SocketAddr) -> Option<String> {
    let list = ask(server.address(), b"CONNECTIONS\n");
    let start = format!("{} {} ", of.ip(), of.port());
    let mut lines = list.lines().filter(|line| line.starts_with(&start));
    let line = lines.next().map(str::to_owned);
    assert_eq!(lines.next(), None, "once: {list}");
    line
}

#[test]
fn each_connection_is_listed_with_its_last_request_and_bytes() {
    let relay = relay(&[]);
    let (silent, mut other) = (Nc::connect(relay.address()), Nc::connect(relay.address()));
    assert_eq!(other.ask("PING"), "PONG");
    eventually("the silent connection is listed", || {
        listed(&relay, silent.local()).is_some_and(|line| line.ends_with(" 0 0 0 -"))
    });
    let line = listed(&relay, other.local()).expect("it is open");
    let item = ConnectionItem::parse(&line).expect("a connection");
    assert_eq!((item.bytes_in, item.bytes_out, item.verb), (5, 5, "PING"));
    let gone = other.local();
    drop(other);
    eventually("a closed connection is gone", || {
        listed(&relay, gone).is_none()
    });
}

#[test]
fn a_transfer_is_listed_with_its_rate() {
    let share = large_file(1 << 30);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let mut nc = Nc::connect(node.address());
    nc.send("GET large\n");
    assert_eq!(nc.line(), "FOUND 1073741824");
    nc.bytes(1 << 20);
    let line = listed(&node, nc.local()).expect("it is open");
    let item = ConnectionItem::parse(&line).expect("a connection");
    assert!(item.bytes_out > 1 << 20 && item.rate > 1000, "{line}");
    assert_eq!((item.bytes_in, item.verb), (10, "GET"));
    // Nothing is read meanwhile, so that the rate since a list decreases to 0.
    eventually("the rate is that of the last seconds", || {
        let line = listed(&node, nc.local()).expect("it is open");
        ConnectionItem::parse(&line).is_ok_and(|item| item.rate == 0)
    });
}

#[test]
fn pipelined_lists_come_in_order() {
    let relay = relay(&[]);
    let mut nc = Nc::connect(relay.address());
    nc.send("CONNECTIONS\nPING\n".repeat(100));
    for _ in 0..100 {
        assert_eq!(nc.line(), "CONNECTIONS 1");
        assert!(nc.line().ends_with(" CONNECTIONS"));
        assert_eq!(nc.line(), "PONG");
    }
}

#[test]
fn a_list_has_a_limit_and_tells_the_total() {
    let relay = relay(&["--max-connections", "2000"]);
    let others: Vec<Nc> = (0..1005).map(|_| Nc::connect(relay.address())).collect();
    eventually("all are accepted", || relay.stat("connections") == 1006);
    let list = ask(relay.address(), b"CONNECTIONS\n");
    assert!(list.starts_with("CONNECTIONS 1000 1006\n"), "{list}");
    assert_eq!(list.lines().count(), 1001);
    drop(others);
}

#[test]
fn only_trusted_clients_of_a_relay_see_who_is_connected() {
    let relay = relay(&["--trust", "127.0.0.2"]);
    let mut stranger = Nc::connect(relay.address());
    let error = "ERROR 403 only trusted clients may see who is connected";
    assert_eq!(stranger.ask("CONNECTIONS"), error);
    let mut trusted = Nc::connect_from("127.0.0.2", relay.address());
    assert_eq!(trusted.ask("CONNECTIONS"), "CONNECTIONS 2");
}
