//! The settings of the terminal on stdin.

use std::io;

use rustix::process::getpgrp;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};

/// Settings of the terminal, or none if stdin is no terminal.
#[derive(Clone)]
pub(crate) struct TerminalMode(Option<Termios>);

impl TerminalMode {
    /// The settings of now.
    pub(crate) fn current() -> Self {
        Self(tcgetattr(io::stdin()).ok())
    }

    /// Applies the settings, unless the program is in the background: the terminal is
    /// another program's, and the system would stop this one.
    pub(crate) fn apply(&self) {
        let is_in_background = tcgetpgrp(io::stdin()).is_ok_and(|group| group != getpgrp());
        if let (Some(settings), false) = (&self.0, is_in_background) {
            // The terminal may be gone.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, settings);
        }
    }
}

/// Whether the program may read the terminal on stdin: in the background, the system
/// would stop it.
pub(crate) fn is_in_foreground() -> bool {
    tcgetpgrp(io::stdin()).is_ok_and(|group| group == getpgrp())
}

/// Whether the terminal on stdin has been closed.
pub(crate) fn is_gone() -> bool {
    tcgetattr(io::stdin()).is_err()
}
