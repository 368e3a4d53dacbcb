//! The kinds of content that the servers make, as documents.

use std::borrow::Cow;

use askama::Template;
use serde_json::{Map, Value};

use crate::figure::Figure;
use crate::histogram::TimeHistogram;
use crate::session::http::response::Document;
use crate::session::http::status::Status;
use crate::web::PAGE_TYPE;
use crate::web::metrics::{METRICS_TYPE, metrics};

/// Clients may store these contents, but ask each time whether they are still right.
const NO_CACHE: (&str, Cow<'static, str>) = ("Cache-Control", Cow::Borrowed("no-cache"));

impl Document<'static> {
    /// A page for browsers.
    pub(crate) fn page(status: Status, page: &impl Template) -> Self {
        // Writing to a string does not fail.
        let content = page.render().unwrap_or_default();
        Self::new(status, PAGE_TYPE, content)
    }

    /// An object for programs.
    pub(crate) fn json(status: Status, object: &Value) -> Self {
        Self::new(status, "application/json", format!("{object}\n"))
    }

    /// The figures of `STATS`, each as a member of an object.
    pub(crate) fn figures(figures: &[Figure]) -> Self {
        let named = figures
            .iter()
            .map(|figure| (figure.full_name().into_owned(), figure.value.into()));
        let object = Value::Object(named.collect::<Map<String, Value>>());
        Self::json(Status::OK, &object)
    }

    /// The figures of `STATS` and the times of answers, for a monitoring system.
    pub(crate) fn metrics(prefix: &str, figures: &[Figure], answer_times: &TimeHistogram) -> Self {
        let text = metrics(prefix, figures, answer_times);
        Self::new(Status::OK, METRICS_TYPE, text)
    }

    /// A picture in SVG.
    pub(crate) fn picture(picture: String) -> Self {
        Self::new(Status::OK, "image/svg+xml", picture)
    }

    fn new(status: Status, media_type: &'static str, content: String) -> Self {
        Self {
            status,
            media_type,
            headers: vec![NO_CACHE],
            content: Cow::Owned(content.into_bytes()),
        }
    }
}
