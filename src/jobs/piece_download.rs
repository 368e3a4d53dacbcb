//! The download of a content with a known hash from several nodes at once, piece by
//! piece.
//!
//! A node lists the values of all pieces, which fold to the hash of the content. Then
//! each piece can be checked when it has arrived, whoever sent it. Each node has a few
//! requests at a time and gets the next one when a piece is complete, so a slow node
//! sends less. A node that sends a wrong piece is not asked again.

mod end;
mod list_request;
mod opening;
mod ordered_output;
mod parts;
mod piece_map;
mod progress;
mod schedule;
mod size_check;
mod source;
mod stored_pieces;
mod transfer;

use std::time::{Duration, Instant};

use crate::close_reason::CloseReason;
use crate::jobs::content::{ContentInfo, PieceSet, StoreError};
use crate::jobs::failure::Failure;
use crate::jobs::ids::{JobId, RequestId};
use crate::jobs::job_context::JobContext;
use crate::jobs::job_step::JobStep;
use crate::jobs::piece_download::list_request::PieceListRequest;
use crate::jobs::piece_download::ordered_output::OrderedOutput;
use crate::jobs::piece_download::piece_map::PieceMap;
use crate::jobs::piece_download::source::{SourceState, Sources};
use crate::jobs::piece_download::transfer::{Transfer, TransferPlace};
use crate::protocol::{
    ContentHash, ErrorCode, FileName, NodeAddress, PieceLayout, PieceValue, Reply,
};
use crate::session::requests::ResponsePart;

/// Downloads one content.
pub(super) struct PieceDownload {
    job: JobId,
    name: FileName<'static>,
    hash: ContentHash,
    layout: PieceLayout,
    started: Instant,
    /// What the output gets with the content.
    info: ContentInfo,
    /// The values of all pieces. Empty until a node has listed them.
    values: Vec<PieceValue>,
    sources: Sources,
    /// The number of nodes that failed, and of those that sent something wrong.
    failures: usize,
    liars: usize,
    /// The lists that are on their way, and when another node is asked for its list.
    lists: Vec<PieceListRequest>,
    next_list: Option<Instant>,
    /// The request for the time of the last change.
    stat: Option<RequestId>,
    pieces: PieceMap,
    /// The stored pieces that are being checked, and when the next results are taken.
    unchecked: PieceSet,
    was_checked: bool,
    /// How many of the checked pieces were wrong.
    wrong_stored: usize,
    next_check: Option<Instant>,
    transfers: Vec<Transfer>,
    /// Set if our rate limit brings no more pieces now: until when at most.
    limited_until: Option<Instant>,
    /// Set as long as the size is not checked, if nodes announce several sizes for the hash:
    /// until when the last piece must have come, which shows it.
    size_deadline: Option<Instant>,
    /// Set if the output takes bytes in order only.
    in_order: Option<OrderedOutput>,
    /// Whether the output is a file of the user: only right pieces may be written there.
    is_repair: bool,
    /// The bytes of complete pieces.
    stored: u64,
    /// How many of these bytes an earlier download had stored.
    resumed: u64,
    /// Whether a part of the others was not encrypted.
    is_plain: bool,
    /// Whether the relay is being asked for holders, and when it may be asked again.
    is_querying: bool,
    next_query: Instant,
    query_delay: Duration,
    /// How long the download waits for a holder, since there is none.
    wait_until: Option<Instant>,
}

/// What follows an event of a download.
pub(super) enum DownloadStep {
    /// The next step of its job.
    Job(JobStep),
    /// No node lists the pieces, or none shows that its size is right: the whole content can only
    /// be fetched from one node.
    FallBack,
    /// The content is not stored, because a file has the name by now.
    NameTaken(StoreError),
}

impl From<JobStep> for DownloadStep {
    fn from(step: JobStep) -> Self {
        Self::Job(step)
    }
}

impl PieceDownload {
    /// A download of the content of `size` bytes that `nodes` have.
    pub(super) fn new(
        context: &JobContext,
        (job, name): (JobId, FileName<'static>),
        (hash, size): (ContentHash, u64),
        nodes: Vec<NodeAddress>,
        now: Instant,
    ) -> Self {
        let layout = PieceLayout::new(size);
        let query_delay = end::first_query_delay(context);
        let mut pieces = PieceMap::new(layout.count());
        if let Some(order) = context.piece_order {
            pieces.shuffle(order.wrapping_add(job.0));
        }
        Self {
            job,
            name,
            hash,
            layout,
            started: now,
            info: ContentInfo::new(size, Some(hash)),
            values: Vec::new(),
            sources: Sources::new(nodes, context.limits.sources),
            failures: 0,
            liars: 0,
            lists: Vec::new(),
            next_list: None,
            stat: None,
            pieces,
            unchecked: PieceSet::default(),
            was_checked: false,
            wrong_stored: 0,
            next_check: None,
            transfers: Vec::new(),
            limited_until: None,
            size_deadline: None,
            in_order: None,
            is_repair: context.user.repairs_file(),
            stored: 0,
            resumed: 0,
            is_plain: false,
            is_querying: false,
            next_query: now + query_delay,
            query_delay,
            wait_until: None,
        }
    }

    /// The name of the file.
    pub(in crate::jobs) fn name(&self) -> &FileName<'static> {
        &self.name
    }

    /// The hash and the size of the content.
    pub(in crate::jobs) fn content(&self) -> (ContentHash, u64) {
        (self.hash, self.layout.size())
    }

    /// When to call [`PieceDownload::advance`].
    pub(super) fn next_deadline(&self, context: &JobContext) -> Option<Instant> {
        let fill = self.next_fill(context);
        let deadlines = [fill, self.next_query(), self.next_check, self.size_deadline];
        deadlines.into_iter().flatten().min()
    }

    /// Whether the response to a request is still awaited.
    pub(super) fn awaits(&self, id: RequestId) -> bool {
        let is_transfer = self.transfers.iter().any(|transfer| transfer.id == id);
        let is_stat = self.stat == Some(id) || self.source_of_stat(id).is_some();
        is_transfer || is_stat || self.lists.iter().any(|list| list.id == id)
    }

    /// A part of a response has arrived.
    pub(super) fn on_response(
        &mut self,
        context: &mut JobContext,
        id: RequestId,
        part: &ResponsePart<'_>,
        is_last: bool,
        now: Instant,
    ) -> Result<DownloadStep, CloseReason> {
        let transfer = self.transfers.iter().position(|other| other.id == id);
        if let Some(index) = transfer {
            return match part {
                ResponsePart::Body(bytes) => Ok(self.on_bytes(context, index, bytes, is_last, now)),
                ResponsePart::Head(head) => self.on_head(context, index, head, now),
                _ => Err(CloseReason::ProtocolError),
            };
        }
        if let Some(index) = self.lists.iter().position(|list| list.id == id) {
            return self.on_list(context, index, part, is_last, now);
        }
        if let (Some(source), ResponsePart::Head(head)) = (self.source_of_stat(id), part) {
            self.on_parts(context, source, head, now)?;
            return Ok(self.advance(context, now));
        }
        if self.stat == Some(id)
            && let ResponsePart::Head(Reply::Stat(stat)) = part
            && stat.hash.0 == Some(self.hash)
            && stat.parts.is_none()
        {
            self.info.mtime = Some(stat.mtime);
            self.info.is_executable = stat.is_executable;
        }
        Ok(JobStep::Wait.into())
    }

    /// The first line of the response to a request for a piece.
    fn on_head(
        &mut self,
        context: &mut JobContext,
        index: usize,
        head: &Reply<'_>,
        now: Instant,
    ) -> Result<DownloadStep, CloseReason> {
        let Transfer {
            id, source, piece, ..
        } = self.transfers[index];
        let range = self.layout.range(piece as usize);
        self.transfers[index].last_input = now;
        match head {
            Reply::Found(length) if *length == range.end - range.start => {
                self.sources.all[source].has_sent = true;
                return Ok(JobStep::Wait.into());
            }
            Reply::Found(_) => {
                context.cancelled.push(id);
                let failure = Failure::OtherContent;
                self.give_up(context, source, SourceState::Liar, &failure);
            }
            Reply::NotFound => self.on_missing(context, source),
            Reply::Error(code, text) => {
                let failure = Failure::Error(*code, text.clone().into_owned());
                self.transfers.swap_remove(index);
                self.give_back(piece);
                match *code {
                    ErrorCode::OUT_OF_RANGE if self.size_deadline.is_none() => {
                        self.on_missing_part(context, source, &failure, now);
                    }
                    ErrorCode::UNAVAILABLE
                    | ErrorCode::SLOW_DOWN
                    | ErrorCode::INTERNAL
                    | ErrorCode::NO_SECRET => {
                        self.on_failure(context, source, &failure, now);
                    }
                    _ => self.give_up(context, source, SourceState::GivenUp, &failure),
                }
            }
            _ => return Err(CloseReason::ProtocolError),
        }
        Ok(self.advance(context, now))
    }

    /// Bytes of a piece have arrived.
    fn on_bytes(
        &mut self,
        context: &mut JobContext,
        index: usize,
        bytes: &[u8],
        is_last: bool,
        now: Instant,
    ) -> DownloadStep {
        let transfer = &mut self.transfers[index];
        let start = self.layout.range(transfer.piece as usize).start;
        let offset = start + transfer.received;
        transfer.last_input = now;
        transfer.received += bytes.len() as u64;
        self.sources.all[transfer.source].received += bytes.len() as u64;
        transfer.hasher.update(bytes);
        self.is_plain |= !context.is_encrypted;
        let written = match &mut transfer.place {
            TransferPlace::Output => context.user.write_at(self.job, offset, bytes),
            TransferPlace::Memory(buffer) => {
                buffer.extend_from_slice(bytes);
                Ok(())
            }
            TransferPlace::Nowhere if is_last => return self.check_size(context, index, now),
            TransferPlace::Nowhere => return JobStep::Wait.into(),
        };
        let result = match (written, is_last) {
            (Ok(()), true) => self.on_piece(context, index, now),
            (other, _) => other,
        };
        if let Err(error) = result {
            return self.end_not_stored(context, error);
        }
        context.user.on_event(self.progress(now));
        match is_last {
            true => self.advance(context, now),
            false => JobStep::Wait.into(),
        }
    }

    /// All bytes of a piece have arrived.
    fn on_piece(
        &mut self,
        context: &mut JobContext,
        index: usize,
        now: Instant,
    ) -> Result<(), StoreError> {
        let transfer = self.transfers.swap_remove(index);
        let (piece, source) = (transfer.piece, transfer.source);
        if transfer.hasher.value().as_ref() != self.values.get(piece as usize) {
            self.give_back(piece);
            let failure = Failure::WrongPiece(piece);
            self.give_up(context, source, SourceState::Liar, &failure);
            return Ok(());
        }
        let user = &mut *context.user;
        let range = self.layout.range(piece as usize);
        match (transfer.place, &mut self.in_order) {
            (TransferPlace::Memory(bytes), Some(output)) => {
                output.write(user, self.job, &self.layout, piece, bytes)?;
            }
            (TransferPlace::Memory(bytes), None) => {
                user.write_at(self.job, range.start, &bytes)?;
                user.record_piece(self.job, piece)?;
            }
            (TransferPlace::Output, _) => user.record_piece(self.job, piece)?,
            (TransferPlace::Nowhere, _) => {}
        }
        self.pieces.complete(piece);
        self.stored += range.end - range.start;
        self.cancel_transfers(context, piece);
        self.sources.all[source].on_right_piece(range.end - range.start);
        self.wait_until = None;
        self.next_query = self.next_query.max(now);
        Ok(())
    }

    /// The connection with a request has ended for `reason`.
    pub(super) fn on_lost_request(
        &mut self,
        context: &mut JobContext,
        id: RequestId,
        reason: &CloseReason,
        now: Instant,
    ) -> DownloadStep {
        if let Some(index) = self.transfers.iter().position(|other| other.id == id) {
            let transfer = self.transfers.swap_remove(index);
            self.give_back(transfer.piece);
            let failure = Failure::Ended(reason);
            self.on_failure(context, transfer.source, &failure, now);
        } else if let Some(source) = self.source_of_stat(id) {
            self.end_stat(source);
            self.on_failure(context, source, &Failure::Ended(reason), now);
        } else if let Some(index) = self.lists.iter().position(|list| list.id == id) {
            let source = self.lists.remove(index).source;
            self.next_list = None;
            match reason {
                CloseReason::ConnectFailed(_)
                | CloseReason::ConnectTimeout
                | CloseReason::ReadTimeout => {
                    let failure = Failure::Ended(reason);
                    self.give_up(context, source, SourceState::GivenUp, &failure);
                }
                // A person with `nc` answers GET only.
                _ => self.on_no_list(source),
            }
        }
        self.advance(context, now)
    }

    /// Nobody sends this piece any longer, unless another request for it is open.
    fn give_back(&mut self, piece: u32) {
        if self.transfers.iter().all(|other| other.piece != piece) {
            self.pieces.give_back(piece);
        }
    }

    /// Stops all requests for this piece.
    fn cancel_transfers(&mut self, context: &mut JobContext, piece: u32) {
        let cancelled = self.transfers.extract_if(.., |other| other.piece == piece);
        context
            .cancelled
            .extend(cancelled.map(|transfer| transfer.id));
    }
}
