//! Addresses with a host name, on a command line.

use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use crate::cli::{Exit, StartupError, values};
use crate::protocol::{NodeAddress, Port};

/// `HOST:PORT`, where the host may be a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct HostPort {
    pub(super) host: String,
    pub(super) port: Port,
}

impl HostPort {
    /// Looks up the host. Returns all its addresses, at least one.
    pub(super) fn resolve(&self) -> Result<Vec<SocketAddr>, StartupError> {
        let host = &self.host;
        let unresolved = |reason: &str| {
            let reason = reason.trim_start_matches("failed to lookup address information: ");
            let text = format!("cannot resolve {host}: {reason}; write a known name or an address");
            StartupError::new(Exit::Host, text)
        };
        let addresses: Vec<SocketAddr> = (host.as_str(), self.port.get())
            .to_socket_addrs()
            .map_err(|error| unresolved(&error.to_string()))?
            .collect();
        if addresses.is_empty() {
            return Err(unresolved("it has no address"));
        }
        Ok(addresses)
    }

    /// Likewise, of a node.
    pub(super) fn resolve_node(&self) -> Result<Vec<SocketAddr>, StartupError> {
        let addresses = self.resolve()?;
        let node = |address: &SocketAddr| NodeAddress::new(address.ip(), self.port);
        let nodes: Result<Vec<_>, _> = addresses.iter().map(node).collect();
        nodes.map_err(StartupError::usage)?;
        Ok(addresses)
    }

    /// Whether the host has to be looked up.
    pub(super) fn is_name(&self) -> bool {
        self.host.parse::<IpAddr>().is_err()
    }
}

/// The same for each way to write it.
impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port) = (self.host.to_lowercase(), self.port);
        let host = match host.parse::<IpAddr>() {
            Ok(ip) => ip.to_canonical().to_string(),
            Err(_) => host,
        };
        match host.contains(':') {
            true => write!(f, "[{host}]:{port}"),
            false => write!(f, "{host}:{port}"),
        }
    }
}

/// Parses the value of `--from`.
pub(super) fn node_host(text: &str) -> Result<HostPort, String> {
    match host_and_port(text)? {
        (host, Some(port)) => Ok(HostPort { host, port }),
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
    has_flag(words, FROM)
}

/// Whether the command line names a relay by a flag.
pub(super) fn names_relay(words: &[OsString]) -> bool {
    has_flag(words, "--relay")
}

/// Whether a node can be found without a relay.
pub(super) fn announces_node(words: &[OsString]) -> bool {
    let flags = ["--announce", "--announce-on", "--dht"];
    flags.into_iter().any(|flag| has_flag(words, flag))
}

fn has_flag(words: &[OsString], flag: &str) -> bool {
    let is_flag = |word: &str| {
        let value = word.strip_prefix(flag);
        value.is_some_and(|value| value.is_empty() || value.starts_with('='))
    };
    words.iter().any(|word| word.to_str().is_some_and(is_flag))
}

pub(super) fn missing_port(host: &str) -> String {
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

/// Splits a word into the host, without brackets, and the port, if the word contains it.
pub(super) fn host_and_port(text: &str) -> Result<(String, Option<Port>), String> {
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

/// Whether a word of a command line is `HOST:PORT`, or several of them.
pub(super) fn has_port(word: &str) -> bool {
    let mut words = word.split(',');
    words.all(|word| host_and_port(word).is_ok_and(|(_, port)| port.is_some()))
}
