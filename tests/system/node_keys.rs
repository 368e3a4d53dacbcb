//! Nodes that are bound to their key, and others that want to act for them.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::{
    ClientKey, Nc, ProgramOutput, Server, UdpClient, ask, client, eventually, folder, http,
    node_command, relay, run,
};

const REFUSAL: &str = "is registered with a key that you have not shown; connect over TLS with its \
                       certificate, or wait until its lease ends";

/// A relay whose id is known.
struct KnownRelay {
    server: Server,
    id: String,
}

impl KnownRelay {
    fn start(args: &[&str]) -> Self {
        let mut server = relay(args);
        let id = id(&mut server);
        Self { server, id }
    }

    fn address(&self) -> SocketAddr {
        self.server.address()
    }

    fn list(&self) -> String {
        ask(self.address(), b"LIST\n")
    }
}

/// The id that a server prints behind its addresses.
fn id(server: &mut Server) -> String {
    let line = server.line();
    let (_, id) = line.split_once(" id ").expect("an id");
    id.to_owned()
}

/// Kills a server: it says good-bye to nobody.
fn kill(server: &mut Server) {
    server.signal(Signal::KILL);
    server.wait();
}

/// The home of a node: its share and its key.
struct Home {
    share: TempDir,
    state: TempDir,
}

impl Home {
    fn new() -> Self {
        Self {
            share: folder(&[("five.txt", b"Hello")]),
            state: folder(&[]),
        }
    }

    fn command(&self, relay: &KnownRelay, args: &[&str]) -> Command {
        let mut command = node_command(relay.address(), self.share.path(), args);
        command.env("XDG_STATE_HOME", self.state.path());
        command.args(["--relay-id", &relay.id]);
        command
    }

    /// Starts a node and waits until it is registered.
    fn start(&self, relay: &KnownRelay, args: &[&str]) -> Server {
        let node = Server::start(self.command(relay, args));
        node.log_until("registered as");
        node
    }

    fn key_file(&self) -> PathBuf {
        self.state.path().join("peerline/node.pem")
    }

    fn key(&self) -> ClientKey {
        let pem = fs::read_to_string(self.key_file());
        ClientKey::from_pem(&pem.expect("the node has made a key"))
    }
}

/// Asks for everything that only the node at this address may do.
fn assert_refused(nc: &mut Nc, node: &str) {
    let refusal = format!("ERROR 403 {node} {REFUSAL}");
    assert_eq!(nc.ask(&format!("REGISTER {node}")), refusal);
    assert_eq!(nc.ask("SHARE 5 - false"), "ERROR 403 REGISTER first");
    assert_eq!(nc.ask("LISTEN"), "ERROR 403 REGISTER first");
    assert_eq!(nc.ask(&format!("UNREGISTER {node}")), refusal);
}

#[test]
fn a_second_node_with_the_same_key_says_so() {
    let relay = KnownRelay::start(&[]);
    let (home, other) = (Home::new(), Home::new());
    let start = |home: &Home| {
        let mut node = Server::start(home.command(&relay, &[]));
        let id = id(&mut node);
        (node, id)
    };
    let (mut first, first_id) = start(&home);
    let (mut second, second_id) = start(&home);
    assert_eq!(first_id, second_id);
    second.log_until("another peer-node of this user has the same key and id");
    let (mut third, third_id) = start(&other);
    assert_ne!(third_id, first_id);
    // The lock ends with the process.
    kill(&mut first);
    kill(&mut second);
    let (mut again, again_id) = start(&home);
    assert_eq!(again_id, first_id);
    for node in [&mut again, &mut third] {
        node.signal(Signal::TERM);
        node.wait();
        assert!(!node.log().contains("same key"), "{}", node.log());
    }
}

#[test]
fn nobody_acts_for_a_node_without_its_key() {
    let relay = KnownRelay::start(&[]);
    let home = Home::new();
    let mut node = home.start(&relay, &[]);
    let (address, node_id) = (node.wire_address(), id(&mut node));
    let listed = format!("NODES 1\n{address} {node_id}\n");
    assert_eq!(relay.list(), listed);
    assert_refused(&mut Nc::connect(relay.address()), &address);
    let other = ClientKey::generate();
    assert_refused(&mut other.connect(relay.address()), &address);
    let mut udp = UdpClient::connect(relay.address());
    let refusal = format!("ERROR 403 {address} {REFUSAL}\n");
    for request in [
        format!("REGISTER {address}\n"),
        format!("UNREGISTER {address}\n"),
    ] {
        assert_eq!(udp.ask_with_cookie(&request), refusal);
    }
    eventually("the file is announced", || {
        ask(relay.address(), b"FIND five.txt\n").starts_with("HOLDERS")
    });
    assert_eq!(
        ask(relay.address(), b"FIND five.txt\nFIND false\n"),
        format!("HOLDERS 1\n{address} 5 - {node_id}\nNOTFOUND\n")
    );
    assert_eq!(relay.list(), listed);
    relay
        .server
        .log_until(&format!("registered by 127.0.0.1, id {node_id}"));
    // Programs get the id, too.
    let nodes = http(relay.address(), "GET", "/api/nodes", "");
    let expected = format!("\"id\":\"{node_id}\"");
    assert!(nodes.text().contains(&expected), "{}", nodes.text());
    let found = client(&relay.server, &["--json", "find", "five.txt"]).expect_code(0);
    assert!(found.text().contains(&expected), "{}", found.text());
    // The node itself can do all of it.
    let mut own = home.key().connect(relay.address());
    assert!(
        own.ask(&format!("REGISTER {address}"))
            .starts_with("OK 60 ")
    );
    assert_eq!(own.ask(&format!("UNREGISTER {address}")), "OK");
    assert_eq!(relay.list(), "NODES 0\n");
}

#[test]
fn openssl_shows_the_certificate_of_a_node() {
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("skipped: openssl is not installed");
        return;
    }
    let relay = KnownRelay::start(&[]);
    let home = Home::new();
    let mut node = home.start(&relay, &[]);
    let (address, node_id) = (node.wire_address(), id(&mut node));
    kill(&mut node);
    let lines = format!("REGISTER {address}\nSHARE 5 - by-hand.txt\nQUIT\n");
    let with_key = |file: &Path| -> ProgramOutput {
        let mut command = Command::new("openssl");
        command.args([
            "s_client",
            "-quiet",
            "-connect",
            &relay.address().to_string(),
        ]);
        command.arg("-cert").arg(file).arg("-key").arg(file);
        run(command, lines.as_bytes())
    };
    let replies = with_key(&home.key_file()).text();
    assert!(replies.ends_with("\nOK\nOK bye\n"), "{replies}");
    assert_eq!(relay.list(), format!("NODES 1\n{address} {node_id}\n"));
    let other = Home::new();
    drop(other.start(&relay, &[]));
    let replies = with_key(&other.key_file()).text();
    assert!(replies.starts_with("ERROR 403 "), "{replies}");
}

#[test]
fn a_node_with_its_key_comes_back_at_once_even_from_another_address() {
    // Without trust, an address is registered by itself or by its key.
    let relay = KnownRelay::start(&["--trust", "10.0.0.0/8"]);
    let home = Home::new();
    let mut node = home.start(&relay, &["--listen", "127.0.0.1"]);
    let (address, node_id) = (node.wire_address(), id(&mut node));
    let (_, port) = address.split_once(' ').expect("a port");
    let listed = format!("NODES 1\n{address} {node_id}\n");
    kill(&mut node);
    assert_eq!(relay.list(), listed);
    let advertised = format!("127.0.0.1:{port}");
    let args = ["--listen", "127.0.0.2", "--advertise", &advertised];
    let mut moved = home.start(&relay, &args);
    assert_eq!(relay.list(), listed);
    assert_eq!(moved.stop(), Some(0));
    assert_eq!(relay.list(), "NODES 0\n");
    // Once the entry has ended, the address must be its own again.
    let refused = Server::start(home.command(&relay, &args));
    refused.log_until("your address is 127.0.0.2");
}

#[test]
fn a_node_with_another_key_waits_until_the_lease_ends() {
    let relay = KnownRelay::start(&["--lease", "2"]);
    let home = Home::new();
    let mut node = home.start(&relay, &[]);
    let (address, first) = (node.wire_address(), id(&mut node));
    let (_, port) = address.split_once(' ').expect("a port");
    kill(&mut node);
    fs::remove_file(home.key_file()).expect("it is there");
    let mut node = Server::start(home.command(&relay, &["--port", port]));
    let second = id(&mut node);
    assert_ne!(first, second);
    node.log_until(REFUSAL);
    node.log_until("registered as");
    assert_eq!(relay.list(), format!("NODES 1\n{address} {second}\n"));
}

#[test]
fn a_node_that_shows_its_key_for_the_first_time_begins_anew() {
    let relay = KnownRelay::start(&[]);
    let mut impostor = Nc::connect(relay.address());
    let mut nc = Nc::connect(relay.address());
    assert!(impostor.ask("REGISTER 127.0.0.1 4").starts_with("OK"));
    assert_eq!(impostor.ask("SHARE 5 - false"), "OK");
    assert!(nc.ask("REGISTER 127.0.0.1 4").starts_with("OK"));
    assert_eq!(nc.ask("LISTEN"), "OK 127.0.0.1 4");
    let key = ClientKey::generate();
    let mut node = key.connect(relay.address());
    assert!(node.ask("REGISTER 127.0.0.1 4").starts_with("OK"));
    assert_eq!(ask(relay.address(), b"FIND false\n"), "NOTFOUND\n");
    assert_eq!(nc.rest_text(), "ERROR 409 replaced by a newer listener\n");
    let refusal = format!("ERROR 403 127.0.0.1 4 {REFUSAL}");
    for request in [
        "SHARE 5 - false",
        "UNSHARE false",
        "LISTEN",
        "SEND 127.0.0.1 5 I am it",
    ] {
        assert_eq!(impostor.ask(request), refusal);
    }
    // The key may be shown on several connections.
    assert_eq!(node.ask("LISTEN"), "OK 127.0.0.1 4");
    let mut again = key.connect(relay.address());
    assert!(again.ask("REGISTER 127.0.0.1 4").starts_with("OK"));
    assert_eq!(ask(relay.address(), b"WHO\n"), "NODES 1\n127.0.0.1 4\n");
}

#[test]
fn the_id_is_in_the_banner_and_on_the_pages() {
    let mut relay = KnownRelay::start(&[]);
    let home = Home::new();
    let mut node = home.start(&relay, &[]);
    let (relay_id, node_id) = (relay.id.clone(), id(&mut node));
    let end = "; HELP lists the commands\n";
    let banner = format!("OK peerline relay, 1 node, 1 file, id {relay_id}{end}");
    eventually("the file is announced", || {
        ask(relay.address(), b"\n") == banner
    });
    assert_eq!(
        ask(node.address(), b"\n"),
        format!("OK peerline node, 1 file, id {node_id}{end}")
    );
    let page = |server: &Server, target| {
        let page = http(server.address(), "GET", target, "").text().to_owned();
        // The slashes and plus signs of base64 may be escaped.
        page.replace("&#43;", "+")
            .replace("&#x2F;", "/")
            .replace("&#61;", "=")
    };
    for (server, target, id) in [
        (&relay.server, "/", &relay_id),
        (&relay.server, "/nodes", &node_id),
        (&relay.server, "/holders/five.txt", &node_id),
        (&node, "/", &node_id),
    ] {
        let page = page(server, target);
        assert!(page.contains(&**id), "{target}: {page}");
    }
    assert_eq!(relay.server.stop(), Some(0));
}

#[test]
fn id_prints_the_id_and_makes_the_key_the_first_time() {
    let home = Home::new();
    let programs = [
        env!("CARGO_BIN_EXE_peer-node"),
        env!("CARGO_BIN_EXE_relay-server"),
    ];
    let id = |program: &str, args: &[&str]| {
        let mut command = Command::new(program);
        command.env("XDG_STATE_HOME", home.state.path());
        command.arg("id").args(args);
        run(command, b"")
    };
    let ids = programs.map(|program| id(program, &[]).expect_code(0).text());
    assert!(
        ids[0].starts_with("sha256//") && ids[0].ends_with("=\n"),
        "{ids:?}"
    );
    assert_ne!(ids[0], ids[1]);
    assert_eq!(
        ids,
        programs.map(|program| id(program, &[]).expect_code(0).text())
    );
    let mut node = Server::start({
        let relay = relay(&[]);
        let mut command = node_command(relay.address(), home.share.path(), &[]);
        command.env("XDG_STATE_HOME", home.state.path());
        command
    });
    assert_eq!(format!("{}\n", self::id(&mut node)), ids[0]);
    // The key of the user.
    let file = home.state.path().join("peerline/relay.pem");
    let file = file.to_str().expect("a temporary name is text");
    let files = ["--key", file, "--certificate", file];
    assert_eq!(id(programs[0], &files).expect_code(0).text(), ids[1]);
    assert_eq!(
        id(programs[0], &files[..2])
            .expect_code(2)
            .stderr
            .lines()
            .count(),
        2
    );
    // What it prints must be the key that the server has.
    fs::write(home.key_file(), "no key").expect("it is there");
    let refused = id(programs[0], &[]).expect_code(11);
    assert!(
        refused.stderr.contains("no private key"),
        "{}",
        refused.stderr
    );
    let mut command = Command::new(programs[0]);
    command
        .arg("id")
        .env_remove("XDG_STATE_HOME")
        .env_remove("HOME");
    let refused = run(command, b"").expect_code(11);
    assert!(
        refused.stderr.contains("no place for a key"),
        "{}",
        refused.stderr
    );
}
