//! Finds the servers that announce themselves on the network.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::time::{Duration, Instant};

use log::warn;
use mdns_sd::{Receiver, ServiceEvent};

use crate::discovery::mdns_daemon::{FloodBackoff, MdnsDaemon, Purpose, ReceiveError};
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
    let found = kinds.iter().map(|kind| (*kind, FoundServices::default()));
    let mut found: Vec<_> = found.collect();
    // What was found before a flood stays found.
    while Instant::now() < deadline {
        if browse_once(&mut found, deadline, max, &is_wanted)? == BrowseResult::Complete {
            break;
        }
    }
    let first = found.into_iter().find(|(_, found)| !found.0.is_empty());
    let found = first.into_iter().flat_map(|(kind, found)| {
        let found = found.0.into_values();
        found.map(move |service| (kind, service))
    });
    Ok(found.collect())
}

/// How a search for servers has ended.
#[derive(PartialEq, Eq)]
enum BrowseResult {
    Complete,
    /// Somebody sends too much to search further with this daemon.
    Flooded,
}

/// Searches, with one daemon, for servers of the first of these kinds of which there are any.
fn browse_once(
    kinds: &mut [(ServiceKind, FoundServices)],
    deadline: Instant,
    max: usize,
    is_wanted: impl Fn(&FoundService) -> bool,
) -> io::Result<BrowseResult> {
    let mut daemon = MdnsDaemon::start(Purpose::Browse, Some(deadline))?;
    // All kinds are queried at once; the answers wait.
    let answers = kinds.iter().map(|(kind, _)| answers(&daemon, *kind));
    let answers = answers.collect::<io::Result<Vec<_>>>()?;
    for ((_, found), answers) in kinds.iter_mut().zip(&answers) {
        let result = found.collect(&mut daemon, answers, deadline, max, &is_wanted);
        if result == BrowseResult::Flooded {
            return Ok(result);
        }
        if !found.0.is_empty() {
            break;
        }
    }
    Ok(BrowseResult::Complete)
}

fn answers(daemon: &MdnsDaemon, kind: ServiceKind) -> io::Result<Receiver<ServiceEvent>> {
    let answers = daemon.library().browse(kind.service_type());
    answers.map_err(io::Error::other)
}

/// Calls `on_found` for each server of this kind that is announced from now on, or is there
/// already; again and again for the same one. Returns only if it cannot start.
///
/// # Errors
/// The system refuses a thread or a descriptor.
pub fn follow(kind: ServiceKind, mut on_found: impl FnMut(FoundService)) -> io::Result<()> {
    let mut backoff = FloodBackoff::new();
    let mut pause_after = |error: &dyn Display| {
        backoff.pause(|pause| {
            let pause = pause.as_secs();
            warn!("mDNS: {error}; looks for relays again in {pause} s");
        });
    };
    let mut current = start_following(kind)?;
    loop {
        let (mut daemon, answers) = current;
        let reason = loop {
            match daemon.receive(&answers, None) {
                Ok(ServiceEvent::ServiceResolved(service)) => {
                    FoundService::new(&service)
                        .into_iter()
                        .for_each(&mut on_found);
                }
                Ok(_) => {}
                Err(reason) => break reason,
            }
        };
        drop(daemon);
        if let ReceiveError::Flood(reason) = reason {
            pause_after(&format_args!("{reason} from the network"));
        }
        // What the system refuses now, it may allow later.
        current = loop {
            match start_following(kind) {
                Ok(started) => break started,
                Err(error) => pause_after(&error),
            }
        };
    }
}

fn start_following(kind: ServiceKind) -> io::Result<(MdnsDaemon, Receiver<ServiceEvent>)> {
    let daemon = MdnsDaemon::start(Purpose::Browse, None)?;
    let answers = answers(&daemon, kind)?;
    Ok((daemon, answers))
}

/// The servers that were found, by who they claim to be and the host in their records: a forged
/// record takes the place of no other server, and adds no address to one.
#[derive(Default)]
struct FoundServices(BTreeMap<(ServiceIdentity, String), FoundService>);

impl FoundServices {
    /// Adds the servers whose answers come until the deadline, or until shortly after the first.
    fn collect(
        &mut self,
        daemon: &mut MdnsDaemon,
        answers: &Receiver<ServiceEvent>,
        mut deadline: Instant,
        max: usize,
        is_wanted: impl Fn(&FoundService) -> bool,
    ) -> BrowseResult {
        for _ in 0..MAX_ANSWERS {
            match daemon.receive(answers, Some(deadline)) {
                Ok(event) => {
                    if self.on_event(event, max, &is_wanted) {
                        deadline = deadline.min(Instant::now() + ANSWER_SPREAD);
                    }
                }
                Err(ReceiveError::Timeout) => break,
                Err(ReceiveError::Flood(_) | ReceiveError::Expired) => {
                    return BrowseResult::Flooded;
                }
            }
        }
        BrowseResult::Complete
    }

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
