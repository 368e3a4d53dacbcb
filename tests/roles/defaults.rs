//! The settings of a relay without any flag.

use std::time::Duration;

use peerline::protocol::MAX_LINE;
use peerline::relay::{Quota, RelaySettings, Trust};
use peerline::session::AccessSettings;
use peerline::session::http::HttpSettings;

/// The settings without any flag.
pub fn defaults() -> RelaySettings {
    RelaySettings {
        lease: Duration::from_secs(60),
        max_nodes: 1_000_000,
        max_nodes_per_address: 1024,
        max_line: MAX_LINE,
        max_unknown: 10,
        wrong_cookie_rate: 10_000,
        datagram_rate: 1000,
        message_rate: 50,
        message_rate_per_address: 200,
        quota: Quota {
            node_files: 1_000_000,
            node_bytes: 1 << 28,
            address_bytes: 1 << 29,
            all_files: 10_000_000,
            all_bytes: 1 << 30,
        },
        trust: Trust::new(Vec::new()),
        certificates: None,
        http: HttpSettings::default(),
        access: AccessSettings::default(),
    }
}
