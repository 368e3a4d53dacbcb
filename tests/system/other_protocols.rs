//! Browsers, scanners and TLS clients: none of their lines is executed.

use crate::support::{Nc, Server, ask, folder, node, relay};

/// The reply to HTTP and to TLS.
const NO_HTTP: &str = "ERROR 501 HTTP is not supported; type HELP and press Enter\n";
const NO_TLS: &str = "ERROR 501 TLS is not supported; type HELP and press Enter\n";

fn assert_nobody_registered(relay: &Server) {
    assert_eq!(ask(relay.address(), b"LIST\n"), "NODES 0\n");
}

#[test]
fn without_http_a_request_gets_one_error_and_is_closed() {
    let relay = relay(&["--no-http"]);
    for request in ["GET / HTTP/1.0", "HEAD /hello.txt HTTP/1.1"] {
        let mut nc = Nc::connect(relay.address());
        nc.send(format!("{request}\r\nREGISTER 127.0.0.1 9\r\n\r\n"));
        assert_eq!(nc.rest_text(), NO_HTTP, "{request}");
    }
    relay.log_until("other protocol: HTTP");
    assert_nobody_registered(&relay);
}

#[test]
fn a_browser_cannot_send_commands() {
    // The attacker controls the body of a form; the lines before it are the browser's.
    let relay = relay(&["--no-http"]);
    for start in ["POST /", "PUT x", "options *", "Host: relay", "\r\nHOST:a"] {
        let mut nc = Nc::connect(relay.address());
        nc.send(format!("{start}\r\n\r\nREGISTER 127.0.0.1 9\r\n"));
        let reply = nc.rest_text();
        assert!(reply.ends_with(NO_HTTP), "{start:?}: {reply:?}");
        assert!(!reply.contains("OK 60"), "{start:?}: {reply:?}");
    }
    // The path need not be UTF-8.
    let mut nc = Nc::connect(relay.address());
    nc.send(b"POST /\xff HTTP/1.0\r\n\r\nREGISTER 127.0.0.1 9\r\n");
    assert_eq!(nc.rest_text(), NO_HTTP);
    // Also after valid requests.
    let mut nc = Nc::connect(relay.address());
    assert_eq!(nc.ask("PING"), "PONG");
    nc.send("Host: relay\r\nREGISTER 127.0.0.1 9\r\n");
    assert_eq!(nc.rest_text(), NO_HTTP);
    assert_nobody_registered(&relay);
}

#[test]
fn file_names_may_contain_http_words() {
    let share = folder(&[("Host: x", b"1"), ("a HTTP/1.0", b"2")]);
    let relay = relay(&[]);
    let node = node(&relay, share.path(), &[]);
    let reply = ask(node.address(), b"GET Host: x\nGET a HTTP/1.0\n");
    assert_eq!(reply, "FOUND 1\n1FOUND 1\n2");
}

#[test]
fn without_tls_a_handshake_is_refused_at_the_first_byte() {
    // A ClientHello has no newline: without the check of the first byte the browser
    // would wait for the line timeout.
    let share = folder(&[]);
    let flags = ["--first-line", "600", "--tls", "off"];
    let relay = relay(&flags);
    let node = node(&relay, share.path(), &flags);
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
        // TLS is recognised before the line is too long.
        let mut nc = Nc::connect(server.address());
        nc.send([&b"\x16\x03\x01"[..], &[7; 5000]].concat());
        assert_eq!(nc.rest_text(), NO_TLS);
        drop(nc);
        server.log_until_count("other protocol: TLS", 4);
        // In a later line the byte has no meaning.
        let mut nc = Nc::connect(server.address());
        assert_eq!(nc.ask("PING"), "PONG");
        let reply = nc.ask("\x16");
        assert!(reply.starts_with("ERROR 501 unknown command"), "{reply}");
    }
}
