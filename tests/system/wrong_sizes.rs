//! Nodes that announce sizes which no content has.

use std::fs;

use peerline::protocol::{ContentHash, PieceLayout, PieceValue};

use crate::hashes;
use crate::support::fake_server::{FakeConnection, FakeServer};
use crate::support::{Server, ask, client_command, eventually, folder, node, relay, run};

/// A node that has a content of `size` bytes, whose pieces have made-up values.
fn node_with(relay: &Server, size: u64) -> FakeServer {
    let layout = PieceLayout::new(size);
    let values = vec![PieceValue([7; 32]); layout.count()];
    let hash = layout.fold(&values).expect("so many values");
    let node = FakeServer::new(move |connection| serve(connection, &layout, hash));
    let (ip, port) = (node.address().ip(), node.address().port());
    let lines = format!("REGISTER {ip} {port}\nSHARE {size} {hash} file\n");
    let reply = ask(relay.address(), lines.as_bytes());
    assert!(reply.ends_with("\nOK\n"), "{reply}");
    node
}

fn serve(mut connection: FakeConnection, layout: &PieceLayout, hash: ContentHash) {
    loop {
        let line = connection.line();
        let goes_on = match line.split(' ').next() {
            Some("PIECES") => {
                let head = format!("PIECES {} {} {hash}\n", layout.count(), layout.piece_size());
                let value = format!("{}\n", PieceValue([7; 32]));
                connection.send(head + &value.repeat(layout.count()))
            }
            Some("GET") => {
                connection.send(format!("FOUND {}\nthe start", layout.size()));
                false
            }
            Some("") | None => false,
            Some(_) => connection.send("ERROR 409 the content has changed\n"),
        };
        if !goes_on {
            return;
        }
    }
}

#[test]
fn a_size_that_no_file_has_is_an_error() {
    let relay = relay(&[]);
    let _node = node_with(&relay, u64::MAX);
    let home = folder(&[]);
    let get = |args: &[&str]| {
        let args = [&["get", "file"], args].concat();
        let mut command = client_command(relay.address(), &args);
        command.current_dir(home.path());
        run(command, b"")
    };
    let output = get(&["-o", "saved"]).expect_code(6);
    assert!(output.stderr.contains("saved"), "{}", output.stderr);
    get(&[]).expect_code(5);
    assert_eq!(home.path().read_dir().expect("a folder").count(), 0);
}

/// Regression: the disk was said to be full, and the other node was not tried.
#[test]
fn a_size_for_which_there_is_no_space_costs_that_node_only() {
    const HUGE: &str = "9223372036854775807";
    let share = folder(&[("file", &b"content"[..]), ("other", b"other")]);
    let hash = ContentHash::of(b"content").to_string();
    for (hash, words) in [
        ("-", &["file", "-o", "file"][..]),
        (&hash, &["file", "other", "-d", "."]),
    ] {
        let relay = relay(&[]);
        let node = match hash {
            "-" => node(&relay, share.path(), &[]),
            _ => hashes::node(&relay, share.path(), &["--no-hash-cache"]),
        };
        eventually("the node announces it", || {
            let line = format!("{} 7 {hash}", node.wire_address());
            ask(relay.address(), b"FIND file\n").contains(&line)
        });
        let liar = FakeServer::new(|mut connection| {
            while connection.line().starts_with("GET")
                && connection.send(format!("FOUND {HUGE}\n{}", "x".repeat(2_000_000)))
            {}
        });
        let (ip, port) = (liar.address().ip(), liar.address().port());
        let lines = format!("REGISTER {ip} {port}\nSHARE {HUGE} {hash} file\n");
        assert!(ask(relay.address(), lines.as_bytes()).ends_with("\nOK\n"));
        for _ in 0..4 {
            let target = folder(&[]);
            let mut command = client_command(relay.address(), &[&["get"], words].concat());
            command.current_dir(target.path());
            run(command, b"").expect_code(0);
            let saved = fs::read(target.path().join("file")).expect("it is saved");
            assert_eq!(saved, b"content");
        }
    }
}

/// Pieces that are printed wait in memory until they are checked.
#[test]
fn pieces_that_are_too_long_for_memory_are_not_requested_for_stdout() {
    let relay = relay(&[]);
    let _node = node_with(&relay, 1 << 56);
    let output = run(client_command(relay.address(), &["get", "file"]), b"");
    let output = output.expect_code(5);
    assert!(!output.stderr.contains("error 409"), "{}", output.stderr);
    let received = "received 9 bytes";
    assert!(output.stderr.contains(received), "{}", output.stderr);
    assert!(output.stdout.is_empty());
}
