//! The flags of discovery: how a server announces itself, and how `auto` finds it.

use std::net::SocketAddr;
use std::time::Duration;

use crate::cli::{Exit, StartupError};
pub(super) use crate::discovery::ServiceKind;
use crate::discovery::{Announcement, FoundService, LocalService, NetworkInterface, browse};
use crate::jobs::PeerSource;
use crate::logging::OPERATOR;
use crate::quantity::{integer, seconds};
use crate::tls::KeyId;

const HEADING: &str = "Local network";

/// Whether a server announces itself.
#[derive(clap::Args)]
#[command(next_help_heading = HEADING)]
pub(super) struct AnnounceArgs {
    /// Announce the server by mDNS on the networks where it listens, so that `auto` finds it
    #[arg(long)]
    announce: bool,
    /// Announce it only on this interface; may be repeated
    #[arg(long, value_name = "INTERFACE|IP")]
    announce_on: Vec<NetworkInterface>,
}

impl AnnounceArgs {
    fn is_enabled(&self) -> bool {
        self.announce || !self.announce_on.is_empty()
    }

    /// Announces the server that listens at `addresses`, if the user wants it.
    pub(super) fn announce(
        &self,
        kind: ServiceKind,
        addresses: &[SocketAddr],
        id: Option<KeyId>,
    ) -> Result<Option<Announcement>, StartupError> {
        if !self.is_enabled() {
            return Ok(None);
        }
        if addresses.iter().all(|address| address.ip().is_loopback()) {
            log::warn!(
                target: OPERATOR,
                "announced on this machine only: to be found by others, listen at an address of \
                 the network, such as --listen 0.0.0.0"
            );
        }
        let service = LocalService {
            kind,
            addresses: addresses.to_vec(),
            interfaces: self.announce_on.clone(),
            id,
        };
        let announcement = service.announce();
        let announcement = announcement.map_err(StartupError::system("cannot announce the server"));
        announcement.map(Some)
    }
}

/// How `auto` looks for servers.
#[derive(Clone, clap::Args)]
pub(super) struct BrowseArgs {
    /// How long `auto` looks for servers; each answers at most once a second
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds, global = true,
          help_heading = HEADING)]
    discovery_time: Duration,
    /// Maximum number of servers that `auto` uses
    #[arg(long, value_name = "N", default_value = "256", value_parser = integer::<usize>(1..),
          global = true, help_heading = HEADING)]
    max_found: usize,
}

impl BrowseArgs {
    /// Finds the relays that announce themselves, with an id only the one that claims to have
    /// it. If there is none, and nodes will do, the nodes. At least one.
    pub(super) fn find(
        &self,
        id: Option<KeyId>,
        takes_nodes: bool,
    ) -> Result<Vec<PeerSource>, StartupError> {
        let (kinds, missing) = match takes_nodes && id.is_none() {
            true => (
                &[ServiceKind::Relay, ServiceKind::Node][..],
                "no relay and no node",
            ),
            false => (&[ServiceKind::Relay][..], "no relay"),
        };
        let is_wanted = |found: &FoundService| id.is_none() || found.id == id;
        let found = browse(kinds, self.discovery_time, self.max_found, is_wanted)
            .map_err(StartupError::system("cannot look for servers"))?;
        if found.is_empty() {
            let text = format!(
                "{missing} is announced on this network; start a relay with relay-server \
                 --announce, or write its address"
            );
            return Err(StartupError::new(Exit::Host, text));
        }
        Ok(found.into_iter().filter_map(source).collect())
    }
}

/// A server that was found, as a source of answers. One address of a node is enough: with
/// several, it would seem to be several nodes.
fn source((kind, service): (ServiceKind, FoundService)) -> Option<PeerSource> {
    let first = *service.addresses.first()?;
    Some(match kind {
        ServiceKind::Relay => {
            let addresses: Vec<SocketAddr> =
                service.addresses.into_iter().map(Into::into).collect();
            PeerSource::relay(addresses[0].to_string(), addresses)
        }
        ServiceKind::Node => {
            let name = format!("{} port {}", first.ip(), first.port());
            PeerSource::node(name, vec![first.into()])
        }
    })
}
