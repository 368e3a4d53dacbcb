//! The file of known relays: a relay is trusted when it is first connected to. Later another
//! key, or no TLS, is refused, whatever somebody in the middle answers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::{fs, thread};

use tempfile::TempDir;

use crate::support::fake_server::FakeServer;
use crate::support::namespaces::{Machine, NEIGHBOUR};
use crate::support::{
    ProgramOutput, RunningProgram, Server, ask, client_command, folder, node_command, relay,
    relay_command, run,
};

/// The state folder of a user.
struct User(TempDir);

impl User {
    fn new() -> Self {
        Self(folder(&[]))
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("peerline/known_relays")
    }

    /// Writes the file.
    fn knows(&self, lines: &str) {
        fs::create_dir_all(self.file().parent().expect("a folder")).expect("a folder");
        fs::write(self.file(), lines).expect("a file");
    }

    fn content(&self) -> String {
        fs::read_to_string(self.file()).expect("the file is there")
    }

    fn client(&self, relay: SocketAddr, args: &[&str]) -> ProgramOutput {
        let mut command = client_command(relay, args);
        command.env("XDG_STATE_HOME", self.0.path());
        run(command, b"")
    }
}

/// The id that a server prints behind its addresses.
fn id(server: &mut Server) -> String {
    let line = server.line();
    let (_, id) = line.split_once(" id ").expect("an id");
    id.to_owned()
}

/// A relay with a key of its own on this port, and that it is told by its id.
fn relay_with_another_key(port: u16) -> (Server, String) {
    let state = folder(&[]);
    let mut command = relay_command(&["--tls", "auto"]);
    command.env("XDG_STATE_HOME", state.path());
    if port != 0 {
        command = Command::new(env!("CARGO_BIN_EXE_relay-server"));
        command
            .arg(port.to_string())
            .env("XDG_STATE_HOME", state.path());
    }
    let mut server = Server::start(command);
    let id = id(&mut server);
    (server, id)
}

/// Types what the client says.
fn follow_advice(refused: &str) {
    let (_, command) = refused.split_once("type ").expect("an advice");
    let command = command.lines().next().expect("a command");
    let status = Command::new("sh").args(["-c", command]).status();
    assert!(status.expect("a shell").success());
}

const OTHER_ID: &str = "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

#[test]
fn the_first_key_is_remembered_and_then_expected() {
    let (user, mut relay) = (User::new(), relay(&[]));
    let (id, address) = (id(&mut relay), relay.address());
    // On loopback, nobody is trusted unless the user says so.
    let plain = user.client(address, &["nodes"]).expect_code(0);
    assert_eq!(plain.stderr, "");
    assert!(!user.file().exists());
    let first = user.client(address, &["nodes", "--tls", "required"]);
    let first = first.expect_code(0).stderr;
    let told = format!("first connection to the relay {address}: compare its id, ");
    let path = user.file().display().to_string();
    assert!(first.contains(&told), "{first}");
    assert!(first.contains(&id) && first.contains(&path), "{first}");
    assert_eq!(user.content(), format!("{address} {id}\n"));
    let mode = |path: &Path| {
        fs::metadata(path)
            .expect("it is there")
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode(&user.file()), 0o600);
    assert_eq!(mode(user.file().parent().expect("a folder")), 0o700);
    // From now on, without being asked.
    for args in [&["nodes"][..], &["nodes", "--tls", "required"]] {
        let later = user.client(address, args).expect_code(0);
        assert_eq!(later.stderr, "");
    }
    relay.log_until_count("last LIST, TLS, ", 3);
    assert_eq!(user.content(), format!("{address} {id}\n"));
}

#[test]
fn a_changed_key_is_refused_until_its_line_is_removed() {
    let (user, first) = (User::new(), relay(&[]));
    let address = first.address();
    user.knows("# relays\n\n192.0.2.1:8888 sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    user.client(address, &["nodes", "--tls", "required"])
        .expect_code(0);
    assert_eq!(user.content().lines().count(), 4);
    drop(first);
    let (relay, id) = relay_with_another_key(address.port());
    for args in [&["nodes"][..], &["nodes", "--tls", "required"]] {
        let refused = user.client(address, args).expect_code(3).stderr;
        assert_eq!(refused.lines().count(), 1, "{refused}");
        let path = user.file().display().to_string();
        let why = format!("does not match line 4 of {path}; it has a new key, or another server");
        assert!(refused.contains(&why) && refused.contains(&id), "{refused}");
    }
    let log = relay.log_until_count("TLS failed", 2);
    assert_eq!(
        log.matches("0 requests, TLS, 0 B in, 0 B out").count(),
        2,
        "{log}"
    );
    // What the client says is what to type.
    let refused = user.client(address, &["nodes"]).expect_code(3).stderr;
    follow_advice(&refused);
    assert_eq!(user.content().lines().count(), 3, "{}", user.content());
    user.client(address, &["nodes", "--tls", "required"])
        .expect_code(0);
    assert!(user.content().ends_with(&format!("{address} {id}\n")));
    user.client(address, &["nodes"]).expect_code(0);
}

#[test]
fn plain_text_is_refused_until_all_lines_of_the_relay_are_removed() {
    let (user, relay) = (User::new(), relay(&[]));
    let address = relay.address();
    for flag in ["--tls=off", "--udp"] {
        user.knows(&format!(
            "{address} {OTHER_ID}\n# others\n{address} {OTHER_ID}\n"
        ));
        let refused = user.client(address, &["nodes", flag]).expect_code(2).stderr;
        follow_advice(&refused);
        assert_eq!(user.content(), "# others\n");
        user.client(address, &["nodes", flag]).expect_code(0);
    }
}

#[test]
fn a_relay_may_have_several_keys_and_be_named_in_any_case() {
    let (user, mut relay) = (User::new(), relay(&[]));
    let (id, port) = (id(&mut relay), relay.address().port());
    user.knows(&format!(
        "LocalHost:{port} {OTHER_ID}\nlocalhost:{port} {id}\n"
    ));
    let mut command = Command::new(env!("CARGO_BIN_EXE_peer-client"));
    command.args([&format!("LOCALHOST:{port}"), "nodes"]);
    command.env("XDG_STATE_HOME", user.0.path());
    run(command, b"").expect_code(0);
    relay.log_until("last LIST, TLS, ");
}

#[test]
fn a_relay_is_known_by_each_spelling_of_its_ip_address() {
    let user = User::new();
    for (known, named) in [
        ("127.0.0.1", "[::ffff:127.0.0.1]"),
        ("[::FFFF:7f00:1]", "127.0.0.1"),
        ("[::1]", "[0:0:0:0:0:0:0:1]"),
        ("[0::0:1]", "[::1]"),
    ] {
        user.knows(&format!("{known}:9 {OTHER_ID}\n"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_peer-client"));
        command.args([&format!("{named}:9"), "nodes", "--tls=off"]);
        command.env("XDG_STATE_HOME", user.0.path());
        let refused = run(command, b"").expect_code(2).stderr;
        follow_advice(&refused);
        assert_eq!(user.content(), "");
    }
}

/// Answers that somebody in the middle could give instead of the relay.
fn strippers() -> Vec<FakeServer> {
    let answers: [&'static [u8]; 5] = [
        b"ERROR 501 TLS\n",
        b"NODES 0\n",
        b"",
        b"\x15\x03\x03\x00\x02\x02\x28",
        b"ERROR 501 ",
    ];
    let answering = answers.map(|answer| {
        FakeServer::new(move |mut connection| {
            let mut first = [0];
            assert!(connection.read_exact(&mut first).is_err() || first == [0x16]);
            connection.send(answer);
        })
    });
    let resetting = FakeServer::new(|mut connection| {
        let mut first = [0];
        assert!(connection.read_exact(&mut first).is_err() || first == [0x16]);
        connection.reset();
    });
    answering.into_iter().chain([resetting]).collect()
}

#[test]
fn where_a_key_is_known_there_is_no_way_back_to_plain_text() {
    for middle in strippers() {
        let (user, address) = (User::new(), middle.address());
        user.knows(&format!("{address} {OTHER_ID}\n"));
        for args in [
            &["nodes"][..],
            &["nodes", "--tls", "required"],
            &["send", "127.0.0.1", "9", "secret"],
            &["send", "--wait", "1", "127.0.0.1", "9", "secret"],
            &["get", "secret"],
            &["nodes", "--relay-id", OTHER_ID],
        ] {
            user.client(address, args).expect_code(3);
        }
        // The script of the relay fails if it gets anything but TLS.
        assert!(middle.connections() >= 6);
        for flag in ["--tls=off", "--udp"] {
            let refused = user.client(address, &["nodes", flag]).expect_code(2).stderr;
            assert!(
                refused.contains("is not encrypted, but the key of"),
                "{refused}"
            );
            assert!(refused.contains("sed -i '1d'"), "{refused}");
        }
    }
}

#[test]
fn a_known_relay_without_tls_is_refused_until_its_line_is_removed() {
    let (user, share) = (User::new(), folder(&[]));
    let relay = relay(&["--tls", "off"]);
    let address = relay.address();
    user.knows(&format!("# relays\n{address} {OTHER_ID}\n"));
    let path = user.file().display().to_string();
    let why = |known: &str| {
        format!(
            "does not speak TLS, but the key of the relay is known from {known}; the relay was "
        )
    };
    let of_file = why(&format!("line 2 of {path}"));
    let refused = user.client(address, &["nodes"]).expect_code(3).stderr;
    assert_eq!(refused.lines().count(), 1, "{refused}");
    assert!(refused.contains(&of_file), "{refused}");
    let pinned = user.client(address, &["nodes", "--relay-id", OTHER_ID]);
    let pinned = pinned.expect_code(3).stderr;
    assert!(pinned.contains(&why("--relay-id")), "{pinned}");
    let mut command = node_command(address, share.path(), &[]);
    command.env("XDG_STATE_HOME", user.0.path());
    let node = Server::start(command);
    node.log_until(&of_file);
    // What the client says is what to type. A running node reads the file again.
    follow_advice(&refused);
    assert_eq!(user.content(), "# relays\n");
    user.client(address, &["nodes"]).expect_code(0);
    node.log_until("registered as");
}

#[test]
fn a_relay_must_speak_tls_if_that_is_required() {
    for middle in strippers() {
        let user = User::new();
        user.client(middle.address(), &["nodes", "--tls", "required"])
            .expect_code(3);
        assert!(!user.file().exists(), "nothing is remembered");
    }
    let (user, plain) = (User::new(), relay(&["--tls", "off"]));
    let refused = user.client(plain.address(), &["nodes", "--tls", "required"]);
    let refused = refused.expect_code(3).stderr;
    assert!(
        refused.contains("the other side does not speak TLS"),
        "{refused}"
    );
    for args in [
        &["nodes", "--udp", "--tls", "required"][..],
        &["nodes", "--relay-id", OTHER_ID, "--tls", "off"],
        &["nodes", "--tls", "maybe"],
    ] {
        user.client(plain.address(), args).expect_code(2);
    }
}

#[test]
fn an_answer_that_is_replayed_proves_nothing() {
    let (user, relay) = (User::new(), relay(&[]));
    let (address, record) = recording_proxy(relay.address());
    user.client(address, &["nodes", "--tls", "required"])
        .expect_code(0);
    let content = user.content();
    let record = record.lock().expect("no panic").clone();
    assert!(record.len() > 500, "a handshake and an answer");
    let replay = FakeServer::new(move |mut connection| {
        let mut first = [0];
        assert!(connection.read_exact(&mut first).is_err() || first == [0x16]);
        connection.send(&record);
        let _ = connection.read_to_end();
    });
    // Under the name of the relay.
    user.knows(&content.replace(&address.to_string(), &replay.address().to_string()));
    user.client(replay.address(), &["nodes"]).expect_code(3);
    // Nor is the key of the relay remembered for one who does not have it.
    let stranger = User::new();
    stranger
        .client(replay.address(), &["nodes", "--tls", "required"])
        .expect_code(3);
    assert!(!stranger.file().exists());
}

/// Passes connections on, and keeps what the server of the first one sends.
fn recording_proxy(server: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound");
    let record = Arc::new(Mutex::new(Vec::new()));
    let recorded = Arc::clone(&record);
    thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("a client");
        let mut server = TcpStream::connect(server).expect("it listens");
        let (mut from_client, mut to_server) = (
            client.try_clone().expect("a descriptor"),
            server.try_clone().expect("a descriptor"),
        );
        thread::spawn(move || std::io::copy(&mut from_client, &mut to_server));
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = server.read(&mut buffer) {
            recorded.lock().expect("no panic").extend(&buffer[..length]);
            if client.write_all(&buffer[..length]).is_err() {
                return;
            }
        }
    });
    (address, record)
}

#[test]
fn damaged_lines_are_told_and_those_of_the_relay_are_refused() {
    let (user, mut relay) = (User::new(), relay(&[]));
    let (id, address) = (id(&mut relay), relay.address());
    user.knows(&format!(
        "192.0.2.1:1\n{address} {id}\n192.0.2.2:1 x y\n\u{0}\n"
    ));
    let told = user.client(address, &["nodes"]).expect_code(0).stderr;
    let text = format!("{}: line 1 (and 2 more) is damaged", user.file().display());
    assert!(told.contains(&text), "{told}");
    relay.log_until("last LIST, TLS, ");
    for line in ["", &id[..20], &format!("{id} more"), "sha256//x"] {
        user.knows(&format!("# one\n{address} {line}\n"));
        let refused = user.client(address, &["nodes"]).expect_code(11).stderr;
        assert!(
            refused.contains("known_relays: line 2 is damaged"),
            "{refused}"
        );
        assert_eq!(refused.lines().count(), 1, "{refused}");
    }
    user.knows(&format!("{address} {id}\n"));
    for mode in [0o620, 0o602] {
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(user.file(), permissions).expect("it is ours");
        let refused = user.client(address, &["nodes"]).expect_code(11).stderr;
        assert!(refused.contains("write chmod 600 "), "{refused}");
    }
    fs::remove_file(user.file()).expect("it is ours");
    fs::create_dir(user.file()).expect("a folder");
    user.client(address, &["nodes"]).expect_code(11);
    fs::remove_dir(user.file()).expect("it is ours");
    // A file that is there, but cannot be read now, may have the key.
    symlink(user.file(), user.file()).expect("a loop of links");
    for args in [&["nodes"][..], &["nodes", "--tls", "required"]] {
        user.client(address, args).expect_code(11);
    }
}

#[test]
fn without_a_place_for_it_the_key_is_trusted_for_this_time() {
    let mut relay = relay(&[]);
    let id = id(&mut relay);
    for place in [Some("/dev/null"), Some("/proc"), None] {
        let mut command = client_command(relay.address(), &["nodes", "--tls", "required"]);
        match place {
            Some(place) => command.env("XDG_STATE_HOME", place),
            None => command.env_remove("XDG_STATE_HOME").env_remove("HOME"),
        };
        let told = run(command, b"").expect_code(0).stderr;
        assert!(
            told.contains(&id) && told.contains("(not remembered: "),
            "{told}"
        );
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

#[test]
fn several_programs_write_the_file_at_once() {
    let (user, relays) = (User::new(), [relay(&[]), relay(&[]), relay(&[])]);
    let clients: Vec<RunningProgram> = (0..12)
        .map(|index| {
            let args = ["nodes", "--tls", "required"];
            let mut command = client_command(relays[index % 3].address(), &args);
            command.env("XDG_STATE_HOME", user.0.path());
            RunningProgram::start(&mut command)
        })
        .collect();
    for mut client in clients {
        assert_eq!(client.wait(), Some(0));
    }
    let content = user.content();
    for relay in &relays {
        let begin = format!("{} sha256//", relay.address());
        assert_eq!(content.matches(&begin).count(), 1, "{content}");
    }
    assert_eq!(content.lines().count(), 3, "{content}");
    let files = fs::read_dir(user.0.path().join("peerline")).expect("a folder");
    assert_eq!(files.count(), 1, "no part is left");
}

#[test]
fn a_node_remembers_its_relay_from_within_its_sandbox() {
    let (user, share, first) = (User::new(), folder(&[]), relay(&[]));
    let address = first.address();
    drop(first);
    let start = || {
        let mut command = node_command(address, share.path(), &["--tls", "required"]);
        command.env("XDG_STATE_HOME", user.0.path());
        Server::start(command)
    };
    let node = start();
    node.log_until("still serving files, retrying");
    let (relay, id) = relay_with_another_key(address.port());
    node.log_until("registered as");
    let log = node.log_until("first connection to the relay");
    assert!(log.contains(&id), "{log}");
    assert_eq!(user.content(), format!("{address} {id}\n"));
    drop(node);
    drop(relay);
    // Another key: the node says so, and goes on trying.
    let (relay, _) = relay_with_another_key(address.port());
    let node = start();
    let log = node.log_until("does not match line 1 of ");
    assert!(log.contains("sed -i '1d'"), "{log}");
    assert_eq!(ask(relay.address(), b"LIST\n"), "NODES 0\n");
    user.knows("");
    drop(node);
    let node = start();
    node.log_until("registered as");
    assert!(user.content().starts_with(&address.to_string()));
}

/// Runs a script in a network of its own, in which 198.51.100.1 is an address of this machine.
/// None where the system does not allow that.
fn in_own_network(script: &str, user: &User) -> Option<ProgramOutput> {
    let network = "ip link set lo up && ip address add 198.51.100.1/32 dev lo";
    let is_possible = Command::new("unshare")
        .args(["-rmn", "sh", "-c", network])
        .status()
        .is_ok_and(|status| status.success());
    if !is_possible {
        eprintln!("skipped: no network of its own");
        return None;
    }
    let mut command = Command::new("unshare");
    let script = format!("{network}\n{script}");
    command.args(["-rmn", "bash", "-c", &script]);
    command.env("RELAY", env!("CARGO_BIN_EXE_relay-server"));
    command.env("CLIENT", env!("CARGO_BIN_EXE_peer-client"));
    command.env("XDG_STATE_HOME", user.0.path());
    Some(run(command, b""))
}

#[test]
fn a_relay_on_another_machine_is_trusted_on_first_use_and_told_once_if_it_speaks_no_tls() {
    let script = r#"
exec 3< <(exec "$RELAY" 8888 --listen 198.51.100.1 --log-level off --tls "$MODE")
relay=$!
read line <&3
for i in 1 2; do "$CLIENT" 198.51.100.1 8888 nodes || exit; done
"$CLIENT" 198.51.100.1 8888 send --wait 1 192.0.2.1 9 hello
echo "$?"
kill $relay
"#;
    let user = User::new();
    let Some(output) = in_own_network(&script.replace("$MODE", "auto"), &user) else {
        return;
    };
    assert_eq!(output.text(), "1\n", "{}", output.stderr);
    let told = output
        .stderr
        .matches("first connection to the relay")
        .count();
    assert_eq!(told, 1, "{}", output.stderr);
    assert!(user.content().starts_with("198.51.100.1:8888 sha256//"));
    let user = User::new();
    let output = in_own_network(&script.replace("$MODE", "off"), &user).expect("as before");
    assert_eq!(output.text(), "1\n", "{}", output.stderr);
    // Once for each program.
    let told = output
        .stderr
        .matches("speaks no TLS: nothing is encrypted")
        .count();
    assert_eq!(told, 3, "{}", output.stderr);
    assert!(!user.file().exists());
}

#[test]
fn a_node_speaks_tls_as_soon_as_its_relay_does_and_never_plain_text_again() {
    let Some(here) = Machine::new() else {
        return;
    };
    let there = here.neighbour();
    let start = |port: u16, mode: &str| {
        let mut command = there.command(env!("CARGO_BIN_EXE_relay-server"));
        let port = port.to_string();
        command.args([&port, "--listen", "0.0.0.0", "--lease", "3", "--tls", mode]);
        Server::start(command)
    };
    let mut relay = start(0, "off");
    let port = relay.address().port();
    let share = folder(&[]);
    let mut command = here.command(env!("CARGO_BIN_EXE_peer-node"));
    command.args([&format!("{NEIGHBOUR}:{port}"), "--no-hashes", "--share"]);
    let node = Server::start({
        command.arg(share.path());
        command
    });
    relay.log_until_count("last REGISTER", 3);
    relay.stop();
    drop(relay);
    let mut relay = start(port, "auto");
    let id = id(&mut relay);
    relay.log_until("last REGISTER, TLS");
    let log = node.log_until(&format!("compare its id, {id},"));
    let told = log.matches("speaks no TLS: nothing is encrypted").count();
    assert_eq!(told, 1, "{log}");
    let known = format!("{NEIGHBOUR}:{port} {id}\n");
    assert_eq!(
        fs::read_to_string(here.known_relays()).expect("a file"),
        known
    );
    relay.stop();
    drop(relay);
    let relay = start(port, "off");
    node.log_until("the other side does not speak TLS");
    let log = relay.log();
    assert!(!log.contains("registered by"), "{log}");
}

#[test]
fn two_relays_of_one_machine_have_their_own_keys() {
    let user = User::new();
    let relays = [0, 1].map(|_| relay_with_another_key(0));
    for (relay, id) in &relays {
        let args = ["nodes", "--tls", "required"];
        let told = user.client(relay.address(), &args).expect_code(0).stderr;
        assert!(told.contains(id), "{told}");
    }
    let [(first, _), (second, other)] = &relays;
    let line = |relay: &Server, id| format!("{} {id}\n", relay.address());
    // The key of one is none of the other's.
    user.knows(&(line(first, other) + &line(second, other)));
    user.client(first.address(), &["nodes"]).expect_code(3);
    user.client(second.address(), &["nodes"]).expect_code(0);
}

#[test]
fn a_running_node_reads_the_line_of_its_relay_again() {
    let (user, share) = (User::new(), folder(&[]));
    let (relay, id) = relay_with_another_key(0);
    let address = relay.address();
    user.knows(&format!("{address} {OTHER_ID}\n"));
    let mut command = node_command(address, share.path(), &[]);
    command.env("XDG_STATE_HOME", user.0.path());
    let node = Server::start(command);
    node.log_until("does not match line 1 of ");
    // As the log says.
    user.knows("");
    node.log_until("registered as");
    node.log_until(&format!("compare its id, {id},"));
    assert_eq!(user.content(), format!("{address} {id}\n"));
    relay.log_until("last REGISTER, TLS");
}
