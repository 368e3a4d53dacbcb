//! The person or program that a client works for.

use std::fmt;
use std::time::Duration;

use crate::close_reason::CloseReason;
use crate::jobs::choice::Offer;
use crate::jobs::job::JobId;
use crate::jobs::query::Query;
use crate::protocol::{Code, Delivery, FileItem, FileName, HolderItem, NodeAddress};

/// Gets told what happens, and gets the content. Only what is behind it touches
/// a terminal or a disk.
pub trait User {
    /// Something happened.
    fn on_event(&mut self, news: UserEvent<'_>);

    /// The next line may come.
    fn prompt(&mut self, wanted: PromptKind);

    /// Something was asked for: show it.
    ///
    /// # Errors
    /// Why it cannot be shown.
    fn show(&mut self, listing: Listing<'_>) -> Result<(), StoreError>;

    /// A file was found: prepare the place where it goes. Several jobs may be
    /// fetching a file each.
    ///
    /// # Errors
    /// Why there is none; then nothing of the file will follow.
    fn open(&mut self, job: JobId, name: &FileName<'_>, size: u64) -> Result<(), StoreError>;

    /// More of the content.
    ///
    /// # Errors
    /// Why it cannot be taken.
    fn write(&mut self, job: JobId, bytes: &[u8]) -> Result<(), StoreError>;

    /// The file is complete.
    ///
    /// # Errors
    /// Why it cannot be given its final place.
    fn commit(&mut self, job: JobId) -> Result<(), StoreError>;

    /// The file, if one was begun, will not be completed: forget what can be
    /// forgotten. Returns how many bytes have been shown already and cannot be
    /// taken back.
    fn discard(&mut self, job: JobId) -> u64;
}

/// What the next line is to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PromptKind {
    /// A command.
    Command,
    /// Which one of several contents.
    Choice,
    /// What is said to this one in a conversation, or to whoever wrote last.
    Words(Option<NodeAddress>),
}

/// Why content cannot be put where it should go. It prints as what to do.
#[derive(Debug)]
pub struct StoreError {
    /// For people.
    pub why: String,
    /// Nobody reads what we print any more: that is no failure of ours.
    pub reader_gone: bool,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

/// What was asked for.
#[derive(Debug)]
pub enum Listing<'a> {
    /// The nodes.
    Nodes(&'a [NodeAddress]),
    /// The nodes that have a file.
    Holders(&'a [HolderItem]),
    /// One of the files.
    File(&'a FileItem<'a>),
    /// There are so many files, and all were shown.
    EndOfFiles(u64),
    /// The list broke off.
    BrokenOff,
    /// Somebody says something.
    Message(&'a Delivery<'a>),
}

/// What happened.
#[derive(Debug)]
pub enum UserEvent<'a> {
    /// The relay gave its list of nodes.
    Nodes(&'a [NodeAddress]),
    /// What was asked for cannot be shown.
    NotShown(&'a StoreError),
    /// The relay did not answer the question.
    RelayFailed(&'a Query, &'a Failure<'a>),
    /// The relay did not say which nodes there are that may have a file.
    NoNodes {
        /// The file.
        name: &'a FileName<'a>,
        /// What went wrong.
        trouble: &'a Failure<'a>,
    },
    /// The message was passed on.
    Sent,
    /// Messages to this address reach us now.
    Listening(NodeAddress),
    /// They do not.
    NotListening(&'a Failure<'a>),
    /// Something was typed for whoever spoke last, and nobody has spoken yet.
    NobodyYet,
    /// Nobody has said anything in this time.
    NoAnswer(Duration),
    /// A node is asked.
    RelayQuery {
        /// The file.
        name: &'a FileName<'a>,
        /// Its place in the list, from 1 on.
        number: usize,
        /// How many nodes there are.
        of: usize,
        /// The node.
        node: NodeAddress,
    },
    /// The node does not have the file.
    NotFound(NodeAddress),
    /// The node gave no proper answer.
    NodeFailed(NodeAddress, &'a Failure<'a>),
    /// The node has the file.
    Found {
        /// The node.
        node: NodeAddress,
        /// In bytes.
        size: u64,
    },
    /// More of it has arrived.
    Progress {
        /// Which fetches it.
        job: JobId,
        /// So many bytes.
        received: u64,
        /// Of so many.
        size: u64,
    },
    /// A file is complete.
    Fetched {
        /// The file.
        name: &'a FileName<'a>,
        /// The node that gave it.
        node: NodeAddress,
        /// In bytes.
        size: u64,
        /// From the question to the last byte.
        took: Duration,
    },
    /// No node gave the file.
    Missing {
        /// The file.
        name: &'a FileName<'a>,
        /// How many nodes there are.
        nodes: usize,
        /// How many of them could not be asked.
        failed: usize,
    },
    /// It is not clear which content is meant, or nobody has the one that is wanted.
    WhichContent {
        /// The file.
        name: &'a FileName<'a>,
        /// What there is of that name.
        offers: &'a [Offer],
        /// Whether the user is to choose one by its number, from 1 on.
        numbered: bool,
    },
    /// A file broke off after a part of it had been shown.
    Incomplete {
        /// The file.
        name: &'a FileName<'a>,
        /// So many bytes were shown.
        shown: u64,
        /// Of so many.
        size: u64,
    },
    /// The content cannot be put where it should go.
    StoreError {
        /// The file.
        name: &'a FileName<'a>,
        /// What is wrong.
        why: &'a StoreError,
    },
    /// What was typed is not of the right form.
    Wrong(&'a str),
    /// A command that takes nothing was given something.
    Surplus {
        /// The command.
        word: &'a str,
        /// The whole line.
        line: &'a str,
    },
    /// A command that others understand, such as a node's console.
    NotHere(&'a str),
    /// What was asked for is done, for people.
    Note(&'a str),
    /// The commands.
    Help(&'static str),
}

/// What went wrong with another program.
#[derive(Debug)]
pub enum Failure<'a> {
    /// It answered with an error.
    Error(Code, String),
    /// The connection ended too early.
    Ended(&'a CloseReason),
    /// The connection ended in mid-body.
    Broken {
        /// So many bytes had come.
        received: u64,
        /// Of so many.
        size: u64,
        /// How it ended.
        end: &'a CloseReason,
    },
    /// No node has announced the file.
    NoHolder,
    /// The content has another hash than the one that is wanted.
    OtherContent,
    /// It lists more than we are ready to take.
    TooMany(u64),
}

/// With what came from the network made visible.
impl fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(code, text) => {
                let text = crate::escaped::Escaped::text(text);
                write!(f, "it says {} {text}", code.number())
            }
            Self::Ended(CloseReason::EndOfInput) => {
                f.write_str("it closed the connection too early")
            }
            Self::Ended(end) => end.fmt(f),
            Self::Broken {
                received,
                size,
                end,
            } => {
                let remaining = size - received;
                write!(
                    f,
                    "broken off: received {received} bytes, {remaining} remaining: "
                )?;
                Failure::Ended(end).fmt(f)
            }
            Self::OtherContent => f.write_str("its content has another hash than the wanted one"),
            Self::NoHolder => f.write_str("no node has announced it"),
            Self::TooMany(count) => write!(f, "it lists {count} lines, more than --max-nodes"),
        }
    }
}
