//! What a word of `get` or `search` stands for: a file, all files below a folder, or the
//! files that a glob matches.

use std::fmt;

use globset::{Glob, GlobBuilder, GlobMatcher};

use crate::protocol::{FileName, NameError};

/// The characters that make a word a glob.
const GLOB_CHARACTERS: [char; 4] = ['*', '?', '[', '{'];

/// Stands for one or more files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FilePattern {
    /// This file.
    Name(FileName<'static>),
    /// This file, but only if a node has announced it.
    Announced(FileName<'static>),
    /// All files whose names begin with this text, which ends with a slash.
    Folder(String),
    /// The files that match. `*` does not match a slash, `**` does. `?` and `[abc]` stand for
    /// one byte, as the crate has it: for an ASCII character.
    Glob(Glob),
    /// All files.
    All,
}

impl FilePattern {
    /// Parses a word: a name, a folder that ends with a slash, or a glob.
    ///
    /// # Errors
    /// The word is none of these.
    pub fn parse(word: &str) -> Result<Self, NameError> {
        if let Some(glob) = Self::glob(word) {
            return Ok(Self::Glob(glob));
        }
        match word.strip_suffix('/') {
            Some(folder) => FileName::parse(folder).map(|_| Self::Folder(word.to_owned())),
            None => FileName::parse(word).map(|name| Self::Name(name.into_owned())),
        }
    }

    /// The glob that a word is, unless it is none: `a[b` is a name.
    #[must_use]
    pub fn glob(word: &str) -> Option<Glob> {
        let is_glob = word.contains(GLOB_CHARACTERS);
        let build = || GlobBuilder::new(word).literal_separator(true).build().ok();
        is_glob.then(build).flatten()
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
            Self::Folder(prefix) => prefix,
            Self::Glob(glob) => glob.glob(),
            Self::All => "",
        }
    }

    /// A text that every matching name contains, for a search at the relay.
    pub(super) fn search_text(&self) -> String {
        match self {
            Self::Glob(glob) => longest_literal(glob.glob()),
            other => other.as_str().to_owned(),
        }
    }

    /// Tests names.
    pub(super) fn matcher(&self) -> NameMatcher {
        match self {
            Self::Name(name) | Self::Announced(name) => {
                NameMatcher::Exact(name.as_str().to_owned())
            }
            Self::Folder(prefix) => NameMatcher::Prefix(prefix.clone()),
            Self::Glob(glob) => NameMatcher::Glob(glob.compile_matcher()),
            Self::All => NameMatcher::All,
        }
    }
}

impl fmt::Display for FilePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("--all"),
            other => f.write_str(other.as_str()),
        }
    }
}

/// Tests whether a name is one of those that a pattern stands for.
pub(super) enum NameMatcher {
    Exact(String),
    Prefix(String),
    Glob(GlobMatcher),
    All,
}

impl NameMatcher {
    pub(super) fn is_match(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => name == exact,
            Self::Prefix(prefix) => name.starts_with(prefix),
            Self::Glob(glob) => glob.is_match(name),
            Self::All => true,
        }
    }
}

/// The longest text of a valid glob that stands for itself, without blanks at its ends:
/// they do not belong to a field of a line.
fn longest_literal(glob: &str) -> String {
    let mut runs = vec![String::new()];
    let mut rest = glob.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '*' => {
                // `**/` also matches nothing.
                while rest.next_if(|c| matches!(c, '*' | '/')).is_some() {}
                runs.push(String::new());
            }
            '?' => runs.push(String::new()),
            '[' => {
                skip_class(&mut rest);
                runs.push(String::new());
            }
            '{' => {
                skip_alternatives(&mut rest);
                runs.push(String::new());
            }
            c => {
                let literal = if c == '\\' { rest.next() } else { Some(c) };
                if let (Some(run), Some(literal)) = (runs.last_mut(), literal) {
                    run.push(literal);
                }
            }
        }
    }
    // A slash before `**` is not optional: `a/**` matches only names below the folder.
    let longest = runs.into_iter().max_by_key(String::len).unwrap_or_default();
    longest.trim_matches([' ', '\t']).to_owned()
}

/// Skips the rest of `[abc]`. Its first character may be `]`.
fn skip_class(rest: &mut impl Iterator<Item = char>) {
    let mut first = rest.next();
    if let Some('!' | '^') = first {
        first = rest.next();
    }
    if first.is_some() {
        rest.find(|c| *c == ']');
    }
}

/// Skips the rest of `{a,b}`, with the alternatives inside of it.
fn skip_alternatives(rest: &mut impl Iterator<Item = char>) {
    let mut depth = 1;
    while depth > 0
        && let Some(c) = rest.next()
    {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            '[' => skip_class(rest),
            '\\' => drop(rest.next()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(word: &str, name: &str) -> bool {
        FilePattern::parse(word).unwrap().matcher().is_match(name)
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
        assert!(FilePattern::parse("/x").is_err());
        assert!(FilePattern::parse("/").is_err());
    }

    #[test]
    fn the_longest_literal_text_is_searched() {
        for (glob, text) in [
            ("*.txt", ".txt"),
            ("history/*", "history/"),
            ("**/foo", "foo"),
            ("a/**/bcd", "bcd"),
            ("[abc]de[!]fgh]i", "de"),
            ("x{long,longer{a,b}}y", "y"),
            (r"a\*b?", "a*b"),
            ("* two words *", "two words"),
            ("*", ""),
        ] {
            assert_eq!(longest_literal(glob), text, "{glob}");
        }
    }

    proptest! {
        #[test]
        fn a_match_contains_the_searched_text(
            glob in "[ab/*?\\[\\]{},!\\\\]{1,8}",
            name in "[ab/]{1,6}",
        ) {
            if let Some(glob) = FilePattern::glob(&glob)
                && glob.compile_matcher().is_match(&name)
            {
                let text = longest_literal(glob.glob());
                prop_assert!(name.contains(&text), "{text:?}");
            }
        }
    }
}
