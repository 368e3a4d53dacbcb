//! A user who writes everything down.

use std::fmt::Display;
use std::sync::mpsc::Sender;

use peerline::jobs::{JobId, Listing, PromptKind, StoreError, User, UserEvent};
use peerline::protocol::FileName;

/// Writes down what it is told.
pub struct Notes {
    notes: Sender<String>,
    /// Whether to write down which job it is: there are several.
    pub several: bool,
    /// So many bytes of a file cannot be taken back.
    pub shows: u64,
    pub fails: Option<Fails>,
}

/// Where storing fails.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fails {
    Show,
    Begin,
    Take,
    Finish,
    Reader,
}

impl Notes {
    pub fn new(notes: Sender<String>) -> Self {
        Self {
            notes,
            several: false,
            shows: 0,
            fails: None,
        }
    }

    fn note(&self, text: impl Into<String>) {
        // Nobody listens any more when the play is over.
        let _ = self.notes.send(text.into());
    }

    fn note_of(&self, job: JobId, text: impl Display) {
        self.note(match self.several {
            true => format!("{job:?}: {text}"),
            false => text.to_string(),
        });
    }

    fn may(&self, step: Fails) -> Result<(), StoreError> {
        match self.fails {
            Some(fails) if fails == step => Err(StoreError {
                reason: "the disk is full".into(),
                is_reader_gone: step == Fails::Reader,
            }),
            _ => Ok(()),
        }
    }
}

impl User for Notes {
    fn on_event(&mut self, news: UserEvent<'_>) {
        self.note(match news {
            UserEvent::Nodes(nodes) => format!("{} nodes", nodes.len()),
            UserEvent::NotShown(why) => format!("not shown: {why}"),
            UserEvent::RelayFailed(query, failure) => {
                format!("the relay failed: {failure} ({query:?})")
            }
            UserEvent::NoNodes { name, failure } => {
                format!("no list of nodes for {name}: {failure}")
            }
            UserEvent::MessageSent => "sent".to_owned(),
            UserEvent::Listening(address) => format!("reached at {address}"),
            UserEvent::NotListening(trouble) => format!("not reached: {trouble}"),
            UserEvent::NoRecipient => "nobody has written yet".to_owned(),
            UserEvent::NoReply(wait) => format!("no answer in {wait:?}"),
            UserEvent::TryingNode {
                name,
                number,
                of,
                node,
            } => format!("asking {node} for {name} ({number} of {of})"),
            UserEvent::NotFound(node) => format!("{node} does not have it"),
            UserEvent::NodeFailed(node, trouble) => format!("{node} failed: {trouble}"),
            UserEvent::Found { node, size } => format!("{node} has it, {size} bytes"),
            UserEvent::Progress {
                job,
                received,
                size,
            } => return self.note_of(job, format_args!("{received} of {size} bytes")),
            UserEvent::Fetched {
                name,
                node,
                size,
                took,
            } => format!("got {name} from {node}, {size} bytes in {took:?}"),
            UserEvent::Missing {
                name,
                nodes,
                failed,
            } => format!("nobody has {name}: {nodes} nodes, {failed} of them failed"),
            UserEvent::SeveralContents {
                name,
                offers,
                is_numbered,
            } => {
                let by = if is_numbered { " by its number" } else { "" };
                let nodes: Vec<usize> = offers.iter().map(|offer| offer.nodes).collect();
                format!("which content of {name}{by}? nodes that have each: {nodes:?}")
            }
            UserEvent::Incomplete { name, shown, size } => {
                format!("{name} is incomplete: {shown} of {size} bytes were shown")
            }
            UserEvent::StoreError { name, error } => format!("{name} is not stored: {error}"),
            UserEvent::UnexpectedArgument { word, line } => format!("{word} takes nothing: {line}"),
            UserEvent::InvalidCommand(why) => format!("that is wrong: {why}"),
            UserEvent::Note(text) => format!("note: {text}"),
            UserEvent::UnavailableCommand(word) => format!("{word} is not for here"),
            UserEvent::Help(text) => format!("help of {} lines", text.lines().count()),
        });
    }

    fn prompt(&mut self, wanted: PromptKind) {
        self.note(match wanted {
            PromptKind::Command => "ready".to_owned(),
            PromptKind::Choice => "ready for a choice".to_owned(),
            PromptKind::Message(None) => "ready for words".to_owned(),
            PromptKind::Message(Some(to)) => format!("ready for words to {to}"),
        });
    }

    fn show(&mut self, listing: Listing<'_>) -> Result<(), StoreError> {
        fn joined(lines: &[impl ToString]) -> String {
            let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
            lines.join(", ")
        }
        self.note(match listing {
            Listing::Nodes(nodes) => format!("nodes: {}", joined(nodes)),
            Listing::Holders(holders) => format!("holders: {}", joined(holders)),
            Listing::File(file) => format!("file: {file}"),
            Listing::Truncated => "the list broke off".to_owned(),
            Listing::Message(delivery) => format!("message: {delivery}"),
            Listing::EndOfFiles(count) => format!("{count} files"),
        });
        self.may(Fails::Show)?;
        self.may(Fails::Reader)
    }

    fn open(&mut self, job: JobId, name: &FileName<'_>, size: u64) -> Result<(), StoreError> {
        self.note_of(job, format_args!("begin {name}, {size} bytes"));
        self.may(Fails::Begin)
    }

    fn write(&mut self, job: JobId, bytes: &[u8]) -> Result<(), StoreError> {
        self.note_of(job, format_args!("take {}", bytes.escape_ascii()));
        self.may(Fails::Take)?;
        self.may(Fails::Reader)
    }

    fn commit(&mut self, job: JobId) -> Result<(), StoreError> {
        self.note_of(job, "finish");
        self.may(Fails::Finish)
    }

    fn discard(&mut self, job: JobId) -> u64 {
        self.note_of(job, "abandon");
        self.shows
    }
}
