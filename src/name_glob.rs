//! Globs that stand for file names, as a shell has them.

use globset::{Glob, GlobBuilder, GlobMatcher};

/// The characters that make a word a glob.
const GLOB_CHARACTERS: [char; 4] = ['*', '?', '[', '{'];

/// A valid glob. `*` does not match a slash, `**` does. `?` and `[abc]` stand for one byte,
/// as the crate has it: for an ASCII character.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NameGlob(Glob);

impl NameGlob {
    /// The glob that a word is, unless it is none: `a[b` is a name.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let is_glob = word.contains(GLOB_CHARACTERS);
        let build = || GlobBuilder::new(word).literal_separator(true).build().ok();
        is_glob.then(build).flatten().map(Self)
    }

    /// The word that was parsed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.glob()
    }

    /// Tests whole names.
    #[must_use]
    pub fn matcher(&self) -> GlobMatcher {
        self.0.compile_matcher()
    }

    /// The longest text that every matching name contains, for a search at the relay.
    #[must_use]
    pub fn search_text(&self) -> String {
        longest_literal(self.as_str())
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
            if let Some(glob) = NameGlob::parse(&glob)
                && glob.matcher().is_match(&name)
            {
                let text = glob.search_text();
                prop_assert!(name.contains(&text), "{text:?}");
            }
        }
    }
}
