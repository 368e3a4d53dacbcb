//! The relay's address on a command line.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;
use std::sync::mpsc::Receiver;
use std::thread;

use crate::cli::discovery::BrowseArgs;
use crate::cli::{Exit, StartupError, values};
use crate::jobs::PeerSource;
use crate::protocol::{NodeAddress, Port};
use crate::tls::KeyId;

/// The environment variable that stands in for the relay's address.
pub(super) const RELAY_VARIABLE: &str = "PEERLINE_RELAY";

/// The word that stands for the relays that announce themselves on the network.
const AUTO: &str = "auto";

/// The relay's address: `HOST:PORT` as one word, or `HOST PORT` as two.
#[derive(Clone, clap::Args)]
pub(super) struct RelayAddressArgs {
    /// The relay: HOST:PORT, or HOST and PORT as two words; auto finds one on the local network
    #[arg(index = 1, value_name = "RELAY", required = true, env = RELAY_VARIABLE, hide_env_values = true,
          value_parser = relay_host)]
    relay: Option<(String, Option<Port>)>,
    /// The relay's port, if RELAY does not contain it
    #[arg(index = 2, value_name = "PORT", value_parser = values::port)]
    relay_port: Option<Port>,
    /// Encrypt connections to the relay, and connect only to the one that prints this id when
    /// it starts [default: the id that it had at first, from the file of known relays]
    #[arg(long, value_name = "ID", global = true, conflicts_with = "udp", value_parser = KeyId::from_str)]
    relay_id: Option<KeyId>,
    #[command(flatten)]
    browse: BrowseArgs,
}

impl RelayAddressArgs {
    /// The key that the relay must have, if the user has pinned it.
    pub(super) fn id(&self) -> Option<KeyId> {
        self.relay_id
    }

    /// `HOST:PORT`, the same for each way to write it. A relay that was found has its first
    /// address.
    pub(super) fn name(&self, addresses: &[SocketAddr]) -> Result<String, StartupError> {
        let Some((host, port)) = self.host_and_port()? else {
            let first = addresses.first();
            return Ok(first.map_or(String::new(), SocketAddr::to_string));
        };
        let host = host.to_lowercase();
        Ok(match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        })
    }

    /// Looks up the host. Returns all its addresses, at least one.
    pub(super) fn resolve(&self) -> Result<Vec<SocketAddr>, StartupError> {
        match self.host_and_port()? {
            Some((host, port)) => resolve(host, port),
            None => Ok(self.discover(false)?.remove(0).addresses),
        }
    }

    /// The relay to ask, or, if `auto` finds none and nodes will do, the nodes. At least one.
    pub(super) fn sources(&self, takes_nodes: bool) -> Result<Vec<PeerSource>, StartupError> {
        match self.host_and_port()? {
            Some((host, port)) => {
                let addresses = resolve(host, port)?;
                Ok(vec![PeerSource::relay(String::new(), addresses)])
            }
            None => self.discover(takes_nodes),
        }
    }

    /// Finds a relay that announces itself. Several may have several keys, and all connections
    /// are encrypted for one.
    fn discover(&self, takes_nodes: bool) -> Result<Vec<PeerSource>, StartupError> {
        let mut found = self.browse.find(self.relay_id, takes_nodes)?;
        if found.iter().any(|source| !source.is_node) {
            found.truncate(1);
        }
        Ok(found)
    }

    /// None if a relay is to be found.
    fn host_and_port(&self) -> Result<Option<(&str, u16)>, StartupError> {
        // Required, unless another flag makes it superfluous.
        let Some((host, port)) = &self.relay else {
            return Err(StartupError::usage("the relay's address is missing"));
        };
        let port = match (*port, self.relay_port) {
            (None, None) if host == AUTO => return Ok(None),
            (Some(port), None) | (None, Some(port)) => port.get(),
            (Some(first), Some(second)) => {
                let text = format!("the relay's port is given twice: {first} and {second}");
                return Err(StartupError::usage(text));
            }
            (None, None) => return Err(StartupError::usage(missing_port(host))),
        };
        Ok(Some((host, port)))
    }

    /// Starts a thread that looks the host up for each request, and passes the addresses
    /// on. Without a name there is nothing to look up.
    pub(super) fn start_resolver(
        &self,
        requests: Receiver<()>,
        on_addresses: impl Fn(Vec<SocketAddr>) + Send + 'static,
    ) -> io::Result<()> {
        let is_name = |(host, _): &(String, _)| host.parse::<IpAddr>().is_err();
        if !self.relay.as_ref().is_some_and(is_name) {
            return Ok(());
        }
        let relay = self.clone();
        let body = move || {
            for () in requests {
                if let Ok(addresses) = relay.resolve() {
                    on_addresses(addresses);
                }
            }
        };
        thread::Builder::new().name("resolver".into()).spawn(body)?;
        Ok(())
    }
}

/// Looks up a host. Returns all its addresses, at least one.
fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, StartupError> {
    let unresolved = |reason: &str| {
        let reason = reason.trim_start_matches("failed to lookup address information: ");
        let text = format!("cannot resolve {host}: {reason}; write a known name or an address");
        StartupError::new(Exit::Host, text)
    };
    let addresses: Vec<SocketAddr> = (host, port)
        .to_socket_addrs()
        .map_err(|error| unresolved(&error.to_string()))?
        .collect();
    if addresses.is_empty() {
        return Err(unresolved("it has no address"));
    }
    Ok(addresses)
}

/// The address of a node that is asked directly.
#[derive(Clone)]
pub(super) struct NodeHost {
    host: String,
    port: Port,
}

impl NodeHost {
    /// Looks up the host. Returns all its addresses, at least one.
    pub(super) fn resolve(&self) -> Result<Vec<SocketAddr>, StartupError> {
        let addresses = resolve(&self.host, self.port.get())?;
        let node = |address: &SocketAddr| NodeAddress::new(address.ip(), self.port);
        let nodes: Result<Vec<_>, _> = addresses.iter().map(node).collect();
        nodes.map_err(StartupError::usage)?;
        Ok(addresses)
    }
}

impl fmt::Display for NodeHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} port {}", self.host, self.port)
    }
}

/// Parses the value of `--from`.
pub(super) fn node_host(text: &str) -> Result<NodeHost, String> {
    match relay_host(text)? {
        (host, Some(port)) => Ok(NodeHost { host, port }),
        (host, None) => Err(format!(
            "write the node's port, too, such as --from {host} 9001"
        )),
    }
}

/// Joins the two words after `--from` to `HOST:PORT`, if they are two.
pub(super) fn join_node_address(mut words: Vec<OsString>) -> Vec<OsString> {
    let Some(index) = words.iter().position(|word| word == FROM) else {
        return words;
    };
    if let [Some(host), Some(port)] = [1, 2].map(|next| words.get(index + next)?.to_str())
        && values::port(port).is_ok()
        && !has_port(host)
    {
        let joined = match host.contains(':') && !host.starts_with('[') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        };
        words.splice(index + 1..=index + 2, [joined.into()]);
    }
    words
}

/// The flag with the address of a node, instead of a relay.
const FROM: &str = "--from";

/// Whether the command line has that flag.
pub(super) fn names_node(words: &[OsString]) -> bool {
    let is_flag = |word: &str| word == FROM || word.starts_with("--from=");
    words.iter().any(|word| word.to_str().is_some_and(is_flag))
}

fn missing_port(host: &str) -> String {
    // The last group of an IPv6 address may be meant as the port.
    let example = match host.rsplit_once(':') {
        Some((ip, port)) if ip.parse::<IpAddr>().is_ok() && values::port(port).is_ok() => {
            format!("[{ip}]:{port}")
        }
        Some(_) => format!("[{host}]:8888"),
        None => format!("{host}:8888"),
    };
    format!("the relay's port is missing; write host and port, such as {example}")
}

/// Splits the first word of a relay's address into the host, without brackets, and the
/// port, if the word contains it.
fn relay_host(text: &str) -> Result<(String, Option<Port>), String> {
    if let Some((scheme, rest)) = text.split_once("://") {
        let rest = rest.split('/').next().unwrap_or(rest);
        return Err(format!("write the address without {scheme}://: {rest}"));
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, "")) => (host, None),
            Some((host, rest)) if rest.starts_with(':') => (host, Some(&rest[1..])),
            Some(_) | None => return Err(BRACKETS.into()),
        },
        None => match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') => (host, Some(port)),
            // Without brackets, an IPv6 address has no port. A zone may follow it.
            Some(_) if text.contains('%') || text.parse::<IpAddr>().is_ok() => (text, None),
            Some(_) => return Err(BRACKETS.into()),
            None => (text, None),
        },
    };
    if host.is_empty() || host.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("write the host before the port, such as 127.0.0.1:8888".into());
    }
    Ok((host.into(), port.map(values::port).transpose()?))
}

const BRACKETS: &str = "write an IPv6 address with a port as [::1]:8888";

/// Whether a word of a command line is `HOST:PORT`.
pub(super) fn has_port(word: &str) -> bool {
    relay_host(word).is_ok_and(|(_, port)| port.is_some())
}
