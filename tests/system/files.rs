//! What the relay knows of files, over real sockets.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{Nc, Server, ask, eventually, relay};

/// As many as a debug build takes in a few seconds.
const MANY: usize = 100_000;

fn name(number: usize) -> String {
    format!("dir {:02}/File {number:06}.txt", number % 10)
}

/// Names in the order in which they are listed.
fn in_order(count: usize) -> Vec<String> {
    let mut names: Vec<String> = (0..count).map(name).collect();
    names.sort_unstable();
    names
}

/// A node that is only a registration, and shares so many files.
fn share_many(relay: &Server, port: u16, count: usize) {
    let shares: String = (0..count)
        .map(|number| format!("SHARE {number} - {}\n", name(number)))
        .collect();
    let request = format!("REGISTER * {port}\n{shares}REGISTER * {port}\n");
    let mut nc = Nc::connect(relay.address());
    let mut writer = nc.stream().try_clone().expect("a second handle");
    // All at once: the answers are read meanwhile.
    let writing = thread::spawn(move || {
        std::io::Write::write_all(&mut writer, request.as_bytes()).expect("the relay takes it");
    });
    assert!(nc.line().starts_with("OK "));
    for _ in 0..count {
        assert_eq!(nc.line(), "OK");
    }
    let again = nc.line();
    assert!(again.ends_with(&format!(" {port} {count}")), "{again}");
    writing.join().expect("all was taken");
}

/// The counts of a list of files and its names.
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

/// A search to its end: the total of its first page, and all names.
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
fn a_hundred_thousand_names_are_shared_searched_and_found() {
    let relay = relay(&[]);
    share_many(&relay, 40_001, MANY);
    assert_eq!(relay.stat("names"), MANY as u64);
    let mut nc = Nc::connect(relay.address());
    let (total, names) = search_all(&mut nc, "");
    assert_eq!(total, MANY);
    assert!(names == in_order(MANY), "every name once, in order");
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
    the_others_are_answered_while_searches_go_on(&relay);
}

/// Many searches through all names, of which each takes several rounds
/// of the loop.
fn the_others_are_answered_while_searches_go_on(relay: &Server) {
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
    let done = reading.join().expect("all were answered");
    assert!(pings >= 20, "only {pings} answers in the meantime");
    assert!(last + Duration::from_secs(1) > done);
}

#[test]
fn searches_that_wait_are_answered_beyond_the_idle_limit_and_when_the_relay_stops() {
    let mut relay = relay(&["--idle", "0.4"]);
    // More than is looked through in one round of the loop.
    share_many(&relay, 40_001, 50_000);
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
    // What it asked behind it may be answered or not.
    assert_eq!(nc.line(), "FILES 0 0");
    drop(nc);
    assert_eq!(relay.wait().code(), Some(0));
}

#[test]
fn what_a_node_alone_had_vanishes_with_its_lease() {
    let relay = relay(&["--lease", "2"]);
    let mut stays = Nc::connect(relay.address());
    stays.send("REGISTER * 40002\nSHARE 0 - dir 00/File 000000.txt\nSHARE 1 - mine\n");
    assert!(stays.line().starts_with("OK 2 "));
    assert_eq!((stays.line(), stays.line()), ("OK".into(), "OK".into()));
    // Its connection ends at once, as a crash would end it.
    share_many(&relay, 40_001, 1500);
    let mut seen = 0;
    eventually("the lease ends", || {
        let renewed = stays.ask("REGISTER * 40002");
        assert_eq!(renewed, "OK 2 127.0.0.1 40002 2");
        let answer = ask(relay.address(), b"SEARCH file\nMORE\n");
        seen = answer.matches(".txt").count();
        // All of them, or only that of the other one; nothing in between.
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
        assert_eq!(stays.ask("REGISTER * 40002"), "OK 2 127.0.0.1 40002 2");
        relay.stat("names") == 2
    });
    assert_eq!(relay.stat("nodes_expired"), 1);
}

#[test]
fn two_nodes_have_the_same_file_and_one_leaves() {
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
fn the_flags_of_the_quota_are_kept_and_what_was_accepted_stays() {
    let relay = relay(&["--max-shared", "2", "--max-shared-bytes", "8"]);
    let refused = "ERROR 413 too many files or bytes of names; the limits of a node are 2 and 8\n";
    let answers = ask(
        relay.address(),
        b"REGISTER * 40001\nSHARE 1 - 123456789\nSHARE 1 - a\nSHARE 1 - b\nSHARE 1 - c\nSEARCH\n",
    );
    assert_eq!(
        answers,
        format!("OK 60 127.0.0.1 40001 0\n{refused}OK\nOK\n{refused}FILES 2 2\n1 - 1 a\n1 - 1 b\n")
    );
}

#[test]
fn what_all_nodes_together_share_is_limited_and_what_was_accepted_stays() {
    let relay = relay(&["--max-shared-in-all", "3"]);
    let mut one = Nc::connect(relay.address());
    one.send("REGISTER * 40001\nSHARE 1 - a\nSHARE 1 - b\n");
    assert_eq!(one.line(), "OK 60 127.0.0.1 40001 0");
    assert_eq!((one.line(), one.line()), ("OK".into(), "OK".into()));
    let refused = "ERROR 413 too many files of all nodes; the limit is 3\n";
    assert_eq!(
        ask(
            relay.address(),
            b"REGISTER * 40002\nSHARE 1 - a\nSHARE 1 - c\nSHARE 2 - a\nREGISTER * 40002\n"
        ),
        format!("OK 60 127.0.0.1 40002 0\nOK\n{refused}OK\nOK 60 127.0.0.1 40002 1\n")
    );
    // What goes makes room.
    assert_eq!(one.ask("UNSHARE b"), "OK");
    assert_eq!(
        ask(relay.address(), b"REGISTER * 40002\nSHARE 1 - c\nSEARCH\n"),
        "OK 60 127.0.0.1 40002 1\nOK\nFILES 3 3\n1 - 1 a\n2 - 1 a\n1 - 1 c\n"
    );
}

#[test]
fn the_figures_of_the_index_and_of_messages() {
    let relay = relay(&[]);
    let answers = ask(
        relay.address(),
        b"REGISTER * 40001\nSHARE 1 - a\nSHARE 1 - b\nUNSHARE b\nFIND a\nFIND a\nFIND b\n\
          LISTEN\nSEND 127.0.0.1 40001 hello\nSEND 127.0.0.1 1 hello\n\n",
    );
    let banner = "OK peerline relay, 1 node, 1 file; HELP lists the commands\n";
    assert!(answers.ends_with(banner), "{answers}");
    eventually("the listener has gone", || relay.stat("listeners") == 0);
    for (name, value) in [("names", 1), ("finds", 2), ("messages", 1), ("nodes", 1)] {
        assert_eq!(relay.stat(name), value, "{name}");
    }
}
