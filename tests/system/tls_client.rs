//! Fetching from nodes over TLS, with and without a key that the node must have.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::support::fake_server::{FakeServer, register};
use crate::support::{
    ProgramOutput, Server, client_command, eventually, folder, node_command, relay, run, tls_proxy,
};

/// The id that a server prints behind its addresses.
fn id(server: &mut Server) -> String {
    let line = server.line();
    let (_, id) = line.split_once(" id ").expect("an id");
    id.to_owned()
}

const OTHER_ID: &str = "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

/// Runs a client that knows no relay.
fn client(relay: &Server, args: &[&str]) -> ProgramOutput {
    let state = folder(&[]);
    let mut command = client_command(relay.address(), args);
    command.env("XDG_STATE_HOME", state.path());
    run(command, b"")
}

/// Starts a node that knows no relay, and waits until it is registered.
fn node(relay: &Server, folder: &Path, args: &[&str]) -> Server {
    let state = crate::support::folder(&[]);
    let mut command = node_command(relay.address(), folder, args);
    command.env("XDG_STATE_HOME", state.path());
    let node = Server::start(command);
    node.log_until("registered as");
    node
}

/// Fetches from one node, without a relay.
fn from_node(node: SocketAddr, args: &[&str]) -> ProgramOutput {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peer-client"));
    command.args(["--from", &node.to_string()]).args(args);
    run(command, b"")
}

#[test]
fn a_node_with_a_pinned_key_is_asked_over_tls_alone() {
    let (relay, share) = (relay(&[]), folder(&[("hello.txt", b"Hello")]));
    let mut node = node(&relay, share.path(), &[]);
    let id = id(&mut node);
    let fetched = from_node(node.address(), &["get", "hello.txt", "--node-id", &id]);
    let fetched = fetched.expect_code(0);
    assert_eq!(fetched.text(), "Hello");
    assert!(
        fetched.stderr.contains(", encrypted, "),
        "{}",
        fetched.stderr
    );
    let listed = from_node(node.address(), &["ls", "--node-id", &id]).expect_code(0);
    assert!(listed.text().contains(" hello.txt"), "{}", listed.text());
    let plain = from_node(node.address(), &["get", "hello.txt"]).expect_code(0);
    assert!(plain.stderr.contains(", plain, "), "{}", plain.stderr);
    let refused = from_node(node.address(), &["get", "hello.txt", "--node-id", OTHER_ID]);
    let refused = refused.expect_code(3);
    assert!(refused.stdout.is_empty());
    let why = format!("another key, {id}, than the one that is expected");
    assert!(refused.stderr.contains(&why), "{}", refused.stderr);
    let log = node.log_until("TLS failed");
    assert!(log.contains("0 requests, TLS, 0 B in, 0 B out"), "{log}");
    for args in [
        &["get", "hello.txt", "--node-id", "sha256//x"][..],
        &["get", "hello.txt", "--node-id", &id, "--tls", "off"],
        &["get", "hello.txt", "--relay-id", &id],
    ] {
        from_node(node.address(), args).expect_code(2);
    }
    client(&relay, &["get", "hello.txt", "--node-id", &id]).expect_code(2);
}

#[test]
fn a_node_that_speaks_tls_only_is_fetched_from() {
    let share = folder(&[("hello.txt", b"Hello"), ("large", &[7; 300_000])]);
    let relay = relay(&[]);
    let node = node(&relay, share.path(), &["--tls", "required"]);
    // Its relay knows its id.
    let known = client(&relay, &["get", "hello.txt"]).expect_code(0).stderr;
    assert!(known.contains(", encrypted, "), "{known}");
    assert!(!known.contains("requires TLS"), "{known}");
    // Another relay does not.
    let relay = crate::support::relay(&[]);
    register(&relay, node.address());
    let told = format!(
        "port {} requires TLS: continuing encrypted",
        node.address().port()
    );
    for args in [
        &["get", "hello.txt"][..],
        &["get", "hello.txt", "--tls", "required"],
    ] {
        let fetched = client(&relay, args).expect_code(0);
        assert_eq!(fetched.text(), "Hello");
        assert!(
            fetched.stderr.contains(", encrypted, "),
            "{}",
            fetched.stderr
        );
        let is_told = fetched.stderr.contains(&told);
        assert_eq!(is_told, args.len() == 2, "{}", fetched.stderr);
    }
    // Several requests at once, of which each is repeated.
    let target = folder(&[]);
    let target_name = target.path().to_str().expect("its name is text");
    let saved = client(&relay, &["get", "hello.txt", "large", "-d", target_name]);
    let saved = saved.expect_code(0);
    assert!(
        saved.stderr.contains("/s, encrypted), "),
        "{}",
        saved.stderr
    );
    assert_eq!(saved.stderr.matches(&told).count(), 1, "{}", saved.stderr);
    let large = std::fs::read(target.path().join("large")).expect("a file");
    assert!(large == [7; 300_000], "it differs");
    // Without a relay, and for each command.
    let direct = from_node(node.address(), &["ls"]).expect_code(0);
    assert!(direct.text().contains(" hello.txt"), "{}", direct.text());
    assert!(direct.stderr.contains(&told), "{}", direct.stderr);
    let direct = from_node(node.address(), &["get", "hello.txt"]).expect_code(0);
    assert_eq!(direct.text(), "Hello");
    let refused = client(&relay, &["get", "hello.txt", "--tls", "off"]).expect_code(5);
    assert!(refused.stderr.contains("TLS only"), "{}", refused.stderr);
}

#[test]
fn a_node_that_refuses_plain_text_and_speaks_no_tls_is_passed_over() {
    let share = folder(&[("hello.txt", b"Hello")]);
    let relay = relay(&[]);
    let good = node(&relay, share.path(), &[]);
    let liar = FakeServer::replying("ERROR 426 TLS only\n");
    let fake_relay = FakeServer::relay(&[liar.address(), good.address()]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_peer-client"));
    command.arg(fake_relay.address().to_string());
    command.args(["get", "hello.txt", "--verbose"]);
    let fetched = run(command, b"").expect_code(0);
    assert_eq!(fetched.text(), "Hello");
    let port = liar.address().port();
    assert!(
        fetched
            .stderr
            .contains(&format!("port {port} requires TLS")),
        "{}",
        fetched.stderr
    );
    assert!(fetched.stderr.contains(", plain, "), "{}", fetched.stderr);
}

#[test]
fn where_tls_is_required_nodes_get_no_plain_text() {
    let share = folder(&[("hello.txt", b"Hello")]);
    let relay = relay(&[]);
    let plain = node(&relay, share.path(), &["--tls", "off"]);
    let args = ["get", "hello.txt", "--tls", "required"];
    let refused = client(&relay, &args).expect_code(5);
    assert!(refused.stdout.is_empty());
    assert!(
        refused.stderr.contains("does not speak TLS"),
        "{}",
        refused.stderr
    );
    plain.log_until("other protocol: TLS");
    let encrypted = node(&relay, share.path(), &[]);
    let fetched = client(&relay, &args).expect_code(0);
    assert!(
        fetched.stderr.contains(", encrypted, "),
        "{}",
        fetched.stderr
    );
    encrypted.log_until("last GET, TLS, ");
}

#[test]
fn json_tells_whether_content_was_encrypted() {
    let (relay, share) = (relay(&[]), folder(&[("hello.txt", b"Hello")]));
    let node = node(&relay, share.path(), &[]);
    for (mode, is_encrypted) in [("auto", false), ("required", true)] {
        let fetched = client(&relay, &["get", "hello.txt", "--json", "--tls", mode]);
        let fetched = fetched.expect_code(0);
        let field = format!("\"encrypted\":{is_encrypted}");
        assert!(fetched.stderr.contains(&field), "{}", fetched.stderr);
    }
    drop(node);
}

#[test]
fn the_console_of_a_node_fetches_over_tls() {
    let (relay, share) = (relay(&[]), folder(&[("hello.txt", b"Hello")]));
    let node = node(&relay, share.path(), &["--tls", "required"]);
    let target = folder(&[]);
    let mut command = node_command(relay.address(), target.path(), &["--console"]);
    command.env("COLUMNS", "200");
    let mut console = Server::start_with_stdin(command);
    console.log_until("registered as");
    console.enter("get hello.txt");
    console.log_until(", encrypted, ");
    drop(node);
}

#[test]
fn a_proxy_that_strips_tls_from_a_node_gets_no_request() {
    let (relay, share) = (relay(&[]), folder(&[("hello.txt", b"Hello")]));
    let mut node = node(&relay, share.path(), &[]);
    let id = id(&mut node);
    // It speaks plain text to the client, and TLS to the node.
    let middle = tls_proxy(node.address());
    let plain = from_node(middle, &["get", "hello.txt"]).expect_code(0);
    assert_eq!(plain.text(), "Hello");
    node.log_until("last GET, TLS, ");
    let refused = from_node(middle, &["get", "hello.txt", "--node-id", &id]).expect_code(3);
    assert!(refused.stdout.is_empty());
}

#[test]
fn a_node_with_another_key_than_the_relay_says_is_named_and_passed_over() {
    let (relay, share) = (relay(&[]), folder(&[("hello.txt", b"Hello")]));
    let [mut good, wrong] = [(); 2].map(|()| node(&relay, share.path(), &[]));
    let id = id(&mut good);
    let [good, wrong_port] = [&good, &wrong].map(|node| node.address().port());
    for (nodes, code) in [
        (
            format!("127.0.0.1 {wrong_port} {OTHER_ID}\n127.0.0.1 {good} {id}\n"),
            0,
        ),
        (format!("127.0.0.1 {wrong_port} {OTHER_ID}\n"), 5),
    ] {
        let list = format!("NODES {}\n{nodes}", nodes.lines().count());
        let fake_relay = FakeServer::hanging_after(list);
        let mut command = Command::new(env!("CARGO_BIN_EXE_peer-client"));
        command.arg(fake_relay.address().to_string());
        command.args(["get", "hello.txt"]);
        let fetched = run(command, b"").expect_code(code);
        let stderr = &fetched.stderr;
        assert!(stderr.contains("than the one that is expected"), "{stderr}");
        assert!(stderr.contains(&format!("port {wrong_port}")), "{stderr}");
        assert_eq!(fetched.text(), if code == 0 { "Hello" } else { "" });
        assert_eq!(stderr.contains(", encrypted, "), code == 0, "{stderr}");
    }
    let log = wrong.log_until_count("TLS failed", 2);
    assert!(log.contains("0 requests, TLS, 0 B in, 0 B out"), "{log}");
}

#[test]
fn an_impostor_at_the_address_of_a_node_sends_nothing() {
    let relay = relay(&[]);
    let large = vec![7; 3_000_000];
    let share = folder(&[("large", &large)]);
    let state = folder(&[]);
    let with_hashes = |port: u16, home: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_peer-node"));
        command.args([&relay.address().to_string(), "--tls", "required"]);
        command.args(["--port", &port.to_string(), "--no-hash-cache", "--share"]);
        command.arg(share.path()).env("XDG_STATE_HOME", home);
        Server::start(command)
    };
    let (first, second) = (with_hashes(0, state.path()), with_hashes(0, state.path()));
    let lists_hashes = || {
        let list = crate::support::ask(relay.address(), b"FIND large\n");
        list.matches(" sha256//").count() == 2 && !list.contains(" - ")
    };
    eventually("both have announced the file", lists_hashes);
    let port = first.address().port();
    first.signal(rustix::process::Signal::KILL);
    drop(first);
    let impostor = with_hashes(port, folder(&[]).path());
    for _ in 0..2 {
        let fetched = client(&relay, &["get", "large"]).expect_code(0);
        assert!(fetched.stdout == large, "it differs");
        assert!(
            fetched.stderr.contains(", encrypted, verified"),
            "{}",
            fetched.stderr
        );
    }
    drop(second);
    let refused = client(&relay, &["get", "large"]).expect_code(5);
    assert!(refused.stdout.is_empty());
    assert!(
        refused.stderr.contains("than the one that is expected"),
        "{}",
        refused.stderr
    );
    assert!(!impostor.log().contains("last GET"), "{}", impostor.log());
    assert!(!impostor.log().contains("last RANGE"), "{}", impostor.log());
}

/// An end that may be forged would be logged as a lost connection.
#[test]
fn a_client_that_is_done_ends_its_connections_as_tls_has_it() {
    let (relay, share) = (relay(&[]), folder(&[("hello.txt", b"Hello")]));
    let node = node(&relay, share.path(), &["--tls", "required"]);
    client(&relay, &["get", "hello.txt", "--tls", "required"]).expect_code(0);
    let end = |server: &Server, request: &str| {
        let log = server.log_until(request);
        let mut lines = log.lines().filter(|line| line.contains(request));
        lines.next().expect("it was found").to_owned()
    };
    let line = end(&node, "last GET, TLS");
    assert!(line.ends_with(", end of input: hello.txt"), "{line}");
    client(&relay, &["chat", "--tls", "required"]).expect_code(0);
    let line = end(&relay, "last LISTEN, TLS");
    assert!(line.ends_with(", end of input"), "{line}");
}
