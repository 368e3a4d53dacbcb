//! A secret that is changed while servers run: what becomes of connections that have shown the
//! one before, and what a file does that cannot be used.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::support::{
    Nc, ProgramOutput, SecretFile, Server, client_command, eventually, folder, http, node_command,
    noise, relay, relay_command, run, unlisted_node,
};

const FIRST: &str = "correct horse battery";
const SECOND: &str = "correct horse staple";

const NEEDED: &str = "ERROR 401 a secret is needed; type AUTH secret";

/// Changes the secret of a server, and waits until the server knows it.
fn change(server: &Server, file: &SecretFile, secret: &str) {
    file.replace(secret);
    server.signal(Signal::HUP);
    server.log_until("secret read again: a new secret: clients have to show it");
}

/// A connection that has shown a secret.
fn unlocked(server: &Server, secret: &str) -> Nc {
    let mut nc = Nc::connect(server.address());
    assert_eq!(nc.ask(&format!("AUTH {secret}")), "OK");
    nc
}

/// Lists the files of a relay, as a member with this secret.
fn list(relay: &Server, state: &Path, secret: &str) -> ProgramOutput {
    let mut command = client_command(relay.address(), &["ls"]);
    command.env("PEERLINE_SECRET", secret);
    command.env("XDG_STATE_HOME", state);
    run(command, b"")
}

#[test]
fn a_new_secret_locks_connections_that_have_shown_the_old_one() {
    let file = SecretFile::new(FIRST);
    let relay = relay(&["--secret-file", &file.path()]);
    let mut open = unlocked(&relay, FIRST);
    assert_eq!(open.ask("LIST"), "NODES 0");
    let state = folder(&[]);
    list(&relay, state.path(), FIRST).expect_code(0);
    change(&relay, &file, SECOND);
    assert_eq!(open.ask("PING"), "PONG");
    assert_eq!(open.ask("LIST"), NEEDED);
    assert_eq!(open.ask(&format!("AUTH {FIRST}")), "ERROR 401 wrong secret");
    assert_eq!(open.ask("LIST"), NEEDED);
    assert_eq!(open.ask(&format!("AUTH {SECOND}")), "OK");
    assert_eq!(open.ask("LIST"), "NODES 0");
    list(&relay, state.path(), FIRST).expect_code(3);
    list(&relay, state.path(), SECOND).expect_code(0);
}

#[test]
fn what_is_sent_when_the_secret_changes_is_sent_to_its_end() {
    let file = SecretFile::new(FIRST);
    let content = noise(20 << 20, 5);
    let share = folder(&[("large", &content), ("five.txt", b"Hello")]);
    let closed = Server::start(relay_command(&[]));
    let flags = ["--secret-file", &file.path()];
    let node = unlisted_node(closed.address(), share.path(), &flags);
    let mut open = unlocked(&node, FIRST);
    assert_eq!(open.ask("GET large"), format!("FOUND {}", content.len()));
    change(&node, &file, SECOND);
    assert!(open.bytes(content.len()) == content, "it differs");
    assert_eq!(open.ask("GET five.txt"), NEEDED);
    let target = "/five.txt";
    let basic = |credentials: &str| format!("Authorization: Basic {credentials}\r\n");
    for (credentials, status) in [
        ("Omv", 401),
        ("OmNvcnJlY3QgaG9yc2UgYmF0dGVyeQ==", 401),
        ("OmNvcnJlY3QgaG9yc2Ugc3RhcGxl", 200),
    ] {
        let response = http(node.address(), "GET", target, &basic(credentials));
        assert_eq!(response.status, status, "{credentials}");
    }
}

#[test]
fn a_node_registers_again_with_the_new_secret() {
    let files = [(); 2].map(|()| SecretFile::new(FIRST));
    let relay = relay(&["--lease", "3", "--secret-file", &files[0].path()]);
    let (share, state) = (folder(&[("five.txt", b"Hello")]), folder(&[]));
    let flags = ["--secret-file", &files[1].path()];
    let mut command: Command = node_command(relay.address(), share.path(), &flags);
    command.env("XDG_STATE_HOME", state.path());
    let node = Server::start(command);
    node.log_until("registered as");
    change(&relay, &files[0], SECOND);
    node.log_until("the server refused the secret");
    change(&node, &files[1], SECOND);
    node.log_until_count("registered as", 2);
    let listed = list(&relay, state.path(), SECOND).expect_code(0);
    assert!(listed.text().contains(" five.txt"), "{}", listed.text());
}

#[test]
fn a_node_leaves_a_relay_that_has_proved_the_old_secret_only() {
    let file = SecretFile::new(FIRST);
    // Nothing else happens on the node's connections for a long time.
    let mut command = relay_command(&["--lease", "3600"]);
    command.env("PEERLINE_SECRET", FIRST);
    let relay = Server::start(command);
    let share = folder(&[("five.txt", b"Hello")]);
    let flags = ["--listen-messages", "--secret-file", &file.path()];
    let mut command: Command = node_command(relay.address(), share.path(), &flags);
    let state = folder(&[]);
    command.env("XDG_STATE_HOME", state.path());
    let node = Server::start(command);
    node.log_until("registered as");
    let listeners = || unlocked(&relay, FIRST).ask("WHO");
    eventually("it listens", || listeners() == "NODES 1");
    change(&node, &file, SECOND);
    node.log_until("the secret of the group has changed");
    eventually("it listens no longer", || listeners() == "NODES 0");
}

/// A node with a secret, which computes hashes.
fn member(relay: &Server, share: &Path, state: &Path, file: &SecretFile) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peer-node"));
    command
        .arg(relay.address().to_string())
        .args(["--no-hash-cache", "--limit-rate", "3M"])
        .args(["--secret-file", &file.path(), "--share"])
        .arg(share)
        .env("XDG_STATE_HOME", state);
    command
}

#[test]
fn a_download_goes_on_while_one_node_after_the_other_gets_the_new_secret() {
    let content = noise(6 << 20, 7);
    for fetcher_is_first in [true, false] {
        let files = [(); 3].map(|()| SecretFile::new(FIRST));
        let relay = relay(&["--secret-file", &files[0].path()]);
        let (share, own) = (folder(&[("large", &content)]), folder(&[]));
        let states = [(); 2].map(|()| folder(&[]));
        let sender = member(&relay, share.path(), states[0].path(), &files[1]);
        let sender = Server::start(sender);
        let mut nc = unlocked(&relay, FIRST);
        eventually("its hash is known", || {
            nc.ask("FIND large") == "HOLDERS 1" && !nc.line().contains(" - ")
        });
        let mut fetcher = member(&relay, own.path(), states[1].path(), &files[2]);
        fetcher.arg("--console");
        let mut fetcher = Server::start_with_stdin(fetcher);
        fetcher.log_until("registered as");
        fetcher.enter("get large");
        let saved = || fs::read_dir(own.path()).expect("a folder").count();
        eventually("it has begun", || saved() > 0);
        let renew = |node: &Server, file: &SecretFile| {
            file.replace(SECOND);
            node.signal(Signal::HUP);
        };
        if fetcher_is_first {
            renew(&fetcher, &files[2]);
            fetcher.log_until("the server refused the secret");
            renew(&sender, &files[1]);
        } else {
            renew(&sender, &files[1]);
            sender.log_until("secret read again");
            renew(&fetcher, &files[2]);
        }
        fetcher.log_until("large: 6");
        let saved = fs::read(own.path().join("large")).expect("it is saved");
        assert!(saved == content, "it differs");
    }
}

#[test]
fn a_file_that_cannot_be_used_keeps_the_secret_before() {
    let file = SecretFile::new(FIRST);
    let relay = relay(&["--secret-file", &file.path()]);
    let mut open = unlocked(&relay, FIRST);
    let kept = format!("keeping the previous secret: {}: ", file.path());
    let mut count = 0;
    let mut check = |why: &str| {
        relay.signal(Signal::HUP);
        count += 1;
        let log = relay.log_until_count(&kept, count);
        assert!(log.contains(&format!("{kept}{why}")), "{why}: {log}");
        assert!(!log.contains("horse"), "{log}");
        assert_eq!(open.ask("LIST"), "NODES 0");
        unlocked(&relay, FIRST);
    };
    for (content, why) in [
        (&b"fifteen bytes.."[..], "a secret has at least 16 bytes"),
        (b"", "a secret has at least 16 bytes"),
        (b"first line......\nsecond\n", "a secret is one line"),
        (b"\xff0123456789abcdef", "the secret is not UTF-8"),
    ] {
        file.replace(content);
        check(why);
    }
    file.replace(SECOND);
    file.set_mode(0o640);
    check("others can read or change it (mode 640); write chmod 600");
    fs::remove_file(file.path()).expect("it is there");
    check("No such file or directory");
    // The same secret again, as when only the log is to be opened again, locks nobody out.
    file.replace(format!("{FIRST}\n"));
    relay.signal(Signal::HUP);
    relay.log_until("secret read again: the same secret");
    assert_eq!(open.ask("LIST"), "NODES 0");
    change(&relay, &file, SECOND);
    assert_eq!(open.ask("LIST"), NEEDED);
}
