//! Tells the relay which files the node has: after each `REGISTER`, on the same
//! connection, what changed since the relay last said `OK` to it. A relay that
//! has forgotten, or never knew, gets everything.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::ops::{Bound, RangeInclusive};

use log::{debug, warn};

use crate::close_reason::CloseReason;
use crate::escaped::Escaped;
use crate::node::share::Share;
use crate::protocol::{Code, FileName, MAX_LISTED_FILES, MaybeHash, Reply, Request};
use crate::role::ReadNext;
use crate::session::server::say;

/// Lines that may be on their way without an answer.
const WINDOW: usize = 4 * MAX_LISTED_FILES;

/// The node's side of the relay's index.
#[derive(Default)]
pub struct Announcer {
    /// What the relay has said `OK` to. Without a content: a conversation broke
    /// off, and the relay may have this name or not.
    acknowledged: BTreeMap<Box<str>, Option<AnnouncedContent>>,
    /// How many have no content.
    doubtful: u64,
    /// The share's revision when the relay had last answered all of it.
    complete: Option<u64>,
    /// What was sent and not answered yet, in order.
    sent: VecDeque<IndexChange>,
    progress: AnnounceProgress,
    /// Times in a row that the relay had another number of files.
    mismatches: u32,
    /// Registrations to let pass before everything is sent once more.
    pause: u32,
    leftovers: StaleEntries,
    /// That the numbers differ has been said.
    warned_of_mismatch: bool,
    /// That the relay does not take all has been said.
    warned_of_limit: bool,
}

type AnnouncedContent = (u64, MaybeHash);

enum IndexChange {
    Share(Box<str>, AnnouncedContent),
    Unshare(Box<str>),
}

/// Files that a process before this one told the relay of, at our address.
#[derive(Default)]
enum StaleEntries {
    /// Not that we know.
    #[default]
    None,
    /// It has more than we told it: all is told, then it is to count again.
    Suspected,
    /// It was told to forget them. If it still has more, they are somebody else's.
    Forgotten,
}

/// How far the share was compared with what is acknowledged.
#[derive(Default)]
enum AnnounceProgress {
    /// No conversation.
    #[default]
    Idle,
    /// What is gone is taken back first: it makes room. Done up to this name.
    Removing(Option<Box<str>>, Revision),
    /// What is new or another one now. Done up to this name.
    Adding(Option<Box<str>>, Revision),
    /// All that there is to say was sent.
    Sent(Revision),
}

type Revision = u64;

impl Announcer {
    /// Whether a conversation is going on.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        !matches!(self.progress, AnnounceProgress::Idle)
    }

    /// Whether the relay, which has so many files of ours, is to forget the node
    /// before it hears of them: all was told, and it still has more. Once only.
    /// While it knew nothing better, what it had was of use.
    pub fn starts_over(&mut self, files: u64) -> bool {
        let is_sure = self.complete.is_some() || files == 0;
        if !matches!(self.leftovers, StaleEntries::Suspected) || !is_sure {
            return false;
        }
        if files <= *self.expected().end() {
            self.leftovers = StaleEntries::None;
            return false;
        }
        *self = Self {
            // If it breaks off, they are still there.
            leftovers: StaleEntries::Suspected,
            warned_of_limit: self.warned_of_limit,
            ..Self::default()
        };
        true
    }

    /// The relay has said that it forgot the node.
    pub fn started_over(&mut self) {
        self.leftovers = StaleEntries::Forgotten;
    }

    /// The relay has registered us and says that it has so many files of ours.
    /// Writes the first changes to `reply`. No conversation is going on.
    pub fn begin(&mut self, share: &mut impl Share, files: u64, reply: &mut Vec<u8>) -> ReadNext {
        self.reconcile(files);
        let revision = share.revision();
        self.progress = if self.complete == Some(revision) {
            AnnounceProgress::Sent(revision)
        } else {
            AnnounceProgress::Removing(None, revision)
        };
        self.go_on(share, reply)
    }

    /// The relay has answered the first change that is on its way.
    pub fn answered(
        &mut self,
        share: &mut impl Share,
        line: &[u8],
        reply: &mut Vec<u8>,
    ) -> ReadNext {
        let Some(change) = self.sent.pop_front() else {
            return ReadNext::Close(CloseReason::ProtocolError);
        };
        match (change, Reply::parse(line)) {
            (IndexChange::Share(name, content), Ok(Reply::Ok(_))) => {
                if self.acknowledged.insert(name, Some(content)) == Some(None) {
                    self.doubtful -= 1;
                }
            }
            (IndexChange::Unshare(name), Ok(Reply::Ok(_) | Reply::NotFound)) => {
                if self.acknowledged.remove(&name) == Some(None) {
                    self.doubtful -= 1;
                }
            }
            (IndexChange::Share(name, _), Ok(Reply::Error(Code::LimitReached, text))) => {
                // What was accepted stays, and all that follows would be refused.
                self.refused(&name, &text);
            }
            (_, Ok(Reply::Error(Code::UnknownVerb, _))) => {
                debug!("the relay keeps no index");
                return ReadNext::Close(CloseReason::Completed);
            }
            // Our lease ended in between, or it makes no sense: what is not
            // acknowledged is sent again at the next registration.
            (_, Ok(_)) => return ReadNext::Close(CloseReason::Completed),
            (change, Err(_)) => {
                self.sent.push_front(change);
                return ReadNext::Close(CloseReason::ProtocolError);
            }
        }
        self.go_on(share, reply)
    }

    /// The conversation is over, however it went. What has no answer the relay
    /// may have done or not: it must be said again, whatever has changed by then.
    pub fn over(&mut self) {
        self.progress = AnnounceProgress::Idle;
        for change in mem::take(&mut self.sent) {
            let (IndexChange::Share(name, _) | IndexChange::Unshare(name)) = change;
            if self.acknowledged.insert(name, None) != Some(None) {
                self.doubtful += 1;
            }
        }
    }

    /// Whether the share has changed since all of it was told, or the relay is to
    /// count again. A relay to which it never was is not hurried.
    pub fn is_behind(&self, share: &mut impl Share) -> bool {
        let recounts = matches!(self.leftovers, StaleEntries::Suspected);
        self.complete
            .is_some_and(|complete| recounts || complete != share.revision())
    }

    /// How many files the relay may have, by what it said and what it may have
    /// done when the last conversation broke off.
    fn expected(&self) -> RangeInclusive<u64> {
        let most = self.acknowledged.len() as u64;
        most - self.doubtful..=most
    }

    /// If the relay has another number of files than it acknowledged, it gets
    /// everything; at first at once, then with growing pauses. One that has none
    /// was started again, or our lease had ended: it does not have to wait.
    fn reconcile(&mut self, files: u64) {
        let known = self.acknowledged.len() as u64;
        let expected = self.expected();
        if files > *expected.end() && matches!(self.leftovers, StaleEntries::None) {
            self.leftovers = StaleEntries::Suspected;
        }
        if expected.contains(&files) {
            self.mismatches = 0;
            self.pause = 0;
            return;
        }
        if files > 0 && self.mismatches > 0 && known > 0 {
            if self.pause > 0 {
                self.pause -= 1;
                return;
            }
            if !mem::replace(&mut self.warned_of_mismatch, true) {
                warn!(
                    "the relay has {files} files of ours, not {known}: is there another node \
                     behind the same address and port?"
                );
            }
        }
        self.pause = 1 << self.mismatches.min(6);
        self.mismatches = self.mismatches.saturating_add(1);
        self.acknowledged.clear();
        self.doubtful = 0;
        self.complete = None;
    }

    /// Sends as much as may be on its way, and closes when all is answered.
    fn go_on(&mut self, share: &mut impl Share, reply: &mut Vec<u8>) -> ReadNext {
        while self.sent.len() < WINDOW {
            self.progress = match mem::take(&mut self.progress) {
                AnnounceProgress::Removing(after, revision) => {
                    match self.remove(share, after.as_deref(), reply) {
                        Some(last) => AnnounceProgress::Removing(Some(last), revision),
                        None => AnnounceProgress::Adding(None, revision),
                    }
                }
                AnnounceProgress::Adding(after, revision) => {
                    match self.add(share, after.as_deref(), reply) {
                        Some(last) => AnnounceProgress::Adding(Some(last), revision),
                        None => AnnounceProgress::Sent(revision),
                    }
                }
                AnnounceProgress::Sent(revision) if self.sent.is_empty() => {
                    self.complete = Some(revision);
                    return ReadNext::Close(CloseReason::Completed);
                }
                all_said @ (AnnounceProgress::Sent(_) | AnnounceProgress::Idle) => {
                    self.progress = all_said;
                    break;
                }
            };
        }
        ReadNext::Line
    }

    /// Takes back what is gone in one page. Returns the last name of the page,
    /// or nothing if it was the last page.
    fn remove(
        &mut self,
        share: &mut impl Share,
        after: Option<&str>,
        reply: &mut Vec<u8>,
    ) -> Option<Box<str>> {
        let known: Vec<&str> = self
            .after(after)
            .map(|(name, _)| name)
            .take(MAX_LISTED_FILES)
            .collect();
        if known.is_empty() {
            return None;
        }
        let mut gone: Vec<Box<str>> = Vec::new();
        let (mut place, mut listed, mut end) = (0, 0, None);
        share.list(after, MAX_LISTED_FILES, &mut |item| {
            let name = item.name.as_str();
            while let Some(other) = known.get(place).filter(|other| **other < name) {
                gone.push((*other).into());
                place += 1;
            }
            place += usize::from(known.get(place) == Some(&name));
            listed += 1;
            if listed == MAX_LISTED_FILES {
                end = Some(name.into());
            }
        });
        if end.is_none() {
            gone.extend(known[place..].iter().map(|name| Box::from(*name)));
            place = known.len();
        }
        // The one that was cut first says how far both were compared.
        if place == known.len() {
            let last = known.get(MAX_LISTED_FILES - 1);
            end = last.map(|name| Box::from(*name));
        }
        for name in gone {
            self.send(IndexChange::Unshare(name), reply);
        }
        end
    }

    /// Likewise for what is new, or another one now.
    fn add(
        &mut self,
        share: &mut impl Share,
        after: Option<&str>,
        reply: &mut Vec<u8>,
    ) -> Option<Box<str>> {
        let mut known = self.after(after).peekable();
        let mut changed = Vec::new();
        let (mut listed, mut last) = (0, None);
        share.list(after, MAX_LISTED_FILES, &mut |item| {
            let (name, content) = (item.name.as_str(), (item.size, item.hash));
            while known.next_if(|(other, _)| *other < name).is_some() {}
            let same = known.next_if(|(other, told)| *other == name && *told == Some(content));
            if same.is_none() {
                changed.push(IndexChange::Share(name.into(), content));
            }
            listed += 1;
            if listed == MAX_LISTED_FILES {
                last = Some(name.into());
            }
        });
        drop(known);
        for change in changed {
            self.send(change, reply);
        }
        last
    }

    /// What is acknowledged after a name.
    fn after(&self, name: Option<&str>) -> impl Iterator<Item = (&str, Option<AnnouncedContent>)> {
        let start = name.map_or(Bound::Unbounded, Bound::Excluded);
        let known = self.acknowledged.range::<str, _>((start, Bound::Unbounded));
        known.map(|(name, content)| (&**name, *content))
    }

    fn send(&mut self, change: IndexChange, reply: &mut Vec<u8>) {
        let request = match &change {
            IndexChange::Share(name, (size, hash)) => {
                FileName::parse(name).map(|name| Request::Share(*size, *hash, name))
            }
            IndexChange::Unshare(name) => FileName::parse(name).map(Request::Unshare),
        };
        // A share has valid names only.
        if let Ok(request) = request {
            say(reply, request);
            self.sent.push_back(change);
        }
    }

    fn refused(&mut self, name: &str, text: &str) {
        if let AnnounceProgress::Adding(_, revision) = self.progress {
            self.progress = AnnounceProgress::Sent(revision);
        }
        if !mem::replace(&mut self.warned_of_limit, true) {
            let (name, text) = (Escaped::text(name), Escaped::text(text));
            warn!("the relay does not list {name} and what follows: {text}");
        }
    }
}
