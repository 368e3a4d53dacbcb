//! The prompt's line editor, and how the terminal is given back.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::fake::Fake;
use crate::support::{self, Server, client_command, folder, node, relay};
use crate::terminal::Terminal;

const HELLO: &[u8] = b"Hello, Peerline!\n";

/// The client at a terminal.
fn prompt(relay: &Server) -> Terminal {
    Terminal::start(client_command(relay.address(), &[]))
}

#[test]
fn ctrl_c_throws_the_line_away_and_ends_the_prompt_where_there_is_none() {
    let share = folder(&[("hello.txt", HELLO)]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    let mut terminal = prompt(&relay);
    terminal.expect("peerline> ");
    terminal.keys("never mi");
    terminal.expect("never mi");
    terminal.ctrl('c');
    terminal.at_prompt("hello.txt");
    terminal.expect("Hello, Peerline!");
    terminal.expect("peerline> ");
    // A line that was taken back is none.
    terminal.keys("x\x7f");
    terminal.expect("x");
    terminal.ctrl('c');
    let (rest, code) = terminal.end();
    assert_eq!(code, 130, "{rest:?}");
}

#[test]
fn what_is_pasted_is_a_command_a_line() {
    let share = folder(&[("one", b"1\n"), ("two words", b"2\n")]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    let mut terminal = prompt(&relay);
    terminal.expect("peerline> ");
    terminal.keys("one\rtwo wordz\x7fs\rquit\r");
    terminal.expect("\n1\r\n");
    terminal.expect("\n2\r\n");
    assert_eq!(terminal.end().1, 0);
}

#[test]
fn whatever_ends_the_program_the_terminal_is_as_it_was() {
    // The same kind of terminal, and a program that leaves it alone.
    let untouched = Terminal::start(Command::new("cat")).device().settings();
    let endings = [
        ("ctrl-C", "\x15\x03", 130),
        ("ctrl-D", "\x15\x04", 0),
        ("quit", "\x15quit\r", 0),
        ("SIGTERM", "", 130),
    ];
    let relay = relay(&[]);
    for (what, keys, expected) in endings {
        let mut terminal = prompt(&relay);
        terminal.expect("peerline> ");
        terminal.keys("half a li");
        terminal.expect("half a li");
        let device = terminal.device();
        assert_ne!(device.settings(), untouched, "a line is being edited");
        if keys.is_empty() {
            terminal.signal(Signal::TERM);
        }
        terminal.keys(keys);
        let (rest, code) = terminal.end();
        assert_eq!(code, expected, "{what}: {rest:?}");
        assert_eq!(device.settings(), untouched, "{what}");
        // What is shown next starts on a line of its own.
        assert!(rest.ends_with("\r\n"), "{what}: {rest:?}");
    }
}

#[test]
fn content_in_a_file_meets_nothing_of_the_editor() {
    let share = folder(&[("hello.txt", HELLO)]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    let home = folder(&[]);
    let out = home.path().join("out");
    let mut command = Command::new("sh");
    command
        .args(["-c", "exec \"$0\" \"$@\" > \"$OUT\""])
        .env("OUT", &out);
    let client = client_command(relay.address(), &[]);
    command.arg(client.get_program()).args(client.get_args());
    let mut terminal = Terminal::start(command);
    terminal.at_prompt("hello.txt");
    terminal.expect("hello.txt: 17 B in ");
    terminal.at_prompt("quit");
    assert_eq!(terminal.end().1, 0);
    assert_eq!(fs::read(out).expect("a file"), HELLO);
}

/// What is shown from the start to the end of a short session.
#[track_caller]
fn session(command: Command) -> String {
    let mut terminal = Terminal::start(command);
    let mut shown = terminal.expect("peerline> ");
    terminal.enter("hello.txt");
    shown.push_str(&terminal.expect("peerline> "));
    terminal.ctrl('d');
    let (rest, code) = terminal.end();
    shown.push_str(&rest);
    assert_eq!(code, 0, "{shown:?}");
    assert!(shown.contains("\nHello, Peerline!\r\n"), "{shown:?}");
    shown
}

#[test]
fn where_lines_cannot_be_edited_they_are_read_plainly() {
    let share = folder(&[("hello.txt", HELLO)]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    let client = || client_command(relay.address(), &[]);
    assert!(session(client()).contains('\x1b'));
    // A terminal that cannot move its cursor.
    let mut dumb = client();
    dumb.env("TERM", "dumb");
    // More descriptors than select(2) knows.
    let mut crowded = Command::new("bash");
    let script = "for n in {3..1010}; do eval \"exec $n</dev/null\"; done; exec \"$@\"";
    crowded.args(["-c", script, "bash"]);
    crowded
        .arg(client().get_program())
        .args(client().get_args());
    for command in [dumb, crowded] {
        let shown = session(command);
        assert!(!shown.contains('\x1b'), "{shown:?}");
    }
}

#[test]
fn the_tab_key_completes_commands_and_names() {
    let share = folder(&[
        ("help.txt", b"help yourself\n"),
        ("two generals.txt", b"attack\n"),
        ("two words.txt", b"at dawn\n"),
    ]);
    let mut relay = relay(&[]);
    let node = node(&relay, share.path(), &[]);
    let mut terminal = prompt(&relay);
    terminal.expect("peerline> ");
    // A name with a blank in it, after a command and alone.
    terminal.keys("fi\ttwo g\t\r");
    terminal.expect("find two generals.txt");
    terminal.expect(&format!("{} 7 -", node.wire_address()));
    terminal.expect("peerline> ");
    terminal.keys("two \tw\t\r");
    terminal.expect("\nat dawn\r\n");
    terminal.expect("peerline> ");
    // As far as it is clear, then all there is.
    terminal.keys("get \t\t");
    terminal.expect("help.txt          two generals.txt  two words.txt");
    terminal.keys("h\t\r");
    terminal.expect("\nhelp yourself\r\n");
    // Without a relay there are no names, and the prompt goes on.
    relay.stop();
    terminal.expect("peerline> ");
    terminal.keys("two\t\x15qu\t\r");
    assert_eq!(terminal.end().1, 0);
}

#[test]
fn a_relay_that_does_not_answer_holds_no_line() {
    let mut silent = Vec::new();
    let relay = Fake::new(move |mut caller| {
        if caller.line().starts_with("SEARCH") {
            silent.push(caller);
        } else {
            caller.say(b"NODES 0\n");
            let _ = caller.until_end();
        }
    });
    let mut terminal = Terminal::start(client_command(relay.address(), &[]));
    terminal.expect("peerline> ");
    terminal.keys("na\tme\r");
    terminal.expect("name: the relay lists no nodes");
    terminal.at_prompt("quit");
    terminal.end();
}

/// The client with these flags and this state folder.
fn prompt_with(relay: &Server, flags: &[&str], state: &Path) -> Terminal {
    let mut command = client_command(relay.address(), flags);
    command.env("XDG_STATE_HOME", state);
    Terminal::start(command)
}

#[test]
fn what_was_typed_comes_again_with_the_arrow_keys() {
    const UP: &str = "\x1b[A";
    let share = folder(&[("hello.txt", HELLO)]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    let home = folder(&[]);
    let state = home.path();
    let mut terminal = prompt_with(&relay, &[], state);
    terminal.at_prompt("hello.txt");
    terminal.expect("\nHello, Peerline!\r\n");
    terminal.at_prompt("nodes");
    terminal.expect("peerline> ");
    terminal.keys(&format!("{UP}{UP}\r"));
    terminal.expect("\nHello, Peerline!\r\n");
    terminal.at_prompt("quit");
    assert_eq!(terminal.end().1, 0);
    let file = state.join("peerline/history");
    let kept = || fs::read_to_string(&file).expect("a history");
    assert_eq!(kept(), "hello.txt\nnodes\nhello.txt\nquit\n");
    let mode = file.metadata().expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // The next time, and in another program at the same time.
    let mut terminal = prompt_with(&relay, &[], state);
    terminal.expect("peerline> ");
    let mut other = prompt_with(&relay, &[], state);
    other.at_prompt("help");
    other.expect("peerline> ");
    terminal.keys(&format!("{UP}{UP}\r"));
    terminal.expect("\nHello, Peerline!\r\n");
    terminal.expect("peerline> ");
    terminal.ctrl('d');
    assert_eq!(terminal.end().1, 0);
    assert!(kept().ends_with("quit\nhelp\nhello.txt\n"), "{}", kept());
}

#[test]
fn a_history_is_kept_elsewhere_or_not_at_all() {
    let relay = relay(&[]);
    let home = folder(&[("no folder", b"")]);
    let state = home.path();
    let run = |flags: &[&str]| {
        let mut terminal = prompt_with(&relay, flags, state);
        let mut shown = String::new();
        for line in ["help", "nodes", "quit"] {
            shown.push_str(&terminal.expect("peerline> "));
            terminal.enter(line);
        }
        let (rest, code) = terminal.end();
        assert_eq!(code, 0, "{rest}");
        shown + &rest
    };
    let own = state.join("lines");
    run(&["--history", own.to_str().expect("a text")]);
    assert_eq!(fs::read(&own).expect("a file"), b"help\nnodes\nquit\n");
    run(&["--no-history"]);
    assert!(!state.join("peerline").exists());
    // That it cannot be kept is said once.
    let bad = state.join("no folder/lines");
    let shown = run(&["--history", bad.to_str().expect("a text")]);
    assert_eq!(
        shown.matches("cannot use the history file ").count(),
        1,
        "{shown}"
    );
    // Nor is anything kept of what comes from a pipe.
    let mut command = client_command(relay.address(), &[]);
    command.env("XDG_STATE_HOME", state);
    support::run(command, b"help\nquit\n").expect_code(0);
    assert!(!state.join("peerline").exists());
}
