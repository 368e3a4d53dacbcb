//! The requests that a node answers to its clients.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use log::debug;

use crate::close_reason::{CloseReason, ResourceLimit};
use crate::escaped::Escaped;
use crate::figure::Figure;
use crate::node::share::{FileContent, MAX_SMALL, Share, Unavailable};
use crate::node::{Announcer, Node, Registrar};
use crate::protocol::{
    Banner, ContentHash, FileName, MAX_LISTED_FILES, MaybeHash, PieceList, Rejection, Request,
    ServerKind,
};
use crate::role::{ConnId, Context, Input, ReadNext};
use crate::session::ServerSession;
use crate::session::line_codec::RenderedList;
use crate::session::responder::Responder;
use crate::session::server::{self, RequestContext};

/// A request of a client.
pub(super) type NodeRequest<'a, S> = RequestContext<'a, Node<S>, ServerSession>;

impl<S: Share> Node<S> {
    /// Reads one request of a client and answers it. `last_listed` is the last name
    /// of the client's last list, for `MORE`.
    pub(super) fn on_client_input(
        &mut self,
        context: &mut Context<'_, Self>,
        (conn, peer): (ConnId, SocketAddr),
        session: &mut ServerSession,
        last_listed: &mut Option<Box<str>>,
        input: Input<'_>,
    ) -> ReadNext {
        let request = &mut RequestContext::of_connection(context, conn, peer, session);
        let (source, reply) = (request.source(), &mut request.reply);
        let parsed = match request.session.read(input, self.max_unknown, reply) {
            Ok(parsed) => parsed,
            Err(next) => return next,
        };
        if let Some(next) = self.access.check(&parsed, source, request.session, reply) {
            return next;
        }
        let ip = request.ip;
        debug!("{ip}: request: {}", Escaped::text(&parsed.to_string()));
        self.answer(request, parsed, last_listed)
    }

    fn answer(
        &mut self,
        request: &mut NodeRequest<'_, S>,
        parsed: Request<'_>,
        last_listed: &mut Option<Box<str>>,
    ) -> ReadNext {
        let (is_loopback, reply) = (request.is_loopback(), &mut request.reply);
        match parsed {
            Request::Banner => {
                let files = self.share.count(None);
                let id = self.id();
                reply.banner(Banner::Node { files, id })
            }
            Request::Get(name) => self.get(request, &name),
            Request::Range {
                offset,
                length,
                hash,
                name,
            } => self.range(request, (offset, length), hash, &name),
            Request::Pieces(name) => self.pieces(request, &name),
            Request::Digest(name) => self.digest(request, &name),
            Request::Stat(name) => self.stat(request, &name),
            Request::List => {
                *last_listed = None;
                self.list(last_listed, reply)
            }
            // Without a list before it there is nothing more.
            Request::More if last_listed.is_none() => {
                reply.files(0, self.share.count(None), |_| {})
            }
            Request::More => self.list(last_listed, reply),
            Request::Ping => reply.pong(),
            Request::Stats => self.stats(request),
            Request::Connections => server::list_connections(request, is_loopback),
            Request::Help => reply.help(ServerKind::Node),
            Request::Quit => reply.bye(),
            // They were answered above.
            Request::Auth(_) | Request::Prove(_) => ReadNext::Line,
            Request::Register(..)
            | Request::Unregister(..)
            | Request::Share(..)
            | Request::ShareDigest(..)
            | Request::Unshare(_)
            | Request::Find(_)
            | Request::Search(_)
            | Request::Listen
            | Request::Who
            | Request::Send(..) => reply.reject(Rejection::OnlyRelay),
        }
    }

    fn get(&mut self, request: &mut NodeRequest<'_, S>, name: &FileName<'_>) -> ReadNext {
        self.gets += 1;
        let content = match self.share.open(name, request.arrival()) {
            Ok(content) => content,
            Err(error) => return unavailable(name, &error, &mut request.reply),
        };
        self.gets_found += 1;
        match content {
            FileContent::Small(content) => request.reply.found_bytes(content.bytes),
            FileContent::Large { .. } if request.traffic.are_files_exhausted => {
                unavailable(name, &Unavailable::Busy, &mut request.reply)
            }
            FileContent::Large { size, file } => request.reply.found(file, 0..size),
        }
    }

    fn stat(&mut self, request: &mut NodeRequest<'_, S>, name: &FileName<'_>) -> ReadNext {
        match self.share.stat(name, request.arrival()) {
            Ok(stat) => request.reply.stat(stat),
            Err(Unavailable::Incomplete) => match self.partial_file(name) {
                Some(file) => request.reply.stat(file.stat()),
                None => request.reply.not_found(),
            },
            Err(error) => unavailable(name, &error, &mut request.reply),
        }
    }

    /// Sends `length` bytes of a file from `offset` on, if the file has the wanted content.
    fn range(
        &mut self,
        request: &mut NodeRequest<'_, S>,
        (offset, length): (u64, u64),
        wanted: MaybeHash,
        name: &FileName<'_>,
    ) -> ReadNext {
        self.gets += 1;
        let (arrival, reply) = (request.arrival(), &mut request.reply);
        let content = match self.share.open(name, arrival) {
            Ok(content) => content,
            Err(Unavailable::Incomplete) => {
                return self.partial_range(request, (offset, length), wanted, name);
            }
            Err(error) => return unavailable(name, &error, reply),
        };
        let (size, file) = match content {
            FileContent::Small(content) => {
                let (bytes, hash) = (content.bytes, || Some(content.hash()));
                let checked = check_content(wanted, hash);
                // The bytes are in memory, so their number fits.
                return match checked.and_then(|()| part(bytes.len() as u64, offset, length)) {
                    Ok(part) => {
                        self.gets_found += 1;
                        reply.found_bytes(&bytes[part.start as usize..part.end as usize])
                    }
                    Err(rejection) => reply.reject(rejection),
                };
            }
            FileContent::Large { size, file } => (size, file),
        };
        let hash = || Some(self.share.pieces(name, &file)?.hash());
        let part = match check_content(wanted, hash).and_then(|()| part(size, offset, length)) {
            Ok(part) => part,
            Err(rejection) => return reply.reject(rejection),
        };
        self.send_part(request, name, file, part)
    }

    /// Sends a part of an open file.
    pub(super) fn send_part(
        &mut self,
        request: &mut NodeRequest<'_, S>,
        name: &FileName<'_>,
        file: S::File,
        part: Range<u64>,
    ) -> ReadNext {
        let reply = &mut request.reply;
        self.gets_found += 1;
        // A short part must not keep the file open until the client has read it.
        if part.end - part.start <= MAX_SMALL as u64 {
            return match self.share.read(&file, part) {
                Ok(bytes) => reply.found_bytes(bytes),
                Err(error) => unavailable(name, &error, reply),
            };
        }
        match request.traffic.are_files_exhausted {
            true => unavailable(name, &Unavailable::Busy, reply),
            false => reply.found(file, part),
        }
    }

    /// Lists the values of the pieces of a file.
    fn pieces(&mut self, request: &mut NodeRequest<'_, S>, name: &FileName<'_>) -> ReadNext {
        let (arrival, reply) = (request.arrival(), &mut request.reply);
        let pieces = match self.share.open(name, arrival) {
            Ok(FileContent::Small(content)) => {
                let size = content.bytes.len() as u64;
                PieceList::of_one_piece(size, content.hash()).map(Arc::new)
            }
            Ok(FileContent::Large { file, .. }) => self.share.pieces(name, &file),
            Err(Unavailable::Incomplete) => self.partial_pieces(name),
            Err(error) => return unavailable(name, &error, reply),
        };
        let Some(pieces) = pieces else {
            return reply.reject(Rejection::HashUnknown);
        };
        let rendered = match self.rendered_pieces.take() {
            Some((hash, rendered)) if hash == pieces.hash() => rendered,
            _ => RenderedList::pieces(&pieces),
        };
        let next = reply.rendered(&rendered);
        self.rendered_pieces = Some((pieces.hash(), rendered));
        next
    }

    /// Tells the SHA-256 of a file.
    fn digest(&mut self, request: &mut NodeRequest<'_, S>, name: &FileName<'_>) -> ReadNext {
        let (arrival, reply) = (request.arrival(), &mut request.reply);
        let has_sha256 = self.share.has_sha256();
        let digest = match self.share.open(name, arrival) {
            Err(error) => return unavailable(name, &error, reply),
            Ok(_) if !has_sha256 => return reply.reject(Rejection::NoSha256),
            Ok(FileContent::Small(content)) => Some(content.sha256()),
            Ok(FileContent::Large { file, .. }) => self.share.sha256(name, &file),
        };
        match digest {
            Some(digest) => reply.digest(digest),
            None => reply.reject(Rejection::HashUnknown),
        }
    }

    /// Lists one batch of files, from the one after `last_listed` on.
    fn list(
        &mut self,
        last_listed: &mut Option<Box<str>>,
        reply: &mut Responder<'_, Self>,
    ) -> ReadNext {
        let after = last_listed.take();
        let total = self.share.count(None);
        let remaining = self.share.count(after.as_deref());
        let count = remaining.min(MAX_LISTED_FILES as u64);
        let (share, mut last) = (&mut self.share, String::new());
        let next = reply.files(count, total, |visit| {
            share.list(after.as_deref(), MAX_LISTED_FILES, &mut |item| {
                visit(item);
                item.name.as_str().clone_into(&mut last);
            });
        });
        *last_listed = if count > 0 { Some(last.into()) } else { after };
        next
    }

    fn stats(&mut self, request: &mut NodeRequest<'_, S>) -> ReadNext {
        let figures = self.figures(request);
        request.reply.stats(&figures)
    }

    /// The figures that the requester may know.
    pub(super) fn figures(&mut self, request: &NodeRequest<'_, S>) -> Vec<Figure> {
        let relays = self.relays.iter().map(|relay| &relay.registrar);
        let registered_at = relays.clone().map(|relay| relay.registered_at(request.now));
        let registered_at: Vec<_> = registered_at.flatten().collect();
        let is_registered = u64::from(!registered_at.is_empty());
        let is_complete = u64::from(self.share.is_complete());
        let announcers = self.relays.iter().map(|relay| &relay.announcer);
        let refused = announcers.map(Announcer::refused_files).max();
        let skipped = self.share.skipped() + refused.unwrap_or(0);
        let mut figures = server::figures(request, self.started);
        figures.extend([
            Figure::gauge("files", self.share.count(None), "Shared files"),
            Figure::gauge(
                "files_bytes",
                self.share.bytes(),
                "Bytes of all shared files",
            ),
            Figure::gauge("files_skipped", skipped, "Files not shared or not listed"),
            Figure::gauge("share_complete", is_complete, "1 if all files are known"),
            Figure::counter("gets", self.gets, "Requests for a file"),
            Figure::counter("gets_found", self.gets_found, "Files sent"),
            Figure::gauge("registered", is_registered, "1 if a relay lists the node"),
        ]);
        // The relay's addresses concern the operator only.
        let relays = relays.flat_map(Registrar::relay);
        for relay in relays.filter(|_| request.is_loopback()) {
            let is_there = u64::from(registered_at.contains(relay));
            figures.push(Figure {
                label: Some(("relay", relay.to_string())),
                ..Figure::gauge("registered_at", is_there, "1 if this relay lists the node")
            });
        }
        figures
    }
}

/// The part of a file of this size that a `RANGE` asks for: what is past the end is left out.
pub(super) fn part(size: u64, offset: u64, length: u64) -> Result<Range<u64>, Rejection> {
    match offset <= size {
        true => Ok(offset..offset.saturating_add(length).min(size)),
        false => Err(Rejection::OffsetPastEnd(size)),
    }
}

/// Checks that a file has the content that the client wants, if it wants a certain one.
pub(super) fn check_content(
    wanted: MaybeHash,
    hash: impl FnOnce() -> Option<ContentHash>,
) -> Result<(), Rejection> {
    match wanted.0 {
        None => Ok(()),
        Some(wanted) => match hash() {
            Some(hash) if hash == wanted => Ok(()),
            Some(_) => Err(Rejection::FileChanged),
            None => Err(Rejection::HashUnknown),
        },
    }
}

/// The reply if a file cannot be sent.
pub(super) fn unavailable<S: Share>(
    name: &FileName<'_>,
    error: &Unavailable,
    reply: &mut Responder<'_, Node<S>>,
) -> ReadNext {
    let rejection = match error {
        Unavailable::NotFound => return reply.not_found(),
        Unavailable::Incomplete => Rejection::Incomplete,
        Unavailable::NotAllowed => Rejection::FileForbidden,
        Unavailable::Busy => Rejection::TooManyOpenFiles,
        Unavailable::Failed(why) => Rejection::FileReadFailed(why.clone()),
    };
    debug!("{}: {rejection}", Escaped::text(name.as_str()));
    if let Unavailable::Busy = error {
        let reason = CloseReason::LimitReached(ResourceLimit::OpenFiles);
        return reply.reject_and_close(rejection, reason);
    }
    reply.reject(rejection)
}
