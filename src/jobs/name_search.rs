//! The job that finds file names that begin with a prefix, to complete what was typed.

use crate::jobs::job_step::JobStep;
use crate::jobs::user::NamesCallback;

/// The most names that are offered at once. If there are so many, there may be more.
pub const MAX_FOUND_NAMES: usize = 100;
/// The most files that are examined: a search also finds names that only contain
/// the text.
const MAX_FILES: usize = 10_000;

/// Collects the names that begin with a prefix from a search for it.
pub(super) struct NameSearch {
    prefix: String,
    names: Vec<String>,
    examined_files: usize,
    /// Until it was called.
    callback: Option<NamesCallback>,
}

impl NameSearch {
    pub(super) fn new(prefix: String, callback: NamesCallback) -> Self {
        Self {
            prefix,
            names: Vec::new(),
            examined_files: 0,
            callback: Some(callback),
        }
    }

    /// Takes the next name of the list, which is sorted. Returns whether more names
    /// are wanted.
    pub(super) fn on_name(&mut self, name: &str) -> bool {
        self.examined_files += 1;
        if !name.starts_with(&self.prefix) {
            // Names that begin with the prefix stand together.
            return self.examined_files < MAX_FILES && *name < *self.prefix;
        }
        // Several contents of one name are several items.
        if self.names.last().is_none_or(|last| last != name) {
            self.names.push(name.to_owned());
        }
        self.examined_files < MAX_FILES && self.names.len() < MAX_FOUND_NAMES
    }

    /// Hands over the names that came, if the list is complete or not.
    pub(super) fn finish(&mut self) -> JobStep {
        if let Some(callback) = self.callback.take() {
            callback(std::mem::take(&mut self.names));
        }
        JobStep::FinishSilently
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    /// The names that are offered, and how many of the list were examined.
    fn find(prefix: &str, list: &[String]) -> (Vec<String>, usize) {
        let (sender, names) = channel();
        let callback = Box::new(move |names| sender.send(names).unwrap());
        let mut search = NameSearch::new(prefix.to_owned(), callback);
        let last = list.iter().position(|name| !search.on_name(name));
        search.finish();
        let examined = last.map_or(list.len(), |last| last + 1);
        (names.recv().unwrap(), examined)
    }

    #[test]
    fn names_that_begin_with_the_prefix_are_offered_once_each() {
        let list = ["a hell", "hell", "hello", "hello", "hey", "shell"].map(String::from);
        let (names, examined) = find("hel", &list);
        assert_eq!(names, ["hell", "hello"]);
        // After the last one there can be no other.
        assert_eq!(examined, 5);
        assert_eq!(find("x", &list).0, [""; 0]);
    }

    #[test]
    fn names_and_examined_files_are_limited() {
        let many: Vec<String> = (0..MAX_FOUND_NAMES * 2)
            .map(|n| format!("{n:05}"))
            .collect();
        assert_eq!(find("", &many).0.len(), MAX_FOUND_NAMES);
        let others: Vec<String> = (0..MAX_FILES * 2).map(|n| format!("{n:05}z")).collect();
        assert_eq!(find("z", &others).1, MAX_FILES);
    }
}
