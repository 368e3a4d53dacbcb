//! What a word of `get` or `search` stands for: a file, all files below a folder, or the
//! files that a glob matches.

use std::fmt;

use crate::name_glob::{GlobMatcher, NameGlob};
use crate::protocol::{FileName, NameError};

/// Stands for one or more files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FilePattern {
    /// This file.
    Name(FileName<'static>),
    /// This file, but only if a node has announced it.
    Announced(FileName<'static>),
    /// The file whose name is the longest end of this path on disk.
    Path(String),
    /// All files whose names begin with this text, which ends with a slash.
    Folder(String),
    /// The files that match.
    Glob(NameGlob),
    /// All files.
    All,
    /// The files of this pattern, and also those whose names are hidden.
    WithHidden(Box<FilePattern>),
}

impl FilePattern {
    /// Parses a word: a name, a folder that ends with a slash, or a glob.
    ///
    /// # Errors
    /// The word is none of these.
    pub fn parse(word: &str) -> Result<Self, NameError> {
        if let Some(glob) = NameGlob::parse(word) {
            return Ok(Self::Glob(glob));
        }
        match word.strip_suffix('/') {
            Some(folder) => FileName::parse(folder).map(|_| Self::Folder(word.to_owned())),
            None => FileName::parse(word).map(|name| Self::Name(name.into_owned())),
        }
    }

    /// The same pattern, which stands for hidden names, too. A name stands for itself.
    #[must_use]
    pub fn with_hidden(self) -> Self {
        match self {
            Self::Folder(_) | Self::Glob(_) | Self::All => Self::WithHidden(self.into()),
            other => other,
        }
    }

    /// The same word as a name, where it must be one.
    #[must_use]
    pub fn into_name(self) -> Self {
        match FileName::parse(self.as_str()) {
            Ok(name) => Self::Name(name.into_owned()),
            Err(_) => self,
        }
    }

    /// The word that was parsed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Name(name) | Self::Announced(name) => name.as_str(),
            Self::Path(text) | Self::Folder(text) => text,
            Self::Glob(glob) => glob.as_str(),
            Self::All => "",
            Self::WithHidden(pattern) => pattern.as_str(),
        }
    }

    /// A text that every matching name contains, for a search at the relay.
    pub(super) fn search_text(&self) -> String {
        match self {
            Self::Glob(glob) => glob.search_text(),
            Self::Path(path) => last_part(path).to_owned(),
            Self::WithHidden(pattern) => pattern.search_text(),
            other => other.as_str().to_owned(),
        }
    }

    /// The glob that also matches such names in deeper folders.
    pub(super) fn with_subfolders(&self) -> Option<Self> {
        match self {
            Self::Glob(glob) => glob.with_subfolders().map(Self::Glob),
            _ => None,
        }
    }

    /// Tests names.
    pub(super) fn matcher(&self) -> NameMatcher {
        match self {
            Self::Name(name) | Self::Announced(name) => {
                NameMatcher::Exact(name.as_str().to_owned())
            }
            Self::Path(path) => NameMatcher::PathEnd(path.clone()),
            Self::Folder(prefix) => NameMatcher::Prefix(prefix.clone()),
            Self::Glob(glob) => NameMatcher::Glob(glob.matcher()),
            Self::All => NameMatcher::All,
            Self::WithHidden(pattern) => pattern.matcher(),
        }
    }
}

/// The part of a path after the last slash.
pub(super) fn last_part(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

impl fmt::Display for FilePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("--all"),
            Self::WithHidden(pattern) => pattern.fmt(f),
            other => f.write_str(other.as_str()),
        }
    }
}

/// Tests whether a name is one of those that a pattern stands for.
pub(super) enum NameMatcher {
    Exact(String),
    PathEnd(String),
    Prefix(String),
    Glob(GlobMatcher),
    All,
}

impl NameMatcher {
    pub(super) fn is_match(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => name == exact,
            Self::PathEnd(path) => {
                let before = path.strip_suffix(name);
                before.is_some_and(|before| before.is_empty() || before.ends_with('/'))
            }
            Self::Prefix(prefix) => name.starts_with(prefix),
            Self::Glob(glob) => glob.is_match(name),
            Self::All => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name_glob;

    fn matches(word: &str, name: &str) -> bool {
        FilePattern::parse(word).unwrap().matcher().is_match(name)
    }

    #[test]
    fn a_path_matches_the_names_that_it_ends_with() {
        let matcher = FilePattern::Path("home/docs/a".into()).matcher();
        let names = [
            "a",
            "docs/a",
            "home/docs/a",
            "cs/a",
            "me/docs/a",
            "docs",
            "b/docs/a",
        ];
        let matching = names.map(|name| matcher.is_match(name));
        assert_eq!(matching, [true, true, true, false, false, false, false]);
    }

    #[test]
    fn a_star_does_not_match_a_slash() {
        assert!(matches("*.txt", "a.txt"));
        assert!(!matches("*.txt", "b/a.txt"));
        assert!(matches("**/*.txt", "b/c/a.txt"));
        assert!(matches("**/*.txt", "a.txt"));
        assert!(matches("b/**", "b/c/a.txt"));
        assert!(matches("docs/", "docs/a/b"));
        assert!(!matches("docs/", "docs"));
        assert!(matches("{a,b}.txt", "b.txt"));
        assert!(!matches("*.TXT", "a.txt"));
        assert!(matches("a[b", "a[b"));
        let nested = format!("{}a{}", "{".repeat(300), "}".repeat(300));
        assert!(matches(&nested, &nested));
        assert!(matches(&name_glob::escape("*"), "*"));
        assert!(!matches(&name_glob::escape("*"), "a"));
        assert!(matches(&name_glob::escape("a[1].{b,c}"), "a[1].{b,c}"));
        assert!(FilePattern::parse("/x").is_err());
        assert!(FilePattern::parse("/").is_err());
    }
}
