//! Why a program cannot start.

use std::fmt;
use std::io::{self, Write};

use serde_json::json;

use crate::cli::Exit;
use crate::stdio::Stderr;
use crate::system_error::Reason;

/// Why a program cannot start or run: an exit code, and a line that says what to do. It is
/// escaped when it is printed: it may contain words of the command line. An empty one is not
/// printed.
pub(super) struct StartupError {
    pub(super) exit: Exit,
    pub(super) text: String,
}

impl StartupError {
    pub(super) fn new(exit: Exit, text: impl fmt::Display) -> Self {
        let text = text.to_string();
        Self { exit, text }
    }

    /// The command line is wrong.
    pub(super) fn usage(text: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, text)
    }

    /// Stdout cannot be written. There is no text if its reader has closed it.
    pub(super) fn stdout(error: io::Error) -> Self {
        let text = match error.kind() {
            io::ErrorKind::BrokenPipe => String::new(),
            _ => format!("cannot write to stdout: {}", Reason(&error)),
        };
        Self::new(Exit::StoreError, text)
    }

    /// Makes the error of an operation, such as `cannot start a thread`, from the
    /// system's error.
    pub(super) fn system(operation: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| {
            Self::new(
                Exit::System,
                format_args!("{operation}: {}", Reason(&error)),
            )
        }
    }
}

/// Runs a program. With `is_json`, an error is printed on stderr as a JSON object; without, it
/// is returned.
pub(super) fn report(
    is_json: bool,
    run: impl FnOnce() -> Result<Exit, StartupError>,
) -> Result<Exit, StartupError> {
    match run() {
        Err(StartupError { exit, text }) if is_json => {
            // Warnings before the error stay before it.
            log::logger().flush();
            let error = json!({"error": "start", "why": text, "code": exit as u8});
            // If stderr is closed, only the exit code remains.
            let _ = writeln!(Stderr, "{error}");
            Ok(exit)
        }
        result => result,
    }
}
