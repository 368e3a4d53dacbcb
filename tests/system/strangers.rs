//! What one stranger, or several, can take from the others: turns, places, memory. Each
//! 127.0.0.x is another stranger.

use rustix::process::Signal;

use crate::support::{Nc, Server, ask, eventually, folder, node, relay, without_epochs};

/// Connects from `address` and waits until the server has accepted.
fn connect(server: &Server, address: &str) -> Nc {
    let mut nc = Nc::connect_from(address, server.address());
    assert_eq!(nc.ask("PING"), "PONG");
    nc
}

/// The figure `name` in the answer to a stranger's `STATS`, which comes after all the
/// requests of `strangers` have arrived.
fn figure_before_others(
    server: &Server,
    strangers: &mut [Nc],
    requests: &str,
    name: &str,
) -> usize {
    server.signal(Signal::STOP);
    for nc in strangers {
        nc.send(requests);
    }
    let mut other = Nc::connect_from("127.0.0.3", server.address());
    other.send("STATS\n");
    other.half_close();
    server.signal(Signal::CONT);
    let stats = other.rest_text();
    let mut lines = stats.lines();
    let figure = lines.find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    figure.unwrap_or_else(|| panic!("no {name}: {stats}"))
}

#[test]
fn many_connections_of_one_address_do_not_hold_up_others() {
    let share = folder(&[("file", b"content")]);
    let (first, second) = (relay(&[]), relay(&[]));
    let node = node(&first, share.path(), &[]);
    for (server, requests) in [(&first, "HELP\n"), (&second, "STATS\n"), (&node, "HELP\n")] {
        let mut strangers: Vec<Nc> = (0..100).map(|_| connect(server, "127.0.0.2")).collect();
        let requests = requests.repeat(4000);
        let bytes = figure_before_others(server, &mut strangers, &requests, "bytes_out");
        assert!(
            bytes < 20 << 20,
            "{bytes} bytes were sent to the stranger before"
        );
    }
}

#[test]
fn a_node_renews_when_strangers_take_all_places() {
    let relay = relay(&["--max-connections", "64"]);
    let register = |address: &str| {
        let mut nc = Nc::connect_from(address, relay.address());
        nc.send("REGISTER * 9\n");
        nc.half_close();
        without_epochs(&nc.rest_text())
    };
    assert_eq!(register("127.0.0.9"), "OK 60 127.0.0.9 9 0\n");
    let strangers = (2..8).flat_map(|host| [host; 10]);
    let connected: Vec<Nc> = strangers
        .map(|host| connect(&relay, &format!("127.0.0.{host}")))
        .collect();
    assert_eq!(connected.len(), 60);
    let full = "ERROR 503 too many connections; try again later\n";
    assert_eq!(register("127.0.0.2"), full);
    let _first = connect(&relay, "127.0.0.20");
    let _second = connect(&relay, "127.0.0.21");
    assert_eq!(register("127.0.0.22"), full);
    assert_eq!(register("127.0.0.9"), "OK 60 127.0.0.9 9 0\n");
}

/// Memory of the process in KiB.
fn resident(server: &Server) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid()));
    let status = status.expect("it runs");
    let mut lines = status.lines();
    let size = lines.find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
    size.and_then(|size| size.trim().parse().ok())
        .expect("a size")
}

/// Registers nodes, so that an answer to `LIST` has about 8 KiB.
fn register_many(relay: &Server) {
    let lines = (1000..1500).map(|port| format!("REGISTER * {port}\n"));
    ask(relay.address(), lines.collect::<String>().as_bytes());
}

#[test]
fn unread_answers_of_all_connections_have_one_limit() {
    let max_queue = 16 << 20;
    let relay = relay(&[
        "--max-queue",
        &max_queue.to_string(),
        "--max-queue-total",
        "8388608",
    ]);
    register_many(&relay);
    let before = resident(&relay);
    let mut honest = connect(&relay, "127.0.0.3");
    honest.send("LIST\n".repeat(100));
    let mut strangers: Vec<Nc> = (0..50).map(|_| connect(&relay, "127.0.0.2")).collect();
    for nc in &mut strangers {
        // The relay may have closed it already.
        let _ = std::io::Write::write_all(&mut nc.stream(), &b"LIST\n".repeat(500));
    }
    eventually("some are closed", || {
        relay.log().contains("memory limit of all queues")
    });
    assert_eq!(connect(&relay, "127.0.0.4").ask("PING"), "PONG");
    let grown = resident(&relay) - before;
    assert!(grown < 24 << 10, "{grown} KiB more");
    for _ in 0..100 {
        assert_eq!(honest.line(), "NODES 500");
        (0..500).for_each(|_| drop(honest.line()));
    }
    let log = relay.log();
    let closed = log.lines().filter(|line| line.contains("memory limit"));
    assert!(
        closed.clone().all(|line| line.contains("127.0.0.2:")),
        "{log}"
    );
}

#[test]
fn requests_that_wait_count_as_memory() {
    // The queues alone are short.
    let relay = relay(&["--max-queue", "1", "--max-queue-total", "100000"]);
    register_many(&relay);
    let mut strangers: Vec<Nc> = (0..50).map(|_| connect(&relay, "127.0.0.2")).collect();
    for nc in &mut strangers {
        let _ = std::io::Write::write_all(&mut nc.stream(), &b"LIST\n".repeat(20_000));
    }
    eventually("some are closed", || relay.stat("connections") < 45);
    assert!(relay.stat("connections") > 2, "those that fit remain");
}

#[test]
fn a_list_that_the_relay_keeps_does_not_count_as_queued() {
    let relay = relay(&["--max-queue-total", "65536"]);
    for first in (10_000..16_000).step_by(500) {
        let nodes: String = (first..first + 500)
            .map(|port| format!("REGISTER * {port}\n"))
            .collect();
        ask(relay.address(), nodes.as_bytes());
    }
    let list = ask(relay.address(), b"LIST\n");
    assert!(list.len() > 65_536, "{}", list.len());
    let mut nc = Nc::connect(relay.address());
    nc.send("PI");
    // The relay has read that before it answers this.
    assert!(relay.stat("connections") > 1);
    assert_eq!(nc.ask("NG"), "PONG");
}
