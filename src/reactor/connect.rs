//! Outgoing connections.

use std::net::SocketAddr;

use crate::close_reason::CloseReason;
use crate::reactor::Reactor;
use crate::reactor::address_groups::OUTBOUND;
use crate::reactor::connection::Phase;
use crate::reactor::deadlines::TurnProgress;
use crate::reactor::transport::Transport;
use crate::role::{Input, Role};
use crate::session::driver::InputDriver;

impl<R: Role, T: Transport<R::File>> Reactor<R, T> {
    /// Starts to connect to `address`.
    pub(super) fn dial(&mut self, address: SocketAddr, session: R::Session) {
        let mut result = T::connect_from(&self.settings.source_addresses, address);
        result = result.and_then(|mut transport| self.register(&mut transport).map(|()| transport));
        match result {
            Ok(mut transport) => {
                self.limit_receive_buffer(&mut transport, &session);
                let slot = self.insert(transport, address, OUTBOUND, Some(session));
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
            Ok(true) => {
                conn.phase = Phase::Open(InputDriver::default());
                conn.readiness.writable = true;
                self.drive(slot, |conn| InputDriver::notify(conn, Input::Connected));
            }
        }
    }
}
