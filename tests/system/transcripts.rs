//! Types every transcript of `protocol.md` into a real server: line by line,
//! and, where one person types, once more all at once with the input ended
//! behind it. What is written in the contract is what happens.

use std::net::{SocketAddr, TcpListener};

use peerline::protocol::{Request, Verb};

use crate::datagrams::Datagrams;
use crate::support::{Nc, Server, ask, folder, relay, unlisted_node};

const CONTRACT: &str = include_str!("../../protocol.md");

/// The files that the node of every transcript shares, as the contract says.
const SAMPLES: [(&str, &[u8]); 5] = [
    ("empty.txt", b""),
    ("five.txt", b"Hello"),
    ("hello.txt", b"Hello, Peerline!\n"),
    ("sub/größe.txt", "Grüße aus Köln\n".as_bytes()),
    ("two words.txt", b"a name may hold blanks\n"),
];

/// What cookies look like in the contract.
const SHOWN_COOKIE: &str = "abcdefg";

/// Marks a typed line.
const TYPED: &str = "> ";
/// Marks what a second person types, and what he is answered.
const SECOND_TYPED: &str = "2> ";
const SECOND_HEARD: &str = "2< ";
/// Stands for anything inside a line.
const ANYTHING: char = '…';

#[test]
fn every_transcript_of_the_contract_is_true() {
    for transcript in transcripts() {
        let at = format!("protocol.md:{}", transcript.line);
        let stage = Stage::new(transcript.server);
        if let Kind::RelayOverUdp = transcript.server {
            transcript.send_datagrams(stage.address(), &at);
            continue;
        }
        let heard = transcript.type_line_by_line(stage.address(), &at);
        for (who, heard) in [Who::First, Who::Second].into_iter().zip(heard) {
            transcript.check(who, &heard, &format!("{at}, typed line by line, {who:?}"));
        }
        if transcript.people() > 1 {
            // What is sent at once on two connections comes in any order.
            continue;
        }
        let stage = Stage::new(transcript.server);
        let answers = ask(stage.address(), transcript.input().as_bytes());
        transcript.check(Who::First, &answers, &format!("{at}, sent at once"));
    }
}

#[test]
fn the_contract_shows_every_verb_at_work() {
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
        assert!(CONTRACT.contains(&heading), "no section {heading:?}");
        let form = format!("\n    {}\n", verb.usage());
        assert!(CONTRACT.contains(&form), "the form {form:?} is missing");
    }
}

#[test]
fn the_samples_of_the_contract_are_those_of_the_test() {
    for (name, content) in SAMPLES {
        let row = format!("| `{name}` | {} |", content.len());
        assert!(CONTRACT.contains(&row), "no row {row}");
    }
}

/// The kind of server that a transcript talks to.
#[derive(Clone, Copy)]
enum Kind {
    Relay,
    UntrustingRelay,
    RelayOverUdp,
    Node,
}

/// A fresh server, and what it needs to live.
struct Stage {
    server: Server,
    _share: tempfile::TempDir,
    /// Takes the node's connections and never answers: the node is alone.
    _silent_relay: TcpListener,
}

impl Stage {
    fn new(kind: Kind) -> Self {
        let share = folder(&SAMPLES);
        let silent_relay = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let server = match kind {
            Kind::Relay | Kind::RelayOverUdp => relay(&["--lease", "60"]),
            Kind::UntrustingRelay => relay(&["--lease", "60", "--trust", "10.0.0.0/8"]),
            Kind::Node => {
                let relay = silent_relay.local_addr().expect("it is bound");
                unlisted_node(relay, share.path(), &[])
            }
        };
        Self {
            server,
            _share: share,
            _silent_relay: silent_relay,
        }
    }

    fn address(&self) -> SocketAddr {
        self.server.address()
    }
}

/// One fenced block of the contract.
struct Transcript {
    /// Where it starts.
    line: usize,
    server: Kind,
    steps: Vec<Step>,
}

/// A typed line and the lines that answer it, on whichever connection.
struct Step {
    who: Who,
    typed: String,
    answers: Vec<(Who, String)>,
}

/// One of the two people of a transcript.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Who {
    First,
    Second,
}

impl Transcript {
    fn input(&self) -> String {
        let lines = self.steps.iter().map(|step| format!("{}\n", step.typed));
        lines.collect()
    }

    /// How many type.
    fn people(&self) -> usize {
        let second = self.steps.iter().any(|step| step.who == Who::Second);
        1 + usize::from(second)
    }

    /// Types each line after the answer to the one before it has come. Returns
    /// what each of the two has heard.
    fn type_line_by_line(&self, address: SocketAddr, at: &str) -> [String; 2] {
        let people = 0..self.people();
        let mut people: Vec<Nc> = people.map(|_| Nc::connect(address)).collect();
        let mut heard = [String::new(), String::new()];
        for step in &self.steps {
            people[step.who as usize].send(format!("{}\n", step.typed));
            for (who, expected) in &step.answers {
                let line = people[*who as usize].line();
                assert!(
                    matches(expected, &line),
                    "{at}: {who:?} hears {line:?} where {expected:?} is expected after {:?}",
                    step.typed
                );
                heard[*who as usize].push_str(&line);
                heard[*who as usize].push('\n');
            }
        }
        for (nc, heard) in people.iter_mut().zip(&mut heard) {
            nc.half_close();
            heard.push_str(&nc.rest_text());
        }
        heard
    }

    /// Sends each block of typed lines as one datagram. Where the contract shows a
    /// cookie, the real one is put in.
    fn send_datagrams(&self, address: SocketAddr, at: &str) {
        let mut socket = Datagrams::to(address);
        let mut typed = String::new();
        for step in &self.steps {
            typed.push_str(&step.typed);
            typed.push('\n');
            if step.answers.is_empty() {
                continue;
            }
            let heard = socket.ask(typed.replace(SHOWN_COOKIE, &socket.cookie()));
            let heard = heard.replace(&socket.cookie(), SHOWN_COOKIE);
            let lines: Vec<&str> = heard.lines().collect();
            let expected = step.answers.iter().map(|(_, expected)| expected);
            let same = expected.len() == lines.len()
                && expected
                    .zip(&lines)
                    .all(|(expected, line)| matches(expected, line));
            assert!(same, "{at}: {typed:?} is answered by {heard:?}");
            typed.clear();
        }
    }

    fn check(&self, who: Who, heard: &str, at: &str) {
        let answers = self.steps.iter().flat_map(|step| &step.answers);
        let expected: Vec<&String> = answers
            .filter(|(whose, _)| *whose == who)
            .map(|(_, expected)| expected)
            .collect();
        let lines: Vec<&str> = heard.lines().collect();
        let same = expected.len() == lines.len()
            && expected
                .iter()
                .zip(&lines)
                .all(|(expected, line)| matches(expected, line));
        assert!(same, "{at}: expected\n{expected:#?}\nbut heard\n{lines:#?}");
        let is_whole = heard.is_empty() || heard.ends_with('\n');
        assert!(is_whole, "{at}: the last line is not ended");
    }
}

/// Whether a line is as expected.
fn matches(expected: &str, line: &str) -> bool {
    let Some((start, rest)) = expected.split_once(ANYTHING) else {
        return expected == line;
    };
    assert!(!rest.contains(ANYTHING), "one … a line: {expected:?}");
    line.len() >= start.len() + rest.len() && line.starts_with(start) && line.ends_with(rest)
}

/// Reads the contract.
fn transcripts() -> Vec<Transcript> {
    let mut found = Vec::new();
    let mut lines = CONTRACT.lines().zip(1..);
    while let Some((text, line)) = lines.next() {
        let Some(tag) = text.strip_prefix("```") else {
            continue;
        };
        let server = match tag {
            "relay" => Kind::Relay,
            "relay-untrusting" => Kind::UntrustingRelay,
            "relay-udp" => Kind::RelayOverUdp,
            "node" => Kind::Node,
            tag => panic!("protocol.md:{line}: nobody types a block tagged {tag:?}"),
        };
        let mut steps: Vec<Step> = Vec::new();
        for (text, line) in lines.by_ref().take_while(|(text, _)| *text != "```") {
            // An editor drops the blank of an empty line.
            let text = if text == TYPED.trim() { TYPED } else { text };
            let typed = text.strip_prefix(TYPED).map(|typed| (Who::First, typed));
            let typed = typed.or_else(|| Some((Who::Second, text.strip_prefix(SECOND_TYPED)?)));
            if let Some((who, typed)) = typed {
                steps.push(Step {
                    who,
                    typed: typed.to_owned(),
                    answers: Vec::new(),
                });
            } else {
                let step = steps.last_mut();
                let step = step.unwrap_or_else(|| panic!("protocol.md:{line}: nothing was typed"));
                let answer = match text.strip_prefix(SECOND_HEARD) {
                    Some(text) => (Who::Second, text.to_owned()),
                    None => (Who::First, text.to_owned()),
                };
                step.answers.push(answer);
            }
        }
        found.push(Transcript {
            line,
            server,
            steps,
        });
    }
    found
}
