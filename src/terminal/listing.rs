//! Lists that were asked for, on stdout: results, not talk.

use std::io::{self, BufWriter, IsTerminal, Write};

use indicatif::DecimalBytes;
use serde_json::{Value, json};

use crate::escaped::Escaped;
use crate::jobs::Listing;
use crate::protocol::{Delivery, HolderItem, NodeAddress};
use crate::terminal::output::StreamOutput;
use crate::terminal::{Style, TerminalOutput};

/// Writes lists: for people on a terminal, as on the wire into a pipe, as JSON
/// for programs.
pub(crate) struct ListingPrinter {
    out: BufWriter<StreamOutput>,
    style: Style,
    terminal: bool,
}

impl ListingPrinter {
    pub(crate) fn new(style: Style, voice: &TerminalOutput) -> Self {
        Self {
            out: BufWriter::new(voice.results()),
            style,
            terminal: io::stdout().is_terminal(),
        }
    }

    pub(crate) fn show(&mut self, listing: &Listing<'_>) -> io::Result<()> {
        let is_json = matches!(self.style, Style::Json { .. });
        let out = &mut self.out;
        match listing {
            Listing::Nodes(nodes) if is_json => {
                let nodes: Vec<Value> = nodes.iter().map(|node| address_as_json(*node)).collect();
                writeln!(out, "{}", json!({ "nodes": nodes }))?;
            }
            Listing::Nodes(nodes) => {
                for node in *nodes {
                    writeln!(out, "{node}")?;
                }
            }
            Listing::Holders(holders) if is_json => {
                let holders: Vec<Value> = holders.iter().map(holder_as_json).collect();
                writeln!(out, "{}", json!({ "holders": holders }))?;
            }
            Listing::Holders(holders) => {
                for holder in *holders {
                    writeln!(out, "{holder}")?;
                }
            }
            // The end comes with the last one.
            Listing::File(file) => {
                if is_json {
                    let line = json!({
                        "name": file.name.as_str(),
                        "size": file.size,
                        "hash": file.hash.0.map(|hash| hash.to_string()),
                        "holders": file.holders,
                    });
                    writeln!(out, "{line}")?;
                } else if self.terminal {
                    let size = DecimalBytes(file.size).to_string();
                    let name = Escaped::text(file.name.as_str());
                    let holders = match file.holders {
                        1 => String::new(),
                        holders => format!("  ({holders} nodes)"),
                    };
                    writeln!(out, "{size:>10}  {name}{holders}")?;
                } else {
                    writeln!(out, "{file}")?;
                }
                return Ok(());
            }
            Listing::BrokenOff => {}
            Listing::Message(Delivery { from, text }) if is_json => {
                let mut line = address_as_json(*from);
                line["text"] = json!(text.as_str());
                writeln!(out, "{line}")?;
            }
            Listing::Message(Delivery { from, text }) if self.terminal => {
                writeln!(out, "{from} {}", Escaped::text(text.as_str()))?;
            }
            Listing::Message(Delivery { from, text }) => writeln!(out, "{from} {text}")?,
            Listing::EndOfFiles(count) => {
                if self.terminal && !is_json {
                    let plural = if *count == 1 { "" } else { "s" };
                    writeln!(out, "{count} file{plural}")?;
                }
            }
        }
        self.out.flush()
    }
}

pub(crate) fn address_as_json(node: NodeAddress) -> Value {
    json!({"ip": node.ip().to_string(), "port": node.port().get()})
}

fn holder_as_json(holder: &HolderItem) -> Value {
    json!({
        "ip": holder.node.ip().to_string(),
        "port": holder.node.port().get(),
        "size": holder.size,
        "hash": holder.hash.0.map(|hash| hash.to_string()),
    })
}
