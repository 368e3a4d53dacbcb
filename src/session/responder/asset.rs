//! Answers requests for the files that the pages need.

use std::borrow::Cow;

use crate::role::{ReadNext, Role};
use crate::session::http::conditions::{Representation, SelectedPart};
use crate::session::http::{Document, HttpRequest, Status};
use crate::session::responder::Responder;
use crate::web::Asset;

impl<R: Role> Responder<'_, R> {
    /// Answers the request if it is for an asset of the pages. Every server has the same.
    pub(in crate::session) fn asset(&mut self, request: &HttpRequest<'_>) -> Option<ReadNext> {
        let query = Some(request.query).filter(|_| request.path == "/");
        let (asset, hash) = query.and_then(Asset::find)?;
        let tag = format!("\"{}\"", asset.hash);
        let file = Representation {
            size: asset.content.len() as u64,
            modified: None,
            tags: std::slice::from_ref(&tag),
        };
        let time = self.http_context()?.time;
        let is_known = request.conditions.select(&file, time) == SelectedPart::NotModified;
        let storage = match hash == asset.hash {
            true => "public, max-age=31536000, immutable",
            // A page of an older program.
            false => "no-cache",
        };
        Some(self.document(&Document {
            status: match is_known {
                true => Status::NOT_MODIFIED,
                false => Status::OK,
            },
            media_type: asset.media_type,
            headers: vec![
                ("Cache-Control", storage.into()),
                ("ETag", Cow::Borrowed(&tag)),
            ],
            content: Cow::Borrowed(asset.content.as_bytes()),
        }))
    }
}
