//! Servers that serve listed ids only: who may register at a relay, and who may fetch from a
//! node.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use peerline::tls::Identity;
use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::Signal;

use crate::support::{
    ClientKey, Nc, Server, ask, client_command, eventually, folder, has, http, node, node_command,
    relay, relay_command, run, tls_proxy, unlisted_node,
};

/// A new key, as PEM, and its id.
fn new_key() -> (String, String) {
    let pem = Identity::generate().expect("random bytes");
    let identity = Identity::from_pem(pem.as_bytes(), pem.as_bytes());
    let id = identity.expect("a key").id().to_string();
    (pem, id)
}

/// A folder with lists of ids.
struct Lists(tempfile::TempDir);

impl Lists {
    fn new(allowed: &[&str]) -> Self {
        let lists = Self(folder(&[]));
        lists.write("allowed", allowed);
        lists
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn flag(&self, name: &str) -> String {
        let path = self.path(name);
        path.to_str().expect("a temporary name is text").to_owned()
    }

    fn write(&self, name: &str, ids: &[&str]) {
        let lines = ids.iter().map(|id| format!("{id} # a comment\n"));
        self.write_text(name, &format!("# ids\n\n{}", lines.collect::<String>()));
    }

    /// Replaces a list as a whole: a server may be reading it.
    fn write_text(&self, name: &str, text: &str) {
        let new = self.path("new");
        fs::write(&new, text).expect("a file");
        fs::rename(&new, self.path(name)).expect("a list");
    }
}

const REQUIRED: &str = "ERROR 403 only listed ids may do this; show yours over TLS: peer-node \
                        --tls required, peer-client --show-id";

/// What a client without a listed id is told.
fn not_allowed(id: &str) -> String {
    format!("ERROR 403 {id} is not in --allow-ids of this server")
}

#[test]
fn only_listed_ids_register_and_everybody_reads() {
    let ((key, id), (other_key, other_id)) = (new_key(), new_key());
    let lists = Lists::new(&[&id]);
    let relay = relay(&["--allow-ids", &lists.flag("allowed")]);
    let mut nc = ClientKey::from_pem(&key).connect(relay.address());
    assert!(nc.ask("REGISTER * 9").starts_with("OK 60 127.0.0.1 9 0 "));
    assert_eq!(nc.ask("SHARE 5 - five.txt"), "OK");
    let mut other = ClientKey::from_pem(&other_key).connect(relay.address());
    let mut unknown = Nc::connect(tls_proxy(relay.address()));
    let mut plain = Nc::connect(relay.address());
    for (nc, refusal) in [
        (&mut other, not_allowed(&other_id)),
        (&mut unknown, REQUIRED.to_owned()),
        (&mut plain, REQUIRED.to_owned()),
    ] {
        for request in [
            "REGISTER * 10",
            "UNREGISTER * 9",
            "SHARE 5 - x",
            "UNSHARE five.txt",
        ] {
            assert_eq!(nc.ask(request), refusal, "{request}");
        }
        assert_eq!(nc.ask("SEARCH"), "FILES 1 1");
        nc.line();
        // Not at an address that it did not get.
        assert_eq!(nc.ask("LISTEN"), "ERROR 403 REGISTER first");
    }
    let mut nc = Nc::connect(relay.address());
    assert!(nc.ask("LISTEN").starts_with("OK "));
    assert_eq!(http(relay.address(), "GET", "/api/nodes", "").status, 200);
}

#[test]
fn others_only_read_from_a_read_only_relay() {
    let ((key, id), (other_key, other_id)) = (new_key(), new_key());
    let lists = Lists::new(&[&id]);
    let allowed = lists.flag("allowed");
    let relay = relay(&["--allow-ids", &allowed, "--read-only-relay"]);
    let mut nc = ClientKey::from_pem(&key).connect(relay.address());
    assert!(nc.ask("REGISTER * 9").starts_with("OK "));
    assert_eq!(nc.ask("LISTEN"), "OK 127.0.0.1 9");
    let mut other = ClientKey::from_pem(&other_key).connect(relay.address());
    let mut plain = Nc::connect(relay.address());
    for request in ["LISTEN", "SEND 127.0.0.1 9 hi", "REGISTER * 10"] {
        assert_eq!(other.ask(request), not_allowed(&other_id));
        assert_eq!(plain.ask(request), REQUIRED);
    }
    for nc in [&mut other, &mut plain] {
        assert_eq!(nc.ask("WHO"), "NODES 1");
        assert_eq!(nc.line(), "127.0.0.1 9");
    }
    run(relay_command(&["--read-only-relay"]), b"").expect_code(2);
}

#[test]
fn a_listener_that_is_not_allowed_any_longer_receives_nothing() {
    let ((key, id), (other_key, other_id)) = (new_key(), new_key());
    let lists = Lists::new(&[&id, &other_id]);
    let relay = relay(&["--allow-ids", &lists.flag("allowed"), "--read-only-relay"]);
    let mut listener = ClientKey::from_pem(&key).connect(relay.address());
    assert!(listener.ask("REGISTER * 9").starts_with("OK "));
    assert_eq!(listener.ask("LISTEN"), "OK 127.0.0.1 9");
    let mut sender = ClientKey::from_pem(&other_key).connect(relay.address());
    assert!(sender.ask("REGISTER * 10").starts_with("OK "));
    assert_eq!(sender.ask("SEND 127.0.0.1 9 first"), "OK");
    assert_eq!(listener.line(), "FROM 127.0.0.1 10 first");
    lists.write("allowed", &[&other_id]);
    relay.signal(Signal::HUP);
    relay.log_until("allowed read again: 1 id");
    let reply = sender.ask("SEND 127.0.0.1 9 second");
    assert!(reply.starts_with("ERROR 404 "), "{reply}");
    assert_eq!(listener.ask("PING"), "PONG");
    assert_eq!(sender.ask("WHO"), "NODES 0");
}

#[test]
fn lists_are_read_again_and_a_damaged_one_changes_nothing() {
    let ((key, id), (other_key, other_id)) = (new_key(), new_key());
    let lists = Lists::new(&[&id]);
    lists.write("denied", &[]);
    let flags = ["allowed", "denied"].map(|name| lists.flag(name));
    let relay = relay(&["--allow-ids", &flags[0], "--deny-ids", &flags[1]]);
    let mut first = ClientKey::from_pem(&key).connect(relay.address());
    let mut second = ClientKey::from_pem(&other_key).connect(relay.address());
    let ok = |nc: &mut Nc| nc.ask("REGISTER * 9").starts_with("OK ");
    assert!(ok(&mut first) && !ok(&mut second));
    // The lists count for connections that are open.
    lists.write("allowed", &[&id, &other_id]);
    relay.signal(Signal::HUP);
    relay.log_until("allowed read again: 2 ids");
    assert!(second.ask("REGISTER * 10").starts_with("OK "));
    lists.write("denied", &[&id]);
    relay.signal(Signal::HUP);
    relay.log_until("denied read again: 1 id");
    let denied = format!("ERROR 403 {id} is in --deny-ids of this server");
    assert_eq!(first.ask("REGISTER * 9"), denied);
    let damaged = format!("{id}\n{other_id}x\n");
    lists.write_text("allowed", &damaged);
    relay.signal(Signal::HUP);
    let why = "allowed: line 2: write an id as servers print it: sha256// and 44 characters";
    let log = relay.log_until(&format!(
        "keeping the previous list of ids: {}",
        lists.0.path().display()
    ));
    assert!(log.contains(why), "{log}");
    fs::remove_file(lists.path("denied")).expect("it is there");
    relay.signal(Signal::HUP);
    relay.log_until("denied: No such file or directory");
    assert_eq!(first.ask("REGISTER * 9"), denied);
    assert!(second.ask("REGISTER * 10").starts_with("OK "));
    // At the start, such files are errors.
    for (flags, why) in [
        (["--allow-ids", &flags[0]], why),
        (["--deny-ids", &flags[1]], "denied: No such file"),
    ] {
        let output = run(relay_command(&flags), b"").expect_code(11);
        assert!(output.stderr.contains(why), "{}", output.stderr);
        assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
    }
    lists.write("allowed", &[]);
    let off = ["--allow-ids", &flags[0], "--tls", "off"];
    let output = run(relay_command(&off), b"").expect_code(2);
    assert!(
        output.stderr.contains("a list of ids needs TLS"),
        "{}",
        output.stderr
    );
}

/// A list that never ends, and one that never begins.
#[test]
fn a_list_is_a_regular_file_of_limited_size() {
    let lists = Lists::new(&[]);
    let fifo = lists.path("fifo");
    mkfifoat(CWD, &fifo, Mode::RUSR | Mode::WUSR).expect("a FIFO");
    lists.write_text("large", &"# comment\n".repeat(110_000));
    lists.write_text("small", &"# comment\n".repeat(90_000));
    for (file, reason) in [
        (lists.flag("large").as_str(), "larger than 1 MiB"),
        (&lists.flag("fifo"), "not a regular file"),
        ("/dev/zero", "not a regular file"),
    ] {
        let message = format!("{file}: {reason}");
        for flag in ["--allow-ids", "--deny-ids"] {
            let relay = relay_command(&[flag, file]);
            assert!(run(relay, b"").expect_code(11).stderr.contains(&message));
        }
        let address = "127.0.0.1:9".parse().expect("an address");
        let client = client_command(address, &["ls", "--allow-ids", file]);
        assert!(run(client, b"").expect_code(11).stderr.contains(&message));
        let registry = [
            "--registry",
            "rediss://127.0.0.1:9/0",
            "--registry-ca",
            file,
        ];
        let relay = run(relay_command(&registry), b"").expect_code(2);
        assert!(relay.stderr.contains(&message), "{}", relay.stderr);
    }
    relay(&["--allow-ids", &lists.flag("small")]);
}

#[test]
fn only_listed_ids_fetch_from_a_node() {
    let ((key, id), (other_key, other_id)) = (new_key(), new_key());
    let lists = Lists::new(&[&id]);
    let relay = relay(&[]);
    let share = folder(&[("five.txt", b"Hello")]);
    let node = unlisted_node(
        relay.address(),
        share.path(),
        &["--allow-ids", &lists.flag("allowed")],
    );
    let mut nc = ClientKey::from_pem(&key).connect(node.address());
    assert_eq!(nc.ask("GET five.txt"), "FOUND 5");
    let mut other = ClientKey::from_pem(&other_key).connect(node.address());
    let mut plain = Nc::connect(node.address());
    for request in [
        "GET five.txt",
        "RANGE 0 1 - five.txt",
        "PIECES five.txt",
        "DIGEST five.txt",
        "STAT five.txt",
        "LIST",
        "MORE",
        "STATS",
        "CONNECTIONS",
    ] {
        assert_eq!(other.ask(request), not_allowed(&other_id));
        assert_eq!(plain.ask(request), REQUIRED);
    }
    assert_eq!(plain.ask("PING"), "PONG");
    for target in ["/", "/five.txt", "/?json", "/?tar"] {
        assert_eq!(
            http(node.address(), "GET", target, "").status,
            403,
            "{target}"
        );
    }
    if has("curl") {
        let pem = lists.path("client.pem");
        for (key, code) in [(&key, 0), (&other_key, 22)] {
            fs::write(&pem, key).expect("a file");
            let mut command = Command::new("curl");
            command.args(["--silent", "--show-error", "--fail", "--insecure", "--cert"]);
            command
                .arg(&pem)
                .arg(format!("https://{}/five.txt", node.address()));
            run(command, b"").expect_code(code);
        }
    }
}

/// A command with a state folder of its own.
fn with_state(mut command: Command, state: &Path) -> Command {
    command.env("XDG_STATE_HOME", state);
    command
}

#[test]
fn a_node_registers_with_its_own_id() {
    let lists = Lists::new(&[]);
    let relay = relay(&["--allow-ids", &lists.flag("allowed")]);
    let (share, state) = (folder(&[]), folder(&[]));
    let command = node_command(relay.address(), share.path(), &["--tls", "required"]);
    let node = Server::start(with_state(command, state.path()));
    let log = node.log_until("is not in --allow-ids of this server");
    let (_, id) = log.split_once("the relay says 403 ").expect("the refusal");
    let id = id.split(' ').next().expect("an id").to_owned();
    lists.write("allowed", &[&id]);
    relay.signal(Signal::HUP);
    node.log_until("registered as");
    let list = format!("NODES 1\n{} {id}\n", node.wire_address());
    assert_eq!(ask(relay.address(), b"LIST\n"), list);
}

#[test]
fn a_client_shows_its_id_when_it_is_told_to() {
    let lists = Lists::new(&[]);
    let relay = relay(&["--allow-ids", &lists.flag("allowed"), "--read-only-relay"]);
    let state = folder(&[]);
    let send = |args: &[&str]| {
        let args = [&["send", "127.0.0.1", "9", "hi"], args].concat();
        let command = client_command(relay.address(), &args);
        run(with_state(command, state.path()), b"")
    };
    let refused = send(&[]).stderr;
    assert!(refused.contains("peer-client --show-id"), "{refused}");
    assert!(!state.path().join("peerline/client.pem").exists());
    let refused = send(&["--show-id"]).stderr;
    let (_, id) = refused.split_once("error 403: ").expect("the refusal");
    let id = id.split(' ').next().expect("an id").to_owned();
    assert!(state.path().join("peerline/client.pem").exists());
    lists.write("allowed", &[&id]);
    relay.signal(Signal::HUP);
    relay.log_until("read again: 1 id");
    let sent = send(&["--show-id"]).stderr;
    assert!(sent.contains("nobody listens at"), "{sent}");
    for flags in [&["--show-id", "--udp"][..], &["--show-id", "--tls", "off"]] {
        let output = send(flags).expect_code(2);
        assert!(
            output.stderr.contains("--show-id needs TLS"),
            "{}",
            output.stderr
        );
    }
}

#[test]
fn programs_fetch_from_a_node_that_lists_their_id() {
    let lists = Lists::new(&[]);
    let relay = relay(&[]);
    let share = folder(&[("five.txt", b"Hello")]);
    let args = ["--allow-ids", &lists.flag("allowed")];
    let node = node(&relay, share.path(), &args);
    let state = folder(&[]);
    let get = |args: &[&str]| {
        let args = [&["get", "five.txt"], args].concat();
        let command = client_command(relay.address(), &args);
        run(with_state(command, state.path()), b"")
    };
    let refused = get(&[]).stderr;
    assert!(refused.contains("peer-client --show-id"), "{refused}");
    let refused = get(&["--show-id"]).stderr;
    let (_, id) = refused.split_once("error 403: ").expect("the refusal");
    let id = id.split(' ').next().expect("an id").to_owned();
    // The console of a node shows the id of the node.
    let (other_share, other_state) = (folder(&[]), folder(&[]));
    let flags = ["--console", "--tls", "required", "--port", "0"];
    let command = node_command(relay.address(), other_share.path(), &flags);
    let mut other = Server::start_with_stdin(with_state(command, other_state.path()));
    let line = other.line();
    let (_, other_id) = line.split_once(" id ").expect("an id");
    lists.write("allowed", &[&id, other_id]);
    node.signal(Signal::HUP);
    node.log_until("read again: 2 ids");
    let fetched = get(&["--show-id"]).expect_code(0);
    assert_eq!(fetched.text(), "Hello");
    assert!(fetched.stderr.contains("encrypted"), "{}", fetched.stderr);
    other.enter("get five.txt");
    let copy = other_share.path().join("five.txt");
    eventually("the other node has the file", || {
        fs::read(&copy).is_ok_and(|content| content == b"Hello")
    });
}
