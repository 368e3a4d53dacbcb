//! Bytes into requests and responses, on both sides. No I/O, no clock.

pub mod connector;
pub(crate) mod datagram_budget;
pub mod driver;
pub mod http;
pub mod inbox;
pub(crate) mod line_codec;
pub mod requests;
pub(crate) mod responder;
pub(crate) mod server;
pub mod udp_requests;

pub use server::ServerSession;
