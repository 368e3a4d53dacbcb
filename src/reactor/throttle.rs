//! Rate limits of content: on what is sent to peers that connected to us, and on what is
//! received on connections that we opened.
//!
//! A limit holds for connections that carry content ([`Role::carries_content`]). Others,
//! such as those for `PING` and `LIST`, do not wait. A connection that has to wait has a
//! reservation and a timer; meanwhile no other timeout of it runs.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Instant;

use crate::close_reason::CloseReason;
use crate::limits::RateLimits;
use crate::protocol::address_group;
use crate::reactor::Reactor;
use crate::reactor::connection::{Connection, Origin, Pacing};
use crate::reactor::token_bucket::{TokenBucket, quantum};
use crate::reactor::transport::Transport;
use crate::role::Role;

/// Buckets of peers are removed when there are more, and they are not in use.
const MIN_PRUNED: usize = 1024;

/// The receive buffer holds the bytes of a part of a second, if they are fewer than the kernel
/// would choose.
const BUFFERS_PER_SECOND: u64 = 4;
const MIN_BUFFER: u64 = 16 * 1024;
const MAX_BUFFER: u64 = 1024 * 1024;

/// The limits of a loop.
pub(super) struct Throttle {
    limits: RateLimits,
    /// The bytes that may move in one turn of a connection.
    quantum: u64,
    sent: Buckets,
    received: Buckets,
    /// By the slot of the connection.
    reservations: HashMap<usize, Reservation>,
}

/// One direction.
struct Buckets {
    total: Option<TokenBucket>,
    per_peer: HashMap<PeerKey, TokenBucket>,
    prune_at: usize,
}

/// An address that connects to us, or a node that we connect to.
type PeerKey = (IpAddr, u16);

/// Bytes that a connection may move at a certain time.
struct Reservation {
    peer: PeerKey,
    origin: Origin,
    due: Instant,
    /// The bytes are reserved in the total, too. Before that they are reserved for the peer.
    is_in_total: bool,
}

impl Throttle {
    /// None if nothing is limited.
    pub(super) fn new(limits: RateLimits, now: Instant) -> Option<Box<Self>> {
        let rates = limits
            .limit_rate
            .into_iter()
            .chain(limits.limit_rate_per_peer);
        let quantum = quantum(rates.min()?);
        let buckets = || Buckets {
            total: limits.limit_rate.map(|rate| TokenBucket::new(rate, now)),
            per_peer: HashMap::new(),
            prune_at: MIN_PRUNED,
        };
        Some(Box::new(Self {
            limits,
            quantum,
            sent: buckets(),
            received: buckets(),
            reservations: HashMap::new(),
        }))
    }

    /// The lowest of the limits.
    fn rate(&self) -> u64 {
        let rates = [self.limits.limit_rate, self.limits.limit_rate_per_peer];
        rates.into_iter().flatten().min().unwrap_or(u64::MAX)
    }

    /// The bytes that a connection may move now.
    ///
    /// # Errors
    /// It may move none before this time.
    fn grant(
        &mut self,
        slot: usize,
        origin: Origin,
        peer: PeerKey,
        now: Instant,
    ) -> Result<u64, Instant> {
        let (quantum, rate) = (self.quantum, self.limits.limit_rate_per_peer);
        let reservation = self.reservations.remove(&slot);
        let buckets = self.buckets(origin);
        let mut reservation = reservation.unwrap_or_else(|| Reservation {
            peer,
            origin,
            due: buckets.reserve_for_peer(peer, rate, quantum, now),
            is_in_total: false,
        });
        if reservation.due <= now && !reservation.is_in_total {
            let total = &mut buckets.total;
            reservation.due = total.as_mut().map_or(now, |b| b.reserve(quantum, now));
            reservation.is_in_total = true;
        }
        let due = reservation.due;
        if due <= now {
            return Ok(quantum);
        }
        self.reservations.insert(slot, reservation);
        Err(due)
    }

    /// Returns granted bytes that were not moved.
    fn refund(&mut self, origin: Origin, peer: PeerKey, bytes: u64) {
        let buckets = self.buckets(origin);
        if let Some(bucket) = &mut buckets.total {
            bucket.refund(bytes);
        }
        if let Some(bucket) = buckets.per_peer.get_mut(&peer) {
            bucket.refund(bytes);
        }
    }

    /// The connection in this slot needs its reservation no longer.
    fn cancel(&mut self, slot: usize) {
        let Some(reservation) = self.reservations.remove(&slot) else {
            return;
        };
        let bytes = self.quantum;
        let buckets = self.buckets(reservation.origin);
        if let Some(bucket) = &mut buckets.total
            && reservation.is_in_total
        {
            bucket.refund(bytes);
        }
        if let Some(bucket) = buckets.per_peer.get_mut(&reservation.peer) {
            bucket.refund(bytes);
        }
    }

    fn buckets(&mut self, origin: Origin) -> &mut Buckets {
        match origin {
            Origin::Inbound => &mut self.sent,
            Origin::Outbound => &mut self.received,
        }
    }
}

impl Buckets {
    fn reserve_for_peer(
        &mut self,
        peer: PeerKey,
        rate: Option<u64>,
        bytes: u64,
        now: Instant,
    ) -> Instant {
        let Some(rate) = rate else {
            return now;
        };
        if self.per_peer.len() >= self.prune_at {
            self.per_peer.retain(|_, bucket| !bucket.is_unused(now));
            self.prune_at = MIN_PRUNED.max(2 * self.per_peer.len());
        }
        let bucket = self.per_peer.entry(peer);
        let bucket = bucket.or_insert_with(|| TokenBucket::new(rate, now));
        bucket.reserve(bytes, now)
    }
}

/// Whose share of the limit a connection uses.
fn peer_key<S, F, T>(conn: &Connection<S, F, T>) -> PeerKey {
    match conn.origin {
        Origin::Inbound => (address_group(conn.peer.ip), 0),
        Origin::Outbound => (conn.peer.ip, conn.peer.port),
    }
}

impl<R: Role, T: Transport<R::File>> Reactor<R, T> {
    /// When a connection may move bytes again, if it waits because of a rate limit.
    pub(super) fn paced_until(&self, slot: usize) -> Option<Instant> {
        Some(self.throttle.as_ref()?.reservations.get(&slot)?.due)
    }

    /// The role has handled input: the connection carries content from now on, or does not.
    pub(super) fn set_pacing(&mut self, slot: usize) {
        let conn = &mut self.connections[slot];
        let session = conn.session.as_ref();
        let pacing = match conn.origin {
            _ if !session.is_some_and(R::carries_content) => Pacing::None,
            Origin::Inbound => Pacing::Sending,
            Origin::Outbound => Pacing::Receiving,
        };
        if std::mem::replace(&mut conn.pacing, pacing) != pacing {
            self.cancel_pacing(slot);
        }
    }

    /// The connection in this slot does not wait for a limit any more.
    pub(super) fn cancel_pacing(&mut self, slot: usize) {
        if let Some(throttle) = &mut self.throttle {
            throttle.cancel(slot);
        }
    }

    /// Makes the kernel receive no more than what will soon be read: the peer would see a
    /// reader that takes much, and then nothing for long.
    pub(super) fn limit_receive_buffer(&self, transport: &mut T, session: &R::Session) {
        let Some(throttle) = &self.throttle else {
            return;
        };
        let bytes = throttle.rate() / BUFFERS_PER_SECOND;
        if bytes < MAX_BUFFER
            && R::carries_content(session)
            && let Err(error) = transport.set_receive_buffer(bytes.max(MIN_BUFFER) as usize)
        {
            log::debug!("SO_RCVBUF: {error}");
        }
    }

    /// Sends as much of an outbox as the limits allow.
    ///
    /// # Errors
    /// The reason to close the connection.
    pub(super) fn flush_paced(&mut self, slot: usize) -> Result<(), CloseReason> {
        let (age, now) = (self.age, self.now);
        let conn = &mut self.connections[slot];
        let Some(throttle) = &mut self.throttle else {
            return Ok(());
        };
        if !conn.readiness.writable || !conn.has_output() {
            throttle.cancel(slot);
            return Ok(());
        }
        let (origin, peer) = (conn.origin, peer_key(conn));
        let Ok(granted) = throttle.grant(slot, origin, peer, now) else {
            return Ok(());
        };
        let before = conn.bytes_out;
        let result = conn.flush_up_to(granted, age);
        let unused = granted.saturating_sub(conn.bytes_out - before);
        throttle.refund(origin, peer, unused);
        result
    }

    /// Reads as much as the limits allow; see [`Connection::receive`].
    ///
    /// # Errors
    /// The connection is lost.
    pub(super) fn receive_paced(
        &mut self,
        slot: usize,
        buffer: &mut [u8],
    ) -> Result<Option<usize>, CloseReason> {
        let (conn, now) = (&mut self.connections[slot], self.now);
        let Some(throttle) = &mut self.throttle else {
            return Ok(None);
        };
        let (origin, peer) = (conn.origin, peer_key(conn));
        let Ok(granted) = throttle.grant(slot, origin, peer, now) else {
            return Ok(None);
        };
        let length = buffer.len().min(granted as usize);
        let received = conn.receive(&mut buffer[..length]);
        let used = match received {
            Ok(Some(used)) => used as u64,
            Ok(None) | Err(_) => 0,
        };
        throttle.refund(origin, peer, granted - used);
        received
    }
}
