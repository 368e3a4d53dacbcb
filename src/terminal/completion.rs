//! Completion by the TAB key: commands, and file names that are queried when they
//! are needed. A file name is the last field of a line and may contain blanks, so
//! everything from its start up to the cursor is its prefix. After `-o` and `-d` follow paths
//! on this machine.

use std::fs;

use rustyline::completion::Pair;

use crate::jobs::{BLANKS, COMMAND_WORDS, FoundNames, last_word, quoted, word_before_last};

/// The most paths that are offered.
const MAX_PATHS: usize = 1000;

/// Returns the file names that begin with a prefix.
pub type FindNames = Box<dyn Fn(&str) -> FoundNames>;

/// Completes the lines of a prompt.
pub struct LineCompleter {
    /// The help text of the prompt: one command per line.
    pub help: &'static str,
    /// Asks for file names.
    pub find_names: FindNames,
}

impl LineCompleter {
    /// Completes `typed`, the text before the cursor. Returns the byte offset at which
    /// the replacements start, and the replacements.
    pub fn complete(&self, typed: &str) -> (usize, Vec<Pair>) {
        let line = typed.trim_start_matches(BLANKS);
        let start = typed.len() - line.len();
        let Some((word, rest)) = line.split_once(BLANKS) else {
            let mut pairs = self.commands(line);
            // An empty prefix would match all names.
            if !line.is_empty() {
                pairs.append(&mut self.bare_names(line));
            }
            return (start, pairs);
        };
        if !COMMAND_WORDS.contains(&word) {
            return (start, self.bare_names(line));
        }
        if word == "get" {
            let (offset, prefix) = last_word(rest);
            let found = match word_before_last(rest).as_deref() {
                Some("-o" | "--output") => local_paths(&prefix, false),
                Some("-d" | "--dir") => local_paths(&prefix, true),
                _ => (self.find_names)(&prefix),
            };
            let pairs = pairs(found, &rest[offset..], |name| Pair {
                replacement: quoted(&name),
                display: name,
            });
            return (typed.len() - rest.len() + offset, pairs);
        }
        let name = rest.trim_start_matches(BLANKS);
        let pairs = match self.takes_name(word) {
            true => pairs((self.find_names)(name), name, pair),
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
    fn bare_names(&self, typed: &str) -> Vec<Pair> {
        let mut found = (self.find_names)(typed);
        let is_command =
            |name: &str| COMMAND_WORDS.contains(&name.split(BLANKS).next().unwrap_or(name));
        found.names.retain(|name| !is_command(name));
        pairs(found, typed, pair)
    }
}

/// The names as candidates, and one that stands for those that are left out. Its replacement is
/// what was typed: what all names have in common is not known then.
fn pairs(found: FoundNames, typed: &str, pair: impl Fn(String) -> Pair) -> Vec<Pair> {
    let more = (found.is_incomplete && !found.names.is_empty()).then(|| Pair {
        display: "…".to_owned(),
        replacement: typed.to_owned(),
    });
    found.names.into_iter().map(pair).chain(more).collect()
}

/// The paths on this machine that begin with a prefix, or only the folders. A folder ends with
/// a slash. As in a shell, hidden files are left out unless the prefix names the dot.
fn local_paths(prefix: &str, only_folders: bool) -> FoundNames {
    let (folder, start) = prefix.split_at(prefix.rfind('/').map_or(0, |slash| slash + 1));
    let place = if folder.is_empty() { "." } else { folder };
    let Ok(entries) = fs::read_dir(place) else {
        return FoundNames::default();
    };
    let path = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let is_wanted = name.starts_with(start)
            && (start.starts_with('.') || !name.starts_with('.'))
            && !name.contains(char::is_control);
        // A link counts as what it leads to.
        let is_folder = is_wanted && entry.path().is_dir();
        let slash = if is_folder { "/" } else { "" };
        (is_wanted && (is_folder || !only_folders)).then(|| format!("{folder}{name}{slash}"))
    };
    let paths = entries.filter_map(|entry| path(entry.ok()?));
    let mut names: Vec<String> = paths.take(MAX_PATHS).collect();
    names.sort();
    FoundNames {
        is_incomplete: names.len() == MAX_PATHS,
        names,
    }
}

fn pair(name: String) -> Pair {
    Pair {
        display: name.clone(),
        replacement: name,
    }
}
