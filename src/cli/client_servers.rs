//! The servers to which a client connects: a relay, or nodes.

use crate::cli::StartupError;
use crate::cli::client::ClientArgs;
use crate::cli::relay_tls::relay_tls;
use crate::client::Task;
use crate::jobs::{PeerSource, Query};
use crate::tls::TlsConnector;

/// The servers of a client.
pub(super) struct ClientServers {
    /// The relay, or the nodes that are asked instead; at least one.
    pub(super) sources: Vec<PeerSource>,
    /// The TLS of connections to the relay, if they are encrypted.
    pub(super) relay_tls: Option<TlsConnector>,
}

impl ClientServers {
    /// Looks the servers up.
    pub(super) fn find(args: &ClientArgs, task: &Task) -> Result<Self, StartupError> {
        let Some(node) = &args.from else {
            let mode = args.access.tls_mode(args.tls.tls, args.udp)?;
            let sources = args.relay.sources(!needs_relay(task))?;
            let relay_tls = match &sources[..] {
                [relay] if !relay.is_node => {
                    let certificates = args.access.certificates()?;
                    relay_tls(&args.relay, mode, args.udp, &relay.addresses, certificates)?
                }
                _ => None,
            };
            return Ok(Self { sources, relay_tls });
        };
        if needs_relay(task) {
            return Err(StartupError::usage(
                "a message goes through the relay; write its address instead of --from",
            ));
        }
        Ok(Self {
            sources: vec![PeerSource::node(node.to_string(), node.resolve()?)],
            relay_tls: None,
        })
    }
}

/// Whether only a relay can do the task: messages go through it.
fn needs_relay(task: &Task) -> bool {
    matches!(
        task,
        Task::SendAndWait(..) | Task::Chat(..) | Task::Query(Query::Message(..) | Query::Listeners)
    )
}
