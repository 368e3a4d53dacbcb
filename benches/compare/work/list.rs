//! Lists of nodes: short ones from many clients, and one that is larger than any
//! socket's buffer.

use std::fmt::Write as _;
use std::fs;
use std::io;

use super::served::{Served, fill, loaded};
use super::{Bench, REQUESTS};
use crate::exchange::Exchange;
use crate::report::Outcome;
use crate::{ours, peers};

/// A node's address.
const NODE: &str = "10.1#0.1#1.1#2 4000";

pub(super) fn run(bench: &Bench) -> io::Result<Vec<Outcome>> {
    let mut outcomes = short(bench)?;
    outcomes.push(long(bench)?);
    Ok(outcomes)
}

/// A hundred nodes.
fn short(bench: &Bench) -> io::Result<Vec<Outcome>> {
    let mut all = vec![ours(100)?];
    if let Some(server) = peers::redis()? {
        let length = NODE.len();
        let add =
            format!("*4\r\n$4\r\nZADD\r\n$5\r\nnodes\r\n$6\r\n#0#1#2\r\n${length}\r\n{NODE}\r\n");
        fill(&server, Exchange::exact(add, ":1\r\n", 100))?;
        let mut reply = String::from("*100\r\n");
        for node in 0..100 {
            let _ = write!(reply, "${length}\r\n{}\r\n", address(node));
        }
        let range = "*4\r\n$6\r\nZRANGE\r\n$5\r\nnodes\r\n$1\r\n0\r\n$2\r\n-1\r\n";
        let exchange = Exchange::exact(range, reply, 1);
        all.push(Served::new("redis", server, exchange));
    }
    all.push(limit(bench, "memory", 100)?);
    let many = "LIST of 100 nodes (redis: ZRANGE), 64 connections with 1 in flight";
    let pipelined = "LIST of 100 nodes (redis: ZRANGE), 16 connections with 16 in flight";
    Ok(vec![
        Outcome::new("list-64x1", many, REQUESTS, loaded(&all, 64, 1)?).at_least(1.4, "redis"),
        Outcome::new("list-16x16", pipelined, REQUESTS, loaded(&all, 16, 16)?)
            .at_least(4.0, "redis"),
    ])
}

/// A hundred thousand nodes: the bytes must not be copied for each client.
fn long(bench: &Bench) -> io::Result<Outcome> {
    let all = [ours(100_000)?, limit(bench, "same", 100_000)?];
    let title = "LIST of 100,000 nodes, 4 connections with 1 in flight";
    let series = loaded(&all, 4, 1)?;
    Ok(Outcome::new("list-long", title, REQUESTS, series).at_least(0.8, "limit"))
}

fn ours(nodes: u32) -> io::Result<Served> {
    let relay = ours::relay(&["--lease", "86400"])?;
    let reply = format!("OK 86400 {NODE} 0\n");
    fill(
        &relay,
        Exchange::exact(format!("REGISTER {NODE}\n"), reply, nodes),
    )?;
    Ok(Served::new("relay", relay, list(nodes)))
}

fn limit(bench: &Bench, kind: &str, nodes: u32) -> io::Result<Served> {
    let file = bench.disk().join(format!("list-of-{nodes}"));
    let list = list(nodes);
    fs::write(&file, list.reply.text(0))?;
    let limit = ours::limit(kind, &[&file.to_string_lossy()])?;
    Ok(Served::new("limit", limit, list))
}

fn list(nodes: u32) -> Exchange {
    let mut reply = format!("NODES {nodes}\n");
    for node in 0..nodes {
        let _ = writeln!(reply, "{}", address(node));
    }
    Exchange::exact("LIST\n", reply, 1)
}

/// As [`NODE`] is printed for a number.
fn address(number: u32) -> String {
    let (high, middle, low) = (number / 10_000, number / 100 % 100, number % 100);
    format!("10.1{high:02}.1{middle:02}.1{low:02} 4000")
}
