//! The attempt to fetch a file from one node, which answers `GET`.

use std::time::Instant;

use crate::close_reason::CloseReason;
use crate::jobs::candidate::Candidate;
use crate::jobs::content::{ContentInfo, Opened};
use crate::jobs::job::JobId;
use crate::jobs::user::{Failure, StoreError, User, UserEvent};
use crate::protocol::{FileName, Reply, Request};
use crate::role::{Input, ReadNext};
use crate::session::requests::{RequestQueue, ResponsePart};

/// The attempt to fetch a file from one node.
pub(super) struct Attempt {
    job: JobId,
    /// The number of the attempt in its job.
    pub(super) number: usize,
    pub(super) candidate: Candidate,
    pub(super) started: Instant,
    requests: RequestQueue<()>,
    /// Hashes the content, if it must have a certain hash.
    hasher: Option<Box<blake3::Hasher>>,
    /// Whether the node has the file. Its size, and how much of it has arrived.
    pub(super) was_found: bool,
    pub(super) size: u64,
    received: u64,
    /// The first bytes, up to `head_size`: they are held back until the content begins to go
    /// to the user. Until then another node can send it instead.
    head: Vec<u8>,
    head_size: u64,
    /// Whether the content goes to the user.
    pub(super) is_source: bool,
    /// None as long as the answer is not complete.
    result: Option<AttemptResult<'static>>,
}

/// The result of an attempt.
pub(super) enum AttemptResult<'a> {
    Complete,
    NotFound,
    Failed(Failure<'a>),
    NotStored(StoreError),
}

impl Attempt {
    /// An attempt of a job to fetch the file from a candidate.
    pub(super) fn new(
        job: JobId,
        number: usize,
        candidate: Candidate,
        head_size: u64,
        now: Instant,
    ) -> Self {
        Self {
            job,
            number,
            candidate,
            started: now,
            requests: RequestQueue::default(),
            hasher: candidate.hash.map(|_| Box::default()),
            was_found: false,
            size: 0,
            received: 0,
            head: Vec::new(),
            head_size,
            is_source: false,
            result: None,
        }
    }

    /// Reads input from the node.
    pub(super) fn on_input(
        &mut self,
        user: &mut dyn User,
        name: &FileName<'static>,
        input: Input<'_>,
        out: &mut Vec<u8>,
    ) -> ReadNext {
        if let Input::Connected = input {
            self.requests.send(&Request::Get(name.clone()), (), out);
            return ReadNext::Line;
        }
        let (part, is_last) = match self.requests.on_input(input) {
            Ok(Some((part, tag))) => (part, tag.is_some()),
            Ok(None) => return ReadNext::Line,
            Err(_) => return ReadNext::Close(CloseReason::ProtocolError),
        };
        let bytes = match part {
            ResponsePart::Head(Reply::Found(size)) if !self.may_have_size(size) => {
                return self.end(AttemptResult::Failed(Failure::OtherContent));
            }
            ResponsePart::Head(Reply::Found(size)) => {
                (self.was_found, self.size) = (true, size);
                let node = self.candidate.node;
                user.on_event(UserEvent::Found { node, size });
                &[]
            }
            ResponsePart::Body(bytes) => bytes,
            ResponsePart::Head(Reply::NotFound) => return self.end(AttemptResult::NotFound),
            ResponsePart::Head(Reply::Error(code, text)) => {
                let failure = Failure::Error(code, text.into_owned());
                return self.end(AttemptResult::Failed(failure));
            }
            _ => return ReadNext::Close(CloseReason::ProtocolError),
        };
        self.received += bytes.len() as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        if is_last && !self.has_right_hash() {
            return self.end(AttemptResult::Failed(Failure::OtherContent));
        }
        if !self.is_source && !is_last && self.received < self.head_size {
            self.head.extend_from_slice(bytes);
            return self.requests.read_next();
        }
        match self.store(user, name, bytes, is_last) {
            Ok(false) => self.requests.read_next(),
            Ok(true) => self.end(AttemptResult::Complete),
            Err(error) => self.end(AttemptResult::NotStored(error)),
        }
    }

    /// Returns whether the content is complete.
    fn store(
        &mut self,
        user: &mut dyn User,
        name: &FileName<'static>,
        bytes: &[u8],
        is_last: bool,
    ) -> Result<bool, StoreError> {
        let offset = self.received - bytes.len() as u64;
        let content = ContentInfo {
            size: self.size,
            hash: self.candidate.hash,
            mtime: None,
            is_executable: false,
            source: Some(self.candidate.node),
        };
        if !std::mem::replace(&mut self.is_source, true) {
            // What was stored in part is overwritten.
            if let Opened::Complete = user.open(self.job, name, &content)? {
                return Ok(true);
            }
            let head = std::mem::take(&mut self.head);
            if !head.is_empty() {
                user.write_at(self.job, 0, &head)?;
            }
        }
        if !bytes.is_empty() {
            user.write_at(self.job, offset, bytes)?;
            user.on_event(UserEvent::Progress {
                job: self.job,
                received: self.received,
                size: self.size,
            });
        }
        if is_last {
            user.commit(self.job, &content)?;
        }
        Ok(is_last)
    }

    /// Content of another size has another hash.
    fn may_have_size(&self, size: u64) -> bool {
        self.candidate.hash.is_none() || size == self.candidate.size
    }

    fn has_right_hash(&self) -> bool {
        let hash = self.hasher.as_ref().map(|hasher| hasher.finalize().into());
        hash == self.candidate.hash.map(|hash| hash.0)
    }

    fn end(&mut self, result: AttemptResult<'static>) -> ReadNext {
        self.result = Some(result);
        ReadNext::Close(CloseReason::Completed)
    }

    /// The result, after the connection has ended for `reason`.
    pub(super) fn finish<'a>(&mut self, reason: &'a CloseReason) -> AttemptResult<'a> {
        let (received, size) = (self.received, self.size);
        self.result
            .take()
            .unwrap_or(AttemptResult::Failed(match received {
                0 => Failure::Ended(reason),
                received => Failure::Broken {
                    received,
                    size,
                    reason,
                },
            }))
    }
}
