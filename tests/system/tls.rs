//! TLS on the port of the lines: with the tools that people have, `openssl s_client` and
//! `curl`, and with clients that break the rules.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use rustls::{ClientConnection, StreamOwned};

use crate::support::{
    Nc, ProgramOutput, Server, ask, client, folder, has, node, node_command, noise, relay,
    relay_command, run, s_client, server_id as id, tls_proxy, tls_session, unlisted_node,
};

/// Fetches with curl, which does not know who has signed the certificate.
fn curl(args: &[&str]) -> ProgramOutput {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--insecure", "--max-time", "60"]);
    command.args(args);
    run(command, b"")
}

fn url(server: &Server, path: &str) -> String {
    format!("https://{}{path}", server.address())
}

#[test]
fn openssl_s_client_is_the_netcat_of_tls() {
    if !has("openssl") {
        return;
    }
    let relay = relay(&[]);
    let share = folder(&[("five.txt", b"Hello")]);
    let node = node(&relay, share.path(), &[]);
    let node_address = node.wire_address();
    assert_eq!(
        s_client(relay.address(), "PING\nLIST\nQUIT\n"),
        format!("PONG\nNODES 1\n{node_address}\nOK bye\n")
    );
    let reply = s_client(node.address(), "GET five.txt\nGET none\nQUIT\n");
    assert_eq!(reply, "FOUND 5\nHelloNOTFOUND\nOK bye\n");
    relay.log_until("3 requests, last QUIT, TLS, ");
    // Many requests at once.
    let lines = format!("{}QUIT\n", "PING\n".repeat(20_000));
    let reply = s_client(relay.address(), &lines);
    assert_eq!(reply, format!("{}OK bye\n", "PONG\n".repeat(20_000)));
}

#[test]
fn curl_accepts_the_printed_id_and_no_other() {
    if !has("curl") {
        return;
    }
    let mut relay = relay(&[]);
    let share = folder(&[("five.txt", b"Hello")]);
    let mut node = node(&relay, share.path(), &[]);
    let (relay_id, node_id) = (id(&mut relay), id(&mut node));
    assert_ne!(relay_id, node_id);
    let url = url(&node, "/five.txt");
    let right = curl(&["--pinnedpubkey", &node_id, &url]).expect_code(0);
    assert_eq!(right.text(), "Hello");
    // 90: the key is not the pinned one.
    curl(&["--pinnedpubkey", &relay_id, &url]).expect_code(90);
    // 35: the handshake failed.
    curl(&["--tls-max", "1.2", &url]).expect_code(35);
    node.log_until("TLS failed: ");
    let plain = format!("http://{}/five.txt", node.address());
    assert_eq!(curl(&[&plain]).expect_code(0).text(), "Hello");
}

#[test]
fn large_content_over_tls_is_the_file() {
    if !has("curl") {
        return;
    }
    let relay = relay(&[]);
    let content = noise(40 << 20, 7);
    let share = folder(&[("large", &content)]);
    let node = node(&relay, share.path(), &[]);
    let target = tempfile::NamedTempFile::new().expect("a file");
    let path = target.path().to_str().expect("its name is text");
    curl(&["--output", path, &url(&node, "/large")]).expect_code(0);
    assert!(
        fs::read(path).expect("it is there") == content,
        "it differs"
    );
    // Of an old client over the proxy.
    let proxy = tls_proxy(node.address());
    let mut nc = Nc::connect(proxy);
    nc.send("RANGE 1000 30000000 - large\nPING\nQUIT\n");
    assert_eq!(nc.line(), "FOUND 30000000");
    assert!(
        nc.bytes(30_000_000) == content[1000..30_001_000],
        "it differs"
    );
    assert_eq!(nc.rest_text(), "PONG\nOK bye\n");
}

#[test]
fn handshakes_under_way_have_a_limit() {
    let relay = relay(&["--max-handshakes", "1", "--handshake-rate", "1"]);
    let mut first = TcpStream::connect(relay.address()).expect("it listens");
    first.write_all(b"\x16").expect("it reads");
    let mut second = TcpStream::connect(relay.address()).expect("it listens");
    second.write_all(b"\x16").expect("it reads");
    second.read_to_end(&mut Vec::new()).expect("it is closed");
    relay.log_until("refused: handshake limit");
    // Others are served.
    assert_eq!(ask(relay.address(), b"PING\n"), "PONG\n");
    first.shutdown(Shutdown::Both).expect("it is open");
    relay.log_until("connection lost");
    let mut nc = Nc::connect(tls_proxy(relay.address()));
    assert_eq!(nc.ask("PING"), "PONG");
}

#[test]
fn a_cut_connection_is_not_the_end_of_input() {
    let relay = relay(&[]);
    for is_cut in [false, true] {
        let stream = TcpStream::connect(relay.address()).expect("it listens");
        let mut tls: StreamOwned<ClientConnection, _> = StreamOwned::new(tls_session(), stream);
        tls.write_all(b"PING\n").expect("it reads");
        tls.read_exact(&mut [0; 5]).expect("PONG");
        if !is_cut {
            tls.conn.send_close_notify();
            tls.flush().expect("it reads");
        }
        tls.sock.shutdown(Shutdown::Write).expect("it is open");
        let end = tls.read(&mut [0]);
        assert_eq!(end.is_err(), is_cut, "{end:?}");
    }
    let log = relay.log_until("connection lost: ");
    assert_eq!(log.matches("end of input").count(), 1, "{log}");
}

#[test]
fn garbage_after_the_first_byte_closes_the_connection() {
    let relay = relay(&[]);
    for garbage in [
        &b"\x16\x03\x01\nREGISTER 127.0.0.1 9\n"[..],
        b"\x16GET / HTTP/1.1\r\n\r\n",
        &[0x16; 70_000],
    ] {
        let mut stream = TcpStream::connect(relay.address()).expect("it listens");
        // The relay may close before it has read everything.
        let _ = stream.write_all(garbage);
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    }
    // The first is the beginning of a record.
    relay.log_until("connection lost: cut off before the end of TLS");
    relay.log_until_count("TLS failed: ", 2);
    assert_eq!(ask(relay.address(), b"LIST\n"), "NODES 0\n");
}

#[test]
fn without_tls_a_server_that_requires_it_executes_nothing() {
    let relay = relay(&["--tls", "required"]);
    assert!(!relay.first_line.contains("UDP"), "{}", relay.first_line);
    let mut nc = Nc::connect(relay.address());
    nc.send("REGISTER 127.0.0.1 9\nPING\n");
    let refused = "ERROR 426 TLS only; type openssl s_client -quiet -connect HOST:PORT\n";
    assert_eq!(nc.rest_text(), refused);
    relay.log_until("refused: not encrypted");
    let mut nc = Nc::connect(relay.address());
    nc.send("GET /a%20b?c HTTP/1.1\r\nHost: localhost:99\r\n\r\nGET / HTTP/1.1\r\n");
    let reply = nc.rest_text();
    assert!(reply.starts_with("HTTP/1.1 307 "), "{reply}");
    let location = "\r\nLocation: https://localhost:99/a%20b?c\r\n";
    assert!(reply.contains(location), "{reply}");
    let advice = "curl --insecure --pinnedpubkey ID https://localhost:99/a%20b?c";
    assert!(reply.contains(advice), "{reply}");
    assert_eq!(reply.matches("HTTP/1.1").count(), 1, "{reply}");
    for (head, status) in [
        // A page of another origin must not be sent anywhere.
        ("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", "421"),
        ("GET / HTTP/1.0\r\n\r\n", "426"),
    ] {
        let mut nc = Nc::connect(relay.address());
        nc.send(head);
        nc.half_close();
        let reply = nc.rest_text();
        assert!(reply.starts_with(&format!("HTTP/1.1 {status} ")), "{reply}");
    }
    let mut nc = Nc::connect(tls_proxy(relay.address()));
    assert_eq!(nc.ask("LIST"), "NODES 0");
}

/// A state folder of its own for a program.
struct State(tempfile::TempDir);

impl State {
    fn new() -> Self {
        Self(folder(&[]))
    }

    fn relay(&self, args: &[&str]) -> Command {
        let mut command = relay_command(args);
        command.env("XDG_STATE_HOME", self.0.path());
        command
    }

    fn key(&self) -> PathBuf {
        self.0.path().join("peerline/relay.pem")
    }
}

fn mode(path: &Path) -> u32 {
    let status = fs::metadata(path).expect("it is there");
    status.permissions().mode() & 0o777
}

#[test]
fn the_first_start_makes_an_identity_that_stays() {
    let state = State::new();
    let first = id(&mut Server::start(state.relay(&[])));
    assert_eq!(mode(&state.key()), 0o600);
    assert_eq!(mode(state.key().parent().expect("a folder")), 0o700);
    let content = fs::read(state.key()).expect("it is there");
    assert_eq!(id(&mut Server::start(state.relay(&[]))), first);
    assert_eq!(fs::read(state.key()).expect("it is there"), content);
    let files = fs::read_dir(state.key().parent().expect("a folder")).expect("a folder");
    assert_eq!(files.count(), 1, "no part is left");
    // Programs that start at once have one identity.
    let state = State::new();
    let servers = (0..8).map(|_| Server::start(state.relay(&[])));
    let mut servers: Vec<Server> = servers.collect();
    let ids: Vec<String> = servers.iter_mut().map(id).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_ne!(ids[0], first);
}

#[test]
fn a_key_that_others_can_read_or_that_is_damaged_is_refused() {
    let state = State::new();
    drop(Server::start(state.relay(&[])));
    let whole = fs::read_to_string(state.key()).expect("it is text");
    let set_mode = |mode| {
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(state.key(), permissions).expect("it is ours");
    };
    for bits in [0o644, 0o640, 0o602] {
        set_mode(bits);
        let output = run(state.relay(&[]), b"").expect_code(11);
        let advice = format!("write chmod 600 {}", state.key().display());
        assert!(output.stderr.contains(&advice), "{}", output.stderr);
        assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
    }
    set_mode(0o600);
    let (key, certificate) = whole.split_at(whole.find("-----BEGIN CERT").expect("two parts"));
    let other = rcgen::generate_simple_self_signed(["x".to_owned()]).expect("a key");
    for (damaged, why) in [
        (String::new(), "no private key"),
        (key.to_owned(), "no certificate"),
        (certificate.to_owned(), "no private key"),
        (
            whole[..whole.len() / 2].to_owned(),
            "the certificate is damaged",
        ),
        (whole.replacen("MI", "Mj", 1), "the private key is damaged"),
        (
            format!("{key}{}", other.cert.pem()),
            "the certificate is for another key",
        ),
    ] {
        fs::write(state.key(), &damaged).expect("it is ours");
        let output = run(state.relay(&["--tls", "required"]), b"").expect_code(11);
        assert!(output.stderr.contains(why), "{why}: {}", output.stderr);
        assert!(
            output.stderr.contains("a new identity"),
            "{}",
            output.stderr
        );
        let content = fs::read_to_string(state.key()).expect("it is there");
        assert_eq!(content, damaged, "the file is left alone");
    }
}

#[test]
fn without_a_place_for_a_key_tls_is_off_unless_it_is_required() {
    let without_home = |args: &[&str]| {
        let mut command = relay_command(args);
        command.env_remove("XDG_STATE_HOME").env_remove("HOME");
        command
    };
    let no_folder = |args: &[&str]| {
        let mut command = relay_command(args);
        command.env("XDG_STATE_HOME", "/dev/null");
        command
    };
    for command in [&without_home as &dyn Fn(&[&str]) -> Command, &no_folder] {
        let server = Server::start(command(&[]));
        let log = server.log_until("TLS is off: no place for a key");
        assert_eq!(log.matches("TLS is off").count(), 1, "{log}");
        let mut nc = Nc::connect(server.address());
        nc.send(b"\x16");
        assert!(nc.rest_text().starts_with("ERROR 501 TLS"));
        let output = run(command(&["--tls", "required"]), b"").expect_code(11);
        assert!(
            output.stderr.contains("no place for a key"),
            "{}",
            output.stderr
        );
    }
    // Nothing is made for a server that speaks no TLS.
    let state = State::new();
    drop(Server::start(state.relay(&["--tls", "off"])));
    assert!(!state.key().exists());
}

/// Writes a key and its certificate.
fn write_pair(folder: &Path) -> [String; 2] {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a key");
    let paths = ["key.pem", "certificate.pem"].map(|name| folder.join(name));
    fs::write(&paths[0], made.signing_key.serialize_pem()).expect("a file");
    fs::write(&paths[1], made.cert.pem()).expect("a file");
    fs::set_permissions(&paths[0], fs::Permissions::from_mode(0o600)).expect("it is ours");
    paths.map(|path| path.to_str().expect("a temporary name is text").to_owned())
}

#[test]
fn a_certificate_of_the_user_is_read_again_on_sighup() {
    if !has("curl") {
        return;
    }
    let files = folder(&[]);
    let [key, certificate] = write_pair(files.path());
    let args = ["--key", &key, "--certificate", &certificate];
    let mut relay = relay(&args);
    let url = url(&relay, "/");
    let first = id(&mut relay);
    curl(&["--pinnedpubkey", &first, &url]).expect_code(0);
    write_pair(files.path());
    relay.signal(Signal::HUP);
    let log = relay.log_until("certificate read again, id sha256//");
    let (_, second) = log
        .rsplit_once("certificate read again, id ")
        .expect("an id");
    curl(&["--pinnedpubkey", &first, &url]).expect_code(90);
    curl(&["--pinnedpubkey", second.trim(), &url]).expect_code(0);
    // A pair that is not whole changes nothing.
    fs::write(&certificate, "").expect("a file");
    relay.signal(Signal::HUP);
    relay.log_until("certificate kept: ");
    curl(&["--pinnedpubkey", second.trim(), &url]).expect_code(0);
    let output = run(relay_command(&args), b"").expect_code(11);
    assert!(
        output.stderr.contains("certificate.pem: no certificate"),
        "{}",
        output.stderr
    );
    run(relay_command(&["--key", &key]), b"").expect_code(2);
}

#[test]
fn a_node_speaks_tls_in_its_sandbox() {
    let share = folder(&[("five.txt", b"Hello")]);
    let relay = relay(&[]);
    let files = folder(&[]);
    let [key, certificate] = write_pair(files.path());
    let args = ["--key", &key, "--certificate", &certificate];
    let node = unlisted_node(relay.address(), share.path(), &args);
    let mut nc = Nc::connect(tls_proxy(node.address()));
    nc.send("GET five.txt\nQUIT\n");
    assert_eq!(nc.rest_text(), "FOUND 5\nHelloOK bye\n");
    write_pair(files.path());
    node.signal(Signal::HUP);
    node.log_until("certificate read again");
    // Programs that speak no TLS are served as before.
    node.log_until("registered as");
    client(&relay, &["get", "five.txt"]).expect_code(0);
    run(
        node_command(relay.address(), share.path(), &["--tls", "maybe"]),
        b"",
    )
    .expect_code(2);
}

#[test]
fn programs_that_know_the_id_of_the_relay_speak_tls_to_it_alone() {
    let mut relay = relay(&["--tls", "required"]);
    let id = id(&mut relay);
    let share = folder(&[("hello.txt", b"Hello, Peerline!\n")]);
    let node = node(&relay, share.path(), &["--relay-id", &id]);
    let listed = ask(tls_proxy(relay.address()), b"LIST\n");
    let registered = format!("NODES 1\n{} sha256//", node.wire_address());
    assert!(listed.starts_with(&registered), "{listed}");
    let fetched = client(&relay, &["--relay-id", &id, "get", "hello.txt"]);
    assert_eq!(fetched.expect_code(0).text(), "Hello, Peerline!\n");
    let listed = client(&relay, &["ls", "--relay-id", &id]).expect_code(0);
    assert!(listed.text().contains(" hello.txt"), "{}", listed.text());
    // Without the id, nothing is encrypted.
    let refused = client(&relay, &["ls"]).expect_code(3);
    assert!(refused.stderr.contains("TLS only"), "{}", refused.stderr);
    drop(node);
    relay.log_until(", TLS, ");
}

#[test]
fn a_relay_with_another_key_or_without_tls_gets_no_request() {
    let mut first = relay(&[]);
    let id = id(&mut first);
    let state = State::new();
    let other = Server::start(state.relay(&[]));
    let refused = client(&other, &["ls", "--relay-id", &id]).expect_code(3);
    let why = "does not match --relay-id; it has a new key, or another server answers";
    assert!(refused.stderr.contains(why), "{}", refused.stderr);
    let log = other.log_until("TLS failed");
    assert!(log.contains("0 requests, TLS, 0 B in, 0 B out"), "{log}");
    let plain = relay(&["--tls", "off"]);
    let refused = client(&plain, &["ls", "--relay-id", &id]).expect_code(3);
    let why = "the other side does not speak TLS";
    assert!(refused.stderr.contains(why), "{}", refused.stderr);
    plain.log_until("other protocol: TLS");
    let share = folder(&[]);
    let node = unlisted_node(other.address(), share.path(), &["--relay-id", &id]);
    node.log_until("does not match --relay-id");
    assert_eq!(ask(other.address(), b"LIST\n"), "NODES 0\n");
    for args in [
        &["--relay-id", "sha256//x", "ls"][..],
        &["--relay-id", &id, "--udp", "ls"],
    ] {
        client(&first, args).expect_code(2);
    }
}

#[test]
fn messages_pass_a_relay_that_requires_tls() {
    let mut relay = relay(&["--tls", "required"]);
    let id = id(&mut relay);
    let share = folder(&[]);
    let flags = ["--relay-id", &id, "--listen-messages"];
    let node = node(&relay, share.path(), &flags);
    node.log_until("messages to ");
    let (ip, port) = (
        node.address().ip().to_string(),
        node.address().port().to_string(),
    );
    client(&relay, &["send", "--relay-id", &id, &ip, &port, "hi"]).expect_code(0);
    node.log_until("hi");
}
