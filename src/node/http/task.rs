//! Answers in HTTP that take several turns of their connection.

use crate::node::Node;
use crate::node::http::folder_archive::FolderArchive;
use crate::node::http::search::ShareSearch;
use crate::node::requests::NodeRequest;
use crate::node::share::Share;
use crate::role::{ConnectionInfo, ReadNext};
use crate::session::http::{ConnectionsView, HttpContext};

/// An answer that is not complete.
pub struct HttpTask {
    context: HttpContext,
    work: HttpWork,
}

/// What an answer needs.
pub(super) enum HttpWork {
    Search(Box<ShareSearch>),
    Archive(FolderArchive),
    /// The list of connections, which the loop has.
    Connections(ConnectionsView),
}

impl HttpTask {
    pub(super) fn new(context: HttpContext, work: HttpWork) -> Self {
        Self { context, work }
    }

    /// Appends the list of connections, if the answer is one.
    pub(in crate::node) fn write_connections(
        &self,
        total: u64,
        connections: &[ConnectionInfo],
        text: &mut Vec<u8>,
    ) {
        if let HttpWork::Connections(view) = &self.work {
            view.write_to(&self.context, total, connections, text);
        }
    }
}

impl<S: Share> Node<S> {
    /// Begins the answer to the current request.
    pub(super) fn begin_task(
        &mut self,
        request: &mut NodeRequest<'_, S>,
        slot: &mut Option<Box<HttpTask>>,
        work: HttpWork,
    ) -> ReadNext {
        let Some(context) = request.reply.http_context().cloned() else {
            return ReadNext::Line;
        };
        self.run_task(request, slot, Box::new(HttpTask::new(context, work)))
    }

    /// Goes on with the answer in `slot`.
    pub(super) fn resume_task(
        &mut self,
        request: &mut NodeRequest<'_, S>,
        slot: &mut Option<Box<HttpTask>>,
    ) -> ReadNext {
        let Some(task) = slot.take() else {
            return ReadNext::Line;
        };
        request.reply.speak_http(task.context.clone());
        self.run_task(request, slot, task)
    }

    /// Does a part of the work. Stores the task if it is not complete.
    fn run_task(
        &mut self,
        request: &mut NodeRequest<'_, S>,
        slot: &mut Option<Box<HttpTask>>,
        mut task: Box<HttpTask>,
    ) -> ReadNext {
        match &mut task.work {
            HttpWork::Search(search) => {
                let (is_complete, work) = search.step(&mut self.share);
                request.reply.add_work(work);
                if is_complete {
                    return request.reply.document(&search.document());
                }
            }
            HttpWork::Connections(_) => return request.reply.next(),
            HttpWork::Archive(archive) => match archive.step(&mut self.share, request) {
                Ok(true) => return request.reply.next(),
                Ok(false) => {}
                Err(reason) => return ReadNext::Close(reason),
            },
        }
        *slot = Some(task);
        ReadNext::Flush
    }
}
