//! The servers to which a client connects: relays, or nodes.

use std::net::SocketAddr;

use crate::cli::StartupError;
use crate::cli::client::ClientArgs;
use crate::cli::relay_address::AutoServers;
use crate::cli::relay_tls::relay_tls;
use crate::client::Task;
use crate::jobs::{PeerSource, Query};
use crate::tls::TlsConnector;

/// The servers of a client.
#[derive(Default)]
pub(super) struct ClientServers {
    /// The relays, or the nodes that are asked instead; at least one.
    pub(super) sources: Vec<PeerSource>,
    /// The TLS of connections to each of them, if they are encrypted.
    pub(super) tls: Vec<Option<TlsConnector>>,
}

impl ClientServers {
    /// Looks the servers up.
    pub(super) fn find(args: &ClientArgs, task: &Task) -> Result<Self, StartupError> {
        let Some(node) = &args.from else {
            return Self::find_relays(args, task);
        };
        if needs_relay(task) {
            return Err(StartupError::usage(
                "a message goes through the relay; write its address instead of --from",
            ));
        }
        let name = format!("{} port {}", node.host, node.port);
        Ok(Self {
            sources: vec![PeerSource::node(name, node.resolve_node()?)],
            tls: vec![None],
        })
    }

    fn find_relays(args: &ClientArgs, task: &Task) -> Result<Self, StartupError> {
        let mode = args.access.tls_mode(args.tls.tls, args.udp)?;
        let certificates = args.access.certificates()?;
        let mut servers = Self::default();
        let auto = match needs_relay(task) {
            true => AutoServers::Relays,
            false => AutoServers::RelaysOrNodes,
        };
        for relay in args.relay.find(auto)? {
            // Those whose names are unknown were reported.
            if relay.source.addresses.is_empty() {
                continue;
            }
            servers.tls.push(match relay.source.is_node {
                true => None,
                false => relay_tls(&relay, mode, args.udp, certificates.clone())?,
            });
            servers.sources.push(relay.source);
        }
        Ok(servers)
    }

    /// All addresses of relays.
    pub(super) fn relay_addresses(&self) -> Vec<SocketAddr> {
        let relays = self.sources.iter().filter(|source| !source.is_node);
        relays.flat_map(|relay| relay.addresses.clone()).collect()
    }
}

/// Whether only a relay can do the task: messages go through it.
fn needs_relay(task: &Task) -> bool {
    matches!(
        task,
        Task::SendAndWait(..) | Task::Chat(..) | Task::Query(Query::Message(..) | Query::Listeners)
    )
}
