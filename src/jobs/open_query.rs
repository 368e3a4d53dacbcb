//! A query of a job that is sent to several sources at once, and what they answer.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::jobs::ids::JobId;
use crate::jobs::merged_answer::merge;
use crate::jobs::merged_files::MergedFiles;
use crate::jobs::relay_query::{Query, RelayAnswer};
use crate::protocol::{FileItem, NodeItem};
use crate::role::ConnId;

/// The most items of one answer that a user sees beside the merged answer.
const MAX_SHOWN: usize = 16;

/// A query that has no merged answer yet.
pub(super) struct OpenQuery {
    pub(super) job: JobId,
    /// What the job wants to know.
    pub(super) query: Query,
    /// The sources that have not answered.
    pub(super) waiting: Vec<WaitingSource>,
    /// The answers by source.
    answers: BTreeMap<usize, RelayAnswer>,
    /// The files that the job has not got yet, if there are several sources.
    files: Option<MergedFiles>,
    /// The number and the first names of the files that each source has listed.
    listed: BTreeMap<usize, SourceItems>,
    /// The job wants no more files.
    is_satisfied: bool,
    started: Instant,
    first_answer: Option<Instant>,
}

/// A source that has not answered.
pub(super) struct WaitingSource {
    pub(super) source: usize,
    /// The connection over TCP, once there is one.
    pub(super) conn: Option<ConnId>,
    /// Whether a part of the answer has arrived.
    pub(super) has_started: bool,
}

/// How many items an answer has, and the first of them.
#[derive(Default)]
pub(super) struct SourceItems {
    pub(super) count: u64,
    pub(super) first: Vec<String>,
}

impl SourceItems {
    fn push(&mut self, item: impl ToString) {
        self.count += 1;
        if self.first.len() < MAX_SHOWN {
            self.first.push(item.to_string());
        }
    }
}

impl OpenQuery {
    /// A query to these sources, at least one; `are_nodes` says whether they are no relays.
    pub(super) fn new(
        job: JobId,
        query: Query,
        sources: &[usize],
        are_nodes: bool,
        now: Instant,
    ) -> Self {
        let waiting = sources.iter().map(|source| WaitingSource {
            source: *source,
            conn: None,
            has_started: false,
        });
        Self {
            job,
            query,
            waiting: waiting.collect(),
            answers: BTreeMap::new(),
            files: (sources.len() > 1).then(|| MergedFiles::new(sources, are_nodes)),
            listed: BTreeMap::new(),
            is_satisfied: false,
            started: now,
            first_answer: None,
        }
    }

    /// Whether there are answers to merge.
    pub(super) fn has_several_sources(&self) -> bool {
        self.files.is_some()
    }

    /// The sources say where the receiver of a message is found, before one of them gets it.
    pub(super) fn sent_query(&self) -> Query {
        match &self.query {
            Query::Message(..) if self.has_several_sources() => Query::Listeners,
            query => query.clone(),
        }
    }

    /// A source that has not answered.
    pub(super) fn waiting_source(&mut self, source: usize) -> Option<&mut WaitingSource> {
        let mut waiting = self.waiting.iter_mut();
        waiting.find(|waiting| waiting.source == source)
    }

    /// A source lists a file. `on_file` gets the files that follow in the merged list, and
    /// returns whether more are wanted, as this function does.
    pub(super) fn on_file(
        &mut self,
        source: usize,
        file: &FileItem<'_>,
        mut on_file: impl FnMut(&FileItem<'_>) -> bool,
    ) -> bool {
        let Some(files) = &mut self.files else {
            return on_file(file);
        };
        files.insert(source, file);
        self.listed.entry(source).or_default().push(&file.name);
        self.hand_over_files(on_file)
    }

    /// Hands over the rest of the merged list: the other sources are not waited for.
    pub(super) fn end_files(&mut self, on_file: impl FnMut(&FileItem<'_>) -> bool) {
        for waiting in std::mem::take(&mut self.waiting) {
            self.remove(waiting.source);
        }
        self.hand_over_files(on_file);
    }

    /// Returns whether more files are wanted.
    fn hand_over_files(&mut self, mut on_file: impl FnMut(&FileItem<'_>) -> bool) -> bool {
        while !self.is_satisfied
            && let Some(contents) = self.files.as_mut().and_then(MergedFiles::next_name)
        {
            self.is_satisfied = !contents.iter().all(&mut on_file);
        }
        !self.is_satisfied
    }

    /// The source has answered. Returns what its answer contains.
    pub(super) fn on_answer(
        &mut self,
        source: usize,
        answer: RelayAnswer,
        now: Instant,
    ) -> SourceItems {
        self.remove(source);
        self.first_answer.get_or_insert(now);
        let mut items = self.listed.remove(&source).unwrap_or_default();
        match &answer {
            RelayAnswer::Nodes(nodes) => nodes.iter().for_each(|node| items.push(node)),
            RelayAnswer::Holders(holders) => holders.iter().for_each(|holder| items.push(holder)),
            RelayAnswer::EndOfFiles | RelayAnswer::Sent | RelayAnswer::Relay(_) => {}
        }
        self.answers.insert(source, answer);
        items
    }

    /// The source does not answer, or not in time.
    pub(super) fn remove(&mut self, source: usize) {
        self.waiting.retain(|waiting| waiting.source != source);
        if let Some(files) = &mut self.files {
            files.on_end(source);
        }
    }

    /// Whether no source has answered or will.
    pub(super) fn is_failed(&self) -> bool {
        self.answers.is_empty() && self.waiting.is_empty()
    }

    /// Whether there is an answer, and no other is waited for.
    pub(super) fn is_complete(&self) -> bool {
        !self.answers.is_empty() && (self.waiting.is_empty() || self.is_satisfied)
    }

    /// Until when the source is waited for: for a moment after the first answer. A source
    /// that sends a long list may take as long again as the first one took.
    fn source_deadline(&self, waiting: &WaitingSource, delay: Duration) -> Option<Instant> {
        let first = self.first_answer?;
        let took = first.saturating_duration_since(self.started);
        Some(match waiting.has_started {
            true => first + delay.max(took),
            false => first + delay,
        })
    }

    /// When a source is not waited for any longer.
    pub(super) fn next_deadline(&self, delay: Duration) -> Option<Instant> {
        let waiting = self.waiting.iter();
        let deadlines = waiting.map(|waiting| self.source_deadline(waiting, delay));
        deadlines.min().flatten()
    }

    /// The sources that are not waited for any longer.
    pub(super) fn late_sources(&self, delay: Duration, now: Instant) -> Vec<usize> {
        let waiting = self.waiting.iter();
        let late = waiting.filter(|waiting| {
            let deadline = self.source_deadline(waiting, delay);
            deadline.is_some_and(|due| due <= now)
        });
        late.map(|waiting| waiting.source).collect()
    }

    /// Where to send a message, once the sources have said where its receiver is found: the
    /// first of these. If nobody is found, the first source that has answered will say so.
    pub(super) fn relay_of_receiver(&self) -> Option<usize> {
        let to = match &self.query {
            Query::Message(to, _) if self.has_several_sources() => Some(*to),
            Query::RelayOf(to) => Some(*to),
            _ => return None,
        };
        let is_receiver = |node: &NodeItem| Some(node.address) == to;
        let lists_receiver = |answer: &RelayAnswer| match answer {
            RelayAnswer::Nodes(listeners) => listeners.iter().any(is_receiver),
            _ => false,
        };
        let mut answers = self.answers.iter();
        let found = answers.find(|(_, answer)| lists_receiver(answer));
        let (source, _) = found.or_else(|| self.answers.first_key_value())?;
        Some(*source)
    }

    /// The job of the query, what it wanted to know, and the merged answer.
    pub(super) fn into_answer(self) -> (JobId, Query, Option<RelayAnswer>) {
        (self.job, self.query, merge(self.answers.into_values()))
    }
}
