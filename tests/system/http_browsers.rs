//! What a browser may do that somebody else's page controls: read nothing, change nothing.

use std::fs;

use crate::support::{
    HttpResponse, Nc, Server, ask, folder, http, node, node_with_relay, relay, without_epochs,
};

/// The reply to HTTP when it is turned off.
const NO_HTTP: &str = "ERROR 501 HTTP is not supported; type HELP and press Enter\n";

/// Sends a request with this `Host`.
fn get_from(server: &Server, host: &str) -> HttpResponse {
    let mut nc = Nc::connect(server.address());
    nc.send(format!("GET /nothing HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    HttpResponse::read(&mut nc, false)
}

#[test]
fn no_http_refuses_every_form_of_it() {
    let relay = relay(&["--no-http"]);
    let node = node(&relay, folder(&[("a.txt", b"a")]).path(), &["--no-http"]);
    for server in [&relay, &node] {
        for request in [
            "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "GET /a.txt HTTP/1.0\r\n\r\n",
            "HEAD http://localhost/a.txt HTTP/1.1\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "POST / HTTP/1.1\r\n\r\nREGISTER 127.0.0.1 9\n",
        ] {
            let mut nc = Nc::connect(server.address());
            nc.send(request);
            assert_eq!(nc.rest_text(), NO_HTTP, "{request:?}");
        }
        server.log_until_count("other protocol: HTTP", 6);
        assert_eq!(ask(server.address(), b"PING\n"), "PONG\n");
    }
}

#[test]
fn only_hosts_of_the_server_are_answered() {
    let machine = fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
    let machine = machine.trim().split('.').next().expect("a part");
    let flags = ["--http-host", "files.example", "--http-host", "b.example"];
    let relay = relay(&flags);
    let node = node(&relay, folder(&[]).path(), &flags);
    for server in [&relay, &node] {
        for host in [
            "127.0.0.1",
            "192.168.1.7:4000",
            "[::1]:4000",
            "LOCALHOST:80",
            machine,
            &format!("{machine}.local:80"),
            "files.example:4000",
            "B.Example.",
        ] {
            assert_eq!(get_from(server, host).status, 404, "{host}");
        }
        for host in [
            "evil.example",
            "a.files.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "files.example@evil.example",
            "a b",
            "<script>",
        ] {
            let response = get_from(server, host);
            assert_eq!(response.status, 421, "{host}");
            assert!(response.text().contains("--http-host NAME"), "{host}");
            assert!(response.keeps_alive(), "the next request may be right");
        }
    }
}

#[test]
fn other_origins_read_nothing_unless_told_so() {
    let share = folder(&[("a.txt", b"a")]);
    let origin = "Origin: https://other.example\r\n";
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let closed = http(node.address(), "GET", "/a.txt", origin);
    assert_eq!(closed.header("access-control-allow-origin"), None);
    let policy = "cross-origin-resource-policy";
    assert_eq!(closed.header(policy), Some("same-origin"));
    for allowed in ["https://other.example", "*"] {
        let relay = relay(&["--cors", allowed]);
        let node = super::support::node(&relay, share.path(), &["--cors", allowed]);
        for (server, path) in [(&node, "/a.txt"), (&node, "/nothing"), (&relay, "/nothing")] {
            let open = http(server.address(), "GET", path, origin);
            assert_eq!(open.header("access-control-allow-origin"), Some(allowed));
            assert_eq!(open.header(policy), Some("cross-origin"));
        }
        // A page of another host, by DNS rebinding, is not of that origin.
        let rebound = get_from(&node, "evil.example");
        assert_eq!(rebound.header("access-control-allow-origin"), None);
    }
}

#[test]
fn nothing_in_a_request_is_executed_as_a_line() {
    let relay = relay(&[]);
    let line = "REGISTER 127.0.0.1 9";
    for request in [
        // A form of a page: the attacker chooses the path and the content.
        format!("POST /{line} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 22\r\n\r\n{line}\r\n"),
        format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n{line}\r\n"
        ),
        format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: x\r\n{line}\r\n\r\n{line}\r\n"),
        format!("GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n{line}\r\nLIST\r\n"),
        format!(
            "GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "REGISTER%20127.0.0.1%209"
        ),
        format!("GET /nothing%0a{line} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        format!("BAD\u{1} / HTTP/1.1\r\n\r\n{line}\r\n"),
        format!("GET / HTTP/9.9\r\n\r\n{line}\r\n"),
        format!("\r\nPOST / HTTP/1.1\r\nHost: localhost\r\n\r\n{line}\r\n"),
    ] {
        let mut nc = Nc::connect(relay.address());
        nc.send(&request);
        nc.half_close();
        let replies = String::from_utf8_lossy(&nc.rest()).into_owned();
        assert!(!without_epochs(&replies).contains("\nOK 60"), "{request}");
        assert_eq!(ask(relay.address(), b"LIST\n"), "NODES 0\n", "{request}");
    }
}

#[test]
fn the_language_of_a_connection_never_changes() {
    let share = folder(&[("a.txt", b"a")]);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let http = "GET /a.txt HTTP/1.1\r\nHost: localhost\r\n\r\n";
    // A line after HTTP is no request, and ends the connection.
    let mut nc = Nc::connect(node.address());
    nc.send(http);
    assert_eq!(HttpResponse::read(&mut nc, false).text(), "a");
    nc.send("GET a.txt\nPING\n\n");
    let response = HttpResponse::read(&mut nc, false);
    assert_eq!((response.status, response.keeps_alive()), (400, false));
    assert_eq!(nc.rest(), b"");
    // HTTP after a line is no line, and ends the connection.
    for line in ["PING", "", "GET a.txt"] {
        let mut nc = Nc::connect(node.address());
        nc.send(format!("{line}\r\n{http}"));
        let replies = nc.rest_text();
        assert!(!replies.contains("HTTP/1.1 "), "{replies}");
        assert!(replies.contains("ERROR 400 usage: GET"), "{replies}");
        assert!(replies.ends_with(NO_HTTP), "{replies}");
    }
}

#[test]
fn a_file_in_mid_transfer_is_cut_and_never_padded() {
    let share = folder(&[]);
    let path = share.path().join("large.bin");
    let size = 64 << 20;
    let file = fs::File::create(&path).expect("a file");
    file.set_len(size).expect("a size");
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let mut nc = Nc::connect(node.address());
    let request = "GET /large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n";
    nc.send(request.repeat(2));
    // Some of the content is on its way.
    assert_eq!(nc.line(), "HTTP/1.1 200 OK\r");
    file.set_len(1000).expect("a size");
    let mut rest = Vec::new();
    // The end may be a reset: the second request is not read.
    let _ = std::io::Read::read_to_end(&mut nc.stream(), &mut rest);
    assert!((rest.len() as u64) < size, "{} bytes", rest.len());
}
