//! The settings of a server for HTTP.

use std::net::IpAddr;
use std::sync::Arc;

/// To whom a server speaks HTTP.
#[derive(Clone, Default, Debug)]
pub struct HttpSettings {
    /// Host names under which browsers reach the server.
    pub hosts: Vec<String>,
    /// The name of the machine, with its domain if it has one.
    pub machine: String,
    /// Pages of this origin may read what the server answers; `*` is any.
    pub cors: Option<Arc<str>>,
    /// Whether everybody may read the metrics.
    pub public_metrics: bool,
}

impl HttpSettings {
    /// Whether the server answers requests for this host, with or without a port. A web page
    /// can make a browser send requests for the page's own host name to any address (DNS
    /// rebinding), and must not read the answers.
    pub(super) fn allows_host(&self, host: &str) -> bool {
        let name = without_port(host);
        let name = name.strip_suffix('.').unwrap_or(name);
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        let unbracketed = name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'));
        is("localhost")
            || unbracketed.unwrap_or(name).parse::<IpAddr>().is_ok()
            || self.is_machine(name)
            || self.hosts.iter().any(|known| is(known))
    }

    /// Whether this is the name of the machine, alone, with its domain or with a local one. Any
    /// other domain could belong to an attacker, who may know a name such as `raspberrypi`.
    fn is_machine(&self, name: &str) -> bool {
        let own = self.machine.split('.').next().unwrap_or_default();
        let (first, domain) = name.split_once('.').unwrap_or((name, ""));
        let is_local = LOCAL_DOMAINS
            .iter()
            .any(|local| domain.eq_ignore_ascii_case(local));
        !own.is_empty()
            && (name.eq_ignore_ascii_case(&self.machine)
                || (first.eq_ignore_ascii_case(own) && (domain.is_empty() || is_local)))
    }
}

/// Domains that nobody can register: multicast DNS (RFC 6762), home networks (RFC 8375), private
/// use, and what routers use besides.
const LOCAL_DOMAINS: [&str; 5] = ["local", "home.arpa", "internal", "lan", "localdomain"];

/// The digits of the longest port.
const MAX_PORT_DIGITS: usize = 5;

/// A host without its port. What is too long for a port stays: it would be copied into pages.
fn without_port(host: &str) -> &str {
    let digits = host.bytes().rev().take_while(u8::is_ascii_digit).count();
    let name = host[..host.len() - digits].strip_suffix(':');
    name.filter(|_| digits <= MAX_PORT_DIGITS).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_names_and_addresses_are_hosts() {
        let settings = HttpSettings {
            hosts: vec!["files.example.org".to_owned()],
            machine: "lab7.example.org".to_owned(),
            ..HttpSettings::default()
        };
        for host in [
            "127.0.0.1",
            "10.0.0.7:8888",
            "[::1]",
            "[::1]:80",
            "localhost:4000",
            "LOCALHOST",
            "lab7",
            "Lab7.example.org:80",
            "lab7.local.",
            "files.example.org",
            "FILES.example.org:8888",
        ] {
            assert!(settings.allows_host(host), "{host}");
        }
        for host in [
            "",
            "evil.example.org",
            "lab7.evil.org",
            "lab7.local.evil.org",
            "lab77",
            "localhost.evil.org",
            "127.0.0.1.evil.org",
            "x.files.example.org",
            ":80",
            "127.0.0.1:000080",
            "localhost:123456",
        ] {
            assert!(!settings.allows_host(host), "{host}");
        }
        assert!(!HttpSettings::default().allows_host(".local"));
    }
}
