//! The exit codes of all programs.

use std::process::ExitCode;

use crate::jobs::TaskResult;

/// How a program ends. `docs/exit-codes.md` explains the codes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Exit {
    /// The program did everything that the user asked for.
    Success = 0,
    /// All nodes were asked and none has the file, a search or `find` has no result, or
    /// no receiver listens or answers.
    NotFound = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The relay cannot be reached, or sends no list.
    Relay = 3,
    /// The transfer broke off after a part of the file had been printed.
    Incomplete = 4,
    /// The file was not found, but some nodes could not be asked.
    NodesFailed = 5,
    /// The content cannot be saved or printed.
    StoreError = 6,
    /// The program cannot listen on the address or port.
    Listen = 7,
    /// The path to share is not a readable folder.
    Share = 8,
    /// A host name does not resolve.
    Host = 9,
    /// A server was stopped before it had sent everything.
    Cut = 10,
    /// The operating system refuses a resource that every program needs.
    System = 11,
    /// Nodes have several contents under the name, or none has the chosen content.
    WhichContent = 12,
    /// Interrupted by a signal (128 + SIGINT, as in a shell).
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
            TaskResult::StoreError => Self::StoreError,
            TaskResult::SeveralContents => Self::WhichContent,
            TaskResult::Interrupted => Self::Interrupted,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
