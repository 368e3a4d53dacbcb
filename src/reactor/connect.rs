//! Outgoing connections.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;

use mio::net::TcpStream;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::close_reason::CloseReason;
use crate::reactor::Reactor;
use crate::reactor::connection::Origin;
use crate::reactor::deadlines::CONNECT;
use crate::role::Role;

impl<R: Role> Reactor<R>
where
    R::File: AsFd,
{
    /// Starts to connect to `address`.
    pub(super) fn dial(&mut self, address: SocketAddr, session: R::Session) {
        let result = connect(address, &self.settings.source_addresses)
            .and_then(|stream| self.register(stream));
        match result {
            Ok(stream) => {
                let slot = self.insert(stream, address, Origin::Outbound, Some(session));
                let due = self.now + self.settings.timeouts.connect_timeout;
                self.timers.set(slot, CONNECT, due);
            }
            Err(error) => self
                .failed_connects
                .push((session, CloseReason::ConnectFailed(error))),
        }
    }
}

/// Starts to connect, from the source address of the same family if there is one.
fn connect(address: SocketAddr, sources: &[IpAddr]) -> io::Result<TcpStream> {
    let mut sources = sources.iter().copied();
    let Some(source) = sources.find(|source| source.is_ipv4() == address.is_ipv4()) else {
        return TcpStream::connect(address);
    };
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    rustix::net::bind(&socket, &SocketAddr::new(source, 0))?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(TcpStream::from_std(socket.into())),
        Err(error) => Err(error.into()),
    }
}
