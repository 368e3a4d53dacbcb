//! The console commands `share` and `unshare`.

use std::fs;
use std::path::Path;

use rustix::fs::{CWD, Mode, mkfifoat};
use tempfile::TempDir;

use crate::support::relay_index::{files, holders, wait_for_names};
use crate::support::{Server, ask, client, eventually, folder, node_command, relay};

/// A node with a console on a pipe. It shares the folder `share` of a temporary folder,
/// with the file `own`.
struct ConsoleNode {
    home: TempDir,
    server: Server,
}

impl ConsoleNode {
    fn new(relay: &Server, files: &[(&str, &[u8])]) -> Self {
        let home = folder(&[&[("share/own", &b"own"[..])], files].concat());
        let share = home.path().join("share");
        let server = Server::start_with_stdin(node_command(
            relay.address(),
            &share,
            &["--console", "--no-history"],
        ));
        server.log_until("registered as");
        Self { home, server }
    }

    fn path(&self, path: &str) -> String {
        let path = self.home.path().join(path);
        path.to_str().expect("a text").to_owned()
    }

    /// Enters a command and waits for the message.
    fn command(&mut self, line: &str, message: &str) {
        self.server.enter(line);
        self.server.log_until(message);
    }

    fn share(&mut self, path: &str, message: &str) {
        let path = self.path(path);
        self.command(&format!("share {path}"), message);
    }

    fn get(&self, name: &str) -> String {
        ask(self.server.address(), format!("GET {name}\n").as_bytes())
    }
}

#[test]
fn share_and_unshare_a_file_outside_the_folder() {
    let relay = relay(&[]);
    let mut node = ConsoleNode::new(&relay, &[("else/hello.txt", b"Hello!\n"), ("else/b", b"b")]);
    node.share("else/hello.txt", "sharing 1 file (7 B) as hello.txt");
    wait_for_names(&relay, 2);
    assert_eq!(files(&relay, ""), ["7 - 1 hello.txt", "3 - 1 own"]);
    let fetched = client(&relay, &["get", "hello.txt"]).expect_code(0);
    assert_eq!(fetched.stdout, b"Hello!\n");
    assert_eq!(node.get("b"), "NOTFOUND\n");
    // The file is shared in place: a change is announced.
    fs::write(node.path("else/hello.txt"), "Changed!\n").expect("a file");
    let held = [format!("{} 9 -", node.server.wire_address())];
    eventually("the change", || holders(&relay, "hello.txt") == held);
    assert_eq!(node.get("hello.txt"), "FOUND 9\nChanged!\n");
    node.command(
        "unshare hello.txt",
        "no longer sharing hello.txt: 1 file (9 B)",
    );
    wait_for_names(&relay, 1);
    client(&relay, &["get", "hello.txt"]).expect_code(1);
    assert!(Path::new(&node.path("else/hello.txt")).exists());
}

#[test]
fn unshare_and_share_a_file_of_the_folder() {
    let relay = relay(&[]);
    let mut node = ConsoleNode::new(&relay, &[("share/sub/a", b"a"), ("share/sub/b", b"bb")]);
    assert_eq!(node.get("own"), "FOUND 3\nown");
    node.command("unshare own", "no longer sharing own: 1 file (3 B)");
    node.command("unshare sub", "no longer sharing sub: 2 files (3 B)");
    wait_for_names(&relay, 0);
    assert_eq!(node.get("own"), "NOTFOUND\n");
    assert_eq!(node.get("sub/a"), "NOTFOUND\n");
    assert_eq!(ask(node.server.address(), b"LIST\n"), "FILES 0 0\n");
    assert!(Path::new(&node.path("share/own")).exists());
    node.share("share/own", "sharing 1 file (3 B) as own");
    wait_for_names(&relay, 1);
    assert_eq!(node.get("own"), "FOUND 3\nown");
}

#[test]
fn share_a_folder_of_a_thousand_files() {
    let relay = relay(&[]);
    let mut node = ConsoleNode::new(&relay, &[]);
    for number in 0..1000 {
        let path = node.path(&format!("else/many/{}/{number:03}", number % 10));
        fs::create_dir_all(Path::new(&path).parent().expect("it has one")).expect("a folder");
        fs::write(path, format!("{number}")).expect("a file");
    }
    node.share("else/many", "sharing 1000 files (2.89 kB) as many");
    wait_for_names(&relay, 1001);
    assert_eq!(node.get("many/7/777"), "FOUND 3\n777");
    // New files in the added folder are announced.
    fs::write(node.path("else/many/new"), "new").expect("a file");
    eventually("the new one", || !holders(&relay, "many/new").is_empty());
    node.command(
        "unshare many/7",
        "no longer sharing many/7: 100 files (289 B)",
    );
    wait_for_names(&relay, 902);
    node.command("unshare many", "no longer sharing many: 901 files");
    wait_for_names(&relay, 1);
    assert_eq!(node.get("many/8/778"), "NOTFOUND\n");
}

#[test]
fn invalid_shares_are_refused() {
    let relay = relay(&[]);
    let mut node = ConsoleNode::new(&relay, &[("else/own", b"another"), ("else/.key", b"k")]);
    mkfifoat(CWD, node.path("fifo"), Mode::RWXU).expect("a FIFO");
    node.share("none", "none: No such file or directory");
    node.share("fifo", "fifo: it is neither a file nor a folder");
    node.share("else/own", "own is shared already; unshare that first");
    node.share("else/.key", "with --hidden only");
    node.share("share/own", "it is shared already, as own");
    node.command("unshare none", "none is not shared here");
    assert_eq!(node.get("own"), "FOUND 3\nown");
    assert_eq!(
        ask(node.server.address(), b"LIST\n"),
        "FILES 1 1\n3 - 1 own\n"
    );
    // The name is free when the file that had it is no longer shared.
    node.command("unshare own", "no longer sharing own: 1 file (3 B)");
    node.share("else/own", "sharing 1 file (7 B) as own");
    assert_eq!(node.get("own"), "FOUND 7\nanother");
    node.command("quit", "unregistered");
    assert_eq!(node.server.wait().code(), Some(0));
}
