//! The local addresses of a program, which change while it runs: a machine gets another one by
//! DHCP, or in another network.

use std::io;
use std::net::{IpAddr, SocketAddr};

use log::warn;

use crate::close_reason::CloseReason;
use crate::logging::OPERATOR;
use crate::reactor::connection::{Connection, Origin};
use crate::reactor::sockets::is_local;
use crate::reactor::transport::Transport;
use crate::reactor::{ListeningSocket, Reactor};
use crate::role::Role;
use crate::system_error::Reason;

impl<R: Role, T: Transport<R::File>> Reactor<R, T> {
    /// Listens at these addresses, with the port of the listeners, and connects to relays from
    /// those of them at which that succeeds. Other listeners stay as long as the machine has
    /// their addresses: peers may still use them.
    pub(super) fn use_addresses(&mut self, mut ips: Vec<IpAddr>) {
        let listening: Vec<SocketAddr> = self.listening().collect();
        // There is none in a program that stops.
        let Some(port) = listening.first().map(SocketAddr::port) else {
            return;
        };
        let (mut added, mut unusable) = (Vec::new(), Vec::new());
        ips.retain(|ip| {
            let address = SocketAddr::new(*ip, port);
            if listening.iter().any(|address| address.ip() == *ip) {
                return true;
            }
            match ListeningSocket::bind(address, true) {
                Ok(listener) => added.push(listener),
                Err(error) => {
                    // Reported once: the program tries again and again.
                    if !self.unusable.contains(&address) {
                        let error = Reason(&error);
                        warn!(target: OPERATOR, "cannot listen on {address}: {error}; retrying");
                    }
                    unusable.push(address);
                    return false;
                }
            }
            true
        });
        self.unusable = unusable;
        // Without any, those of before stay: the port is known from them.
        if ips.is_empty() {
            return;
        }
        self.replace_listeners(added);
        let sources = &mut self.settings.source_addresses;
        if !sources.is_empty() && *sources != ips {
            *sources = ips;
            self.reconnect_datagram_sockets();
        }
        self.close_other_sources();
    }

    fn listening(&self) -> impl Iterator<Item = SocketAddr> {
        let addresses = self.listeners.iter().map(ListeningSocket::address);
        addresses.filter_map(Result::ok)
    }

    /// Adds listeners, and drops those whose addresses are gone.
    fn replace_listeners(&mut self, added: Vec<ListeningSocket>) {
        let is_gone = |listener: &ListeningSocket| {
            let address = listener.address();
            address.is_ok_and(|address| !is_local(address.ip()))
        };
        if added.is_empty() && !self.listeners.iter().any(is_gone) {
            return;
        }
        let listeners = std::mem::take(&mut self.listeners);
        for mut listener in listeners.into_iter().chain(added) {
            // The token of a listener is its index. New ones have none yet.
            let _ = self.poll.registry().deregister(&mut listener.socket);
            if is_gone(&listener) {
                continue;
            }
            if let Err(error) = self.listen(listener) {
                warn!(target: OPERATOR, "a listener is lost: {}", Reason(&error));
            }
        }
        let addresses: Vec<String> = self
            .listening()
            .map(|address| address.to_string())
            .collect();
        warn!(
            target: OPERATOR,
            "the addresses of this machine have changed: listening on {} now",
            addresses.join(", ")
        );
    }

    /// Closes the connections that we opened from an address that is gone, and those to relays
    /// from another address than those of now: what they have said about it holds no longer.
    fn close_other_sources(&mut self) {
        let is_outdated = |conn: &Connection<R::Session, R::File, T>| {
            let (session, source) = (conn.session.as_ref()?, conn.transport.local_ip()?);
            let sources = self.sources_for(session);
            let is_other = !sources.is_empty() && !sources.contains(&source);
            Some(is_other || !is_local(source))
        };
        let outdated = self.connections.iter().filter(|(_, conn)| {
            conn.origin == Origin::Outbound && is_outdated(conn).unwrap_or(false)
        });
        let slots: Vec<usize> = outdated.map(|(slot, _)| slot).collect();
        for slot in slots {
            let error = io::Error::other("the address of this machine has changed");
            self.close_now(slot, CloseReason::ConnectionLost(error));
        }
    }
}
