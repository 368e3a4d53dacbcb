//! What becomes of several files that are saved: counted, and reported in the end.

use std::time::Instant;

use crate::byte_size::ByteSize;
use crate::counted::Counted;
use crate::jobs::{Selection, StoreErrorKind, UserEvent};
use crate::terminal::{event_text, fetched_text};

/// The most failures that are listed at the end.
const MAX_FAILURES: usize = 1000;

/// What a person does about files that were not started.
const RUN_AGAIN: &str = "run the same command again";

/// Several files that are being saved.
pub(super) struct Batch {
    started: Instant,
    pub(super) fetched: u64,
    /// The size of the fetched files.
    pub(super) bytes: u64,
    /// Whether all that arrived was encrypted. None if nothing did.
    pub(super) is_encrypted: Option<bool>,
    pub(super) up_to_date: u64,
    pub(super) failed: u64,
    /// Why files could not be fetched.
    failures: Vec<String>,
    /// Whether the disk is full, so that no further file was started.
    is_disk_full: bool,
    /// Whether existing files are repaired, and how many were.
    repairs: bool,
    pub(super) repaired: u64,
    /// How many digits of a hash were compared, if they were too few to prove a content.
    few_digits: Option<usize>,
}

impl Batch {
    /// Files that are saved, or existing ones that are repaired.
    pub(super) fn new(repairs: bool) -> Self {
        Self {
            repairs,
            repaired: 0,
            started: Instant::now(),
            fetched: 0,
            bytes: 0,
            is_encrypted: None,
            up_to_date: 0,
            failed: 0,
            failures: Vec::new(),
            is_disk_full: false,
            few_digits: None,
        }
    }

    /// Takes note of an event. Returns whether it is reported at the end only.
    pub(super) fn on_event(&mut self, event: &UserEvent<'_>) -> bool {
        match event {
            UserEvent::Fetched {
                size,
                resumed,
                is_encrypted,
                ..
            } => {
                self.fetched += 1;
                if !fetched_text::was_complete(*size, *resumed) {
                    self.is_encrypted = Some(self.is_encrypted.unwrap_or(true) && *is_encrypted);
                }
                self.bytes += size.saturating_sub(*resumed);
            }
            UserEvent::UpToDate { .. } => self.up_to_date += 1,
            UserEvent::Repaired { .. } => {
                self.repaired += 1;
                return false;
            }
            UserEvent::FewDigits { digits, .. } => self.few_digits = Some(*digits),
            event if is_failure(event) => {
                self.failed += 1;
                // Of a full disk, one line says as much as many.
                let was_disk_full = is_disk_full(event) && self.is_disk_full;
                self.is_disk_full |= is_disk_full(event);
                if self.failures.len() < MAX_FAILURES && !was_disk_full {
                    self.failures.extend(event_text::text(event));
                }
            }
            // The result is reported when all nodes have been tried.
            UserEvent::NodeFailed(..) => {}
            UserEvent::Expanded { .. } => return false,
            event => return event_text::is_progress(event),
        }
        true
    }

    /// Seconds since the start.
    pub(super) fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// Why files could not be fetched, one a line, and what was not proven.
    pub(super) fn failures(&self) -> String {
        let mut text = String::new();
        for failure in &self.failures {
            text += failure;
            text.push('\n');
        }
        if let more @ 1.. = self.failed - self.failures.len() as u64 {
            text += &format!("and {more} more failures\n");
        }
        if let Some(digits) = self.few_digits {
            text += &event_text::few_digits(digits);
            text.push('\n');
        }
        text
    }

    /// The sums.
    pub(super) fn summary(&self, unfetched: usize) -> String {
        if self.repairs {
            return self.summary_of_repairs(unfetched);
        }
        let rate = ByteSize((self.bytes as f64 / self.seconds().max(1e-6)) as u64);
        let security = self.is_encrypted.map(fetched_text::security);
        let security = security.map_or_else(String::new, |security| format!(", {security}"));
        let text = format!(
            "{} fetched, {} in {:.1} s ({rate}/s{security}), {} up to date, {} failed",
            Counted(self.fetched, "file"),
            ByteSize(self.bytes),
            self.seconds(),
            self.up_to_date,
            self.failed,
        );
        match unfetched {
            0 => text,
            unfetched => {
                let advice = self.advice();
                text + &format!(", {unfetched} not fetched; {advice} to fetch the rest")
            }
        }
    }

    fn summary_of_repairs(&self, unchecked: usize) -> String {
        let (right, repaired, failed) = (self.up_to_date, self.repaired, self.failed);
        let right = Counted(right, "file");
        let text = format!("{right} right, {repaired} repaired, {failed} failed");
        match unchecked {
            0 => text,
            unchecked => {
                let advice = self.advice();
                text + &format!(", {unchecked} not checked; {advice} to check the rest")
            }
        }
    }

    /// What to do about files that were not started.
    fn advice(&self) -> String {
        match self.is_disk_full {
            true => format!("the disk is full: make room, then {RUN_AGAIN}"),
            false => RUN_AGAIN.to_owned(),
        }
    }
}

fn is_disk_full(event: &UserEvent<'_>) -> bool {
    matches!(event, UserEvent::StoreError { error, .. } if error.kind == StoreErrorKind::DiskFull)
}

/// Whether a file is not fetched because of this event.
pub(super) fn is_failure(event: &UserEvent<'_>) -> bool {
    match event {
        UserEvent::InvalidName(_)
        | UserEvent::Missing { .. }
        | UserEvent::NoHash { .. }
        | UserEvent::StoreError { .. }
        | UserEvent::WrongContent { .. }
        | UserEvent::Incomplete { .. }
        | UserEvent::PartStored {
            is_failure: true, ..
        } => true,
        UserEvent::SeveralContents { selection, .. } => {
            matches!(selection, Selection::None | Selection::NoMatch(_))
        }
        UserEvent::Expanded { files, .. } => *files == 0,
        _ => false,
    }
}
