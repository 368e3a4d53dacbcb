//! Lines, HTTP and nonsense on one port at the same time: each client gets its own answers.

use std::io::Write;
use std::net::SocketAddr;
use std::thread;

use fastrand::Rng;

use crate::support::{HttpResponse, Nc, ask, eventually, folder, node_with_relay, noise};

const LARGE: usize = 400_000;
/// Clients of each kind at each server, and what each does.
const CLIENTS: u64 = 4;
const REQUESTS: usize = 60;

/// A client that speaks lines, some of them in one write.
fn speak_lines(node: SocketAddr, large: &[u8]) {
    let mut nc = Nc::connect(node);
    for _ in 0..REQUESTS {
        nc.send("GET small.txt\nPING\nRANGE 5 70000 - large.bin\n");
        assert_eq!(nc.line(), "FOUND 5");
        assert_eq!(nc.bytes(5), b"small");
        assert_eq!(nc.line(), "PONG");
        assert_eq!(nc.line(), "FOUND 70000");
        assert!(nc.bytes(70_000) == large[5..70_005]);
    }
}

/// A client that keeps a connection in HTTP, and pipelines.
fn speak_http(node: SocketAddr, large: &[u8]) {
    let mut nc = Nc::connect(node);
    let get = |path, header| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n");
    let requests = [
        get("/small.txt", ""),
        get("/nothing", ""),
        get("/large.bin", "Range: bytes=5-70004\r\n"),
        get("/small.txt", "If-None-Match: *\r\n"),
    ];
    for _ in 0..REQUESTS {
        nc.send(requests.concat());
        let responses = requests
            .each_ref()
            .map(|_| HttpResponse::read(&mut nc, false));
        let statuses = responses.each_ref().map(|response| response.status);
        assert_eq!(statuses, [200, 404, 206, 304]);
        assert_eq!(responses[0].text(), "small");
        assert!(responses[2].content == large[5..70_005]);
    }
}

/// A client of the relay that speaks one language or the other.
fn ask_relay(relay: SocketAddr, node: &str) {
    let mut lines = Nc::connect(relay);
    let mut http = Nc::connect(relay);
    for _ in 0..REQUESTS {
        lines.send("LIST\nSEARCH small\n");
        http.send("GET /api/files?q=small HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(lines.line(), "NODES 1");
        assert_eq!(lines.line(), node);
        assert_eq!(lines.line(), "FILES 1 1");
        assert!(lines.line().ends_with(" 1 small.txt"));
        let files = HttpResponse::read(&mut http, false);
        assert!(files.text().contains("\"name\":\"small.txt\""), "{files:?}");
    }
}

/// A client that sends what no server should get, and closes at any time.
fn speak_nonsense(server: SocketAddr, seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let pieces: [&[u8]; 9] = [
        b"GET / HTTP/1.1\r\n",
        b"Host: localhost\r\n",
        b"\r\n",
        b"GET small.txt\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99999\r\n\r\n",
        b"\x16\x03\x01\x02",
        b"Transfer-Encoding: chunked\r\n",
        b"GET /large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\0\xff\xfe REGISTER * 1\n",
    ];
    for _ in 0..REQUESTS {
        let nc = Nc::connect(server);
        for _ in 0..rng.usize(1..6) {
            // The server may have closed the connection.
            let _ = nc.stream().write_all(pieces[rng.usize(..pieces.len())]);
        }
    }
}

#[test]
fn lines_http_and_nonsense_on_one_port() {
    let large = noise(LARGE, 3);
    let share = folder(&[("small.txt", b"small"), ("large.bin", &large)]);
    let (node, relay) = node_with_relay(share.path(), &[]);
    eventually("the files are announced", || {
        ask(relay.address(), b"SEARCH\n").starts_with("FILES 2 2\n")
    });
    let (node_at, relay_at, listed) = (node.address(), relay.address(), node.wire_address());
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            scope.spawn(|| speak_lines(node_at, &large));
            scope.spawn(|| speak_http(node_at, &large));
            scope.spawn(|| ask_relay(relay_at, &listed));
            scope.spawn(move || speak_nonsense(node_at, client));
            scope.spawn(move || speak_nonsense(relay_at, CLIENTS + client));
        }
    });
    for server in [&node, &relay] {
        // The one that asks is counted, and one of the node may be open at the relay.
        eventually("all connections are closed", || {
            server.stat("connections") <= 2
        });
    }
    let list = format!("NODES 1\n{listed}\n");
    assert_eq!(
        ask(relay.address(), b"LIST\n"),
        list,
        "nobody else has registered"
    );
}
