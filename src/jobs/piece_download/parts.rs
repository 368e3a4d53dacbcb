//! Nodes that are fetching the same content: each has some of its pieces. `STAT` tells which.

use std::ops::Range;
use std::time::{Duration, Instant};

use crate::close_reason::CloseReason;
use crate::jobs::content::PieceSet;
use crate::jobs::failure::Failure;
use crate::jobs::ids::RequestId;
use crate::jobs::job_context::JobContext;
use crate::jobs::piece_download::PieceDownload;
use crate::jobs::piece_download::source::{NodeParts, Source, SourceState};
use crate::protocol::{FileParts, FileStat, MaybeHash, PieceList, Reply, Request};

/// How long a node that had no new piece is left alone; the next time twice as long.
const PARTS_DELAY: Duration = Duration::from_secs(1);

impl PieceDownload {
    /// The node does not have a piece that was requested: asks which ones it has.
    pub(super) fn on_missing_part(
        &mut self,
        context: &mut JobContext,
        source: usize,
        failure: &Failure<'_>,
        now: Instant,
    ) {
        let node = &mut self.sources.all[source];
        if node.awaits_parts() {
            return;
        }
        node.parts = Some(NodeParts::default());
        match std::mem::replace(&mut node.has_lacked_piece, true) {
            false => self.request_parts(context, source),
            // It has said that it has this piece.
            true if node.on_failure(true, now, PARTS_DELAY) => {
                // Its word about what it has counts no longer.
                self.sources.all[source].parts = None;
                self.give_up(context, source, SourceState::GivenUp, failure);
            }
            true => {}
        }
    }

    fn request_parts(&mut self, context: &mut JobContext, source: usize) {
        let node = self.sources.all[source].node;
        if let Some(parts) = &mut self.sources.all[source].parts
            && parts.stat.is_none()
        {
            let request = Request::Stat(self.name.clone());
            parts.stat = Some(context.request(self.job, node, request, true));
        }
    }

    /// The node that this `STAT` asks for its pieces.
    pub(super) fn source_of_stat(&self, id: RequestId) -> Option<usize> {
        let stat = |source: &Source| source.parts.as_ref().and_then(|parts| parts.stat);
        let mut sources = self.sources.all.iter();
        sources.position(|source| stat(source) == Some(id))
    }

    /// Nobody waits any longer for the answer to this `STAT`.
    pub(super) fn end_stat(&mut self, source: usize) -> Option<RequestId> {
        let parts = self.sources.all[source].parts.as_mut()?;
        parts.stat.take()
    }

    /// Asks idle nodes that have no piece of use for the pieces that they have now.
    pub(super) fn refresh_parts(&mut self, context: &mut JobContext) {
        for source in 0..self.sources.all.len() {
            let node = &self.sources.all[source];
            if let Some(parts) = &node.parts
                && node.state == SourceState::Ready
                && parts.stat.is_none()
                && self.load(source) == 0
                && !self.pieces.is_any_missing(&parts.pieces, self.useful_end())
            {
                self.request_parts(context, source);
            }
        }
    }

    /// A node has answered `STAT`.
    pub(super) fn on_parts(
        &mut self,
        context: &mut JobContext,
        source: usize,
        reply: &Reply<'_>,
        now: Instant,
    ) -> Result<(), CloseReason> {
        let useful_end = self.useful_end();
        let Some(parts) = &mut self.sources.all[source].parts else {
            return Ok(());
        };
        parts.stat = None;
        let named = match reply {
            Reply::Stat(stat) if stat.hash.0 != Some(self.hash) => {
                let failure = Failure::OtherContent;
                self.give_up(context, source, SourceState::GivenUp, &failure);
                return Ok(());
            }
            Reply::Stat(FileStat {
                parts: Some(named), ..
            }) => named,
            // Now it has the whole file.
            Reply::Stat(_) => {
                self.sources.all[source].parts = None;
                return Ok(());
            }
            Reply::NotFound => {
                self.on_missing(context, source);
                return Ok(());
            }
            Reply::Error(code, text) => {
                let failure = Failure::Error(*code, text.clone().into_owned());
                self.on_failure(context, source, &failure, now);
                return Ok(());
            }
            _ => return Err(CloseReason::ProtocolError),
        };
        let has_piece = |index: &u32| named.contains(&self.layout.range(*index as usize));
        let pieces: PieceSet = (0..self.layout.count() as u32).filter(has_piece).collect();
        let is_useful = self.pieces.is_any_missing(&pieces, useful_end);
        parts.pieces = pieces;
        let node = &mut self.sources.all[source];
        if !is_useful && node.on_failure(true, now, PARTS_DELAY) {
            log::debug!("node {}: has no new piece", node.node);
        }
        Ok(())
    }

    /// The bytes of a content that are stored in a file, from which others may read.
    pub(in crate::jobs) fn is_stored(&self) -> bool {
        !self.values.is_empty() && self.size_deadline.is_none() && self.in_order.is_none()
    }

    /// Whether all bytes of this range are stored and right.
    pub(in crate::jobs) fn has(&self, range: &Range<u64>) -> bool {
        let piece_size = self.layout.piece_size();
        let mut pieces = range.start / piece_size..range.end.div_ceil(piece_size);
        range.is_empty() || pieces.all(|index| self.pieces.is_complete_piece(index as usize))
    }

    fn parts(&self) -> FileParts {
        let pieces = self.pieces.complete_pieces();
        FileParts::new(pieces.map(|index| self.layout.range(index)))
    }

    /// What others get to know of the file.
    pub(in crate::jobs) fn stat(&self) -> FileStat {
        FileStat {
            size: self.layout.size(),
            hash: MaybeHash(Some(self.hash)),
            mtime: self.info.mtime.unwrap_or_default(),
            is_executable: self.info.is_executable,
            parts: Some(self.parts()),
        }
    }

    pub(in crate::jobs) fn piece_list(&self) -> Option<PieceList> {
        PieceList::new(self.layout, self.values.clone())
    }
}
