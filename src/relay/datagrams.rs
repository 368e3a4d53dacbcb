//! Requests in datagrams: the same lines, after a cookie.
//!
//! Without a valid cookie nothing is executed, and the reply is at most three times
//! as long as the request: a forged sender address gains nothing. A datagram that looks
//! like a reply is never answered, and an address gets a limited number of replies.

use std::net::IpAddr;
use std::time::Instant;

use crate::protocol::{MAX_AMPLIFICATION, MAX_DATAGRAM, RequestDatagram, address_group, canonical};
use crate::rate_limiter::KeyedRateLimiter;
use crate::relay::session::RelaySession;
use crate::relay::{Relay, RelayRequest};
use crate::role::{Context, FramingError, Input, ReadNext, UdpPeer};
use crate::session::responder::Responder;

/// How many datagrams are answered for each address per second.
pub(super) struct ReplyLimiter {
    rate: u32,
    /// For senders with a valid cookie. Forged datagrams do not use up this limit.
    with_cookie: KeyedRateLimiter,
    without_cookie: KeyedRateLimiter,
    /// Datagrams without a reply: those above the limit, and those without a request.
    ignored: u64,
}

impl ReplyLimiter {
    pub(super) fn new(rate: u32, now: Instant) -> Self {
        Self {
            rate,
            with_cookie: KeyedRateLimiter::new(rate, now),
            without_cookie: KeyedRateLimiter::new(rate, now),
            ignored: 0,
        }
    }

    /// The number of datagrams that were ignored.
    pub(super) fn ignored(&self) -> u64 {
        self.ignored
    }

    /// A datagram that is longer than those of the programs counts as several.
    fn allows(&mut self, ip: IpAddr, bytes: usize, has_cookie: bool, now: Instant) -> bool {
        let limiter = match has_cookie {
            true => &mut self.with_cookie,
            false => &mut self.without_cookie,
        };
        // The longest datagram counts as 55.
        let cost = bytes.div_ceil(MAX_DATAGRAM) as u32;
        let is_allowed = limiter.allows(address_group(ip), cost, self.rate, now);
        self.ignored += u64::from(!is_allowed);
        is_allowed
    }
}

impl Relay {
    pub(super) fn answer_datagram(
        &mut self,
        context: &mut Context<'_, Self>,
        from: UdpPeer,
        bytes: &[u8],
    ) {
        // A datagram cannot show a secret that others must not read.
        let requests = RequestDatagram::parse(bytes).filter(|_| !self.access.has_secret());
        let Some(requests) = requests else {
            self.reply_limiter.ignored += 1;
            return;
        };
        let (now, ip) = (context.now, canonical(from.address.ip()));
        let header = requests.header;
        let verify = |cookie| self.cookies.verify(now, from.address, &cookie);
        let has_cookie = header.cookie.is_some_and(verify);
        let is_trusted = self.settings.trust.contains(ip);
        if !is_trusted && !self.reply_limiter.allows(ip, bytes.len(), has_cookie, now) {
            return;
        }
        if has_cookie {
            let mut session = RelaySession::default();
            let mut request = RelayRequest::of_datagram(context, from, header.tag, &mut session);
            return self.answer_requests(&mut request, &requests);
        }
        if header.cookie.is_some() && !self.cookies.allow_wrong(now) {
            return;
        }
        let cookie = self.cookies.issue(now, from.address);
        let max_bytes = MAX_AMPLIFICATION * bytes.len();
        Responder::to_datagram(context.out, from, header.tag).cookie(cookie, max_bytes);
    }

    /// Executes the requests in order until the datagram of replies is full.
    fn answer_requests(&mut self, request: &mut RelayRequest<'_>, requests: &RequestDatagram<'_>) {
        for line in requests.lines() {
            if !request.reply.begin_reply() {
                return;
            }
            let input = if line.len() < self.settings.max_line {
                Input::Line(line)
            } else {
                Input::FramingError(FramingError::LineTooLong)
            };
            let next = self.answer(request, input);
            if !request.reply.end_reply() || matches!(next, ReadNext::Close(_)) {
                return;
            }
        }
    }
}
