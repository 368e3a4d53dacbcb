//! Finds the servers that announce themselves on the network.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use mdns_sd::{Receiver, ServiceDaemon, ServiceEvent};

use crate::discovery::service::{FoundService, ServiceIdentity, ServiceKind};

/// How long others may take to answer after the first one: each waits up to 120 ms, so that not
/// all answer at once (RFC 6762, 6).
const ANSWER_SPREAD: Duration = Duration::from_millis(150);

/// The most answers that are read: a network that floods us does not keep us for ever.
const MAX_ANSWERS: usize = 10_000;

/// Finds the servers of the first of these kinds of which there is one that `is_wanted`, at most
/// `max`, in the order of their names. Takes at most `time`; if there are servers of the first
/// kind, less.
///
/// # Errors
/// The system refuses a thread or a socket.
pub fn browse(
    kinds: &[ServiceKind],
    time: Duration,
    max: usize,
    is_wanted: impl Fn(&FoundService) -> bool,
) -> io::Result<Vec<(ServiceKind, FoundService)>> {
    let deadline = Instant::now() + time;
    let daemon = ServiceDaemon::new().map_err(io::Error::other)?;
    // All kinds are queried at once; the answers wait.
    let answers = kinds.iter().map(|kind| daemon.browse(kind.service_type()));
    let answers: mdns_sd::Result<Vec<_>> = answers.collect();
    let answers = answers.map_err(io::Error::other)?;
    let found = kinds.iter().zip(&answers).find_map(|(kind, answers)| {
        let found = collect(answers, deadline, max, &is_wanted);
        let found: Vec<_> = found.into_iter().map(|service| (*kind, service)).collect();
        (!found.is_empty()).then_some(found)
    });
    // The thread ends by itself, and nobody waits for it.
    let _ = daemon.shutdown();
    Ok(found.unwrap_or_default())
}

/// Calls `on_found` for each server of this kind that is announced from now on, or is there
/// already. Returns only after an error.
///
/// # Errors
/// The system refuses a thread or a socket.
pub fn follow(kind: ServiceKind, mut on_found: impl FnMut(FoundService)) -> io::Result<()> {
    let daemon = ServiceDaemon::new().map_err(io::Error::other)?;
    let answers = daemon
        .browse(kind.service_type())
        .map_err(io::Error::other)?;
    for event in &answers {
        if let ServiceEvent::ServiceResolved(service) = event
            && let Some(found) = FoundService::new(&service)
        {
            on_found(found);
        }
    }
    Err(io::Error::other("the thread of mDNS has ended"))
}

/// The servers whose answers come until the deadline, or until shortly after the first one.
fn collect(
    answers: &Receiver<ServiceEvent>,
    mut deadline: Instant,
    max: usize,
    is_wanted: impl Fn(&FoundService) -> bool,
) -> Vec<FoundService> {
    let mut found = FoundServices::default();
    for _ in 0..MAX_ANSWERS {
        let Ok(event) = answers.recv_deadline(deadline) else {
            break;
        };
        if found.on_event(event, max, &is_wanted) {
            deadline = deadline.min(Instant::now() + ANSWER_SPREAD);
        }
    }
    found.0.into_values().collect()
}

/// The servers that were found, by who they claim to be and the host in their records: a forged
/// record takes the place of no other server, and adds no address to one.
#[derive(Default)]
struct FoundServices(BTreeMap<(ServiceIdentity, String), FoundService>);

impl FoundServices {
    /// Returns whether a server `is_wanted` that there is room for.
    fn on_event(
        &mut self,
        event: ServiceEvent,
        max: usize,
        is_wanted: impl Fn(&FoundService) -> bool,
    ) -> bool {
        match event {
            ServiceEvent::ServiceResolved(service) => {
                let Some(new) = FoundService::new(&service).filter(is_wanted) else {
                    return false;
                };
                let key = (new.identity.clone(), service.host);
                let has_room = self.0.len() < max || self.0.contains_key(&key);
                if has_room {
                    self.0.insert(key, new);
                }
                has_room
            }
            ServiceEvent::ServiceRemoved(_, name) => {
                self.0.retain(|(identity, _), _| identity.name != name);
                false
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use mdns_sd::ServiceInfo;

    use super::*;
    use crate::tls::KeyId;

    /// What is announced under one name: the host, its addresses, and the id.
    fn announced(host: &str, addresses: &str, id: Option<KeyId>) -> ServiceEvent {
        let kind = ServiceKind::Node.service_type();
        let id = id.map(|id| ("id", id.to_string()));
        let properties = id.as_slice();
        let info = ServiceInfo::new(kind, "alice 8888", host, addresses, 9, properties);
        let service = info.expect("it is well-formed").as_resolved_service();
        ServiceEvent::ServiceResolved(Box::new(service))
    }

    /// The addresses that were found, of each server.
    fn addresses(found: &FoundServices) -> Vec<String> {
        let servers = found.0.values();
        let addresses = servers.map(|server| {
            let addresses = server.addresses.iter();
            let texts: Vec<String> = addresses.map(|address| address.ip().to_string()).collect();
            texts.join(" ")
        });
        addresses.collect()
    }

    #[test]
    fn a_forged_record_replaces_no_server_and_adds_no_address_to_one() {
        let [right, wrong] = [&b"right"[..], b"wrong"].map(KeyId::of);
        let mut found = FoundServices::default();
        let mut add = |event| found.on_event(event, 9, |_| true);
        assert!(add(announced("a.local.", "192.0.2.5", Some(right))));
        // The newest record of each type counts, so that a stranger's host comes with the id of
        // the server.
        for (host, id) in [
            ("stranger.local.", Some(wrong)),
            ("stranger.local.", None),
            ("stranger.local.", Some(right)),
        ] {
            assert!(add(announced(host, "192.0.2.1", id)));
        }
        // It has a second interface.
        assert!(add(announced(
            "a.local.",
            "192.0.2.5,198.51.100.5",
            Some(right)
        )));
        let mut all = addresses(&found);
        all.sort();
        let own = "192.0.2.5 198.51.100.5";
        assert_eq!(all, ["192.0.2.1", "192.0.2.1", "192.0.2.1", own]);
        assert!(!found.on_event(announced("b.local.", "192.0.2.9", None), 4, |_| true));
        let kind = ServiceKind::Node.service_type();
        let name = format!("alice 8888.{kind}");
        found.on_event(ServiceEvent::ServiceRemoved(kind.into(), name), 9, |_| true);
        assert!(found.0.is_empty());
    }
}
