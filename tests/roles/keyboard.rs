//! What is typed at a prompt or a console. Its commands:
//!
//! - `type LINE`; `type-end`: the end of input; `interrupt`: ctrl-C on an empty line.
//! - `complete PREFIX`: a file name is begun.

use std::sync::mpsc::{Receiver, channel};

use goldenscript::Command;
use peerline::jobs::TerminalEvent;

use crate::stage::StageResult;

#[derive(Default)]
pub struct Keyboard {
    /// Where names are to come that complete what was begun.
    completed: Option<Receiver<Vec<String>>>,
}

impl Keyboard {
    /// What the role is told by a command, if it is one of the above.
    pub fn press(&mut self, command: &Command) -> StageResult<Option<TerminalEvent>> {
        let mut args = command.consume_args();
        let message = match command.name.as_str() {
            "type" => TerminalEvent::Typed(args.next_pos().ok_or("which line?")?.to_owned()),
            "type-end" => TerminalEvent::EndOfInput,
            "interrupt" => TerminalEvent::Interrupt,
            "complete" => {
                let prefix = args.next_pos().unwrap_or_default().to_owned();
                let (answer, completed) = channel();
                self.completed = Some(completed);
                TerminalEvent::Complete { prefix, answer }
            }
            _ => return Ok(None),
        };
        args.reject_next()?;
        Ok(Some(message))
    }

    /// The names that have come since.
    pub fn completed(&self) -> String {
        let names = self
            .completed
            .as_ref()
            .and_then(|names| names.try_recv().ok());
        names.map_or_else(String::new, |names| format!("completed: {names:?}\n"))
    }
}
