//! Datagrams: the same lines, behind a cookie.
//!
//! Without a valid cookie nothing changes, and the answer is never longer than
//! three times the request: who writes somebody else's address on a datagram
//! gains nothing.

use std::time::Instant;

use memchr::{memchr, memchr_iter, memrchr};

use crate::protocol::{Count, MAX_AMPLIFICATION, MAX_DATAGRAM, Reply, Requests};
use crate::relay::session::{RelaySession, RequestContext};
use crate::relay::{Context, Relay};
use crate::role::{FramingError, Input, ReadNext, UdpPeer};
use crate::session::server::say;

/// No request that changes anything has a longer answer. While there is less room
/// in the reply, the next line is left for another datagram.
const LONGEST_ANSWER: usize = 200;

/// The longest head of a list that was cut, with its end.
const LONGEST_HEAD: usize = "HOLDERS  \n".len() + 2 * 20;

impl Relay {
    pub(super) fn read_datagram(
        &mut self,
        context: &mut Context<'_, Self>,
        from: UdpPeer,
        bytes: &[u8],
    ) {
        let Some(requests) = Requests::parse(bytes) else {
            return;
        };
        let stamp = requests.stamp;
        let reply = context.out.datagram(from);
        let start = reply.len();
        if let Some(tag) = stamp.tag {
            say(reply, Reply::Tag(tag));
        }
        if let Some(cookie) = stamp.cookie {
            if self.cookies.knows(context.now, from.address, &cookie) {
                return self.answer_lines(context.now, from, &requests, start, reply);
            }
            if !self.cookies.count_wrong(context.now) {
                return reply.truncate(start);
            }
        }
        say(
            reply,
            Reply::Cookie(self.cookies.give(context.now, from.address)),
        );
        if reply.len() - start > MAX_AMPLIFICATION * bytes.len() {
            reply.truncate(start);
        }
    }

    /// Carries out the lines in order until the reply, which begins at `start`,
    /// is full. Whoever sent them counts the answers.
    fn answer_lines(
        &mut self,
        now: Instant,
        from: UdpPeer,
        requests: &Requests<'_>,
        start: usize,
        reply: &mut Vec<u8>,
    ) {
        let mut session = RelaySession::default();
        let mut caller = RequestContext::new(from.address, &mut session);
        let first = reply.len();
        for line in requests.lines() {
            let begin = reply.len();
            let room = MAX_DATAGRAM - (begin - start);
            if room < LONGEST_ANSWER {
                return;
            }
            let heard = if line.len() < self.settings.max_line {
                Input::Line(line)
            } else {
                Input::FramingError(FramingError::LineTooLong)
            };
            let next = match caller.request(heard, self.settings.max_unknown, reply) {
                Ok(request) => self.answer_briefly(now, &mut caller, request, room, reply),
                Err(next) => next,
            };
            if reply.len() - begin > room {
                // It may have a datagram of its own. Only if that is not
                // enough either, it is cut.
                if begin > first {
                    return reply.truncate(begin);
                }
                return cut(begin, room, reply);
            }
            if let ReadNext::Close(_) = next {
                return;
            }
        }
    }
}

/// Shortens a list to those lines that fit, and tells how many there are.
fn cut(begin: usize, room: usize, reply: &mut Vec<u8>) {
    let list = reply.split_off(begin);
    let head = memchr(b'\n', &list).unwrap_or(list.len());
    let lines = list.get(head + 1..).unwrap_or_default();
    let lines = &lines[..lines.len().min(room - LONGEST_HEAD)];
    let lines = &lines[..memrchr(b'\n', lines).map_or(0, |end| end + 1)];
    let shown = memchr_iter(b'\n', lines).count() as u64;
    match Reply::parse(&list[..head]) {
        Ok(Reply::Nodes(all)) => say(reply, Reply::Nodes(Count::truncated(shown, all.total()))),
        Ok(Reply::Holders(all)) => say(reply, Reply::Holders(Count::truncated(shown, all.total()))),
        // No other answer is as long as a datagram.
        other => debug_assert!(false, "{other:?} is too long"),
    }
    reply.extend_from_slice(lines);
}
