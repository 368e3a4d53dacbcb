//! Content that somebody on the way cuts off: without the end of TLS it is incomplete.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;

use crate::support::{Nc, folder, has, node, noise, relay, run, server_id};

/// Bytes that the proxy lets through, of each connection.
const PASSED: u64 = 100_000;

/// Passes connections on, and ends each in good order after some bytes of the server, as
/// anybody on the way can.
fn cutting_proxy(server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(server).expect("it listens");
            thread::spawn(move || cut(&client, &server));
        }
    });
    address
}

fn cut(mut client: &TcpStream, mut server: &TcpStream) -> io::Result<()> {
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    let forth = thread::spawn(move || io::copy(&mut from_client, &mut to_server));
    let mut left = PASSED;
    let mut buffer = [0; 4096];
    while left > 0 {
        let length = server.read(&mut buffer)?.min(left as usize);
        client.write_all(&buffer[..length])?;
        left -= length as u64;
        if length == 0 {
            break;
        }
    }
    client.shutdown(Shutdown::Write)?;
    let _ = forth.join();
    Ok(())
}

#[test]
fn content_that_is_cut_off_is_incomplete() {
    let content = noise(300_000, 11);
    let (relay, share) = (relay(&[]), folder(&[("large", &content)]));
    let mut node = node(&relay, share.path(), &[]);
    let id = server_id(&mut node);
    let proxy = cutting_proxy(node.address());
    let mut command = Command::new(env!("CARGO_BIN_EXE_peer-client"));
    command.args([
        "--from",
        &proxy.to_string(),
        "get",
        "large",
        "--node-id",
        &id,
    ]);
    let fetched = run(command, b"");
    assert_ne!(fetched.code, Some(0), "{}", fetched.stderr);
    assert!(fetched.stdout.len() < content.len());
    if !has("curl") {
        return;
    }
    let curl = |args: &[&str]| {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--insecure", "--max-time", "60"]);
        command.args(args);
        run(command, b"")
    };
    // 18: the end came before that of the content.
    let url = format!("https://{proxy}/");
    for path in ["large", "?tar"] {
        curl(&["--pinnedpubkey", &id, &format!("{url}{path}")]).expect_code(18);
    }
    let direct = format!("https://{}/?tar", node.address());
    let direct = curl(&["--pinnedpubkey", &id, &direct]).expect_code(0);
    assert!(direct.stdout.len() > content.len());
}

#[test]
fn where_the_end_of_the_connection_is_that_of_the_content_tls_tells_whether_it_was_cut_off() {
    if !has("openssl") {
        return;
    }
    let content = noise(300_000, 11);
    let (relay, share) = (relay(&[]), folder(&[("large", &content)]));
    let node = node(&relay, share.path(), &[]);
    let proxy = cutting_proxy(node.address());
    let request = "GET /?tar HTTP/1.0\r\nHost: localhost\r\n\r\n";
    let mut plain = Nc::connect(proxy);
    plain.send(request);
    assert_eq!(plain.rest().len() as u64, PASSED, "nobody has noticed");
    for (address, is_cut) in [(proxy, true), (node.address(), false)] {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-quiet", "-connect", &address.to_string()]);
        let output = run(command, request.as_bytes());
        assert_eq!(output.stdout.len() < content.len(), is_cut);
        let is_noticed = output.stderr.contains("unexpected eof");
        assert_eq!(is_noticed, is_cut, "{}", output.stderr);
    }
}
