//! Sessions that are resumed by a ticket, with `openssl s_client`, and early data, which is
//! refused.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use peerline::tls::Identity;

use crate::support::{ask, folder, has, node, relay, run};

/// What `openssl s_client` prints about a connection over which these lines are sent, with
/// further arguments.
fn s_client(server: SocketAddr, args: &[&str], lines: &str) -> String {
    let mut command = Command::new("openssl");
    command.args([
        "s_client",
        "-ign_eof",
        "-nocommands",
        "-connect",
        &server.to_string(),
    ]);
    command.args(args);
    run(command, lines.as_bytes()).text()
}

/// The names of files in a folder, as arguments.
fn names<const N: usize>(folder: &Path, names: [&str; N]) -> [String; N] {
    names.map(|name| {
        let path = folder.join(name);
        path.to_str().expect("a temporary name is text").to_owned()
    })
}

#[test]
fn openssl_resumes_a_session_with_relay_and_node() {
    if !has("openssl") {
        return;
    }
    let relay = relay(&[]);
    let share = folder(&[("five.txt", b"Hello")]);
    let node = node(&relay, share.path(), &[]);
    let files = folder(&[]);
    let [ticket] = names(files.path(), ["ticket"]);
    for (server, lines, reply) in [
        (relay.address(), "LIST\nQUIT\n", "NODES 1\n"),
        (node.address(), "GET five.txt\nQUIT\n", "FOUND 5\nHello"),
    ] {
        let first = s_client(server, &["-sess_out", &ticket], lines);
        assert!(first.contains("New, TLSv1.3"), "{first}");
        assert!(first.contains(reply), "{first}");
        // Each ticket comes with new ones.
        for _ in 0..2 {
            let resume = ["-sess_in", &ticket, "-sess_out", &ticket];
            let next = s_client(server, &resume, lines);
            assert!(next.contains("Reused, TLSv1.3"), "{next}");
            assert!(next.contains(reply), "{next}");
        }
    }
    // The ticket of the node is worth nothing at the relay, nor is it an error.
    let other = s_client(relay.address(), &["-sess_in", &ticket], "PING\nQUIT\n");
    assert!(other.contains("New, TLSv1.3"), "{other}");
    assert!(other.contains("PONG"), "{other}");
}

#[test]
fn a_resumed_session_has_the_id_that_the_first_one_has_shown() {
    if !has("openssl") {
        return;
    }
    let relay = relay(&[]);
    let files = folder(&[]);
    let [ticket, pem] = names(files.path(), ["ticket", "client.pem"]);
    let key = Identity::generate().expect("random bytes");
    let identity = Identity::from_pem(key.as_bytes(), key.as_bytes()).expect("a key");
    fs::write(&pem, &key).expect("a file");
    let show = ["-cert", &pem, "-key", &pem, "-sess_out", &ticket];
    let first = s_client(relay.address(), &show, "REGISTER * 9\nQUIT\n");
    assert!(first.contains("New, TLSv1.3"), "{first}");
    assert!(first.contains("OK 60 127.0.0.1 9 "), "{first}");
    let listed = format!("NODES 1\n127.0.0.1 9 {}\n", identity.id());
    assert_eq!(ask(relay.address(), b"LIST\n"), listed);
    // Whoever has no ticket of the node must show its key.
    let stranger = s_client(relay.address(), &[], "UNREGISTER * 9\nQUIT\n");
    assert!(stranger.contains("ERROR 403"), "{stranger}");
    let resumed = s_client(
        relay.address(),
        &["-sess_in", &ticket],
        "UNREGISTER * 9\nQUIT\n",
    );
    assert!(resumed.contains("Reused, TLSv1.3"), "{resumed}");
    assert!(!resumed.contains("ERROR"), "{resumed}");
    assert_eq!(ask(relay.address(), b"LIST\n"), "NODES 0\n");
}

#[test]
fn a_ticket_allows_no_early_data() {
    if !has("openssl") {
        return;
    }
    let relay = relay(&[]);
    let files = folder(&[("early", b"REGISTER * 9\n")]);
    let [ticket, early] = names(files.path(), ["ticket", "early"]);
    let first = s_client(relay.address(), &["-sess_out", &ticket], "PING\nQUIT\n");
    assert!(first.contains("Max Early Data: 0"), "{first}");
    let args = ["-sess_in", &ticket, "-early_data", &early];
    let next = s_client(relay.address(), &args, "PING\nQUIT\n");
    assert!(next.contains("Early data was not sent"), "{next}");
    assert_eq!(ask(relay.address(), b"LIST\n"), "NODES 0\n");
}
