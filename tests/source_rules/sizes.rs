//! Functions, files and comments that are short enough to be read at once.

use super::{assert_no_violations, sources, sources_below};

/// The most lines of a function, from `fn` to its closing brace.
const MAX_FUNCTION: usize = 60;

/// The most lines of a file.
const MAX_FILE: usize = 400;

/// The longest line, as rustfmt breaks code.
const MAX_LINE: usize = 100;

/// The name, the first line and the length in lines of each function. The code is
/// formatted: the closing brace is indented as its `fn` is.
fn functions(text: &str) -> Vec<(&str, usize, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut functions = Vec::new();
    for (first, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else {
            continue;
        };
        let indent = &line[..line.len() - line.trim_start().len()];
        let is_last = |line: &&str| {
            line.strip_prefix(indent).is_some_and(|rest| {
                let is_one_line = rest.ends_with('}') && function_name(rest).is_some();
                let is_declaration = rest.ends_with(';') && !rest.starts_with(' ');
                rest == "}" || is_one_line || is_declaration
            })
        };
        let length = lines[first..].iter().position(is_last);
        functions.push((name, first + 1, length.map_or(1, |length| length + 1)));
    }
    functions
}

/// The name of the function that begins in this line.
fn function_name(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ")?;
    let is_modifier = |word| matches!(word, "pub" | "const" | "unsafe" | "extern" | "async");
    let before = before.replace(['(', ')'], " ");
    let is_function = before
        .split_whitespace()
        .all(|word| is_modifier(word) || matches!(word, "crate" | "super" | "in"));
    let end = after.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    (is_function && end > 0).then(|| &after[..end])
}

#[test]
fn no_function_is_longer_than_60_lines() {
    let mut violations = Vec::new();
    for source in sources() {
        for (name, line, length) in functions(&source.text) {
            if length > MAX_FUNCTION {
                let path = &source.path;
                violations.push(format!("src/{path}:{line}: {name} has {length} lines"));
            }
        }
    }
    assert_no_violations(&violations);
}

#[test]
fn no_file_is_longer_than_400_lines() {
    let mut violations = Vec::new();
    for source in sources() {
        let length = source.text.lines().count();
        if length > MAX_FILE {
            violations.push(format!("src/{} has {length} lines", source.path));
        }
    }
    assert_no_violations(&violations);
}

#[test]
fn functions_are_found_with_their_length() {
    let text = "\
fn a() {}
pub(crate) const fn b(
    x: u8,
) -> u8 {
    x
}
trait T {
    fn c(&self);
    fn d(
        &self,
    );
    fn e(&self) {
        call(|fn_name| 1);
    }
}
";
    let expected = [
        ("a", 1, 1),
        ("b", 2, 5),
        ("c", 8, 1),
        ("d", 9, 3),
        ("e", 12, 3),
    ];
    assert_eq!(functions(text), expected);
}

/// rustfmt leaves comments as they are. A row of a table cannot be broken.
#[test]
fn comments_end_where_code_ends() {
    let mut violations = Vec::new();
    for folder in ["src", "tests", "benches"] {
        for source in sources_below(folder) {
            let is_comment = |line: &&str| {
                let comment = line.trim_start().trim_start_matches(['/', '!']);
                line.trim_start().starts_with("//") && !comment.starts_with(" |")
            };
            let lines = source.text.lines().filter(is_comment);
            let long = lines.filter(|line| line.chars().count() > MAX_LINE);
            violations.extend(long.map(|line| format!("{folder}/{}: {line}", source.path)));
        }
    }
    assert_no_violations(&violations);
}
