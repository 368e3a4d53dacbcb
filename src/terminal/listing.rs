//! Lists as text.

use std::io::{self, Write};
use std::net::SocketAddr;

use indicatif::DecimalBytes;

use crate::counted::Counted;
use crate::escaped::Escaped;
use crate::jobs::Listing;
use crate::protocol::{Delivery, canonical};
use crate::role::{ConnectionInfo, FileProgress};
use crate::terminal::event_text::percent;

/// Writes a part of a list: for people on a terminal, in the form of the wire into a
/// pipe.
pub(super) fn write(
    out: &mut impl Write,
    listing: &Listing<'_>,
    is_terminal: bool,
) -> io::Result<()> {
    match listing {
        Listing::Nodes(nodes) => nodes.iter().try_for_each(|node| writeln!(out, "{node}")),
        Listing::Holders(holders) => holders.iter().try_for_each(|item| writeln!(out, "{item}")),
        Listing::File { file, is_long } if is_terminal => {
            let size = DecimalBytes(file.size).to_string();
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

/// A connection for people: `127.0.0.1:50000  GET  12 s  1.20 MB sent  3.40 MB/s  24 % of a.iso`.
fn connection_text(connection: &ConnectionInfo) -> String {
    let peer = SocketAddr::new(canonical(connection.peer.ip()), connection.peer.port());
    let mut text = format!(
        "{peer}  {}  {} s  {} sent  {}/s",
        connection.verb.unwrap_or("-"),
        connection.age.as_secs(),
        DecimalBytes(connection.bytes_out),
        DecimalBytes(connection.rate),
    );
    if let Some(FileProgress { name, sent, length }) = &connection.file {
        let percent = percent(*sent, *length);
        text += &format!("  {percent} % of {}", Escaped::text(name));
    }
    text
}
