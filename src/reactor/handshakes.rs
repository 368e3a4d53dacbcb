//! Accepted connections that begin in TLS, and limits on their handshakes: a handshake costs
//! as much time as hundreds of requests, and memory until it is complete.

use std::net::IpAddr;
use std::time::Instant;

use crate::close_reason::CloseReason;
use crate::limits::Limits;
use crate::protocol::{TLS_FIRST_BYTE, address_group};
use crate::rate_limiter::KeyedRateLimiter;
use crate::reactor::Reactor;
use crate::reactor::connection::Origin;
use crate::reactor::tls_session::TlsSession;
use crate::reactor::transport::Transport;
use crate::role::Role;

/// The work of a handshake, in short lines.
const HANDSHAKE_WORK: usize = 256;

/// The handshakes of a loop.
pub(super) struct Handshakes {
    /// Those that are not complete.
    open: usize,
    max: usize,
    rate: u32,
    rates: KeyedRateLimiter,
}

impl Handshakes {
    pub(super) fn new(limits: &Limits, now: Instant) -> Self {
        Self {
            open: 0,
            max: limits.max_handshakes,
            rate: limits.handshake_rate,
            rates: KeyedRateLimiter::new(limits.handshake_rate, now),
        }
    }

    /// Whether this address may start a handshake, beside those of its own that are under way.
    /// It may have as many as are left for others: a few addresses cannot take all.
    fn allows(&mut self, ip: IpAddr, own: usize, now: Instant) -> bool {
        let left = self.max.saturating_sub(self.open);
        match ip.to_canonical().is_loopback() {
            true => left > 0,
            false => own < left && self.rates.allows(address_group(ip), 1, self.rate, now),
        }
    }
}

impl<R: Role, T: Transport<R::File>> Reactor<R, T> {
    /// Starts TLS if the first bytes of an accepted connection demand it, and watches the
    /// handshake. Returns what was received, decrypted.
    ///
    /// # Errors
    /// The reason to close the connection.
    pub(super) fn receive_tls(
        &mut self,
        slot: usize,
        received: Result<Option<usize>, CloseReason>,
        buffer: &mut [u8],
    ) -> Result<Option<usize>, CloseReason> {
        let conn = &self.connections[slot];
        match received {
            Ok(Some(length))
                if length > 0
                    && buffer[0] == TLS_FIRST_BYTE
                    && conn.bytes_in == length as u64
                    && conn.origin == Origin::Inbound
                    && conn.tls.is_none() =>
            {
                self.start_tls(slot, length, buffer)
            }
            received if conn.tls.is_some() => {
                self.end_handshake(slot);
                received
            }
            received => received,
        }
    }

    /// Starts TLS with the bytes that are in the buffer.
    fn start_tls(
        &mut self,
        slot: usize,
        length: usize,
        buffer: &mut [u8],
    ) -> Result<Option<usize>, CloseReason> {
        let Some(acceptor) = &self.settings.tls else {
            return Ok(Some(length));
        };
        let conn = &mut self.connections[slot];
        let own = self.addresses.handshakes(conn.group);
        if !self.handshakes.allows(conn.peer.ip, *own, self.now) {
            return Err(CloseReason::TooManyHandshakes);
        }
        let session = acceptor.accept().map_err(CloseReason::TlsFailed)?;
        let mut session = TlsSession::new(session);
        session.push_input(&buffer[..length]);
        // Only content counts.
        conn.bytes_in = 0;
        conn.tls = Some(Box::new(session));
        self.handshakes.open += 1;
        *own += 1;
        self.addresses.charge(conn.group, HANDSHAKE_WORK);
        let received = conn.receive(buffer);
        self.end_handshake(slot);
        received
    }

    /// Makes room for another handshake, if that of this connection is complete or will never
    /// be. Tells the role of a complete one.
    pub(super) fn end_handshake(&mut self, slot: usize) {
        let conn = &mut self.connections[slot];
        let is_closed = conn.is_closed();
        if conn.origin == Origin::Inbound
            && let Some(tls) = &mut conn.tls
            && tls.end_handshake(is_closed)
        {
            self.handshakes.open -= 1;
            *self.addresses.handshakes(conn.group) -= 1;
            self.report_security(slot);
        }
    }

    /// Tells the role what the handshake has shown, if it is complete.
    pub(super) fn report_security(&mut self, slot: usize) {
        let conn = &mut self.connections[slot];
        if let (Some(tls), Some(session)) = (&conn.tls, &mut conn.session)
            && let Some(security) = tls.security()
        {
            self.role.on_encrypted(session, security);
        }
    }
}
