//! What a person types at the prompt.

use crate::exit::Exit;
use crate::jobs::query::Query;
use crate::jobs::user::{User, UserEvent};
use crate::protocol::{ContentHash, FileName, NodeAddress, Request, Text, Verb};

/// The words that are commands; a line that starts with another is a file name.
pub const WORDS: [&str; 12] = [
    "ls", "search", "find", "get", "nodes", "send", "reply", "chat", "share", "unshare", "help",
    "quit",
];

/// What separates words, as on the wire, and what ends a line.
pub const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

/// The answer to `help`.
pub const HELP: &str = "\
NAME        fetch the file of that name and show it
get NAME    the same, for names that start with a command's word
get --hash HASH NAME
            the same, if there are several contents of that name
ls          all files that the nodes have announced
search TEXT those whose names contain the text
find NAME   who has the file of that name
nodes       the nodes that the relay knows
send IP PORT TEXT
            a message to whoever listens there
chat [IP PORT]
            a conversation: each line goes there, or to whoever wrote last; /quit
            ends it
help        this
quit        goodbye (so is the end of input)";

/// One line, understood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Typed<'a> {
    /// Nothing.
    Empty,
    /// Fetch a file; with a hash, only the content that has it.
    Get(FileName<'a>, Option<ContentHash>),
    /// Ask the relay something.
    Ask(Query),
    /// Say this to whoever wrote last. Only a node can.
    Reply(Text<'static>),
    /// Lead a conversation, with this one or with whoever speaks last.
    Chat(Option<NodeAddress>),
    /// Show the commands.
    Help,
    /// Leave.
    Quit,
    /// Share what lies at this path. Only a node can.
    Share(&'a str),
    /// Share this no longer. Only a node can.
    Unshare(FileName<'a>),
    /// A command that takes nothing was given something.
    Surplus(&'a str),
    /// It is not of the right form; for people.
    Wrong(String),
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
            "get" => match rest.strip_prefix("--hash ") {
                Some(fields) => Self::get_content(fields.trim_start_matches(BLANKS)),
                None => Self::get(rest, None),
            },
            "nodes" | "ls" | "help" | "quit" if !rest.is_empty() => Self::Surplus(word),
            "nodes" => Self::Ask(Query::Nodes),
            "ls" => Self::Ask(Query::Files(String::new())),
            "search" => match Query::files(rest) {
                Ok(question) => Self::Ask(question),
                Err(why) => Self::Wrong(why.to_string()),
            },
            "find" => match FileName::parse(rest) {
                Ok(name) => Self::Ask(Query::Holders(name.into_owned())),
                Err(why) => Self::Wrong(why.to_string()),
            },
            "send" => Self::send(rest),
            "share" if rest.is_empty() => Self::Wrong("use: share PATH".into()),
            "share" => Self::Share(rest),
            "unshare" => match FileName::parse(rest) {
                Ok(name) => Self::Unshare(name),
                Err(why) => Self::Wrong(why.to_string()),
            },
            "reply" => match Text::parse(rest) {
                Ok(text) => Self::Reply(text.into_owned()),
                Err(why) => Self::Wrong(why.to_string()),
            },
            "chat" => Self::chat(rest),
            "help" => Self::Help,
            "quit" => Self::Quit,
            _ => Self::get(line, None),
        }
    }

    /// Tells the user about what asks for nothing else: `help`, or what cannot be
    /// done here. Returns whether something is wrong with it.
    pub fn explain(&self, line: &str, help: &'static str, user: &mut dyn User) -> Exit {
        let line = line.trim_matches(BLANKS);
        match self {
            Self::Empty => return Exit::Success,
            Self::Help => {
                user.on_event(UserEvent::Help(help));
                return Exit::Success;
            }
            Self::Surplus(word) => user.on_event(UserEvent::Surplus { word, line }),
            Self::Wrong(why) => user.on_event(UserEvent::Wrong(why)),
            Self::Get(..)
            | Self::Ask(_)
            | Self::Reply(_)
            | Self::Chat(_)
            | Self::Share(_)
            | Self::Unshare(_)
            | Self::Quit => {
                user.on_event(UserEvent::NotHere(
                    line.split(BLANKS).next().unwrap_or_default(),
                ));
            }
        }
        Exit::Usage
    }

    fn get(name: &'a str, hash: Option<ContentHash>) -> Self {
        match FileName::parse(name) {
            Ok(name) => Self::Get(name, hash),
            Err(why) => Self::Wrong(why.to_string()),
        }
    }

    /// `--hash HASH NAME`: which of several contents.
    fn get_content(fields: &'a str) -> Self {
        let (hash, name) = fields.split_once(BLANKS).unwrap_or((fields, ""));
        match hash.parse() {
            Ok(hash) => Self::get(name.trim_start_matches(BLANKS), Some(hash)),
            Err(_) => Self::Wrong("use: get --hash HASH NAME; a hash is 64 hex digits".into()),
        }
    }

    fn chat(fields: &str) -> Self {
        match NodeAddress::parse(fields) {
            _ if fields.is_empty() => Self::Chat(None),
            // Whatever came after the address was meant for somebody.
            Ok(to)
                if fields
                    .split(BLANKS)
                    .filter(|field| !field.is_empty())
                    .nth(2)
                    .is_none() =>
            {
                Self::Chat(Some(to))
            }
            Ok(_) | Err(_) => Self::Wrong("use: chat IP PORT, or chat".into()),
        }
    }

    /// The fields are those of the wire's own `SEND`.
    fn send(fields: &str) -> Self {
        let line = format!("{} {fields}", Verb::Send.word());
        match Request::parse(line.as_bytes()) {
            Ok(Request::Send(to, text)) => Self::Ask(Query::Message(to, text.into_owned())),
            Ok(_) => Self::Wrong(format!("use: {}", Verb::Send.usage())),
            Err(error) => Self::Wrong(error.to_string().replace("SEND", "send")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_file_name_unless_it_starts_with_a_command() {
        let get = |name| Typed::Get(FileName::parse(name).unwrap(), None);
        assert_eq!(Typed::parse("hello.txt"), get("hello.txt"));
        assert_eq!(Typed::parse("two generals.txt"), get("two generals.txt"));
        assert_eq!(Typed::parse("  get   send.txt "), get("send.txt"));
        assert_eq!(Typed::parse("get help"), get("help"));
        assert_eq!(Typed::parse("helpful"), get("helpful"));
        assert_eq!(Typed::parse("quit smoking.txt"), Typed::Surplus("quit"));
        // Only blanks of the protocol are blanks.
        assert_eq!(Typed::parse("\u{a0}x\n"), get("\u{a0}x"));
        assert_eq!(Typed::parse("chat"), Typed::Chat(None));
        let to = NodeAddress::parse("1.2.3.4 5").unwrap();
        assert_eq!(Typed::parse("chat  1.2.3.4  5 "), Typed::Chat(Some(to)));
        let hash = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        let name = FileName::parse("a b").unwrap();
        let chosen = Typed::Get(name, Some(hash.parse().unwrap()));
        assert_eq!(Typed::parse(&format!("get --hash {hash} a b")), chosen);
        assert!(matches!(Typed::parse("get --hash 12 a"), Typed::Wrong(_)));
        let files = |text: &str| Typed::Ask(Query::Files(text.into()));
        assert_eq!(Typed::parse("search a b"), files("a b"));
        assert_eq!(Typed::parse("ls"), files(""));
        assert_eq!(Typed::parse(" \t"), Typed::Empty);
        for line in ["get", "../x", "find", "find /x", "send", "send 1.2.3.4 5"] {
            assert!(matches!(Typed::parse(line), Typed::Wrong(_)), "{line}");
        }
        for line in ["chat x", "chat 1.2.3.4", "chat 1.2.3.4 5 hi"] {
            assert!(matches!(Typed::parse(line), Typed::Wrong(_)), "{line}");
        }
        assert!(matches!(
            Typed::parse("send 1.2.3.4 5 hi you"),
            Typed::Ask(_)
        ));
    }
}
