//! The requests in HTTP that a relay answers.

mod api;
mod choices;
mod connections;
mod contents;
mod files;
mod metalink;
mod nodes;
mod pages;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

pub(super) use connections::PendingConnections;
pub(super) use contents::{ContentFilter, FoundContent};
use log::debug;

use crate::escaped::Escaped;
use crate::protocol::{FileName, MAX_LISTED_FILES, Verb, fold_work};
use crate::relay::index::{NameQuery, Search, SearchOptions, SearchResult};
use crate::relay::{Relay, RelayRequest};
use crate::role::{ConnId, Input, ReadNext};
use crate::session::http::{Document, ErrorFormat, HttpContext, HttpRequest, Status};
use crate::web::{MissingFile, last_part};

/// The items of a list, unless the request says how many.
const DEFAULT_LIMIT: usize = 100;
/// How many items a request may ask for.
const LIMITS: RangeInclusive<usize> = 1..=MAX_LISTED_FILES;

/// Files on a page for people.
const FILES_PER_PAGE: usize = 50;

/// Names of other files on the page of a file that is missing.
const MAX_SIMILAR: usize = 5;

/// An answer that waits for its search.
pub(super) struct PendingAnswer {
    context: HttpContext,
    form: AnswerForm,
}

/// The form of the answer to a search.
enum AnswerForm {
    Json,
    Page(PageQuery),
    /// Nothing has this name; what the search finds may be meant.
    NotFound(Missing),
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

/// What a request names, and what is not there.
struct Missing {
    text: &'static str,
    name: String,
}

/// Why a request is refused.
enum Refusal {
    NotFound(Missing),
    Error {
        status: Status,
        text: Cow<'static, str>,
    },
}

impl Refusal {
    fn not_found(text: &'static str, name: &str) -> Self {
        let name = name.to_owned();
        Self::NotFound(Missing { text, name })
    }

    fn no_holder(name: &FileName<'_>) -> Self {
        Self::not_found("no node has this file", name.as_str())
    }

    fn forbidden(text: &'static str) -> Self {
        let (status, text) = (Status::FORBIDDEN, text.into());
        Self::Error { status, text }
    }

    fn bad_request(text: impl Into<Cow<'static, str>>) -> Self {
        let (status, text) = (Status::BAD_REQUEST, text.into());
        Self::Error { status, text }
    }
}

/// What a client wants to know about a file.
enum FileView {
    /// All holders, for programs.
    Holders,
    /// Something about one content.
    Content(ContentView),
}

/// What a client wants to know about a content of a file.
enum ContentView {
    /// Where it is.
    File,
    /// The description for a download manager.
    Metalink,
    /// The holders, for people.
    HoldersPage,
}

impl FileView {
    /// Parses a path: the view, and the name of the file.
    fn parse(path: &str) -> Option<(Self, &str)> {
        let (first, rest) = path.strip_prefix('/')?.split_once('/')?;
        match first {
            "files" => Some((Self::Content(ContentView::File), rest)),
            "metalink" => {
                let name = rest.strip_suffix(metalink::EXTENSION)?;
                Some((Self::Content(ContentView::Metalink), name))
            }
            "holders" => Some((Self::Content(ContentView::HoldersPage), rest)),
            "api" => Some((Self::Holders, rest.strip_prefix("holders/")?)),
            _ => None,
        }
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
        let (settings, time) = (&self.settings.http, (request.wall_clock)());
        let session = request.session.server();
        let http = match session.read_http(input, settings, time, &mut request.reply) {
            Ok(http) => http,
            Err(next) => return next,
        };
        let (source, reply) = (request.source(), &mut request.reply);
        let session = request.session.server();
        if let Some(next) = self.access.check_http(&http, source, session, reply) {
            return next;
        }
        debug!(
            "{}: HTTP request: {}",
            request.ip,
            Escaped::text(&http.path)
        );
        match self.answer_route(request, conn, &http) {
            Ok(next) => next,
            Err(Refusal::Error { status, text }) => {
                request.reply.error_document(status, &text, Vec::new())
            }
            Err(Refusal::NotFound(missing)) => self.answer_missing(request, conn, missing),
        }
    }

    fn answer_route(
        &mut self,
        request: &mut RelayRequest<'_>,
        conn: ConnId,
        http: &HttpRequest<'_>,
    ) -> Result<ReadNext, Refusal> {
        let path = http.path.as_ref();
        let verb = match path {
            "/" | "/api/files" => Verb::Search,
            "/nodes" | "/api/nodes" => Verb::List,
            "/connections" | "/api/connections" => Verb::Connections,
            "/metrics" | "/api/stats" => Verb::Stats,
            _ => return self.answer_about_file(request, http),
        };
        request.session.server().record_request(Some(verb), None);
        match path {
            "/" => Ok(self.search_for_page(request, conn, http)),
            "/api/files" => self.search_files(request, conn, http),
            "/nodes" => self.nodes_page(request, http),
            "/api/nodes" => self.api_nodes(request, http),
            "/metrics" => self.metrics(request),
            "/api/stats" => Ok(self.api_stats(request)),
            _ => Ok(self.http_connections(request, http)),
        }
    }

    /// Answers a request whose path names a file.
    fn answer_about_file(
        &mut self,
        request: &mut RelayRequest<'_>,
        http: &HttpRequest<'_>,
    ) -> Result<ReadNext, Refusal> {
        let view = FileView::parse(&http.path);
        let (view, name) = view.ok_or_else(|| {
            Refusal::not_found("no such page (a file is at /files/NAME)", &http.path)
        })?;
        let name = FileName::parse(name);
        let name = name.map_err(|error| Refusal::bad_request(error.to_string()))?;
        let session = request.session.server();
        session.record_request(Some(Verb::Find), Some(&name));
        let filter = ContentFilter::parse(http)?;
        match view {
            FileView::Holders => self.api_holders(request, &name, &filter),
            FileView::Content(view) => {
                self.answer_about_content(request, http, view, &name, &filter)
            }
        }
    }

    /// Answers a request that is about one content of a file. If there are several, the client
    /// chooses.
    fn answer_about_content(
        &mut self,
        request: &mut RelayRequest<'_>,
        http: &HttpRequest<'_>,
        view: ContentView,
        name: &FileName<'_>,
        filter: &ContentFilter,
    ) -> Result<ReadNext, Refusal> {
        // A download manager would save it under the hidden name that a stranger has chosen.
        if matches!(view, ContentView::Metalink) && name.is_hidden() {
            return Err(Refusal::forbidden("a hidden file has no Metalink"));
        }
        let found = self.find_content(request, name, filter);
        let found = found.ok_or_else(|| Refusal::no_holder(name))?;
        self.count_find();
        let content = match found {
            FoundContent::One(content) => content,
            FoundContent::Several(contents) => {
                return Ok(self.choose(request, http, name, &contents));
            }
        };
        Ok(match view {
            ContentView::File => files::redirect(request, &content, name),
            ContentView::Metalink => metalink::describe(request, &content, name),
            ContentView::HoldersPage => {
                pages::holders(request, http.host(), &content, name, filter.is_empty())
            }
        })
    }

    /// Nothing has the name of the request. A person learns which files have a name like it.
    fn answer_missing(
        &mut self,
        request: &mut RelayRequest<'_>,
        conn: ConnId,
        missing: Missing,
    ) -> ReadNext {
        let context = request.reply.http_context();
        let is_page = context.is_some_and(|context| context.error_format == ErrorFormat::Html);
        let text = last_part(&missing.name).to_owned();
        if !is_page || text.is_empty() {
            return missing_page(request, &missing, Vec::new());
        }
        let options = SearchOptions {
            max_files: MAX_SIMILAR,
            counts_all: false,
        };
        await_search(request, AnswerForm::NotFound(missing));
        request.reply.add_work(fold_work(&text));
        let search = Search::new(NameQuery::text(&text), options, None);
        self.search(request, conn, search)
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
        await_search(request, AnswerForm::Json);
        request.reply.add_work(fold_work(&text));
        let search = Search::new(NameQuery::parse(&text), options, after);
        Ok(self.search(request, conn, search))
    }

    /// `/`: a search without the number of all results, which would take longer than the page.
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
            counts_all: false,
        };
        let query = PageQuery {
            host: http.host().to_owned(),
            text: text.to_owned(),
            after: after.as_deref().map(ToOwned::to_owned),
        };
        request.reply.add_work(fold_work(text));
        let search = Search::new(NameQuery::parse(text), options, after.map(Box::from));
        await_search(request, AnswerForm::Page(query));
        self.search(request, conn, search)
    }

    /// Answers the request with the result of its search.
    pub(super) fn finish_answer(
        &self,
        request: &mut RelayRequest<'_>,
        pending: PendingAnswer,
        result: &SearchResult,
    ) -> ReadNext {
        request.reply.speak_http(pending.context);
        match pending.form {
            AnswerForm::Json => api::files(request, result, self.uptime(request.now)),
            AnswerForm::Page(query) => self.network_page(request, &query, result),
            AnswerForm::NotFound(missing) => {
                let files = result.files.items();
                let names: BTreeSet<String> = files.map(|file| file.name.to_string()).collect();
                missing_page(
                    request,
                    &missing,
                    names.iter().map(String::as_str).collect(),
                )
            }
        }
    }

    /// What `STATS` knows, for a monitoring system.
    fn metrics(&self, request: &mut RelayRequest<'_>) -> Result<ReadNext, Refusal> {
        let is_trusted = self.settings.trust.contains(request.ip);
        if !is_trusted && !self.settings.http.public_metrics {
            let text = "metrics are for trusted clients; see --trust and --public-metrics";
            return Err(Refusal::forbidden(text));
        }
        let times = &request.traffic.answer_times;
        let document = Document::metrics("peerline_relay", &self.figures(request), times);
        Ok(request.reply.document(&document))
    }
}

/// The answer to a request that names nothing; `similar` files have a name like it.
fn missing_page(request: &mut RelayRequest<'_>, missing: &Missing, similar: Vec<&str>) -> ReadNext {
    let file = MissingFile {
        name: &missing.name,
        search_parameter: "q",
        similar,
    };
    request.reply.missing_file(missing.text, &file)
}

/// Remembers what the next search of the connection is for.
fn await_search(request: &mut RelayRequest<'_>, form: AnswerForm) {
    if let Some(context) = request.reply.http_context() {
        let context = context.clone();
        request.session.extended().pending_answer = Some(Box::new(PendingAnswer { context, form }));
    }
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
