//! A client that is interrupted says what is left of its task, and how to go on.

use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use crate::hashes::node;
use crate::support::fake_server::{FakeServer, node_list};
use crate::support::relay_index::wait_for_hash;
use crate::support::{RunningProgram, client_command, eventually, folder, noise, relay};

const SIZE: usize = 12_000_000;

/// Starts a client, and interrupts it when its first bytes are in the pipe of stdout.
/// Returns what it prints on stderr.
fn interrupt_output(mut command: Command) -> String {
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut client = RunningProgram::start(command.stderr(Stdio::piped()));
    let mut first = [0];
    let mut stdout = client.child.stdout.take().expect("it is a pipe");
    stdout.read_exact(&mut first).expect("content");
    client.signal(Signal::INT);
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).expect("content");
    assert_eq!(client.wait(), Some(130));
    let mut text = String::new();
    let stderr = client.child.stderr.as_mut().expect("it is a pipe");
    stderr.read_to_string(&mut text).expect("text");
    let printed = format!("{}", rest.len() + 1);
    assert!(text.contains(&printed), "{printed}: {text}");
    text
}

#[test]
fn an_interrupted_download_to_stdout_says_how_much_was_printed() {
    let content = noise(SIZE, 12);
    let share = folder(&[("large", &content)]);
    for hashes in [&["--no-hash-cache"][..], &["--no-hashes"]] {
        let relay = relay(&[]);
        let _node = node(&relay, share.path(), hashes);
        match hashes {
            ["--no-hashes"] => {}
            _ => wait_for_hash(&relay, "large", &content, 1),
        }
        let get = |args: &[&str]| {
            let mut command = client_command(relay.address(), &["get", "large"]);
            command.args(["--limit-rate", "2M"]).args(args);
            interrupt_output(command)
        };
        let text = get(&[]);
        let line = text.lines().last().expect("a line");
        assert!(line.starts_with("large: incomplete: "), "{text}");
        assert!(line.ends_with(" of 12000000 bytes were printed"), "{text}");
        let text = get(&["--json"]);
        let line = text.lines().last().expect("a line");
        let object: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(object["error"], "incomplete", "{text}");
        assert_eq!(object["size"], SIZE, "{text}");
    }
}

#[test]
fn an_interrupted_folder_says_how_to_fetch_the_rest() {
    let content = noise(SIZE, 13);
    let share = folder(&[("docs/a", &content), ("docs/b", &content)]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &["--no-hash-cache"]);
    for name in ["docs/a", "docs/b"] {
        wait_for_hash(&relay, name, &content, 1);
    }
    let home = folder(&[]);
    let args = ["get", "docs/", "--limit-rate", "2M"];
    let mut command = client_command(relay.address(), &args);
    command.current_dir(home.path()).stdin(Stdio::null());
    let mut client = RunningProgram::start(command.stderr(Stdio::piped()));
    eventually("a part", || {
        let parts = fs::read_dir(home.path().join("docs"));
        parts.is_ok_and(|parts| parts.count() > 0)
    });
    client.signal(Signal::INT);
    assert_eq!(client.wait(), Some(130));
    let mut text = String::new();
    let stderr = client.child.stderr.as_mut().expect("it is a pipe");
    stderr.read_to_string(&mut text).expect("text");
    let end = " not fetched; run the same command again to fetch the rest\n";
    assert!(text.ends_with(end), "{text}");
}

/// Starts a client without output but stderr, interrupts it when `is_ready`, and returns what it
/// prints.
fn interrupt_when(mut command: Command, is_ready: impl Fn() -> bool) -> String {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let mut client = RunningProgram::start(command.stderr(Stdio::piped()));
    eventually("the request", is_ready);
    client.signal(Signal::INT);
    assert_eq!(client.wait(), Some(130));
    let mut text = String::new();
    let stderr = client.child.stderr.as_mut().expect("it is a pipe");
    stderr.read_to_string(&mut text).expect("text");
    text
}

#[test]
fn an_interrupt_before_a_node_has_the_file_names_the_file() {
    let silent_node = FakeServer::hanging_after("");
    let relay = FakeServer::replying(node_list(&[silent_node.address()]));
    let silent_relay = FakeServer::hanging_after("");
    for (relay, asked) in [(&relay, &silent_node), (&silent_relay, &silent_relay)] {
        let get = |args: &[&str]| {
            let mut command = client_command(relay.address(), &["get", "a b"]);
            let before = asked.connections();
            interrupt_when(
                {
                    command.args(args);
                    command
                },
                || asked.connections() > before,
            )
        };
        let line = "a b: interrupted; nothing of it was printed or kept";
        let text = get(&[]);
        assert_eq!(text.lines().last(), Some(line));
        let text = get(&["-o", "/dev/null"]);
        assert_eq!(text.lines().last(), Some(line));
        let text = get(&["--json"]);
        let object = text.lines().last().expect("a line");
        let object: Value = serde_json::from_str(object).expect("JSON");
        assert_eq!(object["error"], "interrupted", "{text}");
        assert_eq!(object["name"], "a b", "{text}");
    }
}
