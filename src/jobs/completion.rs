//! Completing a file name: the names that begin with what was typed so far.

use std::sync::mpsc::Sender;

/// Names that are offered at once.
const MAX_NAMES: usize = 100;
/// Files that are looked at: a search also finds names that only contain the text.
const MAX_FILES: usize = 10_000;

/// Names that are collected from a search for their beginning.
pub(super) struct Completion {
    prefix: String,
    names: Vec<String>,
    /// How many files were looked at.
    seen: usize,
    answer: Sender<Vec<String>>,
}

impl Completion {
    pub(super) fn new(prefix: String, answer: Sender<Vec<String>>) -> Self {
        Self {
            prefix,
            names: Vec::new(),
            seen: 0,
            answer,
        }
    }

    /// Takes the next name of the list, which is in order. Says whether more are
    /// wanted.
    pub(super) fn take(&mut self, name: &str) -> bool {
        self.seen += 1;
        if !name.starts_with(&self.prefix) {
            // Names that begin with it stand together.
            return self.seen < MAX_FILES && *name < *self.prefix;
        }
        // Several contents of one name are several lines.
        if self.names.last().is_none_or(|last| last != name) {
            self.names.push(name.to_owned());
        }
        self.seen < MAX_FILES && self.names.len() < MAX_NAMES
    }

    /// Hands over what there is.
    pub(super) fn finish(self) {
        // Whoever asked may have typed on meanwhile.
        let _ = self.answer.send(self.names);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    /// The names that are offered, and how many of the list were looked at.
    fn completed(prefix: &str, list: &[String]) -> (Vec<String>, usize) {
        let (sender, answer) = channel();
        let mut completion = Completion::new(prefix.to_owned(), sender);
        let looked = list.iter().position(|name| !completion.take(name));
        completion.finish();
        let looked = looked.map_or(list.len(), |last| last + 1);
        (answer.recv().unwrap(), looked)
    }

    #[test]
    fn names_that_begin_with_it_are_offered_once_each() {
        let list = ["a hell", "hell", "hello", "hello", "hey", "shell"].map(String::from);
        let (names, looked) = completed("hel", &list);
        assert_eq!(names, ["hell", "hello"]);
        // Behind the last one there can be no other.
        assert_eq!(looked, 5);
        assert_eq!(completed("x", &list).0, [""; 0]);
    }

    #[test]
    fn there_is_an_end_to_it() {
        let many: Vec<String> = (0..MAX_NAMES * 2).map(|n| format!("{n:05}")).collect();
        assert_eq!(completed("", &many).0.len(), MAX_NAMES);
        let others: Vec<String> = (0..MAX_FILES * 2).map(|n| format!("{n:05}z")).collect();
        assert_eq!(completed("z", &others).1, MAX_FILES);
    }
}
