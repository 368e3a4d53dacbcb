//! Keeps the layers apart by reading the sources: what a module may not name,
//! it cannot come to depend on. The tests inside the sources are free.

#![allow(missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};

/// The longest source file, in lines.
const MAX_LINES: usize = 500;

/// What a machine without I/O and clock cannot name.
const OUTSIDE_WORLD: [&str; 7] = [
    "mio",
    "TcpStream",
    "TcpListener",
    "std::fs",
    "Instant::now",
    "SystemTime",
    "std::thread",
];

/// What belongs to the programs around the deciding code: command lines, exit codes,
/// progress bars, channels between threads.
const PROGRAMS: [&str; 4] = ["clap", "Exit", "indicatif", "mpsc"];

/// A source file without its tests and comments.
struct Source {
    /// Below `src`, such as `role/mod.rs`.
    name: String,
    code: String,
    lines: usize,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of sources") {
            let path: PathBuf = entry.expect("it can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(&path).expect("sources are text");
                let name = path.strip_prefix(&root).expect("it is below");
                found.push(Source {
                    name: name.to_string_lossy().into_owned(),
                    code: code_of(&text),
                    lines: text.lines().count(),
                });
            }
        }
    }
    assert!(found.len() > 20, "only {} sources were found", found.len());
    found
}

/// Without the tests at the end, and without comments: prose may name anything.
fn code_of(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = text.lines().map(|line| match line.find("//") {
        Some(comment) => &line[..comment],
        None => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Whether `word` stands in `code` as a word of its own: `mio` is not in `mion`.
fn names(code: &str, word: &str) -> bool {
    let is_letter = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(start, _)| {
        let before = code[..start].chars().next_back();
        let after = code[start + word.len()..].chars().next();
        !before.is_some_and(is_letter) && !after.is_some_and(is_letter)
    })
}

/// Whether `code` imports or names a module of this crate: by its path, or in a
/// group such as `use crate::{end, reactor}`.
fn names_module(code: &str, module: &str) -> bool {
    let mut uses = code.split("crate::").skip(1);
    uses.any(|rest| match rest.strip_prefix('{') {
        Some(group) => names(group.split(';').next().unwrap_or_default(), module),
        None => rest
            .strip_prefix(module)
            .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_')),
    })
}

/// All that the sources in `places` name although they must not.
fn offences(places: &[&str], words: &[&str], modules: &[&str]) -> Vec<String> {
    let all = sources();
    let mut found = Vec::new();
    for place in places {
        let mut members = all.iter().filter(|source| source.name.starts_with(place));
        assert!(members.clone().next().is_some(), "nothing is in {place}");
        for Source { name, code, .. } in members.by_ref() {
            let words = words.iter().filter(|word| names(code, word));
            found.extend(words.map(|word| format!("src/{name} names {word}")));
            let modules = modules.iter().filter(|module| names_module(code, module));
            found.extend(modules.map(|module| format!("src/{name} names crate::{module}")));
        }
    }
    found
}

const NONE: [&str; 0] = [];

/// The deciding code: what a program does next, without sockets, files or a clock.
const DECIDING: [&str; 12] = [
    "relay/",
    "node/",
    "client/",
    "jobs/",
    "relay_link/",
    "session/",
    "role.rs",
    "role/",
    "protocol/",
    "timers.rs",
    "close_reason.rs",
    "escaped.rs",
];

#[test]
fn the_deciding_code_knows_no_sockets_no_files_and_no_clock() {
    let above = ["reactor", "share", "download", "terminal", "cli"];
    assert_eq!(offences(&DECIDING, &OUTSIDE_WORLD, &above), NONE);
    assert_eq!(offences(&DECIDING, &PROGRAMS, &[]), NONE);
}

#[test]
fn imports_point_down() {
    let roles = ["relay", "node", "client", "jobs", "relay_link"];
    let outside = ["reactor", "share", "download", "terminal", "cli"];
    let shared = ["jobs/", "relay_link/"];
    assert_eq!(offences(&shared, &[], &["relay", "node", "client"]), NONE);
    assert_eq!(
        offences(&["session/", "role.rs", "role/"], &[], &roles),
        NONE
    );
    let lowest = ["protocol/", "timers.rs", "escaped.rs"];
    assert_eq!(offences(&lowest, &[], &roles), NONE);
    assert_eq!(offences(&lowest, &[], &outside), NONE);
    assert_eq!(offences(&lowest, &[], &["session", "role"]), NONE);
}

#[test]
fn the_loop_knows_roles_only_by_their_trait() {
    let above = ["share", "download", "terminal", "cli"];
    assert_eq!(offences(&["reactor/"], &[], &above), NONE);
    let one_role = ["Relay", "Node", "Client"];
    assert_eq!(offences(&["reactor/"], &one_role, &[]), NONE);
}

#[test]
fn files_and_terminal_know_no_loop() {
    let places = ["share/", "download/", "logging/"];
    assert_eq!(offences(&places, &["mio"], &["reactor", "cli"]), NONE);
    assert_eq!(offences(&["terminal/"], &["mio"], &["cli"]), NONE);
}

#[test]
fn only_the_terminal_knows_the_line_editor() {
    let places = ["reactor/", "share/", "download/"];
    assert_eq!(offences(&places, &["rustyline"], &[]), NONE);
    assert_eq!(offences(&DECIDING, &["rustyline"], &[]), NONE);
}

#[test]
fn there_is_no_other_loop() {
    let runtimes = ["tokio", "async_std", "smol", "async"];
    assert_eq!(offences(&[""], &runtimes, &[]), NONE);
}

#[test]
fn no_source_is_longer_than_can_be_read() {
    let long: Vec<String> = sources()
        .iter()
        .filter(|source| source.lines > MAX_LINES)
        .map(|source| format!("src/{} has {} lines", source.name, source.lines))
        .collect();
    assert_eq!(long, NONE);
}

#[test]
fn this_test_sees_what_it_is_to_see() {
    assert!(names("use mio::net::TcpStream;", "mio"));
    assert!(!names("let domino = signal_mio;", "mio"));
    assert!(names_module("use crate::reactor::Reactor;", "reactor"));
    assert!(names_module("use crate::{end, reactor};", "reactor"));
    assert!(names_module("crate::share::Folder", "share"));
    assert!(!names_module(
        "use crate::shared; use super::share;",
        "share"
    ));
    assert_eq!(code_of("a // mio\nb\n#[cfg(test)]\nmio"), "a \nb");
}

/// The table in `tests/system/main.rs` says which test shows what. A test that
/// was renamed must not leave a line there that shows nothing.
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
