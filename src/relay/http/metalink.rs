//! `/metalink/NAME.meta4`: all holders of a file, for download managers (RFC 5854).
//!
//! Metalink has no name for BLAKE3 hashes, and clients reject hashes that they do not know:
//! the description has the SHA-256, if the holders have announced one.

use std::borrow::Cow;

use askama::Template;

use crate::protocol::FileName;
use crate::relay::RelayRequest;
use crate::relay::http::contents::Content;
use crate::role::ReadNext;
use crate::session::http::{Document, Status};
use crate::web::{Metalink, node_url};

/// What follows the name of the file in the path.
pub(super) const EXTENSION: &str = ".meta4";

/// The most bytes of addresses in a description.
const MAX_URL_BYTES: usize = 256 * 1024;

/// Describes a content: its size and its holders.
pub(super) fn describe(
    request: &mut RelayRequest<'_>,
    content: &Content,
    name: &FileName<'_>,
) -> ReadNext {
    let urls = urls(content, name);
    let sha256 = content.sha256.map(|digest| digest.hex());
    let metalink = Metalink::new(base_name(name), content.size, sha256, &urls);
    request.reply.document(&Document {
        status: Status::OK,
        media_type: "application/metalink4+xml",
        headers: vec![
            ("Cache-Control", "no-cache".into()),
            ("Content-Disposition", "attachment".into()),
        ],
        content: Cow::Owned(metalink.render().unwrap_or_default().into_bytes()),
    })
}

/// The addresses of the file. Only a hash proves that several holders have the same bytes.
fn urls(content: &Content, name: &FileName<'_>) -> Vec<String> {
    let max = if content.is_proven() { usize::MAX } else { 1 };
    let nodes = content.nodes.iter().take(max);
    let mut bytes = 0;
    nodes
        .map(|node| node_url(node.address.into(), name.as_str()).to_string())
        .take_while(|url| {
            bytes += url.len();
            bytes <= MAX_URL_BYTES
        })
        .collect()
}

/// The name under which the file is saved: its last part.
fn base_name<'n>(name: &'n FileName<'_>) -> &'n str {
    let name = name.as_str();
    name.rsplit('/').next().unwrap_or(name)
}
