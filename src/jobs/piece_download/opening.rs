//! The start of a download: the first right list of pieces opens the output.

use std::time::Instant;

use crate::close_reason::CloseReason;
use crate::jobs::content::Opened;
use crate::jobs::failure::Failure;
use crate::jobs::job_context::JobContext;
use crate::jobs::job_step::JobStep;
use crate::jobs::piece_download::list_request::ListResult;
use crate::jobs::piece_download::ordered_output::OrderedOutput;
use crate::jobs::piece_download::schedule::WINDOW;
use crate::jobs::piece_download::source::SourceState;
use crate::jobs::piece_download::{DownloadStep, PieceDownload};
use crate::jobs::user_event::UserEvent;
use crate::protocol::{ErrorCode, PieceValue, Reply, Request};
use crate::session::requests::ResponsePart;

impl PieceDownload {
    /// A part of a list of pieces has arrived.
    pub(super) fn on_list(
        &mut self,
        context: &mut JobContext,
        index: usize,
        part: &ResponsePart<'_>,
        is_last: bool,
        now: Instant,
    ) -> Result<DownloadStep, CloseReason> {
        let list = &mut self.lists[index];
        let (id, source) = (list.id, list.source);
        match part {
            ResponsePart::Head(Reply::NotFound) => self.on_missing(context, source),
            ResponsePart::Head(Reply::Error(ErrorCode::CHANGED, text)) => {
                let failure = Failure::Error(ErrorCode::CHANGED, text.clone().into_owned());
                self.give_up(context, source, SourceState::GivenUp, &failure);
            }
            ResponsePart::Head(Reply::Error(ErrorCode::UNAVAILABLE | ErrorCode::SLOW_DOWN, _)) => {
                self.on_busy_list(context, source, now);
            }
            ResponsePart::Head(Reply::Error(..)) => self.on_no_list(source),
            _ => match list.on_response(part, is_last, self.hash, &self.layout) {
                ListResult::Incomplete => return Ok(JobStep::Wait.into()),
                ListResult::Unexpected => return Err(CloseReason::ProtocolError),
                ListResult::OtherContent => {
                    let failure = Failure::OtherContent;
                    self.give_up(context, source, SourceState::GivenUp, &failure);
                }
                ListResult::Wrong => {
                    let failure = Failure::WrongPieceList;
                    self.give_up(context, source, SourceState::Liar, &failure);
                }
                ListResult::Values(values) if self.values.is_empty() => {
                    self.lists.remove(index);
                    return Ok(self.on_values(context, source, values, now));
                }
                ListResult::Values(_) => {}
            },
        }
        if !is_last {
            context.cancelled.push(id);
        }
        self.lists.retain(|list| list.id != id);
        self.next_list = None;
        Ok(self.advance(context, now))
    }

    /// The values of the pieces are known: opens the output, unless the size is doubtful.
    fn on_values(
        &mut self,
        context: &mut JobContext,
        source: usize,
        values: Vec<PieceValue>,
        now: Instant,
    ) -> DownloadStep {
        self.values = values;
        self.sources.all[source].has_listed = true;
        let (node, size) = (self.sources.all[source].node, self.layout.size());
        context.user.on_event(UserEvent::Found { node, size });
        match self.size_deadline {
            Some(_) => self.advance(context, now),
            None => self.open_output(context, source, now),
        }
    }

    /// Opens the output for the content, which the node has.
    pub(super) fn open_output(
        &mut self,
        context: &mut JobContext,
        source: usize,
        now: Instant,
    ) -> DownloadStep {
        let node = self.sources.all[source].node;
        match context.user.open(self.job, &self.name, &self.info) {
            Ok(Opened::Empty) => {}
            // Such pieces are too long to wait in memory until they are checked.
            Ok(Opened::InOrder) if self.layout.piece_size() > WINDOW / 2 => {
                return DownloadStep::FallBack;
            }
            Ok(Opened::InOrder) => self.in_order = Some(OrderedOutput::default()),
            Ok(Opened::Part { pieces, unchecked }) => {
                if let Err(error) = self.resume(context, &pieces, &unchecked, now) {
                    return self.end_not_stored(context, error);
                }
            }
            Err(error) => return self.end_not_stored(context, error),
        }
        context.partial_revision += 1;
        let request = Request::Stat(self.name.clone());
        self.stat = Some(context.request_once(self.job, node, request));
        self.advance(context, now)
    }
}
