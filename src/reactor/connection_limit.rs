//! The limits on accepted connections: in all, and from one address.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::close_reason::ResourceLimit;
use crate::protocol::address_group;

/// Counts the accepted connections.
pub(super) struct ConnectionLimiter {
    max: usize,
    max_per_address: usize,
    open: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl ConnectionLimiter {
    pub(super) fn new(max: usize, max_per_address: usize) -> Self {
        Self {
            max,
            max_per_address,
            open: 0,
            by_address: HashMap::new(),
        }
    }

    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// Counts a new connection.
    ///
    /// # Errors
    /// The limit that leaves no room.
    pub(super) fn acquire(&mut self, ip: IpAddr) -> Result<(), ResourceLimit> {
        if self.open >= self.max {
            return Err(ResourceLimit::Connections);
        }
        if !is_loopback(ip) {
            let count = self.by_address.entry(address_group(ip)).or_insert(0);
            if *count >= self.max_per_address {
                return Err(ResourceLimit::ConnectionsPerAddress);
            }
            *count += 1;
        }
        self.open += 1;
        Ok(())
    }

    /// A counted connection is closed.
    pub(super) fn release(&mut self, ip: IpAddr) {
        self.open -= 1;
        if is_loopback(ip) {
            return;
        }
        let group = address_group(ip);
        if let Some(count) = self.by_address.get_mut(&group) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&group);
            }
        }
    }
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_cannot_take_all_connections_but_loopback_can() {
        let mut limiter = ConnectionLimiter::new(5, 2);
        assert_eq!(limiter.acquire(ip("192.0.2.1")), Ok(()));
        assert_eq!(limiter.acquire(ip("::ffff:192.0.2.1")), Ok(()));
        assert_eq!(
            limiter.acquire(ip("192.0.2.1")),
            Err(ResourceLimit::ConnectionsPerAddress)
        );
        assert_eq!(limiter.acquire(ip("127.0.0.1")), Ok(()));
        assert_eq!(limiter.acquire(ip("127.0.0.1")), Ok(()));
        assert_eq!(limiter.acquire(ip("::1")), Ok(()));
        assert_eq!(
            limiter.acquire(ip("127.0.0.1")),
            Err(ResourceLimit::Connections)
        );
        limiter.release(ip("192.0.2.1"));
        assert_eq!(limiter.acquire(ip("192.0.2.1")), Ok(()));
    }

    #[test]
    fn an_ipv6_network_of_one_host_counts_as_one_address() {
        let mut limiter = ConnectionLimiter::new(5, 1);
        assert_eq!(limiter.acquire(ip("2001:db8::1")), Ok(()));
        assert_eq!(
            limiter.acquire(ip("2001:db8::2:1")),
            Err(ResourceLimit::ConnectionsPerAddress)
        );
        assert_eq!(limiter.acquire(ip("2001:db8:0:1::1")), Ok(()));
        limiter.release(ip("2001:db8::1"));
        assert!(limiter.by_address.len() == 1);
    }
}
