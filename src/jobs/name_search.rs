//! The job that finds file names that begin with a prefix, to complete what was typed.

use crate::jobs::job_step::JobStep;
use crate::jobs::user::{FoundNames, NamesCallback};

/// The most names that are offered at once.
const MAX_NAMES: usize = 100;
/// The most files that are examined: a search also finds names that only contain
/// the text.
const MAX_FILES: usize = 10_000;

/// Collects the names that begin with a prefix from a search for it.
pub(super) struct NameSearch {
    prefix: String,
    found: FoundNames,
    examined_files: usize,
    /// Until it was called.
    callback: Option<NamesCallback>,
}

impl NameSearch {
    pub(super) fn new(prefix: String, callback: NamesCallback) -> Self {
        Self {
            prefix,
            found: FoundNames::default(),
            examined_files: 0,
            callback: Some(callback),
        }
    }

    /// Takes the next name of the list, which is sorted. Returns whether more names
    /// are wanted.
    pub(super) fn on_name(&mut self, name: &str) -> bool {
        self.examined_files += 1;
        if name.starts_with(&self.prefix) {
            let names = &mut self.found.names;
            // Several contents of one name are several items.
            if names.last().is_none_or(|last| last != name) {
                names.push(name.to_owned());
            }
        } else if *name > *self.prefix {
            // Names that begin with the prefix stand together.
            return false;
        }
        let may_go_on = self.examined_files < MAX_FILES && self.found.names.len() < MAX_NAMES;
        self.found.is_incomplete = !may_go_on;
        may_go_on
    }

    /// Hands over the names that came. `has_ended` says whether the list came to its end, or as far
    /// as it was wanted.
    pub(super) fn finish(&mut self, has_ended: bool) -> JobStep {
        if let Some(callback) = self.callback.take() {
            self.found.is_incomplete |= !has_ended;
            callback(std::mem::take(&mut self.found));
        }
        JobStep::FinishSilently
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    /// What is found in a list, and how many of its names were examined.
    fn find(prefix: &str, list: &[String]) -> (FoundNames, usize) {
        let (sender, found) = channel();
        let callback = Box::new(move |names| sender.send(names).unwrap());
        let mut search = NameSearch::new(prefix.to_owned(), callback);
        let last = list.iter().position(|name| !search.on_name(name));
        search.finish(true);
        let examined = last.map_or(list.len(), |last| last + 1);
        (found.recv().unwrap(), examined)
    }

    #[test]
    fn names_that_begin_with_the_prefix_are_offered_once_each() {
        let list = ["a hell", "hell", "hello", "hello", "hey", "shell"].map(String::from);
        let (found, examined) = find("hel", &list);
        assert_eq!(found.names, ["hell", "hello"]);
        assert!(!found.is_incomplete);
        // After the last one there can be no other.
        assert_eq!(examined, 5);
        assert_eq!(find("x", &list).0.names, [""; 0]);
    }

    #[test]
    fn names_and_examined_files_are_limited() {
        let many: Vec<String> = (0..MAX_NAMES * 2).map(|n| format!("{n:05}")).collect();
        let (found, _) = find("", &many);
        assert_eq!(found.names.len(), MAX_NAMES);
        assert!(found.is_incomplete);
        let others: Vec<String> = (0..MAX_FILES * 2).map(|n| format!("{n:05}z")).collect();
        let (found, examined) = find("z", &others);
        assert_eq!(examined, MAX_FILES);
        assert!(found.is_incomplete);
    }

    #[test]
    fn a_list_that_breaks_off_is_incomplete() {
        let (sender, found) = channel();
        let callback = Box::new(move |names| sender.send(names).unwrap());
        let mut search = NameSearch::new("a".to_owned(), callback);
        assert!(search.on_name("a1"));
        search.finish(false);
        assert!(found.recv().unwrap().is_incomplete);
    }
}
