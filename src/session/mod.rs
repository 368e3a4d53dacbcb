//! Bytes into requests and responses, on both sides. No I/O, no clock.

pub mod access;
pub mod connector;
pub(crate) mod datagram_budget;
pub mod driver;
pub mod group_secret;
pub mod http;
pub mod id_rules;
pub mod inbox;
pub(crate) mod line_codec;
pub(crate) mod proof_exchange;
pub mod requests;
pub(crate) mod responder;
pub(crate) mod server;
pub mod udp_requests;

pub use access::{AccessControl, AccessSettings};
pub use group_secret::GroupSecret;
pub use id_rules::IdRules;
pub use server::ServerSession;
