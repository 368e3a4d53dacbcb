//! Servers with a secret: what they answer without it, how people and programs show it, and
//! who cannot.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use peerline::protocol::{Proof, Prover, SharedSecret, Verb};
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ClientConnection, ServerConfig, ServerConnection, StreamOwned};

use crate::support::{
    HttpResponse, Nc, SECRET, SecretFile, Server, TLS_STATE, ask, client_command, eventually,
    folder, has, http, node_command, noise, relay, relay_command, run, s_client, server_id,
    tls_proxy, tls_session, unlisted_node,
};

const OTHER: &str = "correct horse staple";

const NEEDED: &str = "ERROR 401 a secret is needed; type AUTH secret";
const WRONG: &str = "ERROR 401 wrong secret";

/// A relay with the secret.
fn secret_relay(args: &[&str]) -> Server {
    let mut command = relay_command(args);
    command.env("PEERLINE_SECRET", SECRET);
    Server::start(command)
}

/// A node with the secret, which need not register.
fn secret_node(relay: &Server, share: &Path, args: &[&str]) -> Server {
    let mut command = node_command(relay.address(), share, args);
    command
        .env("PEERLINE_SECRET", SECRET)
        .env("XDG_STATE_HOME", TLS_STATE);
    Server::start(command)
}

#[test]
fn without_the_secret_nothing_is_answered_that_tells_something() {
    let relay = secret_relay(&[]);
    let share = folder(&[("five.txt", b"Hello")]);
    let node = secret_node(&relay, share.path(), &[]);
    for (server, kind, verbs) in [(&relay, "relay", 20), (&node, "node", 14)] {
        let mut nc = Nc::connect(server.address());
        let banner = format!("OK peerline {kind}, a secret is needed; HELP lists the commands");
        assert_eq!(nc.ask(""), banner);
        assert_eq!(nc.ask("PING"), "PONG");
        assert_eq!(nc.ask("HELP"), format!("HELP {verbs}"));
        for _ in 0..verbs {
            nc.line();
        }
        for request in [
            "REGISTER * 9",
            "UNREGISTER * 9",
            "LIST",
            "SHARE 1 - a",
            "UNSHARE a",
            "FIND five.txt",
            "SEARCH",
            "MORE",
            "LISTEN",
            "WHO",
            "SEND 127.0.0.1 9 hi",
            "GET five.txt",
            "RANGE 0 1 - five.txt",
            "PIECES five.txt",
            "DIGEST five.txt",
            "STAT five.txt",
            "STATS",
            "CONNECTIONS",
        ] {
            assert_eq!(nc.ask(request), NEEDED, "{request}");
        }
        assert_eq!(nc.ask("QUIT"), "OK bye");
    }
}

#[test]
fn people_type_the_secret_and_no_log_shows_it() {
    let relay = secret_relay(&["--log-level", "debug"]);
    let share = folder(&[("five.txt", b"Hello")]);
    let node = secret_node(&relay, share.path(), &["--log-level", "debug"]);
    for server in [&relay, &node] {
        let mut nc = Nc::connect(server.address());
        assert_eq!(nc.ask(&format!("AUTH {OTHER}")), WRONG);
        assert_eq!(
            nc.ask("AUTH"),
            "ERROR 400 usage: AUTH secret; the secret is missing"
        );
        assert_eq!(nc.ask("LIST"), NEEDED);
        assert_eq!(nc.ask(&format!("auth   {SECRET} ")), "OK");
        let list = nc.ask("LIST");
        assert!(
            list.starts_with("NODES ") || list.starts_with("FILES "),
            "{list}"
        );
        // Another connection has to show it again.
        assert_eq!(ask(server.address(), b"LIST\n"), format!("{NEEDED}\n"));
        drop(nc);
        let log = server.log_until("5 requests, last LIST");
        assert_eq!(
            log.matches("127.0.0.1: wrong secret (AUTH)").count(),
            1,
            "{log}"
        );
        assert!(!log.contains("horse"), "{log}");
    }
    // A server without a secret takes none.
    let open = Server::start(relay_command(&[]));
    let refused = "ERROR 501 no secret is needed here\n";
    let reply = ask(open.address(), format!("AUTH {SECRET}\nPING\n").as_bytes());
    assert_eq!(reply, format!("{refused}PONG\n"));
}

#[test]
fn openssl_s_client_takes_the_secret() {
    if !has("openssl") {
        return;
    }
    let relay = secret_relay(&[]);
    let lines = format!("LIST\nAUTH {SECRET}\nLIST\nQUIT\n");
    let reply = s_client(relay.address(), &lines);
    assert_eq!(reply, format!("{NEEDED}\nOK\nNODES 0\nOK bye\n"));
}

/// A connection to a server over TLS, and the value that both of its ends share.
struct TlsNc {
    stream: BufReader<StreamOwned<ClientConnection, TcpStream>>,
    exporter: [u8; 32],
}

impl TlsNc {
    fn connect(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).expect("it listens");
        let mut session = tls_session();
        while session.is_handshaking() {
            session.complete_io(&mut stream).expect("a handshake");
        }
        let exporter = session
            .export_keying_material([0; 32], b"EXPORTER-Peerline-PROVE", None)
            .expect("the handshake is complete");
        let stream = BufReader::new(StreamOwned::new(session, stream));
        Self { stream, exporter }
    }

    fn ask(&mut self, line: &str) -> String {
        let stream = self.stream.get_mut();
        stream
            .write_all(format!("{line}\n").as_bytes())
            .expect("it reads");
        let mut reply = String::new();
        self.stream.read_line(&mut reply).expect("a line");
        reply.trim_end().to_owned()
    }

    fn proof(&self, secret: &str, prover: Prover) -> Proof {
        let secret = SharedSecret::new(secret).expect("a secret");
        secret.proof(prover, &self.exporter)
    }
}

#[test]
fn a_proof_is_good_for_one_connection_and_one_side() {
    let relay = secret_relay(&["--guess-rate", "100"]);
    let mut first = TlsNc::connect(relay.address());
    let right = first.proof(SECRET, Prover::Client);
    for wrong in [
        first.proof(OTHER, Prover::Client),
        first.proof(SECRET, Prover::Server),
    ] {
        assert_eq!(first.ask(&format!("PROVE {wrong}")), WRONG);
        assert_eq!(first.ask("LIST"), NEEDED);
    }
    assert_eq!(
        first.ask("PROVE x"),
        "ERROR 400 usage: PROVE hex; a proof has 64 hexadecimal digits; people type AUTH secret"
    );
    let server = first.proof(SECRET, Prover::Server);
    assert_eq!(first.ask(&format!("PROVE {right}")), format!("OK {server}"));
    assert_eq!(first.ask("LIST"), "NODES 0");
    // Replayed on another connection, by another client or by the same.
    let mut second = TlsNc::connect(relay.address());
    assert_eq!(second.ask(&format!("PROVE {right}")), WRONG);
    assert_eq!(second.ask("LIST"), NEEDED);
    // It stays good where it was shown.
    assert_eq!(first.ask("LIST"), "NODES 0");
    let mut plain = Nc::connect(relay.address());
    assert_eq!(
        plain.ask(&format!("PROVE {right}")),
        "ERROR 426 a proof needs TLS"
    );
    assert_eq!(plain.ask("LIST"), NEEDED);
    relay.log_until_count("127.0.0.1: wrong secret (PROVE)", 3);
}

#[test]
fn who_guesses_too_often_has_to_wait() {
    let relay = secret_relay(&["--guess-rate", "2"]);
    let mut nc = Nc::connect(relay.address());
    let guess = |nc: &mut Nc| nc.ask(&format!("AUTH {OTHER}"));
    let limited = "ERROR 429 too many wrong secrets; the limit is 2 per second, try again later";
    eventually("a guess is refused", || guess(&mut nc) == limited);
    nc.send(format!("AUTH {OTHER}\n").repeat(100));
    let replies: Vec<String> = (0..100).map(|_| nc.line()).collect();
    let counted = replies.iter().filter(|reply| *reply == limited).count();
    assert!(counted > 50, "{replies:?}");
    // At another address nobody waits.
    let mut other = Nc::connect_from("127.0.0.2", relay.address());
    assert_eq!(other.ask(&format!("AUTH {SECRET}")), "OK");
    let right = || http_with(relay.address(), "/api/nodes", SECRET);
    eventually("the right secret counts again", || right().status == 200);
    for _ in 0..100 {
        let response = http_with(relay.address(), "/api/nodes", OTHER);
        if response.status == 429 {
            assert_eq!(response.header("retry-after"), Some("1"));
            return;
        }
        assert_eq!(response.status, 401);
    }
    panic!("HTTP has no limit");
}

/// Sends one request in HTTP with this password.
fn http_with(address: SocketAddr, target: &str, password: &str) -> HttpResponse {
    use base64::Engine;
    let credentials = format!("somebody:{password}");
    let credentials = base64::engine::general_purpose::STANDARD.encode(credentials);
    http(
        address,
        "GET",
        target,
        &format!("Authorization: Basic {credentials}\r\n"),
    )
}

#[test]
fn http_takes_the_secret_as_the_password_of_each_request() {
    let relay = secret_relay(&["--guess-rate", "1000"]);
    let share = folder(&[("five.txt", b"Hello")]);
    let node = secret_node(&relay, share.path(), &[]);
    let for_browser = "A secret is needed: write it as the password, with any user name";
    let for_curl = "a secret is needed: curl --user :SECRET";
    for (server, target) in [(&relay, "/api/files"), (&relay, "/"), (&node, "/five.txt")] {
        let address = server.address();
        for (headers, accepts, text) in [
            ("Accept: text/html\r\n", "text/html", for_browser),
            ("Accept: application/json\r\n", "application/json", for_curl),
        ] {
            let response = http(address, "GET", target, headers);
            assert_eq!(response.status, 401, "{target}");
            let challenge = "Basic realm=\"Peerline\", charset=\"UTF-8\"";
            assert_eq!(response.header("www-authenticate"), Some(challenge));
            let media_type = response.header("content-type").expect("a type");
            assert!(media_type.starts_with(accepts), "{media_type}");
            assert!(response.text().contains(text), "{}", response.text());
        }
        for credentials in [
            "Basic",
            "Basic %",
            "Basic Og==",
            "Bearer Og==",
            "Basic eA==",
        ] {
            let headers = format!("Authorization: {credentials}\r\n");
            assert_eq!(http(address, "GET", target, &headers).status, 401);
        }
        assert_eq!(http_with(address, target, OTHER).status, 401);
        assert_eq!(http_with(address, target, SECRET).status, 200);
    }
    assert_eq!(
        http_with(node.address(), "/five.txt", SECRET).text(),
        "Hello"
    );
    // Another request on the same connection may be that of somebody else.
    let mut nc = Nc::connect(node.address());
    let credentials = "Authorization: Basic OmNvcnJlY3QgaG9yc2UgYmF0dGVyeQ==\r\n";
    for (headers, status) in [(credentials, 200), ("", 401), (credentials, 200)] {
        nc.send(format!(
            "GET /five.txt HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n"
        ));
        assert_eq!(HttpResponse::read(&mut nc, false).status, status);
    }
}

#[test]
fn curl_takes_the_secret() {
    if !has("curl") {
        return;
    }
    let mut relay = secret_relay(&[]);
    let id = server_id(&mut relay);
    let url = format!("https://{}/api/nodes", relay.address());
    let curl = |user: &str| {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--fail", "--insecure"]);
        command.args(["--pinnedpubkey", &id, "--user", user, &url]);
        run(command, b"")
    };
    let nodes = curl(&format!("me:{SECRET}")).expect_code(0).text();
    assert!(nodes.contains("\"total\":0"), "{nodes}");
    // 22: the status is an error.
    curl(&format!("me:{OTHER}")).expect_code(22);
}

#[test]
fn a_relay_with_a_secret_answers_no_datagrams() {
    let relay = secret_relay(&[]);
    assert!(!relay.first_line.contains("UDP"), "{}", relay.first_line);
    relay.log_until("UDP is off: a secret needs TLS");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.connect(relay.address()).expect("an address");
    // The first datagram is sent before the system knows that nobody listens.
    socket.send(b"LIST\n").expect("it is sent");
    let error = socket.recv(&mut [0; 2000]).expect_err("no answer");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_secret_that_others_can_read_or_guess_is_refused() {
    let refused = |file: &SecretFile, why: &str, code: i32| {
        let path = file.path();
        let flags = ["--secret-file", &path];
        let commands = [
            relay_command(&flags),
            node_command(([127, 0, 0, 1], 1).into(), file.folder(), &flags),
            client_command(([127, 0, 0, 1], 1).into(), &["ls", "--secret-file", &path]),
        ];
        for command in commands {
            let output = run(command, b"").expect_code(code);
            assert!(output.stderr.contains(why), "{why}: {}", output.stderr);
            assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
        }
    };
    let file = SecretFile::new(SECRET);
    for mode in [0o644, 0o640, 0o604, 0o620] {
        file.set_mode(mode);
        refused(&file, &format!("write chmod 600 {}", file.path()), 11);
    }
    for (content, why) in [
        (
            &b""[..],
            "a secret has at least 16 bytes; make one by: openssl",
        ),
        (b"fifteen bytes..\n", "a secret has at least 16 bytes"),
        (
            b"first line......\nsecond\n",
            "a secret is one line of text",
        ),
        (
            b" begins with a blank",
            "neither begins nor ends with a blank",
        ),
        (b"\xff0123456789abcdef", "the secret is not UTF-8"),
        (&[b'x'; 300], "a secret has at most 256 bytes"),
    ] {
        refused(&SecretFile::new(content), why, 11);
    }
    // Editors end the line, in one way or the other.
    for content in [format!("{SECRET}\n"), format!("{SECRET}\r\n")] {
        let file = SecretFile::new(content);
        let relay = relay(&["--secret-file", &file.path()]);
        let reply = ask(relay.address(), format!("AUTH {SECRET}\nLIST\n").as_bytes());
        assert_eq!(reply, "OK\nNODES 0\n");
    }
    let mut command = relay_command(&[]);
    command.env("PEERLINE_SECRET", "short");
    let output = run(command, b"").expect_code(11);
    let why = "PEERLINE_SECRET: a secret has at least 16 bytes";
    assert!(output.stderr.contains(why), "{}", output.stderr);
}

#[test]
fn a_secret_needs_tls() {
    let file = SecretFile::new(SECRET);
    let path = file.path();
    let address = ([127, 0, 0, 1], 1).into();
    for command in [
        relay_command(&["--secret-file", &path, "--tls", "off"]),
        node_command(
            address,
            file.folder(),
            &["--secret-file", &path, "--tls", "off"],
        ),
        node_command(address, file.folder(), &["--secret-file", &path, "--udp"]),
        client_command(address, &["--secret-file", &path, "--udp", "ls"]),
    ] {
        let output = run(command, b"").expect_code(2);
        assert!(
            output.stderr.contains("a secret needs TLS; leave"),
            "{}",
            output.stderr
        );
    }
}

/// The client with this secret, and with these arguments after the relay's address.
fn client_with(relay: SocketAddr, secret: Option<&str>, args: &[&str]) -> Command {
    let mut command = client_command(relay, args);
    command.envs(secret.map(|secret| ("PEERLINE_SECRET", secret)));
    command.env("XDG_STATE_HOME", TLS_STATE);
    command
}

#[test]
fn programs_prove_that_they_know_the_secret() {
    let mut relay = secret_relay(&[]);
    let id = server_id(&mut relay);
    let share = folder(&[("five.txt", b"Hello")]);
    let node = secret_node(
        &relay,
        share.path(),
        &["--relay-id", &id, "--listen-messages"],
    );
    node.log_until("registered as");
    node.log_until("messages to ");
    let ls = ["ls", "--relay-id", &id];
    let listed = run(client_with(relay.address(), Some(SECRET), &ls), b"").expect_code(0);
    assert!(listed.text().contains(" five.txt"), "{}", listed.text());
    let (ip, port) = (
        node.address().ip().to_string(),
        node.address().port().to_string(),
    );
    let send = ["send", "--relay-id", &id, &ip, &port, "hi"];
    run(client_with(relay.address(), Some(SECRET), &send), b"").expect_code(0);
    node.log_until("hi");
    for (secret, why) in [
        (
            Some(OTHER),
            "the server refused the secret: error 401: wrong secret; give its secret by \
             --secret-file FILE or PEERLINE_SECRET\n",
        ),
        (
            None,
            "error 401: a secret is needed; write --secret-file FILE, with the secret",
        ),
    ] {
        let output = run(client_with(relay.address(), secret, &ls), b"").expect_code(3);
        assert!(output.stderr.contains(why), "{}", output.stderr);
        assert!(!output.stderr.contains("running"), "{}", output.stderr);
    }
    let stranger = Server::start(node_command(
        relay.address(),
        share.path(),
        &["--relay-id", &id],
    ));
    stranger.log_until("the relay says 401 a secret is needed; write --secret-file FILE");
    let open = Server::start(relay_command(&[]));
    let output = run(client_with(open.address(), Some(SECRET), &ls), b"").expect_code(3);
    let why = "the server refused the secret: error 501: no secret is needed here; leave out \
               --secret-file and PEERLINE_SECRET\n";
    assert!(output.stderr.contains(why), "{}", output.stderr);
}

/// A server of TLS that somebody else runs: its id, its address, and what `script` returns
/// after the first connection. The script gets the first line, and answers it.
fn hostile_server<V: Send + 'static>(
    script: impl FnOnce(&str) -> (String, V) + Send + 'static,
) -> (String, SocketAddr, JoinHandle<(V, String)>) {
    let made = rcgen::generate_simple_self_signed(["x".to_owned()]).expect("a key");
    let pem = format!("{}{}", made.signing_key.serialize_pem(), made.cert.pem());
    let identity = peerline::tls::Identity::from_pem(pem.as_bytes(), pem.as_bytes());
    let id = identity.expect("an identity").id().to_string();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the version is known")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a certificate");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let thread = thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a connection");
        let session = ServerConnection::new(Arc::new(config)).expect("random bytes");
        let mut stream = BufReader::new(StreamOwned::new(session, stream));
        let mut line = String::new();
        stream.read_line(&mut line).expect("a line");
        let (reply, value) = script(line.trim_end());
        let sent = stream.get_mut().write_all(format!("{reply}\n").as_bytes());
        sent.expect("the client reads");
        let mut rest = String::new();
        // The client may close in any way.
        let _ = stream.read_to_string(&mut rest);
        (value, rest)
    });
    (id, address, thread)
}

#[test]
fn who_forwards_a_proof_is_not_let_in_and_gets_no_request() {
    let relay = secret_relay(&[]);
    let share = folder(&[("five.txt", b"Hello")]);
    let node = secret_node(&relay, share.path(), &[]);
    for (real, is_node) in [(relay.address(), false), (node.address(), true)] {
        let (id, address, thread) = hostile_server(move |proof| {
            assert!(proof.starts_with("PROVE "), "{proof}");
            let mut nc = TlsNc::connect(real);
            let reply = nc.ask(proof);
            let list = nc.ask("LIST");
            (reply.clone(), (reply, list))
        });
        let mut command = client_with(address, Some(SECRET), &["ls", "--relay-id", &id]);
        if is_node {
            let get = ["get", "five.txt", "--node-id", &id];
            command = Command::new(env!("CARGO_BIN_EXE_peer-client"));
            command.args(["--from", &address.to_string()]).args(get);
            command.env("PEERLINE_SECRET", SECRET);
        }
        let output = run(command, b"").expect_code(3);
        assert!(
            output.stderr.contains("the server refused the secret"),
            "{}",
            output.stderr
        );
        assert!(output.stdout.is_empty());
        let ((reply, list), rest) = thread.join().expect("it has served");
        assert_eq!(
            (reply.as_str(), list.as_str(), rest.as_str()),
            (WRONG, NEEDED, "")
        );
    }
}

#[test]
fn a_server_that_does_not_know_the_secret_gets_no_request() {
    for reply in [
        "OK".to_owned(),
        format!("OK {}", "0".repeat(64)),
        "echo".to_owned(),
        "NODES 1\n127.0.0.1 9".to_owned(),
    ] {
        let (id, address, thread) = hostile_server(move |proof| match reply.as_str() {
            "echo" => (proof.replacen("PROVE", "OK", 1), ()),
            _ => (reply, ()),
        });
        let command = client_with(address, Some(SECRET), &["ls", "--relay-id", &id]);
        let output = run(command, b"").expect_code(3);
        let why = "the server has not proved that it knows the secret; is its secret the same?\n";
        assert!(output.stderr.contains(why), "{}", output.stderr);
        let ((), rest) = thread.join().expect("it has served");
        assert_eq!(rest, "", "no request");
    }
}

#[test]
fn over_tls_the_same_gates_are_shut() {
    let relay = secret_relay(&[]);
    let share = folder(&[("five.txt", b"Hello")]);
    let node = secret_node(&relay, share.path(), &[]);
    for server in [&relay, &node] {
        let mut nc = Nc::connect(tls_proxy(server.address()));
        for verb in Verb::ALL {
            let reply = nc.ask(verb.word());
            match verb {
                Verb::Help => (1..=reply[5..].parse().expect("a number")).for_each(|_: u32| {
                    nc.line();
                }),
                Verb::Quit => assert_eq!(reply, "OK bye"),
                Verb::Ping => assert_eq!(reply, "PONG"),
                // Forms are shown to everybody.
                _ => assert!(
                    reply == NEEDED || reply.starts_with("ERROR 400 usage: "),
                    "{}: {reply}",
                    verb.word()
                ),
            }
        }
    }
}

/// A state folder of the test: its programs know no relay.
struct State(tempfile::TempDir);

impl State {
    fn of(&self, mut command: Command) -> Command {
        command.env("XDG_STATE_HOME", self.0.path());
        command
    }
}

#[test]
fn files_are_fetched_with_the_secret_alone() {
    let state = State(folder(&[]));
    let relay = secret_relay(&[]);
    let large = noise(20 << 20, 3);
    let share = folder(&[("five.txt", b"Hello"), ("large", &large)]);
    let nodes = [0, 1].map(|_| {
        let mut command = node_command(relay.address(), share.path(), &["--no-hash-cache"]);
        command.env("PEERLINE_SECRET", SECRET);
        let node = Server::start(state.of(command));
        node.log_until("registered as");
        node
    });
    let client =
        |secret, args: &[&str]| run(state.of(client_with(relay.address(), secret, args)), b"");
    let fetched = client(Some(SECRET), &["get", "five.txt"]).expect_code(0);
    assert_eq!(fetched.text(), "Hello");
    assert!(fetched.stderr.contains("encrypted"), "{}", fetched.stderr);
    let target = folder(&[]);
    let target_path = target.path().to_str().expect("a temporary name is text");
    let save = ["get", "large", "five.txt", "-d", target_path];
    client(Some(SECRET), &save).expect_code(0);
    assert!(fs::read(target.path().join("large")).expect("it is saved") == large);
    let mut direct = Command::new(env!("CARGO_BIN_EXE_peer-client"));
    let address = nodes[0].address().to_string();
    direct.args(["--from", &address, "get", "five.txt"]);
    direct.env("PEERLINE_SECRET", SECRET);
    assert_eq!(run(direct, b"").expect_code(0).text(), "Hello");
    // The prompt reads commands from a pipe.
    let mut prompt = client_command(relay.address(), &[]);
    prompt.env("PEERLINE_SECRET", SECRET);
    let output = run(state.of(prompt), b"search five\nget five.txt\n").expect_code(0);
    assert!(output.text().contains("Hello"), "{}", output.text());
    for secret in [Some(OTHER), None] {
        let output = client(secret, &["get", "five.txt"]);
        assert_ne!(output.code, Some(0), "{}", output.stderr);
        assert_eq!(output.text(), "");
    }
    for node in &nodes {
        let log = node.log();
        assert!(!log.contains("wrong secret"), "{log}");
    }
}

#[test]
fn a_console_fetches_with_the_secret() {
    let state = State(folder(&[]));
    let relay = secret_relay(&[]);
    let (share, other_share) = (folder(&[("five.txt", b"Hello")]), folder(&[]));
    let mut command = node_command(relay.address(), share.path(), &[]);
    command.env("PEERLINE_SECRET", SECRET);
    let node = Server::start(state.of(command));
    node.log_until("registered as");
    let mut command = node_command(relay.address(), other_share.path(), &["--console"]);
    command.env("PEERLINE_SECRET", SECRET);
    let mut other = Server::start_with_stdin(state.of(command));
    other.enter("get five.txt");
    let copy = other_share.path().join("five.txt");
    eventually("the other node has the file", || {
        fs::read(&copy).is_ok_and(|content| content == b"Hello")
    });
    let (ip, port) = (node.address().ip(), node.address().port());
    other.enter(&format!("send {ip} {port} hi"));
    other.close_stdin();
}

#[test]
fn a_node_outside_the_group_gets_no_request_of_a_member() {
    let state = State(folder(&[]));
    let relay = secret_relay(&[]);
    let share = folder(&[("five.txt", b"Hello")]);
    let open = Server::start(relay_command(&[]));
    let outsider = unlisted_node(open.address(), share.path(), &[]);
    outsider.log_until("registered as");
    // Somebody with the secret announces the node of somebody else.
    let lines = format!(
        "AUTH {SECRET}\nREGISTER {}\nSHARE 5 - five.txt\n",
        outsider.wire_address()
    );
    let mut nc = Nc::connect(relay.address());
    nc.send(lines);
    assert_eq!(nc.line(), "OK");
    assert!(nc.line().starts_with("OK 60 "));
    assert_eq!(nc.line(), "OK");
    let command = client_with(relay.address(), Some(SECRET), &["get", "five.txt"]);
    let output = run(state.of(command), b"");
    assert_ne!(output.code, Some(0));
    assert!(
        output.stderr.contains("the server refused the secret"),
        "{}",
        output.stderr
    );
    let log = outsider.log_until("last PROVE");
    assert!(!log.contains("last GET"), "{log}");
}

#[test]
fn people_chat_with_the_secret_alone() {
    let (relay, file, state) = (
        secret_relay(&[]),
        SecretFile::new(SECRET),
        State(folder(&[])),
    );
    let share = folder(&[]);
    let flags = ["--listen-messages", "--secret-file", &file.path()];
    let node = Server::start(state.of(node_command(relay.address(), share.path(), &flags)));
    node.log_until("messages to ");
    let (ip, port) = (
        node.address().ip().to_string(),
        node.address().port().to_string(),
    );
    let chat = |secret: Option<&SecretFile>, text: &str| {
        let args = ["chat", &ip, &port, "--wait", "0.1"];
        let mut command = client_command(relay.address(), &args);
        if let Some(secret) = secret {
            command.args(["--secret-file", &secret.path()]);
        }
        run(state.of(command), text.as_bytes())
    };
    chat(Some(&file), "from a member\n").expect_code(0);
    node.log_until("from a member");
    for (secret, why) in [
        (None, "a secret is needed"),
        (Some(&SecretFile::new(OTHER)), "wrong secret"),
    ] {
        let output = chat(secret, "from a stranger\n").expect_code(3);
        assert!(output.stderr.contains(why), "{}", output.stderr);
    }
    relay.log_until_count("last PROVE", 1);
    assert!(!node.log().contains("stranger"), "{}", node.log());
}

#[test]
fn of_several_relays_only_those_with_the_same_secret_are_used() {
    let (file, state, share) = (
        SecretFile::new(SECRET),
        State(folder(&[])),
        folder(&[("a", b"A")]),
    );
    let member = secret_relay(&[]);
    let mut command = relay_command(&[]);
    command.env("PEERLINE_SECRET", OTHER);
    let others = [relay(&["--tls", "off"]), relay(&[]), Server::start(command)];
    let reasons = [
        "the other side does not speak TLS",
        "the server refused the secret: error 501: no secret is needed here",
        "the server refused the secret: error 401: wrong secret",
    ];
    // The order does not matter.
    let with_relays = |mut command: Command| {
        for relay in &others[1..] {
            command.args(["--relay", &relay.address().to_string()]);
        }
        command.args(["--relay", &member.address().to_string()]);
        command.args(["--secret-file", &file.path()]);
        state.of(command)
    };
    let node = Server::start(with_relays(node_command(
        others[0].address(),
        share.path(),
        &[],
    )));
    node.log_until("registered as");
    let log = reasons.map(|reason| node.log_until(reason));
    for (relay, reason) in others.iter().zip(reasons) {
        let told = log.iter().any(|log| {
            let mut lines = log.lines();
            lines.any(|line| line.contains(&relay.address().to_string()) && line.contains(reason))
        });
        assert!(told, "{reason}: {}", node.log());
    }
    let get = client_command(others[0].address(), &["get", "a"]);
    let output = run(with_relays(get), b"").expect_code(0);
    assert_eq!(output.text(), "A");
    for (relay, reason) in others.iter().zip(reasons) {
        let begin = format!("relay {}: ", relay.address());
        let lines = output.stderr.lines();
        let told: Vec<&str> = lines.filter(|line| line.starts_with(&begin)).collect();
        assert_eq!(told.len(), 1, "{}", output.stderr);
        assert!(told[0].contains(reason), "{}", output.stderr);
    }
    assert!(output.stderr.contains("encrypted"), "{}", output.stderr);
    // None of them got a request.
    for relay in &others {
        let log = relay.log();
        assert!(
            !log.contains("registered by") && !log.contains("last FIND"),
            "{log}"
        );
    }
}
