//! A search for files, as the user types it.

use crate::jobs::file_pattern::{FilePattern, NameMatcher};
use crate::jobs::relay_query::Query;
use crate::name_glob::NameGlob;
use crate::protocol::TextError;

/// A search for the files whose names contain a text or match a glob.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileSearch {
    /// Every name that is found contains this text.
    text: String,
    /// The names match this glob.
    pattern: Option<FilePattern>,
    /// Whether whole hashes are shown.
    pub is_long: bool,
}

impl FileSearch {
    /// Parses a text or a glob. An empty text finds all files.
    ///
    /// # Errors
    /// The text does not fit on a line.
    pub fn parse(text: &str, is_long: bool) -> Result<Self, TextError> {
        let pattern = NameGlob::parse(text).map(FilePattern::Glob);
        let text = pattern
            .as_ref()
            .map_or_else(|| text.to_owned(), FilePattern::search_text);
        Query::files(&text)?;
        Ok(Self {
            text,
            pattern,
            is_long,
        })
    }

    /// All files.
    #[must_use]
    pub fn all(is_long: bool) -> Self {
        Self {
            text: String::new(),
            pattern: None,
            is_long,
        }
    }

    pub(super) fn query(&self) -> Query {
        Query::Files(self.text.clone())
    }

    /// Tests names, if not all that the relay lists are wanted.
    pub(super) fn matcher(&self) -> Option<NameMatcher> {
        self.pattern.as_ref().map(FilePattern::matcher)
    }
}
