//! What a person types at the prompt.

use crate::protocol::{FileName, NameError};

/// The words that are commands; a line that starts with another is a file name.
pub const WORDS: [&str; 11] = [
    "ls", "search", "find", "get", "nodes", "send", "chat", "share", "unshare", "help", "quit",
];

/// What separates words, as on the wire, and what ends a line.
const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

/// The answer to `help`.
pub const HELP: &str = "\
NAME        fetch the file of that name and show it
get NAME    the same, for names that start with a command's word
nodes       the nodes that the relay knows
help        this
quit        goodbye (so is the end of input)";

/// One line, understood.
#[derive(PartialEq, Eq, Debug)]
pub enum Typed<'a> {
    /// Nothing.
    Empty,
    /// Fetch a file.
    Get(FileName<'a>),
    /// Show the nodes.
    Nodes,
    /// Show the commands.
    Help,
    /// Leave.
    Quit,
    /// A command that takes nothing was given something.
    Surplus(&'a str),
    /// A word that is kept for a command that does not exist yet.
    NotYet(&'a str),
    /// The name is none.
    BadName(NameError),
}

impl<'a> Typed<'a> {
    /// Understands a line.
    #[must_use]
    pub fn parse(line: &'a str) -> Self {
        let line = line.trim_matches(BLANKS);
        let (word, rest) = match line.split_once(BLANKS) {
            Some((word, rest)) => (word, rest.trim_start_matches(BLANKS)),
            None => (line, ""),
        };
        match word {
            "" => Self::Empty,
            "get" => Self::get(rest),
            "nodes" | "help" | "quit" if !rest.is_empty() => Self::Surplus(word),
            "nodes" => Self::Nodes,
            "help" => Self::Help,
            "quit" => Self::Quit,
            word if WORDS.contains(&word) => Self::NotYet(word),
            _ => Self::get(line),
        }
    }

    fn get(name: &'a str) -> Self {
        match FileName::parse(name) {
            Ok(name) => Self::Get(name),
            Err(why) => Self::BadName(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_file_name_unless_it_starts_with_a_command() {
        let get = |name| Typed::Get(FileName::parse(name).unwrap());
        assert_eq!(Typed::parse("hello.txt"), get("hello.txt"));
        assert_eq!(Typed::parse("two generals.txt"), get("two generals.txt"));
        assert_eq!(Typed::parse("  get   send.txt "), get("send.txt"));
        assert_eq!(Typed::parse("get help"), get("help"));
        assert_eq!(Typed::parse("helpful"), get("helpful"));
        assert_eq!(Typed::parse("quit smoking.txt"), Typed::Surplus("quit"));
        // Only blanks of the protocol are blanks.
        assert_eq!(Typed::parse("\u{a0}x\n"), get("\u{a0}x"));
        assert_eq!(Typed::parse("search x"), Typed::NotYet("search"));
        assert_eq!(Typed::parse(" \t"), Typed::Empty);
        assert_eq!(Typed::parse("get"), Typed::BadName(NameError::Empty));
        assert_eq!(Typed::parse("../x"), Typed::BadName(NameError::Parts));
    }
}
