//! The requests in HTTP that a node answers.

mod file;
mod folder_archive;
mod folder_listing;
mod json;
mod list;
mod search;
mod tar_entry;
mod task;

use std::net::SocketAddr;

use log::debug;
pub(super) use task::HttpTask;

use crate::escaped::Escaped;
use crate::node::Node;
use crate::node::http::folder_archive::FolderArchive;
use crate::node::http::folder_listing::has_folder;
use crate::node::http::list::folder_address;
use crate::node::http::search::ShareSearch;
use crate::node::http::task::HttpWork;
use crate::node::requests::NodeRequest;
use crate::node::share::Share;
use crate::protocol::{FileName, Verb};
use crate::role::{ConnId, Context, Input, ReadNext};
use crate::session::ServerSession;
use crate::session::http::{ConnectionsView, Document, HttpRequest, Status};
use crate::session::server::{self, RequestContext};
use crate::web::{self, MissingFile};

impl<S: Share> Node<S> {
    /// Reads one request in HTTP and answers it.
    pub(in crate::node) fn on_http_input(
        &mut self,
        context: &mut Context<'_, Self>,
        (conn, peer): (ConnId, SocketAddr),
        session: &mut ServerSession,
        task: &mut Option<Box<HttpTask>>,
        input: Input<'_>,
    ) -> ReadNext {
        let request = &mut RequestContext::of_connection(context, conn, peer, session);
        if input == Input::Resumed {
            return self.resume_task(request, task);
        }
        let (reply, time) = (&mut request.reply, (request.wall_clock)());
        let http = match request.session.read_http(input, &self.http, time, reply) {
            Ok(http) => http,
            Err(next) => return next,
        };
        let (source, reply) = (request.source(), &mut request.reply);
        if let Some(next) = self
            .access
            .check_http(&http, source, request.session, reply)
        {
            return next;
        }
        debug!(
            "{}: HTTP request: {}",
            request.ip,
            Escaped::text(&http.path)
        );
        let path = http.path.strip_prefix('/').unwrap_or(&http.path);
        if path.is_empty() || path.ends_with('/') {
            return end_turn(self.http_list(request, task, &http, path));
        }
        match FileName::parse(path) {
            Ok(name) => match self.http_get(request, &http, &name) {
                Some(next) => next,
                None => self.http_no_file(request, task, &http, &name),
            },
            Err(_) => no_such_file(request, path),
        }
    }

    /// There is no file of this name, but there may be a folder, or one without `.tar`.
    /// `metrics` is where monitoring systems look.
    fn http_no_file(
        &mut self,
        request: &mut NodeRequest<'_, S>,
        task: &mut Option<Box<HttpTask>>,
        http: &HttpRequest<'_>,
        name: &FileName<'_>,
    ) -> ReadNext {
        let folder = format!("{name}/");
        if has_folder(&mut self.share, &folder) {
            return request.reply.moved(&folder, http.query);
        }
        if name.as_str() == "metrics" {
            return self.http_metrics(request);
        }
        match name.as_str().strip_suffix(".tar") {
            Some(folder) if !folder.is_empty() => {
                self.http_archive(request, task, &format!("{folder}/"))
            }
            _ => no_such_file(request, name.as_str()),
        }
    }

    /// Answers a request for a folder, in the way that the query says: empty for all of the
    /// share, else a name and a slash.
    fn http_list(
        &mut self,
        request: &mut NodeRequest<'_, S>,
        task: &mut Option<Box<HttpTask>>,
        http: &HttpRequest<'_>,
        folder: &str,
    ) -> ReadNext {
        let is_root = folder.is_empty();
        if let Some(search) = ShareSearch::of(http).filter(|_| is_root) {
            request.reply.add_work(search.parse_work());
            self.begin_task(request, task, HttpWork::Search(Box::new(search)))
        } else if http.has_parameter("tar") {
            self.http_archive(request, task, folder)
        } else if http.has_parameter("qr") {
            qr_code(request, http, folder)
        } else if http.has_parameter("stats") && is_root {
            let figures = Document::figures(&self.figures(request));
            request.reply.document(&figures)
        } else if http.has_parameter("metrics") && is_root {
            self.http_metrics(request)
        } else if http.has_parameter("connections") && is_root {
            Self::http_connections(request, task, http)
        } else if http.has_parameter("json") {
            self.json_folder(request, http, folder)
        } else {
            self.http_folder(request, http, folder)
        }
    }

    /// What `STATS` knows, for a monitoring system.
    fn http_metrics(&mut self, request: &mut NodeRequest<'_, S>) -> ReadNext {
        if !request.is_loopback() && !self.http.public_metrics {
            let text = "metrics are for loopback; see --public-metrics";
            return request
                .reply
                .error_document(Status::FORBIDDEN, text, Vec::new());
        }
        let times = &request.traffic.answer_times;
        let metrics = Document::metrics("peerline_node", &self.figures(request), times);
        request.reply.document(&metrics)
    }

    /// Who is connected, for clients on loopback. The loop has the list.
    fn http_connections(
        request: &mut NodeRequest<'_, S>,
        task: &mut Option<Box<HttpTask>>,
        http: &HttpRequest<'_>,
    ) -> ReadNext {
        request
            .session
            .record_request(Some(Verb::Connections), None);
        let is_trusted = request.is_loopback();
        if let Some(context) = request.reply.http_context().filter(|_| is_trusted) {
            let view = match http.has_parameter("json") {
                true => ConnectionsView::Object,
                false => ConnectionsView::Page {
                    host: http.host().to_owned(),
                    path: "/?connections",
                },
            };
            let work = HttpWork::Connections(view);
            *task = Some(Box::new(HttpTask::new(context.clone(), work)));
        }
        server::list_connections(request, is_trusted)
    }

    /// Sends a folder as an archive: empty for all of the share, else a name and a slash.
    fn http_archive(
        &mut self,
        request: &mut NodeRequest<'_, S>,
        task: &mut Option<Box<HttpTask>>,
        folder: &str,
    ) -> ReadNext {
        if !folder.is_empty() && !has_folder(&mut self.share, folder) {
            return no_such_file(request, folder);
        }
        let archive = FolderArchive::new(folder.to_owned(), &self.share);
        let reply = &mut request.reply;
        if !reply.begin_stream("application/x-tar", &archive.file_name()) {
            return reply.next();
        }
        self.begin_task(request, task, HttpWork::Archive(archive))
    }
}

/// Nothing of this name is shared.
fn no_such_file<S: Share>(request: &mut NodeRequest<'_, S>, name: &str) -> ReadNext {
    let missing = MissingFile {
        name,
        search_parameter: "search",
        similar: Vec::new(),
    };
    request.reply.missing_file("no such file", &missing)
}

/// Ends the turn of a connection after an answer that takes long to make: others have theirs
/// before its next request is handled.
fn end_turn(next: ReadNext) -> ReadNext {
    match next {
        ReadNext::Line => ReadNext::Flush,
        next => next,
    }
}

/// Sends a picture with the address of a folder.
fn qr_code<S: Share>(
    request: &mut NodeRequest<'_, S>,
    http: &HttpRequest<'_>,
    folder: &str,
) -> ReadNext {
    let address = folder_address(http.host(), folder);
    request.reply.add_work(web::qr_work(&address));
    let Some(picture) = web::qr_code(&address) else {
        return request.reply.not_found();
    };
    request.reply.document(&Document::picture(picture))
}
