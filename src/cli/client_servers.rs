//! The servers to which a client connects: relays, or nodes.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::cli::StartupError;
use crate::cli::client_args::ClientArgs;
use crate::cli::relay_address::{AutoServers, FoundNodes};
use crate::cli::relay_tls::{ClientTlsArgs, RelayTls};
use crate::client::Task;
use crate::jobs::{NodeTls, PeerSource};
use crate::tls::{Certificates, IdList, KnownRelays, TlsConnector, TlsMode};

/// The servers of a client.
#[derive(Default)]
pub(super) struct ClientServers {
    /// The relays, or the nodes that are asked instead; at least one.
    pub(super) sources: Vec<PeerSource>,
    /// Nodes that were found, not named by the user, if further ones are to be looked for.
    pub(super) followed: Option<FoundNodes>,
    /// The TLS of connections to each relay, if they are encrypted.
    pub(super) tls: Vec<Option<TlsConnector>>,
    /// How to connect to other nodes.
    pub(super) node_tls: NodeTls,
    /// The key that all of them are shown, if any.
    pub(super) certificates: Option<Arc<Certificates>>,
    /// The only ids that nodes may have, if there is a list.
    pub(super) node_ids: Option<Arc<IdList>>,
}

impl ClientServers {
    /// Looks the servers up.
    pub(super) fn find(args: &ClientArgs, task: &Task) -> Result<Self, StartupError> {
        let ClientTlsArgs { tls, node_id } = args.tls;
        // These flags may stand before and after the command, where clap compares none.
        let mistake = match (node_id, &args.from) {
            (Some(_), None) => "--node-id belongs to --from; for a relay, write --relay-id",
            (Some(_), _) if tls == TlsMode::Off => {
                "--node-id needs TLS; write --node-id or --tls off, not both"
            }
            (None, Some(_)) if args.relay.has_ids() => {
                "--from asks no relay; for a node, write --node-id"
            }
            _ => "",
        };
        if !mistake.is_empty() {
            return Err(StartupError::usage(mistake));
        }
        let mode = args.access.tls_mode(tls, args.udp)?;
        let node_ids = args.access.node_ids()?;
        let servers = Self {
            node_tls: NodeTls::new(mode, node_id).with_allowed(node_ids.clone()),
            node_ids,
            certificates: args.access.certificates()?,
            ..Self::default()
        };
        let Some(node) = &args.from else {
            return servers.find_relays(args, task, mode);
        };
        if needs_relay(task) {
            return Err(StartupError::usage(
                "a message goes through the relay; write its address instead of --from",
            ));
        }
        let name = format!("{} port {}", node.host, node.port);
        Ok(Self {
            sources: vec![PeerSource::node(name, node.resolve_node()?)],
            ..servers
        })
    }

    fn find_relays(
        mut self,
        args: &ClientArgs,
        task: &Task,
        mode: TlsMode,
    ) -> Result<Self, StartupError> {
        let auto = match needs_relay(task) {
            true => AutoServers::Relays,
            false => AutoServers::RelaysOrNodes,
        };
        let found = args.relay.find(auto)?;
        if *task == Task::Prompt || !args.relay.browse.patience.is_zero() {
            self.followed = FoundNodes::of(&found);
        }
        let tls = RelayTls {
            mode,
            is_udp: args.udp,
            certificates: self.certificates.clone(),
            file: KnownRelays::of_user(None),
        };
        for relay in found {
            // The TLS of nodes is `node_tls`.
            if !relay.source.is_node {
                self.tls.push(tls.connector(&relay)?);
            }
            self.sources.push(relay.source);
        }
        Ok(self)
    }

    /// All addresses of relays.
    pub(super) fn relay_addresses(&self) -> Vec<SocketAddr> {
        let relays = self.sources.iter().filter(|source| !source.is_node);
        relays.flat_map(|relay| relay.addresses.clone()).collect()
    }
}

/// Whether only a relay can do the task: messages go through it.
fn needs_relay(task: &Task) -> bool {
    match task {
        Task::SendAndWait(..) | Task::Chat(..) => true,
        Task::Query(query) => query.needs_relay(),
        Task::Prompt | Task::Search(_) | Task::Get(..) | Task::GetList(_) => false,
    }
}
