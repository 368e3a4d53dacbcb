//! Requests in datagrams: the same lines, after a cookie.
//!
//! Without a valid cookie nothing is executed, and the reply is at most three times
//! as long as the request: a forged sender address gains nothing.

use crate::protocol::{MAX_AMPLIFICATION, RequestDatagram};
use crate::relay::Relay;
use crate::relay::session::RelaySession;
use crate::role::{Context, FramingError, Input, ReadNext, UdpPeer};
use crate::session::responder::Responder;
use crate::session::server::RequestContext;

impl Relay {
    pub(super) fn answer_datagram(
        &mut self,
        context: &mut Context<'_, Self>,
        from: UdpPeer,
        bytes: &[u8],
    ) {
        let Some(requests) = RequestDatagram::parse(bytes) else {
            return;
        };
        let now = context.now;
        let header = requests.header;
        if let Some(cookie) = header.cookie {
            if self.cookies.verify(now, from.address, &cookie) {
                let mut reply = Responder::to_datagram(context.out, from, header.tag);
                let context = RequestContext::new(now, context.traffic, from.address, None);
                return self.answer_requests(&context, &requests, &mut reply);
            }
            if !self.cookies.allow_wrong(now) {
                return;
            }
        }
        let cookie = self.cookies.issue(now, from.address);
        let max_bytes = MAX_AMPLIFICATION * bytes.len();
        Responder::to_datagram(context.out, from, header.tag).cookie(cookie, max_bytes);
    }

    /// Executes the requests in order until the datagram of replies is full.
    fn answer_requests(
        &mut self,
        context: &RequestContext<'_>,
        requests: &RequestDatagram<'_>,
        reply: &mut Responder<'_, Self>,
    ) {
        let mut session = RelaySession::default();
        for line in requests.lines() {
            if !reply.begin_reply() {
                return;
            }
            let input = if line.len() < self.settings.max_line {
                Input::Line(line)
            } else {
                Input::FramingError(FramingError::LineTooLong)
            };
            let next = self.answer(context, &mut session, input, reply);
            if !reply.end_reply() || matches!(next, ReadNext::Close(_)) {
                return;
            }
        }
    }
}
