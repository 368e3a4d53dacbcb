//! Several contents under one name: the client chooses.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::json;

use crate::counted::Counted;
use crate::protocol::FileName;
use crate::relay::http::api::hash_value;
use crate::relay::http::contents::Content;
use crate::relay::index::ContentId;
use crate::relay::{Relay, RelayRequest};
use crate::role::ReadNext;
use crate::session::http::ErrorFormat;
use crate::session::http::{Document, HttpRequest, Status};
use crate::web::text::path;
use crate::web::{ContentRow, ContentsPage, content_query};

/// The most contents on a page.
const MAX_CONTENTS: usize = 50;
/// The most nodes of a content that the page names.
const MAX_NODES: usize = 3;

impl Relay {
    /// Lets the client choose. Each choice leads to what the client has asked for.
    pub(super) fn choose(
        &self,
        request: &mut RelayRequest<'_>,
        http: &HttpRequest<'_>,
        name: &FileName<'_>,
        contents: &[Content],
    ) -> ReadNext {
        let context = request.reply.http_context();
        let format = context.map_or(ErrorFormat::Text, |context| context.error_format);
        let mut document = match format {
            ErrorFormat::Html => {
                let ages = self.content_ages(request, name);
                let shown = contents.iter().take(MAX_CONTENTS);
                let rows = shown.map(|content| row(http, content, &ages));
                let page = ContentsPage {
                    host: http.host(),
                    name: name.as_str(),
                    count: contents.len(),
                    rows: rows.collect(),
                };
                Document::page(Status::MULTIPLE_CHOICES, &page)
            }
            ErrorFormat::Json => {
                let listed = contents.iter().map(|content| {
                    json!({
                        "size": content.size,
                        "hash": hash_value(content.hash),
                        "holders": content.nodes.len(),
                        "url": link(http, content),
                    })
                });
                let object = json!({
                    "name": name.as_str(),
                    "contents": listed.collect::<Vec<_>>(),
                });
                Document::json(Status::MULTIPLE_CHOICES, &object)
            }
            ErrorFormat::Text => {
                let mut text = "several contents have this name; choose one:".to_owned();
                for content in contents {
                    let size = Counted(content.size, "byte");
                    text += &format!("\n{}  {size}", link(http, content));
                }
                // A program that saves what it gets, such as wget, must not save the choices.
                return request
                    .reply
                    .error_document(Status::CONFLICT, &text, Vec::new());
            }
        };
        document.headers.push(("Vary", "Accept".into()));
        request.reply.document(&document)
    }
}

/// The path of the request, for this content.
fn link(http: &HttpRequest<'_>, content: &Content) -> String {
    let query = content_query(content.size, content.hash);
    format!("{}{query}", path(&http.path))
}

/// A content on the page.
fn row(
    http: &HttpRequest<'_>,
    content: &Content,
    ages: &HashMap<ContentId, Duration>,
) -> ContentRow {
    let nodes = content.nodes.iter().take(MAX_NODES);
    ContentRow {
        link: link(http, content),
        query: content_query(content.size, content.hash),
        size: content.size,
        hash: content.hash.0.map(|hash| hash.to_string()),
        age: ages.get(&content.id()).copied(),
        holders: content.nodes.len(),
        nodes: nodes.map(|node| node.address.into()).collect(),
    }
}
