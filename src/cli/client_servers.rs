//! The servers to which a client connects: a relay, or one node.

use crate::cli::StartupError;
use crate::cli::client::ClientArgs;
use crate::cli::relay_tls::relay_tls;
use crate::client::Task;
use crate::jobs::{PeerSource, Query};
use crate::tls::TlsConnector;

/// The servers of a client.
pub(super) struct ClientServers {
    /// The relay, or the node that is asked instead.
    pub(super) source: PeerSource,
    /// The TLS of connections to the relay, if they are encrypted.
    pub(super) relay_tls: Option<TlsConnector>,
}

impl ClientServers {
    /// Looks the servers up.
    pub(super) fn find(args: &ClientArgs, task: &Task) -> Result<Self, StartupError> {
        let Some(node) = &args.from else {
            let addresses = args.relay.resolve()?;
            return Ok(Self {
                relay_tls: relay_tls(&args.relay, args.tls.tls, args.udp, &addresses)?,
                source: PeerSource::relay(String::new(), addresses),
            });
        };
        if let Task::SendAndWait(..) | Task::Chat(..) | Task::Query(Query::Message(..)) = task {
            return Err(StartupError::usage(
                "a message goes through the relay; write its address instead of --from",
            ));
        }
        Ok(Self {
            source: PeerSource::node(node.to_string(), node.resolve()?),
            relay_tls: None,
        })
    }
}
