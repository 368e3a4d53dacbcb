//! Lists as text: tables for people on a terminal, the lines of the wire into a pipe.

use std::io::{self, Write};
use std::net::SocketAddr;

use crate::byte_size::ByteSize;
use crate::counted::Counted;
use crate::escaped::Escaped;
use crate::jobs::Listing;
use crate::protocol::{Delivery, HolderItem, NodeItem, canonical};
use crate::role::{ConnectionInfo, FileProgress};
use crate::terminal::part_text::percent;
use crate::tls::KeyId;

/// Writes a part of a list: for people on a terminal, in the form of the wire into a
/// pipe.
pub(super) fn write(
    out: &mut impl Write,
    listing: &Listing<'_>,
    is_terminal: bool,
) -> io::Result<()> {
    match listing {
        Listing::Nodes(nodes) if is_terminal => write_table(out, &node_table(nodes)),
        Listing::Holders(holders) if is_terminal => write_table(out, &holder_table(holders)),
        Listing::Nodes(nodes) => nodes.iter().try_for_each(|node| writeln!(out, "{node}")),
        Listing::Holders(holders) => holders.iter().try_for_each(|item| writeln!(out, "{item}")),
        Listing::File { file, is_long } if is_terminal => {
            let size = ByteSize(file.size).to_string();
            let hash = match file.hash.0 {
                Some(hash) if *is_long => hash.to_string(),
                Some(hash) => hash.short(),
                None => "-".into(),
            };
            let width = if *is_long { 64 } else { 8 };
            let holders = Counted(file.holders, "node").to_string();
            let name = Escaped::text(file.name.as_str());
            writeln!(out, "{size:>10}  {hash:<width$}  {holders:>7}  {name}")
        }
        Listing::File { file, .. } => writeln!(out, "{file}"),
        Listing::Message(Delivery { from, text }) if is_terminal => {
            writeln!(out, "{from} {}", Escaped::text(text.as_str()))
        }
        Listing::Message(Delivery { from, text }) => writeln!(out, "{from} {text}"),
        Listing::EndOfFiles(count) if is_terminal => {
            writeln!(out, "{}", Counted(*count, "file"))
        }
        Listing::EndOfFiles(_) | Listing::Truncated => Ok(()),
        Listing::Connections { total, connections } => {
            writeln!(out, "{}", Counted(*total, "connection"))?;
            let mut connections = connections.iter();
            connections.try_for_each(|connection| writeln!(out, "{}", connection_text(connection)))
        }
    }
}

/// Nodes or other receivers of messages, under a header. Ids have a column if some are known.
fn node_table(nodes: &[NodeItem]) -> Vec<Vec<String>> {
    let has_ids = nodes.iter().any(|node| node.id.is_some());
    let header = vec!["ADDRESS".to_owned()];
    let rows = nodes.iter().map(|node| vec![node.address.to_string()]);
    let mut table: Vec<_> = std::iter::once(header).chain(rows).collect();
    if has_ids {
        add_ids(&mut table, nodes.iter().map(|node| node.id));
    }
    table
}

/// The same for the holders of a file.
fn holder_table(holders: &[HolderItem]) -> Vec<Vec<String>> {
    let has_ids = holders.iter().any(|holder| holder.id.is_some());
    let header = ["ADDRESS", "      SIZE", "HASH"]
        .map(str::to_owned)
        .to_vec();
    let rows = holders.iter().map(|holder| {
        let size = format!("{:>10}", ByteSize(holder.size).to_string());
        let hash = holder.hash.0.map_or("-".into(), |hash| hash.short());
        vec![holder.node.to_string(), size, hash]
    });
    let mut table: Vec<_> = std::iter::once(header).chain(rows).collect();
    if has_ids {
        add_ids(&mut table, holders.iter().map(|holder| holder.id));
    }
    table
}

fn add_ids(table: &mut [Vec<String>], ids: impl Iterator<Item = Option<KeyId>>) {
    let ids = ids.map(|id| id.map_or("-".into(), |id| id.to_string()));
    let column = std::iter::once("ID".to_owned()).chain(ids);
    for (row, id) in table.iter_mut().zip(column) {
        row.push(id);
    }
}

/// Writes rows of equal length, the header first. Without others, nothing is written.
fn write_table(out: &mut impl Write, table: &[Vec<String>]) -> io::Result<()> {
    let columns = match table {
        [header, _, ..] => header.len(),
        _ => return Ok(()),
    };
    let width = |column: usize| table.iter().map(|row| row[column].len()).max();
    // What follows the last column would be blanks.
    let widths: Vec<usize> = (0..columns - 1).filter_map(width).collect();
    for row in table {
        for (cell, width) in row.iter().zip(&widths) {
            write!(out, "{cell:<width$}  ")?;
        }
        writeln!(out, "{}", row[columns - 1])?;
    }
    Ok(())
}

/// A connection for people: `127.0.0.1:50000  GET  12 s  1.20 MB sent  3.40 MB/s  24 % of a.iso`.
fn connection_text(connection: &ConnectionInfo) -> String {
    let peer = SocketAddr::new(canonical(connection.peer.ip()), connection.peer.port());
    let mut text = format!(
        "{peer}  {}  {} s  {} sent  {}/s",
        connection.verb.unwrap_or("-"),
        connection.age.as_secs(),
        ByteSize(connection.bytes_out),
        ByteSize(connection.rate),
    );
    if let Some(FileProgress { name, sent, length }) = &connection.file {
        let percent = percent(*sent, *length);
        text += &format!("  {percent} % of {}", Escaped::text(name));
    }
    text
}
