//! A program on a pseudo-terminal.

use std::fs::File;
use std::process::Command;

use expectrl::process::unix::WaitStatus;
use expectrl::session::OsSession;
use expectrl::{Eof, Expect, Session};
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use tempfile::TempDir;

use crate::support::eventually;

/// A program on a pseudo-terminal of its own, without echo. It is killed when this is
/// dropped.
pub struct Terminal {
    session: OsSession,
    /// The state folder, with the history.
    _state: TempDir,
}

impl Terminal {
    pub fn start(mut command: Command) -> Self {
        let state = tempfile::tempdir().expect("a temporary folder");
        let is_set = |name| command.get_envs().any(|(set, _)| set == name);
        let (term, home) = (is_set("TERM"), is_set("XDG_STATE_HOME"));
        if !term {
            command.env("TERM", "xterm");
        }
        if !home {
            command.env("XDG_STATE_HOME", state.path());
        }
        let session = Session::spawn(command).expect("the program starts");
        Self {
            session,
            _state: state,
        }
    }

    /// Waits until `text` is shown. Returns the output before it.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> String {
        let mut before = String::new();
        // The `expect` of the crate spins without a yield.
        eventually(text, || match self.session.check(text) {
            Ok(shown) if shown.is_empty() => false,
            Ok(shown) => {
                before = String::from_utf8_lossy(shown.before()).into_owned();
                true
            }
            Err(error) => panic!("{text:?} is never shown: {error}"),
        });
        before
    }

    /// Types keys without a newline.
    pub fn keys(&mut self, keys: &str) {
        self.bytes(keys.as_bytes());
    }

    /// Types what need not be text.
    pub fn bytes(&mut self, keys: &[u8]) {
        self.session.send(keys).expect("the terminal is there");
    }

    /// Types a line.
    pub fn enter(&mut self, line: &str) {
        self.session.send_line(line).expect("the terminal is there");
    }

    /// Waits for the prompt and types a line.
    #[track_caller]
    pub fn at_prompt(&mut self, line: &str) {
        self.at("peerline> ", line);
    }

    /// Waits for `prompt` and types a line.
    #[track_caller]
    pub fn at(&mut self, prompt: &str, line: &str) {
        self.expect(prompt);
        self.enter(line);
    }

    /// Presses Ctrl and a letter.
    pub fn ctrl(&mut self, letter: char) {
        let key = [letter.to_ascii_uppercase() as u8 & 0x1f];
        self.session.send(key).expect("the terminal is there");
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.session.get_process().pid().as_raw());
        kill_process(pid.expect("a process"), signal).expect("the process is there");
    }

    /// The terminal device, which outlives the program.
    pub fn device(&self) -> Device {
        let file = self.session.get_process().get_raw_handle();
        Device(file.expect("a descriptor"))
    }

    /// Waits for the exit. Returns the remaining output and the exit code.
    #[track_caller]
    pub fn wait(mut self) -> (String, i32) {
        let mut shown = String::new();
        eventually("the end of what is shown", || {
            let rest = self.session.check(Eof).expect("a terminal");
            shown = String::from_utf8_lossy(rest.as_bytes()).into_owned();
            !rest.is_empty()
        });
        let mut code = None;
        // The terminal is closed a moment before the program exits.
        eventually("the end of the program", || {
            match self.session.get_process().status() {
                Ok(WaitStatus::Exited(_, status)) => code = Some(status),
                Ok(WaitStatus::StillAlive) => {}
                other => panic!("it ended by {other:?} after {shown:?}"),
            }
            code.is_some()
        });
        (shown, code.unwrap_or_default())
    }
}

/// A terminal device.
pub struct Device(File);

impl Device {
    /// Gives it the settings of another terminal.
    pub fn copy_settings(&self, other: &Self) {
        let settings = tcgetattr(&other.0).expect("a terminal");
        tcsetattr(&self.0, OptionalActions::Now, &settings).expect("a terminal");
    }

    /// All its settings.
    pub fn settings(&self) -> String {
        format!("{:?}", tcgetattr(&self.0).expect("a terminal"))
    }
}
