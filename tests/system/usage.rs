//! Wrong command lines: each program says what is wrong, and what to write instead.

use std::process::Command;

use crate::support::{ProgramOutput, Server, client, folder, node, node_command, relay, run};

const RELAY: &str = env!("CARGO_BIN_EXE_relay-server");
const NODE: &str = env!("CARGO_BIN_EXE_peer-node");
const CLIENT: &str = env!("CARGO_BIN_EXE_peer-client");
const DEMO: &str = env!("CARGO_BIN_EXE_peerline");

fn start(program: &str, line: &str) -> ProgramOutput {
    let mut command = Command::new(program);
    // A quoted part is one word.
    for (index, part) in line.split('\'').enumerate() {
        match index % 2 {
            0 => command.args(part.split_whitespace()),
            _ => command.arg(part),
        };
    }
    run(command, b"")
}

/// Each command line is refused with exit code 2 and this text on stderr.
#[track_caller]
fn assert_refused(program: &str, table: &[(&str, &str)]) {
    let name = program.rsplit('/').next().unwrap_or(program);
    for (line, text) in table {
        let output = start(program, line);
        assert_eq!(output.code, Some(2), "{name} {line}: {}", output.stderr);
        assert_eq!(output.text(), "", "{name} {line}");
        let expected = format!("{name}: {text}");
        let first_line = output.stderr.lines().next().unwrap_or_default();
        assert_eq!(first_line, expected, "{name} {line}");
    }
}

#[test]
fn relay_server() {
    let port = "a port is a whole number from 0 to 65535";
    let local =
        "the port is the argument, the address a flag: relay-server 8888 --listen 127.0.0.1";
    let invalid =
        |value, argument, reason| format!("invalid value '{value}' for {argument}: {reason}");
    let levels = "the levels are off, error, warn, info and debug";
    let rows: Vec<(&str, String)> = vec![
        ("", "missing PORT: write it first: relay-server 8888".into()),
        (
            "--port 8899",
            "unknown flag --port: the port is the argument: relay-server 8899".into(),
        ),
        (
            "-p 8899",
            "unknown flag -p: the port is the argument: relay-server 8899".into(),
        ),
        (
            "--port=8899",
            "unknown flag --port: the port is the argument: relay-server 8899".into(),
        ),
        ("65536", invalid("65536", "PORT", port)),
        ("port", invalid("port", "PORT", port)),
        ("127.0.0.1:8888", invalid("127.0.0.1:8888", "PORT", local)),
        ("localhost", invalid("localhost", "PORT", local)),
        ("127.0.0.1 8888", format!("unexpected word '8888': {local}")),
        (
            "8888 127.0.0.1",
            format!("unexpected word '127.0.0.1': {local}"),
        ),
        (
            "8888 8889",
            "unexpected word '8889': the relay listens on one port".into(),
        ),
        (
            "0 --host ::1",
            "unknown flag --host: write --listen ADDR".into(),
        ),
        (
            "0 --leese 5",
            "unknown flag --leese: did you mean --lease?".into(),
        ),
        ("0 --lease", "--lease needs a value".into()),
        (
            "0 --lease 5 --lease 6",
            "--lease may be given only once".into(),
        ),
        (
            "0 --no-udp=yes",
            "--no-udp takes no value, but 'yes' was given".into(),
        ),
        (
            "0 --listen localhost",
            invalid(
                "localhost",
                "--listen",
                "write the address instead of the name: 127.0.0.1",
            ),
        ),
        (
            "0 --listen 0.0.0.0:8888",
            invalid(
                "0.0.0.0:8888",
                "--listen",
                "write the address without a port: 0.0.0.0",
            ),
        ),
        (
            "0 --listen *",
            invalid(
                "*",
                "--listen",
                "write 0.0.0.0 for all IPv4 addresses, :: for all addresses",
            ),
        ),
        (
            "0 --trust 10.0.0.0/33",
            invalid(
                "10.0.0.0/33",
                "--trust",
                "a network is an address or address/bits, such as 10.0.0.0/8",
            ),
        ),
        (
            "0 --lease 1m",
            invalid("1m", "--lease", "write the seconds without a unit: 60"),
        ),
        (
            "0 --lease 1.5",
            invalid(
                "1.5",
                "--lease",
                "write whole seconds from 1 to 86400 (one day)",
            ),
        ),
        (
            "0 --idle 0",
            invalid("0", "--idle", "the time must be longer than 0 seconds"),
        ),
        (
            "0 --max-line 4k",
            invalid("4k", "--max-line", "write the bytes without a unit: 4096"),
        ),
        (
            "0 --max-line 10",
            invalid("10", "--max-line", "write a whole number from 64 to 65536"),
        ),
        (
            "0 --max-nodes 1,000",
            invalid(
                "1,000",
                "--max-nodes",
                "write the number in digits only: 1000",
            ),
        ),
        (
            "0 --max-unknown 65536",
            invalid("65536", "--max-unknown", "the number is too large"),
        ),
        ("0 --log-level 3", invalid("3", "--log-level", levels)),
        (
            "0 --log-level warning",
            invalid("warning", "--log-level", &format!("{levels}; write warn")),
        ),
    ];
    let rows: Vec<(&str, &str)> = rows.iter().map(|(line, text)| (*line, &**text)).collect();
    assert_refused(RELAY, &rows);
}

#[test]
fn peer_node() {
    let missing = "missing RELAY: write its address: peer-node 127.0.0.1:8888 --share DIR";
    assert_refused(
        NODE,
        &[
            ("", missing),
            ("--share .", missing),
            (
                "127.0.0.1",
                "the relay's port is missing; write host and port, such as 127.0.0.1:8888",
            ),
            ("127.0.0.1:1 2", "the relay's port is given twice: 1 and 2"),
            (
                "127.0.0.1 0",
                "invalid value '0' for PORT: a port is a whole number from 1 to 65535",
            ),
            (
                "127.0.0.1 9 music",
                "unexpected word 'music': to share a folder: --share music",
            ),
            (
                "127.0.0.1:9 music",
                "unexpected word 'music': to share a folder: --share music",
            ),
            ("127.0.0.1:9 -d music", "unknown flag -d: write --share DIR"),
            ("127.0.0.1:9 -p 9001", "unknown flag -p: write --port PORT"),
            (
                "--relay 127.0.0.1:9",
                "unknown flag --relay: the relay's address is an argument: peer-node 127.0.0.1:8888",
            ),
            (
                "127.0.0.1:9 --port 65536",
                "invalid value '65536' for --port: a port is a whole number from 0 to 65535",
            ),
            (
                "127.0.0.1:9 --advertise me",
                "invalid value 'me' for --advertise: write an IPv4 or IPv6 address, such as \
                 192.0.2.1 or ::1",
            ),
            (
                "127.0.0.1:9 --hash-cache x --no-hash-cache",
                "--hash-cache and --no-hash-cache exclude each other",
            ),
            (
                "127.0.0.1:9 --max-kept 16MB",
                "invalid value '16MB' for --max-kept: write the bytes without a unit: 16000000",
            ),
        ],
    );
}

#[test]
fn the_address_of_the_relay() {
    let order = "write the host before the port, such as 127.0.0.1:8888";
    let rows: Vec<(&str, String)> =
        vec![
        (
            "",
            "missing RELAY: write its address: peer-client 127.0.0.1:8888 ls".into(),
        ),
        (
            "127.0.0.1 ls",
            "the relay's port is missing; write host and port, such as 127.0.0.1:8888".into(),
        ),
        (
            "::1:8888 ls",
            "the relay's port is missing; write host and port, such as [::1]:8888".into(),
        ),
        (
            "8888 127.0.0.1 ls",
            format!("invalid value '8888' for RELAY: {order}"),
        ),
        ("8888 ls", format!("invalid value '8888' for RELAY: {order}")),
        (":8888 ls", format!("invalid value ':8888' for RELAY: {order}")),
        (
            "http://relay:8888/ ls",
            "invalid value 'http://relay:8888/' for RELAY: write the address without http://: \
             relay:8888"
                .into(),
        ),
        (
            "127.0.0.1:65536 ls",
            "invalid value '127.0.0.1:65536' for RELAY: a port is a whole number from 1 to 65535"
                .into(),
        ),
        (
            "[::1 ls",
            "invalid value '[::1' for RELAY: write an IPv6 address with a port as [::1]:8888"
                .into(),
        ),
        (
            "ls",
            "missing RELAY: write its address before the command: peer-client 127.0.0.1:8888 ls"
                .into(),
        ),
        (
            "get a.txt 127.0.0.1 7777",
            "missing RELAY: write its address before the command: peer-client 127.0.0.1 7777 get \
             a.txt"
                .into(),
        ),
        (
            "get a.txt [::1]:7777",
            "missing RELAY: write its address before the command: peer-client [::1]:7777 get a.txt"
                .into(),
        ),
        (
            "--port 8888 127.0.0.1 ls",
            "unknown flag --port: the relay's address is an argument: peer-client 127.0.0.1:8888 \
             ls"
            .into(),
        ),
    ];
    let rows: Vec<(&str, &str)> = rows.iter().map(|(line, text)| (*line, &**text)).collect();
    assert_refused(CLIENT, &rows);
}

#[test]
fn peer_client() {
    assert_refused(
        CLIENT,
        &[
            ("a:1 lss", "unknown command 'lss': did you mean ls?"),
            ("a 1 lss", "unknown command 'lss': did you mean ls?"),
            (
                "a:1 fetch",
                "unknown command 'fetch': the command is get NAME",
            ),
            (
                "a:1 hello.txt",
                "unknown command 'hello.txt': to fetch a file of that name: get hello.txt",
            ),
            ("a:1 help gte", "unknown command 'gte'"),
            (
                "a:1 get",
                "missing NAME: write the name of a file: get hello.txt",
            ),
            (
                "a:1 find",
                "missing NAME: write the name of a file: find hello.txt",
            ),
            (
                "a:1 get ../x",
                "invalid value '../x' for NAME: a file name must be relative, and no part may be \
                 empty, . or ..",
            ),
            (
                "a:1 get --hash abc x",
                "invalid value 'abc' for --hash: a hash has 64 hex digits, not 3",
            ),
            (
                "a:1 get --hash 0x12 x",
                "invalid value '0x12' for --hash: a hash has 64 hex digits, and 'x' is no hex \
                 digit",
            ),
            (
                "a:1 get a b -o x",
                "-o takes one file, but there are several names; write -d DIR",
            ),
            (
                "a:1 get a -o x -d y",
                "--output and --dir exclude each other",
            ),
            (
                "a:1 -o x get a",
                "unknown flag -o: it is a flag of get; write it after get",
            ),
            (
                "a:1 ls --history x",
                "unknown flag --history: write it before ls",
            ),
            (
                "a:1 ls x",
                "unexpected word 'x': to search for a text: search x",
            ),
            (
                "a:1 search a b",
                "unexpected word 'b': write a text with blanks in quotes",
            ),
            (
                "a:1 send 127.0.0.1:9001 hi",
                "invalid value '127.0.0.1:9001' for IP: write address and port as two words: \
                 127.0.0.1 9001",
            ),
            (
                "a:1 send localhost 9001 hi",
                "invalid value 'localhost' for IP: write the address instead of the name: \
                 127.0.0.1",
            ),
            (
                "a:1 send 127.0.0.1 9001",
                "missing TEXT: write: send IP PORT 'TEXT'",
            ),
            (
                "a:1 send 127.0.0.1 9001 hello world",
                "unexpected word 'world': write the message in quotes",
            ),
            (
                "a:1 send 127.0.0.1 9001 ''",
                "invalid value '' for TEXT: the text is missing",
            ),
            ("a:1 chat 127.0.0.1", "missing PORT: write: chat IP PORT"),
            (
                "a:1 chat 127.0.0.1 9 hi",
                "unexpected word 'hi': chat reads messages from its input",
            ),
            ("a:1 -q -v ls", "--quiet and --verbose exclude each other"),
            (
                "a:1 --timeout 500ms ls",
                "invalid value '500ms' for --timeout: write the seconds without a unit: 0.5",
            ),
            ("a:1 --jsn ls", "unknown flag --jsn: did you mean --json?"),
        ],
    );
    assert_refused(
        DEMO,
        &[("--fils x", "unknown flag --fils: did you mean --files?")],
    );
}

#[test]
fn a_relay_is_one_word_or_two() {
    let relay = relay(&["--listen", "127.0.0.1", "--listen", "::1"]);
    let share = folder(&[("hello.txt", b"hello")]);
    let _node = node(&relay, share.path(), &["--listen", "127.0.0.1"]);
    let port = relay.address().port();
    for address in [
        format!("127.0.0.1:{port}"),
        format!("127.0.0.1 {port}"),
        format!("localhost:{port}"),
        format!("[::1]:{port}"),
        format!("::1 {port}"),
        format!("[::1] {port}"),
    ] {
        let output = start(CLIENT, &format!("{address} -q get hello.txt")).expect_code(0);
        assert_eq!(output.text(), "hello", "{address}");
    }
    assert_eq!(client(&relay, &["-q", "get", "hello.txt"]).text(), "hello");
}

#[test]
fn a_node_takes_the_relay_as_one_word() {
    let relay = relay(&[]);
    let share = folder(&[]);
    let command = node_command(relay.address(), share.path(), &[]);
    let mut one_word = Command::new(NODE);
    one_word.arg(relay.address().to_string());
    one_word.args(command.get_args().skip(2));
    let node = Server::start(one_word);
    node.log_until("registered as");
}

#[test]
fn usage_errors_name_the_help() {
    for (program, line, help) in [
        (RELAY, "", "For help: relay-server --help"),
        (CLIENT, "a:1 get", "For help: peer-client get --help"),
    ] {
        let output = start(program, line).expect_code(2);
        assert_eq!(output.stderr.lines().nth(1), Some(help));
    }
}
