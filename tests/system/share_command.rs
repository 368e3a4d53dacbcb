//! `share` and `unshare`, typed at a node that runs.

use std::fs;
use std::path::Path;

use rustix::fs::{CWD, Mode, mkfifoat};
use tempfile::TempDir;

use crate::support::relay_index::{files, holders, until_known};
use crate::support::{Server, ask, client, eventually, folder, node_command, relay};

/// A node that shares the folder `share` in a home of its own, which has the
/// file `own`, and obeys what is typed.
struct Typed {
    home: TempDir,
    node: Server,
}

impl Typed {
    fn new(relay: &Server, beside: &[(&str, &[u8])]) -> Self {
        let home = folder(&[&[("share/own", &b"own"[..])], beside].concat());
        let share = home.path().join("share");
        let node = Server::start_obeying(node_command(
            relay.address(),
            &share,
            &["--console", "--no-history"],
        ));
        node.log_until("registered as");
        Self { home, node }
    }

    fn path(&self, path: &str) -> String {
        let path = self.home.path().join(path);
        path.to_str().expect("a text").to_owned()
    }

    /// Types a line, and waits for what is said about it.
    fn types(&mut self, line: &str, said: &str) {
        self.node.enter(line);
        self.node.log_until(said);
    }

    fn shares(&mut self, path: &str, said: &str) {
        let path = self.path(path);
        self.types(&format!("share {path}"), said);
    }

    fn get(&self, name: &str) -> String {
        ask(self.node.address(), format!("GET {name}\n").as_bytes())
    }
}

#[test]
fn a_file_from_elsewhere_is_shared_and_taken_back() {
    let relay = relay(&[]);
    let mut typed = Typed::new(&relay, &[("else/hello.txt", b"Hello!\n"), ("else/b", b"b")]);
    typed.shares("else/hello.txt", "sharing 1 file (7 B) as hello.txt");
    until_known(&relay, 2);
    assert_eq!(files(&relay, ""), ["7 - 1 hello.txt", "3 - 1 own"]);
    let fetched = client(&relay, &["get", "hello.txt"]).expect_code(0);
    assert_eq!(fetched.stdout, b"Hello!\n");
    assert_eq!(typed.get("b"), "NOTFOUND\n");
    // Where it lies: another content is another file.
    fs::write(typed.path("else/hello.txt"), "Changed!\n").expect("a file");
    let held = [format!("{} 9 -", typed.node.wire_address())];
    eventually("the change", || holders(&relay, "hello.txt") == held);
    assert_eq!(typed.get("hello.txt"), "FOUND 9\nChanged!\n");
    typed.types(
        "unshare hello.txt",
        "no longer sharing hello.txt: 1 file (9 B)",
    );
    until_known(&relay, 1);
    client(&relay, &["get", "hello.txt"]).expect_code(1);
    assert!(Path::new(&typed.path("else/hello.txt")).exists());
}

#[test]
fn a_file_of_the_folder_is_withheld_and_shared_again() {
    let relay = relay(&[]);
    let mut typed = Typed::new(&relay, &[("share/sub/a", b"a"), ("share/sub/b", b"bb")]);
    assert_eq!(typed.get("own"), "FOUND 3\nown");
    typed.types("unshare own", "no longer sharing own: 1 file (3 B)");
    typed.types("unshare sub", "no longer sharing sub: 2 files (3 B)");
    until_known(&relay, 0);
    assert_eq!(typed.get("own"), "NOTFOUND\n");
    assert_eq!(typed.get("sub/a"), "NOTFOUND\n");
    assert_eq!(ask(typed.node.address(), b"LIST\n"), "FILES 0 0\n");
    assert!(Path::new(&typed.path("share/own")).exists());
    typed.shares("share/own", "sharing 1 file (3 B) as own");
    until_known(&relay, 1);
    assert_eq!(typed.get("own"), "FOUND 3\nown");
}

#[test]
fn a_folder_with_a_thousand_files_is_shared_under_its_name() {
    let relay = relay(&[]);
    let mut typed = Typed::new(&relay, &[]);
    for number in 0..1000 {
        let path = typed.path(&format!("else/many/{}/{number:03}", number % 10));
        fs::create_dir_all(Path::new(&path).parent().expect("it has one")).expect("a folder");
        fs::write(path, format!("{number}")).expect("a file");
    }
    typed.shares("else/many", "sharing 1000 files (2.89 kB) as many");
    until_known(&relay, 1001);
    assert_eq!(typed.get("many/7/777"), "FOUND 3\n777");
    // What changes there is noticed as in the folder.
    fs::write(typed.path("else/many/new"), "new").expect("a file");
    eventually("the new one", || !holders(&relay, "many/new").is_empty());
    typed.types(
        "unshare many/7",
        "no longer sharing many/7: 100 files (289 B)",
    );
    until_known(&relay, 902);
    typed.types("unshare many", "no longer sharing many: 901 files");
    until_known(&relay, 1);
    assert_eq!(typed.get("many/8/778"), "NOTFOUND\n");
}

#[test]
fn what_cannot_be_shared_is_refused_and_the_node_serves_on() {
    let relay = relay(&[]);
    let mut typed = Typed::new(&relay, &[("else/own", b"another"), ("else/.key", b"k")]);
    mkfifoat(CWD, typed.path("fifo"), Mode::RWXU).expect("a FIFO");
    typed.shares("none", "none: No such file or directory");
    typed.shares("fifo", "fifo: it is neither a file nor a folder");
    typed.shares("else/own", "own is shared already; unshare that first");
    typed.shares("else/.key", "with --hidden only");
    typed.shares("share/own", "it is shared already, as own");
    typed.types("unshare none", "none is not shared here");
    assert_eq!(typed.get("own"), "FOUND 3\nown");
    assert_eq!(
        ask(typed.node.address(), b"LIST\n"),
        "FILES 1 1\n3 - 1 own\n"
    );
    // With the one that had the name out of the way there is room.
    typed.types("unshare own", "no longer sharing own: 1 file (3 B)");
    typed.shares("else/own", "sharing 1 file (7 B) as own");
    assert_eq!(typed.get("own"), "FOUND 7\nanother");
    typed.types("quit", "unregistered");
    assert_eq!(typed.node.wait().code(), Some(0));
}
