//! What a node answers to those who ask for files.

use log::debug;

use crate::close_reason::{CloseReason, ResourceLimit};
use crate::escaped::Escaped;
use crate::node::Node;
use crate::node::share::{FileContent, Share, Unavailable};
use crate::protocol::{Banner, Code, FileName, MAX_LISTED_FILES, Reply, Request, Verb};
use crate::role::{ConnId, Context, ReadNext};
use crate::session::server::{self, Help, say};

/// What the node answers to `HELP`.
const COMMANDS: [Help; 8] = [
    (Verb::Get, "FOUND size and so many bytes, or NOTFOUND"),
    (Verb::Stat, "STAT size hash mtime, or NOTFOUND"),
    (Verb::List, "the files, each as: size hash 1 name"),
    (Verb::More, "the list goes on"),
    (Verb::Ping, "answers PONG"),
    (Verb::Stats, "figures"),
    (Verb::Help, "this"),
    (Verb::Quit, "goodbye"),
];

impl<S: Share> Node<S> {
    /// Answers one request. `listed` is the last name of a list that was cut.
    pub(super) fn answer(
        &mut self,
        context: &mut Context<'_, Self>,
        conn: ConnId,
        listed: &mut Option<Box<str>>,
        request: Request<'_>,
    ) -> ReadNext {
        let reply = context.out.text(conn);
        match request {
            Request::Banner => {
                let files = self.share.count(None);
                say(reply, Banner::Node { files });
            }
            Request::Get(name) => return self.get(context, conn, &name),
            Request::Stat(name) => match self.share.stat(&name) {
                Ok(stat) => say(reply, Reply::Stat(stat)),
                Err(why) => return unavailable(reply, &name, &why),
            },
            Request::List => {
                *listed = None;
                self.list(reply, listed);
            }
            // Without a list before it there is nothing more.
            Request::More if listed.is_none() => {
                let total = self.share.count(None);
                say(reply, Reply::Files { shown: 0, total });
            }
            Request::More => self.list(reply, listed),
            Request::Ping => return server::pong(reply),
            Request::Stats => {
                let uptime = context.now.saturating_duration_since(self.started);
                let own = [
                    ("files", self.share.count(None)),
                    ("files_bytes", self.share.bytes()),
                    ("gets", self.gets),
                    ("gets_found", self.found),
                ];
                return server::stats(reply, uptime, context.traffic, &own);
            }
            Request::Help => return server::help(reply, &COMMANDS),
            Request::Quit => return server::bye(reply),
            Request::Register(..)
            | Request::Unregister(..)
            | Request::Share(..)
            | Request::Unshare(_)
            | Request::Find(_)
            | Request::Search(_)
            | Request::Listen
            | Request::Send(..) => {
                return server::not_here(reply, "a relay answers that; this is a node");
            }
        }
        ReadNext::Line
    }

    fn get(
        &mut self,
        context: &mut Context<'_, Self>,
        conn: ConnId,
        name: &FileName<'_>,
    ) -> ReadNext {
        self.gets += 1;
        let reply = context.out.text(conn);
        match self.share.open(name, context.traffic.reads) {
            Ok(content) => {
                self.found += 1;
                match content {
                    // Head and body leave with one write.
                    FileContent::Small(bytes) => {
                        say(reply, Reply::Found(bytes.len() as u64));
                        reply.extend_from_slice(bytes);
                    }
                    FileContent::Large { size, file } => {
                        say(reply, Reply::Found(size));
                        context.out.file(conn, file, 0, size);
                    }
                }
            }
            Err(why) => return unavailable(reply, name, &why),
        }
        ReadNext::Line
    }

    /// At most so many files as one list may have, from where the last one was cut.
    fn list(&mut self, reply: &mut Vec<u8>, listed: &mut Option<Box<str>>) {
        let after = listed.clone();
        let total = self.share.count(None);
        let left = self.share.count(after.as_deref());
        let shown = left.min(MAX_LISTED_FILES as u64);
        say(reply, Reply::Files { shown, total });
        let mut last = String::new();
        self.share
            .list(after.as_deref(), MAX_LISTED_FILES, &mut |item| {
                say(reply, item);
                item.name.as_str().clone_into(&mut last);
            });
        if shown > 0 {
            *listed = Some(last.into());
        }
    }
}

/// The answer if a file cannot be given.
fn unavailable(reply: &mut Vec<u8>, name: &FileName<'_>, why: &Unavailable) -> ReadNext {
    let code = match why {
        Unavailable::NotFound => {
            say(reply, Reply::NotFound);
            return ReadNext::Line;
        }
        Unavailable::NotAllowed => Code::NotAllowed,
        Unavailable::Busy(_) => Code::Full,
        Unavailable::Failed(_) => Code::Internal,
    };
    debug!("{}: {why}", Escaped::text(name.as_str()));
    say(reply, Reply::Error(code, why.to_string().into()));
    match code {
        Code::Full => ReadNext::Close(CloseReason::LimitReached(ResourceLimit::OpenFiles)),
        _ => ReadNext::Line,
    }
}
