//! Bytes into requests and responses, on both sides. No I/O, no clock.

pub mod driver;
pub mod inbox;
pub(crate) mod server;
pub mod udp_requests;

pub use server::ServerSession;
