//! The links between hosts, and what happens on them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The quality of the network; chances are from 0 to 1.
#[derive(Clone, Copy)]
pub struct Conditions {
    /// The longest usual delay of a piece.
    pub delay: Duration,
    /// The chance that a piece takes up to a minute.
    pub late_chance: f64,
    /// The chance that a link breaks after some byte.
    pub break_chance: f64,
    /// The chance that a connection attempt gets no reply.
    pub lost_chance: f64,
}

/// Identifies a host.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct HostId(pub u32);

pub type LinkId = u32;

/// One of the two ends of a link.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Side {
    Outbound,
    Inbound,
}

pub struct Link {
    pub outbound: Endpoint,
    pub inbound: Endpoint,
    pub to: SocketAddr,
    /// The number of bytes until the link breaks.
    pub breaks_after: Option<usize>,
    pub is_broken: bool,
}

/// One end of a link.
pub struct Endpoint {
    /// The host and its number of the connection; none before the connection is
    /// accepted, and after it is closed there.
    pub owner: Option<(HostId, u32)>,
    /// When the last piece sent to this end arrives.
    pub last_arrival: Instant,
    /// When bytes last arrived.
    pub last_received: Instant,
}

pub enum NetworkEvent {
    ConnectRequest(LinkId),
    ConnectAccepted(LinkId),
    ConnectRefused(LinkId),
    ConnectTimeout(LinkId),
    Data(LinkId, Side, Vec<u8>),
    Eof(LinkId, Side),
    Reset(LinkId, Side),
    /// The read timeout of the client may have passed.
    CheckReadTimeout(LinkId),
}

impl Side {
    pub fn other(self) -> Self {
        match self {
            Self::Outbound => Self::Inbound,
            Self::Inbound => Self::Outbound,
        }
    }
}

impl Link {
    pub fn endpoint(&mut self, side: Side) -> &mut Endpoint {
        match side {
            Side::Outbound => &mut self.outbound,
            Side::Inbound => &mut self.inbound,
        }
    }
}
