//! Decides when the node registers with a relay, renews its lease after a third of
//! it, retries with backoff after a failure, and unregisters when the node stops.

use std::mem;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::close_reason::CloseReason;
use crate::node::event::{NodeEvent, relay_failure};
use crate::protocol::{ClaimedIp, NodeAddress, Port, Registered};
use crate::relay_link::Backoff;
use crate::system_error::SourceAddressError;

/// The bounds for the lease that the relay states: it can make the node neither busy
/// nor silent for ever.
const MIN_LEASE: Duration = Duration::from_secs(1);
const MAX_LEASE: Duration = Duration::from_secs(86_400);

/// The schedule of the node's registration.
pub struct Registrar {
    /// The relay for people, as the user wrote it.
    name: String,
    backoff: Backoff,
    /// The address under which the node registers.
    pub(super) claim: (ClaimedIp, Port),
    /// No attempt starts any more.
    pub(super) is_stopping: bool,
    /// The node stops, and the relay may still have a record of the node.
    must_unregister: bool,
    /// Set if the next renewal was requested early while an attempt was in progress.
    early_renewal: Option<Duration>,
    registration: Option<ActiveRegistration>,
    /// Why the last attempt has failed, since the last registration, for whose failure the user
    /// may have to do something: the relay refused it, or the machine has another address.
    refusal: Option<String>,
    /// Why the last attempt has failed, if it has.
    failure: Option<String>,
    /// Called after a failure: the relay's name may have other addresses by now. They come
    /// as [`NodeMessage::RelayAddresses`](crate::node::NodeMessage::RelayAddresses).
    pub look_up_relay: Option<Box<dyn FnMut()>>,
}

/// The last registration that succeeded.
struct ActiveRegistration {
    address: NodeAddress,
    relay: Option<SocketAddr>,
    lease_end: Instant,
}

impl Registrar {
    /// A registrar that registers the port with the relay at these addresses, from `now` on.
    /// Without an address, it has to look the relay up.
    #[must_use]
    pub fn new(relay: Vec<SocketAddr>, ip: ClaimedIp, port: Port, seed: u64, now: Instant) -> Self {
        let mut backoff = Backoff::new(relay, seed);
        backoff.schedule(now);
        Self {
            name: String::new(),
            backoff,
            claim: (ip, port),
            is_stopping: false,
            must_unregister: false,
            early_renewal: None,
            registration: None,
            refusal: None,
            failure: None,
            look_up_relay: None,
        }
    }

    /// The same for a relay that people know by this name: there are several.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        let name = name.into();
        Self { name, ..self }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The relay has these addresses now. If none was known, they are tried at once.
    pub(super) fn set_relay(&mut self, relay: &[SocketAddr], now: Instant) {
        let is_first = self.backoff.addresses().is_empty();
        self.backoff.set_addresses(relay);
        if is_first && !relay.is_empty() {
            self.backoff.try_at_once(now);
        }
    }

    /// The relay's addresses.
    pub(super) fn relay(&self) -> &[SocketAddr] {
        self.backoff.addresses()
    }

    /// The relay's address at which the node is registered, while the lease lasts.
    pub(super) fn registered_at(&self, now: Instant) -> Option<SocketAddr> {
        let registration = self.registration.as_ref();
        registration
            .filter(|registration| registration.lease_end > now)?
            .relay
    }

    /// The node's address at the relay, and how long the lease lasts.
    pub(super) fn lease(&self, now: Instant) -> Option<(NodeAddress, Duration)> {
        let registration = self.registration.as_ref()?;
        let left = registration.lease_end.saturating_duration_since(now);
        (!left.is_zero()).then_some((registration.address, left))
    }

    /// Why the last attempt has failed, if it has.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// When [`Registrar::dial`] returns an address.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.backoff.next_deadline().filter(|_| !self.is_stopping)
    }

    /// The address to connect to, if an attempt is due.
    pub fn dial(&mut self, now: Instant) -> Option<SocketAddr> {
        if self.is_stopping {
            return None;
        }
        self.backoff.dial(now)
    }

    /// An attempt is due, and the relay's name has not been resolved yet.
    pub(super) fn on_unresolved(&mut self, now: Instant) -> Option<NodeEvent<'static>> {
        let is_due = self.next_deadline().is_some_and(|due| due <= now);
        if !is_due || self.backoff.address().is_some() {
            return None;
        }
        self.backoff.continue_attempt();
        let reason = format!("cannot resolve {}", self.name);
        self.fail(now, reason)
    }

    /// Requests a renewal within `delay`, because the files have changed. A relay that
    /// fails is not contacted before the backoff allows it.
    pub fn renew_within(&mut self, now: Instant, delay: Duration) {
        if self.backoff.next_deadline().is_none() {
            self.early_renewal = Some(delay);
        }
        self.backoff.advance(now + delay);
    }

    /// The node stops; [`Registrar::dial_to_unregister`] is next.
    pub fn stop(&mut self) {
        self.is_stopping = true;
        let is_registering = self.backoff.next_deadline().is_none();
        self.must_unregister = self.registration.is_some() || is_registering;
    }

    /// The address to connect to in order to unregister, if the node stops and may
    /// be registered. There is none while an attempt is in progress, because the
    /// relay might execute `REGISTER` after `UNREGISTER`.
    pub fn dial_to_unregister(&mut self) -> Option<SocketAddr> {
        self.backoff.next_deadline()?;
        let must_unregister = mem::take(&mut self.must_unregister);
        self.backoff.address().filter(|_| must_unregister)
    }

    /// `REGISTER` is sent once more in the attempt that has just succeeded.
    pub(super) fn register_again(&mut self) {
        self.backoff.continue_attempt();
    }

    /// The relay has registered the node.
    pub fn on_registered(
        &mut self,
        now: Instant,
        registered: Registered,
    ) -> Option<NodeEvent<'static>> {
        let lease = registered.lease.clamp(MIN_LEASE, MAX_LEASE);
        let pause = self.backoff.jitter(lease / 3, 0.1);
        let early = self.early_renewal.take().unwrap_or(pause);
        self.backoff.schedule(now + pause.min(early));
        (self.refusal, self.failure) = (None, None);
        let was_away = self.backoff.on_success();
        let previous = self.registration.replace(ActiveRegistration {
            address: registered.address,
            relay: self.backoff.last_address(),
            lease_end: now + lease,
        });
        let is_new = previous.map(|previous| previous.address) != Some(registered.address);
        (was_away || is_new).then_some(NodeEvent::Registered(registered))
    }

    /// The connection has ended without a reply to `REGISTER`.
    pub fn on_failure(&mut self, now: Instant, reason: &CloseReason) -> Option<NodeEvent<'static>> {
        if let CloseReason::ConnectFailed(error) = reason
            && let Some(error) = SourceAddressError::of(error)
        {
            // Others can no longer fetch anything: that is news even if the relay failed before.
            let event = self.on_refusal(now, error.to_string());
            return event.map(|_| NodeEvent::Unreachable(error));
        }
        let reason = relay_failure(self.backoff.last_address(), reason);
        self.fail(now, reason)
    }

    fn fail(&mut self, now: Instant, reason: String) -> Option<NodeEvent<'static>> {
        self.failure = Some(reason.clone());
        let is_new = self.retry(now) == Some(1);
        is_new.then_some(NodeEvent::RegistrationFailed(reason))
    }

    /// The relay does not register the node, for this reason, or cannot. A new reason is reported
    /// even if the relay has failed before: the user may have to do something.
    pub(super) fn on_refusal(
        &mut self,
        now: Instant,
        reason: String,
    ) -> Option<NodeEvent<'static>> {
        self.failure = Some(reason.clone());
        let failures = self.retry(now)?;
        let previous = self.refusal.replace(reason.clone());
        let is_new = failures == 1 || previous.is_none_or(|previous| previous != reason);
        is_new.then_some(NodeEvent::RegistrationFailed(reason))
    }

    /// Returns how many times all addresses have failed, if that is to be reported.
    fn retry(&mut self, now: Instant) -> Option<u32> {
        let failures = self.backoff.retry(now);
        if self.is_stopping {
            return None;
        }
        if let Some(look_up) = &mut self.look_up_relay {
            look_up();
        }
        failures
    }
}
