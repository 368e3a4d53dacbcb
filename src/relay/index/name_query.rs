//! Which names a search finds.

use crate::name_glob::{GlobMatcher, NameGlob};
use crate::relay::index::needle::Needle;

/// The work of compiling a byte of a glob.
const WORK_PER_COMPILED_BYTE: usize = 8;
/// A byte of a name may meet each byte of the glob: so many of these pairs are a work of 1.
const PAIRS_PER_WORK: usize = 16;

/// A text that a name contains, or a glob that it matches.
pub(in crate::relay) struct NameQuery {
    /// Every name that is found contains this text.
    pub(super) needle: Needle,
    glob: Option<NameGlob>,
}

/// The glob of a query, compiled for one step: searches that wait would need much memory for
/// it.
pub(super) struct CompiledQuery {
    glob: Option<GlobMatcher>,
    /// The bytes of the glob.
    length: usize,
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
                glob: Some(glob),
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

    pub(super) fn compile(&self) -> CompiledQuery {
        let glob = self.glob.as_ref();
        CompiledQuery {
            glob: glob.map(NameGlob::matcher),
            length: glob.map_or(0, |glob| glob.as_str().len()),
        }
    }
}

impl CompiledQuery {
    /// The work that it was to compile the query.
    pub(super) fn work(&self) -> usize {
        self.length * WORK_PER_COMPILED_BYTE
    }

    /// Whether a name that contains the text is found. Adds the work to `work`.
    pub(super) fn matches(&self, name: &str, work: &mut usize) -> bool {
        let Some(glob) = &self.glob else {
            return true;
        };
        *work += 1 + self.length * name.len() / PAIRS_PER_WORK;
        glob.is_match(name)
    }
}
