//! The exit codes of all programs.

use std::process::ExitCode;

use crate::jobs::TaskResult;

/// How a program ends. `docs/exit-codes.md` lists the same codes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Exit {
    /// Every request was fulfilled.
    Success = 0,
    /// No node has the file, no program listens at the address, or no reply came.
    NotFound = 1,
    /// The command line or a command is wrong.
    Usage = 2,
    /// The relay could not be reached, or refused the request.
    Relay = 3,
    /// The download failed after a part of the file was printed or saved.
    Incomplete = 4,
    /// The file was not found, or not all files of a folder or glob, and some nodes or relays
    /// failed.
    NodesFailed = 5,
    /// The content could not be stored.
    StoreError = 6,
    /// The program cannot listen on an address or port.
    Listen = 7,
    /// The folder to share cannot be read.
    Share = 8,
    /// A host name cannot be resolved, or no server is announced on the network.
    Host = 9,
    /// The server was stopped before all data was sent.
    Aborted = 10,
    /// The system refuses something that every program needs.
    System = 11,
    /// Nodes have several contents under the name, or none has sent the right one.
    SeveralContents = 12,
    /// A signal or the user interrupted the program (128 + SIGINT, as in a shell).
    Interrupted = 130,
}

impl From<TaskResult> for Exit {
    fn from(result: TaskResult) -> Self {
        match result {
            TaskResult::Success => Self::Success,
            TaskResult::NotFound => Self::NotFound,
            TaskResult::Usage => Self::Usage,
            TaskResult::Relay => Self::Relay,
            TaskResult::Incomplete => Self::Incomplete,
            TaskResult::NodesFailed => Self::NodesFailed,
            TaskResult::StoreError | TaskResult::DiskFull => Self::StoreError,
            TaskResult::SeveralContents | TaskResult::WrongContent => Self::SeveralContents,
            TaskResult::Interrupted => Self::Interrupted,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
