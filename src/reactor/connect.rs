//! Outgoing connections.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use mio::Waker;

use crate::close_reason::CloseReason;
use crate::reactor::Reactor;
use crate::reactor::address_groups::OUTBOUND;
use crate::reactor::byte_stream::close_reason;
use crate::reactor::connection::{Connection, Origin, Phase};
use crate::reactor::deadlines::TurnProgress;
use crate::reactor::tls_session::TlsSession;
use crate::reactor::transport::{Transport, unless_blocked};
use crate::role::{Input, PeerTls, Role, SendableFile};
use crate::session::GroupSecret;
use crate::session::driver::InputDriver;
use crate::session::group_secret::VersionedSecret;
use crate::tls::{TlsConnector, TlsError};

impl<R: Role, T: Transport<R::File>> Reactor<R, T> {
    /// Starts to connect to `address`.
    pub(super) fn dial(&mut self, address: SocketAddr, session: R::Session) {
        let tls = self.session_for(address.ip(), &session);
        self.dial_with(address, session, tls);
    }

    /// Starts to connect with this TLS session, or without TLS.
    fn dial_with(
        &mut self,
        address: SocketAddr,
        session: R::Session,
        tls: io::Result<Option<Box<TlsSession>>>,
    ) {
        let result = T::connect_from(self.sources_for(&session), address);
        let result = result.and_then(|mut transport| {
            let tls = tls?;
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

    /// The local addresses from which the other side of the session may be connected to; none:
    /// any address. Only a relay lists the address that it sees.
    pub(super) fn sources_for(&self, session: &R::Session) -> &[IpAddr] {
        match R::peer_tls(session) {
            PeerTls::Configured(_) => &self.settings.source_addresses,
            PeerTls::Plain | PeerTls::AnyKey | PeerTls::Key(_) => &[],
        }
    }

    /// Checks whether a connection attempt has a result, and reports success to the role.
    pub(super) fn finish_connect(&mut self, slot: usize) {
        let conn = &mut self.connections[slot];
        match conn.transport.is_established() {
            Err(error) => self.close_now(slot, CloseReason::ConnectFailed(error)),
            Ok(false) => {}
            Ok(true) => match self.secure(slot) {
                Err(reason) => self.fail_handshake(slot, reason),
                Ok(false) => {}
                Ok(true) => {
                    self.report_security(slot);
                    let conn = &mut self.connections[slot];
                    conn.phase = Phase::Open(InputDriver::default());
                    conn.readiness.writable = true;
                    self.drive(slot, |conn| InputDriver::notify(conn, Input::Connected));
                }
            },
        }
    }

    /// Goes on with the handshake of an encrypted connection, and then with the proofs that both
    /// sides know the secret of their group. Returns whether everything is complete.
    ///
    /// # Errors
    /// The other side is not the one that is expected, or the connection is lost.
    fn secure(&mut self, slot: usize) -> Result<bool, CloseReason> {
        let conn = &mut self.connections[slot];
        let usage = conn.usage();
        let mut result = conn.shake_hands();
        if let (Ok(true), Some(current)) = (&result, &self.secret) {
            result = conn.exchange_proofs(&current.secret);
        }
        let (group, new_usage) = (conn.group, conn.usage());
        self.count_memory(group, usage, new_usage);
        result
    }

    /// Closes the connections that we opened if the secret of the group is another one now: who
    /// has only proved the one before may be no member any longer. To be called before anything
    /// is sent or read in a round.
    pub(super) fn renew_secret(&mut self) {
        let (Some(before), Some(secret)) = (&self.secret, &self.settings.secret) else {
            return;
        };
        let current = secret.versioned();
        if current.version == before.version {
            return;
        }
        self.secret = Some(current);
        let is_outbound = |(slot, conn): (usize, &Connection<_, _, _>)| {
            (conn.origin == Origin::Outbound).then_some(slot)
        };
        let outbound: Vec<usize> = self.connections.iter().filter_map(is_outbound).collect();
        for slot in outbound {
            self.close_now(slot, CloseReason::SecretChanged);
        }
    }

    /// Closes a connection whose handshake has failed. Connects once more, without TLS, if the
    /// relay speaks none and need not. The next connection tries TLS again.
    fn fail_handshake(&mut self, slot: usize, reason: CloseReason) {
        let conn = &mut self.connections[slot];
        let peer = conn.session.as_ref().map(R::peer_tls);
        let connector = peer.map(|peer| self.connectors.get(peer));
        let connector = connector.and_then(Result::ok).flatten();
        let retries = says_no_tls(&reason) && connector.is_some_and(TlsConnector::accept_plain);
        let reason = match (reason, connector) {
            (CloseReason::TlsFailed(error), Some(connector)) => {
                CloseReason::TlsFailed(connector.explain(error))
            }
            (reason, _) => reason,
        };
        let session = conn.session.take_if(|_| retries);
        let address = conn.peer.into();
        self.close_now(slot, reason);
        if let Some(session) = session {
            self.dial_with(address, session, Ok(None));
        }
    }

    /// The TLS session of an outgoing connection to this address; none if it begins without TLS.
    fn session_for(
        &mut self,
        ip: IpAddr,
        session: &R::Session,
    ) -> io::Result<Option<Box<TlsSession>>> {
        let connector = self.connectors.get(R::peer_tls(session))?;
        let connection = connector.map(|connector| connector.connect(ip));
        let connection = connection.transpose()?.flatten();
        Ok(connection.map(|connection| Box::new(TlsSession::new(connection))))
    }
}

/// The secret of the group. Each change of it wakes the loop.
pub(super) fn watch_secret(
    secret: Option<&GroupSecret>,
    waker: &Arc<Waker>,
) -> Option<VersionedSecret> {
    let secret = secret?;
    let waker = Arc::clone(waker);
    secret.on_change(move || {
        if let Err(error) = waker.wake() {
            log::error!("the loop cannot be woken: {error}");
        }
    });
    Some(secret.versioned())
}

/// Whether the other side has answered that it speaks no TLS.
fn says_no_tls(reason: &CloseReason) -> bool {
    let CloseReason::TlsFailed(error) = reason else {
        return false;
    };
    matches!(TlsError::of(error), Some(TlsError::NoTls))
}

impl<S, F: SendableFile, T: Transport<F>> Connection<S, F, T> {
    /// See [`Reactor::secure`].
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
