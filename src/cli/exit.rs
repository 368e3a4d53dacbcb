//! The exit codes of all programs.

use std::process::ExitCode;

use crate::jobs::TaskResult;

/// How a program ends. The README lists the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Exit {
    /// All that was asked was done.
    Success = 0,
    /// Every node was asked, and none has the file; nobody listens, or nobody
    /// answers.
    NotFound = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The relay could not be reached, or gave no list.
    Relay = 3,
    /// The file broke off after a part of it had been printed.
    Incomplete = 4,
    /// The file was not found, but some nodes could not be asked.
    NodesFailed = 5,
    /// The content could not be put where it should go.
    StoreError = 6,
    /// The address or port cannot be listened on.
    Listen = 7,
    /// What is to be shared is no folder that can be read.
    Share = 8,
    /// A host name does not resolve.
    Host = 9,
    /// Stopped before everything that was being sent had been sent.
    Cut = 10,
    /// The system refuses something that every program needs.
    System = 11,
    /// There are several contents under the name, or not the one that is wanted.
    WhichContent = 12,
    /// Interrupted by a signal (128 + SIGINT, as a shell counts).
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
