//! `LIST` and `MORE` at a node.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;

use rustix::process::getuid;

use crate::support::{Nc, Server, ask, eventually, folder, node_command, node_with_relay, relay};

#[test]
fn files_are_listed_in_byte_order() {
    let share = folder(&[
        ("b", b"12"),
        ("B", b"1"),
        ("a/z", b""),
        ("a b", b"123"),
        ("a.txt", b"1234"),
        ("é", b"12345"),
        ("z", b"z"),
    ]);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let list = "FILES 7 7\n1 - 1 B\n3 - 1 a b\n4 - 1 a.txt\n0 - 1 a/z\n\
                2 - 1 b\n1 - 1 z\n5 - 1 é\n";
    assert_eq!(
        ask(node.address(), b"LIST\nQUIT\n"),
        format!("{list}OK bye\n")
    );
}

fn many_files(folder: &Path, count: usize) -> Vec<String> {
    let names: Vec<String> = (0..count).map(|n| format!("file {n:05}")).collect();
    for name in &names {
        fs::write(folder.join(name), b"").expect("a file");
    }
    names
}

/// Reads the names of one list, after its first line.
fn names(nc: &mut Nc, head: &str) -> Vec<String> {
    let count = head.split(' ').nth(1).expect("a count");
    (0..count.parse().expect("a number"))
        .map(|_| {
            let line = nc.line();
            let name = line.strip_prefix("0 - 1 ");
            name.expect("size, hash, holders").to_owned()
        })
        .collect()
}

#[test]
fn more_continues_a_list_after_1000_lines() {
    let share = folder(&[]);
    let expected = many_files(share.path(), 2500);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let mut nc = Nc::connect(node.address());
    let mut seen = Vec::new();
    for (request, head) in [
        ("LIST", "FILES 1000 2500"),
        ("MORE", "FILES 1000 2500"),
        ("MORE", "FILES 500 2500"),
        ("MORE", "FILES 0 2500"),
        ("MORE", "FILES 0 2500"),
    ] {
        assert_eq!(nc.ask(request), head);
        seen.append(&mut names(&mut nc, head));
    }
    assert!(seen == expected, "{} names", seen.len());
    // LIST starts again, independent of other connections.
    let head = nc.ask("LIST");
    assert_eq!(names(&mut nc, &head)[0], "file 00000");
    let mut other = Nc::connect(node.address());
    assert_eq!(other.ask("MORE"), "FILES 0 2500", "nothing to continue");
    let head = nc.ask("MORE");
    assert_eq!(names(&mut nc, &head)[0], "file 01000");
}

#[test]
fn more_after_a_complete_list_is_empty() {
    let share = folder(&[("one", b"1")]);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let reply = ask(node.address(), b"MORE\nLIST\nMORE\n");
    assert_eq!(reply, "FILES 0 1\nFILES 1 1\n1 - 1 one\nFILES 0 1\n");
    let share = folder(&[]);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    assert_eq!(
        ask(node.address(), b"LIST\nMORE\n"),
        "FILES 0 0\nFILES 0 0\n"
    );
}

#[test]
fn new_files_are_listed_and_served() {
    let share = folder(&[]);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    fs::write(share.path().join("new"), "new").expect("a file");
    assert_eq!(ask(node.address(), b"GET new\n"), "FOUND 3\nnew");
    eventually("the new file is listed", || {
        ask(node.address(), b"LIST\n") == "FILES 1 1\n3 - 1 new\n"
    });
}

#[test]
fn files_that_the_node_may_not_read_are_not_announced() {
    let share = folder(&[("closed", b"c"), ("open", b"o")]);
    let mode = |path: &Path, mode| {
        let permissions = Permissions::from_mode(mode);
        fs::set_permissions(path, permissions).expect("its owner may");
    };
    let closed = share.path().join("closed");
    mode(&closed, 0o600);
    mode(share.path(), 0o755);
    std::os::unix::fs::symlink("closed", share.path().join("link")).expect("a link");
    let relay = relay(&[]);
    let mut command = node_command(relay.address(), share.path(), &[]);
    match File::open(&closed) {
        // Root may read everything, so the node is another user.
        Ok(_) if getuid().is_root() => drop(command.uid(65_534).gid(65_534)),
        _ => mode(&closed, 0o000),
    }
    let node = Server::start(command);
    assert_eq!(ask(node.address(), b"LIST\n"), "FILES 1 1\n1 - 1 open\n");
    let log = node.log_until("2 items cannot be shared; such as ");
    assert!(log.contains("closed: the node may not read it"), "{log}");
    assert!(log.contains("link: the node may not read it"), "{log}");
    assert_eq!(node.stat("files_skipped"), 2);
    mode(&closed, 0o644);
    eventually("the files are listed", || {
        ask(node.address(), b"LIST\n").starts_with("FILES 3 3\n")
    });
    assert_eq!(node.stat("files_skipped"), 0);
}

#[test]
fn unshareable_names_are_skipped_with_one_warning() {
    let share = folder(&[("good", b"1"), ("bad\nname", b"2"), ("bad\\name", b"3")]);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    assert_eq!(ask(node.address(), b"LIST\n"), "FILES 1 1\n1 - 1 good\n");
    let log = node.log_until("2 items cannot be shared; such as ");
    assert!(!log.contains("bad\nname"), "the log has one line an event");
}
