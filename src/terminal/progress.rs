//! The progress of transfers, as bars on stderr: one for a single file; for many files a
//! total, and a few of those that are being fetched.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::byte_size::ByteSize;
use crate::escaped::Escaped;
use crate::jobs::{JobId, UserEvent};
use crate::protocol::FileName;
use crate::terminal::rate_text;

/// Of many files, smaller ones have no bar: they are complete before it is seen.
const MIN_SIZE: u64 = 64 * 1024;

/// The most files that have a bar beside the total.
const MAX_BARS: usize = 4;

// A bar takes what the rest of the line leaves it.
const FILE: &str = "{wide_bar} {done} of {size}{rate}{prefix}{time_left}{msg}";
const NAMED_FILE: &str = "  {wide_bar} {done:>9} of {size:>9}  {msg:30!}";
const TOTAL: &str = "{wide_bar} {pos} of {len} files{msg}{prefix}";

/// No rate is shown before.
const MIN_TIME: Duration = Duration::from_millis(500);

/// The most characters of a name beside its bar.
const MAX_NAME: usize = 30;

/// Shown beside the bars of a prompt, where the command for it cannot be typed.
const HOW_TO_STOP: &str = ", ctrl-C stops";

/// The bars of the transfers that go on.
pub(super) struct Progress {
    all: MultiProgress,
    bars: BTreeMap<JobId, ProgressBar>,
    /// Those whose next bytes were there before, and say nothing about the rate.
    resumed: BTreeSet<JobId>,
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
            resumed: BTreeSet::new(),
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
                Some(_) => bar.set_message(end_of_name(name)),
                None => bar.set_message(self.sources_text()),
            }
            self.bars.insert(job, bar);
            self.resumed.insert(job);
        }
    }

    /// A transfer has succeeded or failed.
    pub(super) fn end(&mut self, job: JobId) {
        self.resumed.remove(&job);
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
                    if self.resumed.remove(job) {
                        bar.reset_elapsed();
                    }
                }
                return;
            }
            UserEvent::Resuming { .. } | UserEvent::Repairing { .. } => {
                self.resumed.extend(self.bars.keys());
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
            UserEvent::BatchGrown { files: files @ 1.. }
            | UserEvent::Expanded {
                files: files @ 1.., ..
            } => total.bar.inc_length(*files as u64),
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
        let (done, all) = (total.bar.position(), total.bar.length().unwrap_or_default());
        let failed = match total.failed {
            0 => String::new(),
            failed => format!(", {failed} failed"),
        };
        let rate = rate_text::rate(total.bytes as f64 / seconds);
        let left = rate_text::time_left(all.saturating_sub(done), done as f64 / seconds);
        let stop = how_to_stop(self.is_at_prompt);
        let text = format!(", {}{rate}{failed}{left}{stop}", ByteSize(total.bytes));
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
        // Without a target of its own, the bar does not ask what kind of terminal there is. It
        // is drawn when there is something to show.
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::hidden())
            .with_prefix(self.limit_text.clone());
        let bar = match ProgressStyle::with_template(template) {
            Ok(style) => bar.with_style(
                style
                    .with_key("done", |state: &ProgressState, out: &mut dyn fmt::Write| {
                        write_size(out, state.pos());
                    })
                    .with_key("size", |state: &ProgressState, out: &mut dyn fmt::Write| {
                        write_size(out, state.len().unwrap_or_default());
                    })
                    .with_key("rate", write_rate)
                    .with_key("time_left", write_time_left),
            ),
            Err(_) => bar,
        };
        self.all.add(bar)
    }
}

/// Bytes per second, or zero as long as they say little.
fn rate(state: &ProgressState) -> f64 {
    match state.elapsed() < MIN_TIME {
        true => 0.0,
        false => state.per_sec(),
    }
}

fn write_rate(state: &ProgressState, out: &mut dyn fmt::Write) {
    // A line without the rate is as good.
    let _ = out.write_str(&rate_text::rate(rate(state)));
}

fn write_time_left(state: &ProgressState, out: &mut dyn fmt::Write) {
    let remaining = state.len().unwrap_or_default().saturating_sub(state.pos());
    let _ = out.write_str(&rate_text::time_left(remaining, rate(state)));
}

/// The end of a name tells files of one folder apart.
fn end_of_name(name: &FileName<'_>) -> String {
    let name = Escaped::text(name.as_str()).to_string();
    let skipped = name.chars().count().saturating_sub(MAX_NAME);
    match skipped {
        0 => name,
        _ => name
            .chars()
            .skip(skipped + 1)
            .fold("…".to_owned(), |name, c| {
                name + c.encode_utf8(&mut [0; 4])
            }),
    }
}

fn how_to_stop(is_at_prompt: bool) -> &'static str {
    match is_at_prompt {
        true => HOW_TO_STOP,
        false => "",
    }
}

fn write_size(out: &mut dyn fmt::Write, bytes: u64) {
    // The bar writes into a string, which does not fail.
    let _ = write!(out, "{}", ByteSize(bytes));
}
