//! Finds the servers that announce themselves on the network.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use mdns_sd::{Receiver, ServiceDaemon, ServiceEvent};

use crate::discovery::service::{FoundService, ServiceKind};

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
    let mut found: BTreeMap<String, FoundService> = BTreeMap::new();
    for _ in 0..MAX_ANSWERS {
        let Ok(event) = answers.recv_deadline(deadline) else {
            break;
        };
        match event {
            ServiceEvent::ServiceResolved(service) => {
                let is_known = found.contains_key(&service.fullname);
                if let Some(new) = FoundService::new(&service).filter(&is_wanted)
                    && (is_known || found.len() < max)
                {
                    deadline = deadline.min(Instant::now() + ANSWER_SPREAD);
                    found.insert(service.fullname, new);
                }
            }
            ServiceEvent::ServiceRemoved(_, name) => {
                found.remove(&name);
            }
            _ => {}
        }
    }
    found.into_values().collect()
}
