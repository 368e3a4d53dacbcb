//! Prints lists to stdout.

use std::io::{self, BufWriter, IsTerminal, Write};

use indicatif::DecimalBytes;

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
        if !matches!(self.style, Style::Json { .. }) {
            self.print_text(listing)?;
        } else if let Some(value) = json::listing(listing) {
            writeln!(self.out, "{value}")?;
        }
        match listing {
            // Flushed at the end of the list.
            Listing::File(_) => Ok(()),
            _ => self.out.flush(),
        }
    }

    fn print_text(&mut self, listing: &Listing<'_>) -> io::Result<()> {
        let out = &mut self.out;
        match listing {
            Listing::Nodes(nodes) => nodes.iter().try_for_each(|node| writeln!(out, "{node}")),
            Listing::Holders(holders) => {
                holders.iter().try_for_each(|item| writeln!(out, "{item}"))
            }
            Listing::File(file) if self.is_terminal => {
                let size = DecimalBytes(file.size).to_string();
                let name = Escaped::text(file.name.as_str());
                let holders = match file.holders {
                    1 => String::new(),
                    holders => format!("  ({})", Counted(holders, "node")),
                };
                writeln!(out, "{size:>10}  {name}{holders}")
            }
            Listing::File(file) => writeln!(out, "{file}"),
            Listing::Message(Delivery { from, text }) if self.is_terminal => {
                writeln!(out, "{from} {}", Escaped::text(text.as_str()))
            }
            Listing::Message(Delivery { from, text }) => writeln!(out, "{from} {text}"),
            Listing::EndOfFiles(count) if self.is_terminal => {
                writeln!(out, "{}", Counted(*count, "file"))
            }
            Listing::EndOfFiles(_) | Listing::Truncated => Ok(()),
        }
    }
}
