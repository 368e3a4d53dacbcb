//! The limits of requests in HTTP: their length, their headers and their time.

use std::time::Duration;

use crate::support::{HttpResponse, Nc, Server, folder, node, node_with_relay, relay};

const HOST: &str = "Host: localhost\r\n";

/// A relay, and a node that is registered there, both with these flags.
fn servers(flags: &[&str]) -> [Server; 2] {
    let relay = relay(flags);
    let node = node(&relay, folder(&[]).path(), flags);
    [node, relay]
}

/// A request whose head has so many bytes.
fn head_of(length: usize) -> String {
    let (start, end) = (format!("GET /nothing HTTP/1.1\r\n{HOST}X: "), "\r\n\r\n");
    let filler = "x".repeat(length - start.len() - end.len());
    [&start, filler.as_str(), end].concat()
}

/// The status of the response to `request`, and whether the connection stays open.
fn status(server: &Server, request: &str) -> (u16, bool) {
    let mut nc = Nc::connect(server.address());
    nc.send(request);
    let response = HttpResponse::read(&mut nc, false);
    if response.keeps_alive() {
        nc.half_close();
    }
    assert_eq!(nc.rest(), b"");
    (response.status, response.keeps_alive())
}

#[test]
fn max_head_includes_the_empty_line() {
    for server in servers(&["--max-line", "64", "--max-head", "300"]) {
        assert_eq!(status(&server, &head_of(300)), (404, true));
        assert_eq!(status(&server, &head_of(301)), (431, false));
        // Without an end, too.
        assert_eq!(status(&server, &head_of(400)[..300]), (431, false));
        // A request line may be longer than other lines.
        let path = "p".repeat(200);
        let request = format!("GET /{path} HTTP/1.1\r\n{HOST}\r\n");
        assert_eq!(status(&server, &request), (404, true));
        let path = "p".repeat(300);
        let request = format!("GET /{path} HTTP/1.1\r\n{HOST}\r\n");
        assert_eq!(status(&server, &request), (431, false));
        server.log_until_count("line too long", 3);
    }
}

#[test]
fn a_head_of_sixteen_kibibytes_is_read() {
    for server in servers(&[]) {
        assert_eq!(status(&server, &head_of(16_384)), (404, true));
        assert_eq!(status(&server, &head_of(16_385)), (431, false));
    }
}

#[test]
fn a_request_has_at_most_64_headers() {
    let request = |others| {
        let others = "X: x\r\n".repeat(others);
        format!("GET /nothing HTTP/1.1\r\n{HOST}{others}\r\n")
    };
    for server in servers(&[]) {
        assert_eq!(status(&server, &request(63)), (404, true));
        assert_eq!(status(&server, &request(64)), (431, false));
    }
}

#[test]
fn a_line_is_as_short_as_without_http() {
    // What cannot be HTTP is refused as soon as it is too long for a line.
    for server in servers(&["--max-line", "64"]) {
        for start in ["LIST ", "GET x/", "GET http:/x"] {
            let mut nc = Nc::connect(server.address());
            nc.send(format!("{start}{}", "x".repeat(64 - start.len())));
            let reply = nc.rest_text();
            assert!(reply.starts_with("ERROR 431"), "{start}: {reply}");
        }
    }
}

#[test]
fn a_slow_head_gets_408() {
    for server in servers(&["--first-line", "1", "--idle", "2"]) {
        // The first request, and a later one.
        for complete in [0, 1] {
            let mut nc = Nc::connect(server.address());
            let valid = format!("GET /nothing HTTP/1.1\r\n{HOST}\r\n");
            nc.send(valid.repeat(complete));
            for _ in 0..complete {
                assert_eq!(HttpResponse::read(&mut nc, false).status, 404);
            }
            nc.send(format!("GET /nothing HTTP/1.1\r\n{HOST}X: "));
            let response = HttpResponse::read(&mut nc, false);
            assert_eq!((response.status, response.keeps_alive()), (408, false));
            assert_eq!(nc.rest(), b"");
        }
        server.log_until_count("line timeout", 2);
    }
}

#[test]
fn bytes_that_trickle_in_do_not_extend_the_time() {
    for server in servers(&["--first-line", "1"]) {
        let mut nc = Nc::connect(server.address());
        nc.send("GET /nothing HTTP/1.1\r\n");
        // Each header arrives long before the deadline of the next.
        while nc.is_silent_for(Duration::from_millis(100)) {
            nc.send("X: x\r\n");
        }
        assert_eq!(HttpResponse::read(&mut nc, false).status, 408);
    }
}

#[test]
fn an_idle_connection_closes_without_a_response() {
    for server in servers(&["--idle", "1"]) {
        let mut nc = Nc::connect(server.address());
        nc.send(format!("GET /nothing HTTP/1.1\r\n{HOST}\r\n"));
        assert_eq!(HttpResponse::read(&mut nc, false).status, 404);
        assert_eq!(nc.rest(), b"");
        server.log_until("idle timeout");
    }
}

#[test]
fn a_head_that_is_cut_is_not_executed() {
    for server in servers(&[]) {
        for cut in [
            "GET /nothing HTTP/1.1\r\n",
            "GET /nothing HTTP/1.1\r\nHost: localhost",
            "GET /nothing HTTP/1.1\r\nHost: localhost\r\n",
            "GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r",
        ] {
            let mut nc = Nc::connect(server.address());
            nc.send(cut);
            nc.half_close();
            let response = HttpResponse::read(&mut nc, false);
            assert_eq!((response.status, response.keeps_alive()), (400, false));
            assert_eq!(nc.rest(), b"");
        }
        // Without the end of its first line, it is a line.
        let mut nc = Nc::connect(server.address());
        nc.send("GET /nothing HTTP/1.1\r");
        nc.half_close();
        assert!(nc.rest_text().starts_with("ERROR 400 incomplete line"));
    }
}

#[test]
fn a_client_that_does_not_read_is_not_read_either() {
    let share = folder(&[("a.txt", &[7; 60_000])]);
    let (node, _relay) = node_with_relay(share.path(), &["--max-queue", "65536", "--stall", "1"]);
    let mut nc = Nc::connect(node.address());
    nc.stream().set_nonblocking(true).expect("an option");
    let request = format!("GET /a.txt HTTP/1.1\r\n{HOST}\r\n");
    // The server stops to read, and the buffers of the system are limited.
    let mut sent = 0;
    while let Ok(bytes) = std::io::Write::write(&mut nc.stream(), request.as_bytes()) {
        sent += bytes;
        assert!(sent < 64 << 20, "requests are read without end");
    }
    node.log_until("slow reader");
    nc.stream().set_nonblocking(false).expect("an option");
    let response = HttpResponse::read(&mut nc, false);
    assert_eq!((response.status, response.content.len()), (200, 60_000));
    assert!(node.resident() < 64 << 20, "{}", node.resident());
}
