//! LIST: short lists for many clients, and one that is larger than the socket buffers.

use std::fmt::Write as _;
use std::fs;
use std::io;

use super::server_under_load::{ServerUnderLoad, fill, run_tcp};
use super::{REQUESTS, ScratchFolders};
use crate::report::Comparison;
use crate::request_spec::{EPOCH, RequestSpec};
use crate::{other_servers, own_programs};

/// The address of a node.
const NODE: &str = "10.1#0.1#1.1#2 4000";

pub(super) fn run(scratch: &ScratchFolders) -> io::Result<Vec<Comparison>> {
    let mut comparisons = short(scratch)?;
    comparisons.push(long(scratch)?);
    Ok(comparisons)
}

/// A list of a hundred nodes.
fn short(scratch: &ScratchFolders) -> io::Result<Vec<Comparison>> {
    let mut all = vec![ours(100)?];
    if let Some(server) = other_servers::redis()? {
        let length = NODE.len();
        let add =
            format!("*4\r\n$4\r\nZADD\r\n$5\r\nnodes\r\n$6\r\n#0#1#2\r\n${length}\r\n{NODE}\r\n");
        fill(&server, RequestSpec::exact(add, ":1\r\n", 100))?;
        let mut reply = String::from("*100\r\n");
        for node in 0..100 {
            let _ = write!(reply, "${length}\r\n{}\r\n", address(node));
        }
        let range = "*4\r\n$6\r\nZRANGE\r\n$5\r\nnodes\r\n$1\r\n0\r\n$2\r\n-1\r\n";
        let spec = RequestSpec::exact(range, reply, 1);
        all.push(ServerUnderLoad::new("redis", server, spec));
    }
    all.push(limit(scratch, "template-reply", 100)?);
    let many = "LIST of 100 nodes (redis: ZRANGE), 64 connections with 1 in flight";
    let pipelined = "LIST of 100 nodes (redis: ZRANGE), 16 connections with 16 in flight";
    Ok(vec![
        Comparison::new("list-64x1", many, REQUESTS, run_tcp(&all, 64, 1)?).at_least(1.4, "redis"),
        Comparison::new("list-16x16", pipelined, REQUESTS, run_tcp(&all, 16, 16)?)
            .at_least(4.0, "redis"),
    ])
}

/// A list of a hundred thousand nodes. The bytes must not be copied for each client.
fn long(scratch: &ScratchFolders) -> io::Result<Comparison> {
    let all = [ours(100_000)?, limit(scratch, "shared-reply", 100_000)?];
    let title = "LIST of 100,000 nodes, 4 connections with 1 in flight";
    let series = run_tcp(&all, 4, 1)?;
    Ok(Comparison::new("list-long", title, REQUESTS, series).at_least(0.8, "limit"))
}

fn ours(nodes: u32) -> io::Result<ServerUnderLoad> {
    let relay = own_programs::relay(&["--lease", "86400"])?;
    let reply = format!("OK 86400 {NODE} 0 {EPOCH}\n");
    fill(
        &relay,
        RequestSpec::exact(format!("REGISTER {NODE}\n"), reply, nodes),
    )?;
    Ok(ServerUnderLoad::new("relay", relay, list(nodes)))
}

fn limit(scratch: &ScratchFolders, kind: &str, nodes: u32) -> io::Result<ServerUnderLoad> {
    let file = scratch.disk().join(format!("list-of-{nodes}"));
    let list = list(nodes);
    fs::write(&file, list.reply.text(0))?;
    let limit = own_programs::limit(kind, &[&file.to_string_lossy()])?;
    Ok(ServerUnderLoad::new("limit", limit, list))
}

fn list(nodes: u32) -> RequestSpec {
    let mut reply = format!("NODES {nodes}\n");
    for node in 0..nodes {
        let _ = writeln!(reply, "{}", address(node));
    }
    RequestSpec::exact("LIST\n", reply, 1)
}

/// The text of [`NODE`] for a number.
fn address(number: u32) -> String {
    let (high, middle, low) = (number / 10_000, number / 100 % 100, number % 100);
    format!("10.1{high:02}.1{middle:02}.1{low:02} 4000")
}
