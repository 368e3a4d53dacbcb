//! String literals without the indentation of the code around them.

use super::{assert_no_violations, sources};

/// The most blanks in a row: the columns of a help text need some.
const MAX_BLANKS: usize = 12;

/// The string literals of a source, in which a `\` at the end of a line continues the line.
fn literals(text: &str) -> Vec<String> {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    let lines: Vec<&str> = text.lines().filter(is_code).collect();
    let code = lines.join("\n").replace("\\\\", "").replace("\\\"", "");
    let code = code.replace("'\"'", "' '");
    let literals = code.split('"').skip(1).step_by(2);
    literals.map(continued).collect()
}

fn continued(literal: &str) -> String {
    let mut parts = literal.split("\\\n");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.trim_start())
}

fn is_indented(literal: &str) -> bool {
    literal.contains(&" ".repeat(MAX_BLANKS + 1))
}

#[test]
fn no_literal_contains_the_indentation_of_the_code() {
    let mut violations = Vec::new();
    for source in sources() {
        let indented = literals(&source.text)
            .into_iter()
            .filter(|text| is_indented(text));
        violations.extend(indented.map(|text| format!("src/{}: {text}", source.path)));
    }
    assert_no_violations(&violations);
}

#[test]
fn a_continued_line_has_no_indentation() {
    let blanks = " ".repeat(16);
    assert_eq!(literals(&format!("f(\"a \\\n{blanks}b\")")), ["a b"]);
    let lost = literals(&format!("// don't \"\nf(\"a{blanks}b\", '\"')"));
    assert!(lost.len() == 1 && is_indented(&lost[0]), "{lost:?}");
    assert!(is_indented(&literals(&format!("\"a\n{blanks}b\""))[0]));
}
