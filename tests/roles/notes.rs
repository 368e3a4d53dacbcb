//! A user who writes everything down.

use std::fmt::Display;
use std::sync::mpsc::Sender;

use peerline::jobs::{ErrandId, Listing, News, NotStored, User, Wanted};
use peerline::protocol::FileName;

/// Writes down what it is told.
pub struct Notes {
    notes: Sender<String>,
    /// Whether to write down which errand it is: there are several.
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

    fn note_of(&self, errand: ErrandId, text: impl Display) {
        self.note(match self.several {
            true => format!("{errand:?}: {text}"),
            false => text.to_string(),
        });
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
            News::NoNodes { name, trouble } => format!("no list of nodes for {name}: {trouble}"),
            News::Sent => "sent".to_owned(),
            News::Listening(address) => format!("reached at {address}"),
            News::NotListening(trouble) => format!("not reached: {trouble}"),
            News::NobodyYet => "nobody has written yet".to_owned(),
            News::NoAnswer(wait) => format!("no answer in {wait:?}"),
            News::Asking {
                name,
                number,
                of,
                node,
            } => format!("asking {node} for {name} ({number} of {of})"),
            News::NotFound(node) => format!("{node} does not have it"),
            News::NodeFailed(node, trouble) => format!("{node} failed: {trouble}"),
            News::Found { node, size } => format!("{node} has it, {size} bytes"),
            News::Progress {
                errand,
                received,
                size,
            } => return self.note_of(errand, format_args!("{received} of {size} bytes")),
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
            News::Note(text) => format!("note: {text}"),
            News::NotHere(word) => format!("{word} is not for here"),
            News::Help(text) => format!("help of {} lines", text.lines().count()),
        });
    }

    fn ready(&mut self, wanted: Wanted) {
        self.note(match wanted {
            Wanted::Command => "ready".to_owned(),
            Wanted::Choice => "ready for a choice".to_owned(),
            Wanted::Words(None) => "ready for words".to_owned(),
            Wanted::Words(Some(to)) => format!("ready for words to {to}"),
        });
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
            Listing::Message(delivery) => format!("message: {delivery}"),
            Listing::EndOfFiles(count) => format!("{count} files"),
        });
        self.may(Fails::Show)?;
        self.may(Fails::Reader)
    }

    fn begin(&mut self, errand: ErrandId, name: &FileName<'_>, size: u64) -> Result<(), NotStored> {
        self.note_of(errand, format_args!("begin {name}, {size} bytes"));
        self.may(Fails::Begin)
    }

    fn take(&mut self, errand: ErrandId, bytes: &[u8]) -> Result<(), NotStored> {
        self.note_of(errand, format_args!("take {}", bytes.escape_ascii()));
        self.may(Fails::Take)?;
        self.may(Fails::Reader)
    }

    fn finish(&mut self, errand: ErrandId) -> Result<(), NotStored> {
        self.note_of(errand, "finish");
        self.may(Fails::Finish)
    }

    fn abandon(&mut self, errand: ErrandId) -> u64 {
        self.note_of(errand, "abandon");
        self.shows
    }
}
