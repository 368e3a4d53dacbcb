//! GET of small files: the cost of one request.

use std::fs;
use std::io;
use std::path::Path;

use super::server_under_load::{ServerUnderLoad, fill, run_tcp, run_tcp_reconnecting};
use super::{REQUESTS, ScratchFolders};
use crate::process::Server;
use crate::report::Comparison;
use crate::request_spec::{ReplyFormat, RequestSpec, Template};
use crate::{other_servers, own_programs};

/// Number of files.
const FILES: u32 = 1000;
/// Size of each file in bytes.
const SIZE: usize = 1024;

pub(super) fn run(scratch: &ScratchFolders) -> io::Result<Vec<Comparison>> {
    let folder = scratch.disk().join("small");
    let body = make_files(&folder)?;
    let relay = own_programs::relay(&[])?;
    let node = own_programs::unlisted_node(&relay, &folder)?;
    let mut all = vec![ServerUnderLoad::new("peer-node", node, ours(&body))];
    if let Some(server) = other_servers::nginx(scratch.disk(), &folder)? {
        all.push(ServerUnderLoad::new("nginx", server, over_http(&body)));
    }
    if let Some(server) = other_servers::redis()? {
        let spec = in_redis(&server, &body)?;
        all.push(ServerUnderLoad::new("redis", server, spec));
    }
    if let Some(server) = other_servers::memcached()? {
        let spec = in_memcached(&server, &body)?;
        all.push(ServerUnderLoad::new("memcached", server, spec));
    }
    let reply = scratch.disk().join("small-reply");
    fs::write(&reply, found(&body))?;
    let limit = own_programs::limit("template-reply", &[&reply.to_string_lossy()])?;
    all.push(ServerUnderLoad::new("limit", limit, ours(&body)));

    let many = "files of 1 KiB, 64 connections with 1 request in flight";
    let pipelined = "files of 1 KiB, 64 connections with 16 requests in flight";
    let one = "files of 1 KiB, one connection, one request after the other";
    let anew = "files of 1 KiB, a new connection for each request, 64 at once";
    Ok(vec![
        Comparison::new("get-64x1", many, REQUESTS, run_tcp(&all, 64, 1)?)
            .at_least(0.95, "redis")
            .at_least(1.3, "nginx"),
        Comparison::new("get-64x16", pipelined, REQUESTS, run_tcp(&all, 64, 16)?)
            .at_least(1.2, "redis"),
        Comparison::new("get-1x1", one, REQUESTS, run_tcp(&all, 1, 1)?)
            .at_least(1.0, "nginx")
            .at_least(0.9, "limit"),
        Comparison::new("get-anew", anew, REQUESTS, run_tcp_reconnecting(&all, 64)?)
            .at_least(1.0, "nginx"),
    ])
}

/// Creates the files. Returns the template of their content.
pub(super) fn make_files(folder: &Path) -> io::Result<Vec<u8>> {
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

pub(super) fn ours(body: &[u8]) -> RequestSpec {
    RequestSpec::exact("GET f#0#1#2.bin\n", found(body), FILES)
}

pub(super) fn over_http(body: &[u8]) -> RequestSpec {
    RequestSpec {
        format: ReplyFormat::Http,
        ..RequestSpec::exact(
            "GET /f#0#1#2.bin HTTP/1.1\r\nHost: localhost\r\n\r\n",
            body,
            FILES,
        )
    }
}

/// Stores the contents in Redis. Returns the spec to get them.
fn in_redis(server: &Server, body: &[u8]) -> io::Result<RequestSpec> {
    let head = b"*3\r\n$3\r\nSET\r\n$7\r\nf#0#1#2\r\n$1024\r\n";
    let set = [head, body, b"\r\n"].concat();
    fill(server, RequestSpec::exact(set, "+OK\r\n", FILES))?;
    let get = "*2\r\n$3\r\nGET\r\n$7\r\nf#0#1#2\r\n";
    let reply = [b"$1024\r\n", body, b"\r\n"].concat();
    Ok(RequestSpec::exact(get, reply, FILES))
}

/// The same with memcached.
fn in_memcached(server: &Server, body: &[u8]) -> io::Result<RequestSpec> {
    let set = [b"set f#0#1#2 0 0 1024\r\n", body, b"\r\n"].concat();
    fill(server, RequestSpec::exact(set, "STORED\r\n", FILES))?;
    let reply = [b"VALUE f#0#1#2 0 1024\r\n", body, b"\r\nEND\r\n"].concat();
    Ok(RequestSpec::exact("get f#0#1#2\r\n", reply, FILES))
}
