//! Runs every transcript of `protocol.md` against a real server: line by line, and, if
//! it has one connection, again as one write with a half-close.

use std::env;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use peerline::protocol::{Request, Verb};

use crate::support::{Nc, Server, UdpClient, ask, folder, tls_proxy};

const SPECIFICATION: &str = include_str!("../../protocol.md");

/// The files that the node of every transcript shares, as the specification says.
const SAMPLES: [(&str, &[u8]); 5] = [
    ("empty.txt", b""),
    ("five.txt", b"Hello"),
    ("hello.txt", b"Hello, Peerline!\n"),
    ("sub/größe.txt", "Grüße aus Köln\n".as_bytes()),
    ("two words.txt", b"a name may hold blanks\n"),
];

/// The cookie in the specification.
const SAMPLE_COOKIE: &str = "abcdefg";

/// The prefix of a request line.
const TYPED: &str = "> ";
/// The prefixes of requests and replies on a second connection.
const SECOND_TYPED: &str = "2> ";
const SECOND_RECEIVED: &str = "2< ";
/// Matches any text inside a line.
const WILDCARD: char = '…';

#[test]
fn every_transcript_of_the_specification_runs() {
    for transcript in transcripts() {
        if transcript.transport == Transport::Udp {
            let at = format!("protocol.md:{}", transcript.line);
            transcript.send_datagrams(TestServer::new(&transcript.server).address(), &at);
        }
    }
    run_over_tcp("", |server| server);
}

#[test]
fn every_transcript_of_the_specification_runs_over_tls() {
    run_over_tcp(" over TLS", tls_proxy);
}

/// Runs the transcripts over the connections to the address that `through` returns for each
/// server.
fn run_over_tcp(how: &str, through: impl Fn(SocketAddr) -> SocketAddr) {
    for transcript in transcripts() {
        if transcript.transport == Transport::Udp {
            continue;
        }
        let at = format!("protocol.md:{}{how}", transcript.line);
        let stage = TestServer::new(&transcript.server);
        let received = transcript.type_line_by_line(through(stage.address()), &at);
        for (connection, received) in [Connection::First, Connection::Second]
            .into_iter()
            .zip(received)
        {
            transcript.check(
                connection,
                &received,
                &format!("{at}, typed line by line, {connection:?}"),
            );
        }
        if transcript.connections() > 1 {
            // The order of lines on two connections is not defined.
            continue;
        }
        let stage = TestServer::new(&transcript.server);
        let answers = ask(through(stage.address()), transcript.input().as_bytes());
        transcript.check(Connection::First, &answers, &format!("{at}, sent at once"));
    }
}

#[test]
fn every_verb_has_a_transcript() {
    let transcripts = transcripts();
    assert!(
        transcripts.len() >= 12,
        "only {} transcripts",
        transcripts.len()
    );
    let shown: Vec<Verb> = transcripts
        .iter()
        .flat_map(|transcript| &transcript.steps)
        .filter_map(|step| Request::parse(step.typed.as_bytes()).ok()?.verb())
        .collect();
    for verb in Verb::ALL {
        assert!(shown.contains(&verb), "{} is in no transcript", verb.word());
        let heading = format!("### {}\n", verb.word());
        assert!(SPECIFICATION.contains(&heading), "no section {heading:?}");
        let form = format!("\n    {}\n", verb.usage());
        assert!(
            SPECIFICATION.contains(&form),
            "the form {form:?} is missing"
        );
    }
}

#[test]
fn the_specification_lists_the_sample_files() {
    for (name, content) in SAMPLES {
        let row = format!("| `{name}` | {} |", content.len());
        assert!(SPECIFICATION.contains(&row), "no row {row}");
    }
}

/// What a client speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Transport {
    Lines,
    Http,
    Udp,
}

/// The command line that the specification gives for a tag, with free ports.
fn command_line(tag: &str, share: &Path) -> Command {
    let start = format!("| `{tag}` | `");
    let row = SPECIFICATION
        .lines()
        .find_map(|row| row.strip_prefix(&start));
    let row = row.unwrap_or_else(|| panic!("no command line for {tag}"));
    let (mut line, _) = row.split_once('`').expect("the command ends");
    let mut secret = None;
    if let Some(rest) = line.strip_prefix("PEERLINE_SECRET='") {
        let (text, rest) = rest.split_once("' ").expect("the secret ends");
        (secret, line) = (Some(text), rest);
    }
    let mut words = line.split(' ');
    let mut command = match words.next() {
        Some("relay-server") => Command::new(env!("CARGO_BIN_EXE_relay-server")),
        Some("peer-node") => Command::new(env!("CARGO_BIN_EXE_peer-node")),
        other => panic!("no program {other:?}"),
    };
    for (name, _) in env::vars().filter(|(name, _)| name.starts_with("PEERLINE_")) {
        command.env_remove(name);
    }
    command.envs(secret.map(|secret| ("PEERLINE_SECRET", secret)));
    for word in words {
        match word {
            "4000" | "40001" => command.arg("0"),
            "DIR" => command.arg(share),
            word => command.arg(word),
        };
    }
    command
}

/// A new server, and what it shares if it is a node.
struct TestServer {
    server: Server,
    _share: tempfile::TempDir,
}

impl TestServer {
    fn new(tag: &str) -> Self {
        let share = folder(&SAMPLES);
        Self {
            server: Server::start(command_line(tag, share.path())),
            _share: share,
        }
    }

    fn address(&self) -> SocketAddr {
        self.server.address()
    }
}

/// One fenced block of the specification.
struct Transcript {
    /// The line number of its start.
    line: usize,
    /// The tag of its command line.
    server: String,
    transport: Transport,
    steps: Vec<Step>,
}

/// A request and the reply lines, on either connection.
struct Step {
    connection: Connection,
    typed: String,
    answers: Vec<(Connection, String)>,
}

/// A connection of a transcript.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Connection {
    First,
    Second,
}

impl Transcript {
    fn input(&self) -> String {
        self.steps.iter().map(|step| self.sent(step)).collect()
    }

    fn is_http(&self) -> bool {
        self.transport == Transport::Http
    }

    /// The bytes of a request line.
    fn sent(&self, step: &Step) -> String {
        let end = if self.is_http() { "\r\n" } else { "\n" };
        format!("{}{end}", step.typed)
    }

    /// Number of connections.
    fn connections(&self) -> usize {
        let second = self
            .steps
            .iter()
            .any(|step| step.connection == Connection::Second);
        1 + usize::from(second)
    }

    /// Sends each line after the reply to the previous one. Returns the text that each
    /// connection has received.
    fn type_line_by_line(&self, address: SocketAddr, at: &str) -> [String; 2] {
        let connections = 0..self.connections();
        let mut connections: Vec<Nc> = connections.map(|_| Nc::connect(address)).collect();
        let mut received = [String::new(), String::new()];
        for step in &self.steps {
            connections[step.connection as usize].send(self.sent(step));
            for (connection, expected) in &step.answers {
                let line = connections[*connection as usize].line();
                let without_cr = line.strip_suffix('\r').filter(|_| self.is_http());
                let line = without_cr.unwrap_or(&line);
                assert!(
                    matches(expected, line),
                    "{at}: {connection:?} hears {line:?} where {expected:?} is expected after {:?}",
                    step.typed
                );
                received[*connection as usize].push_str(line);
                received[*connection as usize].push('\n');
            }
        }
        for (nc, received) in connections.iter_mut().zip(&mut received) {
            nc.half_close();
            received.push_str(&nc.rest_text());
        }
        received
    }

    /// Sends consecutive requests as one datagram. Replaces the sample cookie by the real
    /// one.
    fn send_datagrams(&self, address: SocketAddr, at: &str) {
        let mut socket = UdpClient::connect(address);
        let mut typed = String::new();
        for step in &self.steps {
            typed.push_str(&step.typed);
            typed.push('\n');
            if step.answers.is_empty() {
                continue;
            }
            let received = socket.ask(typed.replace(SAMPLE_COOKIE, &socket.cookie()));
            let received = received.replace(&socket.cookie(), SAMPLE_COOKIE);
            let lines: Vec<&str> = received.lines().collect();
            let expected = step.answers.iter().map(|(_, expected)| expected);
            let same = expected.len() == lines.len()
                && expected
                    .zip(&lines)
                    .all(|(expected, line)| matches(expected, line));
            assert!(same, "{at}: {typed:?} is answered by {received:?}");
            typed.clear();
        }
    }

    fn check(&self, connection: Connection, received: &str, at: &str) {
        let answers = self.steps.iter().flat_map(|step| &step.answers);
        let expected: Vec<&String> = answers
            .filter(|(connection_of_line, _)| *connection_of_line == connection)
            .map(|(_, expected)| expected)
            .collect();
        let lines: Vec<&str> = received.lines().collect();
        let same = expected.len() == lines.len()
            && expected
                .iter()
                .zip(&lines)
                .all(|(expected, line)| matches(expected, line));
        assert!(
            same,
            "{at}: expected\n{expected:#?}\nbut received\n{lines:#?}"
        );
        let is_whole = received.is_empty() || received.ends_with('\n');
        assert!(is_whole, "{at}: the last line is not ended");
    }
}

/// Whether a line matches the expected one.
fn matches(expected: &str, line: &str) -> bool {
    let Some((start, rest)) = expected.split_once(WILDCARD) else {
        return expected == line;
    };
    assert!(!rest.contains(WILDCARD), "one … a line: {expected:?}");
    line.len() >= start.len() + rest.len() && line.starts_with(start) && line.ends_with(rest)
}

/// Reads the transcripts from the specification.
fn transcripts() -> Vec<Transcript> {
    let mut transcripts = Vec::new();
    let mut lines = SPECIFICATION.lines().zip(1..);
    while let Some((text, line)) = lines.next() {
        let Some(tag) = text.strip_prefix("```") else {
            continue;
        };
        let (server, transport) = match (tag.strip_suffix("-http"), tag.strip_suffix("-udp")) {
            (Some(tag), _) => (tag, Transport::Http),
            (_, Some(tag)) => (tag, Transport::Udp),
            (None, None) => (tag, Transport::Lines),
        };
        let mut steps: Vec<Step> = Vec::new();
        for (text, line) in lines.by_ref().take_while(|(text, _)| *text != "```") {
            // Editors remove the blank at the end of an empty request.
            let text = if text == TYPED.trim() { TYPED } else { text };
            let typed = text
                .strip_prefix(TYPED)
                .map(|typed| (Connection::First, typed));
            let typed =
                typed.or_else(|| Some((Connection::Second, text.strip_prefix(SECOND_TYPED)?)));
            if let Some((connection, typed)) = typed {
                steps.push(Step {
                    connection,
                    typed: typed.to_owned(),
                    answers: Vec::new(),
                });
            } else {
                let step = steps.last_mut();
                let step =
                    step.unwrap_or_else(|| panic!("protocol.md:{line}: a reply without a request"));
                let answer = match text.strip_prefix(SECOND_RECEIVED) {
                    Some(text) => (Connection::Second, text.to_owned()),
                    None => (Connection::First, text.to_owned()),
                };
                step.answers.push(answer);
            }
        }
        transcripts.push(Transcript {
            line,
            server: server.to_owned(),
            transport,
            steps,
        });
    }
    transcripts
}
