//! `--max-queue`: replies that the client does not read must not fill the memory.

use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt};

use crate::support::{Nc, Server, ask, folder, node_with_relay, relay};

/// Much more than the queue limit and the buffers of a loop, much less than the
/// requested replies.
const GROWTH_KIB: u64 = 16 * 1024;

/// Resident memory, in KiB.
fn resident_kib(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid()));
    let status = status.expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let size = line.and_then(|line| line.split_whitespace().next());
    size.and_then(|size| size.parse().ok()).expect("a size")
}

/// Sends requests without reading, until the server stops reading and all buffers are
/// full.
fn ask_without_reading(server: &Server, request: &[u8]) {
    let before = resident_kib(server);
    let nc = Nc::connect(server.address());
    let patience = Some(Duration::from_millis(300));
    nc.stream().set_write_timeout(patience).expect("an option");
    let requests = request.repeat(10_000);
    let error = loop {
        if let Err(error) = nc.stream().write_all(&requests) {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
    let grown = resident_kib(server).saturating_sub(before);
    assert!(grown < GROWTH_KIB, "{grown} KiB more");
    assert_eq!(ask(server.address(), b"PING\n"), "PONG\n");
}

#[test]
fn unread_files_do_not_fill_memory() {
    let small = [b'x'; 60 * 1024];
    let large = [b'x'; 100 * 1024];
    let share = folder(&[("small", &small), ("large", &large)]);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    ask_without_reading(&node, b"GET small\nGET large\n");
    ask_without_reading(&node, b"GET none\n");
    ask_without_reading(&node, b"LIST\nSTATS\n");
}

#[test]
fn unread_lists_do_not_fill_memory() {
    let relay = relay(&[]);
    let register: String = (1..=5000)
        .map(|port| format!("REGISTER 192.0.2.1 {port}\n"))
        .collect();
    ask(relay.address(), register.as_bytes());
    ask_without_reading(&relay, b"LIST\n");
    ask_without_reading(&relay, b"HELP\n\n");
}

/// A connection with a small receive buffer, so that the server is always faster.
fn connect_with_small_window(address: SocketAddr) -> Nc {
    let kind = (AddressFamily::INET, SocketType::STREAM);
    let socket = socket_with(kind.0, kind.1, SocketFlags::CLOEXEC, None).expect("a socket");
    sockopt::set_socket_recv_buffer_size(&socket, 16 * 1024).expect("an option");
    connect(&socket, &address).expect("it listens");
    Nc::from_stream(socket.into())
}

#[test]
fn sent_bytes_are_freed_while_the_queue_is_never_empty() {
    const REQUESTS: usize = 3000;
    let content = [b'x'; 60 * 1024];
    let share = folder(&[("file", &content)]);
    // More than the socket buffers hold, so that the queue is never empty.
    let queue = 8 << 20;
    let (node, _relay) = node_with_relay(share.path(), &["--max-queue", &queue.to_string()]);
    let before = resident_kib(&node);
    let mut nc = connect_with_small_window(node.address());
    let mut writer = nc.stream().try_clone().expect("a second handle");
    let writer = thread::spawn(move || writer.write_all(&b"GET file\n".repeat(REQUESTS)));
    let mut most = 0;
    for _ in 0..REQUESTS {
        assert_eq!(nc.line(), "FOUND 61440");
        nc.bytes(content.len());
        most = most.max(resident_kib(&node).saturating_sub(before));
    }
    writer.join().expect("a writer").expect("the node reads");
    // The queue, the batch that fills it, and what growing buffers leave behind.
    let bound = 6 * queue / 1024;
    assert!(most < bound, "{most} KiB more");
}
