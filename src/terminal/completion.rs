//! What the TAB key offers: commands, and names of files that are asked for as
//! they are needed. A file name is the last field of a line and may hold blanks,
//! so all up to the cursor is its beginning.

use rustyline::completion::Pair;

use crate::jobs::{BLANKS, WORDS};

/// Finds names that begin with a text.
pub(crate) type Names = Box<dyn Fn(&str) -> Vec<String>>;

/// What a prompt's program knows about its lines.
pub(crate) struct Offers {
    /// The commands, as they are explained, one a line.
    pub(crate) help: &'static str,
    pub(crate) names: Names,
}

impl Offers {
    /// What could stand before the cursor instead of `typed`, from the byte on
    /// that is returned too.
    pub(crate) fn instead_of(&self, typed: &str) -> (usize, Vec<Pair>) {
        let line = typed.trim_start_matches(BLANKS);
        let start = typed.len() - line.len();
        let Some((word, rest)) = line.split_once(BLANKS) else {
            let mut offers = self.commands(line);
            // All names would be too many.
            if !line.is_empty() {
                offers.extend(self.bare_names(line));
            }
            return (start, offers);
        };
        if !WORDS.contains(&word) {
            return (start, self.bare_names(line).collect());
        }
        let name = behind_hash(rest.trim_start_matches(BLANKS));
        let offers = match self.takes_name(word) {
            true => (self.names)(name).into_iter().map(as_it_is).collect(),
            false => Vec::new(),
        };
        (typed.len() - name.len(), offers)
    }

    /// The lines of the help that explain a command, and its word.
    fn explained(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let first_word = |line: &'static str| line.split(BLANKS).next();
        let lines = self.help.lines();
        lines
            .filter_map(move |line| Some((line, first_word(line)?)))
            .filter(|(_, word)| WORDS.contains(word))
    }

    fn commands(&self, typed: &str) -> Vec<Pair> {
        let mut offers: Vec<Pair> = Vec::new();
        for (line, word) in self.explained() {
            if word.starts_with(typed) && offers.iter().all(|offer| offer.display != word) {
                // Fields are in capital letters.
                let fields = line[word.len()..].strip_prefix(' ');
                let takes_fields = fields.is_some_and(|rest| rest.starts_with(char::is_uppercase));
                offers.push(Pair {
                    display: word.to_owned(),
                    replacement: format!("{word}{}", if takes_fields { " " } else { "" }),
                });
            }
        }
        offers
    }

    fn takes_name(&self, command: &str) -> bool {
        self.explained()
            .any(|(line, word)| word == command && line[word.len()..].starts_with(" NAME"))
    }

    /// Names that can be typed without a command: the first word is none.
    fn bare_names(&self, typed: &str) -> impl Iterator<Item = Pair> {
        let names = (self.names)(typed).into_iter();
        let is_command = |name: &str| WORDS.contains(&name.split(BLANKS).next().unwrap_or(name));
        names.filter(move |name| !is_command(name)).map(as_it_is)
    }
}

/// Without `--hash HASH`, which may stand before a name.
fn behind_hash(fields: &str) -> &str {
    let name = || {
        let hash = fields.strip_prefix("--hash ")?.trim_start_matches(BLANKS);
        Some(hash.split_once(BLANKS)?.1.trim_start_matches(BLANKS))
    };
    name().unwrap_or(fields)
}

fn as_it_is(name: String) -> Pair {
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

    /// What is offered, after what stays.
    fn offered(typed: &str) -> (&str, Vec<String>) {
        let all = ["hello.txt", "help me.txt", "two generals.txt", "two peers"];
        let offers = Offers {
            help: HELP,
            names: Box::new(move |prefix| {
                let names = all.iter().filter(|name| name.starts_with(prefix));
                names.map(ToString::to_string).collect()
            }),
        };
        let (start, offers) = offers.instead_of(typed);
        let offers = offers.into_iter().map(|offer| offer.replacement);
        (&typed[..start], offers.collect())
    }

    fn some(stays: &'static str, offers: &[&str]) -> (&'static str, Vec<String>) {
        (stays, offers.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn commands_and_names_at_the_start() {
        assert_eq!(offered(""), some("", &["get ", "ls", "search ", "help"]));
        // A name that begins with a command's word needs get.
        assert_eq!(offered("  hel"), some("  ", &["help", "hello.txt"]));
        let both = ["two generals.txt", "two peers"];
        assert_eq!(offered("two g"), some("", &both[..1]));
        assert_eq!(offered("tw"), some("", &both));
        assert_eq!(offered("xyz"), some("", &[]));
        // It is kept for a command, but is none here.
        assert_eq!(offered("cha"), some("", &[]));
    }

    #[test]
    fn names_where_a_command_takes_one() {
        assert_eq!(
            offered("get hel"),
            some("get ", &["hello.txt", "help me.txt"])
        );
        assert_eq!(offered("get  two g"), some("get  ", &["two generals.txt"]));
        let with_hash = some("get --hash 12 ", &["two generals.txt"]);
        assert_eq!(offered("get --hash 12 two g"), with_hash);
        for line in ["ls hel", "search hel", "share hel"] {
            assert_eq!(offered(line).1, [""; 0], "{line}");
        }
    }
}
