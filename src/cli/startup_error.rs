//! Why a program cannot start.

use std::fmt;
use std::io;

use crate::cli::exit::Exit;

/// Why a program cannot start or run: an exit code, and a line that says what to do.
#[derive(Debug)]
pub struct StartupError {
    pub(super) exit: Exit,
    text: String,
}

impl StartupError {
    pub(super) fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self {
            exit,
            text: text.into(),
        }
    }

    /// The command line is wrong.
    pub(super) fn usage(text: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, text.to_string())
    }

    /// `operation` failed with a system error.
    pub(super) fn system(operation: &str, error: &io::Error) -> Self {
        Self::new(Exit::System, format!("{operation}: {error}"))
    }
}

impl fmt::Display for StartupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for StartupError {}
