//! `get` at the prompt and the console: words as in a shell, where files go, questions,
//! and interrupts.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::fake_server::{FakeServer, register};
use crate::support::relay_index::wait_for_names;
use crate::support::{
    Server, Terminal, client_command, eventually, folder, node, node_command, noise, relay, run,
};

const FILES: [(&str, &[u8]); 4] = [
    ("docs/a b.txt", b"one"),
    ("docs/c.txt", b"two"),
    ("hello.txt", b"Hello, Peerline!\n"),
    ("picture", b"\x89PNG\0\x01"),
];

fn network() -> (Server, Server, TempDir) {
    let share = folder(&FILES);
    let relay = relay(&[]);
    let node = node(&relay, share.path(), &[]);
    wait_for_names(&relay, 4);
    (relay, node, share)
}

fn command(relay: &Server, home: &Path) -> Command {
    let mut command = client_command(relay.address(), &[]);
    command.current_dir(home);
    command
}

#[test]
fn get_takes_words_and_flags_as_in_a_shell() {
    let (relay, _node, _share) = network();
    let home = folder(&[]);
    let read = |name: &str| fs::read_to_string(home.path().join(name)).expect("a file");
    let mut terminal = Terminal::start(command(&relay, home.path()));
    terminal.at_prompt("get hello.txt -o copy.txt");
    terminal.expect("saved as copy.txt");
    terminal.at_prompt("get 'docs/a b.txt' docs/c.txt -d new");
    terminal.expect("there is no folder new; --mkdir creates it");
    terminal.at_prompt("get 'docs/a b.txt' hello.txt -d new --mkdir");
    terminal.expect("2 files fetched");
    terminal.at_prompt("get docs/");
    terminal.expect("docs/: 2 files");
    terminal.expect("2 files fetched");
    // Without a flag it is printed again.
    terminal.at_prompt("get hello.txt");
    terminal.expect("\nHello, Peerline!");
    terminal.at_prompt("*.txt");
    terminal.expect("1 file fetched");
    terminal.at_prompt("get 'hello.txt");
    terminal.expect("a quote is not closed");
    terminal.at_prompt("get hello.txt --what");
    terminal.expect("unknown flag --what; usage: get NAME...");
    terminal.at_prompt("exit");
    terminal.wait();
    assert_eq!(read("copy.txt"), "Hello, Peerline!\n");
    assert_eq!(read("hello.txt"), "Hello, Peerline!\n");
    assert_eq!(read("new/docs/a b.txt"), "one");
    assert_eq!(read("new/hello.txt"), "Hello, Peerline!\n");
    assert_eq!(read("docs/c.txt"), "two");
}

#[test]
fn the_tab_key_quotes_names() {
    let (relay, _node, _share) = network();
    let home = folder(&[]);
    let mut terminal = Terminal::start(command(&relay, home.path()));
    terminal.expect("peerline> ");
    terminal.keys("get docs/a\t");
    terminal.expect("get 'docs/a b.txt'");
    terminal.enter(" -o x");
    terminal.expect("saved as x");
    terminal.at_prompt("exit");
    assert_eq!(terminal.wait().1, 0);
}

#[test]
fn binary_content_is_saved_on_a_yes() {
    let (relay, _node, _share) = network();
    let home = folder(&[]);
    let mut terminal = Terminal::start(command(&relay, home.path()));
    terminal.at_prompt("picture");
    terminal.expect("picture: binary content is not printed on a terminal");
    terminal.at("save it? [y/N] ", "");
    terminal.at_prompt("get picture");
    terminal.at("save it? [y/N] ", "y");
    terminal.expect("saved as picture");
    terminal.at_prompt("quit");
    terminal.wait();
    let saved = fs::read(home.path().join("picture")).expect("a file");
    assert_eq!(saved, FILES[3].1);
}

#[test]
fn lines_typed_during_a_command_are_executed_after_it() {
    let (relay, _node, _share) = network();
    let home = folder(&[]);
    let mut terminal = Terminal::start(command(&relay, home.path()));
    terminal.expect("peerline> ");
    // The third line meets a question, and is no answer to it.
    terminal.keys("get docs/ -d new --mkdir\rpicture\rhello.txt\rcancel\r");
    terminal.expect("2 files fetched");
    terminal.expect("save it? [y/N] ");
    terminal.expect("\nHello, Peerline!");
    terminal.expect("ctrl-C stops a transfer here");
    terminal.at_prompt("exit");
    assert_eq!(terminal.wait().1, 0);
    assert!(!home.path().join("picture").exists());
}

#[test]
fn the_progress_at_the_prompt_says_how_to_stop() {
    let content = noise(2_000_000, 5);
    let share = folder(&[("large", &content), ("small", b"\0")]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    let home = folder(&[]);
    let mut slow = command(&relay, home.path());
    slow.args(["--limit-rate", "100K"]);
    let mut terminal = Terminal::start(slow);
    for _ in 0..2 {
        terminal.at_prompt("get small");
        terminal.at("save it? [y/N] ", "n");
    }
    terminal.at_prompt("get large -o large");
    let shown = terminal.expect("ctrl-C stops");
    // The node that was asked for the other file is not counted.
    assert!(!shown.contains("nodes"), "{shown}");
    terminal.ctrl('c');
    terminal.expect("stopped");
    terminal.at_prompt("exit");
    terminal.wait();
}

#[test]
fn a_mistyped_command_asks_no_node() {
    let relay = relay(&[]);
    let silent = FakeServer::replying("NOTFOUND\n");
    register(&relay, silent.address());
    let share = folder(&[("hepl", b"a file after all")]);
    let _node = node(&relay, share.path(), &[]);
    wait_for_names(&relay, 1);
    let input = b"serach hello\nexti\nhepl\nHELP\n?\nexit\n";
    let output = run(client_command(relay.address(), &[]), input).expect_code(1);
    let text = "serach hello is no command, and no node has announced such a file";
    assert!(output.stderr.contains(text), "{}", output.stderr);
    assert!(
        output.stderr.contains("exti is no command"),
        "{}",
        output.stderr
    );
    assert_eq!(output.text(), "a file after all");
    assert_eq!(output.stderr.matches("get NAME...").count(), 2);
    assert_eq!(silent.connections(), 0);
}

#[test]
fn ctrl_c_stops_a_transfer_and_not_the_prompt() {
    let hanging = FakeServer::hanging_after("FOUND 100000000\nsome bytes");
    let (relay, _node, _share) = network();
    register(&relay, hanging.address());
    let home = folder(&[]);
    let mut terminal = Terminal::start(command(&relay, home.path()));
    terminal.at_prompt("get large -o large");
    terminal.expect("found: 100");
    terminal.ctrl('c');
    terminal.expect("stopped");
    terminal.at_prompt("get hello.txt");
    terminal.expect("Hello, Peerline!");
    terminal.expect("peerline> ");
    terminal.ctrl('c');
    terminal.expect("to leave, type exit or press ctrl-D");
    terminal.at_prompt("exit");
    assert_eq!(terminal.wait().1, 0);
    assert!(!home.path().join("large").exists());
}

#[test]
fn the_console_lists_and_cancels_downloads() {
    let hanging = FakeServer::hanging_after("FOUND 100000000\nsome bytes");
    let (relay, _node, _share) = network();
    register(&relay, hanging.address());
    let own = folder(&[]);
    let mut console = node_command(relay.address(), own.path(), &["--console"]);
    console.arg("--no-history");
    let mut terminal = Terminal::start(console);
    terminal.at_prompt("jobs");
    terminal.expect("nothing is being fetched");
    terminal.at_prompt("large");
    eventually("the transfer", || hanging.connections() > 0);
    // The first bytes may come later.
    let mut before = String::new();
    eventually("the bytes", || {
        terminal.at_prompt("jobs");
        before = terminal.expect(": large");
        terminal.expect("\n").starts_with("  10 B of 100.00 MB")
    });
    let number = before.lines().last().expect("a number").trim().to_owned();
    terminal.at_prompt("cancel 999");
    terminal.expect("no such download; jobs lists the numbers");
    terminal.at_prompt(&format!("cancel {number}"));
    terminal.expect(": broken off");
    terminal.at_prompt("jobs");
    terminal.expect("nothing is being fetched");
    terminal.at_prompt("quit");
    assert_eq!(terminal.wait().1, 0);
    assert!(!own.path().join("large").exists());
}

#[test]
fn the_console_fetches_folders_and_globs() {
    let (relay, _node, _share) = network();
    let own = folder(&[("hello.txt", b"mine")]);
    let console = node_command(relay.address(), own.path(), &["--console"]);
    let mut console = Server::start_with_stdin(console);
    console.enter("get docs/ hello.txt");
    console.enter("get 'pic*' -d other");
    console.enter("get 'pic*'");
    let has = |name: &str| own.path().join(name).exists();
    eventually("the files", || {
        has("docs/a b.txt") && has("docs/c.txt") && has("picture")
    });
    assert_eq!(
        fs::read(own.path().join("hello.txt")).expect("a file"),
        b"mine"
    );
}

#[test]
fn get_at_the_prompt_names_the_wrong_word() {
    let (relay, _node, _share) = network();
    let home = folder(&[]);
    for (line, why) in [
        (
            "get hello.txt --hash 12",
            "invalid value '12' for --hash: write 8 to 64 hex digits",
        ),
        (
            "get hello.txt --wait soon",
            "invalid value 'soon' for --wait: write a number of seconds",
        ),
        (
            "get hello.txt --max-downloads=0",
            "invalid value '0' for --max-downloads",
        ),
        ("get hello.txt -o", "-o needs a value"),
        (
            "get hello.txt -o a -d b",
            "-d: only one of -o and -d may be given, and once",
        ),
        (
            "get hello.txt --forse -o a",
            "unknown flag --forse; usage: get NAME...",
        ),
        (
            "get hello.txt --force=yes -o a",
            "unknown flag --force=yes; usage: get NAME...",
        ),
    ] {
        let output = run(command(&relay, home.path()), line.as_bytes()).expect_code(2);
        assert!(output.stderr.contains(why), "{line}: {}", output.stderr);
    }
}

#[test]
fn flags_for_the_whole_prompt_are_given_at_its_start() {
    let relay = relay(&[]);
    let output = run(client_command(relay.address(), &["get", "--help"]), b"").expect_code(0);
    let help = output.text();
    let words = help.split(|c: char| !c.is_ascii_alphabetic() && c != '-');
    let is_flag =
        |word: &&str| word.starts_with('-') && (word.len() == 2 || word.starts_with("--"));
    let flags: BTreeSet<&str> = words.filter(is_flag).collect();
    assert!(flags.contains("--limit-rate"), "{help}");
    let flags_of_get = [
        "-d",
        "--dir",
        "-o",
        "--output",
        "-f",
        "--force",
        "-h",
        "--help",
        "-i",
        "--input",
        "--all",
        "--hash",
        "--hidden",
        "--max-downloads",
        "--mkdir",
        "--restart",
        "--wait",
    ];
    for flag in flags {
        if flags_of_get.contains(&flag) {
            continue;
        }
        let line = format!("get hello.txt {flag}");
        let output = run(client_command(relay.address(), &[]), line.as_bytes()).expect_code(2);
        let why = format!("the prompt takes no {flag}: give it when the program starts; usage:");
        assert!(output.stderr.contains(&why), "{}", output.stderr);
    }
}

#[test]
fn get_at_the_prompt_takes_the_flags_of_the_command_line() {
    let (relay, _node, share) = network();
    let home = folder(&[]);
    let mut terminal = Terminal::start(command(&relay, home.path()));
    terminal.at_prompt("get hello.txt --output=a -f");
    terminal.expect("saved as a");
    terminal.at_prompt("get hello.txt -ob");
    terminal.expect("saved as b");
    terminal.at_prompt("get docs/ --dir=c --mkdir --max-downloads 1");
    terminal.expect("2 files fetched");
    terminal.at_prompt("get late.txt --wait 60");
    fs::write(share.path().join("late.txt"), "better late than never").expect("a file");
    terminal.expect("\nbetter late than never");
    // The next command does not wait.
    terminal.at_prompt("get never.txt");
    terminal.expect("never.txt: not found");
    terminal.at_prompt("exit");
    assert_eq!(terminal.wait().1, 0);
}
