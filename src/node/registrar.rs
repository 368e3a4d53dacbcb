//! Decides when the node registers with the relay, renews its lease after a third of
//! it, retries with backoff after a failure, and unregisters when the node stops.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::close_reason::CloseReason;
use crate::escaped::Escaped;
use crate::node::event::NodeEvent;
use crate::protocol::{ClaimedIp, Code, Port, Registered, Request};
use crate::relay_link::{Backoff, BackoffState};

/// The bounds for the lease that the relay states: it can make the node neither busy
/// nor silent for ever.
const MIN_LEASE: Duration = Duration::from_secs(1);
const MAX_LEASE: Duration = Duration::from_secs(86_400);

/// The schedule of the node's registration.
pub struct Registrar {
    backoff: Backoff,
    ip: ClaimedIp,
    port: Port,
    state: RegistrarState,
    /// Set if the next renewal was requested early while an attempt was in progress.
    early_renewal: Option<Duration>,
    /// The last registration that succeeded.
    registration: Option<Registered>,
}

enum RegistrarState {
    /// The next attempt is due at this time.
    Waiting(Instant),
    /// An attempt is in progress.
    InProgress,
    /// The node stops. It unregisters once no attempt is in progress, unless it
    /// certainly is not registered.
    Stopping {
        may_be_registered: bool,
        is_in_progress: bool,
    },
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
            state: RegistrarState::Waiting(now),
            early_renewal: None,
            registration: None,
        }
    }

    /// When [`Registrar::dial`] returns an address.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        match self.state {
            RegistrarState::Waiting(until) => Some(until),
            RegistrarState::InProgress | RegistrarState::Stopping { .. } => None,
        }
    }

    /// The address to connect to, if an attempt is due.
    pub fn dial(&mut self, now: Instant) -> Option<SocketAddr> {
        if self.next_deadline().is_none_or(|due| due > now) {
            return None;
        }
        self.state = RegistrarState::InProgress;
        Some(self.backoff.address())
    }

    /// Requests a renewal within `delay`, because the files have changed.
    pub fn renew_within(&mut self, now: Instant, delay: Duration) {
        match &mut self.state {
            // A failing relay is not contacted before the backoff allows it.
            RegistrarState::Waiting(until) if !self.backoff.has_failed() => {
                *until = (*until).min(now + delay);
            }
            RegistrarState::Waiting(_) | RegistrarState::Stopping { .. } => {}
            RegistrarState::InProgress => self.early_renewal = Some(delay),
        }
    }

    /// The node stops; [`Registrar::dial_to_unregister`] is next.
    pub fn stop(&mut self) {
        let is_in_progress = matches!(self.state, RegistrarState::InProgress);
        self.state = RegistrarState::Stopping {
            may_be_registered: self.registration.is_some() || is_in_progress,
            is_in_progress,
        };
    }

    /// Whether the node stops.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        matches!(self.state, RegistrarState::Stopping { .. })
    }

    /// The address to connect to in order to unregister, if the node stops and may
    /// be registered. There is none while an attempt is in progress, because the
    /// relay might execute `REGISTER` after `UNREGISTER`.
    pub fn dial_to_unregister(&mut self) -> Option<SocketAddr> {
        let RegistrarState::Stopping {
            may_be_registered: may_be_registered @ true,
            is_in_progress: false,
        } = &mut self.state
        else {
            return None;
        };
        *may_be_registered = false;
        Some(self.backoff.address())
    }

    /// The request that registers the node or renews its lease.
    #[must_use]
    pub fn register(&self) -> Request<'static> {
        Request::Register(self.ip, self.port)
    }

    /// The request that unregisters the node.
    #[must_use]
    pub fn unregister(&self) -> Request<'static> {
        Request::Unregister(self.ip, self.port)
    }

    /// `REGISTER` is sent once more in the attempt that has just succeeded.
    pub(super) fn start_attempt(&mut self) {
        self.state = RegistrarState::InProgress;
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
        self.finish_attempt(now + pause.min(early));
        let was_away = self.backoff.on_success();
        let previous = self.registration.replace(registered);
        let is_new = previous.map(|previous| previous.address) != Some(registered.address);
        (was_away || is_new).then_some(NodeEvent::Registered(registered))
    }

    /// The relay has answered `REGISTER` with an error.
    pub(super) fn on_rejected(
        &mut self,
        now: Instant,
        code: Code,
        text: &str,
    ) -> Option<NodeEvent<'static>> {
        let text = Escaped::text(text);
        self.schedule_retry(now, format!("the relay says {} {text}", code.number()))
    }

    /// The connection has ended without a reply to `REGISTER`.
    pub fn on_failure(&mut self, now: Instant, reason: &CloseReason) -> Option<NodeEvent<'static>> {
        let relay = self.backoff.address();
        let reason = match reason {
            CloseReason::EndOfInput => "the connection was closed too early".to_owned(),
            reason => reason.to_string(),
        };
        self.schedule_retry(now, format!("relay {relay}: {reason}"))
    }

    fn schedule_retry(&mut self, now: Instant, reason: String) -> Option<NodeEvent<'static>> {
        let BackoffState {
            pause,
            is_first_failure,
        } = self.backoff.on_failure();
        self.finish_attempt(now + pause);
        // A node that stops does not retry.
        (is_first_failure && !self.is_stopping()).then_some(NodeEvent::RegistrationFailed(reason))
    }

    /// The attempt has succeeded or failed. The next one is due at `next`, unless the
    /// node stops.
    fn finish_attempt(&mut self, next: Instant) {
        match &mut self.state {
            RegistrarState::InProgress => self.state = RegistrarState::Waiting(next),
            RegistrarState::Stopping { is_in_progress, .. } => *is_in_progress = false,
            RegistrarState::Waiting(_) => {}
        }
    }
}
