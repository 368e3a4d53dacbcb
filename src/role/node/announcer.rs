//! Tells the relay which files the node has: after each `REGISTER`, on the same
//! connection, what changed since the relay last said `OK` to it. A relay that
//! has forgotten, or never knew, gets everything.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use log::{debug, warn};

use super::share::Share;
use crate::end::End;
use crate::protocol::{Code, FileName, MAX_LISTED_FILES, MaybeHash, Reply, Request};
use crate::role::Next;
use crate::role::visitor::say;
use crate::visible::Visible;

/// Lines that may be on their way without an answer.
const WINDOW: usize = 4 * MAX_LISTED_FILES;

/// The node's side of the relay's index.
#[derive(Default)]
pub struct Announcer {
    /// What the relay has said `OK` to.
    acknowledged: BTreeMap<Box<str>, Content>,
    /// The share's revision when all of it was acknowledged.
    complete: Option<u64>,
    /// What was sent and not answered yet, in order.
    sent: VecDeque<Change>,
    /// How far the share was compared with what is acknowledged.
    progress: Progress,
    /// Times in a row that the relay had another number of files.
    mismatches: u32,
    /// Registrations to let pass before everything is sent once more.
    pause: u32,
    /// What the relay does not take has been said.
    warned: bool,
}

type Content = (u64, MaybeHash);

enum Change {
    Share(Box<str>, Content),
    Unshare(Box<str>),
}

#[derive(Default)]
enum Progress {
    /// Up to this name, of this revision.
    Comparing(Option<Box<str>>, u64),
    #[default]
    Done,
}

impl Announcer {
    /// The relay has registered us and says that it has so many files of ours.
    /// Writes the first changes to `reply`.
    pub fn begin(&mut self, share: &mut impl Share, files: u64, reply: &mut Vec<u8>) -> Next {
        self.sent.clear();
        self.reconcile(files);
        let revision = share.revision();
        self.progress = if self.complete == Some(revision) {
            Progress::Done
        } else {
            Progress::Comparing(None, revision)
        };
        self.go_on(share, reply)
    }

    /// The relay has answered the first change that is on its way.
    pub fn answered(&mut self, share: &mut impl Share, line: &[u8], reply: &mut Vec<u8>) -> Next {
        let Some(change) = self.sent.pop_front() else {
            return Next::Close(End::Nonsense);
        };
        match (change, Reply::parse(line)) {
            (Change::Share(name, content), Ok(Reply::Ok(_))) => {
                self.acknowledged.insert(name, content);
            }
            (Change::Unshare(name), Ok(Reply::Ok(_) | Reply::NotFound)) => {
                self.acknowledged.remove(&name);
            }
            (Change::Share(name, _), Ok(Reply::Error(Code::LimitReached, text))) => {
                // What was accepted stays, and all that follows would be refused.
                self.refused(&name, &text);
            }
            (_, Ok(Reply::Error(Code::UnknownVerb, _))) => {
                debug!("the relay keeps no index");
                return Next::Close(End::Satisfied);
            }
            // Our lease ended in between, or it makes no sense: from the start
            // at the next registration.
            (_, Ok(_)) => return Next::Close(End::Satisfied),
            (_, Err(_)) => return Next::Close(End::Nonsense),
        }
        self.go_on(share, reply)
    }

    /// If the relay has another number of files than it acknowledged, it gets
    /// everything; at first at once, then with growing pauses.
    fn reconcile(&mut self, files: u64) {
        if files == self.acknowledged.len() as u64 {
            self.mismatches = 0;
            self.pause = 0;
            return;
        }
        if self.mismatches > 0 && !self.acknowledged.is_empty() {
            if self.pause > 0 {
                self.pause -= 1;
                return;
            }
            if !std::mem::replace(&mut self.warned, true) {
                warn!(
                    "the relay has {files} files of ours, not {}: is there another node behind \
                     the same address and port?",
                    self.acknowledged.len()
                );
            }
        }
        self.pause = 1 << self.mismatches.min(6);
        self.mismatches = self.mismatches.saturating_add(1);
        self.acknowledged.clear();
        self.complete = None;
    }

    fn go_on(&mut self, share: &mut impl Share, reply: &mut Vec<u8>) -> Next {
        while self.sent.len() < WINDOW {
            let Progress::Comparing(after, revision) = &mut self.progress else {
                break;
            };
            let (after, revision) = (after.take(), *revision);
            self.progress = match self.compare(share, after.as_deref(), reply) {
                Some(last) => Progress::Comparing(Some(last), revision),
                None => {
                    self.complete = Some(revision);
                    Progress::Done
                }
            };
        }
        if self.sent.is_empty() {
            return Next::Close(End::Satisfied);
        }
        Next::Line
    }

    /// Compares one page of the share with what is acknowledged. Returns the
    /// last name of the page, or nothing if it was the last page.
    fn compare(
        &mut self,
        share: &mut impl Share,
        after: Option<&str>,
        reply: &mut Vec<u8>,
    ) -> Option<Box<str>> {
        let mut page: Vec<(Box<str>, Content)> = Vec::new();
        share.list(after, MAX_LISTED_FILES, &mut |item| {
            page.push((item.name.as_str().into(), (item.size, item.hash)));
        });
        let is_last = page.len() < MAX_LISTED_FILES;
        let last = page.last().map(|(name, _)| name.clone());
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let end = match &last {
            Some(last) if !is_last => Bound::Included(&**last),
            Some(_) | None => Bound::Unbounded,
        };
        let gone: Vec<Box<str>> = self
            .acknowledged
            .range::<str, _>((start, end))
            .map(|(name, _)| name)
            .filter(|name| page.binary_search_by(|(n, _)| n.cmp(name)).is_err())
            .cloned()
            .collect();
        for name in gone {
            self.send(Change::Unshare(name), reply);
        }
        for (name, content) in page {
            if self.acknowledged.get(&name) != Some(&content) {
                self.send(Change::Share(name, content), reply);
            }
        }
        last.filter(|_| !is_last)
    }

    fn send(&mut self, change: Change, reply: &mut Vec<u8>) {
        let request = match &change {
            Change::Share(name, (size, hash)) => {
                FileName::parse(name).map(|name| Request::Share(*size, *hash, name))
            }
            Change::Unshare(name) => FileName::parse(name).map(Request::Unshare),
        };
        // A share has valid names only.
        if let Ok(request) = request {
            say(reply, request);
            self.sent.push_back(change);
        }
    }

    fn refused(&mut self, name: &str, text: &str) {
        if let Progress::Comparing(_, revision) = self.progress {
            self.complete = Some(revision);
            self.progress = Progress::Done;
        }
        if !std::mem::replace(&mut self.warned, true) {
            let (name, text) = (Visible::text(name), Visible::text(text));
            warn!("the relay does not list {name} and what follows: {text}");
        }
    }
}
