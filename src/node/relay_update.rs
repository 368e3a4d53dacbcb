//! Updates of the relay: a connection, or a series of datagrams, that registers the
//! node and then announces its files, or that unregisters the node.

use std::net::SocketAddr;
use std::time::Instant;

use crate::close_reason::CloseReason;
use crate::node::event::NodeEvent;
use crate::node::registrar::RegistrationAttempt;
use crate::node::share::Share;
use crate::node::{ANNOUNCE_DELAY, Node, NodeSession};
use crate::role::{Context, Input, ReadNext, UdpPeer};
use crate::session::udp_requests::{UdpOutcome, UdpRequests};

/// One update of the relay.
#[derive(Debug)]
pub struct RelayUpdate {
    attempt: RegistrationAttempt,
    /// Whether the registration is done and the files are being announced.
    is_announcing: bool,
}

impl RelayUpdate {
    fn new(attempt: RegistrationAttempt) -> Self {
        Self {
            attempt,
            is_announcing: false,
        }
    }
}

impl<S: Share> Node<S> {
    /// Sends updates over UDP first, and over TCP where UDP fails.
    #[must_use]
    pub fn with_udp(mut self, udp: UdpRequests<RelayUpdate>) -> Self {
        self.udp = udp;
        self
    }

    /// Starts an update.
    pub(super) fn start_update(
        &mut self,
        context: &mut Context<'_, Self>,
        relay: SocketAddr,
        attempt: RegistrationAttempt,
    ) {
        let mut udp = std::mem::take(&mut self.udp);
        let update = RelayUpdate::new(attempt);
        let started = udp.begin(
            context.out,
            context.now,
            relay,
            update,
            |update, requests| {
                self.on_relay_input(context.now, update, Input::Connected, requests);
            },
        );
        self.udp = udp;
        if let Err(update) = started {
            context
                .out
                .dial(relay, NodeSession::RelayUpdate(Box::new(update)));
        }
    }

    /// Handles input from the relay. After the registration the files are announced,
    /// unless an earlier update still announces them: then this one only renews the
    /// lease.
    pub(super) fn on_relay_input(
        &mut self,
        now: Instant,
        update: &mut RelayUpdate,
        input: Input<'_>,
        requests: &mut Vec<u8>,
    ) -> ReadNext {
        let RelayUpdate {
            attempt,
            is_announcing,
        } = update;
        if let (true, Input::Line(line)) = (*is_announcing, &input) {
            if self.registrar.is_stopping() {
                return ReadNext::Close(CloseReason::Completed);
            }
            return self.announcer.on_reply(&mut self.share, line, requests);
        }
        let (next, event) = self.registrar.on_input(now, attempt, input, requests);
        if let Some(NodeEvent::Registered(registered)) = &event {
            if let Some(listener) = &mut self.listener {
                listener.enable(now);
            }
            if let Some(console) = &mut self.console {
                console.set_own_address(registered.address);
            }
        }
        self.report(event);
        match attempt.files() {
            Some(files) if !self.registrar.is_stopping() && !self.announcer.is_busy() => {
                if attempt.is_reset() {
                    self.announcer.on_record_reset();
                } else if self.announcer.needs_reset(files) {
                    return self.registrar.reset_record(attempt, requests);
                }
                *is_announcing = true;
                self.announcer.start(&mut self.share, files, requests)
            }
            Some(_) | None => next,
        }
    }

    /// An update has ended.
    pub(super) fn on_update_end(&mut self, now: Instant, update: RelayUpdate, end: &CloseReason) {
        let event = self.registrar.on_close(now, update.attempt, end);
        self.report(event);
        if update.is_announcing {
            self.announcer.on_close();
            if self.announcer.is_outdated(&mut self.share) {
                self.registrar.renew_within(now, ANNOUNCE_DELAY);
            }
        }
    }

    /// Handles a datagram from the relay.
    pub(super) fn on_relay_datagram(
        &mut self,
        context: &mut Context<'_, Self>,
        from: UdpPeer,
        bytes: &[u8],
    ) {
        let now = context.now;
        let mut udp = std::mem::take(&mut self.udp);
        let outcome = udp.receive(context.out, now, from, bytes, |update, line, requests| {
            self.on_relay_input(now, update, Input::Line(line), requests)
        });
        self.udp = udp;
        self.on_udp_outcomes(context, outcome);
        if let Some(console) = &mut self.console {
            console.on_datagram(context, from, bytes);
        }
    }

    /// The system reports that no program receives datagrams at the other end of a
    /// socket.
    pub(super) fn on_relay_unreachable(&mut self, context: &mut Context<'_, Self>, socket: u32) {
        let outcomes = self.udp.on_udp_unreachable(socket);
        self.on_udp_outcomes(context, outcomes);
        if let Some(console) = &mut self.console {
            console.on_udp_unreachable(context, socket);
        }
    }

    /// Retransmits the datagrams that are due.
    pub(super) fn on_udp_timer(&mut self, context: &mut Context<'_, Self>) {
        let outcomes = self.udp.on_timer(context.out, context.now);
        self.on_udp_outcomes(context, outcomes);
        if let Some(console) = &mut self.console {
            console.on_timer(context);
        }
    }

    fn on_udp_outcomes(
        &mut self,
        context: &mut Context<'_, Self>,
        outcomes: impl IntoIterator<Item = UdpOutcome<RelayUpdate>>,
    ) {
        for outcome in outcomes {
            match outcome {
                UdpOutcome::Ended(update, end) => {
                    self.on_update_end(context.now, update, &end);
                    self.unregister_if_stopping(context);
                }
                // A node that stops need not register.
                UdpOutcome::FallBack(_, update)
                    if self.registrar.is_stopping() && !update.attempt.is_unregister() =>
                {
                    self.on_update_end(context.now, update, &CloseReason::ReadTimeout);
                    self.unregister_if_stopping(context);
                }
                UdpOutcome::FallBack(relay, update) => {
                    if update.is_announcing {
                        self.announcer.on_close();
                    }
                    let update = RelayUpdate::new(update.attempt.retry());
                    context
                        .out
                        .dial(relay, NodeSession::RelayUpdate(Box::new(update)));
                }
            }
        }
    }
}
