//! Where `get` at the console of a node saves files.

use std::fs;
use std::path::Path;
use std::sync::mpsc::channel;

use crate::node_console::{announce, node_with_stdin, pausing_node};
use crate::support::{DEADLINE, ask, folder, node, node_command, relay, run};

#[track_caller]
fn assert_content(path: &Path, content: &str) {
    let found = fs::read_to_string(path).expect("it is saved");
    assert_eq!(found, content, "{}", path.display());
}

#[test]
fn get_saves_where_the_command_says_and_otherwise_into_the_share() {
    let relay = relay(&[]);
    let share = folder(&[("two words.txt", b"two"), ("docs/a", b"a"), ("b.txt", b"b")]);
    let _other = node(&relay, share.path(), &[]);
    let (own, place) = (folder(&[]), folder(&[("old", b"old")]));
    let path = |name: &str| place.path().join(name);
    let save_dir = place.path().display().to_string();
    let mut node = node_with_stdin(&relay, own.path(), &["--save-dir", &save_dir]);
    node.enter(&format!("get 'two words.txt' -o '{save_dir}/copy 1'"));
    node.log_until(&format!("saved as {save_dir}/copy 1"));
    assert_content(&path("copy 1"), "two");
    node.enter(&format!("get b.txt docs/ -d {save_dir}/new"));
    node.log_until("new; --mkdir creates it");
    node.enter(&format!("get b.txt docs/ -d {save_dir}/new --mkdir"));
    node.log_until("2 files fetched");
    assert_content(&path("new/b.txt"), "b");
    assert_content(&path("new/docs/a"), "a");
    node.enter(&format!("get b.txt -o {save_dir}/old"));
    node.log_until("old exists already; --force replaces it");
    assert_content(&path("old"), "old");
    node.enter(&format!("get b.txt -o {save_dir}/old --force"));
    node.log_until(&format!("saved as {save_dir}/old"));
    assert_content(&path("old"), "b");
    assert_eq!(ask(node.address(), b"LIST\n"), "FILES 0 0\n");
    // The next command names no place.
    node.enter("get b.txt");
    node.log_until(&format!("saved as {}/b.txt", own.path().display()));
    // A file that is shared here can be saved elsewhere.
    node.enter(&format!("get b.txt -o {save_dir}/second"));
    node.log_until(&format!("saved as {save_dir}/second"));
    for (line, reason) in [
        ("get b.txt -o -", "a node prints no contents"),
        ("get docs/ --restart", "need -o FILE or -d DIR"),
        ("get docs/ --wait 5", "are flags of the client's get"),
        ("verify b.txt", "verify is a command of peer-client"),
    ] {
        node.enter(line);
        node.log_until(reason);
    }
}

#[test]
fn a_node_in_its_sandbox_saves_below_its_folders_only() {
    let relay = relay(&[]);
    let share = folder(&[("b.txt", b"b")]);
    let _other = node(&relay, share.path(), &[]);
    let (own, place) = (folder(&[]), folder(&[("in/x", b"")]));
    let path = |name: &str| place.path().join(name).display().to_string();
    let mut node = node_with_stdin(&relay, own.path(), &["--save-dir", &path("in")]);
    for outside in ["out.txt", "in/../out.txt"] {
        let outside = path(outside);
        node.enter(&format!("get b.txt -o {outside}"));
        node.log_until(&format!("{outside} is outside of the folders"));
    }
    node.enter(&format!("get b.txt -d {} --mkdir", path("new")));
    node.log_until("/new is outside of the folders");
    // Below the share, the file is shared.
    node.enter(&format!("get b.txt -o {}/mine", own.path().display()));
    node.log_until(&format!("saved as {}/mine", own.path().display()));
    let entries = fs::read_dir(place.path()).expect("a folder").count();
    assert_eq!(entries, 1, "nothing was created");
    let mut node = node_with_stdin(&relay, own.path(), &["--no-sandbox"]);
    node.enter(&format!("get b.txt -o {}", path("out.txt")));
    node.log_until("saved as ");
    assert_content(&place.path().join("out.txt"), "b");
    let args = ["--console", "--save-dir", &path("none")];
    let output = run(node_command(relay.address(), own.path(), &args), b"");
    assert!(output.expect_code(2).stderr.contains("there is no folder"));
}

#[test]
fn a_get_to_another_place_waits_until_the_files_before_are_saved() {
    let relay = relay(&[]);
    let (half_sent, arrived) = channel();
    let (go_on, may_go_on) = channel();
    let slow = pausing_node("a", b"first".to_vec(), half_sent, may_go_on);
    announce(&relay, &slow, "a", 5);
    let share = folder(&[("b", b"second"), ("c", b"third")]);
    let _other = node(&relay, share.path(), &[]);
    let (own, place) = (folder(&[]), folder(&[]));
    let save_dir = place.path().display().to_string();
    let mut node = node_with_stdin(&relay, own.path(), &["--save-dir", &save_dir]);
    node.enter("get a");
    arrived.recv_timeout(DEADLINE).expect("it is asked for");
    node.enter(&format!("get b -d {save_dir}"));
    node.log_until("waits until the files before are fetched");
    node.enter("get c");
    node.enter("jobs");
    node.log_until("2 waiting");
    assert!(!place.path().join("b").exists());
    go_on.send(()).expect("it waits");
    node.log_until(&format!("saved as {}/c", own.path().display()));
    assert_content(&own.path().join("a"), "first");
    assert_content(&place.path().join("b"), "second");
    assert_content(&own.path().join("c"), "third");
}
