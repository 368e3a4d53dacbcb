//! The events of a prompt or a console, as commands of a script:
//!
//! - `type LINE`; `type-end`: the end of input; `interrupt`: ctrl-C on an empty line.
//! - `complete PREFIX`: the user wants to complete a file name.

use std::sync::mpsc::{Receiver, channel};

use goldenscript::Command;
use peerline::jobs::{FoundNames, TerminalEvent};

use crate::stage::StageResult;

#[derive(Default)]
pub struct Keyboard {
    /// Receives the names that complete a prefix.
    completed: Option<Receiver<FoundNames>>,
}

impl Keyboard {
    /// The event of a command, if it is one of the above.
    pub fn press(&mut self, command: &Command) -> StageResult<Option<TerminalEvent>> {
        let mut args = command.consume_args();
        let message = match command.name.as_str() {
            "type" => TerminalEvent::Typed(args.next_pos().ok_or("which line?")?.to_owned()),
            "type-end" => TerminalEvent::EndOfInput,
            "interrupt" => TerminalEvent::Interrupt,
            "complete" => {
                let prefix = args.next_pos().unwrap_or_default().to_owned();
                let (sender, completed) = channel();
                self.completed = Some(completed);
                let callback = Box::new(move |names| sender.send(names).unwrap_or_default());
                TerminalEvent::Complete { prefix, callback }
            }
            _ => return Ok(None),
        };
        args.reject_next()?;
        Ok(Some(message))
    }

    /// The names that were received.
    pub fn completed(&self) -> String {
        let names = self
            .completed
            .as_ref()
            .and_then(|names| names.try_recv().ok());
        names.map_or_else(String::new, |found| {
            format!("completed: {:?}\n", found.names)
        })
    }
}
