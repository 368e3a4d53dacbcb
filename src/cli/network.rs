//! The network that a node needs: the addresses of its relays, and a route to them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use crate::cli::relay_address::{AutoServers, FoundRelay, RelayAddressArgs};
use crate::cli::service_manager::ServiceManager;
use crate::cli::sockets::node_addresses;
use crate::cli::{Exit, StartupError};
use crate::terminal::TerminalOutput;

/// The first pause between two attempts; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// The relays, and the local addresses on which the node listens, at least one.
pub(super) struct NodeNetwork {
    pub(super) relays: Vec<FoundRelay>,
    pub(super) listen: Vec<IpAddr>,
}

impl NodeNetwork {
    /// Looks the relays up.
    pub(super) fn find(
        relay: &RelayAddressArgs,
        listen: Option<IpAddr>,
    ) -> Result<Self, StartupError> {
        if !relay.is_given() {
            // It is announced in another way, so that others can reach it.
            let listen = listen.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
            return Ok(Self {
                relays: Vec::new(),
                listen: vec![listen],
            });
        }
        let relays = relay.find(AutoServers::Relays)?;
        let listen = node_addresses(listen, &addresses(&relays))?;
        Ok(Self { relays, listen })
    }
}

/// All addresses of these relays.
pub(super) fn addresses(relays: &[FoundRelay]) -> Vec<SocketAddr> {
    let addresses = relays.iter().flat_map(|relay| &relay.source.addresses);
    addresses.copied().collect()
}

/// Waits until the name of a relay resolves and there is a route to it: a node may start before
/// its machine has a network. Tells the user once what is missing.
pub(super) fn wait_for_network(
    relay: &RelayAddressArgs,
    listen: Option<IpAddr>,
    output: &TerminalOutput,
    manager: &ServiceManager,
) -> Result<NodeNetwork, StartupError> {
    let (mut pause, mut reported) = (FIRST_PAUSE, String::new());
    loop {
        match NodeNetwork::find(relay, listen) {
            Err(error) if matches!(error.exit, Exit::Host | Exit::Listen) => {
                if error.text != reported {
                    output.eprintln(format_args!("peer-node: {}; still trying", error.text));
                    reported = error.text;
                }
                // The start may take longer than the service manager allows by default.
                manager.notify_and_wait("EXTEND_TIMEOUT_USEC=60000000");
                thread::sleep(pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            result => return result,
        }
    }
}
