//! Globs that stand for file names, as a shell has them.

use std::borrow::Cow;

use globset::{Glob, GlobBuilder};
use regex_automata::meta::Regex;
use regex_automata::util::syntax;

/// The characters that make a word a glob.
const GLOB_CHARACTERS: [char; 4] = ['*', '?', '[', '{'];

/// The most bytes of a glob.
pub const MAX_GLOB: usize = 256;
/// The most braces within each other: each is a level of recursion.
pub const MAX_GLOB_DEPTH: usize = 8;

/// The most globs without braces that one with braces is split into.
const MAX_ALTERNATIVES: usize = 64;

/// The most bytes that a compiled glob has, and as many that it needs for matching.
const MAX_COMPILED: usize = 256 * 1024;

/// How the crate writes `**` in a part of a name, which it takes for two stars. No other glob
/// has this text: the crate escapes what stands for itself.
const TWO_STARS: &str = "[^/]*[^/]*";

/// A valid glob. `*` does not match a slash, `**` does. `?` and `[abc]` stand for one byte,
/// as the crate has it: for an ASCII character.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NameGlob(Glob);

/// A compiled glob.
pub struct GlobMatcher(Option<Regex>);

impl NameGlob {
    /// The glob that a word is, unless it is none: `a[b` is a name, and so is what exceeds a
    /// limit.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let is_glob = word.contains(GLOB_CHARACTERS) && word.len() <= MAX_GLOB;
        if !is_glob || depth(word) > MAX_GLOB_DEPTH {
            return None;
        }
        Self::build(word)
    }

    fn build(word: &str) -> Option<Self> {
        let mut builder = GlobBuilder::new(word);
        builder.literal_separator(true).build().ok().map(Self)
    }

    /// The glob that also matches such names in deeper folders: `a/**` for `a/*`,
    /// `a/**/*.txt` for `a/*.txt`.
    #[must_use]
    pub fn with_subfolders(&self) -> Option<Self> {
        let word = self.as_str();
        let leaf = word.rsplit('/').next().unwrap_or(word);
        let folder = &word[..word.len() - leaf.len()];
        match leaf {
            "**" => None,
            "*" => Self::parse(&format!("{folder}**")),
            leaf => Self::parse(&format!("{folder}**/{leaf}")),
        }
    }

    /// The word that was parsed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.glob()
    }

    /// Tests whole names.
    #[must_use]
    pub fn matcher(&self) -> GlobMatcher {
        // The crate's own matcher panics if it cannot be compiled, and takes 10 MiB.
        let syntax = syntax::Config::new().utf8(false).dot_matches_new_line(true);
        let engine = Regex::config()
            .utf8_empty(false)
            .nfa_size_limit(Some(MAX_COMPILED))
            .hybrid_cache_capacity(MAX_COMPILED);
        let regex = Regex::builder()
            .syntax(syntax)
            .configure(engine)
            .build(&self.0.regex().replace(TWO_STARS, ".*"));
        // The limits of a glob leave no reason to fail.
        GlobMatcher(regex.ok())
    }

    /// The longest text that every matching name contains, for a search at the relay.
    #[must_use]
    pub fn search_text(&self) -> String {
        longest_literal(self.as_str())
    }

    /// The globs without braces that this one stands for, as in a shell, each with the number
    /// of its parts that begin with a dot. Empty if there are too many.
    #[must_use]
    pub fn alternatives(&self) -> Vec<(Self, usize)> {
        let mut open = vec![self.as_str().to_owned()];
        let mut words = Vec::new();
        while let Some(word) = open.pop() {
            match first_braces(&word) {
                // Also without a special character: a backslash is still no part of the name.
                None => words.extend(Self::build(&word).map(|glob| (glob, typed_dots(&word)))),
                Some((before, inside, after)) => {
                    let inside = inside.into_iter();
                    open.extend(inside.map(|inside| format!("{before}{inside}{after}")));
                }
            }
            if open.len() + words.len() > MAX_ALTERNATIVES {
                return Vec::new();
            }
        }
        words
    }
}

impl GlobMatcher {
    /// Whether the glob matches the whole name.
    #[must_use]
    pub fn is_match(&self, name: &str) -> bool {
        let regex = self.0.as_ref();
        regex.is_some_and(|regex| regex.is_match(name.as_bytes()))
    }
}

/// The word that stands for this name only, whether or not the name itself is a glob.
#[must_use]
pub fn escape(name: &str) -> Cow<'_, str> {
    if NameGlob::parse(name).is_none() {
        return Cow::Borrowed(name);
    }
    let mut word = String::new();
    for c in name.chars() {
        if GLOB_CHARACTERS.contains(&c) || [']', '}'].contains(&c) {
            word.push('\\');
        }
        word.push(c);
    }
    Cow::Owned(word)
}

/// How many braces are within each other.
fn depth(glob: &str) -> usize {
    let (mut depth, mut max) = (0_usize, 0);
    let mut rest = glob.chars();
    while let Some(c) = rest.next() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            '[' => skip_class(&mut rest),
            '\\' => drop(rest.next()),
            _ => {}
        }
        max = max.max(depth);
    }
    max
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

/// How many parts of a glob without braces begin with a dot. A class is no dot, as in a shell.
fn typed_dots(glob: &str) -> usize {
    let (mut dots, mut is_start) = (0, true);
    let mut rest = glob.chars();
    while let Some(c) = rest.next() {
        let literal = if c == '\\' { rest.next() } else { Some(c) };
        dots += usize::from(is_start && literal == Some('.'));
        is_start = literal == Some('/');
        if c == '[' {
            skip_class(&mut rest);
        }
    }
    dots
}

/// What is before the first braces of a valid glob, in them and after them.
fn first_braces(glob: &str) -> Option<(&str, Vec<&str>, &str)> {
    let (mut depth, mut open, mut start) = (0_usize, 0, 0);
    let mut inside = Vec::new();
    let mut rest = glob.chars();
    while let Some(c) = rest.next() {
        let next = glob.len() - rest.as_str().len();
        match c {
            '\\' => drop(rest.next()),
            '[' => skip_class(&mut rest),
            '{' => {
                depth += 1;
                if depth == 1 {
                    (open, start) = (next - 1, next);
                }
            }
            ',' if depth == 1 => {
                inside.push(&glob[start..next - 1]);
                start = next;
            }
            '}' if depth == 1 => {
                inside.push(&glob[start..next - 1]);
                return Some((&glob[..open], inside, &glob[next..]));
            }
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
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

    #[test]
    fn two_stars_cross_slashes_wherever_they_are() {
        for (glob, names, others) in [
            (
                "**.txt",
                &["a.txt", "d/a.txt", "d/e/.txt"][..],
                &["d/a.md"][..],
            ),
            ("d**", &["d", "d1", "d/a", "da/b/c"], &["a/d"]),
            ("a/b**c", &["a/bc", "a/b/c", "a/b/x/c"], &["a/b", "a/c"]),
            ("a/**b", &["a/b", "a/xb", "a/x/b"], &["ab"]),
            ("***", &["a", "a/b"], &[]),
            (
                "x{**.a,b**c}",
                &["x.a", "xy/z.a", "xbc", "xb/c"],
                &["x", "y/x.a"],
            ),
            ("[!/]**", &["a", "a/b"], &["/a"]),
            (r"\[^/]*[^/\]**", &["[^/]a", "[^/]ab/c"], &["[a"]),
            ("**", &["a", "a/b"], &[]),
            ("**/a", &["a", "b/a", "b/c/a"], &["ba"]),
            ("a/**/b", &["a/b", "a/c/b"], &["ab", "a/cb"]),
            ("a/**", &["a/b", "a/b/c"], &["a", "ab"]),
            ("*.txt", &["a.txt"], &["d/a.txt"]),
            ("a*/b*", &["a/b", "ax/bx"], &["a/x/b", "a/b/c"]),
        ] {
            let matcher = NameGlob::parse(glob).expect(glob).matcher();
            for (names, is_match) in [(names, true), (others, false)] {
                for name in names {
                    assert_eq!(matcher.is_match(name), is_match, "{glob} {name}");
                }
            }
        }
    }

    #[test]
    fn a_glob_has_limits() {
        let nested = |depth| format!("{}a{}", "{".repeat(depth), "}".repeat(depth));
        for (glob, is_glob) in [
            (nested(MAX_GLOB_DEPTH), true),
            (nested(MAX_GLOB_DEPTH + 1), false),
            (nested(300), false),
            ("{a}".repeat(9), true),
            (r"[{]\{".repeat(9), true),
            ("?".repeat(MAX_GLOB), true),
            ("?".repeat(MAX_GLOB + 1), false),
        ] {
            assert_eq!(NameGlob::parse(&glob).is_some(), is_glob, "{glob}");
        }
    }

    /// Words with a star, and with braces within each other.
    fn globs() -> impl Strategy<Value = String> {
        let part = prop_oneof!["[a-zé/?*]", "[*][*]/?", r"\[!?[a-k]-[k-z]é?\]"];
        let parts = prop::collection::vec(part, 1..40);
        let parts = parts.prop_map(|parts| parts.concat());
        let depth = MAX_GLOB_DEPTH as u32;
        let alternatives = parts.prop_recursive(depth, 64, 4, |inner| {
            let inner = prop::collection::vec(inner, 1..4);
            inner.prop_map(|inner| format!("x{{{}}}", inner.join(",")))
        });
        alternatives.prop_map(|glob| format!("{glob}*"))
    }

    proptest! {
        #[test]
        fn every_glob_compiles(word in globs()) {
            prop_assume!(word.len() <= MAX_GLOB);
            let glob = NameGlob::parse(&word).expect("it is valid");
            prop_assert!(glob.matcher().0.is_some());
        }

        #[test]
        fn an_escaped_name_stands_for_itself_only(
            name in "[ab*?\\[\\]{},!^-]{1,8}",
            other in "[ab*?\\[\\]{},!^-]{1,8}",
        ) {
            if let Some(glob) = NameGlob::parse(&escape(&name)) {
                prop_assert!(glob.matcher().is_match(&name));
                prop_assert_eq!(glob.matcher().is_match(&other), name == other);
                prop_assert_eq!(glob.search_text(), name);
            } else {
                prop_assert_eq!(escape(&name), name.as_str());
            }
        }

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
