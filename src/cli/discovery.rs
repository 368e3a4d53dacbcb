//! The flags of discovery: how a server announces itself, and how `auto` finds it.

use std::net::SocketAddr;
use std::time::Duration;

use crate::cli::StartupError;
pub(super) use crate::discovery::ServiceKind;
use crate::discovery::{Announcement, FoundService, LocalService, NetworkInterface, browse};
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
    /// Finds the servers of the first of these kinds of which there is one; with an id, only
    /// those that claim to have it.
    pub(super) fn find(
        &self,
        kinds: &[ServiceKind],
        id: Option<KeyId>,
    ) -> Result<Vec<(ServiceKind, FoundService)>, StartupError> {
        let is_wanted = |found: &FoundService| id.is_none() || found.id == id;
        browse(kinds, self.discovery_time, self.max_found, is_wanted)
            .map_err(StartupError::system("cannot look for servers"))
    }
}
