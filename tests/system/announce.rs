//! Announcements: a node tells the relay its files, and keeps the list up to date.

use std::fs;
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::relay_index::{files, holders, wait_for_names};
use crate::support::{
    Server, ask, eventually, folder, folder_of_names, node, relay, unlisted_node,
};

#[test]
fn a_node_announces_its_files() {
    let relay = relay(&[]);
    let share = folder(&[
        ("hello.txt", b"Hello, Peerline!\n"),
        ("a folder/two words.txt", b"12"),
        ("größe", b""),
        (".hidden", b"secret"),
    ]);
    let node = node(&relay, share.path(), &[]);
    wait_for_names(&relay, 3);
    let all = [
        "2 - 1 a folder/two words.txt",
        "0 - 1 größe",
        "17 - 1 hello.txt",
    ];
    assert_eq!(files(&relay, ""), all);
    assert_eq!(files(&relay, "WORDS"), all[..1]);
    let holder = |size: u64| [format!("{} {size} -", node.wire_address())];
    assert_eq!(holders(&relay, "hello.txt"), holder(17));
    assert_eq!(holders(&relay, "a folder/two words.txt"), holder(2));
    assert!(holders(&relay, "two words.txt").is_empty());
    let banner = ask(relay.address(), b"\n");
    let counts = "OK peerline relay, 1 node, 3 files, id ";
    assert!(banner.starts_with(counts), "{banner}");
}

#[test]
fn changes_are_announced_with_a_renewal() {
    let relay = relay(&["--lease", "3"]);
    let share = folder(&[
        ("stays", b"1"),
        ("changes", b"1"),
        ("goes", b"1"),
        ("old", b"1"),
    ]);
    let node = node(&relay, share.path(), &[]);
    wait_for_names(&relay, 4);
    let path = |name: &str| share.path().join(name);
    fs::write(path("changes"), b"another content").expect("a file");
    fs::remove_file(path("goes")).expect("it is there");
    fs::rename(path("old"), path("new")).expect("it is there");
    fs::write(path("added"), b"12").expect("a file");
    let now = ["2 - 1 added", "15 - 1 changes", "1 - 1 new", "1 - 1 stays"];
    eventually("the change in the index", || files(&relay, "") == now);
    // The list of the node is the same.
    let own = ask(node.address(), b"LIST\n");
    assert_eq!(own, format!("FILES 4 4\n{}\n", now.join("\n")));
    for name in ["added", "changes", "new", "stays"] {
        fs::remove_file(path(name)).expect("it is there");
    }
    wait_for_names(&relay, 0);
    assert!(!node.log().contains("WARN"), "{}", node.log());
}

#[test]
fn only_changes_are_announced() {
    let relay = relay(&["--lease", "3", "--log-level", "debug"]);
    let share = folder(&[("one", b"1"), ("two", b"2")]);
    let _node = node(&relay, share.path(), &[]);
    wait_for_names(&relay, 2);
    relay.log_until_count("request: REGISTER", 4);
    // In one step: a file that is seen half-written is announced twice.
    let hidden = share.path().join(".three");
    fs::write(&hidden, b"3").expect("a file");
    fs::rename(&hidden, share.path().join("three")).expect("a name");
    wait_for_names(&relay, 3);
    let log = relay.log_until_count("request: REGISTER", 7);
    assert_eq!(log.matches("request: SHARE").count(), 3, "{log}");
    assert!(!log.contains("request: UNSHARE"), "{log}");
}

/// A relay at an address that no other test uses, so that its port is still free at the
/// restart.
fn relay_at(port: u16, lease: &str) -> Server {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relay-server"));
    command.arg(port.to_string());
    command.args(["--listen", "127.0.0.78", "--log-level", "debug"]);
    command.args(["--lease", lease, "--log-rate", "1000000"]);
    Server::start(command)
}

/// Kills the relay and starts it again, with a lease so long that nodes register once.
fn restarted(mut relay: Server) -> Server {
    let port = relay.address().port();
    relay.signal(Signal::KILL);
    relay.wait();
    relay_at(port, "600")
}

#[test]
fn a_restarted_relay_gets_all_files_with_one_registration() {
    let relay = relay_at(0, "3");
    let share = folder(&[("one", b"1"), ("two", b"22")]);
    let node = node(&relay, share.path(), &[]);
    wait_for_names(&relay, 2);
    let relay = restarted(relay);
    wait_for_names(&relay, 2);
    assert_eq!(files(&relay, ""), ["1 - 1 one", "2 - 1 two"]);
    assert_eq!(
        holders(&relay, "two"),
        [format!("{} 2 -", node.wire_address())]
    );
    let log = relay.log_until("request: REGISTER");
    assert_eq!(log.matches("request: REGISTER").count(), 1);
}

const COUNT: u64 = 20_000;

/// A folder of `count` empty files.
fn folder_of_empty_files(count: u64) -> TempDir {
    let share = folder(&[]);
    for number in 0..count {
        let path = share.path().join(format!("file {number:05}.txt"));
        fs::write(path, b"").expect("a file");
    }
    share
}

#[test]
fn a_hundred_thousand_files_of_one_node_are_announced() {
    const MANY: u64 = 100_000;
    let relay = relay(&[]);
    let share = folder_of_empty_files(MANY);
    let node = node(&relay, share.path(), &[]);
    // Each tenth has a deadline of its own.
    for part in 1..=10 {
        eventually("more of them", || relay.stat("names ") >= part * MANY / 10);
    }
    let holder = [format!("{} 0 -", node.wire_address())];
    for number in [0, 12_345, MANY - 1] {
        assert_eq!(holders(&relay, &format!("file {number:05}.txt")), holder);
    }
    // One more file is one more announcement.
    fs::write(share.path().join("one more"), b"1").expect("a file");
    wait_for_names(&relay, MANY + 1);
}

/// Regression: a renewal during an announcement started a second one, and replies were
/// matched to the wrong files.
#[test]
fn a_lease_is_renewed_during_a_long_announcement() {
    let relay = relay(&["--lease", "1", "--log-level", "debug"]);
    let share = folder_of_empty_files(COUNT);
    let _node = node(&relay, share.path(), &[]);
    wait_for_names(&relay, COUNT);
    let registrations = relay.log().matches("request: REGISTER").count();
    relay.log_until_count("request: REGISTER", registrations + 3);
    wait_for_names(&relay, COUNT);
    assert_eq!(files(&relay, "").len(), 1000, "a page of them");
}

#[test]
fn a_relay_restart_during_a_long_announcement() {
    let share = folder_of_empty_files(COUNT);
    let relay = relay_at(0, "3");
    let node = node(&relay, share.path(), &[]);
    eventually("the first of them", || relay.stat("names ") > 0);
    let relay = restarted(relay);
    wait_for_names(&relay, COUNT);
    for number in [0, 1, 999, 1000, 12_345, COUNT - 1] {
        let name = format!("file {number:05}.txt");
        assert_eq!(
            holders(&relay, &name),
            [format!("{} 0 -", node.wire_address())]
        );
    }
    assert_eq!(files(&relay, "12345").len(), 1);
    let log = relay.log_until("request: REGISTER");
    assert_eq!(log.matches("request: REGISTER").count(), 1);
    assert!(!node.log().contains("another node"), "{}", node.log());
}

#[test]
fn a_killed_holder_is_removed_when_its_lease_ends() {
    let relay = relay(&["--lease", "1"]);
    let share = folder(&[("both", b"1")]);
    let (one, two) = (
        node(&relay, share.path(), &[]),
        node(&relay, share.path(), &[]),
    );
    eventually("two holders", || holders(&relay, "both").len() == 2);
    assert_eq!(files(&relay, ""), ["1 - 2 both"]);
    one.signal(Signal::KILL);
    let left = [format!("{} 1 -", two.wire_address())];
    eventually("one holder", || holders(&relay, "both") == left);
    assert_eq!(files(&relay, ""), ["1 - 1 both"]);
}

#[test]
fn files_of_a_stopped_node_are_removed_at_once() {
    let relay = relay(&[]);
    let share = folder(&[("both", b"1")]);
    let (mut one, _two) = (
        node(&relay, share.path(), &[]),
        node(&relay, share.path(), &[]),
    );
    eventually("two holders", || holders(&relay, "both").len() == 2);
    assert_eq!(one.stop(), Some(0));
    assert_eq!(holders(&relay, "both").len(), 1);
}

#[test]
fn files_over_the_relay_limit_are_served_but_not_listed() {
    let relay = relay(&["--lease", "3", "--max-shared", "2"]);
    let share = folder(&[("a", b"1"), ("b", b"2"), ("c", b"3"), ("d", b"4")]);
    let node = node(&relay, share.path(), &[]);
    let log = node.log_until("the relay does not list 2 files, for example c: your node shares");
    assert_eq!(files(&relay, ""), ["1 - 1 a", "1 - 1 b"], "{log}");
    assert_eq!(node.stat("files_skipped"), 2);
    assert_eq!(ask(node.address(), b"GET d\n"), "FOUND 1\n4");
    // A removed file makes room for another one.
    fs::remove_file(share.path().join("a")).expect("it is there");
    let now = ["1 - 1 b", "1 - 1 c"];
    eventually("the next one", || files(&relay, "") == now);
    eventually("one is left", || node.stat("files_skipped") == 1);
    assert_eq!(node.log().matches("WARN").count(), 1, "{}", node.log());
    // The number of files that are left out grows.
    fs::write(share.path().join("e"), "5").expect("a new file");
    fs::write(share.path().join("f"), "6").expect("a new file");
    node.log_until("the relay does not list 3 files, for example d: your node shares");
}

#[test]
fn files_without_room_at_the_relay_are_listed_when_another_node_has_left() {
    for args in [&[][..], &["--udp"]] {
        let relay = relay(&["--lease", "3", "--max-shared-in-all", "2"]);
        let (first, second) = (folder(&[("a", b"1")]), folder(&[("b", b"2"), ("c", b"3")]));
        let mut first = node(&relay, first.path(), args);
        wait_for_names(&relay, 1);
        let second = node(&relay, second.path(), args);
        second.log_until("the relay does not list c: all nodes together share too many files");
        assert_eq!(second.stat("files_skipped"), 1);
        assert_eq!(first.stop(), Some(0));
        let now = ["1 - 1 b", "1 - 1 c"];
        eventually("all files of the second node", || files(&relay, "") == now);
        eventually("none is left", || second.stat("files_skipped") == 0);
    }
}

#[test]
fn a_name_that_the_relay_refuses_hides_no_other_file() {
    for args in [&[][..], &["--udp"]] {
        let relay = relay(&["--max-line", "256"]);
        let (long, longer) = ("b".repeat(250), "c".repeat(252));
        let names = ["a", &long, &longer, "m", "z"];
        let share = folder_of_names(names.map(String::from));
        let node = node(&relay, share.path(), args);
        wait_for_names(&relay, 3);
        let text = format!("the relay does not list 2 files, for example {long}: line too long");
        node.log_until(&text);
        assert_eq!(node.stat("files_skipped"), 2);
        // A new file is announced, and a refused one that has left is not counted.
        fs::write(share.path().join("n"), "").expect("a new file");
        fs::remove_file(share.path().join(&longer)).expect("it is there");
        wait_for_names(&relay, 4);
        eventually("one refused", || node.stat("files_skipped") == 1);
        assert_eq!(node.log().matches("WARN").count(), 1, "{}", node.log());
    }
}

#[test]
fn a_node_announces_all_files_after_sigstop_and_sigcont() {
    let relay = relay(&["--lease", "1"]);
    let share = folder(&[("one", b"1"), ("two", b"2")]);
    let node = node(&relay, share.path(), &[]);
    wait_for_names(&relay, 2);
    node.signal(Signal::STOP);
    wait_for_names(&relay, 0);
    node.signal(Signal::CONT);
    wait_for_names(&relay, 2);
}

/// Regression: the files of the first process stayed listed as long as the second one
/// renewed the lease.
#[test]
fn a_killed_node_that_restarts_with_fewer_files_leaves_no_stale_entries() {
    let relay = relay(&[]);
    let share = folder(&[("one", b"1"), ("two", b"22"), ("three", b"333")]);
    // An address that no other test uses, so that the port is still free.
    let at = |port: &str| {
        let args = ["--listen", "127.0.0.79", "--port", port];
        unlisted_node(relay.address(), share.path(), &args)
    };
    let mut first = at("0");
    wait_for_names(&relay, 3);
    first.signal(Signal::KILL);
    first.wait();
    fs::remove_file(share.path().join("one")).expect("it is there");
    fs::remove_file(share.path().join("two")).expect("it is there");
    let second = at(&first.address().port().to_string());
    wait_for_names(&relay, 1);
    let left = [format!("{} 3 -", second.wire_address())];
    eventually("the one that is left", || holders(&relay, "three") == left);
    assert!(holders(&relay, "two").is_empty());
    assert!(!second.log().contains("WARN"), "{}", second.log());
}

#[test]
fn a_node_announces_when_its_relay_starts() {
    let relay = relay_at(0, "3");
    let address = relay.address();
    drop(relay);
    let share = folder(&[("one", b"1")]);
    let node = unlisted_node(address, share.path(), &[]);
    node.log_until("not registered");
    let relay = relay_at(address.port(), "3");
    wait_for_names(&relay, 1);
}
