//! The requests in HTTP that a relay answers.

mod api;
mod choices;
mod contents;
mod files;
mod metalink;
mod nodes;
mod pages;

use std::borrow::Cow;
use std::ops::RangeInclusive;

use log::debug;
use serde_json::Value;

use crate::escaped::Escaped;
use crate::protocol::{FileName, MAX_LISTED_FILES};
use crate::relay::index::{NameQuery, Search, SearchOptions, SearchPage};
use crate::relay::{Relay, RelayRequest};
use crate::role::{ConnId, Input, ReadNext};
use crate::session::http::{Document, HttpContext, HttpRequest, Status};

/// The items of a list, unless the request says how many.
const DEFAULT_LIMIT: usize = 100;
/// How many items a request may ask for.
const LIMITS: RangeInclusive<usize> = 1..=MAX_LISTED_FILES;

/// Files on a page for people.
const FILES_PER_PAGE: usize = 50;

/// A page that waits for its search.
pub(super) struct PendingPage {
    context: HttpContext,
    /// None if it is for a program.
    query: Option<PageQuery>,
}

/// The search for a page for people.
struct PageQuery {
    /// The host that the browser has asked.
    host: String,
    /// A text or a glob.
    text: String,
    /// The files after this name are listed.
    after: Option<String>,
}

/// Why a request is not answered as it wishes.
struct Refusal {
    status: Status,
    text: Cow<'static, str>,
}

impl Refusal {
    fn not_found(text: &'static str) -> Self {
        let (status, text) = (Status::NOT_FOUND, text.into());
        Self { status, text }
    }

    fn bad_request(text: impl Into<Cow<'static, str>>) -> Self {
        let (status, text) = (Status::BAD_REQUEST, text.into());
        Self { status, text }
    }
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
        self.answer_route(request, conn, &http)
            .unwrap_or_else(|Refusal { status, text }| {
                request.reply.error_document(status, &text, Vec::new())
            })
    }

    fn answer_route(
        &mut self,
        request: &mut RelayRequest<'_>,
        conn: ConnId,
        http: &HttpRequest<'_>,
    ) -> Result<ReadNext, Refusal> {
        match http.path.as_ref() {
            "/api/files" => self.search_files(request, conn, http),
            "/api/nodes" => self.api_nodes(request, http),
            "/api/stats" => Ok(self.api_stats(request)),
            "/metrics" => self.metrics(request),
            "/" => Ok(self.search_for_page(request, conn, http)),
            "/nodes" => self.nodes_page(request, http),
            path => {
                if let Some(name) = path.strip_prefix("/api/holders/") {
                    self.api_holders(request, http, &file_name(name)?)
                } else if let Some(name) = path.strip_prefix("/holders/") {
                    self.holders_page(request, http, &file_name(name)?)
                } else if let Some(name) = path.strip_prefix("/files/") {
                    self.redirect(request, http, &file_name(name)?)
                } else if let Some(name) = path
                    .strip_prefix("/metalink/")
                    .and_then(|name| name.strip_suffix(metalink::EXTENSION))
                {
                    self.metalink(request, http, &file_name(name)?)
                } else {
                    Err(Refusal::not_found("no such page; a file is at /files/NAME"))
                }
            }
        }
    }

    fn search_files(
        &mut self,
        request: &mut RelayRequest<'_>,
        conn: ConnId,
        http: &HttpRequest<'_>,
    ) -> Result<ReadNext, Refusal> {
        let text = http.parameter("q").unwrap_or_default();
        let options = SearchOptions {
            max_files: limit(http)?,
            counts_all: true,
        };
        let after = http.parameter("after").map(|after| after.as_ref().into());
        await_page(request, None);
        let search = Search::new(NameQuery::parse(&text), options, after);
        Ok(self.search(request, conn, search))
    }

    /// `/`: a search without the number of all files, which would take longer than the page.
    /// The number of all files of the network is known.
    fn search_for_page(
        &mut self,
        request: &mut RelayRequest<'_>,
        conn: ConnId,
        http: &HttpRequest<'_>,
    ) -> ReadNext {
        let parameter = |name| http.parameter(name).filter(|value| !value.is_empty());
        let text = parameter("q").unwrap_or_default();
        let text = text.trim();
        let after = parameter("after");
        let options = SearchOptions {
            max_files: FILES_PER_PAGE,
            counts_all: text.is_empty(),
        };
        let query = PageQuery {
            host: http.host.to_owned(),
            text: text.to_owned(),
            after: after.as_deref().map(ToOwned::to_owned),
        };
        let search = Search::new(NameQuery::parse(text), options, after.map(Box::from));
        await_page(request, Some(query));
        self.search(request, conn, search)
    }

    /// Answers the request with the result of its search.
    pub(super) fn finish_page(
        &self,
        request: &mut RelayRequest<'_>,
        pending: PendingPage,
        page: &SearchPage,
    ) -> ReadNext {
        request.reply.speak_http(pending.context);
        match pending.query {
            None => api::files(request, page),
            Some(query) => self.network_page(request, &query, page),
        }
    }

    /// What `STATS` knows, for a monitoring system.
    fn metrics(&self, request: &mut RelayRequest<'_>) -> Result<ReadNext, Refusal> {
        let is_trusted = request.is_loopback() || self.settings.trust.contains(request.ip);
        if !is_trusted && !self.settings.http.public_metrics {
            return Err(Refusal {
                status: Status::FORBIDDEN,
                text: "metrics are for loopback and --trust; see --public-metrics".into(),
            });
        }
        let times = &request.traffic.answer_times;
        let document = Document::metrics("peerline_relay", &self.figures(request), times);
        Ok(request.reply.document(&document))
    }
}

/// Remembers what the next search of the connection is for.
fn await_page(request: &mut RelayRequest<'_>, query: Option<PageQuery>) {
    if let Some(context) = request.reply.http_context() {
        let context = context.clone();
        request.session.extended().pending_page = Some(Box::new(PendingPage { context, query }));
    }
}

/// The name of a file in the path of a request.
fn file_name(name: &str) -> Result<FileName<'_>, Refusal> {
    FileName::parse(name).map_err(|error| Refusal::bad_request(error.to_string()))
}

/// The most items that the answer may list.
fn limit(http: &HttpRequest<'_>) -> Result<usize, Refusal> {
    let Some(limit) = http.parameter("limit") else {
        return Ok(DEFAULT_LIMIT);
    };
    let limit = limit.parse().ok().filter(|limit| LIMITS.contains(limit));
    limit.ok_or_else(|| {
        let (first, last) = (LIMITS.start(), LIMITS.end());
        Refusal::bad_request(format!("limit must be a number from {first} to {last}"))
    })
}

/// Answers with an object for programs.
fn json_document(request: &mut RelayRequest<'_>, status: Status, object: &Value) -> ReadNext {
    request.reply.document(&Document::json(status, object))
}
