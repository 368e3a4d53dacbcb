//! Requests with the real `nc`, as in the documentation.

use std::process::Command;

use crate::support::{ProgramOutput, Server, folder, node_with_relay, run, without_epochs};

/// Whether there is no `nc` with `-N`; then the test is skipped.
pub fn nc_is_missing() -> bool {
    let version = Command::new("nc").arg("-h").output();
    let known = version.is_ok_and(|out| {
        let text = [out.stdout, out.stderr].concat();
        String::from_utf8_lossy(&text).contains("-N")
    });
    if !known {
        println!("skipped: there is no nc that knows -N");
    }
    !known
}

fn nc(server: &Server, flags: &[&str], input: &[u8]) -> ProgramOutput {
    let mut command = Command::new("nc");
    command
        .args(flags)
        .arg(server.address().ip().to_string())
        .arg(server.address().port().to_string());
    run(command, input).expect_code(0)
}

#[test]
fn nc_exits_after_a_half_close() {
    if nc_is_missing() {
        return;
    }
    let share = folder(&[("a file", b"content\n")]);
    let (node, relay) = node_with_relay(share.path(), &[]);
    let list = format!("NODES 1\n{}\n", node.wire_address());
    assert_eq!(nc(&relay, &["-N"], b"LIST\n").text(), list);
    let file = nc(&node, &["-N"], b"GET a file\n").text();
    assert_eq!(file, "FOUND 8\ncontent\n");
}

#[test]
fn nc_without_half_close_exits_after_quit() {
    if nc_is_missing() {
        return;
    }
    let share = folder(&[("a file", b"content\n")]);
    let (node, relay) = node_with_relay(share.path(), &[]);
    assert_eq!(nc(&relay, &[], b"PING\nQUIT\n").text(), "PONG\nOK bye\n");
    let file = nc(&node, &[], b"get a file\nquit\n").text();
    assert_eq!(file, "FOUND 8\ncontent\nOK bye\n");
}

#[test]
fn nc_may_send_crlf() {
    if nc_is_missing() {
        return;
    }
    let share = folder(&[("a file", b"content\n")]);
    let (node, relay) = node_with_relay(share.path(), &[]);
    let file = nc(&node, &["-N", "-C"], b"GET a file\nPING\n").text();
    assert_eq!(file, "FOUND 8\ncontent\nPONG\n");
    let reply = nc(&relay, &["-N", "-C"], b"REGISTER * 9\n").text();
    assert_eq!(without_epochs(&reply), "OK 60 127.0.0.1 9 0\n");
}

#[test]
fn a_file_fetched_by_nc_equals_the_original() {
    if nc_is_missing() {
        return;
    }
    let content: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
    let share = folder(&[("binary", &content)]);
    let place = folder(&[]);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let copy = place.path().join("copy");
    // `tail` removes the line `FOUND size`.
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg("printf 'GET binary\\n' | nc -N $0 $1 | tail -n +2 > \"$2\"")
        .arg(node.address().ip().to_string())
        .arg(node.address().port().to_string())
        .arg(&copy);
    run(shell, b"").expect_code(0);
    assert!(std::fs::read(&copy).expect("a copy") == content);
}
