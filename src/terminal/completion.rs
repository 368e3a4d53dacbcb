//! Completion by the TAB key: commands, and file names that are queried when they
//! are needed. A file name is the last field of a line and may contain blanks, so
//! everything from its start up to the cursor is its prefix.

use rustyline::completion::Pair;

use crate::jobs::{BLANKS, COMMAND_WORDS};

/// Returns the file names that begin with a prefix.
pub(crate) type FindNames = Box<dyn Fn(&str) -> Vec<String>>;

/// Completes the lines of a prompt.
pub(crate) struct LineCompleter {
    /// The help text of the prompt: one command per line.
    pub(crate) help: &'static str,
    pub(crate) find_names: FindNames,
}

impl LineCompleter {
    /// Completes `typed`, the text before the cursor. Returns the byte offset at which
    /// the replacements start, and the replacements.
    pub(crate) fn complete(&self, typed: &str) -> (usize, Vec<Pair>) {
        let line = typed.trim_start_matches(BLANKS);
        let start = typed.len() - line.len();
        let Some((word, rest)) = line.split_once(BLANKS) else {
            let mut pairs = self.commands(line);
            // An empty prefix would match all names.
            if !line.is_empty() {
                pairs.extend(self.bare_names(line));
            }
            return (start, pairs);
        };
        if !COMMAND_WORDS.contains(&word) {
            return (start, self.bare_names(line).collect());
        }
        let name = skip_hash_option(rest.trim_start_matches(BLANKS));
        let pairs = match self.takes_name(word) {
            true => (self.find_names)(name).into_iter().map(pair).collect(),
            false => Vec::new(),
        };
        (typed.len() - name.len(), pairs)
    }

    /// The lines of the help text that begin with a command, with that command.
    fn command_lines(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let first_word = |line: &'static str| line.split(BLANKS).next();
        let lines = self.help.lines();
        lines
            .filter_map(move |line| Some((line, first_word(line)?)))
            .filter(|(_, word)| COMMAND_WORDS.contains(word))
    }

    fn commands(&self, typed: &str) -> Vec<Pair> {
        let mut pairs: Vec<Pair> = Vec::new();
        for (line, word) in self.command_lines() {
            if word.starts_with(typed) && pairs.iter().all(|pair| pair.display != word) {
                // The help text writes fields in capital letters.
                let fields = line[word.len()..].strip_prefix(' ');
                let takes_fields = fields.is_some_and(|rest| rest.starts_with(char::is_uppercase));
                pairs.push(Pair {
                    display: word.to_owned(),
                    replacement: format!("{word}{}", if takes_fields { " " } else { "" }),
                });
            }
        }
        pairs
    }

    fn takes_name(&self, command: &str) -> bool {
        self.command_lines()
            .any(|(line, word)| word == command && line[word.len()..].starts_with(" NAME"))
    }

    /// Names that can be typed without `get`: their first word is not a command.
    fn bare_names(&self, typed: &str) -> impl Iterator<Item = Pair> {
        let names = (self.find_names)(typed).into_iter();
        let is_command =
            |name: &str| COMMAND_WORDS.contains(&name.split(BLANKS).next().unwrap_or(name));
        names.filter(move |name| !is_command(name)).map(pair)
    }
}

/// Strips `--hash HASH`, which may precede a name.
fn skip_hash_option(fields: &str) -> &str {
    let name = || {
        let hash = fields.strip_prefix("--hash ")?.trim_start_matches(BLANKS);
        Some(hash.split_once(BLANKS)?.1.trim_start_matches(BLANKS))
    };
    name().unwrap_or(fields)
}

fn pair(name: String) -> Pair {
    Pair {
        display: name.clone(),
        replacement: name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELP: &str = "\
get NAME    a file
get --hash HASH NAME
            likewise
ls          all files
search TEXT some files
help        this";

    /// The part of `typed` that stays, and the replacements for the rest.
    fn complete(typed: &str) -> (&str, Vec<String>) {
        let all = ["hello.txt", "help me.txt", "two generals.txt", "two peers"];
        let completer = LineCompleter {
            help: HELP,
            find_names: Box::new(move |prefix| {
                let names = all.iter().filter(|name| name.starts_with(prefix));
                names.map(ToString::to_string).collect()
            }),
        };
        let (start, pairs) = completer.complete(typed);
        let replacements = pairs.into_iter().map(|pair| pair.replacement);
        (&typed[..start], replacements.collect())
    }

    fn completion(start: &'static str, words: &[&str]) -> (&'static str, Vec<String>) {
        (start, words.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn commands_and_names_at_the_start() {
        assert_eq!(
            complete(""),
            completion("", &["get ", "ls", "search ", "help"])
        );
        // A name that begins with a command's word needs get.
        assert_eq!(complete("  hel"), completion("  ", &["help", "hello.txt"]));
        let both = ["two generals.txt", "two peers"];
        assert_eq!(complete("two g"), completion("", &both[..1]));
        assert_eq!(complete("tw"), completion("", &both));
        assert_eq!(complete("xyz"), completion("", &[]));
        // `chat` is a command of the client, but not of this prompt.
        assert_eq!(complete("cha"), completion("", &[]));
    }

    #[test]
    fn names_where_a_command_takes_one() {
        assert_eq!(
            complete("get hel"),
            completion("get ", &["hello.txt", "help me.txt"])
        );
        assert_eq!(
            complete("get  two g"),
            completion("get  ", &["two generals.txt"])
        );
        let with_hash = completion("get --hash 12 ", &["two generals.txt"]);
        assert_eq!(complete("get --hash 12 two g"), with_hash);
        for line in ["ls hel", "search hel", "share hel"] {
            assert_eq!(complete(line).1, [""; 0], "{line}");
        }
    }
}
