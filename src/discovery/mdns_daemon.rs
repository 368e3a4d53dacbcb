//! A daemon of mDNS whose memory has a limit. The library stores every record that anybody sends
//! it, without a limit of its own. So the thread that waits for its events also checks the number
//! of records, again and again, and gives the daemon up when there are too many.

use std::io::{self, ErrorKind};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use mdns_sd::{Metrics, Receiver, RecvTimeoutError, ServiceDaemon};

use crate::discovery::mdns_sockets::{Accepted, MdnsSockets};

/// The most records that a daemon may store. A server has about six.
const MAX_RECORDS: u64 = 10_000;
/// The most deadlines of records, of 16 bytes each: a record has two for each time that it came.
const MAX_TIMERS: u64 = 1_000_000;
/// The sum of the record counts of all checks, after which a daemon is replaced: the library keeps
/// the names of records that have expired. No record expires within less than a second, so that
/// at most a third as many names are kept. Only the sum bounds them: records that replace expired
/// ones do not change the count.
const MAX_RECORD_SUM: u64 = 400_000;

/// How often to check.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);
/// How long the daemon may take to answer. It does not answer while datagrams keep it busy.
const ANSWER_TIME: Duration = Duration::from_millis(250);
/// How often to check, as long, for the sockets of a daemon that starts.
const START_CHECKS: usize = 20;
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
pub(super) enum ReceiveError {
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
    /// An error if they cannot be duplicated.
    sockets: io::Result<MdnsSockets>,
    purpose: Purpose,
    accepted: Accepted,
    next_check: Instant,
    record_sum: u64,
}

impl MdnsDaemon {
    /// Starts a daemon. Waits for its sockets at most until the deadline.
    ///
    /// # Errors
    /// The system refuses a thread or a descriptor.
    pub(super) fn start(purpose: Purpose, deadline: Option<Instant>) -> io::Result<Self> {
        // One at a time: the sockets that are new are those of this one.
        static STARTING: Mutex<()> = Mutex::new(());
        let _guard = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        let others = MdnsSockets::of_process();
        let library = ServiceDaemon::new().map_err(io::Error::other)?;
        let sockets = others.and_then(|others| new_sockets(&library, &others, deadline));
        let mut daemon = Self {
            library,
            sockets,
            purpose,
            accepted: Accepted::All,
            next_check: Instant::now() + CHECK_INTERVAL,
            record_sum: 0,
        };
        if purpose == Purpose::AnnounceUnchecked {
            daemon.set_filter(Accepted::Queries);
        }
        Ok(daemon)
    }

    /// The daemon of the library.
    pub(super) fn library(&self) -> &ServiceDaemon {
        &self.library
    }

    /// Why there is no limit on what the daemon reads, if there is none.
    pub(super) fn filter_error(&self) -> Option<&io::Error> {
        self.sockets.as_ref().err()
    }

    /// The next event, until the deadline.
    ///
    /// # Errors
    /// There is none in time, or the daemon must be replaced.
    pub(super) fn receive<T>(
        &mut self,
        events: &Receiver<T>,
        deadline: Option<Instant>,
    ) -> Result<T, ReceiveError> {
        loop {
            if Instant::now() >= self.next_check {
                self.check_metrics(deadline)?;
                self.next_check = Instant::now() + CHECK_INTERVAL;
            }
            match events.recv_deadline(earliest(self.next_check, deadline)) {
                Ok(event) => return Ok(event),
                // The library ends the queue of events that is full.
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(ReceiveError::Flood("too many servers at once"));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if has_passed(deadline) {
                return Err(ReceiveError::Timeout);
            }
        }
    }

    /// Checks how much the daemon has stored.
    fn check_metrics(&mut self, deadline: Option<Instant>) -> Result<(), ReceiveError> {
        let metrics = self.metrics(deadline).ok_or(match has_passed(deadline) {
            true => ReceiveError::Timeout,
            false => ReceiveError::Flood("too many datagrams"),
        })?;
        let count = |name: &str| {
            let count = metrics.get(name).copied().unwrap_or_default();
            u64::try_from(count).unwrap_or_default()
        };
        let kinds = ["ptr", "srv", "txt", "addr", "nsec", "subtype"];
        let records = kinds.map(|kind| count(&format!("cached-{kind}")));
        let records: u64 = records.iter().sum();
        self.record_sum += records;
        if records > MAX_RECORDS || count("timer") > MAX_TIMERS {
            return Err(ReceiveError::Flood("too many records"));
        }
        if self.record_sum > MAX_RECORD_SUM {
            return Err(ReceiveError::Expired);
        }
        let reads_responses = match self.purpose {
            Purpose::Announce => count("dns-registry-probe") > 0,
            Purpose::AnnounceUnchecked => false,
            Purpose::Browse => true,
        };
        self.set_filter(match reads_responses {
            true => Accepted::All,
            false => Accepted::Queries,
        });
        Ok(())
    }

    /// None if the daemon cannot be made to answer until the deadline.
    fn metrics(&mut self, deadline: Option<Instant>) -> Option<Metrics> {
        let answer = self.library.get_metrics().ok()?;
        match answer.recv_deadline(earliest(Instant::now() + ANSWER_TIME, deadline)) {
            Ok(metrics) => Some(metrics),
            // Perhaps the machine is slow; otherwise, it has stored much meanwhile.
            Err(RecvTimeoutError::Timeout) => {
                self.set_filter(Accepted::Nothing);
                let drain_end = earliest(Instant::now() + DRAIN_TIME, deadline);
                // Without a filter, it does not read the command to end either: if it were
                // replaced now, two daemons would store all that arrives.
                let until = match self.accepted {
                    Accepted::Nothing => Some(drain_end),
                    Accepted::All | Accepted::Queries => deadline,
                };
                match until {
                    Some(until) => answer.recv_deadline(until).ok(),
                    None => answer.recv().ok(),
                }
            }
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    fn set_filter(&mut self, accepted: Accepted) {
        if accepted == self.accepted {
            return;
        }
        if let Ok(sockets) = &self.sockets
            && sockets.set_filter(accepted).is_ok()
        {
            self.accepted = accepted;
        }
    }
}

impl Drop for MdnsDaemon {
    /// Its thread ends by itself: at once, because nothing keeps it busy.
    fn drop(&mut self) {
        self.set_filter(Accepted::Nothing);
        let _ = self.library.shutdown();
    }
}

/// This time, or the deadline if that is earlier.
fn earliest(time: Instant, deadline: Option<Instant>) -> Instant {
    deadline.map_or(time, |deadline| deadline.min(time))
}

fn has_passed(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| Instant::now() >= deadline)
}

/// The sockets of a daemon that has just been started: those that are new. A socket that other
/// code of this process binds to the port of mDNS meanwhile would be taken for one of them.
fn new_sockets(
    library: &ServiceDaemon,
    others: &MdnsSockets,
    deadline: Option<Instant>,
) -> io::Result<MdnsSockets> {
    let answer = library.get_metrics().map_err(io::Error::other)?;
    let mut last = None;
    for _ in 0..START_CHECKS {
        // Its thread opens the sockets first, one after the other. It does not answer if they
        // are flooded already; then all are there if no further one has come meanwhile.
        let result = answer.recv_deadline(earliest(Instant::now() + ANSWER_TIME, deadline));
        let sockets = MdnsSockets::of_process()?.without(others);
        match result {
            Ok(_) if sockets.is_empty() => {
                return Err(io::Error::other("no socket at UDP port 5353"));
            }
            Ok(_) => return Ok(sockets),
            Err(RecvTimeoutError::Disconnected) => return Err(ErrorKind::BrokenPipe.into()),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if !sockets.is_empty() && last.as_ref() == Some(&sockets) {
            return Ok(sockets);
        }
        if has_passed(deadline) {
            break;
        }
        last = Some(sockets);
    }
    Err(ErrorKind::TimedOut.into())
}

/// The pauses after floods: longer and longer ones as long as they go on.
pub(super) struct FloodBackoff {
    next: Duration,
    /// When the last pause has ended.
    resumed: Instant,
}

impl FloodBackoff {
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
