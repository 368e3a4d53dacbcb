//! Which hidden names a pattern stands for. Anybody can announce `.bash_profile`, and programs
//! execute such files. So, as in a shell, a pattern stands for a hidden name only if the user has
//! typed the dot of each hidden part, or wants hidden files.

use crate::jobs::file_pattern::{FilePattern, NameMatcher};
use crate::protocol::hidden_parts;

/// The hidden names that a pattern stands for, of those that it matches.
pub(super) enum HiddenNames {
    All,
    /// Those that match one of these words and have no more hidden parts than the word has
    /// dots: each dot of a word matches the dot of one part.
    Typed(Vec<(NameMatcher, usize)>),
}

impl HiddenNames {
    pub(super) fn of(pattern: &FilePattern) -> Self {
        let words = match pattern {
            FilePattern::WithHidden(_) => return Self::All,
            FilePattern::Glob(glob) => glob.alternatives(),
            other => {
                let dots = hidden_parts(other.as_str());
                return Self::Typed(vec![(other.matcher(), dots)]);
            }
        };
        // Only a word with a dot stands for hidden names.
        let words = words.into_iter().filter(|(_, dots)| *dots > 0);
        let words = words.map(|(glob, dots)| (NameMatcher::Glob(glob.matcher()), dots));
        Self::Typed(words.collect())
    }

    /// Whether a name that the pattern matches is one of these, or not hidden.
    pub(super) fn include(&self, name: &str) -> bool {
        let (parts, Self::Typed(words)) = (hidden_parts(name), self) else {
            return true;
        };
        let mut words = words.iter();
        parts == 0 || words.any(|(matcher, dots)| parts <= *dots && matcher.is_match(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn includes(word: &str, name: &str) -> bool {
        let pattern = FilePattern::parse(word).expect("a pattern");
        assert!(pattern.matcher().is_match(name), "{word} {name}");
        HiddenNames::of(&pattern).include(name)
    }

    #[test]
    fn a_pattern_stands_for_hidden_names_whose_dots_are_typed() {
        for (word, name) in [
            ("*", "a.b"),
            (".*", ".a"),
            (".config/", ".config/a"),
            (".a**", ".ab/c"),
            ("a/.git/", "a/.git/hooks/b"),
            ("**/.git/**", "a/.git/hooks/b"),
            (".*/.*", ".a/.b"),
            ("{.a,b}/*", ".a/c"),
            ("x{/.a,b{/.c,d}}/*", "xb/.c/e"),
            (r"\.a*", ".ab"),
            ("{.a,.b}", ".b"),
            ("{.a,b}", ".a"),
            (r"{\.a,b}", ".a"),
            (r"{\.a\,b,c}", ".a,b"),
            (r"x/{.b,c}", "x/.b"),
            (r"{x/\.b/c,d}", "x/.b/c"),
            (".{a,b}", ".b"),
            ("{x/,y}.b", "x/.b"),
        ] {
            assert!(includes(word, name), "{word} {name}");
        }
        for (word, name) in [
            ("*", ".a"),
            ("?a", ".a"),
            ("[.]a", ".a"),
            ("{[.]a,b}", ".a"),
            ("{?,.b}a", ".a"),
            ("**", "a/.b"),
            ("**.txt", "a/.txt"),
            (".a**", ".a/.b"),
            ("a/", "a/.git/b"),
            (".config/", ".config/.a"),
            (".config/**", ".config/a/.b"),
            (".*/*", ".a/.b"),
            ("{.a,b}/*", "b/.c"),
            ("*[/.]b", ".c.b"),
            ("{*,.b}", ".a"),
        ] {
            assert!(!includes(word, name), "{word} {name}");
        }
        let many = format!(".*{}", "{a,b}".repeat(9));
        assert!(!includes(&many, ".xababababa"), "too many alternatives");
        assert!(!HiddenNames::of(&FilePattern::All).include(".a"));
        let pattern = FilePattern::All.with_hidden();
        assert!(HiddenNames::of(&pattern).include("a/.b"));
    }
}
