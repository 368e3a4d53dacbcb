//! What the thread of a prompt tells the loop.

use std::sync::mpsc::Sender;

/// What other threads tell a client, or a node with a console.
#[derive(Clone, Debug)]
pub enum TerminalEvent {
    /// The user typed a line.
    Typed(String),
    /// The user types a file name that starts so: which ones are there?
    Complete {
        /// What was typed.
        prefix: String,
        /// Gets names that start with it: not all if there are many, none if the
        /// relay gives no list.
        answer: Sender<Vec<String>>,
    },
    /// There will be no more lines.
    EndOfInput,
    /// The user interrupts us where there is no line to be thrown away.
    Interrupt,
}
