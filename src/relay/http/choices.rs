//! Several contents under one name: the client chooses.

use serde_json::json;

use crate::counted::Counted;
use crate::protocol::FileName;
use crate::relay::RelayRequest;
use crate::relay::http::api::hash_value;
use crate::relay::http::contents::Content;
use crate::role::ReadNext;
use crate::session::http::ErrorFormat;
use crate::session::http::{Document, HttpRequest, Status};
use crate::web::text::path;
use crate::web::{ContentRow, ContentsPage, content_query};

/// Lets the client choose. Each choice leads to what the client has asked for.
pub(super) fn choose(
    request: &mut RelayRequest<'_>,
    http: &HttpRequest<'_>,
    name: &FileName<'_>,
    contents: &[Content],
) -> ReadNext {
    let link = |content: &Content| {
        let query = content_query(content.size, content.hash);
        format!("{}{query}", path(&http.path))
    };
    let context = request.reply.http_context();
    let mut document = match context.map_or(ErrorFormat::Text, |context| context.error_format) {
        ErrorFormat::Html => {
            let rows = contents.iter().map(|content| ContentRow {
                link: link(content),
                size: content.size,
                hash: content.hash.0.map(|hash| hash.to_string()),
                holders: content.nodes.len(),
            });
            let page = ContentsPage {
                host: http.host(),
                name: name.as_str(),
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
                    "url": link(content),
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
                text += &format!("\n{}  {}", link(content), Counted(content.size, "byte"));
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
