//! The commands of the prompt: one line each.

use crate::jobs::file_search::FileSearch;
use crate::jobs::get_command::GetCommand;
use crate::jobs::relay_query::Query;
use crate::jobs::task_result::TaskResult;
use crate::jobs::user::User;
use crate::jobs::user_event::UserEvent;
use crate::jobs::verify_command::VerifyCommand;
use crate::jobs::words::BLANKS;
use crate::protocol::{FileName, NodeAddress, Request, Text, Verb};

/// The words that begin a command. A line that begins with another word is a file
/// name.
pub const COMMAND_WORDS: [&str; 19] = [
    "ls",
    "search",
    "find",
    "get",
    "verify",
    "nodes",
    "send",
    "reply",
    "who",
    "chat",
    "share",
    "unshare",
    "help",
    "quit",
    "exit",
    "jobs",
    "cancel",
    "status",
    "connections",
];

/// Says that a line cannot be read.
pub const NOT_UTF8: &str = "a line is not UTF-8, and was skipped";

/// The answer to `help`.
pub const HELP: &str = "\
NAME        fetch the file NAME and print it
get NAME... fetch files; names as in a shell: get 'two words.txt'
            get docs/ and get '*.txt' save a folder, and what a glob matches
            -o FILE, -d DIR: save there; --force: replace existing files
            --hash HASH: fetch the content with this hash; --all: all files;
            --hidden: also those whose names start with a dot
            --wait SECONDS: wait for a node that has the file
verify FILE check a file on disk, and fetch wrong and missing pieces again; if it has
            another name in the network: verify FILE NAME; if it was saved with
            -d DIR: verify -d DIR NAME
ls          list all files that the nodes have announced; -l shows whole hashes
search TEXT list the files whose names contain TEXT, or match a glob: *.txt
find NAME   list the nodes that have the file NAME
nodes       list the nodes that are registered with the relay
who         list the addresses at which messages are received
send IP PORT TEXT
            send a message to this address
chat [IP PORT]
            send each line that you type to this address, or to the sender of
            the last message; /quit ends the chat
help        list the commands
quit        end the program; exit and the end of input do the same
ctrl-C      stop a transfer; lines that you type meanwhile are executed after it";

/// A command of the prompt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PromptCommand<'a> {
    /// An empty line.
    Empty,
    /// Fetch files.
    Get(GetCommand),
    /// Check files on disk. Only a client can.
    Verify(VerifyCommand),
    /// Send a query to the relay, and show the answer.
    Query(Query),
    /// Show the files that a search finds.
    Search(FileSearch),
    /// Send this text to the last sender. Only a node can.
    Reply(Text<'static>),
    /// Chat with this node, or with the last sender.
    Chat(Option<NodeAddress>),
    /// Show the commands.
    Help,
    /// End the program.
    Quit,
    /// Share the file or folder at this path. Only a node can.
    Share(&'a str),
    /// Stop sharing this file or folder. Only a node can.
    Unshare(FileName<'a>),
    /// List the files that are being fetched. Only a node can.
    Jobs,
    /// List the connections to the node. Only a node can.
    Connections,
    /// Break off the download of this number. Only a node can.
    Cancel(Option<u64>),
    /// Show the state at each relay. Only a node can.
    Status,
    /// This command takes no argument, and was given one.
    UnexpectedArgument,
    /// A command of the wrong form: how to write it.
    Invalid(String),
}

impl<'a> PromptCommand<'a> {
    /// Parses a line.
    #[must_use]
    pub fn parse(line: &'a str) -> Self {
        let line = line.trim_matches(BLANKS);
        let (word, rest) = match line.split_once(BLANKS) {
            Some((word, rest)) => (word, rest.trim_start_matches(BLANKS)),
            None => (line, ""),
        };
        let invalid = |error: &dyn ToString| Self::Invalid(error.to_string());
        match word {
            "" => Self::Empty,
            "get" => GetCommand::parse(rest).map_or_else(Self::Invalid, Self::Get),
            "verify" => VerifyCommand::parse(rest).map_or_else(Self::Invalid, Self::Verify),
            "ls" if matches!(rest, "-l" | "--long") => Self::Search(FileSearch::all(true)),
            "nodes" | "who" | "jobs" | "status" | "connections" | "ls" | "quit" | "exit"
                if !rest.is_empty() =>
            {
                Self::UnexpectedArgument
            }
            "nodes" => Self::Query(Query::Nodes),
            "who" => Self::Query(Query::Listeners),
            "ls" => Self::Search(FileSearch::all(false)),
            "search" => {
                let long = rest.strip_prefix("--long").or(rest.strip_prefix("-l"));
                let long = long.filter(|text| text.is_empty() || text.starts_with(BLANKS));
                let text = long.unwrap_or(rest).trim_start_matches(BLANKS);
                FileSearch::parse(text, long.is_some())
                    .map_or_else(|error| invalid(&error), Self::Search)
            }
            "find" => match FileName::parse(rest) {
                Ok(name) => Self::Query(Query::Holders(name.into_owned())),
                Err(error) => invalid(&error),
            },
            "send" => Self::send(rest),
            "share" if rest.is_empty() => invalid(&"usage: share PATH"),
            "share" => Self::Share(rest),
            "jobs" => Self::Jobs,
            "status" => Self::Status,
            "connections" => Self::Connections,
            "cancel" => Self::Cancel(rest.parse().ok()),
            "unshare" => FileName::parse(rest).map_or_else(|error| invalid(&error), Self::Unshare),
            "reply" => match Text::parse(rest) {
                Ok(text) => Self::Reply(text.into_owned()),
                Err(error) => invalid(&error),
            },
            "chat" => Self::chat(rest),
            "help" | "HELP" | "?" => Self::Help,
            "quit" | "exit" => Self::Quit,
            _ => GetCommand::bare(line, near_command(word).is_some())
                .map_or_else(Self::Invalid, Self::Get),
        }
    }

    /// Executes a command that needs only the user: shows the help, or reports why
    /// the line is no command here.
    pub fn report(&self, line: &str, help: &'static str, user: &mut dyn User) -> TaskResult {
        let line = line.trim_matches(BLANKS);
        let word = line.split(BLANKS).next().unwrap_or_default();
        let unknown = |reason| UserEvent::UnknownCommand { word, reason, line };
        let (event, result) = match self {
            Self::Empty => return TaskResult::Success,
            Self::Help => (UserEvent::Help(help), TaskResult::Success),
            Self::UnexpectedArgument => (unknown("takes no argument"), TaskResult::Usage),
            Self::Invalid(error) => (UserEvent::InvalidCommand(error), TaskResult::Usage),
            Self::Cancel(_) => (
                unknown("is a command for the console of a node, and ctrl-C stops a transfer here"),
                TaskResult::Usage,
            ),
            Self::Verify(_) => (unknown("is a command of peer-client"), TaskResult::Usage),
            _ => (
                unknown("is a command for the console of a node"),
                TaskResult::Usage,
            ),
        };
        user.on_event(event);
        result
    }

    fn chat(fields: &str) -> Self {
        if fields.is_empty() {
            return Self::Chat(None);
        }
        // The parser of addresses ignores further fields. Here they are a message.
        let words = fields.split(BLANKS).filter(|word| !word.is_empty()).count();
        match NodeAddress::parse(fields) {
            Ok(to) if words == 2 => Self::Chat(Some(to)),
            Ok(_) | Err(_) => Self::Invalid("usage: chat IP PORT, or chat".into()),
        }
    }

    /// `send IP PORT TEXT`, with the fields of `SEND` on the wire.
    fn send(fields: &str) -> Self {
        let line = format!("{} {fields}", Verb::Send.word());
        match Request::parse(line.as_bytes()) {
            Ok(Request::Send(to, text)) => Self::Query(Query::Message(to, text.into_owned())),
            Ok(_) => Self::Invalid(format!("usage: {}", Verb::Send.usage())),
            Err(error) => Self::Invalid(error.to_string().replace("SEND", "send")),
        }
    }
}

/// The command from which a word differs only in case, in one letter, or in two letters
/// that have changed places. Almost every short word is near `ls`.
#[must_use]
pub fn near_command(word: &str) -> Option<&'static str> {
    let word: Vec<char> = word.to_lowercase().chars().collect();
    COMMAND_WORDS.into_iter().find(|command| {
        let command: Vec<char> = command.chars().collect();
        let is_same = |(a, b): &(&char, &char)| a == b;
        let start = word.iter().zip(&command).take_while(is_same).count();
        let (word, command) = (&word[start..], &command[start..]);
        let ends = word.iter().rev().zip(command.iter().rev());
        let end = ends.take_while(is_same).count();
        let differing = (&word[..word.len() - end], &command[..command.len() - end]);
        match differing {
            ([], []) => true,
            ([] | [_], [] | [_]) => start + end > 1,
            ([a, b], [c, d]) => (a, b) == (d, c),
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::file_pattern::FilePattern;

    #[test]
    fn a_line_is_a_file_name_unless_it_starts_with_a_command() {
        let pattern = |name| FilePattern::Name(FileName::parse(name).unwrap().into_owned());
        let get = |name| {
            PromptCommand::Get(GetCommand {
                patterns: vec![pattern(name)],
                ..GetCommand::default()
            })
        };
        assert_eq!(PromptCommand::parse("hello.txt"), get("hello.txt"));
        assert_eq!(
            PromptCommand::parse("two generals.txt"),
            get("two generals.txt")
        );
        assert_eq!(PromptCommand::parse("  get   send.txt "), get("send.txt"));
        assert_eq!(PromptCommand::parse("get help"), get("help"));
        assert_eq!(PromptCommand::parse("helpful"), get("helpful"));
        assert_eq!(
            PromptCommand::parse("quit smoking.txt"),
            PromptCommand::UnexpectedArgument
        );
        // Only blanks of the protocol are blanks.
        assert_eq!(PromptCommand::parse("\u{a0}x\n"), get("\u{a0}x"));
        assert_eq!(PromptCommand::parse("chat"), PromptCommand::Chat(None));
        let to = NodeAddress::parse("1.2.3.4 5").unwrap();
        assert_eq!(
            PromptCommand::parse("chat  1.2.3.4  5 "),
            PromptCommand::Chat(Some(to))
        );
        let hash = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        let chosen = PromptCommand::Get(GetCommand {
            patterns: vec![pattern("a b"), pattern("c")],
            hash: Some(hash.parse().unwrap()),
            ..GetCommand::default()
        });
        assert_eq!(
            PromptCommand::parse(&format!("get --hash {hash} 'a b' c")),
            chosen
        );
        for line in ["get --hash 12 a", "get a --force", "get -o b a c"] {
            let command = PromptCommand::parse(line);
            assert!(matches!(command, PromptCommand::Invalid(_)), "{line}");
        }
        let files = |text: &str| PromptCommand::Search(FileSearch::parse(text, false).unwrap());
        assert_eq!(PromptCommand::parse("search a b"), files("a b"));
        assert_eq!(PromptCommand::parse("ls"), files(""));
        assert_eq!(PromptCommand::parse(" \t"), PromptCommand::Empty);
    }

    #[test]
    fn a_wrong_line_is_no_command() {
        for line in ["get", "../x", "find", "find /x", "send", "send 1.2.3.4 5"] {
            assert!(
                matches!(PromptCommand::parse(line), PromptCommand::Invalid(_)),
                "{line}"
            );
        }
        for line in ["chat x", "chat 1.2.3.4", "chat 1.2.3.4 5 hi"] {
            assert!(
                matches!(PromptCommand::parse(line), PromptCommand::Invalid(_)),
                "{line}"
            );
        }
        assert!(matches!(
            PromptCommand::parse("send 1.2.3.4 5 hi you"),
            PromptCommand::Query(_)
        ));
    }

    #[test]
    fn a_mistyped_command_is_a_file_only_if_announced() {
        for near in ["serach", "HLEP", "gets", "exi", "Nodes", "sedn"] {
            let announced = FilePattern::Announced(FileName::parse(near).unwrap().into_owned());
            let command = GetCommand::bare(near, true).unwrap();
            assert_eq!(command.patterns, [announced]);
            assert_eq!(PromptCommand::parse(near), PromptCommand::Get(command));
        }
        for other in ["a", "x", "g", "hello.txt", "finds.txt"] {
            assert_eq!(
                PromptCommand::parse(other),
                PromptCommand::Get(GetCommand::bare(other, false).unwrap())
            );
        }
    }
}
