//! The progress of transfers at a terminal.

use std::path::Path;
use std::process::Command;

use crate::hashes::node;
use crate::support::relay_index::wait_for_hash;
use crate::support::{Server, Terminal, client_command, folder, noise, relay, run};

const SIZE: usize = 6_000_000;

/// The command at a terminal with so many columns, once a line is typed: the terminal gets its
/// first size after the shell has started.
fn at_width(columns: usize, command: &Command, home: &Path) -> Command {
    let mut shell = Command::new("sh");
    let script = format!("read -r line\nstty cols {columns}\nexec \"$0\" \"$@\"");
    shell
        .args(["-c", &script])
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(home);
    shell
}

/// What stands on the lines of a terminal, one after the other, without control sequences.
fn lines(shown: &str) -> Vec<String> {
    let mut text = String::new();
    let mut characters = shown.chars();
    while let Some(c) = characters.next() {
        match c {
            '\x1b' => {
                let is_end = |c: &char| c.is_ascii_alphabetic();
                characters.by_ref().find(is_end);
                text.push('\n');
            }
            '\r' => text.push('\n'),
            c => text.push(c),
        }
    }
    text.lines()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

/// Runs `get`. Returns the lines that show progress.
fn progress(relay: &Server, columns: usize, args: &[&str]) -> Vec<String> {
    let home = folder(&[]);
    let command = client_command(relay.address(), args);
    let mut terminal = Terminal::start(at_width(columns, &command, home.path()));
    terminal.enter("");
    let (shown, code) = terminal.wait();
    assert_eq!(code, 0, "{shown}");
    let mut lines = lines(&shown);
    lines.retain(|line| line.contains(" of 6.00 MB") || line.contains(" of 2 files"));
    assert!(!lines.is_empty(), "{shown}");
    for text in ["0 of 0 files", " 0 B/s", " 0s left", "0 B in"] {
        assert!(!shown.contains(text), "{text}: {shown}");
    }
    lines
}

#[track_caller]
fn assert_not_longer(lines: &[String], columns: usize) {
    let longest = lines.iter().map(|line| line.chars().count()).max();
    assert!(longest <= Some(columns), "{longest:?}: {lines:#?}");
}

/// The rate in MB/s on a line that shows one.
fn rate(line: &str) -> Option<f64> {
    let (before, _) = line.split_once(" MB/s (limit ")?;
    before.rsplit(' ').next()?.parse().ok()
}

#[test]
fn a_progress_bar_takes_what_the_text_leaves_of_the_line() {
    let content = noise(SIZE, 14);
    let share = folder(&[("docs/a", &content), ("docs/b", &content)]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &["--no-hash-cache"]);
    for name in ["docs/a", "docs/b"] {
        wait_for_hash(&relay, name, &content, 1);
    }
    let has_bar = |line: &String| line.contains(['█', '░']);
    let file = ["get", "docs/a", "-o", "a", "--limit-rate", "4M"];
    let lines = progress(&relay, 80, &file);
    assert_not_longer(&lines, 80);
    assert!(lines.iter().all(has_bar), "{lines:#?}");
    assert!(
        lines.iter().any(|line| line.contains(" s left")),
        "{lines:#?}"
    );
    // The limit holds within 5 % of a second. A busy machine may count some bytes late.
    let rates: Vec<f64> = lines.iter().filter_map(|line| rate(line)).collect();
    assert!(!rates.is_empty(), "{lines:#?}");
    let limit = 4.0 * 1.048_576;
    let is_kept = |rate: &f64| *rate <= limit * 1.15;
    assert!(rates.iter().all(is_kept), "{rates:?}");
    // The text alone is so long when all of it is known.
    let lines = progress(&relay, 58, &file);
    assert_not_longer(&lines, 58);
    assert!(!lines.iter().all(has_bar), "{lines:#?}");
    let folder = ["get", "docs/", "--limit-rate", "6M"];
    let lines = progress(&relay, 80, &folder);
    assert!(lines.iter().any(has_bar), "{lines:#?}");
}

#[test]
fn progress_as_json_at_the_prompt_is_that_of_one_command() {
    let content = noise(1_500_000, 15);
    let share = folder(&[("a", &content), ("b", &content)]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &["--no-hash-cache"]);
    let home = folder(&[]);
    let mut client = client_command(relay.address(), &["--json", "--limit-rate", "1M"]);
    client.current_dir(home.path());
    let output = run(client, b"get a -o a\nget b -o b\n").expect_code(0);
    let text = output.text() + &output.stderr;
    let progress: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("progress"))
        .collect();
    assert!(progress.len() >= 2, "{text}");
    let is_first_file = |line: &&str| line.contains("\"files\":0");
    assert!(progress.iter().all(is_first_file), "{text}");
}
