//! The attempt to fetch a file from one node, which answers `GET`.

use std::time::{Duration, Instant};

use crate::close_reason::CloseReason;
use crate::jobs::candidate::Candidate;
use crate::jobs::content::{
    ContentInfo, DiscardedContent, Opened, PieceSet, StoreError, StoredPart,
};
use crate::jobs::download_status::TransferStatus;
use crate::jobs::failure::Failure;
use crate::jobs::ids::{JobId, RequestId};
use crate::jobs::slow_node;
use crate::jobs::user::User;
use crate::jobs::user_event::UserEvent;
use crate::protocol::{ContentHash, FileName, PieceLayout, Reply};
use crate::session::requests::ResponsePart;

/// The attempt to fetch a file from one node.
pub(super) struct Attempt {
    job: JobId,
    /// The number of the attempt in its job.
    pub(super) number: usize,
    /// The request for the file.
    pub(super) id: RequestId,
    pub(super) candidate: Candidate,
    pub(super) started: Instant,
    /// Hashes a content that must have a certain hash and arrives in several parts.
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
    /// The pieces that an earlier job has stored, if there was one.
    stored: Option<PieceSet>,
    /// The request for the time of the last change. The content waits for the response.
    pub(super) stat: Option<RequestId>,
    mtime: Option<i64>,
    is_executable: bool,
    /// All of the content is stored.
    is_stored: bool,
    /// The content arrives encrypted.
    pub(super) is_encrypted: bool,
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
        number: usize,
        id: RequestId,
        candidate: Candidate,
        head_size: u64,
        now: Instant,
    ) -> Self {
        Self {
            job: id.job,
            number,
            id,
            candidate,
            started: now,
            hasher: None,
            was_found: false,
            size: 0,
            received: 0,
            head: Vec::new(),
            head_size,
            is_source: false,
            stored: None,
            stat: None,
            mtime: None,
            is_executable: false,
            is_stored: false,
            is_encrypted: false,
        }
    }

    /// When the node is slow, if nothing more comes.
    pub(super) fn slow_at(&self, delay: Duration) -> Instant {
        slow_node::slow_at(self.started, self.received, delay)
    }

    /// Reads a part of the node's response. Returns the result once it is known.
    ///
    /// # Errors
    /// The response is none to `GET`.
    pub(super) fn on_response(
        &mut self,
        user: &mut dyn User,
        name: &FileName<'static>,
        part: &ResponsePart<'_>,
        is_last: bool,
    ) -> Result<Option<AttemptResult<'static>>, CloseReason> {
        let bytes: &[u8] = match part {
            ResponsePart::Head(Reply::Found(size)) if !self.may_have_size(*size) => {
                return Ok(Some(AttemptResult::Failed(self.wrong_content())));
            }
            ResponsePart::Head(Reply::Found(size)) => {
                (self.was_found, self.size) = (true, *size);
                let (node, size) = (self.candidate.node, *size);
                user.on_event(UserEvent::Found { node, size });
                &[]
            }
            ResponsePart::Body(bytes) => bytes,
            ResponsePart::Head(Reply::NotFound) => return Ok(Some(AttemptResult::NotFound)),
            ResponsePart::Head(Reply::Error(code, text)) => {
                let failure = Failure::Error(*code, text.clone().into_owned());
                return Ok(Some(AttemptResult::Failed(failure)));
            }
            _ => return Err(CloseReason::ProtocolError),
        };
        self.received += bytes.len() as u64;
        if !self.may_be_right(bytes, is_last) {
            return Ok(Some(AttemptResult::Failed(self.wrong_content())));
        }
        if !self.is_source && !is_last && self.received < self.head_size {
            self.head.extend_from_slice(bytes);
            return Ok(None);
        }
        Ok(match self.store(user, name, bytes, is_last) {
            Ok(is_complete) => is_complete.then_some(AttemptResult::Complete),
            Err(error) => Some(AttemptResult::NotStored(error)),
        })
    }

    /// Reads the response to `STAT`; none if the connection ended before. Returns the
    /// result if the content was waiting for it.
    pub(super) fn on_stat(
        &mut self,
        user: &mut dyn User,
        part: Option<&ResponsePart<'_>>,
    ) -> Option<AttemptResult<'static>> {
        self.stat = None;
        if let Some(ResponsePart::Head(Reply::Stat(stat))) = part
            && stat.hash.0 == self.candidate.hash
        {
            (self.mtime, self.is_executable) = (Some(stat.mtime), stat.is_executable);
        }
        if !self.is_stored {
            return None;
        }
        match user.start_commit(self.job, &self.content()) {
            Ok(is_complete) => is_complete.then_some(AttemptResult::Complete),
            Err(error) => Some(AttemptResult::NotStored(error)),
        }
    }

    fn content(&self) -> ContentInfo {
        ContentInfo {
            size: self.size,
            hash: self.candidate.hash,
            mtime: self.mtime,
            is_executable: self.is_executable,
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
        if !std::mem::replace(&mut self.is_source, true) {
            match user.open(self.job, name, &self.content())? {
                Opened::Part { pieces, .. } => self.stored = Some(pieces),
                Opened::Empty | Opened::InOrder => {}
            }
            let head = std::mem::take(&mut self.head);
            if !head.is_empty() {
                self.write_at(user, 0, &head)?;
            }
        }
        if !bytes.is_empty() {
            self.write_at(user, offset, bytes)?;
            user.on_event(UserEvent::Progress {
                job: self.job,
                received: self.received,
                resumed: 0,
                size: self.size,
                nodes: 1,
            });
        }
        self.is_stored = is_last;
        match is_last && self.stat.is_none() {
            true => user.start_commit(self.job, &self.content()),
            false => Ok(false),
        }
    }

    /// Writes content. What an earlier job has stored was checked, and stays as it is.
    fn write_at(
        &self,
        user: &mut dyn User,
        mut offset: u64,
        mut bytes: &[u8],
    ) -> Result<(), StoreError> {
        let Some(stored) = &self.stored else {
            return user.write_at(self.job, offset, bytes);
        };
        let layout = PieceLayout::new(self.size);
        while !bytes.is_empty() {
            let piece = offset / layout.piece_size();
            let missing = layout.range(piece as usize).end - offset;
            let length = usize::try_from(missing).map_or(bytes.len(), |n| n.min(bytes.len()));
            let (part, rest) = bytes.split_at(length);
            if !stored.contains(piece as u32) {
                user.write_at(self.job, offset, part)?;
            }
            (offset, bytes) = (offset + length as u64, rest);
        }
        Ok(())
    }

    /// How much of the content has arrived.
    pub(super) fn status(&self, now: Instant) -> TransferStatus {
        let took = now.saturating_duration_since(self.started);
        TransferStatus::new(self.received, 0, self.size, took)
    }

    /// The attempt has failed. What an earlier job has stored stays, and is returned too.
    pub(super) fn discard(&self, user: &mut dyn User) -> (DiscardedContent, Option<StoredPart>) {
        match self.stored {
            Some(_) => (DiscardedContent::default(), user.keep(self.job).stored()),
            None => (user.discard(self.job), None),
        }
    }

    fn wrong_content(&self) -> Failure<'static> {
        match self.candidate.has_hash_of_others {
            true => Failure::UnknownContent,
            false => Failure::OtherContent,
        }
    }

    /// Content of another size has another hash.
    fn may_have_size(&self, size: u64) -> bool {
        self.candidate.hash.is_none() || size == self.candidate.size
    }

    /// Hashes the next part of the content. Returns false if it is the last one, and the
    /// content is wrong.
    fn may_be_right(&mut self, bytes: &[u8], is_last: bool) -> bool {
        let Some(hash) = self.candidate.hash else {
            return true;
        };
        if is_last && self.hasher.is_none() {
            return ContentHash::of(bytes) == hash;
        }
        let hasher = self.hasher.get_or_insert_default();
        hasher.update(bytes);
        !is_last || ContentHash(hasher.finalize().into()) == hash
    }

    /// The failure of an attempt whose connection has ended for `reason`.
    pub(super) fn lost<'a>(&self, reason: &'a CloseReason) -> Failure<'a> {
        match self.received {
            0 => Failure::Ended(reason),
            received => Failure::Broken {
                received,
                size: self.size,
                reason,
            },
        }
    }
}
