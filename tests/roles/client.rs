//! The client on its stage, with a user who writes everything down. Its own
//! commands:
//!
//! - `client get NAME…`, `client nodes`, `client ls`, `client search TEXT`, `client
//!   find NAME`, `client send IP PORT TEXT`, `client prompt`: it starts. Keys:
//!   `relay=IP:PORT` (repeatable); `max-nodes=N`; `shows=BYTES`: so many bytes
//!   of a file that is broken off were shown; `fails=show|begin|take|finish|reader`:
//!   where storing fails; `asks=yes`: the user can be asked to choose.
//! - `type LINE`, `type-end`: at the prompt. `complete PREFIX`: a file name is
//!   begun there.
//! - `exit`: the exit code.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use goldenscript::{Command, Context};
use peerline::protocol::{FileName, NodeAddress, Text};
use peerline::role::client::{
    Client, ErrandId, Listing, Message, News, NotStored, Question, Task, User,
};

use crate::stage::{Outcome, Stage};

#[derive(Default)]
pub struct Play {
    stage: Option<Stage<Client>>,
    /// Where names are to come that complete what was begun.
    completed: Option<Receiver<Vec<String>>>,
}

/// Writes down what it is told.
struct Notes {
    notes: Sender<String>,
    /// So many bytes of a file cannot be taken back.
    shows: u64,
    fails: Option<Fails>,
}

/// Where storing fails.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fails {
    Show,
    Begin,
    Take,
    Finish,
    Reader,
}

impl Notes {
    fn note(&self, text: impl Into<String>) {
        // Nobody listens any more when the play is over.
        let _ = self.notes.send(text.into());
    }

    fn may(&self, step: Fails) -> Result<(), NotStored> {
        match self.fails {
            Some(fails) if fails == step => Err(NotStored {
                why: "the disk is full".into(),
                reader_gone: step == Fails::Reader,
            }),
            _ => Ok(()),
        }
    }
}

impl User for Notes {
    fn tell(&mut self, news: News<'_>) {
        self.note(match news {
            News::Nodes(nodes) => format!("{} nodes", nodes.len()),
            News::NotShown(why) => format!("not shown: {why}"),
            News::RelayFailed(question, trouble) => {
                format!("the relay failed: {trouble} ({question:?})")
            }
            News::Sent => "sent".to_owned(),
            News::Asking {
                name,
                number,
                of,
                node,
            } => format!("asking {node} for {name} ({number} of {of})"),
            News::NotFound(node) => format!("{node} does not have it"),
            News::NodeFailed(node, trouble) => format!("{node} failed: {trouble}"),
            News::Found { node, size } => format!("{node} has it, {size} bytes"),
            News::Progress { received, size, .. } => format!("{received} of {size} bytes"),
            News::Fetched {
                name,
                node,
                size,
                took,
            } => format!("got {name} from {node}, {size} bytes in {took:?}"),
            News::Missing {
                name,
                nodes,
                failed,
            } => format!("nobody has {name}: {nodes} nodes, {failed} of them failed"),
            News::WhichContent {
                name,
                offers,
                numbered,
            } => {
                let by = if numbered { " by its number" } else { "" };
                let nodes: Vec<usize> = offers.iter().map(|offer| offer.nodes).collect();
                format!("which content of {name}{by}? nodes that have each: {nodes:?}")
            }
            News::Incomplete { name, shown, size } => {
                format!("{name} is incomplete: {shown} of {size} bytes were shown")
            }
            News::NotStored { name, why } => format!("{name} is not stored: {why}"),
            News::Surplus { word, line } => format!("{word} takes nothing: {line}"),
            News::Wrong(why) => format!("that is wrong: {why}"),
            News::NotHere(word) => format!("{word} is not for here"),
            News::NotYet(word) => format!("{word} is not a command yet"),
            News::Help(text) => format!("help of {} lines", text.lines().count()),
        });
    }

    fn ready(&mut self) {
        self.note("ready");
    }

    fn show(&mut self, listing: Listing<'_>) -> Result<(), NotStored> {
        fn joined(lines: &[impl ToString]) -> String {
            let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
            lines.join(", ")
        }
        self.note(match listing {
            Listing::Nodes(nodes) => format!("nodes: {}", joined(nodes)),
            Listing::Holders(holders) => format!("holders: {}", joined(holders)),
            Listing::File(file) => format!("file: {file}"),
            Listing::BrokenOff => "the list broke off".to_owned(),
            Listing::EndOfFiles(count) => format!("{count} files"),
        });
        self.may(Fails::Show)?;
        self.may(Fails::Reader)
    }

    fn begin(&mut self, _: ErrandId, name: &FileName<'_>, size: u64) -> Result<(), NotStored> {
        self.note(format!("begin {name}, {size} bytes"));
        self.may(Fails::Begin)
    }

    fn take(&mut self, _: ErrandId, bytes: &[u8]) -> Result<(), NotStored> {
        self.note(format!("take {}", bytes.escape_ascii()));
        self.may(Fails::Take)?;
        self.may(Fails::Reader)
    }

    fn finish(&mut self, _: ErrandId) -> Result<(), NotStored> {
        self.note("finish");
        self.may(Fails::Finish)
    }

    fn abandon(&mut self, _: ErrandId) -> u64 {
        self.note("abandon");
        self.shows
    }
}

impl Play {
    fn start(&mut self, command: &Command) -> Outcome {
        let mut args = command.consume_args();
        let (told, news) = channel();
        let mut notes = Notes {
            notes: told,
            shows: 0,
            fails: None,
        };
        let (mut relay, mut max_nodes, mut wanted, mut asks) = (Vec::new(), 100, None, false);
        while let Some((key, value)) = args.next_key() {
            match (key, value) {
                ("relay", address) => relay.push(address.parse()?),
                ("hash", hash) => wanted = Some(hash.parse()?),
                ("max-nodes", count) => max_nodes = count.parse()?,
                ("asks", "yes") => asks = true,
                ("shows", bytes) => notes.shows = bytes.parse()?,
                ("fails", "show") => notes.fails = Some(Fails::Show),
                ("fails", "begin") => notes.fails = Some(Fails::Begin),
                ("fails", "take") => notes.fails = Some(Fails::Take),
                ("fails", "finish") => notes.fails = Some(Fails::Finish),
                ("fails", "reader") => notes.fails = Some(Fails::Reader),
                (key, value) => return Err(format!("no client has {key}={value}").into()),
            }
        }
        if relay.is_empty() {
            relay.push(([192, 0, 2, 1], 4000).into());
        }
        let task = match args.next_pos().ok_or("what is it to do?")? {
            "nodes" => Task::Ask(Question::Nodes),
            "ls" => Task::Ask(Question::Files(String::new())),
            "search" => {
                let text = args.next_pos().unwrap_or_default();
                Task::Ask(Question::files(text)?)
            }
            "find" => {
                let name = args.next_pos().ok_or("which name?")?;
                Task::Ask(Question::Holders(FileName::parse(name)?.into_owned()))
            }
            "send" => {
                let (ip, port) = (args.next_pos(), args.next_pos());
                let to = format!("{} {}", ip.ok_or("where?")?, port.ok_or("which port?")?);
                let text = Text::parse(args.next_pos().ok_or("which text?")?)?;
                let to = NodeAddress::parse(&to)?;
                Task::Ask(Question::Message(to, text.into_owned()))
            }
            "prompt" => Task::Prompt,
            "get" => {
                let names = std::iter::from_fn(|| args.next_pos());
                let names = names.map(|name| FileName::parse(name).map(FileName::into_owned));
                Task::Get(names.collect::<Result<_, _>>()?, wanted)
            }
            other => return Err(format!("no client can {other}").into()),
        };
        let client = Client::new(notes, relay, max_nodes, task).asking(asks);
        let show_file = |_: &_| unreachable!("a client sends no files");
        self.stage = Some(Stage::new(client, Instant::now(), news, show_file));
        args.reject_next()
    }
}

impl goldenscript::Runner for Play {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> Outcome<String> {
        if command.name == "client" {
            self.start(command)?;
        }
        let stage = self.stage.as_mut().ok_or("start with: client")?;
        match command.name.as_str() {
            "client" => {}
            "type" => {
                let line = command.consume_args().next_pos().ok_or("which line?")?;
                let typed = Message::Typed(line.to_owned());
                stage.call(|client, turn| peerline::role::Role::told(client, turn, typed));
            }
            "type-end" => {
                let end = Message::EndOfInput;
                stage.call(|client, turn| peerline::role::Role::told(client, turn, end));
            }
            "complete" => {
                let prefix = command.consume_args().next_pos().unwrap_or_default();
                let (answer, completed) = channel();
                self.completed = Some(completed);
                let prefix = prefix.to_owned();
                let complete = Message::Complete { prefix, answer };
                stage.call(|client, turn| peerline::role::Role::told(client, turn, complete));
            }
            "exit" => return Ok(format!("{:?}", stage.role().exit())),
            _ => stage.run(command)?,
        }
        let mut seen = stage.seen();
        if let Some(names) = self
            .completed
            .as_ref()
            .and_then(|names| names.try_recv().ok())
        {
            seen.push_str(&format!("completed: {names:?}\n"));
        }
        Ok(seen)
    }
}
