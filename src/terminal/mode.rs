//! The settings of the terminal on stdin, and whose turn it is to use it.

use std::io;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use rustix::io::Errno;
use rustix::process::getpgrp;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};

/// How often a program in the background looks whether it is in the foreground. Nothing reports
/// it: a shell sends SIGCONT only to a program that is stopped.
const FOREGROUND_INTERVAL: Duration = Duration::from_millis(200);

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
        if let (Some(settings), false) = (&self.0, is_in_background()) {
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

/// Whether the terminal on stdin is another program's.
pub(crate) fn is_in_background() -> bool {
    tcgetpgrp(io::stdin()).is_ok_and(|group| group != getpgrp())
}

/// Blocks while the program is in the background.
pub(crate) fn wait_for_foreground() {
    while is_in_background() {
        thread::sleep(FOREGROUND_INTERVAL);
    }
}

/// If this thread, or one that it starts from now on, uses the terminal in the background, the
/// system does not stop the program: reading fails, and writing works. Other programs that it
/// starts are not affected.
pub(crate) fn block_stops() -> io::Result<()> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTTIN);
    signals.add(Signal::SIGTTOU);
    Ok(signals.thread_block()?)
}

/// Whether reading the terminal failed because the program was in the background, where it may
/// be no longer.
pub(crate) fn is_background_error(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::IO.raw_os_error()) && !is_gone()
}

/// Whether the terminal on stdin has been closed.
pub(crate) fn is_gone() -> bool {
    tcgetattr(io::stdin()).is_err()
}
