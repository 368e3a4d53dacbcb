//! The relays on a command line.

use std::io;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::mpsc::Receiver;
use std::thread;

use log::warn;

use crate::cli::announced_relays::AnnouncedRelays;
use crate::cli::discovery::BrowseArgs;
use crate::cli::group::group_name;
use crate::cli::host_port::{HostPort, host_and_port, missing_port};
use crate::cli::{StartupError, values};
use crate::client::ClientMessage;
use crate::discovery::ServiceIdentity;
use crate::jobs::PeerSource;
use crate::logging::OPERATOR;
use crate::protocol::Port;
use crate::reactor::Handle;
use crate::sandbox::Sandbox;
use crate::tls::KeyId;

/// The environment variable that stands in for the relay's address.
pub(super) const RELAY_VARIABLE: &str = "PEERLINE_RELAY";

/// The word that stands for the relays that announce themselves on the network.
const AUTO: &str = "auto";

/// What stands before the name of a group whose nodes are found on the DHT.
const DHT: &str = "dht:";

/// The first relay, `HOST:PORT` as one word or `HOST PORT` as two, and further ones.
#[derive(Clone, clap::Args)]
pub(super) struct RelayAddressArgs {
    /// The relay: HOST:PORT, or HOST and PORT as two words; auto stands for
    /// those announced on the local network
    #[arg(index = 1, value_name = "RELAY", required = true, env = RELAY_VARIABLE, hide_env_values = true,
          value_parser = relay_words)]
    relay: Option<RelayWords>,
    /// The relay's port, if RELAY does not contain it
    #[arg(index = 2, value_name = "PORT", value_parser = values::port)]
    relay_port: Option<Port>,
    /// Another relay beside the first one: HOST:PORT; may be repeated
    #[arg(long = "relay", id = "more_relays", value_name = "HOST:PORT", global = true,
          value_parser = relay_word)]
    more: Vec<RelayWord>,
    /// Encrypt connections to the relay, and connect only to the one that prints this id when
    /// it starts [default: the id that it showed at the first connection, kept in known_relays];
    /// may be repeated for further relays, in their order
    #[arg(long, value_name = "ID", global = true, conflicts_with = "udp", value_parser = KeyId::from_str)]
    relay_id: Vec<KeyId>,
    #[command(flatten)]
    pub(super) browse: BrowseArgs,
}

/// A relay as it was written: the host, and the port if it stands in the same word.
type RelayWord = (String, Option<Port>);

/// Relays in one word, separated by commas.
#[derive(Clone)]
struct RelayWords(Vec<RelayWord>);

/// What `auto` may stand for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum AutoServers {
    /// All relays that answer.
    Relays,
    /// The same, or all nodes if there is no relay.
    RelaysOrNodes,
}

/// A relay that the user has chosen.
#[derive(Clone)]
pub(super) enum ChosenRelay {
    /// One that announces itself.
    Auto,
    /// None, but the nodes of the group of this name.
    Group(String),
    /// The one at this address.
    At(HostPort),
}

/// A relay to connect to.
pub(super) struct FoundRelay {
    /// Its name and addresses; no address if the name cannot be resolved at present.
    pub(super) source: PeerSource,
    /// The key that it must have, if the user has pinned it.
    pub(super) id: Option<KeyId>,
    /// How it was found.
    pub(super) chosen: ChosenRelay,
    /// Who it claims to be, if it was found by its announcement.
    pub(super) announced_as: Option<ServiceIdentity>,
}

/// Nodes that were found instead of relays.
pub(super) struct FoundNodes {
    /// The group on the DHT, or else they were found on the local network.
    group: Option<String>,
    nodes: Vec<PeerSource>,
}

impl FoundNodes {
    /// None if there is a relay, or if the nodes were not all found in the same way.
    pub(super) fn of(found: &[FoundRelay]) -> Option<Self> {
        let group = |found: &FoundRelay| match &found.chosen {
            ChosenRelay::Group(name) => Some(name.clone()),
            ChosenRelay::Auto | ChosenRelay::At(_) => None,
        };
        let first = group(found.first()?);
        let is_like_first = |found: &FoundRelay| found.source.is_node && group(found) == first;
        found.iter().all(is_like_first).then(|| Self {
            nodes: found.iter().map(|found| found.source.clone()).collect(),
            group: first,
        })
    }
}

impl FoundRelay {
    /// `HOST:PORT`, as its key is known. One that announces itself has no name of its own, but
    /// several addresses.
    pub(super) fn names(&self) -> Vec<String> {
        match self.chosen {
            ChosenRelay::Auto => {
                let addresses = self.source.addresses.iter();
                addresses.map(SocketAddr::to_string).collect()
            }
            ChosenRelay::Group(_) | ChosenRelay::At(_) => vec![self.source.name.clone()],
        }
    }
}

impl RelayAddressArgs {
    /// Whether the user has pinned the key of a relay.
    pub(super) fn has_ids(&self) -> bool {
        !self.relay_id.is_empty()
    }

    /// The flags that pin the same keys.
    pub(super) fn id_flags(&self) -> impl Iterator<Item = String> {
        self.relay_id.iter().map(|id| format!("--relay-id={id}"))
    }

    /// All relays in one word.
    pub(super) fn word(&self) -> String {
        let chosen = self.chosen().unwrap_or_default();
        let names: Vec<String> = chosen.iter().map(ChosenRelay::name).collect();
        names.join(",")
    }

    /// Whether there is a relay.
    pub(super) fn is_given(&self) -> bool {
        self.relay.is_some() || !self.more.is_empty()
    }

    /// The relays in the order of the user, at least one.
    fn chosen(&self) -> Result<Vec<ChosenRelay>, StartupError> {
        let first = self.relay.as_ref().map_or(&[][..], |words| &words.0);
        let has_port = |(_, port): &&RelayWord| port.is_some();
        if let (Some(second), Some((_, Some(port)))) =
            (self.relay_port, first.iter().find(has_port))
        {
            let text = format!("the relay's port is given twice: {port} and {second}");
            return Err(StartupError::usage(text));
        }
        let (mut chosen, mut names) = (Vec::new(), Vec::new());
        for (host, port) in first.iter().chain(&self.more) {
            let is_first = chosen.is_empty();
            let host = host.clone();
            match port.or(self.relay_port.filter(|_| is_first)) {
                Some(port) => chosen.push(ChosenRelay::At(HostPort { host, port })),
                None if host == AUTO => chosen.push(ChosenRelay::Auto),
                None if host.starts_with(DHT) => {
                    chosen.push(ChosenRelay::Group(host[DHT.len()..].into()));
                }
                None => return Err(StartupError::usage(missing_port(&host))),
            }
            let name = chosen.last().map(ChosenRelay::name).unwrap_or_default();
            if names.contains(&name) {
                return Err(StartupError::usage(format!(
                    "the relay {name} is given twice"
                )));
            }
            names.push(name);
        }
        // Required, unless another flag makes it superfluous.
        if chosen.is_empty() {
            return Err(StartupError::usage("the relay's address is missing"));
        }
        let is_group = |chosen: &ChosenRelay| matches!(chosen, ChosenRelay::Group(_));
        if chosen.iter().any(is_group) && !chosen.iter().all(is_group) {
            let text = "dht:NAME finds nodes; write it without relays beside it";
            return Err(StartupError::usage(text));
        }
        if self.relay_id.len() > chosen.len() {
            let text = "there are more --relay-id than relays";
            return Err(StartupError::usage(text));
        }
        Ok(chosen)
    }

    /// Looks the relays up. At least one has an address; the user learns which ones have none.
    pub(super) fn find(&self, auto: AutoServers) -> Result<Vec<FoundRelay>, StartupError> {
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        let chosen = self.chosen()?;
        let takes_nodes = auto == AutoServers::RelaysOrNodes && chosen.len() == 1;
        for (index, chosen) in chosen.into_iter().enumerate() {
            let id = self.relay_id.get(index).copied();
            let relay = |announced_as, source| FoundRelay {
                source,
                id,
                chosen: chosen.clone(),
                announced_as,
            };
            let group_node = |node| relay(None, node);
            match &chosen {
                ChosenRelay::Auto => match self.browse.find(id, takes_nodes) {
                    Ok(sources) => {
                        let sources = sources.into_iter();
                        found.extend(
                            sources.map(|(identity, source)| relay(Some(identity), source)),
                        );
                    }
                    Err(error) => failures.push(error),
                },
                ChosenRelay::Group(_) if auto != AutoServers::RelaysOrNodes => {
                    return Err(finds_nodes());
                }
                ChosenRelay::Group(name) => match self.browse.find_group(name) {
                    Ok(nodes) => found.extend(nodes.into_iter().map(group_node)),
                    Err(error) => failures.push(error),
                },
                ChosenRelay::At(address) => {
                    let addresses = address.resolve();
                    let addresses = addresses.map_err(|error| failures.push(error));
                    let addresses = addresses.unwrap_or_default();
                    found.push(relay(
                        None,
                        PeerSource::relay(address.to_string(), addresses),
                    ));
                }
            }
        }
        let is_any_known = found.iter().any(|relay| !relay.source.addresses.is_empty());
        if !is_any_known && !failures.is_empty() {
            return Err(failures.remove(0));
        }
        for failure in failures {
            warn!(target: OPERATOR, "{}", failure.text);
        }
        Ok(found)
    }

    /// Starts a thread that looks for further nodes in the same way, if there is one, and tells
    /// the client of them.
    pub(super) fn follow_nodes(
        &self,
        found: Option<FoundNodes>,
        client: Handle<ClientMessage>,
    ) -> Result<(), StartupError> {
        let Some(FoundNodes { group, nodes }) = found else {
            return Ok(());
        };
        let on_found = move |nodes| client.send(ClientMessage::NodesFound(nodes));
        let started = self.browse.follow_nodes(group, nodes, on_found);
        started.map_err(StartupError::system("cannot start a thread"))
    }

    /// Starts a thread that waits for relays to be announced, if `auto` stands for some. It
    /// passes on further ones to `add`, which says whether they are used, and the addresses of
    /// one that has moved, with its index.
    pub(super) fn follow_relays(
        &self,
        found: &[FoundRelay],
        sandbox: Option<Sandbox>,
        add: impl Fn(FoundRelay) -> bool + Send + 'static,
        on_addresses: impl Fn(usize, Vec<SocketAddr>) + Send + 'static,
    ) -> Result<(), StartupError> {
        let is_auto = |chosen: &ChosenRelay| matches!(chosen, ChosenRelay::Auto);
        let Some(index) = self.chosen()?.iter().position(is_auto) else {
            return Ok(());
        };
        let id = self.relay_id.get(index).copied();
        let known = found.iter().map(|relay| {
            let addresses = relay.source.addresses.clone();
            (relay.announced_as.clone(), addresses)
        });
        let mut known = AnnouncedRelays::new(known, self.browse.max_found);
        let on_announced = move |identity: &ServiceIdentity, source: PeerSource| {
            let addresses = source.addresses.clone();
            let add_it = || {
                add(FoundRelay {
                    source,
                    id,
                    chosen: ChosenRelay::Auto,
                    announced_as: Some(identity.clone()),
                })
            };
            if let Some((index, addresses)) = known.on_announced(identity, &addresses, add_it) {
                on_addresses(index, addresses);
            }
        };
        let started = BrowseArgs::follow_relays(id, sandbox, on_announced);
        started.map_err(StartupError::system("cannot start a thread"))
    }

    /// Starts a thread that looks a relay up for each request, and passes its addresses on.
    /// Without a name there is nothing to look up.
    pub(super) fn start_resolver(
        relay: &FoundRelay,
        requests: Receiver<()>,
        on_addresses: impl Fn(Vec<SocketAddr>) + Send + 'static,
    ) -> io::Result<()> {
        let ChosenRelay::At(address) = relay.chosen.clone() else {
            return Ok(());
        };
        if !address.is_name() {
            return Ok(());
        }
        let body = move || {
            for () in requests {
                if let Ok(addresses) = address.resolve() {
                    on_addresses(addresses);
                }
            }
        };
        thread::Builder::new().name("resolver".into()).spawn(body)?;
        Ok(())
    }
}

impl ChosenRelay {
    fn name(&self) -> String {
        match self {
            Self::Auto => AUTO.into(),
            Self::Group(name) => format!("{DHT}{name}"),
            Self::At(address) => address.to_string(),
        }
    }
}

fn finds_nodes() -> StartupError {
    StartupError::usage("dht:NAME finds nodes, but this needs a relay; write its address")
}

/// Parses the first relay, or all those of the environment. The name of a group may have
/// commas.
fn relay_words(text: &str) -> Result<RelayWords, String> {
    if text.starts_with(DHT) {
        return Ok(RelayWords(vec![relay_word(text)?]));
    }
    let words: Result<_, _> = text.split(',').map(relay_word).collect();
    words.map(RelayWords)
}

fn relay_word(text: &str) -> Result<RelayWord, String> {
    if let Some(name) = text.strip_prefix(DHT) {
        group_name(name)?;
        return Ok((text.into(), None));
    }
    host_and_port(text.trim())
}
