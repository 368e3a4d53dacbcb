//! How a screen prints events, lists and the sums of several files.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::time::Instant;

use log::Level;

use crate::counted::Counted;
use crate::escaped::Escaped;
use crate::jobs::{Listing, UserEvent};
use crate::logging::OPERATOR;
use crate::terminal::json_progress::ActiveFile;
use crate::terminal::screen::{Screen, Style};
use crate::terminal::{event_text, json, listing};

impl Screen {
    /// Reports what became of several files.
    pub(super) fn end_batch(&mut self, left: usize) {
        self.progress.end_batch();
        let Some(batch) = self.batch.take() else {
            return;
        };
        match self.style {
            Style::Json { on_stdout: true } => self.output.println(json::batch(&batch, left)),
            Style::Json { on_stdout: false } => self.output.eprintln(json::batch(&batch, left)),
            Style::Human { quiet: true, .. } => self.output.eprint(batch.failures()),
            // The console has reported each failure.
            Style::Console => self.output.eprintln(batch.summary(left)),
            Style::Log => log_lines(batch.failed > 0 || left > 0, &batch.summary(left)),
            Style::Human { .. } => {
                self.output.eprint(batch.failures());
                self.output.eprintln(batch.summary(left));
            }
        }
    }

    pub(super) fn json_event(&mut self, event: &UserEvent<'_>) -> Option<serde_json::Value> {
        let UserEvent::Progress {
            job,
            received,
            resumed,
            size,
            ..
        } = *event
        else {
            return json::event(event);
        };
        let file = ActiveFile {
            received,
            resumed,
            size,
        };
        self.json_progress.advance(job, file, Instant::now())
    }

    pub(super) fn print_listing(&mut self, listing: &Listing<'_>) -> io::Result<()> {
        if !matches!(self.style, Style::Json { .. }) {
            listing::write(&mut self.stdout, listing, self.stdout_is_terminal)?;
        } else if let Some(value) = json::listing(listing) {
            writeln!(self.stdout, "{value}")?;
        }
        match listing {
            // Flushed at the end of the list.
            Listing::File { .. } => Ok(()),
            _ => self.stdout.flush(),
        }
    }

    pub(super) fn print_event(&mut self, event: &UserEvent<'_>) {
        self.progress.hide();
        let is_console = matches!(self.style, Style::Console | Style::Log);
        let text = match event {
            UserEvent::Nodes { nodes, is_merged } => {
                // Nodes have the numbers of the list that was shown.
                let mut hasher = DefaultHasher::new();
                nodes.hash(&mut hasher);
                let list = Some(hasher.finish());
                let is_new = std::mem::replace(&mut self.shown_list, list) != list;
                Some(event_text::node_list(nodes, *is_merged, is_new))
            }
            UserEvent::NoNodes { name, failure } if is_console => {
                Some(event_text::no_list_for(name, failure))
            }
            event => event_text::text(event),
        };
        let saved = match event {
            UserEvent::Fetched { .. } => self.saved.take(),
            _ => None,
        };
        let saved = saved.map(|path| {
            let path = Escaped(path.as_os_str().as_encoded_bytes());
            format!("saved as {path}")
        });
        if self.style == Style::Log {
            let text: Vec<String> = text.into_iter().chain(saved).collect();
            // Most events are progress, which is not logged.
            if !text.is_empty() {
                log_lines(event_text::is_warning(event), &text.join("\n"));
            }
            return;
        }
        if let UserEvent::Fetched { size, resumed, .. } = event
            && !is_console
        {
            let received = Counted(size.saturating_sub(*resumed), "byte");
            self.output
                .eprintln(format_args!("  received {received}, 0 remaining"));
        }
        if let Some(text) = text {
            self.output.eprintln(text);
        }
        if let Some(saved) = saved {
            self.output.eprintln(format_args!("  {saved}"));
        }
    }
}

/// Lines as one record of the log.
fn log_lines(is_warning: bool, text: &str) {
    let level = match is_warning {
        true => Level::Warn,
        false => Level::Info,
    };
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    log::log!(target: OPERATOR, level, "{}", lines.join("; "));
}
