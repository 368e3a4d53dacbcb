//! The output that programs share with the line editor, and the completion of lines.

#![allow(missing_docs)]

use std::sync::mpsc;

use peerline::jobs::FoundNames;
use peerline::terminal::{LineCompleter, TerminalOutput};

/// The most bytes that wait for the editor.
const MAX_QUEUED: usize = 1024 * 1024;

#[test]
fn output_during_editing_waits_for_the_editor() {
    let output = TerminalOutput::default();
    let (redraw, redraws) = mpsc::channel();
    output.set_redraw_sender(redraw);
    assert!(output.acquire_for_editor());
    output.eprintln("one");
    output.eprintln("two");
    assert_eq!(redraws.try_iter().count(), 2);
    assert_eq!(output.take_pending_lines(), "one\ntwo\n");
    assert_eq!(output.take_pending_lines(), "");
    // An incomplete line is drawn when its end has arrived.
    output.eprint("three\nfo");
    assert_eq!(output.take_pending_lines(), "three\n");
    output.eprint("ur\n");
    assert_eq!(output.take_pending_lines(), "four\n");
}

#[test]
fn a_full_queue_drops_lines_and_counts_them() {
    let output = TerminalOutput::default();
    assert!(output.acquire_for_editor());
    let long = "x".repeat(MAX_QUEUED / 4 - 1);
    (0..6).for_each(|_| output.eprintln(&long));
    let drawn = output.take_pending_lines();
    assert!(drawn.ends_with("x\n(2 lines omitted)\n"));
    assert_eq!(drawn.lines().count(), 5);
    output.eprintln("room again");
    assert_eq!(output.take_pending_lines(), "room again\n");
}

#[test]
fn the_editor_cannot_acquire_a_closed_terminal() {
    let output = TerminalOutput::default();
    assert!(output.acquire_for_editor());
    let _ = output.take_pending_lines();
    assert!(output.is_held_by_editor());
    assert!(output.close(), "the editor held the terminal");
    assert!(!output.acquire_for_editor());
    output.release_from_editor();
    assert!(!output.acquire_for_editor(), "not even after a release");
    assert!(!output.close());
}

const HELP: &str = "\
get NAME    a file
get --hash HASH NAME
            likewise
ls          all files
search TEXT some files
help        this";

/// The part of `typed` that stays, and the replacements for the rest.
fn complete(typed: &str) -> (&str, Vec<String>) {
    let all = ["hello.txt", "help me.txt", "two generals.txt", "two peers"];
    let completer = LineCompleter {
        help: HELP,
        find_names: Box::new(move |prefix| {
            let names = all.iter().filter(|name| name.starts_with(prefix));
            FoundNames {
                names: names.map(ToString::to_string).collect(),
                is_incomplete: false,
            }
        }),
    };
    let (start, pairs) = completer.complete(typed);
    let replacements = pairs.into_iter().map(|pair| pair.replacement);
    (&typed[..start], replacements.collect())
}

#[track_caller]
fn assert_completion(typed: &str, start: &str, words: &[&str]) {
    let words = words.iter().map(ToString::to_string).collect();
    assert_eq!(complete(typed), (start, words), "{typed}");
}

#[test]
fn commands_and_names_are_completed_at_the_start() {
    assert_completion("", "", &["get ", "ls", "search ", "help"]);
    // A name that begins with a command's word needs get.
    assert_completion("  hel", "  ", &["help", "hello.txt"]);
    assert_completion("two g", "", &["two generals.txt"]);
    assert_completion("tw", "", &["two generals.txt", "two peers"]);
    assert_completion("xyz", "", &[]);
    // `chat` is a command of the client, but not of this prompt.
    assert_completion("cha", "", &[]);
}

/// Regression: with `a000` to `a100`, of which the last one was left out, `a` became `a0`.
#[test]
fn nothing_is_completed_if_names_are_left_out() {
    let completer = |names: &'static [&str], is_incomplete| LineCompleter {
        help: HELP,
        find_names: Box::new(move |_| FoundNames {
            names: names.iter().map(ToString::to_string).collect(),
            is_incomplete,
        }),
    };
    let replacements = |completer: LineCompleter, typed| {
        let (start, pairs) = completer.complete(typed);
        let pairs = pairs.into_iter().map(|pair| pair.replacement);
        (start, pairs.collect::<Vec<_>>())
    };
    for (typed, start) in [("a", 0), ("get a", 4), ("get --hash 0123 a", 16)] {
        let names = &["a000", "a001"];
        let complete = replacements(completer(names, false), typed);
        assert_eq!(complete, (start, vec!["a000".into(), "a001".into()]));
        let (_, incomplete) = replacements(completer(names, true), typed);
        assert_eq!(incomplete, ["a000", "a001", "a"], "{typed}");
    }
    // All of them are commands of other prompts.
    let (_, none) = replacements(completer(&["exit 1", "exit 2"], true), "ex");
    assert_eq!(none, [""; 0]);
}

#[test]
fn local_paths_are_completed_after_the_flags_of_get_that_take_one() {
    let folder = tempfile::TempDir::new().expect("a folder");
    std::fs::create_dir(folder.path().join("two words")).expect("a folder");
    for name in ["two.txt", ".hidden", "one.txt"] {
        std::fs::write(folder.path().join(name), "").expect("a file");
    }
    let place = folder.path().display();
    let assert_paths = |flag: &str, prefix: &str, names: &[&str]| {
        let start = format!("get hello.txt {flag} ");
        let quoted = |name: &&str| match name.contains(' ') {
            true => format!("'{place}/{name}'"),
            false => format!("{place}/{name}"),
        };
        let names: Vec<String> = names.iter().map(quoted).collect();
        let typed = format!("{start}{place}/{prefix}");
        assert_eq!(complete(&typed), (start.as_str(), names), "{typed}");
    };
    for flag in ["-o", "--output"] {
        assert_paths(flag, "tw", &["two words/", "two.txt"]);
        assert_paths(flag, "", &["one.txt", "two words/", "two.txt"]);
        assert_paths(flag, ".", &[".hidden"]);
        assert_paths(flag, "none/x", &[]);
    }
    for flag in ["-d", "--dir"] {
        assert_paths(flag, "", &["two words/"]);
    }
    // The name comes first, and after the path again.
    assert_completion("get -o x hel", "get -o x ", &["hello.txt", "'help me.txt'"]);
}

#[test]
fn names_are_completed_where_a_command_takes_one() {
    // Names of several words are quoted, as in a shell.
    let quoted = ["hello.txt", "'help me.txt'"];
    assert_completion("get hel", "get ", &quoted);
    assert_completion("get tw", "get ", &["'two generals.txt'", "'two peers'"]);
    assert_completion("get  'two g", "get  ", &["'two generals.txt'"]);
    assert_completion("get --hash 12 hel", "get --hash 12 ", &quoted);
    for line in ["ls hel", "search hel", "share hel"] {
        assert_eq!(complete(line).1, [""; 0], "{line}");
    }
}
