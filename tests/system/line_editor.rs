//! The line editor of the prompt, and the state of the terminal after exit.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::support::fake_server::FakeServer;
use crate::support::{self, Server, Terminal, client_command, eventually, folder, node, relay};

const HELLO: &[u8] = b"Hello, Peerline!\n";

/// The client at a terminal.
fn prompt(relay: &Server) -> Terminal {
    Terminal::start(client_command(relay.address(), &[]))
}

#[test]
fn ctrl_c_clears_the_line_and_then_says_how_to_leave() {
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
    // The cleared line was not executed.
    terminal.keys("x\x7f");
    terminal.expect("x");
    terminal.ctrl('c');
    terminal.expect("to leave, type exit or press ctrl-D");
    terminal.at_prompt("exit");
    let (rest, code) = terminal.wait();
    assert_eq!(code, 0, "{rest:?}");
}

#[test]
fn what_is_pasted_behind_ctrl_c_is_kept() {
    let share = folder(&[("hello.txt", HELLO)]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    let mut terminal = prompt(&relay);
    terminal.expect("peerline> ");
    terminal.keys("never mi\x03hello.txt\r");
    terminal.expect("Hello, Peerline!");
    terminal.expect("peerline> ");
    terminal.keys("\x03exit\r");
    let (rest, code) = terminal.wait();
    assert_eq!(code, 0, "{rest:?}");
    assert!(
        rest.contains("to leave, type exit or press ctrl-D"),
        "{rest:?}"
    );
}

#[test]
fn each_pasted_line_is_a_command() {
    let share = folder(&[("one", b"1\n"), ("two words", b"2\n")]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    let mut terminal = prompt(&relay);
    terminal.expect("peerline> ");
    terminal.keys("one\rtwo wordz\x7fs\rquit\r");
    terminal.expect("\n1\r\n");
    terminal.expect("\n2\r\n");
    assert_eq!(terminal.wait().1, 0);
}

/// A terminal marks the ends of a paste if a program that crashed has left it in that mode.
#[test]
fn each_line_of_a_paste_with_marks_is_a_command() {
    let share = folder(&[("one", b"1\n"), ("two", b"2\n")]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    let mut terminal = prompt(&relay);
    terminal.expect("peerline> ");
    // Terminals send a line end as Enter; some send it as it is.
    terminal.keys("\x1b[200~one\rtwo\none\r\x1b[201~");
    for content in ["\n1\r\n", "\n2\r\n", "\n1\r\n"] {
        terminal.expect(content);
    }
    terminal.expect("peerline> ");
    // The end mark enters nothing.
    terminal.keys("\x1b[200~tw\x1b[201~");
    terminal.keys("o\r");
    terminal.expect("\n2\r\n");
    terminal.at_prompt("quit");
    assert_eq!(terminal.wait().1, 0);
}

/// Each row of a longer line is drawn again and again.
#[test]
fn a_pasted_line_that_is_too_long_is_cut_and_refused() {
    let relay = relay(&[]);
    let mut terminal = prompt(&relay);
    terminal.expect("peerline> ");
    for number in 0..40 {
        let marker = format!("m{number:02}");
        terminal.keys(&format!("{marker:x<100}"));
        terminal.expect(&marker);
    }
    terminal.keys(&format!("{:x<96}END\r", ""));
    let shown = terminal.expect("at most 1024 bytes");
    assert!(!shown.contains("END"), "{shown}");
    terminal.at_prompt("quit");
    assert_eq!(terminal.wait().1, 0);
}

#[test]
fn a_line_that_is_not_utf8_is_skipped() {
    let share = folder(&[("one", b"1\n")]);
    let relay = relay(&[]);
    let node = node(&relay, share.path(), &[]);
    let mut terminal = prompt(&relay);
    terminal.expect("peerline> ");
    terminal.bytes(b"get caf\xe9.txt");
    terminal.expect("\r\na line is not UTF-8, and was skipped\r\n");
    terminal.at_prompt("one");
    terminal.expect("\n1\r\n");
    assert_eq!(node.stat("gets"), 1);
    terminal.at_prompt("quit");
    assert_eq!(terminal.wait().1, 0);
}

#[test]
fn terminal_settings_are_restored_at_exit() {
    // Settings of a terminal whose program does not change them.
    let untouched = Terminal::start(Command::new("cat")).device().settings();
    let endings = [
        ("ctrl-D", "\x15\x04", 0),
        ("quit", "\x15quit\r", 0),
        ("SIGTERM", "", 130),
        ("SIGHUP", "", 130),
        ("SIGQUIT", "", 130),
    ];
    let relay = relay(&[]);
    for (what, keys, expected) in endings {
        let mut terminal = prompt(&relay);
        terminal.expect("peerline> ");
        terminal.keys("half a li");
        terminal.expect("half a li");
        let device = terminal.device();
        assert_ne!(device.settings(), untouched, "a line is being edited");
        match what {
            "SIGTERM" => terminal.signal(Signal::TERM),
            "SIGHUP" => terminal.signal(Signal::HUP),
            "SIGQUIT" => terminal.signal(Signal::QUIT),
            _ => {}
        }
        terminal.keys(keys);
        let (rest, code) = terminal.wait();
        assert_eq!(code, expected, "{what}: {rest:?}");
        assert_eq!(device.settings(), untouched, "{what}");
        // The next output starts at the beginning of a line.
        assert!(rest.ends_with("\r\n"), "{what}: {rest:?}");
    }
}

#[test]
fn the_editor_goes_on_after_a_stop() {
    let untouched = Terminal::start(Command::new("cat")).device();
    let relay = relay(&[]);
    let mut terminal = prompt(&relay);
    terminal.expect("peerline> ");
    terminal.keys("he");
    terminal.expect("he");
    let device = terminal.device();
    let editing = device.settings();
    // The shell does the same at ctrl-Z and fg.
    terminal.signal(Signal::STOP);
    device.copy_settings(&untouched);
    terminal.signal(Signal::CONT);
    eventually("the editor's settings", || device.settings() == editing);
    terminal.expect("peerline> he");
    terminal.keys("lp\r");
    terminal.expect("get NAME");
    terminal.at_prompt("quit");
    assert_eq!(terminal.wait().1, 0);
}

#[test]
fn redirected_content_has_no_editor_output() {
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
    assert_eq!(terminal.wait().1, 0);
    assert_eq!(fs::read(out).expect("a file"), HELLO);
}

/// The terminal output of a short session.
#[track_caller]
fn session(command: Command) -> String {
    let mut terminal = Terminal::start(command);
    let mut shown = terminal.expect("peerline> ");
    terminal.enter("hello.txt");
    shown.push_str(&terminal.expect("peerline> "));
    terminal.ctrl('d');
    let (rest, code) = terminal.wait();
    shown.push_str(&rest);
    assert_eq!(code, 0, "{shown:?}");
    assert!(shown.contains("\nHello, Peerline!\r\n"), "{shown:?}");
    shown
}

#[test]
fn a_dumb_terminal_has_no_line_editor() {
    let share = folder(&[("hello.txt", HELLO)]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    let client = || client_command(relay.address(), &[]);
    assert!(session(client()).contains('\x1b'));
    // A terminal that cannot move its cursor.
    let mut dumb = client();
    dumb.env("TERM", "dumb");
    // Descriptor numbers that select(2) does not support.
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
fn tab_completes_commands_and_names() {
    let share = folder(&[
        ("help.txt", b"help yourself\n"),
        ("two generals.txt", b"attack\n"),
        ("two words.txt", b"at dawn\n"),
    ]);
    let mut relay = relay(&[]);
    let node = node(&relay, share.path(), &[]);
    let mut terminal = prompt(&relay);
    terminal.expect("peerline> ");
    // A name with a blank, after a command and alone.
    terminal.keys("fi\ttwo g\t\r");
    terminal.expect("find two generals.txt");
    terminal.expect(&format!("{}         7 B  -", node.wire_address()));
    terminal.expect("peerline> ");
    terminal.keys("two \tw\t\r");
    terminal.expect("\nat dawn\r\n");
    terminal.expect("peerline> ");
    // First the common prefix, then all candidates.
    terminal.keys("get \t\t");
    terminal.expect("help.txt          two generals.txt  two words.txt");
    terminal.keys("h\t\r");
    terminal.expect("\nhelp yourself\r\n");
    // Without a relay no names are completed and the prompt continues.
    relay.stop();
    terminal.expect("peerline> ");
    terminal.keys("two\t\x15qu\t\r");
    assert_eq!(terminal.wait().1, 0);
}

#[test]
fn ctrl_c_ends_a_long_list_of_candidates() {
    let share = folder(&[("one", b"1\n")]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    let home = folder(&[]);
    for number in 0..150 {
        let name = format!("{number:03}{:x<50}", "");
        fs::write(home.path().join(name), b"").expect("a file");
    }
    let mut terminal = prompt(&relay);
    terminal.expect("peerline> ");
    let line = format!("get one -o {}/", home.path().display());
    terminal.keys(&line);
    terminal.expect(&line);
    for end in ["\x03", "\x04", "\x1a", "q"] {
        terminal.keys("\t\t");
        terminal.expect("\n--More--");
        terminal.keys(" ");
        terminal.expect("\n--More--");
        // Enter shows a line.
        terminal.keys("\r");
        terminal.expect("\n--More--");
        terminal.keys(end);
        let shown = terminal.expect(&format!("peerline> {line}"));
        assert!(!shown.contains("xxx"), "{end:?}: {shown}");
    }
    // A second ctrl-C discards the line.
    terminal.keys("\x03one\r");
    terminal.expect("\n1\r\n");
    terminal.at_prompt("quit");
    assert_eq!(terminal.wait().1, 0);
}

#[test]
fn an_unresponsive_relay_does_not_block_completion() {
    let mut silent = Vec::new();
    let relay = FakeServer::new(move |mut connection| {
        if connection.line().starts_with("SEARCH") {
            silent.push(connection);
        } else {
            connection.send(b"NODES 0\n");
            let _ = connection.read_to_end();
        }
    });
    let mut terminal = Terminal::start(client_command(relay.address(), &[]));
    terminal.expect("peerline> ");
    terminal.keys("na\tme\r");
    terminal.expect("name: the relay lists no nodes");
    terminal.at_prompt("quit");
    terminal.wait();
}

/// Starts the client with flags and a state folder.
fn prompt_with(relay: &Server, flags: &[&str], state: &Path) -> Terminal {
    let mut command = client_command(relay.address(), flags);
    command.env("XDG_STATE_HOME", state);
    Terminal::start(command)
}

#[test]
fn arrow_keys_recall_history() {
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
    assert_eq!(terminal.wait().1, 0);
    let file = state.join("peerline/history");
    let history = || fs::read_to_string(&file).expect("a history");
    assert_eq!(history(), "hello.txt\nnodes\nhello.txt\nquit\n");
    let mode = file.metadata().expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // In the next session, and in another program at the same time.
    let mut terminal = prompt_with(&relay, &[], state);
    terminal.expect("peerline> ");
    let mut other = prompt_with(&relay, &[], state);
    other.at_prompt("help");
    other.expect("peerline> ");
    terminal.keys(&format!("{UP}{UP}\r"));
    terminal.expect("\nHello, Peerline!\r\n");
    terminal.expect("peerline> ");
    terminal.ctrl('d');
    assert_eq!(terminal.wait().1, 0);
    assert!(
        history().ends_with("quit\nhelp\nhello.txt\n"),
        "{}",
        history()
    );
}

#[test]
fn the_newest_lines_of_a_history_file_are_kept() {
    let relay = relay(&[]);
    let home = folder(&[]);
    let file = home.path().join("lines");
    for (before, after) in [(2000, 2001), (2001, 1001)] {
        let lines: String = (0..before).map(|n| format!("line {n}\n")).collect();
        fs::write(&file, lines).expect("a file");
        let args = ["--history", file.to_str().expect("a text")];
        let mut terminal = Terminal::start(client_command(relay.address(), &args));
        terminal.at_prompt("quit");
        assert_eq!(terminal.wait().1, 0);
        let kept = fs::read_to_string(&file).expect("a history");
        assert!(kept.ends_with(&format!("line {}\nquit\n", before - 1)));
        assert_eq!(kept.lines().count(), after);
    }
    // Control characters must not reach the terminal.
    fs::write(&file, b"good\n\xff\n\x1b[31m\n\n").expect("a file");
    let args = ["--history", file.to_str().expect("a text")];
    let mut terminal = Terminal::start(client_command(relay.address(), &args));
    terminal.expect("peerline> ");
    terminal.keys("\x1b[A");
    terminal.expect("\u{fffd}");
    terminal.keys("\x1b[A");
    terminal.expect("good");
    terminal.keys("\x15quit\r");
    assert_eq!(terminal.wait().1, 0);
}

#[test]
fn history_file_and_no_history() {
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
        let (rest, code) = terminal.wait();
        assert_eq!(code, 0, "{rest}");
        shown + &rest
    };
    let own = state.join("lines");
    run(&["--history", own.to_str().expect("a text")]);
    assert_eq!(fs::read(&own).expect("a file"), b"help\nnodes\nquit\n");
    run(&["--no-history"]);
    assert!(!state.join("peerline").exists());
    // A history that cannot be saved is reported once.
    for bad in ["no folder/lines", "", "/dev/null"] {
        let bad = state.join(bad);
        let shown = run(&["--history", bad.to_str().expect("a text")]);
        let count = shown.matches("cannot use the history file ").count();
        assert_eq!(count, 1, "{shown}");
    }
    // Lines from a pipe are not saved either.
    let mut command = client_command(relay.address(), &[]);
    command.env("XDG_STATE_HOME", state);
    support::run(command, b"help\nquit\n").expect_code(0);
    assert!(!state.join("peerline").exists());
}
