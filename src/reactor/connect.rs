//! Outgoing connections.

use std::io;
use std::net::SocketAddr;

use crate::close_reason::CloseReason;
use crate::reactor::Reactor;
use crate::reactor::address_groups::OUTBOUND;
use crate::reactor::byte_stream::close_reason;
use crate::reactor::connection::{Connection, Phase};
use crate::reactor::deadlines::TurnProgress;
use crate::reactor::tls_session::TlsSession;
use crate::reactor::transport::{Transport, unless_blocked};
use crate::role::{Input, Role, SendableFile};
use crate::session::driver::InputDriver;

impl<R: Role, T: Transport<R::File>> Reactor<R, T> {
    /// Starts to connect to `address`.
    pub(super) fn dial(&mut self, address: SocketAddr, session: R::Session) {
        let result = T::connect_from(&self.settings.source_addresses, address);
        let result = result.and_then(|mut transport| {
            let tls = self.session_for(&session)?;
            self.register(&mut transport)?;
            Ok((transport, tls))
        });
        match result {
            Ok((mut transport, tls)) => {
                self.limit_receive_buffer(&mut transport, &session);
                let slot = self.insert(transport, address, OUTBOUND, Some(session));
                self.connections[slot].tls = tls;
                self.set_deadline(slot, &TurnProgress::default());
            }
            Err(error) => self
                .failed_connects
                .push((session, CloseReason::ConnectFailed(error))),
        }
    }

    /// Checks whether a connection attempt has a result, and reports success to the role.
    pub(super) fn finish_connect(&mut self, slot: usize) {
        let conn = &mut self.connections[slot];
        match conn.transport.is_established() {
            Err(error) => self.close_now(slot, CloseReason::ConnectFailed(error)),
            Ok(false) => {}
            Ok(true) => match self.shake_hands(slot) {
                Err(reason) => self.close_now(slot, reason),
                Ok(false) => {}
                Ok(true) => {
                    let conn = &mut self.connections[slot];
                    conn.phase = Phase::Open(InputDriver::default());
                    conn.readiness.writable = true;
                    self.drive(slot, |conn| InputDriver::notify(conn, Input::Connected));
                }
            },
        }
    }

    /// Goes on with the handshake of an encrypted connection. Returns whether it is complete.
    ///
    /// # Errors
    /// The other side is not the one that is expected, or the connection is lost.
    fn shake_hands(&mut self, slot: usize) -> Result<bool, CloseReason> {
        let conn = &mut self.connections[slot];
        let usage = conn.usage();
        let result = conn.shake_hands();
        let (group, new_usage) = (conn.group, conn.usage());
        self.count_memory(group, usage, new_usage);
        result
    }

    /// The TLS session of an outgoing connection; none if it is not encrypted.
    fn session_for(&self, session: &R::Session) -> io::Result<Option<Box<TlsSession>>> {
        match &self.settings.relay_tls {
            Some(connector) if R::leads_to_relay(session) => {
                Ok(Some(Box::new(TlsSession::new(connector.connect()?))))
            }
            _ => Ok(None),
        }
    }
}

impl<S, F: SendableFile, T: Transport<F>> Connection<S, F, T> {
    /// See [`Reactor::shake_hands`].
    fn shake_hands(&mut self) -> Result<bool, CloseReason> {
        let Some(tls) = &mut self.tls else {
            return Ok(true);
        };
        let result = unless_blocked(|| tls.shake_hands(&mut self.transport));
        // Further input may have arrived with the end of the handshake.
        self.readiness.readable = true;
        Ok(result.map_err(close_reason)?.is_some())
    }
}
