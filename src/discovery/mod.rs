//! Finds relays and nodes without an address from the user: servers announce themselves on
//! their network by multicast DNS (RFC 6762) and DNS-SD (RFC 6763), and nodes of a group on
//! BitTorrent's DHT.

mod announcement;
mod browse;
mod dht;
mod mdns_daemon;
mod mdns_sockets;
mod network_interface;
mod service;

pub use announcement::{Announcement, LocalService};
pub use browse::{browse, follow};
pub use dht::{DhtGroup, DhtNetwork};
pub use network_interface::NetworkInterface;
pub use service::{FoundService, ServiceIdentity, ServiceKind};
