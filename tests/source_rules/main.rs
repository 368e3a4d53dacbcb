//! Rules for the sources that the compiler does not check: which layer may name
//! which, unique type names, names that are no longer used, and sizes of functions
//! and files. Each test prints all violations at once.

#![allow(missing_docs)]

mod circles;
mod layers;
mod literals;
mod names;
mod sizes;

use std::fs;
use std::path::{Path, PathBuf};

/// A source file.
struct Source {
    /// The path below its folder, such as `relay/mod.rs`.
    path: String,
    /// The whole file.
    text: String,
    /// The file without comments, string literals and the tests at its end.
    code: String,
}

/// All files below `src`.
fn sources() -> Vec<Source> {
    let sources = sources_below("src");
    assert!(sources.len() > 20, "only {} sources", sources.len());
    sources
}

/// The sources in a folder of the repository, in the order of their paths, which begin below it.
fn sources_below(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut sources = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of sources") {
            let path: PathBuf = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("sources are text");
                let path = path.strip_prefix(&root).expect("a path below src");
                sources.push(Source {
                    path: path.to_string_lossy().into_owned(),
                    code: code_of(&text),
                    text,
                });
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

/// Removes the tests at the end, comments and string literals: prose may use any word.
fn code_of(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let lines = text.lines().map(|line| match line.find("//") {
        Some(comment) => &line[..comment],
        None => line,
    });
    let lines: Vec<&str> = lines.collect();
    without_strings(&lines.join("\n"))
}

fn without_strings(code: &str) -> String {
    let code = code.replace("\\\\", "").replace("\\\"", "");
    let code = code.replace("'\"'", "' '");
    // Every other part is the content of a literal. Newlines keep their number.
    let parts = code.split('"').enumerate().map(|(index, part)| {
        if index % 2 == 0 {
            part.to_owned()
        } else {
            "\n".repeat(part.matches('\n').count())
        }
    });
    parts.collect::<Vec<_>>().join("\"")
}

/// The identifiers and keywords of `code`.
fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
}

/// Fails with all violations.
#[track_caller]
fn assert_no_violations(violations: &[String]) {
    assert!(violations.is_empty(), "{violations:#?}");
}

#[test]
fn comments_strings_and_tests_are_not_code() {
    assert_eq!(code_of("a // mio\nb\n#[cfg(test)]\nmod tests {"), "a \nb");
    assert_eq!(code_of("a(\"mio \\\" x\", '\"') b"), "a(\"\", ' ') b");
    let found: Vec<&str> = words("use mio::net; let sig_mio = 1;").collect();
    assert_eq!(found, ["use", "mio", "net", "let", "sig_mio", "1"]);
}

/// The table in `tests/system/main.rs` names the test for each promise. A renamed test
/// must not leave a line without a test.
#[test]
fn every_test_that_the_table_names_exists() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/system");
    let table = fs::read_to_string(folder.join("main.rs")).expect("a text");
    let named: Vec<(&str, &str)> = table
        .split('`')
        .filter_map(|word| word.split_once("::"))
        .collect();
    assert!(named.len() > 40, "only {} tests are named", named.len());
    for (module, test) in named {
        let source = fs::read_to_string(folder.join(module).with_extension("rs"));
        let source = source.unwrap_or_else(|_| panic!("there is no {module}.rs"));
        assert!(
            source.contains(&format!("#[test]\nfn {test}()")),
            "{module}.rs has no test {test}"
        );
    }
}
