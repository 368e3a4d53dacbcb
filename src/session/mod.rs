//! Bytes into requests and responses, on both sides. No I/O, no clock.

pub mod connector;
pub mod inbox;
pub mod requests;
mod response;
pub(crate) mod server;
pub mod udp_requests;

pub use server::ServerSession;
