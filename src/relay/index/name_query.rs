//! Which names a search finds.

use crate::name_glob::{GlobMatcher, NameGlob};
use crate::relay::index::needle::Needle;

/// A text that a name contains, or a glob that it matches.
pub(in crate::relay) struct NameQuery {
    /// Every name that is found contains this text.
    pub(super) needle: Needle,
    glob: Option<GlobMatcher>,
}

impl NameQuery {
    /// Finds the names that contain `text`, ignoring case.
    pub(in crate::relay) fn text(text: &str) -> Self {
        Self {
            needle: Needle::new(text),
            glob: None,
        }
    }

    /// Finds the names that match `text` if it is a glob, or else those that contain it.
    pub(in crate::relay) fn parse(text: &str) -> Self {
        match NameGlob::parse(text) {
            None => Self::text(text),
            Some(glob) => Self {
                needle: Needle::new(&glob.search_text()),
                glob: Some(glob.matcher()),
            },
        }
    }

    /// Whether every name is found.
    pub(super) fn finds_all(&self) -> bool {
        self.needle.is_empty() && self.glob.is_none()
    }

    /// Whether a name that contains the text may still not be found.
    pub(super) fn has_glob(&self) -> bool {
        self.glob.is_some()
    }

    /// Whether a name that contains the text is found.
    pub(super) fn matches(&self, name: &str) -> bool {
        self.glob.as_ref().is_none_or(|glob| glob.is_match(name))
    }
}
