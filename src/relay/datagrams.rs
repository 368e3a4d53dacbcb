//! Requests in datagrams: the same lines, after a cookie.
//!
//! Without a valid cookie nothing is executed, and the reply is at most three times
//! as long as the request: a forged sender address gains nothing.

use crate::protocol::{MAX_AMPLIFICATION, RequestDatagram};
use crate::relay::session::RelaySession;
use crate::relay::{Relay, RelayRequest};
use crate::role::{Context, FramingError, Input, ReadNext, UdpPeer};
use crate::session::responder::Responder;

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
                let mut session = RelaySession::default();
                let mut request =
                    RelayRequest::of_datagram(context, from, header.tag, &mut session);
                return self.answer_requests(&mut request, &requests);
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
