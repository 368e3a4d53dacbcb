//! The relay's index of files: SHARE, FIND, SEARCH, leases and limits.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{Nc, Server, ask, eventually, relay, without_epochs};

/// A debug build registers so many names within a few seconds.
const MANY: usize = 100_000;

fn name(number: usize) -> String {
    format!("dir {:02}/File {number:06}.txt", number % 10)
}

/// All names in list order.
fn sorted_names(count: usize) -> Vec<String> {
    let mut names: Vec<String> = (0..count).map(name).collect();
    names.sort_unstable();
    names
}

/// Registers a node with `count` files.
fn register_with_files(relay: &Server, port: u16, count: usize) {
    let shares: String = (0..count)
        .map(|number| format!("SHARE {number} - {}\n", name(number)))
        .collect();
    let request = format!("REGISTER * {port}\n{shares}REGISTER * {port}\n");
    let mut nc = Nc::connect(relay.address());
    let mut writer = nc.stream().try_clone().expect("a second handle");
    // The replies are read while the requests are written.
    let writing = thread::spawn(move || {
        std::io::Write::write_all(&mut writer, request.as_bytes()).expect("the relay takes it");
    });
    assert!(nc.line().starts_with("OK "));
    for _ in 0..count {
        assert_eq!(nc.line(), "OK");
    }
    let again = nc.line();
    let registered = without_epochs(&again);
    assert!(registered.ends_with(&format!(" {port} {count}")), "{again}");
    writing.join().expect("all was taken");
}

/// Reads a list of files: both counts and the names.
fn read_files(nc: &mut Nc) -> (usize, usize, Vec<String>) {
    let mut head = nc.line();
    while head.starts_with("FROM ") {
        head = nc.line();
    }
    let counts = head.strip_prefix("FILES ").expect("a list of files");
    let (shown, total) = counts.split_once(' ').expect("two counts");
    let shown = shown.parse().expect("a number");
    let names = (0..shown)
        .map(|_| {
            let line = nc.line();
            line.splitn(4, ' ').last().expect("a name").to_owned()
        })
        .collect();
    (shown, total.parse().expect("a number"), names)
}

/// Runs a search with all its pages: the total of the first page, and all names.
fn search_all(nc: &mut Nc, text: &str) -> (usize, Vec<String>) {
    nc.send(format!("SEARCH {text}\n"));
    let (_, total, mut all) = read_files(nc);
    loop {
        nc.send("MORE\n");
        let (shown, _, names) = read_files(nc);
        assert!(shown <= 1000);
        if shown == 0 {
            return (total, all);
        }
        all.extend(names);
    }
}

#[test]
fn a_hundred_thousand_names() {
    let relay = relay(&[]);
    register_with_files(&relay, 40_001, MANY);
    assert_eq!(relay.stat("names"), MANY as u64);
    let mut nc = Nc::connect(relay.address());
    let (total, names) = search_all(&mut nc, "");
    assert_eq!(total, MANY);
    assert!(names == sorted_names(MANY), "every name once, in order");
    let (total, names) = search_all(&mut nc, "FILE 0999");
    assert_eq!((total, names.len()), (100, 100));
    let (total, _) = search_all(&mut nc, "no such file");
    assert_eq!(total, 0);
    for number in [0, 1, MANY / 2, MANY - 1] {
        nc.send(format!("FIND {}\n", name(number)));
        assert_eq!(nc.line(), "HOLDERS 1");
        assert_eq!(nc.line(), format!("127.0.0.1 40001 {number} -"));
    }
    assert_eq!(nc.ask(&format!("FIND {}", name(MANY))), "NOTFOUND");
    assert_eq!(relay.stat("finds"), 4);
    check_latency_during_searches(&relay);
}

/// Another connection is answered while many searches run, each of several turns of the
/// loop.
fn check_latency_during_searches(relay: &Server) {
    const SEARCHES: usize = 60;
    let mut searcher = Nc::connect(relay.address());
    let mut other = Nc::connect(relay.address());
    searcher.send("SEARCH nowhere to be found\n".repeat(SEARCHES));
    let reading = thread::spawn(move || {
        for _ in 0..SEARCHES {
            assert_eq!(searcher.line(), "FILES 0 0");
        }
        Instant::now()
    });
    let mut pings = 0;
    let mut last = Instant::now();
    while !reading.is_finished() {
        assert_eq!(other.ask("PING"), "PONG");
        last = Instant::now();
        pings += 1;
    }
    let output = reading.join().expect("all were answered");
    assert!(pings >= 20, "only {pings} answers in the meantime");
    assert!(last + Duration::from_secs(1) > output);
}

#[test]
fn queued_searches_survive_the_idle_timeout_and_shutdown() {
    let mut relay = relay(&["--idle", "0.4"]);
    // More names than one turn of the loop searches.
    register_with_files(&relay, 40_001, 50_000);
    let mut searchers: Vec<Nc> = (0..100).map(|_| Nc::connect(relay.address())).collect();
    for nc in &mut searchers {
        nc.send("SEARCH nowhere to be found\nPING\n");
    }
    for nc in &mut searchers {
        assert_eq!(nc.line(), "FILES 0 0");
        assert_eq!(nc.line(), "PONG");
    }
    drop(searchers);
    let mut nc = Nc::connect(relay.address());
    nc.send("PING\nSEARCH nowhere to be found\nPING\n");
    assert_eq!(nc.line(), "PONG");
    relay.signal(Signal::TERM);
    // The requests behind the search may be answered or not.
    assert_eq!(nc.line(), "FILES 0 0");
    drop(nc);
    assert_eq!(relay.wait().code(), Some(0));
}

#[test]
fn an_expired_lease_removes_the_files() {
    let relay = relay(&["--lease", "2"]);
    let mut stays = Nc::connect(relay.address());
    stays.send("REGISTER * 40002\nSHARE 0 - dir 00/File 000000.txt\nSHARE 1 - mine\n");
    assert!(stays.line().starts_with("OK 2 "));
    assert_eq!((stays.line(), stays.line()), ("OK".into(), "OK".into()));
    // The connection closes without UNREGISTER, as in a crash.
    register_with_files(&relay, 40_001, 1500);
    let mut seen = 0;
    eventually("the lease ends", || {
        let renewed = stays.ask("REGISTER * 40002");
        assert_eq!(without_epochs(&renewed), "OK 2 127.0.0.1 40002 2");
        let answer = ask(relay.address(), b"SEARCH file\nMORE\n");
        seen = answer.matches(".txt").count();
        // All files of the node, or none of them.
        assert!(seen == 1500 || seen == 1, "{seen}");
        seen == 1
    });
    assert_eq!(
        ask(relay.address(), b"SEARCH\nFIND dir 00/File 000000.txt\n"),
        "FILES 2 2\n0 - 1 dir 00/File 000000.txt\n1 - 1 mine\n\
         HOLDERS 1\n127.0.0.1 40002 0 -\n"
    );
    relay.log_until("node 127.0.0.1 40001 did not renew its lease");
    eventually("its names are taken out", || {
        let renewed = stays.ask("REGISTER * 40002");
        assert_eq!(without_epochs(&renewed), "OK 2 127.0.0.1 40002 2");
        relay.stat("names") == 2
    });
    assert_eq!(relay.stat("nodes_expired"), 1);
}

#[test]
fn unregister_removes_one_of_two_holders() {
    let relay = relay(&[]);
    for port in [40_001, 40_002] {
        let request = format!("REGISTER * {port}\nSHARE 17 - hello.txt\n");
        assert!(ask(relay.address(), request.as_bytes()).ends_with("OK\n"));
    }
    let both = ask(relay.address(), b"FIND hello.txt\nSEARCH\n");
    assert!(both.starts_with("HOLDERS 2\n"), "{both}");
    assert!(both.ends_with("FILES 1 1\n17 - 2 hello.txt\n"), "{both}");
    assert_eq!(ask(relay.address(), b"UNREGISTER * 40001\n"), "OK\n");
    assert_eq!(
        ask(relay.address(), b"FIND hello.txt\nSEARCH\n"),
        "HOLDERS 1\n127.0.0.1 40002 17 -\nFILES 1 1\n17 - 1 hello.txt\n"
    );
}

#[test]
fn files_per_node_are_limited() {
    let relay = relay(&["--max-shared", "2", "--max-shared-bytes", "16"]);
    let refused =
        "ERROR 413 your node shares too many files (limit 2) or bytes of file names (limit 16)\n";
    let answers = ask(
        relay.address(),
        b"REGISTER * 40001\nSHARE 1 - 123456789\nSHARE 1 - a\nSHARE 1 - b\nSHARE 1 - c\nSEARCH\n",
    );
    assert_eq!(
        without_epochs(&answers),
        format!("OK 60 127.0.0.1 40001 0\n{refused}OK\nOK\n{refused}FILES 2 2\n1 - 1 a\n1 - 1 b\n")
    );
}

#[test]
fn files_of_all_nodes_are_limited() {
    let relay = relay(&["--max-shared-in-all", "3"]);
    let mut one = Nc::connect(relay.address());
    one.send("REGISTER * 40001\nSHARE 1 - a\nSHARE 1 - b\n");
    assert_eq!(without_epochs(&one.line()), "OK 60 127.0.0.1 40001 0");
    assert_eq!((one.line(), one.line()), ("OK".into(), "OK".into()));
    let refused = "ERROR 413 all nodes together share too many files (limit 3) or bytes of file names (limit 1073741824)\n";
    let replies = ask(
        relay.address(),
        b"REGISTER * 40002\nSHARE 1 - a\nSHARE 1 - c\nSHARE 2 - a\nREGISTER * 40002\n",
    );
    assert_eq!(
        without_epochs(&replies),
        format!("OK 60 127.0.0.1 40002 0\nOK\n{refused}OK\nOK 60 127.0.0.1 40002 1\n")
    );
    // A removed file makes room for another one.
    assert_eq!(one.ask("UNSHARE b"), "OK");
    let replies = ask(relay.address(), b"REGISTER * 40002\nSHARE 1 - c\nSEARCH\n");
    assert_eq!(
        without_epochs(&replies),
        "OK 60 127.0.0.1 40002 1\nOK\nFILES 3 3\n1 - 1 a\n2 - 1 a\n1 - 1 c\n"
    );
}

/// Files that the relay of the next tests takes.
const MAX_FILES: usize = 50_000;

/// A relay, and the most bytes of memory that it says it needs.
fn relay_with_memory_figure() -> (Server, u64) {
    let relay = relay(&[
        "--max-nodes",
        "1000",
        "--max-shared-in-all",
        &MAX_FILES.to_string(),
        "--max-shared-bytes-in-all",
        "3000000",
        "--max-queue-total",
        "1048576",
    ]);
    let log = relay.log_until("limits: at most about ");
    let (_, figure) = log.split_once("limits: at most about ").expect("a figure");
    let mib = figure.split(' ').next().and_then(|mib| mib.parse().ok());
    (relay, mib.map(|mib: u64| mib << 20).expect("MiB"))
}

#[test]
fn memory_stays_within_the_figure_in_the_log() {
    let (relay, most) = relay_with_memory_figure();
    let before = relay.resident();
    register_with_files(&relay, 40001, MAX_FILES);
    let growth = relay.resident().saturating_sub(before);
    assert!(growth < most, "{growth} bytes, {most} at most");
    let full = ask(relay.address(), b"REGISTER * 40001\nSHARE 1 - one more\n");
    assert!(full.contains("\nERROR 413 all nodes together"), "{full}");
}

#[test]
fn memory_of_names_with_many_contents_stays_within_the_figure_in_the_log() {
    const NODES: usize = 225;
    let (relay, most) = relay_with_memory_figure();
    let before = relay.resident();
    for node in 1..=NODES {
        let shares = (1..=MAX_FILES / NODES).map(|file| format!("SHARE {node} - {file}\n"));
        let request = format!("REGISTER * {node}\n{}", shares.collect::<String>());
        let replies = ask(relay.address(), request.as_bytes());
        assert!(!replies.contains("ERROR"), "{replies}");
    }
    let growth = relay.resident().saturating_sub(before);
    assert!(growth < most, "{growth} bytes, {most} at most");
}

/// Regression: a name with many holders kept the room for them, and a node that for its files.
#[test]
fn memory_of_withdrawn_contents_stays_within_the_figure_in_the_log() {
    const NODES: usize = 200;
    const KEPT: usize = 20;
    let (relay, most) = relay_with_memory_figure();
    let before = relay.resident();
    for round in 0..6 {
        let files = |verb: &str| {
            let lines = (0..100).map(|file| format!("{verb} {round}/{file}\n"));
            lines.collect::<String>()
        };
        for node in 1..=NODES {
            let shares = files(&format!("SHARE {node} -"));
            let replies = ask(
                relay.address(),
                format!("REGISTER * {node}\n{shares}").as_bytes(),
            );
            assert!(!replies.contains("ERROR"), "{replies}");
        }
        for node in KEPT + 1..=NODES {
            let request = format!("REGISTER * {node}\n{}", files("UNSHARE"));
            let replies = ask(relay.address(), request.as_bytes());
            assert!(!replies.contains("ERROR"), "{replies}");
        }
    }
    let growth = relay.resident().saturating_sub(before);
    assert!(growth < most, "{growth} bytes, {most} at most");
}

#[test]
fn an_address_takes_no_more_than_it_leaves_to_others() {
    let relay = relay(&["--trust", "10.0.0.0/8", "--max-shared-in-all", "1000"]);
    let mut greedy = Nc::connect_from("127.0.0.2", relay.address());
    let mut shares = 0;
    for port in 1..=10 {
        let registered = greedy.ask(&format!("REGISTER * {port}"));
        assert!(registered.starts_with("OK "), "{registered}");
        shares += (0..100)
            .filter(|name| greedy.ask(&format!("SHARE 1 - {name}")) == "OK")
            .count();
    }
    assert_eq!(shares, 500);
    let mut modest = Nc::connect_from("127.0.0.3", relay.address());
    assert!(modest.ask("REGISTER * 1").starts_with("OK "));
    for name in 0..200 {
        assert_eq!(modest.ask(&format!("SHARE 1 - {name}")), "OK");
    }
}

#[test]
fn a_search_finds_a_name_however_it_is_composed() {
    let relay = relay(&[]);
    let (composed, decomposed) = ("caf\u{e9}", "cafe\u{301}");
    let lines = format!("REGISTER * 40001\nSHARE 17 - {decomposed}\nSHARE 18 - STRA\u{1e9e}E\n");
    ask(relay.address(), lines.as_bytes());
    for (text, found) in [
        (composed, format!("17 - 1 {decomposed}")),
        (decomposed, format!("17 - 1 {decomposed}")),
        ("strasse", "18 - 1 STRA\u{1e9e}E".to_owned()),
    ] {
        let files = ask(relay.address(), format!("SEARCH {text}\n").as_bytes());
        assert_eq!(files, format!("FILES 1 1\n{found}\n"));
    }
    let find = format!("FIND {composed}\n");
    assert_eq!(ask(relay.address(), find.as_bytes()), "NOTFOUND\n");
}

#[test]
fn stats_of_the_index_and_of_messages() {
    let relay = relay(&[]);
    let answers = ask(
        relay.address(),
        b"REGISTER * 40001\nSHARE 1 - a\nSHARE 1 - b\nUNSHARE b\nFIND a\nFIND a\nFIND b\nDIGEST a\n\
          LISTEN\nSEND 127.0.0.1 40001 hello\nSEND 127.0.0.1 1 hello\n\n",
    );
    let banner = "\nOK peerline relay, 1 node, 1 file, id ";
    assert!(answers.contains(banner), "{answers}");
    eventually("the listener has gone", || relay.stat("listeners") == 0);
    for (name, value) in [("names", 1), ("finds", 2), ("messages", 1), ("nodes", 1)] {
        assert_eq!(relay.stat(name), value, "{name}");
    }
}
