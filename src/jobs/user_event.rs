//! What a user is told.

use std::time::Duration;

use crate::jobs::content::{StoreError, StoredPart};
use crate::jobs::download_status::DownloadStatus;
use crate::jobs::failure::Failure;
use crate::jobs::file_pattern::FilePattern;
use crate::jobs::ids::JobId;
use crate::jobs::left_out_files::LeftOutFiles;
use crate::jobs::offer::{Offer, Selection};
use crate::jobs::peer_source::PeerSource;
use crate::jobs::relay_query::Query;
use crate::protocol::{FileName, NodeAddress};

/// An event for the user.
#[derive(Debug)]
pub enum UserEvent<'a> {
    /// The relay has sent its list of nodes.
    Nodes {
        /// In the order of the list.
        nodes: &'a [NodeAddress],
        /// Whether the lists of several relays were merged.
        is_merged: bool,
    },
    /// One of several relays has answered. What it says becomes a part of one answer.
    SourceAnswered {
        /// Which one.
        source: &'a PeerSource,
        /// How many lines its answer has.
        count: u64,
        /// The first of them: nodes, holders, or names of files.
        items: &'a [String],
    },
    /// One of several sources fails. Told once, until it answers again.
    SourceFailed {
        /// Which one.
        source: &'a PeerSource,
        /// Why.
        failure: &'a Failure<'a>,
    },
    /// One of several nodes is none of those that the user allows.
    UntrustedNode {
        /// Which one.
        source: &'a PeerSource,
        /// How that was seen.
        failure: &'a Failure<'a>,
    },
    /// An answer has no line: why, for a person who sees none.
    NoResult(&'static str),
    /// An answer cannot be shown.
    NotShown(&'a StoreError),
    /// The node that is asked instead of a relay has not answered.
    NoAnswer(NodeAddress, &'a Failure<'a>),
    /// The relay has not answered the query.
    RelayFailed(&'a Query, &'a Failure<'a>),
    /// The relay has not sent its list of nodes, so the file cannot be fetched.
    NoNodes {
        /// The file.
        name: &'a FileName<'a>,
        /// Why there is no list.
        failure: &'a Failure<'a>,
    },
    /// The relay has passed the message on.
    MessageSent {
        /// Messages arrive here, so an answer can.
        can_be_answered: bool,
    },
    /// Messages to this address arrive here.
    Listening(NodeAddress),
    /// No messages arrive here.
    NotListening(&'a Failure<'a>),
    /// No messages arrive from the relay until there is another connection to it.
    ListenerLost {
        /// The relay, if there are several.
        source: Option<&'a PeerSource>,
        /// Why.
        failure: &'a Failure<'a>,
    },
    /// A message has no recipient: nobody has sent one yet.
    NoRecipient,
    /// No message arrived in this time.
    NoReply(Duration),
    /// The file is requested from a node.
    TryingNode {
        /// The file.
        name: &'a FileName<'a>,
        /// The position of the node in the relay's list, from 1 on, if it is there.
        number: Option<usize>,
        /// The length of the list.
        of: usize,
        /// The node.
        node: NodeAddress,
    },
    /// The node does not have the file.
    NotFound {
        /// The node.
        node: NodeAddress,
        /// Whether no node was asked after it.
        is_last: bool,
    },
    /// The node has not sent the file.
    NodeFailed(NodeAddress, &'a Failure<'a>),
    /// The node has the file.
    Found {
        /// The node.
        node: NodeAddress,
        /// In bytes.
        size: u64,
    },
    /// More of the file has arrived.
    Progress {
        /// The job that fetches the file.
        job: JobId,
        /// In bytes, with those that an earlier download had stored.
        received: u64,
        /// How many of them an earlier download had stored.
        resumed: u64,
        /// In bytes.
        size: u64,
        /// The number of nodes that are asked for the content.
        nodes: usize,
    },
    /// A file is being fetched, which is shown on request.
    Download(&'a DownloadStatus),
    /// A file is complete.
    Fetched {
        /// The file.
        name: &'a FileName<'a>,
        /// The node that sent it, or the most of it.
        node: NodeAddress,
        /// The number of nodes that sent it.
        nodes: usize,
        /// In bytes.
        size: u64,
        /// How many of them an earlier download had stored.
        resumed: u64,
        /// From the request to the last byte.
        took: Duration,
        /// All that arrived was encrypted. False if nothing did.
        is_encrypted: bool,
        /// The content has the hash that was announced or given. Else the node knows no
        /// hash.
        is_verified: bool,
    },
    /// So many bytes of the last file came from this node.
    SentBytes(NodeAddress, u64),
    /// A part of the file may be there already, and is being checked.
    Checking {
        /// The file.
        name: &'a FileName<'a>,
        /// How much must be checked, in bytes.
        unknown: u64,
        /// In bytes.
        size: u64,
    },
    /// A part of the file is there already, and the rest is fetched.
    Resuming {
        /// The file.
        name: &'a FileName<'a>,
        /// In bytes.
        stored: u64,
        /// In bytes.
        size: u64,
    },
    /// A file is not complete. The part that was fetched stays on the disk.
    PartStored {
        /// The file.
        name: &'a FileName<'a>,
        /// The part.
        part: &'a StoredPart,
        /// Whether this alone says that the job has failed.
        is_failure: bool,
    },
    /// A file is not complete. Nothing of it stays.
    NoPartStored {
        /// The file.
        name: &'a FileName<'a>,
        /// Whether no piece was complete. Else the hash is not known, and no later download
        /// could check a part.
        hash_is_known: bool,
    },
    /// The user has interrupted the program, and nothing of the file was printed or kept.
    Interrupted {
        /// The name or the pattern.
        word: &'a str,
    },
    /// No node knows a hash of the file, and none without a hash is wanted.
    NoHash {
        /// The file.
        name: &'a FileName<'a>,
    },
    /// Pieces of the user's file are wrong or missing, and are fetched.
    Repairing {
        /// The file.
        name: &'a FileName<'a>,
        /// How many pieces are wrong.
        wrong: usize,
        /// How many pieces the file has.
        pieces: usize,
    },
    /// Wrong pieces of the user's file were replaced.
    Repaired {
        /// The file.
        name: &'a FileName<'a>,
        /// How many pieces were wrong.
        wrong: usize,
        /// How many pieces the file has.
        pieces: usize,
    },
    /// The file with this content is there already.
    UpToDate {
        /// The file.
        name: &'a FileName<'a>,
        /// In bytes.
        size: u64,
        /// Which one it is, if nodes have several contents of that name.
        content: Option<&'a Offer>,
    },
    /// No node has sent the file.
    Missing {
        /// The file.
        name: &'a FileName<'a>,
        /// How many nodes there are.
        nodes: usize,
        /// How many of them failed.
        failed: usize,
        /// How many of them were not asked, because too many had failed.
        untried: usize,
        /// Announced names that differ from it only in case or composition.
        similar: &'a [String],
    },
    /// Nodes have several contents under the name, or none has the wanted one.
    SeveralContents {
        /// The file.
        name: &'a FileName<'a>,
        /// The contents.
        offers: &'a [Offer],
        /// Which of them is fetched.
        selection: Selection,
    },
    /// The content of a file was printed, and is not the one that the node announced.
    WrongContent {
        /// The file.
        name: &'a FileName<'a>,
        /// The node that sent it.
        node: NodeAddress,
        /// In bytes.
        shown: u64,
    },
    /// A file is not complete, and a part of it was printed.
    Incomplete {
        /// The file.
        name: &'a FileName<'a>,
        /// In bytes.
        shown: u64,
        /// In bytes.
        size: u64,
    },
    /// The content of a file cannot be stored.
    StoreError {
        /// The file.
        name: &'a FileName<'a>,
        /// Why.
        error: &'a StoreError,
    },
    /// A command has the wrong form. This is how to write it.
    InvalidCommand(&'a str),
    /// What was to be fetched cannot be a name or a pattern of files. This is why.
    InvalidName(&'a str),
    /// The line begins with a command, and is none here.
    UnknownCommand {
        /// The command.
        word: &'a str,
        /// Why, such as `takes no argument`.
        reason: &'a str,
        /// The whole line.
        line: &'a str,
    },
    /// Several files are going to be saved.
    BatchStarted {
        /// How many were named. Patterns stand for more.
        files: usize,
    },
    /// So many files more are going to be saved.
    BatchGrown {
        /// How many were named.
        files: usize,
    },
    /// A pattern stands for these files.
    Expanded {
        /// The pattern.
        pattern: &'a FilePattern,
        /// How many there are.
        files: usize,
        /// Their size together.
        bytes: u64,
        /// The others that it matches.
        left_out: LeftOutFiles,
        /// If there are none: folders whose names differ only in case or composition.
        similar: &'a [String],
        /// If there are none: a glob that matches files in deeper folders.
        deeper: Option<&'a FilePattern>,
    },
    /// Several files were fetched as far as possible.
    BatchFinished {
        /// How many names and patterns were not fetched and have not failed, because of an
        /// interrupt, a full disk or without a list of nodes.
        unfetched: usize,
    },
    /// A file has the digits of a hash that the user has typed, but they are too few to prove
    /// its content.
    FewDigits {
        /// The file.
        name: &'a FileName<'a>,
        /// How many they are.
        digits: usize,
    },
    /// A result, for people.
    Note(&'a str),
    /// The commands.
    Help(&'static str),
}

impl<'a> UserEvent<'a> {
    /// A part of a file stays. Another event says why the job has ended.
    pub(super) fn part_stored(name: &'a FileName<'a>, part: &'a StoredPart) -> Self {
        Self::PartStored {
            name,
            part,
            is_failure: false,
        }
    }

    /// The job has failed, and a part of its file stays.
    pub(super) fn failed_with_part(name: &'a FileName<'a>, part: &'a StoredPart) -> Self {
        Self::PartStored {
            name,
            part,
            is_failure: true,
        }
    }

    /// The file with the only content of this name is there already.
    pub(super) fn up_to_date(name: &'a FileName<'a>, size: u64) -> Self {
        Self::UpToDate {
            name,
            size,
            content: None,
        }
    }
}
