//! Prints lists to stdout.

use std::io::{self, BufWriter, IsTerminal, Write};

use indicatif::DecimalBytes;
use serde_json::{Value, json};

use crate::counted::Counted;
use crate::escaped::Escaped;
use crate::jobs::Listing;
use crate::protocol::Delivery;
use crate::terminal::output::StreamOutput;
use crate::terminal::{Style, TerminalOutput, json};

/// Prints lists: for people on a terminal, in the form of the wire into a pipe, or
/// as JSON.
pub(crate) struct ListingPrinter {
    out: BufWriter<StreamOutput>,
    style: Style,
    is_terminal: bool,
}

impl ListingPrinter {
    pub(crate) fn new(style: Style, output: &TerminalOutput) -> Self {
        Self {
            out: BufWriter::new(output.stdout()),
            style,
            is_terminal: io::stdout().is_terminal(),
        }
    }

    pub(crate) fn print(&mut self, listing: &Listing<'_>) -> io::Result<()> {
        let is_json = matches!(self.style, Style::Json { .. });
        let out = &mut self.out;
        match listing {
            Listing::Nodes(nodes) if is_json => {
                let nodes: Vec<Value> = nodes.iter().map(|node| json::address(*node)).collect();
                writeln!(out, "{}", json!({ "nodes": nodes }))?;
            }
            Listing::Nodes(nodes) => {
                for node in *nodes {
                    writeln!(out, "{node}")?;
                }
            }
            Listing::Holders(holders) if is_json => {
                let holders: Vec<Value> = holders.iter().map(json::holder).collect();
                writeln!(out, "{}", json!({ "holders": holders }))?;
            }
            Listing::Holders(holders) => {
                for holder in *holders {
                    writeln!(out, "{holder}")?;
                }
            }
            // Flushed at the end of the list.
            Listing::File(file) => {
                if is_json {
                    writeln!(out, "{}", json::file(file))?;
                } else if self.is_terminal {
                    let size = DecimalBytes(file.size).to_string();
                    let name = Escaped::text(file.name.as_str());
                    let holders = match file.holders {
                        1 => String::new(),
                        holders => format!("  ({})", Counted(holders, "node")),
                    };
                    writeln!(out, "{size:>10}  {name}{holders}")?;
                } else {
                    writeln!(out, "{file}")?;
                }
                return Ok(());
            }
            Listing::Truncated => {}
            Listing::Message(Delivery { from, text }) if is_json => {
                let mut line = json::address(*from);
                line["text"] = json!(text.as_str());
                writeln!(out, "{line}")?;
            }
            Listing::Message(Delivery { from, text }) if self.is_terminal => {
                writeln!(out, "{from} {}", Escaped::text(text.as_str()))?;
            }
            Listing::Message(Delivery { from, text }) => writeln!(out, "{from} {text}")?,
            Listing::EndOfFiles(count) => {
                if self.is_terminal && !is_json {
                    writeln!(out, "{}", Counted(*count, "file"))?;
                }
            }
        }
        self.out.flush()
    }
}
