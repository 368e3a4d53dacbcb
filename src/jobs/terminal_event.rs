//! Events of the terminal, from the thread of a prompt.

use crate::jobs::completion::NamesCallback;

/// An event of the terminal, for a client or a node with a console.
pub enum TerminalEvent {
    /// The user typed a line.
    Typed(String),
    /// The user wants to complete a file name.
    Complete {
        /// The part that was typed.
        prefix: String,
        /// Gets the names that begin with the prefix.
        callback: NamesCallback,
    },
    /// There will be no more lines.
    EndOfInput,
    /// The user interrupts the program where there is no line to discard.
    Interrupt,
}
