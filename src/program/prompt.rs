//! The user's lines. Reading a terminal, a pipe or a file blocks, so it happens
//! in a thread of its own that only hands lines over, one each time it is asked.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::sync::mpsc::{self, Receiver, Sender};

use crate::protocol::MAX_LINE;
use crate::reactor::Handle;
use crate::role::client::Message;

const PROMPT: &str = "peerline> ";

/// Asks the thread for the next line.
pub(super) struct Asker(Sender<()>);

impl Asker {
    pub(super) fn ask(&self) {
        // If the thread is gone, the end of input has been told already.
        let _ = self.0.send(());
    }
}

/// Prepares the two ends: one asks, the other waits to be asked.
pub(super) fn channel() -> (Asker, Receiver<()>) {
    let (sender, receiver) = mpsc::channel();
    (Asker(sender), receiver)
}

/// Starts the thread. It ends with the process.
pub(super) fn start(asked: Receiver<()>, client: Handle<Message>) -> io::Result<()> {
    std::thread::Builder::new()
        .name("prompt".into())
        .spawn(move || {
            let terminal = io::stdin().is_terminal();
            let mut stdin = io::stdin().lock();
            while asked.recv().is_ok() {
                if terminal {
                    let mut stderr = io::stderr();
                    let _ = write!(stderr, "{PROMPT}").and_then(|()| stderr.flush());
                }
                match next_line(&mut stdin) {
                    // Without a terminal an empty line is the end, as it was
                    // for the programs that Peerline descends from.
                    Some(line) if terminal || !line.trim().is_empty() => {
                        client.tell(Message::Typed(line));
                    }
                    Some(_) | None => {
                        if terminal {
                            let _ = writeln!(io::stderr());
                        }
                        return client.tell(Message::EndOfInput);
                    }
                }
            }
        })
        .map(drop)
}

/// One line; what is no UTF-8 in it cannot be a file name anyway.
fn next_line(input: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    let length = input
        .by_ref()
        .take(MAX_LINE as u64)
        .read_until(b'\n', &mut line)
        .ok()?;
    if length == MAX_LINE && !line.ends_with(b"\n") {
        // The rest of a line that is too long is no command of its own.
        input.skip_until(b'\n').ok()?;
    }
    (length > 0).then(|| String::from_utf8_lossy(&line).into_owned())
}
