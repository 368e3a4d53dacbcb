//! A server announces itself on its network.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use log::{info, warn};
use mdns_sd::{DaemonEvent, IfKind, IfPredicate, Receiver, ServiceDaemon, ServiceInfo};

use crate::discovery::mdns_daemon::{FloodBackoff, MdnsDaemon, Purpose, ReceiveError};
use crate::discovery::network_interface::NetworkInterface;
use crate::discovery::service::{ID, ServiceKind, VERSION};
use crate::escaped::Escaped;
use crate::logging::OPERATOR;
use crate::tls::KeyId;

/// The most bytes of a label of a domain name (RFC 1035, 2.3.4).
const MAX_LABEL: usize = 63;

/// Maximum time that shutdown waits for the mDNS goodbye.
const GOODBYE_TIME: Duration = Duration::from_millis(200);

/// A daemon that announces a server, and its events.
type Daemon = (MdnsDaemon, Receiver<DaemonEvent>);

/// A server to announce.
pub struct LocalService {
    /// What it is.
    pub kind: ServiceKind,
    /// Where it listens; at least one address.
    pub addresses: Vec<SocketAddr>,
    /// The interfaces on which it is announced; without any, those where it listens.
    pub interfaces: Vec<NetworkInterface>,
    /// Who it is, if it speaks TLS.
    pub id: Option<KeyId>,
}

/// A server that is announced until this is dropped.
pub struct Announcement(Arc<Mutex<State>>);

/// What the announcement's thread and its owner share.
#[derive(Default)]
struct State {
    /// The daemon that announces the server now, if one does.
    daemon: Option<ServiceDaemon>,
    is_over: bool,
}

impl State {
    /// Keeps the daemon that announces the server from now on. Returns whether one is wanted: the
    /// announcement may have ended while it started.
    fn set_daemon(&mut self, daemon: &MdnsDaemon) -> bool {
        if !self.is_over {
            self.daemon = Some(daemon.library().clone());
        }
        !self.is_over
    }
}

impl LocalService {
    /// Announces the server from a thread of its own.
    ///
    /// # Errors
    /// The system refuses a thread or a socket.
    pub fn announce(self) -> io::Result<Announcement> {
        let info = self.info().map_err(io::Error::other)?;
        let state = Arc::new(Mutex::new(State::default()));
        let first = self.start(Purpose::Announce, &info)?;
        lock(&state).set_daemon(&first.0);
        if let Some(error) = first.0.filter_error() {
            warn!(target: OPERATOR, "mDNS: no limit on what its thread reads: {error}");
        }
        let announcement = Announcement(Arc::clone(&state));
        let body = move || self.announce_until_over(&info, &state, first);
        let name = thread::Builder::new().name("announcement".into());
        name.spawn(body)?;
        Ok(announcement)
    }

    /// Starts a daemon that announces the server.
    fn start(&self, purpose: Purpose, info: &ServiceInfo) -> io::Result<Daemon> {
        let daemon = MdnsDaemon::start(purpose, None)?;
        let library = daemon.library();
        let start = || {
            library.disable_interface(IfKind::All)?;
            library.enable_interface(self.interfaces())?;
            let events = library.monitor()?;
            library.register(info.clone())?;
            Ok(events)
        };
        let events = start().map_err(|error: mdns_sd::Error| io::Error::other(error))?;
        Ok((daemon, events))
    }

    /// Replaces the daemon if somebody fills its memory while it looks for a name: the next one
    /// reads no responses. Also replaces one that has run long enough.
    fn announce_until_over(&self, info: &ServiceInfo, state: &Mutex<State>, first: Daemon) {
        let mut backoff = FloodBackoff::new();
        let mut current = Some(first);
        while let Some((mut daemon, events)) = current {
            let flood = log_names(&mut daemon, &events);
            drop(daemon);
            if lock(state).is_over {
                return;
            }
            let mut purpose = Purpose::Announce;
            if let Some(reason) = flood {
                purpose = Purpose::AnnounceUnchecked;
                backoff.pause(|pause| {
                    let pause = pause.as_secs();
                    warn!(
                        "mDNS: {reason} from the network; the server is announced again in \
                         {pause} s, and not found until then"
                    );
                });
            }
            current = self.start_again(purpose, info, state, &mut backoff);
        }
    }

    /// None if the announcement is over.
    fn start_again(
        &self,
        purpose: Purpose,
        info: &ServiceInfo,
        state: &Mutex<State>,
        backoff: &mut FloodBackoff,
    ) -> Option<Daemon> {
        while !lock(state).is_over {
            match self.start(purpose, info) {
                Ok(daemon) => return lock(state).set_daemon(&daemon.0).then_some(daemon),
                Err(error) => backoff.pause(|pause| {
                    let pause = pause.as_secs();
                    let text = "not announced on the network";
                    warn!(target: OPERATOR, "{text}: {error}; tried again in {pause} s");
                }),
            }
        }
        None
    }

    fn info(&self) -> mdns_sd::Result<ServiceInfo> {
        let system = rustix::system::uname();
        let machine = system.nodename().to_string_lossy();
        let port = self.addresses.first().map_or(0, SocketAddr::port);
        let mut properties = vec![(VERSION, env!("CARGO_PKG_VERSION").to_owned())];
        properties.extend(self.id.map(|id| (ID, id.to_string())));
        // Records of the machine's own name are those of its name service.
        let host = format!("peerline-{:016x}.local.", fastrand::u64(..));
        let kind = self.kind.service_type();
        let name = instance_name(&machine, port);
        let mut info = ServiceInfo::new(kind, &name, &host, "", port, &properties[..])?;
        info.set_interfaces(vec![self.interfaces()]);
        Ok(info.enable_addr_auto())
    }

    /// The interfaces and addresses to announce, now and later.
    fn interfaces(&self) -> IfKind {
        let listen: Vec<IpAddr> = self.addresses.iter().map(SocketAddr::ip).collect();
        let chosen = self.interfaces.clone();
        IfKind::Predicate(IfPredicate::new(move |interface| {
            is_announced(&listen, &chosen, &interface.name, interface.ip())
        }))
    }
}

impl Drop for Announcement {
    /// Tells the network that the server is gone.
    fn drop(&mut self) {
        let mut state = lock(&self.0);
        state.is_over = true;
        let status = state.daemon.take().map(|daemon| daemon.shutdown());
        if let Some(Ok(status)) = status {
            // Without an answer, the records expire.
            let _ = status.recv_timeout(GOODBYE_TIME);
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The name that people see, such as `alice-laptop 8888`.
fn instance_name(machine: &str, port: u16) -> String {
    let port = format!(" {port}");
    let machine = machine.split('.').next().unwrap_or_default();
    let end = machine.floor_char_boundary(MAX_LABEL - port.len());
    machine[..end].to_owned() + &port
}

/// Whether a server that listens at `listen` is announced at the address `ip` of an interface.
/// If it listens everywhere, loopback is only announced if it was `chosen`.
fn is_announced(
    listen: &[IpAddr],
    chosen: &[NetworkInterface],
    interface: &str,
    ip: IpAddr,
) -> bool {
    let is_chosen = chosen.iter().any(|chosen| chosen.is(interface, ip));
    // Alone, :: accepts IPv4 as well.
    let is_dual = listen.iter().all(IpAddr::is_ipv6);
    let accepts = |own: &IpAddr| match own.is_unspecified() {
        true => (is_dual || own.is_ipv4() == ip.is_ipv4()) && (is_chosen || !ip.is_loopback()),
        false => *own == ip,
    };
    (is_chosen || chosen.is_empty()) && listen.iter().any(accepts)
}

/// Logs the name, which is another one than intended if a server has that already. Returns when
/// the daemon must be replaced, with the kind of flood if there is one.
fn log_names(daemon: &mut MdnsDaemon, events: &Receiver<DaemonEvent>) -> Option<&'static str> {
    let mut last = String::new();
    loop {
        match daemon.receive(events, None) {
            Ok(DaemonEvent::Announce(name, _)) if name != last => {
                info!(target: OPERATOR, "announced on the network as {}", Escaped(name.as_bytes()));
                last = name;
            }
            Ok(_) | Err(ReceiveError::Timeout) => {}
            Err(ReceiveError::Flood(reason)) => return Some(reason),
            Err(ReceiveError::Expired) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        let ips = texts.iter().map(|text| text.parse());
        ips.map(|ip| ip.expect("an address")).collect()
    }

    /// The addresses of a machine that are announced.
    fn announced(listen: &[&str], chosen: &[NetworkInterface]) -> Vec<&'static str> {
        let machine = [
            ("lo", "127.0.0.1"),
            ("lo", "::1"),
            ("eth0", "192.0.2.1"),
            ("eth0", "2001:db8::1"),
            ("eth1", "198.51.100.1"),
        ];
        let listen = ips(listen);
        let is_announced = |(interface, ip): &(&str, &str)| {
            is_announced(&listen, chosen, interface, ips(&[ip])[0])
        };
        let announced = machine.into_iter().filter(is_announced);
        announced.map(|(_, ip)| ip).collect()
    }

    #[test]
    fn only_addresses_at_which_a_server_listens_are_announced() {
        let none = &[][..];
        assert_eq!(announced(&["127.0.0.1"], none), ["127.0.0.1"]);
        assert_eq!(announced(&["0.0.0.0"], none), ["192.0.2.1", "198.51.100.1"]);
        let all = ["192.0.2.1", "2001:db8::1", "198.51.100.1"];
        assert_eq!(announced(&["::"], none), all);
        assert_eq!(announced(&["0.0.0.0", "::"], none), all);
        assert_eq!(
            announced(&["::", "192.0.2.1"], none),
            ["192.0.2.1", "2001:db8::1"]
        );
        assert_eq!(announced(&["203.0.113.1"], none), [""; 0]);
    }

    #[test]
    fn chosen_interfaces_exclude_all_others() {
        let name = |name: &str| [NetworkInterface::Name(name.into())];
        assert_eq!(announced(&["0.0.0.0"], &name("eth1")), ["198.51.100.1"]);
        assert_eq!(announced(&["0.0.0.0"], &name("lo")), ["127.0.0.1"]);
        assert_eq!(announced(&["192.0.2.1"], &name("eth1")), [""; 0]);
        let address = [NetworkInterface::Address(ips(&["2001:db8::1"])[0])];
        assert_eq!(announced(&["::"], &address), ["2001:db8::1"]);
    }

    #[test]
    fn a_name_fits_into_a_label() {
        assert_eq!(instance_name("alice.example.org", 8888), "alice 8888");
        let name = instance_name(&"ä".repeat(40), 65535);
        assert!(
            name.len() <= MAX_LABEL && name.ends_with("ä 65535"),
            "{name}"
        );
    }
}
