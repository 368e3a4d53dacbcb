//! A user that records every call.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::mpsc::Sender;

use peerline::jobs::{
    ContentInfo, DiscardedContent, JobId, Listing, Opened, PartialContent, PieceSet, PromptKind,
    Selection, StoreError, StoreErrorKind, StoredPart, User, UserEvent,
};
use peerline::protocol::{ContentHash, FileName, PieceValue};

/// Sends a line for each call.
pub struct RecordingUser {
    lines: Sender<String>,
    /// Whether the lines name the job: there are several.
    pub names_jobs: bool,
    /// What becomes of a file that is discarded.
    pub discarded: DiscardedContent,
    pub failing_call: Option<FailingCall>,
    /// What the output says when it is opened.
    pub opened: Opened,
    /// The stored pieces that are wrong, and the results of a check.
    pub wrong: PieceSet,
    checked: Vec<(u32, bool)>,
    /// What of each content was written.
    written: BTreeMap<JobId, Vec<u8>>,
    /// The size of the content that was opened last, and the number of its pieces that
    /// were recorded.
    size: u64,
    pieces: u64,
}

/// The call that fails.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum FailingCall {
    Show,
    Open,
    Write,
    Commit,
    /// A commit, because the disk is full.
    FullDisk,
    /// Every call that prints: the reader of the output is gone.
    Reader,
}

impl RecordingUser {
    pub fn new(lines: Sender<String>) -> Self {
        Self {
            lines,
            names_jobs: false,
            discarded: DiscardedContent::default(),
            failing_call: None,
            opened: Opened::InOrder,
            wrong: PieceSet::default(),
            checked: Vec::new(),
            written: BTreeMap::new(),
            size: 0,
            pieces: 0,
        }
    }

    fn record(&self, line: impl Into<String>) {
        // The receiver is gone when the script is over.
        let _ = self.lines.send(line.into());
    }

    fn record_job(&self, job: JobId, text: impl Display) {
        self.record(match self.names_jobs {
            true => format!("{job:?}: {text}"),
            false => text.to_string(),
        });
    }

    fn check(&self, call: FailingCall) -> Result<(), StoreError> {
        if self.failing_call != Some(call) {
            return Ok(());
        }
        let (reason, kind) = match call {
            FailingCall::Reader => ("the reader is gone", StoreErrorKind::ReaderGone),
            FailingCall::FullDisk => ("the disk is full", StoreErrorKind::DiskFull),
            _ => ("the disk is full", StoreErrorKind::Other),
        };
        let reason = reason.into();
        Err(StoreError { reason, kind })
    }
}

impl User for RecordingUser {
    fn on_event(&mut self, event: UserEvent<'_>) {
        self.record(match event {
            UserEvent::Nodes { nodes, .. } => format!("{} nodes", nodes.len()),
            UserEvent::SourceAnswered {
                source,
                count,
                items,
            } => format!("{} says {count}: {}", source.name, items.join(", ")),
            UserEvent::SourceFailed { source, failure } => {
                format!("{} failed: {failure}", source.name)
            }
            UserEvent::UntrustedNode { source, failure } => {
                format!("{} is passed over: {failure}", source.name)
            }
            UserEvent::NotShown(error) => format!("not shown: {error}"),
            UserEvent::RelayFailed(query, failure) => {
                format!("the relay failed: {failure} ({query:?})")
            }
            UserEvent::NoAnswer(node, failure) => format!("{node} failed: {failure}"),
            UserEvent::NoNodes { name, failure } => {
                format!("no list of nodes for {name}: {failure}")
            }
            UserEvent::Repairing {
                name,
                wrong,
                pieces,
            } => format!("{name}: {wrong} of {pieces} pieces are wrong"),
            UserEvent::Repaired {
                name,
                wrong,
                pieces,
            } => format!("{name}: {wrong} of {pieces} pieces replaced"),
            UserEvent::NoResult(text) => format!("no result: {text}"),
            UserEvent::UpToDate { name, size, .. } => format!("{name} is there, {size} bytes"),
            UserEvent::FewDigits { name, digits } => format!("{name}: {digits} digits"),
            UserEvent::BatchStarted { files } => format!("several files, {files} of them named"),
            UserEvent::BatchGrown { files } => format!("{files} more"),
            UserEvent::Expanded {
                pattern,
                files,
                bytes,
                left_out,
                similar: [],
                deeper,
            } => {
                let deeper = deeper.map_or(String::new(), |deeper| format!(", {deeper} matches"));
                let hidden = match left_out.hidden {
                    0 => String::new(),
                    hidden => format!(", {hidden} hidden"),
                };
                format!("{pattern}: {files} files, {bytes} bytes{hidden}{deeper}")
            }
            UserEvent::Expanded {
                pattern, similar, ..
            } => {
                format!("{pattern}: no files; similar: {}", similar.join(", "))
            }
            UserEvent::BatchFinished { unfetched } => format!("the end, {unfetched} not fetched"),
            UserEvent::MessageSent { can_be_answered } => match can_be_answered {
                true => "sent".to_owned(),
                false => "sent, cannot be answered".to_owned(),
            },
            UserEvent::Listening(address) => format!("reached at {address}"),
            UserEvent::NotListening(failure) => format!("not reached: {failure}"),
            UserEvent::ListenerLost { source, failure } => {
                let source = source.map_or("it", |source| &source.name);
                format!("{source} is tried again: {failure}")
            }
            UserEvent::NoRecipient => "nobody has written yet".to_owned(),
            UserEvent::NoReply(wait) => format!("no answer in {wait:?}"),
            UserEvent::TryingNode {
                name,
                number,
                of,
                node,
            } => {
                let number = number.unwrap_or_default();
                format!("asking {node} for {name} ({number} of {of})")
            }
            UserEvent::Download(download) => {
                let (number, name) = (download.number, &download.name);
                let transfer = download.transfer;
                let part = transfer.map(|part| format!(", {} of {} bytes", part.received, part.size));
                format!("download {number}: {name}{}", part.unwrap_or_default())
            }
            UserEvent::NoPartStored { name, .. } => format!("nothing of {name} is kept"),
            UserEvent::SentBytes(node, bytes) => format!("{bytes} bytes from {node}"),
            UserEvent::NotFound { node, .. } => format!("{node} does not have it"),
            UserEvent::NodeFailed(node, failure) => format!("{node} failed: {failure}"),
            UserEvent::Found { node, size } => format!("{node} has it, {size} bytes"),
            UserEvent::Progress {
                job,
                received,
                size,
                ..
            } => return self.record_job(job, format_args!("{received} of {size} bytes")),
            UserEvent::Fetched {
                name,
                node,
                nodes,
                size,
                resumed,
                took,
                is_encrypted,
                is_verified,
            } => {
                let more = match nodes {
                    1 => String::new(),
                    nodes => format!(" and {} more", nodes - 1),
                };
                let security = if is_encrypted { ", encrypted" } else { "" };
                let checked = if is_verified { "" } else { ", not verified" };
                let there = match resumed {
                    0 => String::new(),
                    bytes => format!(" ({bytes} were there)"),
                };
                format!("got {name} from {node}{more}, {size} bytes{there} in {took:?}{security}{checked}")
            }
            UserEvent::Checking {
                name,
                unknown,
                size,
            } => {
                format!("{unknown} of {size} bytes of {name} may be there")
            }
            UserEvent::Resuming { name, stored, size } => {
                format!("{stored} of {size} bytes of {name} are there")
            }
            UserEvent::PartStored { name, part, .. } => {
                format!("{} of {} bytes of {name} are kept", part.stored, part.size)
            }
            UserEvent::Interrupted { word } => format!("interrupted: {word}"),
            UserEvent::NoHash { name } => format!("nobody knows a hash of {name}"),
            UserEvent::Missing {
                name,
                nodes,
                failed,
                untried,
                similar,
            } => {
                let rest = match untried {
                    0 => String::new(),
                    untried => format!(", {untried} not asked"),
                };
                let similar = match similar {
                    [] => String::new(),
                    names => format!(", similar: {}", names.join(", ")),
                };
                format!("nobody has {name}: {nodes} nodes, {failed} of them failed{rest}{similar}")
            }
            UserEvent::SeveralContents {
                name,
                offers,
                selection,
            } => {
                let by = match selection {
                    Selection::ByNumber => " by its number",
                    Selection::First => " but the first",
                    Selection::None => "",
                    Selection::NoMatch(_) => " with another hash",
                };
                let nodes: Vec<usize> = offers.iter().map(|offer| offer.nodes).collect();
                format!("which content of {name}{by}? nodes that have each: {nodes:?}")
            }
            UserEvent::WrongContent { name, node, shown } => {
                format!("{name} is wrong: {node} sent {shown} bytes that were shown")
            }
            UserEvent::Incomplete { name, shown, size } => {
                format!("{name} is incomplete: {shown} of {size} bytes were shown")
            }
            UserEvent::StoreError { name, error } => format!("{name} is not stored: {error}"),
            UserEvent::InvalidCommand(advice) | UserEvent::InvalidName(advice) => format!("that is wrong: {advice}"),
            UserEvent::Note(text) => format!("note: {text}"),
            UserEvent::UnknownCommand { word, reason, line } => format!("{word} {reason}: {line}"),
            UserEvent::Help(text) => format!("help of {} lines", text.lines().count()),
        });
    }

    fn prompt(&mut self, kind: PromptKind) {
        self.record(match kind {
            PromptKind::Command => "ready".to_owned(),
            PromptKind::Confirmation => "yes or no?".into(),
            PromptKind::Choice => "ready for a choice".to_owned(),
            PromptKind::Name => "ready for a name".to_owned(),
            PromptKind::Message(None) => "ready for words".to_owned(),
            PromptKind::Message(Some(to)) => format!("ready for words to {to}"),
        });
    }

    fn show(&mut self, listing: Listing<'_>) -> Result<(), StoreError> {
        fn joined(lines: &[impl ToString]) -> String {
            let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
            lines.join(", ")
        }
        self.record(match listing {
            Listing::Nodes(nodes) => format!("nodes: {}", joined(nodes)),
            Listing::Holders(holders) => format!("holders: {}", joined(holders)),
            Listing::File { file, .. } => format!("file: {file}"),
            Listing::Truncated => "the list broke off".to_owned(),
            Listing::Message(delivery) => format!("message: {delivery}"),
            Listing::EndOfFiles(count) => format!("{count} files"),
            Listing::Connections { total, .. } => format!("{total} connections"),
        });
        self.check(FailingCall::Show)?;
        self.check(FailingCall::Reader)
    }

    fn open(
        &mut self,
        job: JobId,
        name: &FileName<'_>,
        content: &ContentInfo,
    ) -> Result<Opened, StoreError> {
        self.record_job(job, format_args!("open {name}, {} bytes", content.size));
        self.written.insert(job, Vec::new());
        let stored = match &self.opened {
            Opened::Part { pieces, .. } => pieces.len().into(),
            Opened::InOrder | Opened::Empty => 0,
        };
        (self.size, self.pieces) = (content.size, stored);
        self.check(FailingCall::Open)?;
        Ok(self.opened.clone())
    }

    fn write_at(&mut self, job: JobId, offset: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let written = self.written.entry(job).or_default();
        let start = usize::try_from(offset).expect("it fits into memory");
        if self.opened == Opened::InOrder {
            assert_eq!(written.len(), start, "written in order");
        }
        written.resize(written.len().max(start + bytes.len()), 0);
        written[start..start + bytes.len()].copy_from_slice(bytes);
        match bytes.len() {
            0..=64 => self.record_job(job, format_args!("write {}", bytes.escape_ascii())),
            length => self.record_job(job, format_args!("write {length} bytes at {offset}")),
        }
        self.check(FailingCall::Write)?;
        self.check(FailingCall::Reader)
    }

    fn record_piece(&mut self, job: JobId, index: u32) -> Result<(), StoreError> {
        self.record_job(job, format_args!("piece {index}"));
        self.pieces += 1;
        Ok(())
    }

    fn start_check(
        &mut self,
        job: JobId,
        pieces: &PieceSet,
        values: &[PieceValue],
    ) -> Result<(), StoreError> {
        let count = values.len();
        self.record_job(
            job,
            format_args!("check {} of {count} pieces", pieces.len()),
        );
        let result = |index| (index, !self.wrong.contains(index));
        self.checked = pieces.iter().map(result).collect();
        Ok(())
    }

    fn checked_pieces(&mut self, _: JobId) -> Result<Vec<(u32, bool)>, StoreError> {
        Ok(self.checked.pop().into_iter().collect())
    }

    fn commit(&mut self, job: JobId, content: &ContentInfo) -> Result<(), StoreError> {
        let written = self.written.remove(&job).unwrap_or_default();
        let is_whole = !matches!(self.opened, Opened::Part { .. });
        let is_right = |hash| ContentHash::of(&written) == hash;
        assert!(!is_whole || content.hash.is_none_or(is_right), "the hash");
        match (content.mtime, content.is_executable) {
            (None, _) => self.record_job(job, "commit"),
            (Some(mtime), false) => self.record_job(job, format_args!("commit, of {mtime}")),
            (Some(mtime), true) => {
                self.record_job(job, format_args!("commit, of {mtime}, executable"));
            }
        }
        self.check(FailingCall::FullDisk)?;
        self.check(FailingCall::Commit)
    }

    fn discard(&mut self, job: JobId) -> DiscardedContent {
        self.record_job(job, "discard");
        self.discarded
    }

    fn keep(&mut self, job: JobId) -> PartialContent {
        self.record_job(job, "keep");
        match (&self.opened, self.pieces) {
            (Opened::InOrder, _) => {
                let printed = self.written.get(&job).map_or(0, Vec::len);
                PartialContent::Printed(printed as u64)
            }
            (_, 0) => PartialContent::Nothing,
            (_, pieces) => PartialContent::Stored(StoredPart {
                path: "the part".into(),
                stored: pieces << 20,
                unchecked: 0,
                size: self.size,
            }),
        }
    }
}
