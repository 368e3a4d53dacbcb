//! Keeps the node registered with the relay: registers, renews after a third of the
//! lease, retries with backoff after a failure, and unregisters when the node stops.
//!
//! Each attempt is one short connection: one request, one reply.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::close_reason::CloseReason;
use crate::escaped::Escaped;
use crate::node::event::NodeEvent;
use crate::protocol::{ClaimedIp, Port, Registered, Reply, ReplyError, Request};
use crate::relay_link::{Backoff, BackoffState};
use crate::role::{Input, ReadNext};
use crate::session::server::say;

/// The bounds for the lease that the relay states: it can make the node neither busy
/// nor silent for ever.
const MIN_LEASE: Duration = Duration::from_secs(1);
const MAX_LEASE: Duration = Duration::from_secs(86_400);

/// Decides when the node registers, renews its lease and unregisters.
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

/// One attempt to register or to unregister.
#[derive(Debug)]
pub struct RegistrationAttempt {
    kind: RegistrationKind,
    is_answered: bool,
    /// How many files the relay has recorded for the node, from its reply.
    files: Option<u64>,
    reset: RecordReset,
}

/// Whether the attempt unregisters the node before it registers the node again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum RecordReset {
    No,
    /// The next reply is the one to `UNREGISTER`.
    Unregistering,
    /// The relay has answered `UNREGISTER`.
    Done,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum RegistrationKind {
    Register,
    Unregister,
}

impl RegistrationAttempt {
    /// Registers the node or renews its lease.
    #[must_use]
    pub fn register() -> Self {
        Self::new(RegistrationKind::Register)
    }

    /// Removes the node from the relay's directory.
    #[must_use]
    pub fn unregister() -> Self {
        Self::new(RegistrationKind::Unregister)
    }

    fn new(kind: RegistrationKind) -> Self {
        Self {
            kind,
            is_answered: false,
            files: None,
            reset: RecordReset::No,
        }
    }

    /// How many files the relay has recorded for the node, once it has registered
    /// the node.
    #[must_use]
    pub fn files(&self) -> Option<u64> {
        self.files
    }

    /// A new attempt of the same kind.
    #[must_use]
    pub fn retry(&self) -> Self {
        Self::new(self.kind)
    }

    /// Whether this attempt unregisters the node because the node stops.
    #[must_use]
    pub fn is_unregister(&self) -> bool {
        self.kind == RegistrationKind::Unregister
    }

    /// Whether the relay has dropped its previous record of the node in this attempt.
    #[must_use]
    pub fn is_reset(&self) -> bool {
        self.reset == RecordReset::Done
    }
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
            RegistrarState::Waiting(until) if !self.backoff.is_away() => {
                *until = (*until).min(now + delay)
            }
            RegistrarState::Waiting(_) | RegistrarState::Stopping { .. } => {}
            RegistrarState::InProgress => self.early_renewal = Some(delay),
        }
    }

    /// The node stops; [`Registrar::start_unregister`] is next.
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
    pub fn start_unregister(&mut self) -> Option<SocketAddr> {
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

    /// Handles input from the relay.
    pub fn on_input(
        &mut self,
        now: Instant,
        attempt: &mut RegistrationAttempt,
        input: Input<'_>,
        requests: &mut Vec<u8>,
    ) -> (ReadNext, Option<NodeEvent<'static>>) {
        let line = match input {
            Input::Connected => {
                let (ip, port) = (self.ip, self.port);
                match attempt.kind {
                    RegistrationKind::Register => say(requests, Request::Register(ip, port)),
                    RegistrationKind::Unregister => say(requests, Request::Unregister(ip, port)),
                }
                return (ReadNext::Line, None);
            }
            Input::Line(line) => line,
            Input::Resumed => return (ReadNext::Line, None),
            Input::Body(_) | Input::FramingError(_) => {
                return (ReadNext::Close(CloseReason::ProtocolError), None);
            }
        };
        if attempt.reset == RecordReset::Unregistering {
            // Any reply will do: an error means that the relay has no such node.
            attempt.reset = RecordReset::Done;
            return (ReadNext::Line, None);
        }
        attempt.is_answered = true;
        self.finish_attempt();
        let event = match (attempt.kind, Reply::parse(line)) {
            (RegistrationKind::Unregister, Ok(Reply::Ok(_))) => Some(NodeEvent::Unregistered),
            // The relay removes the node when the lease expires, if not before.
            (RegistrationKind::Unregister, _) => None,
            (RegistrationKind::Register, Ok(Reply::Ok(text))) => match Registered::parse(&text) {
                Ok(registered) => {
                    attempt.files = Some(registered.files);
                    self.on_registered(now, registered)
                }
                Err(error) => self.on_failure(now, error.to_string()),
            },
            (RegistrationKind::Register, Ok(Reply::Error(code, text))) => {
                let text = Escaped::text(&text);
                self.on_failure(now, format!("the relay says {} {text}", code.number()))
            }
            (RegistrationKind::Register, Ok(_) | Err(_)) => {
                self.on_failure(now, ReplyError.to_string())
            }
        };
        (ReadNext::Close(CloseReason::Completed), event)
    }

    /// Makes the relay, which has just registered the node, drop its record of the
    /// node and register the node again. Both requests arrive together, so no list
    /// is without the node.
    pub fn reset_record(
        &mut self,
        attempt: &mut RegistrationAttempt,
        requests: &mut Vec<u8>,
    ) -> ReadNext {
        let (ip, port) = (self.ip, self.port);
        say(requests, Request::Unregister(ip, port));
        say(requests, Request::Register(ip, port));
        *attempt = RegistrationAttempt {
            reset: RecordReset::Unregistering,
            ..RegistrationAttempt::register()
        };
        self.state = RegistrarState::InProgress;
        ReadNext::Line
    }

    /// The connection of an attempt has ended.
    pub fn on_close(
        &mut self,
        now: Instant,
        attempt: RegistrationAttempt,
        reason: &CloseReason,
    ) -> Option<NodeEvent<'static>> {
        if attempt.is_answered || attempt.is_unregister() {
            return None;
        }
        self.finish_attempt();
        let relay = self.backoff.address();
        let reason = match reason {
            CloseReason::EndOfInput => "it closed the connection too early".to_owned(),
            reason => reason.to_string(),
        };
        self.on_failure(now, format!("relay {relay}: {reason}"))
    }

    fn on_registered(
        &mut self,
        now: Instant,
        registered: Registered,
    ) -> Option<NodeEvent<'static>> {
        let third = registered.lease.clamp(MIN_LEASE, MAX_LEASE) / 3;
        let pause = self.backoff.earlier(third, 0.1);
        let early = self.early_renewal.take().unwrap_or(pause);
        self.wait_until(now + pause.min(early));
        let was_away = self.backoff.worked();
        let previous = self.registration.replace(registered);
        let is_new = previous.map(|previous| previous.address) != Some(registered.address);
        (was_away || is_new).then_some(NodeEvent::Registered(registered))
    }

    fn on_failure(&mut self, now: Instant, reason: String) -> Option<NodeEvent<'static>> {
        let BackoffState { pause, is_news } = self.backoff.failed();
        self.wait_until(now + pause);
        // A node that stops does not retry.
        (is_news && !self.is_stopping()).then_some(NodeEvent::RegistrationFailed(reason))
    }

    /// The attempt has its reply, or will have none.
    fn finish_attempt(&mut self) {
        if let RegistrarState::Stopping { is_in_progress, .. } = &mut self.state {
            *is_in_progress = false;
        }
    }

    fn wait_until(&mut self, until: Instant) {
        if let RegistrarState::InProgress = self.state {
            self.state = RegistrarState::Waiting(until);
        }
    }
}
