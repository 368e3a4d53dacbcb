//! A daemon of mDNS whose memory has a limit. The library stores every record that anybody sends
//! it, without a limit of its own. So the thread that waits for its events also looks at the
//! number of records, again and again, and gives the daemon up when there are too many.

use std::io::{self, ErrorKind};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use log::warn;
use mdns_sd::{Metrics, Receiver, RecvTimeoutError, ServiceDaemon};

use crate::discovery::mdns_sockets::{Accepted, MdnsSockets};
use crate::logging::OPERATOR;

/// The most records that a daemon may store. A server has about six.
const MAX_RECORDS: u64 = 10_000;
/// The most deadlines of records, of 16 bytes each: a record has two for each time that it came.
const MAX_TIMERS: u64 = 1_000_000;
/// The records of all looks together, after which a daemon is replaced: the library keeps the
/// names of records that have expired. No record expires within less than a second, so that at
/// most a third as many names are kept.
const MAX_RECORDS_SEEN: u64 = 400_000;

/// How often to look.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// How long the daemon may take to answer. It does not answer while datagrams keep it busy.
const ANSWER_TIME: Duration = Duration::from_millis(250);
/// How often to look, as long, for the sockets of a daemon that starts.
const START_LOOKS: usize = 20;
/// How long it may take for the datagrams that wait when its sockets take no further ones.
const DRAIN_TIME: Duration = Duration::from_secs(10);

/// The first and the longest pause after a flood.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What the daemon is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    /// To announce a server. Responses of others are read as long as it looks for a name.
    Announce,
    /// The same, with the name that is wanted, even if another server has it: no responses.
    AnnounceUnchecked,
    /// To find servers.
    Browse,
}

/// Why there is no event.
#[derive(Debug)]
pub(super) enum Interruption {
    /// None has come in time.
    Timeout,
    /// The daemon must be replaced, because somebody fills its memory; and how.
    Flood(&'static str),
    /// The daemon must be replaced, because it has run long enough.
    Expired,
}

/// A daemon, until this is dropped.
pub(super) struct MdnsDaemon {
    library: ServiceDaemon,
    /// None if the system does not lend them.
    sockets: Option<MdnsSockets>,
    purpose: Purpose,
    accepted: Accepted,
    next_look: Instant,
    records_seen: u64,
}

impl MdnsDaemon {
    /// # Errors
    /// The system refuses a thread or a socket.
    pub(super) fn start(purpose: Purpose) -> io::Result<Self> {
        // One at a time: the sockets that are new are those of this one.
        static STARTING: Mutex<()> = Mutex::new(());
        let _guard = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        let others = MdnsSockets::of_process();
        let library = ServiceDaemon::new().map_err(io::Error::other)?;
        let sockets = others.and_then(|others| new_sockets(&library, &others));
        if let (Err(error), Purpose::Announce) = (&sockets, purpose) {
            warn!(target: OPERATOR, "mDNS: no limit on what its thread reads: {error}");
        }
        let mut daemon = Self {
            library,
            sockets: sockets.ok(),
            purpose,
            accepted: Accepted::All,
            next_look: Instant::now() + LOOK_INTERVAL,
            records_seen: 0,
        };
        if purpose == Purpose::AnnounceUnchecked {
            daemon.accept(Accepted::Queries);
        }
        Ok(daemon)
    }

    /// The daemon of the library.
    pub(super) fn library(&self) -> &ServiceDaemon {
        &self.library
    }

    /// The next event, until the deadline.
    ///
    /// # Errors
    /// There is none in time, or the daemon must be replaced.
    pub(super) fn receive<T>(
        &mut self,
        events: &Receiver<T>,
        deadline: Option<Instant>,
    ) -> Result<T, Interruption> {
        loop {
            if Instant::now() >= self.next_look {
                self.look()?;
                self.next_look = Instant::now() + LOOK_INTERVAL;
            }
            let until = deadline.map_or(self.next_look, |end| end.min(self.next_look));
            match events.recv_deadline(until) {
                Ok(event) => return Ok(event),
                // The library ends the queue of events that is full.
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Interruption::Flood("too many servers at once"));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(Interruption::Timeout);
            }
        }
    }

    /// Looks at what the daemon has stored.
    fn look(&mut self) -> Result<(), Interruption> {
        let metrics = self
            .metrics()
            .ok_or(Interruption::Flood("too many datagrams"))?;
        let count = |name: &str| {
            let count = metrics.get(name).copied().unwrap_or_default();
            u64::try_from(count).unwrap_or_default()
        };
        let kinds = ["ptr", "srv", "txt", "addr", "nsec", "subtype"];
        let records = kinds.map(|kind| count(&format!("cached-{kind}")));
        let records: u64 = records.iter().sum();
        self.records_seen += records;
        if records > MAX_RECORDS || count("timer") > MAX_TIMERS {
            return Err(Interruption::Flood("too many records"));
        }
        if self.records_seen > MAX_RECORDS_SEEN {
            return Err(Interruption::Expired);
        }
        let reads_responses = match self.purpose {
            Purpose::Announce => count("dns-registry-probe") > 0,
            Purpose::AnnounceUnchecked => false,
            Purpose::Browse => true,
        };
        self.accept(match reads_responses {
            true => Accepted::All,
            false => Accepted::Queries,
        });
        Ok(())
    }

    /// None if the daemon cannot be made to answer.
    fn metrics(&mut self) -> Option<Metrics> {
        let answer = self.library.get_metrics().ok()?;
        match answer.recv_timeout(ANSWER_TIME) {
            Ok(metrics) => Some(metrics),
            // Perhaps the machine is slow; otherwise, it has stored much meanwhile.
            Err(RecvTimeoutError::Timeout) => {
                self.accept(Accepted::Nothing);
                answer.recv_timeout(DRAIN_TIME).ok()
            }
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    fn accept(&mut self, accepted: Accepted) {
        if accepted == self.accepted {
            return;
        }
        if let Some(sockets) = &self.sockets
            && sockets.accept(accepted).is_ok()
        {
            self.accepted = accepted;
        }
    }
}

impl Drop for MdnsDaemon {
    /// Its thread ends by itself: at once, because nothing keeps it busy.
    fn drop(&mut self) {
        self.accept(Accepted::Nothing);
        let _ = self.library.shutdown();
    }
}

/// The sockets of a daemon that has just been started.
fn new_sockets(library: &ServiceDaemon, others: &MdnsSockets) -> io::Result<MdnsSockets> {
    let answer = library.get_metrics().map_err(io::Error::other)?;
    for _ in 0..START_LOOKS {
        // Its thread opens the sockets first. It does not answer if they are flooded already.
        let is_started = answer.recv_timeout(ANSWER_TIME).is_ok();
        let sockets = MdnsSockets::of_process()?.without(others);
        if is_started || !sockets.is_empty() {
            return Ok(sockets);
        }
    }
    Err(ErrorKind::TimedOut.into())
}

/// The pauses after floods: longer and longer ones as long as they go on.
pub(super) struct FloodPauses {
    next: Duration,
    /// When the last pause has ended.
    resumed: Instant,
}

impl FloodPauses {
    pub(super) fn new() -> Self {
        Self {
            next: FIRST_PAUSE,
            resumed: Instant::now(),
        }
    }

    /// Pauses. Calls `report` first, with the length of the pause.
    pub(super) fn pause(&mut self, report: impl FnOnce(Duration)) {
        if self.resumed.elapsed() >= LONGEST_PAUSE {
            self.next = FIRST_PAUSE;
        }
        report(self.next);
        thread::sleep(self.next);
        self.next = (self.next * 2).min(LONGEST_PAUSE);
        self.resumed = Instant::now();
    }
}
