//! Start-up of the servers: the first line, and one error line with an exit code.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{
    DEADLINE, ProgramOutput, Server, ask, folder, node, relay, run, without_epochs,
};

const RELAY: &str = env!("CARGO_BIN_EXE_relay-server");
const CLIENT: &str = env!("CARGO_BIN_EXE_peer-client");
const NODE: &str = env!("CARGO_BIN_EXE_peer-node");

fn start(program: &str, args: &[&str]) -> ProgramOutput {
    let mut command = Command::new(program);
    command.args(args);
    run(command, b"")
}

/// Fails unless the program exits with `code` and one line on stderr that contains `why`.
#[track_caller]
fn assert_fails(program: &str, args: &[&str], code: i32, why: &str) {
    let output = start(program, args).expect_code(code);
    assert_eq!(output.text(), "", "no first line");
    // A wrong command line also gets a line about the help.
    let lines = if code == 2 { 2 } else { 1 };
    assert_eq!(output.stderr.lines().count(), lines, "{}", output.stderr);
    assert!(output.stderr.contains(why), "{}", output.stderr);
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary folder's name is text")
}

#[test]
fn a_port_in_use_is_reported() {
    let relay = relay(&[]);
    let port = relay.address().port().to_string();
    let why = "another program uses it; choose another port, or 0";
    assert_fails(RELAY, &[&port], 7, why);
    let share = folder(&[]);
    let share = text(share.path());
    let args = ["127.0.0.1", "9", "--port", &port, "--share", share];
    assert_fails(NODE, &args, 7, why);
}

#[test]
fn a_registry_at_a_path_that_is_no_socket_is_refused() {
    let home = folder(&[("file", b"")]);
    for path in [home.path().join("file"), home.path().to_owned()] {
        let url = format!("unix://{}", path.display());
        assert_fails(RELAY, &["0", "--registry", &url], 2, "not a socket");
    }
}

#[test]
fn an_address_of_another_machine_is_reported() {
    let why = "this machine does not have the address";
    assert_fails(RELAY, &["0", "--listen", "192.0.2.1"], 7, why);
}

#[test]
fn a_home_folder_is_shared_only_on_request() {
    let home = folder(&[("file", b"")]);
    let outside = folder(&[]);
    let above = home.path().parent().expect("it has one");
    for (current, is_refused) in [
        (home.path(), true),
        (above, true),
        (Path::new("/"), true),
        (outside.path(), false),
    ] {
        let mut command = Command::new(NODE);
        command.args(["127.0.0.1:9", "--listen", "192.0.2.1"]);
        command.current_dir(current).env("HOME", home.path());
        // It is the next thing that is wrong.
        let (code, why) = match is_refused {
            true => (
                2,
                "would be shared; write --share DIR, or --share . if you mean it",
            ),
            false => (7, "this machine does not have the address"),
        };
        let output = run(command, b"").expect_code(code);
        assert!(output.stderr.contains(why), "{}", output.stderr);
    }
    let mut command = Command::new(NODE);
    command.args(["127.0.0.1:9", "--share", "."]);
    command.current_dir(home.path()).env("HOME", home.path());
    let node = Server::start(command);
    assert!(
        node.first_line.contains("sharing 1 file"),
        "{}",
        node.first_line
    );
}

#[test]
fn a_share_that_is_not_a_folder_is_reported() {
    let folder = folder(&[("file", b"")]);
    for share in [folder.path().join("none"), folder.path().join("file")] {
        let args = ["127.0.0.1", "9", "--share", text(&share)];
        assert_fails(NODE, &args, 8, "--share takes a readable folder");
    }
}

#[test]
fn an_unresolvable_relay_name_is_reported() {
    // The domain "invalid" is reserved (RFC 6761, 6.4).
    let why = "cannot resolve name.invalid";
    assert_fails(CLIENT, &["name.invalid", "9", "ls"], 9, why);
}

#[test]
fn an_unreachable_listen_address_is_refused() {
    // The relay is on another machine, so its clients cannot reach a loopback address.
    // The check sends no packet.
    for listen in ["127.0.0.1", "::1"] {
        let args = ["192.0.2.1", "9", "--listen", listen];
        assert_fails(NODE, &args, 2, "--listen");
    }
}

#[test]
fn invalid_command_lines_are_usage_errors() {
    let relay: &[&[&str]] = &[
        &[],
        &["port"],
        &["65536"],
        &["0", "0"],
        &["0", "--listen", "localhost"],
        &["0", "--lease", "0"],
        &["0", "--lease", "1.5"],
        &["0", "--trust", "10.0.0.0/33"],
        &["0", "--max-line", "10"],
        &["0", "--max-connections", "0"],
        &["0", "--idle", "0"],
        &["0", "--stall", "-1"],
        &["0", "--drain", "nan"],
        &["0", "--no-such-flag"],
    ];
    let node: &[&[&str]] = &[
        &[],
        &["127.0.0.1"],
        &["127.0.0.1", "0"],
        &["127.0.0.1", "9", "--advertise", "me"],
        &["127.0.0.1", "9", "--max-files", "0"],
    ];
    for (program, lines) in [(RELAY, relay), (NODE, node)] {
        for args in lines {
            let output = start(program, args);
            assert_eq!(output.code, Some(2), "{args:?}: {}", output.stderr);
            assert_eq!(output.stderr.lines().count(), 2, "{}", output.stderr);
            assert!(output.stderr.contains("\nFor help: "), "{}", output.stderr);
            assert_eq!(output.text(), "");
        }
    }
}

#[test]
fn help_names_every_limit_and_an_example() {
    for program in [RELAY, NODE] {
        let help = start(program, &["--help"]).expect_code(0).text();
        for flag in [
            "--max-connections",
            "--max-line",
            "--max-unknown",
            "--max-queue",
            "--first-line",
            "--idle",
            "--stall",
            "--drain",
            "| nc -N 127.0.0.1 ",
        ] {
            assert!(help.contains(flag), "{flag} is not in {help}");
        }
        let version = start(program, &["--version"]).expect_code(0).text();
        assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
    }
}

#[test]
fn the_first_line_names_the_address() {
    let relay = relay(&[]);
    let address = relay.address();
    assert_eq!(
        relay.first_line,
        format!("relay-server listening on {address}, also over UDP\n")
    );
    let share = folder(&[("a", b"12"), ("b", b"345")]);
    let node = node(&relay, share.path(), &[]);
    let folder = share.path().canonicalize().expect("it is there");
    let expected = format!(
        "peer-node listening on {}, sharing 2 files (5 B) from {}\n",
        node.address(),
        folder.display()
    );
    assert_eq!(node.first_line, expected);
}

#[test]
fn an_ipv4_address_in_ipv6_form_is_the_ipv4_address() {
    let relay = relay(&["--listen", "::ffff:127.0.0.1"]);
    assert!(relay.address().is_ipv4(), "{}", relay.first_line);
    assert!(!relay.first_line.contains("open to the network"));
    assert_eq!(ask(relay.address(), b"PING\n"), "PONG\n");
}

#[test]
fn a_node_is_listed_under_the_address_it_listens_on() {
    let relay = relay(&[]);
    let share = folder(&[]);
    let node = node(&relay, share.path(), &["--listen", "127.0.0.2"]);
    let list = ask(relay.address(), b"LIST\n");
    assert_eq!(list, format!("NODES 1\n{}\n", node.wire_address()));
    assert!(node.wire_address().starts_with("127.0.0.2 "));
}

#[test]
fn undialable_addresses_cannot_be_advertised() {
    for address in ["0.0.0.0", "224.0.0.1", "relay"] {
        let output = start(NODE, &["127.0.0.1", "1", "--advertise", address]).expect_code(2);
        assert!(output.stderr.contains("--advertise"), "{}", output.stderr);
    }
}

#[test]
fn a_relay_listens_on_several_addresses_with_one_port() {
    let relay = relay(&["--listen", "127.0.0.1", "--listen", "127.0.0.5"]);
    let mut other = relay.address();
    other.set_ip([127, 0, 0, 5].into());
    let registered = ask(other, b"REGISTER * 9\n");
    assert_eq!(without_epochs(&registered), "OK 60 127.0.0.1 9 0\n");
    assert_eq!(ask(relay.address(), b"LIST\n"), "NODES 1\n127.0.0.1 9\n");
}

#[test]
fn the_first_lines_are_not_torn() {
    // Each write to this socket is a datagram of its own.
    let (stdout, receiver) = UnixDatagram::pair().expect("sockets");
    receiver
        .set_read_timeout(Some(DEADLINE))
        .expect("the socket is open");
    let mut relay = Command::new(RELAY)
        .arg("0")
        .stdout(OwnedFd::from(stdout))
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut buffer = [0; 1024];
    for begin in ["relay-server listening on ", "relay-server id "] {
        let length = receiver.recv(&mut buffer).expect("a line");
        let line = String::from_utf8_lossy(&buffer[..length]);
        assert!(line.starts_with(begin) && line.ends_with('\n'), "{line:?}");
    }
    relay.kill().expect("the program runs");
    relay.wait().expect("the program ends");
}
