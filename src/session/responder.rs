//! The replies of a server, as typed calls.
//!
//! A handler answers each request by one call of a [`Responder`] and returns its
//! result: how to read on. The calls carry values, never text of the wire. A refusal
//! is written in the language of the connection, other replies here as lines; see
//! `responder/http.rs` for those in HTTP.

mod asset;
mod http;

use std::fmt;
use std::ops::Range;

use crate::close_reason::CloseReason;
use crate::figure::Figure;
use crate::protocol::{
    Banner, Cookie, Count, Delivery, FileItem, FileStat, HelpItem, HolderItem, Listening, NodeItem,
    Proven, Registered, Rejection, Reply, RequestError, ServerKind, Sha256Digest, StatsItem, Tag,
    Verb,
};
use crate::role::{ConnId, Output, ReadNext, Role, UdpPeer};
use crate::session::datagram_budget::DatagramBudget;
use crate::session::http::{HttpContext, Status};
use crate::session::line_codec::{RenderedList, write_line, write_list, write_reply};
use crate::session::responder::http::RETRY_SOON;

/// A rendered reply up to this size is copied; a longer one is shared.
const MAX_COPIED: usize = 16 * 1024;

/// Answers the requests of one connection or of one datagram.
pub(crate) struct Responder<'o, R: Role> {
    pub(in crate::session) out: &'o mut Output<R>,
    pub(in crate::session) destination: ReplyDestination,
}

/// Where a reply goes, and in which language.
pub(in crate::session) enum ReplyDestination {
    /// Lines on a connection.
    Connection(ConnId),
    /// HTTP on a connection.
    Http(ConnId, HttpContext),
    /// Lines in a datagram.
    Datagram(DatagramBudget),
}

/// The replies.
impl<'o, R: Role> Responder<'o, R> {
    /// Answers on a connection.
    pub(crate) fn to_connection(out: &'o mut Output<R>, conn: ConnId) -> Self {
        let destination = ReplyDestination::Connection(conn);
        Self { out, destination }
    }

    /// See [`Output::add_work`].
    pub(crate) fn add_work(&mut self, units: usize) {
        self.out.add_work(units);
    }

    /// `OK`: the request was executed.
    pub(crate) fn ok(&mut self) -> ReadNext {
        self.line(Reply::DONE)
    }

    /// The result of a request that succeeds without a value.
    pub(crate) fn ok_or_error(&mut self, result: Result<(), Rejection>) -> ReadNext {
        match result {
            Ok(()) => self.ok(),
            Err(rejection) => self.reject(rejection),
        }
    }

    /// The request is not executed.
    pub(crate) fn reject(&mut self, rejection: Rejection) -> ReadNext {
        match self.http_context() {
            None => self.line(rejection.reply()),
            Some(_) => {
                let status = rejection.code().into();
                let headers = match rejection {
                    Rejection::Incomplete => vec![RETRY_SOON],
                    _ => Vec::new(),
                };
                self.error_document(status, &rejection.to_string(), headers)
            }
        }
    }

    /// The request is not executed, and the connection closes.
    pub(crate) fn reject_and_close(
        &mut self,
        rejection: Rejection,
        reason: CloseReason,
    ) -> ReadNext {
        self.close_after_reply();
        self.reject(rejection);
        ReadNext::Close(reason)
    }

    /// The line is not a request.
    pub(crate) fn malformed(&mut self, error: &RequestError<'_>) -> ReadNext {
        self.line(error.reply())
    }

    /// What kind of server this is.
    pub(crate) fn banner(&mut self, banner: Banner) -> ReadNext {
        self.line(banner)
    }

    /// The client has proven that it knows the secret, and so does the server.
    pub(crate) fn proven(&mut self, proven: Proven) -> ReadNext {
        self.line(proven)
    }

    /// A node is registered.
    pub(crate) fn registered(&mut self, registered: &Registered) -> ReadNext {
        let text = self.text();
        registered.append_to(text);
        text.push(b'\n');
        ReadNext::Line
    }

    /// There is no such file.
    pub(crate) fn not_found(&mut self) -> ReadNext {
        match self.http_context() {
            None => self.reply(&Reply::NotFound),
            Some(_) => self.error_document(Status::NOT_FOUND, "no such file", Vec::new()),
        }
    }

    /// A file, or a part of it.
    pub(crate) fn found(&mut self, file: R::File, range: Range<u64>) -> ReadNext {
        let length = range.end - range.start;
        self.reply(&Reply::Found(length));
        match self.destination {
            ReplyDestination::Connection(_) if length == 0 => {}
            ReplyDestination::Connection(conn) => {
                self.out.send_file(conn, file, range.start, length);
            }
            ReplyDestination::Datagram(_) | ReplyDestination::Http(..) => {
                debug_assert!(false, "a line and a file");
            }
        }
        ReadNext::Line
    }

    /// A file, or a part of it, that is in memory: first line and content leave with one write.
    pub(crate) fn found_bytes(&mut self, content: &[u8]) -> ReadNext {
        let text = self.text();
        write_reply(text, &Reply::Found(content.len() as u64));
        text.extend_from_slice(content);
        ReadNext::Line
    }

    /// Metadata of a file.
    pub(crate) fn stat(&mut self, stat: FileStat) -> ReadNext {
        self.line(Reply::Stat(stat))
    }

    /// Nodes of a directory.
    pub(crate) fn nodes(
        &mut self,
        count: usize,
        nodes: impl Iterator<Item = NodeItem>,
    ) -> ReadNext {
        self.list(Reply::Nodes, count, nodes)
    }

    /// Nodes that have a file.
    pub(crate) fn holders(
        &mut self,
        count: usize,
        holders: impl Iterator<Item = HolderItem>,
    ) -> ReadNext {
        self.list(Reply::Holders, count, holders)
    }

    /// One batch of a list of `total` files: `visit` passes each of its `count` items, which are
    /// as much work as so many short lines.
    pub(crate) fn files(
        &mut self,
        count: u64,
        total: u64,
        visit: impl FnOnce(&mut dyn FnMut(&FileItem<'_>)),
    ) -> ReadNext {
        let text = self.text();
        let shown = count;
        write_line(text, Reply::Files { shown, total });
        visit(&mut |item| write_line(text, item));
        self.add_work(count as usize);
        ReadNext::Line
    }

    /// A list that was printed before.
    pub(crate) fn rendered(&mut self, list: &RenderedList) -> ReadNext {
        self.expect_lines();
        for part in list.parts() {
            match self.destination {
                ReplyDestination::Connection(conn) if list.length() > MAX_COPIED => {
                    self.out.send_shared(conn, part.clone());
                }
                ReplyDestination::Connection(_)
                | ReplyDestination::Http(..)
                | ReplyDestination::Datagram(_) => {
                    self.text().extend_from_slice(part);
                }
            }
        }
        ReadNext::Line
    }

    /// Figures about the server.
    pub(crate) fn stats(&mut self, figures: &[Figure]) -> ReadNext {
        let text = self.text();
        write_line(text, Reply::Stats(figures.len() as u64));
        for figure in figures {
            let (name, value) = (&figure.full_name(), figure.value);
            write_line(text, StatsItem { name, value });
        }
        ReadNext::Line
    }

    /// The list of connections, which the loop appends; see [`Role::write_connections`].
    pub(crate) fn connections(&mut self) -> ReadNext {
        match self.destination {
            ReplyDestination::Connection(conn) | ReplyDestination::Http(conn, _) => {
                self.out.list_connections(conn);
                ReadNext::Wait
            }
            ReplyDestination::Datagram(_) => ReadNext::Line,
        }
    }

    /// A digest of a file.
    pub(crate) fn digest(&mut self, digest: Sha256Digest) -> ReadNext {
        self.line(Reply::Digest(digest))
    }

    /// The verbs of the server.
    pub(crate) fn help(&mut self, server: ServerKind) -> ReadNext {
        let items = Verb::ALL.iter().filter_map(|verb| {
            let (usage, meaning) = (verb.usage(), verb.meaning(server)?);
            Some(HelpItem { usage, meaning })
        });
        let text = self.text();
        write_line(text, Reply::Help(items.clone().count() as u64));
        items.for_each(|item| write_line(text, item));
        ReadNext::Line
    }

    /// The server is alive.
    pub(crate) fn pong(&mut self) -> ReadNext {
        self.reply(&Reply::Pong)
    }

    /// The connection closes at the client's request.
    pub(crate) fn bye(&mut self) -> ReadNext {
        self.line(Reply::BYE);
        ReadNext::Close(CloseReason::Quit)
    }

    /// The connection receives messages from now on, and may be idle.
    pub(crate) fn listening(&mut self, listening: Listening) -> ReadNext {
        self.line(listening);
        if let ReplyDestination::Connection(conn) = self.destination {
            self.out.allow_idle(conn);
        }
        ReadNext::Line
    }
}

/// What other connections receive.
impl<R: Role> Responder<'_, R> {
    /// Delivers a message to a listening connection. Returns false if too many messages
    /// wait for it already.
    pub(crate) fn message(&mut self, listener: ConnId, message: &Delivery<'_>) -> bool {
        Self::deliver(self.out, listener, message)
    }

    /// Delivers a message that did not arrive in a request.
    pub(crate) fn deliver(out: &mut Output<R>, listener: ConnId, message: &Delivery<'_>) -> bool {
        let is_full = out.is_full(listener);
        if !is_full {
            write_line(out.append_unsolicited(listener), message);
        }
        !is_full
    }

    /// Closes a listening connection that a newer one replaces.
    pub(crate) fn replaced(&mut self, listener: ConnId) {
        Self::close_replaced(self.out, listener);
    }

    /// The same, if nobody waits for an answer.
    pub(crate) fn close_replaced(out: &mut Output<R>, listener: ConnId) {
        write_line(
            out.append_unsolicited(listener),
            Rejection::Replaced.reply(),
        );
        out.close(listener, CloseReason::Replaced);
    }
}

/// Datagrams: many replies in one, within a budget of bytes.
impl<'o, R: Role> Responder<'o, R> {
    /// Answers in one datagram. There is none if no reply is written.
    pub(crate) fn to_datagram(out: &'o mut Output<R>, to: UdpPeer, tag: Option<Tag>) -> Self {
        let text = out.begin_datagram(to);
        let start = text.len();
        if let Some(tag) = tag {
            write_line(text, Reply::Tag(tag));
        }
        let budget = DatagramBudget::new(start, text.len());
        let destination = ReplyDestination::Datagram(budget);
        Self { out, destination }
    }

    /// Sends the client's cookie, or nothing if the datagram would exceed `max_bytes`.
    pub(crate) fn cookie(&mut self, cookie: Cookie, max_bytes: usize) {
        self.line(Reply::Cookie(cookie));
        if let ReplyDestination::Datagram(budget) = &self.destination {
            budget.discard_if_longer(self.out.datagram_buffer(), max_bytes);
        }
    }

    /// Bytes that the reply may have: a list in a datagram ends with what fits.
    pub(crate) fn room(&self) -> usize {
        match &self.destination {
            ReplyDestination::Connection(_) | ReplyDestination::Http(..) => usize::MAX,
            ReplyDestination::Datagram(budget) => budget.room(),
        }
    }

    /// Whether the datagram has room for the reply to one more request.
    pub(crate) fn begin_reply(&mut self) -> bool {
        match &mut self.destination {
            ReplyDestination::Connection(_) | ReplyDestination::Http(..) => true,
            ReplyDestination::Datagram(budget) => {
                budget.begin_reply(self.out.datagram_buffer().len())
            }
        }
    }

    /// Removes the reply to the last request if it does not fit. Returns whether it fits.
    pub(crate) fn end_reply(&mut self) -> bool {
        match &self.destination {
            ReplyDestination::Connection(_) | ReplyDestination::Http(..) => true,
            ReplyDestination::Datagram(budget) => budget.end_reply(self.out.datagram_buffer()),
        }
    }
}

impl<R: Role> Responder<'_, R> {
    fn text(&mut self) -> &mut Vec<u8> {
        match self.destination {
            ReplyDestination::Connection(conn) | ReplyDestination::Http(conn, _) => {
                self.out.append_reply(conn)
            }
            ReplyDestination::Datagram(_) => self.out.datagram_buffer(),
        }
    }

    fn reply(&mut self, reply: &Reply<'_>) -> ReadNext {
        self.expect_lines();
        write_reply(self.text(), reply);
        ReadNext::Line
    }

    fn line(&mut self, line: impl fmt::Display) -> ReadNext {
        self.expect_lines();
        write_line(self.text(), line);
        ReadNext::Line
    }

    /// A line in HTTP would be read as the head of the next response.
    fn expect_lines(&self) {
        debug_assert!(self.http_context().is_none(), "a line in HTTP");
    }

    fn list<T: fmt::Display>(
        &mut self,
        head: fn(Count) -> Reply<'static>,
        count: usize,
        items: impl Iterator<Item = T>,
    ) -> ReadNext {
        self.expect_lines();
        match &mut self.destination {
            ReplyDestination::Connection(conn) | ReplyDestination::Http(conn, _) => {
                write_list(self.out.append_reply(*conn), head, count, items, usize::MAX);
            }
            ReplyDestination::Datagram(budget) => {
                let text = self.out.datagram_buffer();
                budget.is_truncated = !write_list(text, head, count, items, budget.room());
            }
        }
        ReadNext::Line
    }
}
