//! `/files/NAME`: leads to a node that has the file.

use std::borrow::Cow;

use crate::protocol::FileName;
use crate::relay::RelayRequest;
use crate::relay::http::contents::Content;
use crate::role::ReadNext;
use crate::session::http::{Document, Status};
use crate::web::node_url;

/// The most other holders that an answer names (RFC 6249).
const MAX_DUPLICATES: usize = 32;
/// The most bytes of their addresses: some clients read no more than 16 KiB of headers.
const MAX_DUPLICATE_BYTES: usize = 8 * 1024;

/// Leads to a holder of the file, another one each time, and names others.
pub(super) fn redirect(
    request: &mut RelayRequest<'_>,
    content: &Content,
    name: &FileName<'_>,
) -> ReadNext {
    let mut urls = content
        .nodes
        .iter()
        .map(|node| node_url(node.address.into(), name.as_str()).to_string());
    // A content has a holder.
    let url = urls.next().unwrap_or_default();
    let text = format!("{url}\n");
    let mut headers = vec![
        ("Location", Cow::from(url)),
        ("Cache-Control", "no-cache".into()),
    ];
    if let Some(digest) = content.sha256 {
        // That of the file (RFC 6249, 6), whereas Repr-Digest would be that of this answer.
        headers.push(("Digest", format!("SHA-256={}", digest.base64()).into()));
    }
    if let Some(hash) = content.hash.0 {
        headers.push(("ETag", format!("\"{hash}\"").into()));
        let mut bytes = 0;
        let duplicates = urls.take(MAX_DUPLICATES).take_while(|url| {
            bytes += url.len();
            bytes <= MAX_DUPLICATE_BYTES
        });
        headers.extend(duplicates.map(|url| ("Link", format!("<{url}>; rel=duplicate").into())));
    }
    request.reply.document(&Document {
        status: Status::TEMPORARY_REDIRECT,
        media_type: "text/plain; charset=utf-8",
        headers,
        content: Cow::Owned(text.into_bytes()),
    })
}
