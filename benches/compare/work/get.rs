//! Small files: what one request costs.

use std::fs;
use std::io;
use std::path::Path;

use super::served::{Served, fill, loaded, loaded_anew};
use super::{Bench, REQUESTS};
use crate::exchange::{Exchange, Form, Template};
use crate::process::Server;
use crate::report::Outcome;
use crate::{ours, peers};

/// Different files that are asked for.
const FILES: u32 = 1000;
/// Bytes of each.
const SIZE: usize = 1024;

pub(super) fn run(bench: &Bench) -> io::Result<Vec<Outcome>> {
    let folder = bench.disk().join("small");
    let body = make_files(&folder)?;
    let relay = ours::relay(&[])?;
    let node = ours::unlisted_node(&relay, &folder)?;
    let mut all = vec![Served::new("peer-node", node, ours(&body))];
    if let Some(server) = peers::nginx(bench.disk(), &folder)? {
        all.push(Served::new("nginx", server, over_http(&body)));
    }
    if let Some(server) = peers::redis()? {
        let exchange = in_redis(&server, &body)?;
        all.push(Served::new("redis", server, exchange));
    }
    if let Some(server) = peers::memcached()? {
        let exchange = in_memcached(&server, &body)?;
        all.push(Served::new("memcached", server, exchange));
    }
    let reply = bench.disk().join("small-reply");
    fs::write(&reply, found(&body))?;
    let limit = ours::limit("memory", &[&reply.to_string_lossy()])?;
    all.push(Served::new("limit", limit, ours(&body)));

    let many = "files of 1 KiB, 64 connections with 1 request in flight";
    let pipelined = "files of 1 KiB, 64 connections with 16 requests in flight";
    let one = "files of 1 KiB, one connection, one request after the other";
    let anew = "files of 1 KiB, a new connection for each request, 64 at once";
    Ok(vec![
        Outcome::new("get-64x1", many, REQUESTS, loaded(&all, 64, 1)?)
            .at_least(0.95, "redis")
            .at_least(1.3, "nginx"),
        Outcome::new("get-64x16", pipelined, REQUESTS, loaded(&all, 64, 16)?)
            .at_least(1.2, "redis"),
        Outcome::new("get-1x1", one, REQUESTS, loaded(&all, 1, 1)?)
            .at_least(1.0, "nginx")
            .at_least(0.9, "limit"),
        Outcome::new("get-anew", anew, REQUESTS, loaded_anew(&all, 64)?).at_least(1.0, "nginx"),
    ])
}

/// Makes the files; returns what they hold, with a place for their number.
fn make_files(folder: &Path) -> io::Result<Vec<u8>> {
    fs::create_dir_all(folder)?;
    let mut body = b"number #0#1#2\n".to_vec();
    body.resize(SIZE, b'x');
    let content = Template::new(body.clone());
    for number in 0..FILES {
        let name = format!("f{number:06}.bin");
        fs::write(folder.join(name), content.text(number))?;
    }
    Ok(body)
}

fn found(body: &[u8]) -> Vec<u8> {
    [b"FOUND 1024\n", body].concat()
}

fn ours(body: &[u8]) -> Exchange {
    Exchange::exact("GET f#0#1#2.bin\n", found(body), FILES)
}

fn over_http(body: &[u8]) -> Exchange {
    Exchange {
        form: Form::Http,
        ..Exchange::exact(
            "GET /f#0#1#2.bin HTTP/1.1\r\nHost: bench\r\n\r\n",
            body,
            FILES,
        )
    }
}

/// Puts the contents into Redis; returns how to get them.
fn in_redis(server: &Server, body: &[u8]) -> io::Result<Exchange> {
    let head = b"*3\r\n$3\r\nSET\r\n$7\r\nf#0#1#2\r\n$1024\r\n";
    let set = [head, body, b"\r\n"].concat();
    fill(server, Exchange::exact(set, "+OK\r\n", FILES))?;
    let get = "*2\r\n$3\r\nGET\r\n$7\r\nf#0#1#2\r\n";
    let reply = [b"$1024\r\n", body, b"\r\n"].concat();
    Ok(Exchange::exact(get, reply, FILES))
}

/// The same with memcached.
fn in_memcached(server: &Server, body: &[u8]) -> io::Result<Exchange> {
    let set = [b"set f#0#1#2 0 0 1024\r\n", body, b"\r\n"].concat();
    fill(server, Exchange::exact(set, "STORED\r\n", FILES))?;
    let reply = [b"VALUE f#0#1#2 0 1024\r\n", body, b"\r\nEND\r\n"].concat();
    Ok(Exchange::exact("get f#0#1#2\r\n", reply, FILES))
}
