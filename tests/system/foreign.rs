//! Browsers, scanners and TLS clients that come to our ports: no line of theirs
//! may become a command.

use crate::support::{Nc, Server, ask, folder, node, relay};

/// What they get, once.
const NO_HTTP: &str = "ERROR 501 HTTP is not supported; type HELP and press Enter\n";
const NO_TLS: &str = "ERROR 501 TLS is not supported; type HELP and press Enter\n";

fn assert_nobody_registered(relay: &Server) {
    assert_eq!(ask(relay.address(), b"LIST\n"), "NODES 0\n");
}

#[test]
fn an_http_request_is_answered_once_and_not_read_on() {
    let relay = relay(&[]);
    for request in ["GET / HTTP/1.0", "HEAD /hello.txt HTTP/1.1"] {
        let mut nc = Nc::connect(relay.address());
        nc.send(format!("{request}\r\nREGISTER 127.0.0.1 9\r\n\r\n"));
        assert_eq!(nc.rest_text(), NO_HTTP, "{request}");
    }
    relay.log_until("other protocol: HTTP");
    assert_nobody_registered(&relay);
}

#[test]
fn a_web_page_cannot_smuggle_a_command() {
    // The body of a form is the attacker's; the lines before it are the browser's.
    let relay = relay(&[]);
    for start in ["POST /", "PUT x", "options *", "Host: relay", "\r\nHOST:a"] {
        let mut nc = Nc::connect(relay.address());
        nc.send(format!("{start}\r\n\r\nREGISTER 127.0.0.1 9\r\n"));
        let reply = nc.rest_text();
        assert!(reply.ends_with(NO_HTTP), "{start:?}: {reply:?}");
        assert!(!reply.contains("OK 60"), "{start:?}: {reply:?}");
    }
    // The path need not be text.
    let mut nc = Nc::connect(relay.address());
    nc.send(b"POST /\xff HTTP/1.0\r\n\r\nREGISTER 127.0.0.1 9\r\n");
    assert_eq!(nc.rest_text(), NO_HTTP);
    // Also after lines that were ours.
    let mut nc = Nc::connect(relay.address());
    assert_eq!(nc.ask("PING"), "PONG");
    nc.send("Host: relay\r\nREGISTER 127.0.0.1 9\r\n");
    assert_eq!(nc.rest_text(), NO_HTTP);
    assert_nobody_registered(&relay);
}

#[test]
fn a_file_may_have_words_of_http_in_its_name() {
    let share = folder(&[("Host: x", b"1"), ("a HTTP/1.0", b"2")]);
    let relay = relay(&[]);
    let node = node(&relay, share.path(), &[]);
    let reply = ask(node.address(), b"GET Host: x\nGET a HTTP/1.0\n");
    assert_eq!(reply, "FOUND 1\n1FOUND 1\n2");
}

#[test]
fn a_tls_client_is_turned_away_at_its_first_byte() {
    // A ClientHello needs no newline: waiting for one would hold the browser
    // for as long as a first line may take.
    let share = folder(&[]);
    let relay = relay(&["--first-line", "600"]);
    let node = node(&relay, share.path(), &["--first-line", "600"]);
    for server in [&relay, &node] {
        for hello in [
            &b"\x16"[..],
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"\x16\x03\x01\nREGISTER 127.0.0.1 9\n",
        ] {
            let mut nc = Nc::connect(server.address());
            nc.send(hello);
            assert_eq!(nc.rest_text(), NO_TLS);
        }
        // Longer than a line may be: what it speaks counts, not how much.
        let mut nc = Nc::connect(server.address());
        nc.send([&b"\x16\x03\x01"[..], &[7; 5000]].concat());
        assert_eq!(nc.rest_text(), NO_TLS);
        drop(nc);
        server.log_until_count("other protocol: TLS", 4);
        // Later it is a character like others.
        let mut nc = Nc::connect(server.address());
        assert_eq!(nc.ask("PING"), "PONG");
        let reply = nc.ask("\x16");
        assert!(reply.starts_with("ERROR 501 unknown command"), "{reply}");
    }
}
