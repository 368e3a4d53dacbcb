//! The progress of transfers, as bars on stderr: one for a single file; for many files a
//! total, and a few of those that are being fetched.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Instant;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::byte_size::ByteSize;
use crate::escaped::Escaped;
use crate::jobs::{JobId, UserEvent};
use crate::protocol::FileName;
use crate::terminal::rate_text;
use crate::terminal::transfer_rate::TransferRate;

/// Of many files, smaller ones have no bar: they are complete before it is seen.
const MIN_SIZE: u64 = 64 * 1024;

/// The most files that have a bar beside the total.
const MAX_BARS: usize = 4;

// A bar takes what the rest of the line leaves it.
const FILE: &str = "{wide_bar} {done} of {size}{msg}";
const NAMED_FILE: &str = "  {wide_bar} {done:>9} of {size:>9}  {msg:30!}";
const TOTAL: &str = "{wide_bar} {pos} of {len} files{msg}";

/// The most characters of a name beside its bar.
const MAX_NAME: usize = 30;

/// Shown beside the bars of a prompt, where the command for it cannot be typed.
const HOW_TO_STOP: &str = ", ctrl-C stops";

/// The bars of the transfers that go on.
pub(super) struct Progress {
    all: MultiProgress,
    bars: BTreeMap<JobId, FileBar>,
    total: Option<Total>,
    /// What the bars say about our own limit on the rate.
    pub(super) limit_text: String,
    /// Whether the transfers are those of a command at a prompt.
    pub(super) is_at_prompt: bool,
}

/// One file.
struct FileBar {
    bar: ProgressBar,
    /// Shown if it is the only file.
    rate: Option<TransferRate>,
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
        for file in std::mem::take(&mut self.bars).into_values() {
            file.bar.finish_and_clear();
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
            let rate = self.total.is_none().then(TransferRate::new);
            match rate {
                Some(_) => bar.set_message(self.file_text(0.0, size, 1)),
                None => bar.set_message(end_of_name(name)),
            }
            self.bars.insert(job, FileBar { bar, rate });
        }
    }

    /// A transfer has succeeded or failed.
    pub(super) fn end(&mut self, job: JobId) {
        if let Some(file) = self.bars.remove(&job) {
            file.bar.finish_and_clear();
            self.all.remove(&file.bar);
        }
    }

    /// Something happened to a transfer.
    pub(super) fn on_event(&mut self, event: &UserEvent<'_>, has_failed: bool) {
        if let UserEvent::Progress { .. } = event {
            return self.advance(event, Instant::now());
        }
        let Some(total) = &mut self.total else {
            return;
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
        let (limit, stop) = (&self.limit_text, how_to_stop(self.is_at_prompt));
        let bytes = ByteSize(total.bytes);
        let text = format!(", {bytes}{rate}{limit}{failed}{left}{stop}");
        total.bar.set_message(text);
    }

    /// More of a file has arrived.
    fn advance(&mut self, event: &UserEvent<'_>, now: Instant) {
        let UserEvent::Progress {
            job,
            received,
            resumed,
            size,
            nodes,
        } = *event
        else {
            return;
        };
        let Some(file) = self.bars.get_mut(&job) else {
            return;
        };
        file.bar.set_position(received);
        let arrived = received.saturating_sub(resumed);
        let rate = file.rate.as_mut();
        let Some(rate) = rate.and_then(|rate| rate.advance(arrived, now)) else {
            return;
        };
        let bar = file.bar.clone();
        bar.set_message(self.file_text(rate, size.saturating_sub(received), nodes));
    }

    /// What stands behind the sizes of a single file.
    fn file_text(&self, rate: f64, remaining: u64, nodes: usize) -> String {
        let left = rate_text::time_left(remaining, rate);
        let rate = rate_text::rate(rate);
        let nodes = match nodes {
            0 | 1 => String::new(),
            nodes => format!(", {nodes} nodes"),
        };
        let (limit, stop) = (&self.limit_text, how_to_stop(self.is_at_prompt));
        format!("{rate}{limit}{left}{nodes}{stop}")
    }

    fn bar(&self, length: u64, template: &str) -> ProgressBar {
        // Without a target of its own, the bar does not ask what kind of terminal there is. It
        // is drawn when there is something to show.
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::hidden());
        let bar = match ProgressStyle::with_template(template) {
            Ok(style) => bar.with_style(
                style
                    .with_key("done", |state: &ProgressState, out: &mut dyn fmt::Write| {
                        write_size(out, state.pos());
                    })
                    .with_key("size", |state: &ProgressState, out: &mut dyn fmt::Write| {
                        write_size(out, state.len().unwrap_or_default());
                    }),
            ),
            Err(_) => bar,
        };
        self.all.add(bar)
    }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_bar_shows_what_arrives_for_its_own_file() {
        let start = Instant::now();
        let mut progress = Progress::new();
        progress.limit_text = " (limit 1.00 kB/s)".into();
        progress.is_at_prompt = true;
        let name = FileName::parse("a").expect("a name");
        let mut shown = |job, tenths, (received, resumed), nodes| {
            progress.start(job, &name, 9000);
            let event = UserEvent::Progress {
                job,
                received,
                resumed,
                size: 9000,
                nodes,
            };
            progress.advance(&event, start + tenths * Duration::from_millis(100));
            let message = progress.bars[&job].bar.message();
            if nodes == 0 {
                progress.end(job);
            }
            message
        };
        let first = JobId(1);
        let text = " (limit 1.00 kB/s), 3 nodes, ctrl-C stops";
        assert_eq!(shown(first, 0, (100, 0), 3), text);
        // A check finds 4000 more bytes that were there before.
        let text = ", 1.00 kB/s (limit 1.00 kB/s), 3 s left, 2 nodes, ctrl-C stops";
        assert_eq!(shown(first, 20, (6100, 4000), 2), text);
        shown(first, 21, (6100, 4000), 0);
        let text = " (limit 1.00 kB/s), ctrl-C stops";
        assert_eq!(shown(JobId(2), 22, (100, 0), 1), text);
    }
}
