//! The flags of discovery: how a server announces itself, and how `auto` finds it.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use log::warn;

use crate::cli::{Exit, StartupError};
pub(super) use crate::discovery::ServiceKind;
use crate::discovery::{
    Announcement, DhtGroup, DhtNetwork, FoundService, LocalService, NetworkInterface,
    ServiceIdentity, browse, follow,
};
use crate::jobs::PeerSource;
use crate::logging::OPERATOR;
use crate::protocol::NodeAddress;
use crate::quantity::{integer, seconds};
use crate::sandbox::Sandbox;
use crate::terminal::node_text;
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
            warn!(
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

/// How long to look for servers on the network, and on the DHT, where many are asked in turn.
const NETWORK_TIME: Duration = Duration::from_secs(2);
const DHT_TIME: Duration = Duration::from_secs(20);
/// How long to pause before the next look.
const NETWORK_PAUSE: Duration = Duration::from_secs(5);
const DHT_PAUSE: Duration = Duration::from_secs(30);

/// How `auto` and `dht:NAME` look for servers.
#[derive(Clone, clap::Args)]
pub(super) struct BrowseArgs {
    /// How long to look for servers [default: 2 with auto, 20 with dht:NAME]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, global = true,
          help_heading = HEADING)]
    discovery_time: Option<Duration>,
    /// Maximum number of servers to find
    #[arg(long, value_name = "N", default_value = "256", value_parser = integer::<usize>(1..),
          global = true, help_heading = HEADING)]
    pub(super) max_found: usize,
    /// Member of the DHT that is asked first; may be repeated [default: those of BitTorrent's
    /// public DHT]
    #[arg(long, value_name = "HOST:PORT", global = true, help_heading = HEADING)]
    dht_bootstrap: Vec<String>,
    /// How long to look again while there is no server.
    #[arg(skip)]
    pub(super) patience: Duration,
}

impl BrowseArgs {
    /// Finds the relays that announce themselves, with an id only the one that claims to have
    /// it. If there is none, and nodes will do, the nodes. At least one, each with who it claims
    /// to be.
    pub(super) fn find(
        &self,
        id: Option<KeyId>,
        takes_nodes: bool,
    ) -> Result<Vec<(ServiceIdentity, PeerSource)>, StartupError> {
        let (kinds, missing) = match takes_nodes && id.is_none() {
            true => (
                &[ServiceKind::Relay, ServiceKind::Node][..],
                "no relay and no node",
            ),
            false => (&[ServiceKind::Relay][..], "no relay"),
        };
        let time = self.discovery_time.unwrap_or(NETWORK_TIME);
        let is_wanted = |found: &FoundService| id.is_none() || found.identity.id == id;
        let missing = format!("{missing} is announced on this network");
        let found = self.look(&missing, NETWORK_PAUSE, || {
            let found = browse(kinds, time, self.max_found, is_wanted)?;
            Ok(found.into_iter().filter_map(source).collect())
        });
        let found = found.map_err(StartupError::system("cannot look for servers"))?;
        if found.is_empty() {
            let text = format!(
                "{missing}; start a relay with relay-server --announce, or write its address"
            );
            return Err(StartupError::new(Exit::Host, text));
        }
        Ok(found)
    }

    /// Finds the nodes of a group. At least one.
    pub(super) fn find_group(&self, name: &str) -> Result<Vec<PeerSource>, StartupError> {
        let time = self.discovery_time.unwrap_or(DHT_TIME);
        let missing = format!("no node of the group {name} is on the DHT");
        let nodes = self.look(&missing, DHT_PAUSE, || {
            let nodes = self.dht().find(DhtGroup::new(name), time, self.max_found)?;
            Ok(nodes.into_iter().map(node_source).collect())
        });
        let nodes = nodes.map_err(StartupError::system("cannot join the DHT"))?;
        if nodes.is_empty() {
            let text = format!("{missing}; start one with peer-node --dht --group NAME");
            return Err(StartupError::new(Exit::Host, text));
        }
        Ok(nodes)
    }

    /// Looks for servers until there are some, or the patience ends.
    fn look<T>(
        &self,
        missing: &str,
        pause: Duration,
        find: impl Fn() -> io::Result<Vec<T>>,
    ) -> io::Result<Vec<T>> {
        let end = Instant::now() + self.patience;
        let mut has_reported = false;
        loop {
            let found = find()?;
            let left = end.saturating_duration_since(Instant::now());
            if !found.is_empty() || left.is_zero() {
                return Ok(found);
            }
            if !std::mem::replace(&mut has_reported, true) {
                let seconds = self.patience.as_secs_f64();
                warn!(target: OPERATOR, "{missing}; waiting up to {seconds} s");
            }
            thread::sleep(pause.min(left));
        }
    }

    /// Starts a thread that looks for nodes again and again, of a group on the DHT or else of
    /// the network, and passes on those that are not `known`, until there are `--max-found`.
    pub(super) fn follow_nodes(
        &self,
        group: Option<String>,
        mut known: Vec<PeerSource>,
        on_found: impl Fn(Vec<PeerSource>) + Send + 'static,
    ) -> io::Result<()> {
        let browse = Self {
            patience: Duration::ZERO,
            ..self.clone()
        };
        let body = move || {
            while known.len() < browse.max_found {
                let found = match &group {
                    Some(name) => {
                        thread::sleep(DHT_PAUSE);
                        browse.find_group(name)
                    }
                    None => {
                        thread::sleep(NETWORK_PAUSE);
                        let found = browse.find(None, true);
                        found.map(|found| found.into_iter().map(|(_, source)| source).collect())
                    }
                };
                let mut new = found.unwrap_or_default();
                let is_known = |source: &PeerSource| {
                    known
                        .iter()
                        .any(|known| known.addresses == source.addresses)
                };
                new.retain(|source| source.is_node && !is_known(source));
                new.truncate(browse.max_found - known.len());
                if !new.is_empty() {
                    known.extend(new.iter().cloned());
                    on_found(new);
                }
            }
        };
        thread::Builder::new()
            .name("discovery".into())
            .spawn(body)?;
        Ok(())
    }

    /// Starts a thread that waits for relays to be announced, with an id only the one that
    /// claims to have it, and passes on each of them, and who it claims to be.
    pub(super) fn follow_relays(
        id: Option<KeyId>,
        sandbox: Option<Sandbox>,
        mut on_announced: impl FnMut(&ServiceIdentity, PeerSource) + Send + 'static,
    ) -> io::Result<()> {
        let mut on_service = move |found: FoundService| {
            let is_wanted = id.is_none() || found.identity.id == id;
            let source = source((ServiceKind::Relay, found)).filter(|_| is_wanted);
            if let Some((identity, source)) = source {
                on_announced(&identity, source);
            }
        };
        let body = move || {
            if let Some(Err(error)) = sandbox.map(|sandbox| sandbox.enter()) {
                warn!(target: OPERATOR, "sandbox of mDNS: {error}");
            }
            if let Err(error) = follow(ServiceKind::Relay, &mut on_service) {
                warn!(target: OPERATOR, "no further relays are found on the network: {error}");
            }
        };
        thread::Builder::new()
            .name("discovery".into())
            .spawn(body)?;
        Ok(())
    }

    /// The DHT to use.
    pub(super) fn dht(&self) -> DhtNetwork {
        let bootstrap = self.dht_bootstrap.clone();
        DhtNetwork { bootstrap }
    }
}

fn node_source(node: NodeAddress) -> PeerSource {
    PeerSource::node(node_text(node), vec![node.into()])
}

/// A server that was found, as a source of answers, and who it claims to be. One address of a
/// node is enough: with several, it would seem to be several nodes.
fn source((kind, service): (ServiceKind, FoundService)) -> Option<(ServiceIdentity, PeerSource)> {
    let first = *service.addresses.first()?;
    let source = match kind {
        ServiceKind::Relay => {
            let addresses = service.addresses.into_iter();
            let name = SocketAddr::from(first).to_string();
            PeerSource::relay(name, addresses.map(Into::into).collect())
        }
        ServiceKind::Node => PeerSource {
            id: service.identity.id,
            ..node_source(first)
        },
    };
    Some((service.identity, source))
}
