//! `--max-queue`: answers that nobody reads must not fill the memory.

use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt};

use crate::serving::serve;
use crate::support::{Nc, Server, folder};

/// Much more than the limit and the buffers that a loop owns, much less than
/// what is asked for.
const GROWTH_KIB: u64 = 16 * 1024;

/// Resident memory, in KiB.
fn memory(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid()));
    let status = status.expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let size = line.and_then(|line| line.split_whitespace().next());
    size.and_then(|size| size.parse().ok()).expect("a size")
}

#[test]
fn requests_whose_answers_nobody_reads_wait_unread() {
    let content = [b'x'; 60 * 1024];
    let share = folder(&[("file", &content)]);
    let (node, _relay) = serve(share.path(), &[]);
    let before = memory(&node);
    // Until the node takes no more: it stops reading, and both buffers fill up.
    let nc = Nc::connect(node.address());
    let patience = Some(Duration::from_millis(300));
    nc.stream().set_write_timeout(patience).expect("an option");
    let requests = b"GET file\n".repeat(10_000);
    let error = loop {
        if let Err(error) = nc.stream().write_all(&requests) {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
    let grown = memory(&node).saturating_sub(before);
    assert!(grown < GROWTH_KIB, "{grown} KiB more");
    let mut other = Nc::connect(node.address());
    assert_eq!(other.ask("PING"), "PONG");
}

/// A connection with a small window: the other side is always faster.
fn narrow(address: SocketAddr) -> Nc {
    let kind = (AddressFamily::INET, SocketType::STREAM);
    let socket = socket_with(kind.0, kind.1, SocketFlags::CLOEXEC, None).expect("a socket");
    sockopt::set_socket_recv_buffer_size(&socket, 16 * 1024).expect("an option");
    connect(&socket, &address).expect("it listens");
    Nc::over(socket.into())
}

#[test]
fn what_was_sent_is_freed_though_more_always_waits() {
    const REQUESTS: usize = 3000;
    let content = [b'x'; 60 * 1024];
    let share = folder(&[("file", &content)]);
    // More than the kernel takes at once, so that something always waits.
    let queue = 8 << 20;
    let (node, _relay) = serve(share.path(), &["--max-queue", &queue.to_string()]);
    let before = memory(&node);
    let mut nc = narrow(node.address());
    let mut writer = nc.stream().try_clone().expect("a second handle");
    let writer = thread::spawn(move || writer.write_all(&b"GET file\n".repeat(REQUESTS)));
    let mut most = 0;
    for _ in 0..REQUESTS {
        assert_eq!(nc.line(), "FOUND 61440");
        nc.bytes(content.len());
        most = most.max(memory(&node).saturating_sub(before));
    }
    writer.join().expect("a writer").expect("the node reads");
    // A queue, the batch that fills it, and what growing buffers leave behind.
    let bound = 6 * queue / 1024;
    assert!(most < bound, "{most} KiB more");
}
