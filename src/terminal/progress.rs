//! The progress of transfers, as bars on stderr: one for a single file; for many files a
//! total, and a few of those that are being fetched.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Instant;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::byte_size::ByteSize;
use crate::escaped::Escaped;
use crate::jobs::{JobId, UserEvent};
use crate::protocol::FileName;

/// Of many files, smaller ones have no bar: they are complete before it is seen.
const MIN_SIZE: u64 = 64 * 1024;

/// The most files that have a bar beside the total.
const MAX_BARS: usize = 4;

const FILE: &str = "{bar:20} {done} of {size}, {rate}/s{prefix}, {eta} left{msg}";
const NAMED_FILE: &str = "  {bar:20} {done} of {size}{prefix}  {msg}";
const TOTAL: &str = "{bar:30} {pos} of {len} files{msg}{prefix}";

/// Shown beside the bars of a prompt, where the command for it cannot be typed.
const HOW_TO_STOP: &str = ", ctrl-C stops";

/// The bars of the transfers that go on.
pub(super) struct Progress {
    all: MultiProgress,
    bars: BTreeMap<JobId, ProgressBar>,
    total: Option<Total>,
    /// The nodes that are being asked for a single file.
    sources: usize,
    /// What the bars say about our own limit on the rate.
    pub(super) limit_text: String,
    /// Whether the transfers are those of a command at a prompt.
    pub(super) is_at_prompt: bool,
}

/// The total of many files.
struct Total {
    bar: ProgressBar,
    started: Instant,
    bytes: u64,
    failed: u64,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            all: MultiProgress::new(),
            bars: BTreeMap::new(),
            total: None,
            sources: 0,
            limit_text: String::new(),
            is_at_prompt: false,
        }
    }

    /// Several files are going to be fetched.
    pub(super) fn start_batch(&mut self, files: usize) {
        let bar = self.bar(files as u64, TOTAL);
        self.total = Some(Total {
            bar,
            started: Instant::now(),
            bytes: 0,
            failed: 0,
        });
    }

    pub(super) fn end_batch(&mut self) {
        if let Some(total) = self.total.take() {
            total.bar.finish_and_clear();
        }
        for bar in std::mem::take(&mut self.bars).into_values() {
            bar.finish_and_clear();
        }
    }

    /// Removes the bars from the terminal, before something else is printed. The next
    /// progress draws them again.
    pub(super) fn hide(&self) {
        if self.total.is_some() || !self.bars.is_empty() {
            // A terminal that is gone shows nothing.
            let _ = self.all.clear();
        }
    }

    /// A transfer starts.
    pub(super) fn start(&mut self, job: JobId, name: &FileName<'_>, size: u64) {
        if self.total.is_some() && size < MIN_SIZE {
            return;
        }
        let (most, template) = match self.total {
            Some(_) => (MAX_BARS, NAMED_FILE),
            None => (1, FILE),
        };
        if self.bars.len() < most && !self.bars.contains_key(&job) {
            let bar = self.bar(size, template);
            match self.total {
                Some(_) => bar.set_message(Escaped::text(name.as_str()).to_string()),
                None => bar.set_message(self.sources_text()),
            }
            self.bars.insert(job, bar);
        }
    }

    /// A transfer has succeeded or failed.
    pub(super) fn end(&mut self, job: JobId) {
        if let Some(bar) = self.bars.remove(&job) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
    }

    /// Something happened to a transfer.
    pub(super) fn on_event(&mut self, event: &UserEvent<'_>, has_failed: bool) {
        match event {
            UserEvent::Progress { job, received, .. } => {
                if let Some(bar) = self.bars.get(job) {
                    bar.set_position(*received);
                }
                return;
            }
            UserEvent::TryingNode { .. } => self.sources += 1,
            UserEvent::NotFound { .. } | UserEvent::NodeFailed(..) => {
                self.sources = self.sources.saturating_sub(1);
            }
            UserEvent::Fetched { .. } => self.sources = 0,
            _ => {}
        }
        let Some(total) = &mut self.total else {
            let bars = self.bars.values();
            return bars.for_each(|bar| bar.set_message(self.sources_text()));
        };
        match event {
            UserEvent::BatchGrown { files } | UserEvent::Expanded { files, .. } => {
                total.bar.inc_length(*files as u64);
            }
            UserEvent::Fetched { size, resumed, .. } => {
                total.bytes += size.saturating_sub(*resumed);
                total.bar.inc(1);
            }
            UserEvent::UpToDate { .. } => total.bar.inc(1),
            _ if has_failed => {
                total.failed += 1;
                total.bar.inc(1);
            }
            _ => return,
        }
        let seconds = total.started.elapsed().as_secs_f64().max(1e-6);
        let rate = ByteSize((total.bytes as f64 / seconds) as u64);
        let failed = match total.failed {
            0 => String::new(),
            failed => format!(", {failed} failed"),
        };
        let (done, all) = (total.bar.position(), total.bar.length().unwrap_or_default());
        let left = match done {
            0 => String::new(),
            _ => {
                let left = seconds / done as f64 * all.saturating_sub(done) as f64;
                format!(", {left:.0} s left")
            }
        };
        let stop = how_to_stop(self.is_at_prompt);
        let text = format!(", {}, {rate}/s{failed}{left}{stop}", ByteSize(total.bytes));
        total.bar.set_message(text);
    }

    fn sources_text(&self) -> String {
        let stop = how_to_stop(self.is_at_prompt);
        match self.sources {
            0 | 1 => stop.into(),
            sources => format!(", {sources} nodes{stop}"),
        }
    }

    fn bar(&self, length: u64, template: &str) -> ProgressBar {
        // Without a target of its own, the bar does not ask what kind of terminal there is.
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::hidden());
        let bar = self.all.add(bar);
        if let Ok(style) = ProgressStyle::with_template(template) {
            let style = style
                .with_key("done", |state: &ProgressState, out: &mut dyn Write| {
                    write_size(out, state.pos());
                })
                .with_key("size", |state: &ProgressState, out: &mut dyn Write| {
                    write_size(out, state.len().unwrap_or_default());
                })
                .with_key("rate", |state: &ProgressState, out: &mut dyn Write| {
                    write_size(out, state.per_sec() as u64);
                });
            bar.set_style(style);
            bar.set_prefix(self.limit_text.clone());
        }
        bar
    }
}

fn how_to_stop(is_at_prompt: bool) -> &'static str {
    match is_at_prompt {
        true => HOW_TO_STOP,
        false => "",
    }
}

fn write_size(out: &mut dyn Write, bytes: u64) {
    // The bar writes into a string, which does not fail.
    let _ = write!(out, "{}", ByteSize(bytes));
}
