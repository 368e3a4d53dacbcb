//! Content on a terminal: control characters are escaped, and binary content is not
//! printed.

use std::fs;

use crate::support::fake_server::FakeServer;
use crate::support::{Terminal, client_command, folder, node, relay, run};

#[test]
fn control_characters_are_escaped_on_a_terminal_only() {
    let text = b"one\x1b[2J\x07\ttwo\r\nno end of line";
    let share = folder(&[("text", text)]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    let get = |flags: &[&str]| {
        let args = [&["get", "text", "-q"], flags].concat();
        client_command(relay.address(), &args)
    };
    assert_eq!(run(get(&[]), b"").expect_code(0).stdout, text);
    let (shown, code) = Terminal::start(get(&[])).wait();
    assert_eq!(code, 0);
    // The terminal turns each \n into \r\n.
    let safe = "one\\u{1b}[2J\\u{7}\ttwo\\r\r\nno end of line\r\n";
    assert_eq!(shown, safe);
    let (shown, code) = Terminal::start(get(&["--raw"])).wait();
    assert_eq!(code, 0);
    assert_eq!(shown, "one\x1b[2J\x07\ttwo\r\r\nno end of line");
}

#[test]
fn binary_content_is_not_printed_without_raw() {
    let share = folder(&[("picture", b"\x89PNG\0\x01"), ("latin", b"gr\xfcn")]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    for name in ["picture", "latin"] {
        let command = client_command(relay.address(), &["get", name]);
        let (shown, code) = Terminal::start(command).wait();
        assert_eq!(code, 6, "{shown}");
        let advice = format!(
            "{name}: binary content is not printed on a terminal: -o FILE saves it, --raw prints it"
        );
        assert!(shown.contains(&advice), "{shown}");
        assert!(!shown.contains("PNG"), "{shown}");
    }
    let command = client_command(relay.address(), &["get", "picture", "--raw", "-q"]);
    let (shown, code) = Terminal::start(command).wait();
    assert_eq!((shown.contains("PNG\0\x01"), code), (true, 0));
    // A saved file is unchanged, also with a progress bar.
    let home = folder(&[]);
    let mut command = client_command(relay.address(), &["get", "picture", "-o", "p"]);
    command.current_dir(home.path());
    let (shown, code) = Terminal::start(command).wait();
    assert_eq!(code, 0, "{shown}");
    let saved = fs::read(home.path().join("p")).expect("a file");
    assert_eq!(saved, b"\x89PNG\0\x01");
}

#[test]
fn a_long_text_is_printed_completely() {
    // Two-byte characters that reads split.
    let line = "Grüße über Brücken, größer als fünf Mäuse\n";
    let text = line.repeat(40_000);
    assert!(text.len() > 1_500_000);
    let files = [
        ("text", text.as_bytes()),
        ("empty", b""),
        ("cut", b"gr\xc3"),
    ];
    let share = folder(&files);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    let command = client_command(relay.address(), &["get", "-q", "text", "empty", "cut"]);
    let (shown, code) = Terminal::start(command).wait();
    assert_eq!(code, 0);
    // An incomplete character at the end is printed as well.
    assert!(shown == text.replace('\n', "\r\n") + "gr\\xc3\r\n");
}

#[test]
fn a_progress_bar_accepts_the_largest_size() {
    let part = "x".repeat(70_000);
    let liar = FakeServer::replying(format!("FOUND 18446744073709551615\n{part}"));
    let relay = FakeServer::relay(&[liar.address()]);
    let args = ["get", "x", "-o", "/dev/null"];
    let (shown, code) = Terminal::start(client_command(relay.address(), &args)).wait();
    // Bytes that a device has received cannot be taken back.
    assert_eq!(code, 4, "{shown}");
    let message = "x: incomplete: 70000 of 18446744073709551615 bytes were printed";
    assert!(shown.contains(message), "{shown}");
}
