//! The relay's directory of nodes: registration, leases, trust and limits.

use std::io::Write;
use std::thread;

use crate::support::{Nc, Server, ask, eventually, relay, without_epochs};

/// Trusts no loopback address, so no test client is the operator.
const NO_TRUST: [&str; 2] = ["--trust", "10.0.0.0/8"];

#[track_caller]
fn assert_listed(relay: &Server, nodes: &[&str]) {
    let mut expected = format!("NODES {}\n", nodes.len());
    for node in nodes {
        expected += node;
        expected += "\n";
    }
    assert_eq!(ask(relay.address(), b"LIST\n"), expected);
}

#[test]
fn nodes_are_listed_once_in_order_of_first_registration() {
    let relay = relay(&["--lease", "90"]);
    let mut nc = Nc::connect(relay.address());
    for node in ["10.9.8.7 3", "127.0.0.1 1", "2001:db8::1 2", "127.0.0.1 2"] {
        let registered = nc.ask(&format!("REGISTER {node}"));
        assert_eq!(without_epochs(&registered), format!("OK 90 {node} 0"));
    }
    // A renewal does not change the order, from any connection.
    let registered = nc.ask("REGISTER 10.9.8.7 3");
    assert_eq!(without_epochs(&registered), "OK 90 10.9.8.7 3 0");
    let reply = ask(relay.address(), b"REGISTER 127.0.0.1 1\n");
    assert_eq!(without_epochs(&reply), "OK 90 127.0.0.1 1 0\n");
    let nodes = ["10.9.8.7 3", "127.0.0.1 1", "2001:db8::1 2", "127.0.0.1 2"];
    assert_listed(&relay, &nodes);
    assert_eq!(relay.stat("registrations"), 6);
    // A node that registers again after UNREGISTER is last.
    assert_eq!(nc.ask("UNREGISTER 10.9.8.7 3"), "OK");
    let registered = nc.ask("REGISTER 10.9.8.7 3");
    assert_eq!(without_epochs(&registered), "OK 90 10.9.8.7 3 0");
    let nodes = ["127.0.0.1 1", "2001:db8::1 2", "127.0.0.1 2", "10.9.8.7 3"];
    assert_listed(&relay, &nodes);
}

#[test]
fn addresses_are_listed_in_canonical_form() {
    let relay = relay(&[]);
    let mut nc = Nc::connect(relay.address());
    for (typed, canonical) in [
        ("*", "127.0.0.1 7"),
        ("::ffff:127.0.0.1", "127.0.0.1 7"),
        ("2001:DB8:0:0:0::1", "2001:db8::1 7"),
        ("::1", "::1 7"),
    ] {
        let reply = nc.ask(&format!("REGISTER {typed} 7"));
        assert_eq!(without_epochs(&reply), format!("OK 60 {canonical} 0"));
    }
    assert_listed(&relay, &["127.0.0.1 7", "2001:db8::1 7", "::1 7"]);
    assert_eq!(nc.ask("UNREGISTER 2001:db8::0001 7"), "OK");
    assert_eq!(
        nc.ask("UNREGISTER 2001:db8::1 7"),
        "ERROR 404 no node is registered at 2001:db8::1 7"
    );
}

#[test]
fn star_registers_the_source_address() {
    let relay = relay(&NO_TRUST);
    let mut nc = Nc::connect_from("127.0.0.2", relay.address());
    for (typed, listed) in [("* 9", "127.0.0.2 9"), ("127.0.0.2 10", "127.0.0.2 10")] {
        let registered = nc.ask(&format!("REGISTER {typed}"));
        assert_eq!(without_epochs(&registered), format!("OK 60 {listed} 0"));
    }
    assert_listed(&relay, &["127.0.0.2 9", "127.0.0.2 10"]);
    assert_eq!(nc.ask("UNREGISTER * 9"), "OK");
    assert_eq!(
        nc.ask("UNREGISTER * 9"),
        "ERROR 404 no node is registered at 127.0.0.2 9"
    );
    assert_listed(&relay, &["127.0.0.2 10"]);
}

#[test]
fn registering_another_address_is_refused() {
    let relay = relay(&NO_TRUST);
    let mut nc = Nc::connect_from("127.0.0.2", relay.address());
    for claimed in ["127.0.0.3", "192.0.2.1", "::1"] {
        assert_eq!(
            nc.ask(&format!("REGISTER {claimed} 9")),
            "ERROR 403 your address is 127.0.0.2; use REGISTER * 9"
        );
    }
    assert_listed(&relay, &[]);
    assert_eq!(nc.ask("PING"), "PONG", "it was only a mistake");
}

#[test]
fn a_trusted_network_may_register_any_address() {
    let relay = relay(&["--trust", "10.0.0.0/8", "--trust", "127.0.0.8/30"]);
    let mut trusted = Nc::connect_from("127.0.0.9", relay.address());
    let registered = trusted.ask("REGISTER 192.0.2.1 9");
    assert_eq!(without_epochs(&registered), "OK 60 192.0.2.1 9 0");
    let mut other = Nc::connect_from("127.0.0.12", relay.address());
    assert!(other.ask("REGISTER 192.0.2.1 9").starts_with("ERROR 403 "));
    assert!(
        other
            .ask("UNREGISTER 192.0.2.1 9")
            .starts_with("ERROR 403 ")
    );
    assert_listed(&relay, &["192.0.2.1 9"]);
    assert_eq!(trusted.ask("UNREGISTER 192.0.2.1 9"), "OK");
}

#[test]
fn only_the_registrant_may_unregister() {
    let relay = relay(&NO_TRUST);
    let mut owner = Nc::connect_from("127.0.0.2", relay.address());
    let registered = owner.ask("REGISTER * 9");
    assert_eq!(without_epochs(&registered), "OK 60 127.0.0.2 9 0");
    let mut other = Nc::connect_from("127.0.0.3", relay.address());
    let refusal = "ERROR 403 127.0.0.2 9 was registered from another address";
    assert_eq!(other.ask("UNREGISTER 127.0.0.2 9"), refusal);
    assert_listed(&relay, &["127.0.0.2 9"]);
    // From the same address over another connection.
    let mut owner = Nc::connect_from("127.0.0.2", relay.address());
    assert_eq!(owner.ask("UNREGISTER 127.0.0.2 9"), "OK");
    assert_listed(&relay, &[]);
}

#[test]
fn undialable_addresses_are_refused() {
    let relay = relay(&[]);
    let mut nc = Nc::connect(relay.address());
    let addresses = [
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "fe80::1",
        "::ffff:0.0.0.0",
        "fe80::1%eth0",
        "[::1]",
        "localhost",
        "127.1",
        "127.0.0.01",
        "1.2.3.4.5",
        "**",
    ];
    for address in addresses {
        let reply = nc.ask(&format!("REGISTER {address} 9"));
        assert!(
            reply.starts_with("ERROR 400 usage: REGISTER ip port"),
            "{address}: {reply}"
        );
    }
    let ports = [
        "0",
        "65536",
        "+80",
        "-1",
        "0x50",
        "80.",
        "http",
        "99999999999999999999",
        "80 80",
    ];
    for port in ports {
        let reply = nc.ask(&format!("REGISTER 127.0.0.1 {port}"));
        let why = match port {
            "80 80" => "80 is too much".to_owned(),
            port => format!("{port} is no port (1 to 65535)"),
        };
        assert_eq!(reply, format!("ERROR 400 usage: REGISTER ip port; {why}"));
    }
    assert_listed(&relay, &[]);
    for port in [65535, 1] {
        let registered = nc.ask(&format!("REGISTER * {port}"));
        assert_eq!(
            without_epochs(&registered),
            format!("OK 60 127.0.0.1 {port} 0")
        );
    }
}

#[test]
fn nodes_per_address_are_limited() {
    // Trusted addresses have no such limit.
    let args = ["--trust", "10.0.0.0/8", "--max-nodes-per-address", "2"];
    let relay = relay(&args);
    let answers = ask(
        relay.address(),
        b"REGISTER * 40001\nREGISTER * 40002\nSHARE 1 - a\nREGISTER * 40003\nSHARE 1 - b\n\
          REGISTER * 40002\n",
    );
    assert_eq!(
        without_epochs(&answers),
        "OK 60 127.0.0.1 40001 0\nOK 60 127.0.0.1 40002 0\nOK\n\
         ERROR 413 too many nodes at your address; UNREGISTER some\n\
         ERROR 403 REGISTER first\nOK 60 127.0.0.1 40002 1\n"
    );
    assert_listed(&relay, &["127.0.0.1 40001", "127.0.0.1 40002"]);
}

#[test]
fn an_expired_lease_removes_the_node() {
    let relay = relay(&["--lease", "2"]);
    let mut nc = Nc::connect(relay.address());
    let registered = nc.ask("REGISTER 192.0.2.1 9");
    assert_eq!(without_epochs(&registered), "OK 2 192.0.2.1 9 0");
    assert_listed(&relay, &["192.0.2.1 9"]);
    relay.log_until("node 192.0.2.1 9 did not renew its lease");
    assert_listed(&relay, &[]);
    assert_eq!(relay.stat("nodes_expired"), 1);
    let gone = "ERROR 404 no node is registered at 192.0.2.1 9";
    assert_eq!(nc.ask("UNREGISTER 192.0.2.1 9"), gone);
}

#[test]
fn a_thousand_nodes_are_listed() {
    let relay = relay(&[]);
    let node = |n: usize| format!("10.0.{}.{} {}", n / 250, n % 250 + 1, 20_000 + n);
    let request: String = (0..1000)
        .map(|n| format!("REGISTER {}\n", node(n)))
        .collect();
    let replies = ask(relay.address(), request.as_bytes());
    assert_eq!(replies.matches("OK 60 10.0.").count(), 1000);
    let nodes: Vec<String> = (0..1000).map(node).collect();
    let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
    assert_listed(&relay, &nodes);
    let list = "LIST\n".repeat(50);
    let lists = ask(relay.address(), list.as_bytes());
    assert_eq!(lists.matches("NODES 1000\n").count(), 50);
    assert_eq!(lists.lines().count(), 50 * 1001);
}

#[test]
fn unread_lists_of_a_changing_directory_share_their_memory() {
    const NODES: u32 = 100_000;
    const CLIENTS: u32 = 40;
    const LISTS: u32 = 6;
    let address = |node: u32| {
        let [_, a, b, c] = node.to_be_bytes();
        format!("10.{a}.{b}.{c} 4000")
    };
    let relay = relay(&["--lease", "3600"]);
    let mut nc = Nc::connect(relay.address());
    let mut writer = nc.stream().try_clone().expect("a second handle");
    let nodes = (0..NODES).map(|node| format!("REGISTER {}\n", address(node)));
    let nodes: String = nodes.collect();
    let writing = thread::spawn(move || writer.write_all(nodes.as_bytes()));
    (0..NODES).for_each(|_| assert!(nc.line().starts_with("OK ")));
    writing
        .join()
        .expect("no panic")
        .expect("the relay takes it");
    let list = ask(relay.address(), b"LIST\n");
    assert_eq!(list.lines().count(), NODES as usize + 1);
    let before = relay.resident();
    // Each list differs from all others, and none is read.
    let clients: Vec<Nc> = (0..CLIENTS)
        .map(|client| {
            let mut nc = Nc::connect(relay.address());
            let first = NODES + client * LISTS;
            for node in first..first + LISTS {
                nc.send(format!("REGISTER {}\nLIST\n", address(node)));
            }
            nc
        })
        .collect();
    let (mut lists, mut quiet) = (0, 0);
    eventually("all outboxes are full", || {
        let now = relay.stat("lists");
        quiet = if now == lists { quiet + 1 } else { 0 };
        lists = now;
        lists > u64::from(CLIENTS) && quiet > 20
    });
    let growth = relay.resident().saturating_sub(before);
    assert!(growth < 30_000_000, "{growth} bytes for {lists} lists");
    drop(clients);
}
