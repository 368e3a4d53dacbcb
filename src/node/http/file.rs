//! Sends a file, or a part of it, in HTTP.

use std::time::{Duration, SystemTime};

use crate::node::Node;
use crate::node::requests::{NodeRequest, unavailable};
use crate::node::share::{FileContent, MAX_SMALL, Share, Unavailable};
use crate::protocol::FileName;
use crate::role::ReadNext;
use crate::session::http::{FileHeaders, HttpRequest};

impl<S: Share> Node<S> {
    /// Sends a file, or the part of it that the conditions select. None if there is no such
    /// file.
    pub(super) fn http_get(
        &mut self,
        request: &mut NodeRequest<'_, S>,
        http: &HttpRequest<'_>,
        name: &FileName<'_>,
    ) -> Option<ReadNext> {
        let conditions = &http.conditions;
        self.gets += 1;
        let context = request.reply.http_context();
        let is_head = context.is_some_and(|context| context.is_head);
        request.session.request_content(is_head, name);
        let (arrival, now) = (request.arrival(), http.time);
        let reply = &mut request.reply;
        let has_sha256 = self.share.has_sha256();
        let content = match self.share.open(name, arrival) {
            Ok(content) => content,
            Err(Unavailable::NotFound) => return None,
            Err(error) => return Some(unavailable(name, &error, reply)),
        };
        self.gets_found += 1;
        match content {
            FileContent::Small(content) => {
                let headers = content.http_headers(|hash| {
                    let tags = vec![format!("\"{hash}\"")];
                    let digest = has_sha256.then(|| content.sha256());
                    let (size, modified) = (content.bytes.len() as u64, modified(content.mtime));
                    FileHeaders::new(name.as_str(), size, tags, modified, now, digest)
                });
                if let Some(part) = reply.begin_file(headers, conditions) {
                    // The bytes are in memory, so their number fits.
                    reply.append_bytes(&content.bytes[part.start as usize..part.end as usize]);
                }
            }
            FileContent::Large { size, file } => {
                return Some(self.http_large_file(request, http, name, (size, file)));
            }
        }
        Some(reply.next())
    }

    fn http_large_file(
        &mut self,
        request: &mut NodeRequest<'_, S>,
        http: &HttpRequest<'_>,
        name: &FileName<'_>,
        (size, file): (u64, S::File),
    ) -> ReadNext {
        let (reply, now) = (&mut request.reply, http.time);
        let conditions = &http.conditions;
        let revision = self.share.revision_of(&file);
        let hash = self.share.pieces(name, &file).map(|pieces| pieces.hash());
        // A download that began before the hash was known goes on.
        let hash_tag = hash.map(|hash| format!("\"{hash}\""));
        let revision_tag = format!("\"{size:x}-{revision}\"");
        let tags = hash_tag.into_iter().chain([revision_tag]).collect();
        let digest = self.share.sha256(name, &file);
        let modified = modified(revision.mtime);
        let headers = FileHeaders::new(name.as_str(), size, tags, modified, now, digest);
        match reply.selected_bytes(&headers, conditions) {
            None => _ = reply.begin_file(&headers, conditions),
            // A short part must not keep the file open until the client has read it.
            Some(part) if part.end - part.start <= MAX_SMALL as u64 => {
                match self.share.read(&file, part) {
                    Ok(bytes) => {
                        reply.begin_file(&headers, conditions);
                        reply.append_bytes(bytes);
                    }
                    Err(error) => return unavailable(name, &error, reply),
                }
            }
            Some(_) if request.traffic.are_files_exhausted => {
                return unavailable(name, &Unavailable::Busy, reply);
            }
            Some(part) => {
                reply.begin_file(&headers, conditions);
                reply.append_file(file, part);
            }
        }
        reply.next()
    }
}

/// The time of a change, in seconds since 1970. None if it is earlier: HTTP cannot express it.
fn modified(mtime: i64) -> Option<SystemTime> {
    let seconds = u64::try_from(mtime).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}
