//! Several relays with one directory, through a real engine.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{
    ClientKey, Engine, Nc, Server, ask, eventually, folder, free_port, http, node, relay,
    relay_command, run,
};

const HASH: &str = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";

fn relay_of(engine: &Engine, args: &[&str]) -> Server {
    let url = engine.url();
    relay(&[&["--registry", &url], args].concat())
}

fn two_relays(engine: &Engine, args: &[&str]) -> [Server; 2] {
    [(), ()].map(|()| relay_of(engine, args))
}

/// Sends lines to a relay; each must be answered with `OK`.
#[track_caller]
fn tell(relay: &Server, lines: &str) {
    let replies = ask(relay.address(), lines.as_bytes());
    assert_eq!(
        replies
            .lines()
            .filter(|line| line.starts_with("OK"))
            .count(),
        lines.lines().count(),
        "{replies}"
    );
}

/// Waits until a relay answers so.
#[track_caller]
fn wait_for(relay: &Server, request: &str, reply: &str) {
    let mut last = String::new();
    eventually(&format!("{request} is answered with {reply:?}"), || {
        last = ask(relay.address(), format!("{request}\n").as_bytes());
        last == reply
    });
}

/// Waits until the pages of a relay say so.
#[track_caller]
fn wait_for_pages(relay: &Server, text: &str) {
    for target in ["/", "/nodes"] {
        eventually(&format!("{target} says {text:?}"), || {
            http(relay.address(), "GET", target, "")
                .text()
                .contains(text)
        });
    }
}

/// The nodes and files, in order.
fn directory(relay: &Server) -> Vec<String> {
    let text = ask(relay.address(), b"LIST\nSEARCH\n");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// The answer to `REGISTER`, without the lease and the address: files and epoch.
fn register(relay: &Server, port: u16) -> (u64, u64) {
    let reply = ask(relay.address(), format!("REGISTER * {port}\n").as_bytes());
    let mut fields = reply.split_whitespace().skip(4);
    let mut number = || fields.next().and_then(|field| field.parse().ok());
    (number().expect("files"), number().expect("an epoch"))
}

#[test]
fn what_one_relay_is_told_all_relays_know() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let [a, b] = two_relays(&engine, &[]);
    let share = format!("SHARE 5 {HASH} a b\nSHARE 7 - c\nSHAREDIGEST {HASH} sha-256 {HASH} a b\n");
    tell(&a, &format!("REGISTER * 9001\n{share}"));
    wait_for(
        &b,
        "FIND a b",
        &format!("HOLDERS 1\n127.0.0.1 9001 5 {HASH}\n"),
    );
    wait_for(&b, "FIND c", "HOLDERS 1\n127.0.0.1 9001 7 -\n");
    assert_eq!(directory(&a), directory(&b));
    // A relay that starts later knows it, too, before it answers anybody.
    let c = relay_of(&engine, &[]);
    assert_eq!(directory(&a), directory(&c));
    tell(&a, "REGISTER * 9001\nUNSHARE c\nSHARE 6 - a b\n");
    for relay in [&b, &c] {
        wait_for(relay, "FIND c", "NOTFOUND\n");
        wait_for(relay, "FIND a b", "HOLDERS 1\n127.0.0.1 9001 6 -\n");
    }
    tell(&b, "UNREGISTER 127.0.0.1 9001\n");
    for relay in [&a, &c] {
        wait_for(relay, "LIST", "NODES 0\n");
    }
    for relay in [&a, &b, &c] {
        assert_eq!(relay.stat("registry_rejected"), 0);
        assert_eq!(relay.stat("registry_connected"), 1);
        assert_eq!(relay.stat("registry_cut_off"), 0);
    }
}

#[test]
fn a_key_holds_its_node_at_all_relays() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let [a, b] = two_relays(&engine, &[]);
    // Somebody without the key was there first.
    let mut impostor = Nc::connect(a.address());
    assert!(impostor.ask("REGISTER * 9001").starts_with("OK"));
    assert_eq!(impostor.ask("LISTEN"), "OK 127.0.0.1 9001");
    wait_for(&b, "WHO", "NODES 1\n127.0.0.1 9001\n");
    let key = ClientKey::generate();
    let mut node = key.connect(a.address());
    assert!(node.ask("REGISTER * 9001").starts_with("OK"));
    wait_for(&b, "WHO", "NODES 0\n");
    let listed = ask(a.address(), b"LIST\n");
    assert!(
        listed.starts_with("NODES 1\n127.0.0.1 9001 sha256//"),
        "{listed}"
    );
    wait_for(&b, "LIST", &listed);
    let c = relay_of(&engine, &[]);
    for relay in [&a, &b, &c] {
        assert_eq!(ask(relay.address(), b"LIST\n"), listed);
        for request in ["REGISTER * 9001", "UNREGISTER 127.0.0.1 9001"] {
            let reply = Nc::connect(relay.address()).ask(request);
            assert!(
                reply.starts_with("ERROR 403 127.0.0.1 9001 is registered with a key"),
                "{reply}"
            );
        }
    }
    let mut node = key.connect(b.address());
    assert!(node.ask("REGISTER * 9001").starts_with("OK"));
    assert_eq!(node.ask("UNREGISTER * 9001"), "OK");
    wait_for(&a, "LIST", "NODES 0\n");
}

#[test]
fn a_node_that_changes_relays_keeps_its_files() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let [mut a, b] = two_relays(&engine, &[]);
    tell(&a, "REGISTER * 9001\nSHARE 1 - one\nSHARE 2 - two\n");
    let (files, epoch) = register(&a, 9001);
    assert_eq!(files, 2);
    wait_for(&b, "FIND two", "HOLDERS 1\n127.0.0.1 9001 2 -\n");
    a.signal(Signal::KILL);
    a.wait();
    assert_eq!(register(&b, 9001), (2, epoch));
    // It may change them there.
    tell(&b, "REGISTER * 9001\nUNSHARE one\n");
    let c = relay_of(&engine, &[]);
    assert_eq!(register(&c, 9001), (1, epoch));
}

#[test]
fn a_record_that_the_engine_has_lost_is_made_again() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let [mut a, b] = two_relays(&engine, &[]);
    tell(
        &a,
        "REGISTER * 9001\nSHARE 1 - one\nREGISTER * 9002\nSHARE 2 - two\n",
    );
    wait_for(&b, "FIND two", "HOLDERS 1\n127.0.0.1 9002 2 -\n");
    a.signal(Signal::KILL);
    a.wait();
    let key = |port: u16| engine.key_of_loopback(port);
    assert_eq!(engine.command(&["DEL", &key(9001), &key(9002)]), "2");
    let c = relay_of(&engine, &[]);
    assert_eq!(ask(c.address(), b"LIST\n"), "NODES 0\n");
    // One goes on at another relay, which knows its files; one has a new file.
    assert_eq!(register(&b, 9001).0, 1);
    wait_for(&c, "FIND one", "HOLDERS 1\n127.0.0.1 9001 1 -\n");
    tell(&b, "REGISTER * 9002\nSHARE 3 - three\n");
    wait_for(&c, "FIND two", "HOLDERS 1\n127.0.0.1 9002 2 -\n");
    // Only a part of a record is there.
    assert_eq!(engine.command(&["HDEL", &key(9002), "w", "ftwo"]), "2");
    tell(&b, "REGISTER * 9002\n");
    let put_again = || engine.command(&["HEXISTS", &key(9002), "ftwo"]) == "1";
    eventually("the renewal makes the record whole", put_again);
    let d = relay_of(&engine, &[]);
    wait_for(&d, "FIND two", "HOLDERS 1\n127.0.0.1 9002 2 -\n");
    wait_for(&d, "FIND three", "HOLDERS 1\n127.0.0.1 9002 3 -\n");
}

#[test]
fn a_lease_ends_at_all_relays() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let [mut a, b] = two_relays(&engine, &["--lease", "2"]);
    tell(&a, "REGISTER * 9001\nSHARE 1 - one\n");
    wait_for(&b, "FIND one", "HOLDERS 1\n127.0.0.1 9001 1 -\n");
    // Nobody tells the other relay.
    a.signal(Signal::KILL);
    a.wait();
    wait_for(&b, "LIST", "NODES 0\n");
    eventually("the engine has forgotten it", || {
        engine.command(&["KEYS", "peerline:node:*"]).is_empty()
    });
    let share = folder(&[("file", b"content")]);
    let node = node(&b, share.path(), &[]);
    let c = relay_of(&engine, &["--lease", "2"]);
    // Its renewals reach the other relay for longer than a lease.
    let end = Instant::now() + Duration::from_secs(5);
    while Instant::now() < end {
        let list = format!("NODES 1\n{}\n", node.wire_address());
        assert_eq!(ask(c.address(), b"LIST\n"), list);
    }
}

#[test]
fn a_relay_starts_before_the_socket_of_its_engine() {
    let Some(mut engine) = Engine::start(&[]) else {
        return;
    };
    engine.kill();
    let url = engine.url();
    let socket = url.strip_prefix("unix://").expect("a socket");
    fs::remove_file(socket).expect("a socket");
    let relay = relay_of(&engine, &[]);
    let missing = format!("registry: cut off: there is no socket {socket}: the engine");
    relay.log_until(&missing);
    engine.restart();
    relay.log_until("registry: connected");
}

#[test]
fn relays_go_on_without_the_engine_and_agree_when_it_is_back() {
    let Some(mut engine) = Engine::start(&[]) else {
        return;
    };
    let [a, b] = two_relays(&engine, &[]);
    tell(&a, "REGISTER * 9001\nSHARE 1 - one\nSHARE 1 - gone\n");
    tell(&b, "REGISTER * 9002\nSHARE 2 - two\n");
    wait_for(&a, "FIND two", "HOLDERS 1\n127.0.0.1 9002 2 -\n");
    wait_for(&b, "FIND gone", "HOLDERS 1\n127.0.0.1 9001 1 -\n");
    wait_for_pages(&a, "shared with 1 other relay");
    engine.kill();
    for relay in [&a, &b] {
        relay.log_until("registry: cut off: ");
        assert_eq!(relay.stat("registry_connected"), 0);
        wait_for_pages(relay, "cut off from the other relays");
    }
    // Everything still works, at each relay for itself.
    tell(&a, "REGISTER * 9003\nSHARE 3 - three\n");
    tell(&a, "REGISTER * 9001\nUNSHARE gone\n");
    tell(&b, "UNREGISTER * 9002\n");
    assert!(ask(b.address(), b"FIND one\n").starts_with("HOLDERS 1"));
    engine.restart();
    for relay in [&a, &b] {
        relay.log_until_count("registry: connected", 2);
        wait_for(relay, "FIND three", "HOLDERS 1\n127.0.0.1 9003 3 -\n");
        wait_for(relay, "FIND gone", "NOTFOUND\n");
    }
    let c = relay_of(&engine, &[]);
    assert_eq!(directory(&b), directory(&c));
}

#[test]
fn a_paused_engine_is_noticed_and_survived() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let [a, b] = two_relays(&engine, &[]);
    tell(&a, "REGISTER * 9001\nSHARE 1 - one\n");
    wait_for(&b, "FIND one", "HOLDERS 1\n127.0.0.1 9001 1 -\n");
    engine.signal(Signal::STOP);
    tell(&a, "REGISTER * 9001\nSHARE 2 - two\nUNSHARE one\n");
    a.log_until("cut off: the registry does not answer in time");
    tell(&a, "REGISTER * 9001\nSHARE 3 - three\n");
    engine.signal(Signal::CONT);
    wait_for(&b, "FIND three", "HOLDERS 1\n127.0.0.1 9001 3 -\n");
    wait_for(&b, "FIND two", "HOLDERS 1\n127.0.0.1 9001 2 -\n");
    wait_for(&b, "FIND one", "NOTFOUND\n");
    assert_eq!(directory(&a), directory(&b));
}

#[test]
fn a_pause_longer_than_all_leases_is_survived() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let [a, b] = two_relays(&engine, &["--lease", "2"]);
    let share = folder(&[("one", b"1")]);
    let node = node(&a, share.path(), &[]);
    let listed = format!("NODES 1\n{}\n", node.wire_address());
    wait_for(&b, "LIST", &listed);
    engine.signal(Signal::STOP);
    // The other relay hears of no renewals, and the engine's record ends meanwhile.
    wait_for(&b, "LIST", "NODES 0\n");
    let c = relay_of(&engine, &["--lease", "2"]);
    c.log_until("cut off: the registry does not answer in time");
    fs::write(share.path().join("two"), "2").expect("a file");
    let found = format!("HOLDERS 1\n{} 1 -\n", node.wire_address());
    wait_for(&a, "FIND two", &found);
    engine.signal(Signal::CONT);
    for relay in [&a, &b, &c] {
        wait_for(relay, "FIND two", &found);
        wait_for(relay, "FIND one", &found);
        assert_eq!(relay.stat("registry_rejected"), 0);
    }
}

#[test]
fn what_a_later_version_adds_is_skipped() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let put = |words: &[&str]| engine.command(words);
    let (hash, id) = ("a".repeat(64), format!("sha256//{}=", "A".repeat(43)));
    let mut words = vec!["HSET", "peerline:node:192.0.2.1 1", "h"];
    let header = format!("192.0.2.1 7 60 1 {id} more");
    words.extend([&*header, "fa", "1 -", "zz", "a field of another kind"]);
    put(&words);
    put(&[
        "HSET",
        "peerline:node:192.0.2.2 1",
        "h",
        "192.0.2.2 7 60 1 - more",
        "fb",
        "2 -",
    ]);
    for number in ["1", "2"] {
        put(&["EXPIRE", &format!("peerline:node:192.0.2.{number} 1"), "60"]);
    }
    put(&["SET", "peerline:of-a-later-version", "a value"]);
    let a = relay_of(&engine, &[]);
    let listed = format!("NODES 2\n192.0.2.1 1 {id}\n192.0.2.2 1\nFILES 2 2\n1 - 1 a\n2 - 1 b\n");
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(directory(&a), sorted(&listed));
    let changes = format!(
        "FUTURE 1 2 3\nNODE 192.0.2.3 1\nADD 192.0.2.3 9 60 1 - x y\nSHARE 3 {hash} c\nMOVE c d\n\
         NODE 192.0.2.1 1\nSHARE 4 - d\n"
    );
    put(&[
        "XADD",
        "peerline:changes",
        "*",
        "v",
        "2",
        "o",
        "1",
        "n",
        "1",
        "c",
        &changes,
    ]);
    wait_for(&a, "FIND c", &format!("HOLDERS 1\n192.0.2.3 1 3 {hash}\n"));
    wait_for(&a, "FIND d", &format!("HOLDERS 1\n192.0.2.1 1 4 - {id}\n"));
    // What the relay itself publishes reaches others with the same header.
    tell(&a, "REGISTER * 9001\nSHARE 5 - e\n");
    let b = relay_of(&engine, &[]);
    wait_for(&b, "FIND e", "HOLDERS 1\n127.0.0.1 9001 5 -\n");
    assert_eq!(a.stat("registry_connected"), 1);
}

#[test]
fn an_emptied_database_is_filled_again() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let [a, b] = two_relays(&engine, &[]);
    tell(&a, "REGISTER * 9001\nSHARE 1 - one\n");
    tell(&b, "REGISTER * 9002\nSHARE 2 - two\n");
    wait_for(&a, "FIND two", "HOLDERS 1\n127.0.0.1 9002 2 -\n");
    let keys = [9001, 9002].map(|port| engine.key_of_loopback(port));
    assert_eq!(engine.command(&["FLUSHALL"]), "OK");
    for relay in [&a, &b] {
        relay.log_until("the database was emptied");
        relay.log_until_count("registry: nodes loaded", 2);
    }
    eventually("both nodes are there again", || {
        engine.command(&["EXISTS", &keys[0], &keys[1]]) == "2"
    });
    let c = relay_of(&engine, &[]);
    wait_for(&c, "FIND one", "HOLDERS 1\n127.0.0.1 9001 1 -\n");
    wait_for(&c, "FIND two", "HOLDERS 1\n127.0.0.1 9002 2 -\n");
}

#[test]
fn a_full_engine_is_told_and_survived() {
    let Some(engine) = Engine::start(&["--maxmemory-policy", "noeviction"]) else {
        return;
    };
    let [a, b] = two_relays(&engine, &[]);
    tell(&a, "REGISTER * 9001\nSHARE 1 - one\n");
    wait_for(&b, "FIND one", "HOLDERS 1\n127.0.0.1 9001 1 -\n");
    assert_eq!(engine.command(&["CONFIG", "SET", "maxmemory", "1"]), "OK");
    a.log_until("cut off: the registry refused the command: OOM");
    tell(&a, "REGISTER * 9001\nSHARE 2 - two\n");
    assert!(ask(a.address(), b"FIND two\n").starts_with("HOLDERS 1"));
    assert_eq!(engine.command(&["CONFIG", "SET", "maxmemory", "0"]), "OK");
    wait_for(&b, "FIND two", "HOLDERS 1\n127.0.0.1 9001 2 -\n");
}

#[test]
fn user_and_password_are_checked() {
    let port = free_port("127.0.0.79").to_string();
    let args = [
        "--bind",
        "127.0.0.79",
        "--port",
        &port,
        "--requirepass",
        "secret",
    ];
    let Some(_engine) = Engine::start(&args) else {
        return;
    };
    let home = folder(&[("right", b"secret\n"), ("wrong", b"guess\n")]);
    let file = |name: &str| private(&home.path().join(name));
    let url = format!("redis://127.0.0.79:{port}");
    for (flags, reason) in [
        (vec![], "NOAUTH"),
        (
            vec!["--registry-password-file".to_owned(), file("wrong")],
            "WRONGPASS",
        ),
    ] {
        let mut command = relay_command(&["--registry", &url]);
        command.args(flags);
        let output = run(command, b"");
        assert_eq!(output.code, Some(3), "{output:?}");
        assert!(output.stderr.contains(reason), "{output:?}");
        assert!(!output.stderr.contains("guess"), "{output:?}");
    }
    let a = relay(&[
        "--registry",
        &url,
        "--registry-password-file",
        &file("right"),
    ]);
    let mut command = relay_command(&["--registry", &url]);
    command.env("PEERLINE_REGISTRY_PASSWORD", "secret");
    let b = Server::start(command);
    tell(&a, "REGISTER * 9001\nSHARE 1 - one\n");
    wait_for(&b, "FIND one", "HOLDERS 1\n127.0.0.1 9001 1 -\n");
    fs::remove_file(home.path().join("right")).expect("it is read once");
}

/// The path of a file that others can no longer read.
fn private(path: &Path) -> String {
    fs::set_permissions(path, Permissions::from_mode(0o600)).expect("it is ours");
    path.display().to_string()
}

#[test]
fn a_password_that_others_can_read_is_refused() {
    let home = folder(&[("password", b"secret\n")]);
    let path = home.path().join("password");
    for mode in [0o640, 0o604, 0o620] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("it is ours");
        let mut command = relay_command(&["--registry", "redis://127.0.0.1"]);
        command.arg("--registry-password-file").arg(&path);
        let output = run(command, b"");
        assert_eq!(output.code, Some(2), "{output:?}");
        let why = format!("others can read or change it (mode {mode:03o}); write chmod 600");
        assert!(output.stderr.contains(&why), "{output:?}");
    }
}

#[test]
fn a_password_does_not_belong_on_the_command_line() {
    let output = run(
        relay_command(&["--registry", "redis://me:secret@127.0.0.1"]),
        b"",
    );
    assert_eq!(output.code, Some(2));
    assert!(
        output.stderr.contains("--registry-password-file"),
        "{output:?}"
    );
}

#[test]
fn a_database_of_another_version_is_left_alone() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    engine.command(&["SET", "peerline:registry", "2 17"]);
    let a = relay_of(&engine, &[]);
    a.log_until("the database is of another version of the registry, 2, not 1");
    tell(&a, "REGISTER * 9001\nSHARE 1 - one\n");
    assert_eq!(engine.command(&["DBSIZE"]), "1");
    // The other relays are updated, and the old database is gone.
    engine.command(&["FLUSHALL"]);
    a.log_until("registry: connected");
    let b = relay_of(&engine, &[]);
    wait_for(&b, "FIND one", "HOLDERS 1\n127.0.0.1 9001 1 -\n");
}

#[test]
fn values_that_no_relay_wrote_are_refused() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let put = |words: &[&str]| engine.command(words);
    put(&["SET", "peerline:node:192.0.2.1 1", "a text"]);
    put(&[
        "HSET",
        "peerline:node:192.0.2.2 1",
        "h",
        "no header",
        "fa",
        "1 -",
    ]);
    put(&[
        "HSET",
        "peerline:node:192.0.2.3 1",
        "h",
        "192.0.2.3 1 60 1",
        "f../up",
        "1 -",
    ]);
    put(&["EXPIRE", "peerline:node:192.0.2.3 1", "60"]);
    put(&["EXPIRE", "peerline:node:192.0.2.2 1", "60"]);
    put(&["HSET", "peerline:node:0.0.0.0 1", "h", "192.0.2.3 1 60 1"]);
    put(&["SET", "other:key", "of another program"]);
    put(&["DEL", "peerline:node:192.0.2.1 1"]);
    let a = relay_of(&engine, &[]);
    assert_eq!(
        ask(a.address(), b"LIST\nSEARCH\n"),
        "NODES 1\n192.0.2.3 1\nFILES 0 0\n"
    );
    let changes = "NODE 192.0.2.3 1\nSHARE 1 - ../up\nSHARE 1 - ok\nADD x\nFIND ok\nQUIT\n";
    put(&[
        "XADD",
        "peerline:changes",
        "*",
        "o",
        "1",
        "n",
        "1",
        "c",
        changes,
    ]);
    put(&["XADD", "peerline:changes", "*", "o", "no number", "x", ""]);
    put(&[
        "XADD",
        "peerline:changes",
        "*",
        "o",
        "1",
        "n",
        "2",
        "c",
        "SHARE 1 - of nobody",
    ]);
    wait_for(&a, "FIND ok", "HOLDERS 1\n192.0.2.3 1 1 -\n");
    eventually("all are counted", || a.stat("registry_rejected") >= 6);
    assert_eq!(a.stat("registry_connected"), 1);
    // Such a record of one of its nodes is deleted, and published again.
    let mut node = Nc::connect(a.address());
    assert!(node.ask("REGISTER * 9002").starts_with("OK"));
    put(&["SET", &engine.key_of_loopback(9002), "a text"]);
    assert_eq!(node.ask("SHARE 1 - again"), "OK");
    // Those of nobody do not keep a relay from loading the others.
    put(&["SET", "peerline:node:192.0.2.9 5", "a text"]);
    put(&["SET", "peerline:listeners:1234567890abcdef", "a text"]);
    let b = relay_of(&engine, &[]);
    wait_for(&b, "FIND again", "HOLDERS 1\n127.0.0.1 9002 1 -\n");
    assert_eq!(b.stat("registry_connected"), 1);
}

/// Regression: the relays were cut off until somebody deleted the key, and no log named it.
#[test]
fn a_key_of_another_type_in_place_of_the_stream_is_deleted() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let [a, b] = two_relays(&engine, &[]);
    tell(&a, "REGISTER * 9001\nSHARE 1 - before\n");
    wait_for(&b, "FIND before", "HOLDERS 1\n127.0.0.1 9001 1 -\n");
    engine.command(&["DEL", "peerline:changes"]);
    engine.command(&["SADD", "peerline:changes", "a text"]);
    for relay in [&a, &b] {
        relay.log_until("cut off: the registry refused the command: WRONGTYPE");
    }
    tell(&a, "REGISTER * 9002\nSHARE 1 - after\n");
    for relay in [&a, &b] {
        relay.log_until("registry: connected");
    }
    wait_for(&b, "FIND after", "HOLDERS 1\n127.0.0.1 9002 1 -\n");
    tell(&b, "UNREGISTER * 9001\n");
    wait_for(&a, "FIND before", "NOTFOUND\n");
    // Also before a relay starts.
    engine.command(&["DEL", "peerline:changes"]);
    engine.command(&["SET", "peerline:changes", "a text"]);
    let c = relay_of(&engine, &[]);
    tell(&c, "REGISTER * 9003\nSHARE 1 - last\n");
    for relay in [&a, &b] {
        wait_for(relay, "FIND last", "HOLDERS 1\n127.0.0.1 9003 1 -\n");
    }
    // The mark of the database is left alone: the database may be that of another program.
    engine.command(&["DEL", "peerline:registry"]);
    engine.command(&["SADD", "peerline:registry", "a text"]);
    a.log_until("the key peerline:registry has no value of a relay");
    engine.command(&["DEL", "peerline:registry"]);
    a.log_until("registry: connected");
}

/// Regression: the record kept the digest of a content that the node had replaced.
#[test]
fn a_digest_goes_with_its_content_at_all_relays() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let a = relay_of(&engine, &[]);
    let mut node = Nc::connect(a.address());
    assert!(node.ask("REGISTER * 9001").starts_with("OK"));
    for line in [
        format!("SHARE 1 {HASH} file"),
        format!("SHAREDIGEST {HASH} sha-256 {HASH} file"),
        "SHARE 1 - file".to_owned(),
        format!("SHARE 1 {HASH} file"),
        "SHARE 1 - last".to_owned(),
    ] {
        assert_eq!(node.ask(&line), "OK", "{line}");
    }
    let b = relay_of(&engine, &[]);
    wait_for(&b, "FIND last", "HOLDERS 1\n127.0.0.1 9001 1 -\n");
    for relay in [&a, &b] {
        let expected = "ERROR 503 no node has announced the SHA-256";
        let reply = ask(relay.address(), b"DIGEST file\n");
        assert!(reply.starts_with(expected), "{reply}");
    }
}

#[test]
fn a_digest_that_is_announced_while_the_relay_is_cut_off_is_published() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let a = relay_of(&engine, &[]);
    let mut node = Nc::connect(a.address());
    assert!(node.ask("REGISTER * 9001").starts_with("OK"));
    let digest = format!("SHAREDIGEST {HASH} sha-256 {HASH}");
    for line in [
        format!("SHARE 1 {HASH} new"),
        format!("SHARE 1 {HASH} old"),
        format!("{digest} old"),
        "SHARE 1 - last".to_owned(),
    ] {
        assert_eq!(node.ask(&line), "OK", "{line}");
    }
    let b = relay_of(&engine, &[]);
    wait_for(&b, "FIND last", "HOLDERS 1\n127.0.0.1 9001 1 -\n");
    engine.signal(Signal::STOP);
    a.log_until("registry: cut off");
    for line in [
        format!("{digest} new"),
        "SHARE 1 - old".to_owned(),
        format!("SHARE 1 {HASH} old"),
        "SHARE 2 - last".to_owned(),
    ] {
        assert_eq!(node.ask(&line), "OK", "{line}");
    }
    engine.signal(Signal::CONT);
    for relay in [&a, &b] {
        relay.log_until("registry: connected");
    }
    wait_for(&b, "FIND last", "HOLDERS 1\n127.0.0.1 9001 2 -\n");
    let c = relay_of(&engine, &[]);
    for relay in [&a, &b, &c] {
        wait_for(relay, "DIGEST new", &format!("DIGEST sha-256 {HASH}\n"));
        let expected = "ERROR 503 no node has announced the SHA-256, or they do not agree\n";
        wait_for(relay, "DIGEST old", expected);
    }
}

/// Regression: changes had lower numbers than those that the relays had read, and nobody read them.
#[test]
fn a_stream_that_begins_anew_with_an_older_time_is_noticed() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    // An engine whose clock was ahead.
    let entry = "99999999999999-0";
    engine.command(&[
        "XADD",
        "peerline:changes",
        entry,
        "o",
        "x",
        "n",
        "1",
        "c",
        "y",
    ]);
    let [a, b] = two_relays(&engine, &[]);
    engine.command(&["DEL", "peerline:changes"]);
    let mut node = Nc::connect(a.address());
    assert!(node.ask("REGISTER * 9001").starts_with("OK"));
    assert_eq!(node.ask("SHARE 1 - file"), "OK");
    a.log_until("cut off: the stream of changes was emptied");
    // The other relay notices when it has something to say itself.
    tell(&b, "REGISTER * 9002\n");
    b.log_until("cut off: the stream of changes was emptied");
    wait_for(&b, "FIND file", "HOLDERS 1\n127.0.0.1 9001 1 -\n");
    wait_for(&a, "LIST", "NODES 2\n127.0.0.1 9001\n127.0.0.1 9002\n");
}

/// The nodes of all batches of `/api/nodes`, as in `LIST`. After the first batch, `meanwhile` is
/// told its last node.
fn nodes_in_batches(relay: &Server, mut meanwhile: impl FnMut(&str)) -> Vec<String> {
    let (mut nodes, mut target) = (Vec::new(), "/api/nodes?limit=7".to_owned());
    loop {
        let response = http(relay.address(), "GET", &target, "");
        let page: Value = serde_json::from_str(response.text()).expect("it is JSON");
        for node in page["nodes"].as_array().expect("a list") {
            let ip = node["ip"].as_str().expect("an address");
            nodes.push(format!("{ip} {}", node["port"]));
        }
        if nodes.len() == 7 {
            meanwhile(&nodes[6]);
        }
        let Some(next) = page["next"].as_str() else {
            return nodes;
        };
        assert!(nodes.len() < 100, "the batches do not end: {nodes:?}");
        target = format!("/api/nodes?limit=7&after={next}");
    }
}

/// The cursor was the epoch, which is that of another relay for most nodes.
#[test]
fn batches_of_nodes_end_at_every_relay() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let [a, b] = two_relays(&engine, &[]);
    for port in 9001..=9060 {
        tell([&a, &b][port % 2], &format!("REGISTER * {port}\n"));
    }
    let is_complete = |relay: &Server, count: usize| {
        eventually("the relay lists all nodes", || {
            ask(relay.address(), b"LIST\n").starts_with(&format!("NODES {count}\n"))
        });
    };
    is_complete(&a, 60);
    is_complete(&b, 60);
    let c = relay_of(&engine, &[]);
    for (relay, count) in [(&a, 60), (&b, 59), (&c, 58)] {
        let list = ask(relay.address(), b"LIST\n");
        let expected: Vec<&str> = list.lines().skip(1).collect();
        assert_eq!(expected.len(), count);
        let nodes = nodes_in_batches(relay, |last| {
            tell(&a, &format!("UNREGISTER {last}\n"));
            for relay in [&a, &b, &c] {
                is_complete(relay, count - 1);
            }
        });
        assert_eq!(nodes, expected);
    }
    // An order of its own: a batch of one relay does not continue that of another.
    let page = http(a.address(), "GET", "/api/nodes?limit=7", "");
    let page: Value = serde_json::from_str(page.text()).expect("it is JSON");
    let next = page["next"].as_str().expect("another batch");
    let target = format!("/api/nodes?after={next}");
    assert_eq!(http(b.address(), "GET", &target, "").status, 400);
}

#[test]
fn messages_reach_listeners_at_other_relays() {
    let Some(mut engine) = Engine::start(&[]) else {
        return;
    };
    let [a, b] = two_relays(&engine, &[]);
    let mut anna = Nc::connect(a.address());
    assert!(anna.ask("REGISTER * 9001").starts_with("OK"));
    assert_eq!(anna.ask("LISTEN"), "OK 127.0.0.1 9001");
    wait_for(&b, "WHO", "NODES 1\n127.0.0.1 9001\n");
    let mut bert = Nc::connect(b.address());
    let from = format!("{} {}", bert.local().ip(), bert.local().port());
    assert_eq!(bert.ask("SEND 127.0.0.1 9001 Grüße  an Anna"), "OK");
    assert_eq!(anna.line(), format!("FROM {from} Grüße  an Anna"));
    // A relay that starts later knows the listeners.
    let c = relay_of(&engine, &[]);
    assert_eq!(ask(c.address(), b"WHO\n"), "NODES 1\n127.0.0.1 9001\n");
    engine.kill();
    b.log_until("cut off");
    let refused = bert.ask("SEND 127.0.0.1 9001 are you there?");
    assert!(refused.starts_with("ERROR 503 the registry"), "{refused}");
    engine.restart();
    eventually("messages pass again", || {
        bert.ask("SEND 127.0.0.1 9001 again") == "OK"
    });
    assert_eq!(anna.line(), format!("FROM {from} again"));
    drop(anna);
    wait_for(&b, "WHO", "NODES 0\n");
    let refused = ask(b.address(), b"SEND 127.0.0.1 9001 bye\n");
    assert!(refused.starts_with("ERROR 404"), "{refused}");
}

#[test]
fn a_node_at_two_relays_gets_each_message_once() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let [a, b] = two_relays(&engine, &[]);
    let c = relay_of(&engine, &[]);
    let share = folder(&[("one", b"1")]);
    let second = b.address().to_string();
    let args = ["--relay", &second, "--listen-messages"];
    let node = node(&a, share.path(), &args);
    let address = node.wire_address();
    let listed = format!("NODES 1\n{address}\n");
    // Each of the first two relays has a listener of its own.
    for relay in [&a, &b] {
        eventually("the relay has a listener", || {
            let connections = ask(relay.address(), b"CONNECTIONS\n");
            connections.contains(" LISTEN")
        });
    }
    for relay in [&a, &b, &c] {
        wait_for(relay, "WHO", &listed);
    }
    let texts = [(&c, "at-c"), (&a, "at-a"), (&b, "at-b"), (&c, "last")];
    for (relay, text) in texts {
        tell(relay, &format!("SEND {address} {text}\n"));
        node.log_until(text);
    }
    for (_, text) in texts {
        assert_eq!(node.log().matches(text).count(), 1, "{text}");
    }
}

#[test]
fn a_quota_holds_over_all_relays() {
    let Some(engine) = Engine::start(&[]) else {
        return;
    };
    let [a, b] = two_relays(&engine, &["--max-shared-in-all", "3", "--max-nodes", "2"]);
    tell(&a, "REGISTER * 9001\nSHARE 1 - a\nSHARE 1 - b\n");
    wait_for(&b, "FIND b", "HOLDERS 1\n127.0.0.1 9001 1 -\n");
    let replies = ask(b.address(), b"REGISTER * 9002\nSHARE 1 - c\nSHARE 1 - d\n");
    assert!(
        replies
            .lines()
            .last()
            .is_some_and(|line| line.starts_with("ERROR 4")),
        "{replies}"
    );
    let refused = ask(b.address(), b"REGISTER * 9003\n");
    assert!(refused.starts_with("ERROR"), "{refused}");
}

#[test]
fn the_connection_to_the_engine_can_be_encrypted() {
    let ip = "127.0.0.82";
    let key = |name: &str| rcgen::generate_simple_self_signed([name.to_owned()]).expect("a key");
    let (made, other) = (key(ip), key(ip));
    let home = folder(&[
        ("key", made.signing_key.serialize_pem().as_bytes()),
        ("certificate", made.cert.pem().as_bytes()),
        ("other", other.cert.pem().as_bytes()),
        ("nothing", b"no certificate"),
    ]);
    let file = |name: &str| home.path().join(name).display().to_string();
    let port = free_port(ip).to_string();
    let mut args = vec!["--bind", ip, "--port", "0", "--tls-port", &port];
    args.extend(["--tls-auth-clients", "no"]);
    let (key, certificate) = (file("key"), file("certificate"));
    args.extend(["--tls-key-file", &key, "--tls-cert-file", &certificate]);
    let Some(_engine) = Engine::start(&args) else {
        return;
    };
    let url = format!("rediss://{ip}:{port}");
    let relays = [(), ()].map(|()| relay(&["--registry", &url, "--registry-ca", &certificate]));
    tell(&relays[0], "REGISTER * 9001\nSHARE 1 - one\n");
    wait_for(&relays[1], "FIND one", "HOLDERS 1\n127.0.0.1 9001 1 -\n");
    // Another engine, or somebody in between.
    let deceived = relay(&["--registry", &url, "--registry-ca", &file("other")]);
    deceived.log_until("registry: cut off: invalid peer certificate");
    let output = run(
        relay_command(&["--registry", &url, "--registry-ca", &file("nothing")]),
        b"",
    );
    assert_eq!(output.code, Some(2), "{output:?}");
    assert!(
        output.stderr.contains("no certificate in PEM"),
        "{output:?}"
    );
    let output = run(relay_command(&["--registry", &url]), b"");
    assert!(
        output.stderr.contains("rediss:// needs --registry-ca"),
        "{output:?}"
    );
}
