//! Keeps the pages under `docs/` equal to the programs. `UPDATE_DOCS=1 cargo test
//! --test docs` rewrites the blocks that differ.

#![allow(missing_docs)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use peerline::cli::Exit;

const FLAGS: &str = "docs/flags.md";
const EXIT_CODES: &str = "docs/exit-codes.md";
const RELIABILITY: &str = "docs/reliability.md";

/// A block of a page is `<!-- begin: COMMAND -->`, the text, `<!-- end -->`.
const BEGIN: &str = "<!-- begin: ";
const BEGIN_END: &str = " -->\n";
const END: &str = "<!-- end -->";

fn path(page: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(page)
}

fn read(page: &str) -> String {
    fs::read_to_string(path(page)).expect("the page can be read")
}

/// The output of a command such as `peer-client get --help`, at a width of 100.
fn help(command: &str) -> String {
    let mut words = command.split(' ');
    let program = match words.next() {
        Some("relay-server") => env!("CARGO_BIN_EXE_relay-server"),
        Some("peer-node") => env!("CARGO_BIN_EXE_peer-node"),
        Some("peer-client") => env!("CARGO_BIN_EXE_peer-client"),
        Some("peerline") => env!("CARGO_BIN_EXE_peerline"),
        other => panic!("no program {other:?}"),
    };
    let mut help = Command::new(program);
    // Without a terminal, the width comes from the environment.
    help.args(words).env("COLUMNS", "100").env("LINES", "100");
    let output = help.output().expect("the program starts");
    assert!(output.status.success(), "{command}: {}", output.status);
    let text = String::from_utf8(output.stdout).expect("help is UTF-8");
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim_end().to_owned()
}

/// The page with the current help in each block, and the commands of the blocks.
fn updated(page: &str) -> (String, Vec<String>) {
    let mut blocks = page.split(BEGIN);
    let mut text = blocks.next().unwrap_or_default().to_owned();
    let mut commands = Vec::new();
    for block in blocks {
        let (command, rest) = block.split_once(BEGIN_END).expect("the marker ends");
        let (_, rest) = rest.split_once(END).expect("the block ends");
        let help = help(command);
        text += &format!("{BEGIN}{command}{BEGIN_END}```text\n{help}\n```\n{END}{rest}");
        commands.push(command.to_owned());
    }
    (text, commands)
}

#[test]
fn the_page_of_flags_is_the_help_of_the_programs() {
    let page = read(FLAGS);
    let (expected, commands) = updated(&page);
    if page != expected && std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path(FLAGS), expected).expect("the page can be written");
        return;
    }
    let differs = |(line, other): &(&str, &str)| line != other;
    let first = page.lines().zip(expected.lines()).find(differs);
    assert!(
        page == expected,
        "{FLAGS} differs from the help: {first:?}; run UPDATE_DOCS=1 cargo test --test docs"
    );
    for command in all_commands() {
        assert!(commands.contains(&command), "{FLAGS} has no `{command}`");
    }
}

/// The help of each program, and of each command of the client.
fn all_commands() -> Vec<String> {
    let programs = ["relay-server", "peer-node", "peer-client", "peerline"];
    let mut commands: Vec<String> = programs.map(|program| format!("{program} --help")).into();
    let help = help("peer-client --help");
    let (_, list) = help.split_once("Commands:\n").expect("a list of commands");
    for line in list.lines().take_while(|line| !line.is_empty()) {
        match line.split_whitespace().next() {
            Some("help") | None => {}
            Some(name) => commands.push(format!("peer-client {name} --help")),
        }
    }
    assert!(commands.len() > 8, "{commands:?}");
    commands
}

#[test]
fn the_page_of_exit_codes_names_each_code_once() {
    let page = read(EXIT_CODES);
    let rows = page.lines().filter_map(|line| line.strip_prefix("| "));
    let codes: Vec<u8> = rows
        .filter_map(|row| row.split(' ').next()?.parse().ok())
        .collect();
    let listed: BTreeSet<u8> = codes.iter().copied().collect();
    assert_eq!(listed.len(), codes.len(), "{EXIT_CODES} names a code twice");
    let expected: BTreeSet<u8> = (0..=u8::MAX).filter(|code| is_exit_code(*code)).collect();
    assert_eq!(listed, expected);
}

/// A code that is added does not compile here until it is named.
fn is_exit_code(code: u8) -> bool {
    let all = [
        Exit::Success,
        Exit::NotFound,
        Exit::Usage,
        Exit::Relay,
        Exit::Incomplete,
        Exit::NodesFailed,
        Exit::StoreError,
        Exit::Listen,
        Exit::Share,
        Exit::Host,
        Exit::Aborted,
        Exit::System,
        Exit::SeveralContents,
        Exit::Interrupted,
    ];
    all.into_iter().any(|exit| match exit {
        Exit::Success
        | Exit::NotFound
        | Exit::Usage
        | Exit::Relay
        | Exit::Incomplete
        | Exit::NodesFailed
        | Exit::StoreError
        | Exit::Listen
        | Exit::Share
        | Exit::Host
        | Exit::Aborted
        | Exit::System
        | Exit::SeveralContents
        | Exit::Interrupted => exit as u8 == code,
    })
}

/// The words of a cell of a table that stand in backquotes.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn the_functions_on_the_path_of_a_request_are_where_the_page_says() {
    let page = read("docs/design.md");
    let (_, rest) = page
        .split_once("### The functions on the path")
        .expect("the section");
    let (section, _) = rest.split_once("\n## ").expect("the next section");
    let mut found = 0;
    for row in section.lines().filter_map(|line| line.strip_prefix("| `")) {
        let cells: Vec<&str> = row.split(" | ").collect();
        let sources: Vec<String> = quoted(cells[1])
            .map(|file| read(&format!("src/{file}")))
            .collect();
        for function in quoted(&format!("`{}", cells[0])) {
            let start = [format!("fn {function}("), format!("fn {function}<")];
            let has = |source: &String| start.iter().any(|start| source.contains(start));
            assert!(sources.iter().any(has), "no {function} in {}", cells[1]);
            found += 1;
        }
    }
    assert!(found > 40, "only {found} functions");
}

/// The files below a folder: the path of each, and its text.
fn files(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else {
            let name = path.to_str().expect("a name").to_owned();
            found.push((name, fs::read_to_string(&path).unwrap_or_default()));
        }
    }
}

/// Whether what a row names exists: `MODULE::FUNCTION`, `FUNCTION`, `MODULE` or a file.
fn is_there(name: &str, files: &[(String, String)]) -> bool {
    let (module, function) = name.rsplit_once("::").unwrap_or(("", name));
    let module = module.trim_end_matches(".rs").replace("::", "/");
    let is_in_module = |file: &str| {
        let file = file.trim_end_matches(".rs");
        let ends = ["", "/mod", "/main"].map(|end| format!("/{module}{end}"));
        module.is_empty() || ends.iter().any(|end| file.ends_with(end))
    };
    let is_defined = |text: &str| {
        text.contains(&format!("fn {function}(")) || text.contains(&format!("mod {function} {{"))
    };
    let mut all = files.iter();
    path(name).exists()
        || all
            .clone()
            .any(|(file, text)| is_in_module(file) && is_defined(text))
        || all.any(|(file, _)| {
            file.trim_end_matches(".rs")
                .ends_with(&format!("/{}", name.trim_end_matches(".rs")))
        })
}

#[test]
fn every_row_of_the_page_of_reliability_names_tests_that_exist() {
    let mut sources = Vec::new();
    files(&path("src"), &mut sources);
    files(&path("tests"), &mut sources);
    let page = read(RELIABILITY);
    let rows = page.lines().filter(|line| line.starts_with("| "));
    let is_head = |shown: &str| ["Test", "Shown by", "Where"].contains(&shown);
    for row in rows {
        let shown = row.trim_end_matches([' ', '|']).rsplit(" | ").next();
        let shown = shown.expect("a cell");
        if is_head(shown) {
            continue;
        }
        let named: Vec<&str> = quoted(shown).collect();
        assert!(!named.is_empty() || shown.contains("]("), "no test: {row}");
        // Others say how to run a test.
        for name in named.iter().filter(|name| !name.contains([' ', '='])) {
            assert!(is_there(name, &sources), "{name} is not there: {row}");
        }
    }
}
