//! Decides when the node registers with the relay, renews its lease after a third of
//! it, retries with backoff after a failure, and unregisters when the node stops.

use std::mem;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::close_reason::CloseReason;
use crate::node::event::{NodeEvent, relay_failure};
use crate::protocol::{ClaimedIp, Port, Registered, Request};
use crate::relay_link::Backoff;

/// The bounds for the lease that the relay states: it can make the node neither busy
/// nor silent for ever.
const MIN_LEASE: Duration = Duration::from_secs(1);
const MAX_LEASE: Duration = Duration::from_secs(86_400);

/// The schedule of the node's registration.
pub struct Registrar {
    backoff: Backoff,
    ip: ClaimedIp,
    port: Port,
    /// When the next attempt is due; none while an attempt is in progress.
    due: Option<Instant>,
    /// No attempt starts any more.
    pub(super) is_stopping: bool,
    /// The node stops, and the relay may still have a record of the node.
    must_unregister: bool,
    /// Set if the next renewal was requested early while an attempt was in progress.
    early_renewal: Option<Duration>,
    /// The last registration that succeeded.
    registration: Option<Registered>,
}

impl Registrar {
    /// A registrar that registers the port with the relay, from `now` on. `relay` is
    /// not empty.
    #[must_use]
    pub fn new(relay: Vec<SocketAddr>, ip: ClaimedIp, port: Port, seed: u64, now: Instant) -> Self {
        Self {
            backoff: Backoff::new(relay, seed),
            ip,
            port,
            due: Some(now),
            is_stopping: false,
            must_unregister: false,
            early_renewal: None,
            registration: None,
        }
    }

    /// When [`Registrar::dial`] returns an address.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.due.filter(|_| !self.is_stopping)
    }

    /// The address to connect to, if an attempt is due.
    pub fn dial(&mut self, now: Instant) -> Option<SocketAddr> {
        self.next_deadline().filter(|due| *due <= now)?;
        self.start_attempt();
        Some(self.backoff.address())
    }

    /// Requests a renewal within `delay`, because the files have changed.
    pub fn renew_within(&mut self, now: Instant, delay: Duration) {
        match &mut self.due {
            None => self.early_renewal = Some(delay),
            // A failing relay is not contacted before the backoff allows it.
            Some(_) if self.backoff.has_failed() => {}
            Some(due) => *due = (*due).min(now + delay),
        }
    }

    /// The node stops; [`Registrar::dial_to_unregister`] is next.
    pub fn stop(&mut self) {
        self.is_stopping = true;
        self.must_unregister = self.registration.is_some() || self.due.is_none();
    }

    /// The address to connect to in order to unregister, if the node stops and may
    /// be registered. There is none while an attempt is in progress, because the
    /// relay might execute `REGISTER` after `UNREGISTER`.
    pub fn dial_to_unregister(&mut self) -> Option<SocketAddr> {
        let is_due = self.due.is_some() && mem::take(&mut self.must_unregister);
        is_due.then(|| self.backoff.address())
    }

    /// The request that registers the node or renews its lease.
    pub(super) fn register(&self) -> Request<'static> {
        Request::Register(self.ip, self.port)
    }

    pub(super) fn unregister(&self) -> Request<'static> {
        Request::Unregister(self.ip, self.port)
    }

    /// `REGISTER` is sent once more in the attempt that has just succeeded.
    pub(super) fn start_attempt(&mut self) {
        self.due = None;
    }

    /// The relay has registered the node.
    pub fn on_registered(
        &mut self,
        now: Instant,
        registered: Registered,
    ) -> Option<NodeEvent<'static>> {
        let third = registered.lease.clamp(MIN_LEASE, MAX_LEASE) / 3;
        let pause = self.backoff.jitter(third, 0.1);
        let early = self.early_renewal.take().unwrap_or(pause);
        // A repeated `REGISTER` does not move the next attempt.
        self.due.get_or_insert(now + pause.min(early));
        let was_away = self.backoff.on_success();
        let previous = self.registration.replace(registered);
        let is_new = previous.map(|previous| previous.address) != Some(registered.address);
        (was_away || is_new).then_some(NodeEvent::Registered(registered))
    }

    /// The connection has ended without a reply to `REGISTER`.
    pub fn on_failure(&mut self, now: Instant, reason: &CloseReason) -> Option<NodeEvent<'static>> {
        self.schedule_retry(now, relay_failure(self.backoff.address(), reason))
    }

    /// An attempt has failed, for this reason.
    pub(super) fn schedule_retry(
        &mut self,
        now: Instant,
        reason: String,
    ) -> Option<NodeEvent<'static>> {
        let pause = self.backoff.on_failure();
        self.due.get_or_insert(now + pause);
        // A node that stops does not retry.
        let is_reported = self.backoff.is_first_failure() && !self.is_stopping;
        is_reported.then_some(NodeEvent::RegistrationFailed(reason))
    }
}
