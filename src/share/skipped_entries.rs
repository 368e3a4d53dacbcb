//! The files and folders of a share that are not shared, and the warnings about them.

use std::fmt;
use std::time::{Duration, Instant};

use log::warn;

use crate::counted::Counted;
use crate::escaped::Escaped;
use crate::logging::OPERATOR;

/// The most entries that are known by name.
const MAX_EXAMPLES: usize = 100;

/// The most entries that one warning names.
const MAX_SHOWN: usize = 3;

/// The shortest time between two warnings.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// The entries that a walk could not share.
#[derive(Default)]
pub(super) struct SkippedEntries {
    pub(super) count: u64,
    /// The first of them, with the reason.
    examples: Vec<String>,
    /// A folder could not be read, or the folder that the user named is gone.
    pub(super) is_incomplete: bool,
}

impl SkippedEntries {
    pub(super) fn add(&mut self, name: &str, why: impl fmt::Display) {
        if self.examples.len() < MAX_EXAMPLES {
            self.examples
                .push(format!("{}: {why}", Escaped::text(name)));
        }
        self.count += 1;
    }
}

/// Warns whenever more entries are skipped.
#[derive(Default)]
pub(super) struct SkipWarnings {
    /// The entries of the last warning that are still skipped.
    known: Vec<String>,
    known_count: u64,
    last_warning: Option<Instant>,
}

impl SkipWarnings {
    /// Warns if entries are skipped that were not before. If that is too early after the
    /// last warning, the next walk makes up for it.
    pub(super) fn update(&mut self, skipped: &SkippedEntries, now: Instant) {
        let is_new = |example: &&String| !self.known.contains(example);
        let new: Vec<&str> = skipped
            .examples
            .iter()
            .filter(is_new)
            .map(String::as_str)
            .collect();
        let is_early = |last| now < last + WARNING_INTERVAL;
        if new.is_empty() && skipped.count <= self.known_count {
            self.known_count = skipped.count;
            self.known
                .retain(|example| skipped.examples.contains(example));
        } else if !self.last_warning.is_some_and(is_early) {
            let shown = match new.is_empty() {
                true => String::new(),
                false => format!("; such as {}", new[..new.len().min(MAX_SHOWN)].join("; ")),
            };
            let items = Counted(skipped.count, "item");
            warn!(target: OPERATOR, "{items} cannot be shared{shown}");
            self.known.clone_from(&skipped.examples);
            self.known_count = skipped.count;
            self.last_warning = Some(now);
        }
    }
}
