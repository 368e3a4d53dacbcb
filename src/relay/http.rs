//! The requests in HTTP that a relay answers.

use std::borrow::Cow;

use log::debug;
use serde_json::json;

use crate::escaped::Escaped;
use crate::relay::index::{NameQuery, Search, SearchOptions, SearchPage};
use crate::relay::{Relay, RelayRequest};
use crate::role::{ConnId, Input, ReadNext};
use crate::session::http::{Document, HttpContext, HttpRequest, Status};

/// A page that waits for its search.
pub(super) struct PendingPage {
    context: HttpContext,
}

impl Relay {
    /// Reads one request in HTTP and answers it.
    pub(super) fn answer_http(
        &mut self,
        request: &mut RelayRequest<'_>,
        conn: ConnId,
        input: Input<'_>,
    ) -> ReadNext {
        let (settings, time) = (&self.settings.http, request.wall_clock);
        let session = request.session.server();
        let http = match session.read_http(input, settings, time, &mut request.reply) {
            Ok(http) => http,
            Err(next) => return next,
        };
        debug!(
            "{}: HTTP request: {}",
            request.ip,
            Escaped::text(&http.path)
        );
        match http.path.as_ref() {
            "/api/files" => self.http_search(request, conn, &http),
            _ => request.reply.not_found(),
        }
    }

    fn http_search(
        &mut self,
        request: &mut RelayRequest<'_>,
        conn: ConnId,
        http: &HttpRequest<'_>,
    ) -> ReadNext {
        let text = http.parameter("q").unwrap_or_default();
        if let Some(context) = request.reply.http_context() {
            let context = context.clone();
            request.session.extended().pending_page = Some(Box::new(PendingPage { context }));
        }
        let (query, options) = (NameQuery::parse(&text), SearchOptions::default());
        self.search(request, conn, Search::new(query, options, None))
    }
}

impl PendingPage {
    /// Answers the request with the result of its search.
    pub(super) fn finish(self, request: &mut RelayRequest<'_>, page: SearchPage) -> ReadNext {
        request.reply.speak_http(self.context);
        let files: Vec<_> = page
            .files
            .items()
            .map(|file| json!({ "name": file.name.as_str(), "size": file.size }))
            .collect();
        let content = format!("{}\n", json!({ "total": page.total, "files": files }));
        request.reply.document(&Document {
            status: Status::OK,
            media_type: "application/json",
            headers: Vec::new(),
            content: Cow::Owned(content.into_bytes()),
        })
    }
}
