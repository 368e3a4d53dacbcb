//! The user of a client or of a node's console: a person or a program.

use std::os::fd::OwnedFd;

use crate::jobs::content::{
    ContentInfo, DiscardedContent, Opened, PartialContent, PieceSet, StoreError, StoreErrorKind,
    StoredContent,
};
use crate::jobs::file_pattern::FilePattern;
use crate::jobs::get_command::OutputSpec;
use crate::jobs::ids::JobId;
use crate::jobs::user_event::UserEvent;
use crate::jobs::verify_command::VerifyCommand;
use crate::protocol::{
    Delivery, FileItem, FileName, HolderItem, NodeAddress, NodeItem, PieceValue,
};
use crate::role::ConnectionInfo;

/// The user. Gets events and content; only its implementations use a terminal or a
/// disk.
pub trait User {
    /// An event happened.
    fn on_event(&mut self, event: UserEvent<'_>);

    /// The user can type the next line.
    fn prompt(&mut self, kind: PromptKind);

    /// Shows a part of an answer.
    ///
    /// # Errors
    /// It cannot be shown.
    fn show(&mut self, listing: Listing<'_>) -> Result<(), StoreError>;

    /// The files of the next jobs go there; without a place, to the usual one. No job
    /// runs.
    ///
    /// # Errors
    /// There is no such folder.
    fn set_output(&mut self, _output: Option<&OutputSpec>) -> Result<(), StoreError> {
        Ok(())
    }

    /// The next jobs check files of the user, until the output is set. No job runs. Returns
    /// what the files are in the network.
    ///
    /// # Errors
    /// There are no such files.
    fn set_verify(&mut self, _command: &VerifyCommand) -> Result<FilePattern, StoreError> {
        Err(StoreError {
            reason: "there are no files to check".into(),
            kind: StoreErrorKind::Other,
        })
    }

    /// Takes the name of a file that was not printed because it is binary.
    fn take_unprinted(&mut self) -> Option<FileName<'static>> {
        None
    }

    /// Compares what is stored for a file with the content that would be fetched. Called
    /// again as long as the answer is [`StoredContent::Unfinished`]: each call reads a
    /// part of the file.
    ///
    /// # Errors
    /// The content is not to be fetched: the user's file cannot be read or repaired.
    fn compare(
        &mut self,
        _job: JobId,
        _name: &FileName<'_>,
        _content: &ContentInfo,
    ) -> Result<StoredContent, StoreError> {
        Ok(StoredContent::Other)
    }

    /// Whether the user's file, which is to be repaired, has this content. Called again as long
    /// as the answer is [`StoredContent::Unfinished`].
    ///
    /// # Errors
    /// The file cannot be read.
    fn has_content(
        &mut self,
        _job: JobId,
        _name: &FileName<'_>,
        _content: &ContentInfo,
    ) -> Result<StoredContent, StoreError> {
        Ok(StoredContent::Other)
    }

    /// Whether files are stored with the time of the last change, so that nodes are asked
    /// for it.
    fn stores_times(&self) -> bool {
        false
    }

    /// Whether a file of the user is repaired: then none of several contents is taken
    /// without being chosen.
    fn repairs_file(&self) -> bool {
        false
    }

    /// Opens the output for the content of a file. Several jobs may each fetch a file.
    ///
    /// # Errors
    /// There is no place; no content will follow.
    fn open(
        &mut self,
        job: JobId,
        name: &FileName<'_>,
        content: &ContentInfo,
    ) -> Result<Opened, StoreError>;

    /// Writes a part of the content. If the output is [`Opened::InOrder`], `offset` is
    /// the number of bytes that were written before.
    ///
    /// # Errors
    /// It cannot be written.
    fn write_at(&mut self, job: JobId, offset: u64, bytes: &[u8]) -> Result<(), StoreError>;

    /// This piece was written and is right: if the job is broken off, a later one need
    /// not fetch the piece again.
    ///
    /// # Errors
    /// It cannot be recorded.
    fn record_piece(&mut self, job: JobId, index: u32) -> Result<(), StoreError>;

    /// Starts to check pieces that may be in the opened output, beside the loop. `values`
    /// are those of all pieces.
    ///
    /// # Errors
    /// The check cannot start.
    fn start_check(
        &mut self,
        job: JobId,
        pieces: &PieceSet,
        values: &[PieceValue],
    ) -> Result<(), StoreError>;

    /// The pieces that were checked since the last call, and whether each is right.
    ///
    /// # Errors
    /// The user's file, which is to be repaired, cannot be read.
    fn checked_pieces(&mut self, job: JobId) -> Result<Vec<(u32, bool)>, StoreError>;

    /// The file into which the content of a job is written, if its pieces may be read there.
    fn part_file(&self, _job: JobId) -> Option<OwnedFd> {
        None
    }

    /// The content is complete: moves it to its final place.
    ///
    /// # Errors
    /// It cannot be moved there.
    fn commit(&mut self, job: JobId, content: &ContentInfo) -> Result<(), StoreError>;

    /// Likewise, for the content of a small file of many. Returns false if that takes a
    /// while: [`User::next_committed`] then returns the result, after
    /// [`TerminalEvent::FilesCommitted`].
    ///
    /// # Errors
    /// It cannot be moved there.
    fn start_commit(&mut self, job: JobId, content: &ContentInfo) -> Result<bool, StoreError> {
        self.commit(job, content).map(|()| true)
    }

    /// The next content whose commit has ended.
    fn next_committed(&mut self) -> Option<(JobId, Result<(), StoreError>)> {
        None
    }

    /// The content, if any came, is of no use: deletes it where possible.
    fn discard(&mut self, job: JobId) -> DiscardedContent;

    /// The job is broken off. Keeps the recorded pieces on the disk for a later job if
    /// they are worth it, and discards everything else. Returns what is left.
    fn keep(&mut self, job: JobId) -> PartialContent;
}

/// File names that begin with a prefix.
#[derive(Clone, Default)]
pub struct FoundNames {
    /// The names, in byte order.
    pub names: Vec<String>,
    /// Whether some are left out: there are too many, or the list ends too early.
    pub is_incomplete: bool,
}

/// Receives names: none if the relay gives no list. Without an answer it is dropped.
pub type NamesCallback = Box<dyn FnOnce(FoundNames) + Send>;

/// An event of the terminal, from the thread of a prompt or of one that writes files, for a
/// client or a node with a console.
pub enum TerminalEvent {
    /// The user typed a line.
    Typed(String),
    /// The user typed a line that is not UTF-8.
    Unreadable,
    /// The user wants to complete a file name.
    Complete {
        /// The part that was typed.
        prefix: String,
        /// Gets the names that begin with the prefix.
        callback: NamesCallback,
    },
    /// Call [`User::next_committed`] until there is none.
    FilesCommitted,
    /// There will be no more lines.
    EndOfInput,
    /// The user interrupts the program where there is no line to discard.
    Interrupt,
    /// The user interrupts the program while no line is edited.
    InterruptSignal,
}

/// The kind of line that a user is to type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PromptKind {
    /// A command.
    Command,
    /// The number of one of several contents.
    Choice,
    /// The name of a file.
    Name,
    /// Yes or no.
    Confirmation,
    /// A message to this node, or to the last sender.
    Message(Option<NodeAddress>),
}

/// A part of an answer.
#[derive(Debug)]
pub enum Listing<'a> {
    /// The nodes.
    Nodes(&'a [NodeItem]),
    /// The nodes that have a file.
    Holders(&'a [HolderItem]),
    /// One of the files.
    File {
        /// The file.
        file: &'a FileItem<'a>,
        /// Whether the whole hash is shown.
        is_long: bool,
    },
    /// The list of files is complete. It had this many.
    EndOfFiles(u64),
    /// The list of files is not complete.
    Truncated,
    /// A message.
    Message(&'a Delivery<'a>),
    /// Some of the connections to this program.
    Connections {
        /// The number of all connections.
        total: u64,
        /// Those that are shown.
        connections: &'a [ConnectionInfo],
    },
}
