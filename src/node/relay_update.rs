//! Updates of the relay: a connection, or a series of datagrams, that registers the
//! node and then announces its files, or that unregisters the node.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use crate::close_reason::CloseReason;
use crate::node::event::relay_error;
use crate::node::share::Share;
use crate::node::update_request::UpdateRequest;
use crate::node::{ANNOUNCE_DELAY, Node, NodeEvent};
use crate::protocol::{Registered, Reply, Request};
use crate::role::{Context, Input, ReadNext};
use crate::session::connector::Connector;
use crate::session::requests::{RequestQueue, ResponsePart};

/// Returns the local addresses from which relays at these addresses are reached.
pub type ChooseAddresses = fn(&[SocketAddr]) -> Vec<IpAddr>;

/// One update of the relay.
#[derive(Debug)]
pub struct RelayUpdate {
    /// The index of the relay.
    relay: usize,
    state: UpdateState,
    requests: RequestQueue<UpdateRequest>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum UpdateState {
    /// The relay has not answered `REGISTER`.
    Registering,
    /// The files are being announced.
    Announcing,
    /// The node stops, and the relay has not answered `UNREGISTER`.
    Unregistering,
    /// The relay has answered `REGISTER`, and no files are to be announced.
    Done,
}

impl RelayUpdate {
    fn new(relay: usize, state: UpdateState) -> Self {
        Self {
            relay,
            state,
            requests: RequestQueue::default(),
        }
    }

    pub(super) fn relay(&self) -> usize {
        self.relay
    }
}

impl<S: Share> Node<S> {
    /// Registers with the relays with which that is due.
    pub(super) fn register_if_due(&mut self, context: &mut Context<'_, Self>) {
        for relay in 0..self.relays.len() {
            let registrar = &mut self.relays[relay].registrar;
            if let Some(address) = registrar.dial(context.now) {
                self.follow_addresses(context);
                self.start_update(context, (relay, address), UpdateState::Registering);
            } else {
                let event = registrar.on_unresolved(context.now);
                self.report(Some(relay), event);
            }
        }
    }

    /// Uses the local addresses from which the relays are reached now: each registration names
    /// one of them.
    fn follow_addresses(&mut self, context: &mut Context<'_, Self>) {
        let Some(choose) = self.choose_addresses else {
            return;
        };
        let relays = self.relays.iter().map(|relay| relay.registrar.relay());
        let chosen = choose(&relays.flatten().copied().collect::<Vec<_>>());
        // Without a network, there is nothing better than the addresses of before.
        if !chosen.is_empty() {
            context.out.use_addresses(chosen);
        }
    }

    /// Starts an update, which is to register the node or to unregister it, of the relay of
    /// this index at this address.
    pub(super) fn start_update(
        &mut self,
        context: &mut Context<'_, Self>,
        (relay, address): (usize, SocketAddr),
        state: UpdateState,
    ) {
        let update = RelayUpdate::new(relay, state);
        let mut udp = std::mem::take(&mut self.udp);
        let mut connector = Connector::new(context, &mut udp);
        let now = connector.now;
        connector.request(address, update, |update, out| {
            self.on_relay_input(now, update, Input::Connected, out);
        });
        self.udp = udp;
    }

    pub(super) fn on_relay_input(
        &mut self,
        now: Instant,
        update: &mut RelayUpdate,
        input: Input<'_>,
        out: &mut Vec<u8>,
    ) -> ReadNext {
        if input == Input::Connected {
            match update.state {
                UpdateState::Unregistering => self.send_unregister(update, out),
                _ => self.send_register(update, out),
            }
        }
        match update.requests.on_input(input) {
            Ok(None) => ReadNext::Line,
            Ok(Some((ResponsePart::Head(reply), Some(request)))) => {
                self.on_relay_reply(now, update, request, reply, out)
            }
            Ok(Some(_)) | Err(_) => ReadNext::Close(CloseReason::ProtocolError),
        }
    }

    fn on_relay_reply(
        &mut self,
        now: Instant,
        update: &mut RelayUpdate,
        request: UpdateRequest,
        reply: Reply<'_>,
        out: &mut Vec<u8>,
    ) -> ReadNext {
        match (request, reply) {
            (UpdateRequest::Unregister, reply) if update.state == UpdateState::Unregistering => {
                if let Reply::Ok(_) = reply {
                    self.report(Some(update.relay), [NodeEvent::Unregistered]);
                }
                // Otherwise the relay has removed the node, or will when the lease expires.
                ReadNext::Close(CloseReason::Completed)
            }
            // An error means that the relay has no record of the node.
            (UpdateRequest::Unregister, _) => {
                self.relays[update.relay].announcer.on_record_reset();
                ReadNext::Line
            }
            (UpdateRequest::Register, Reply::Error(code, text)) => {
                update.state = UpdateState::Done;
                let registrar = &mut self.relays[update.relay].registrar;
                let event = registrar.on_refusal(now, relay_error(code, &text));
                self.report(Some(update.relay), event);
                ReadNext::Close(CloseReason::Completed)
            }
            (UpdateRequest::Register, Reply::Ok(text)) => match Registered::parse(&text) {
                Ok(registered) => self.on_registered(now, update, registered, out),
                Err(_) => ReadNext::Close(CloseReason::ProtocolError),
            },
            (UpdateRequest::Register, _) => ReadNext::Close(CloseReason::ProtocolError),
            (_, _) if self.is_stopping => ReadNext::Close(CloseReason::Completed),
            (change, reply) => {
                let announcer = &mut self.relays[update.relay].announcer;
                let requests = &mut update.requests;
                announcer.on_reply(&mut self.share, change, reply, requests, out)
            }
        }
    }

    /// Announces the files after the registration, unless an earlier update still
    /// announces them: then this one only renews the lease.
    fn on_registered(
        &mut self,
        now: Instant,
        update: &mut RelayUpdate,
        registered: Registered,
        out: &mut Vec<u8>,
    ) -> ReadNext {
        let relay = &mut self.relays[update.relay];
        let event = relay.registrar.on_registered(now, registered);
        if event.is_some() {
            if let Some(listener) = &mut relay.listener {
                listener.enable(now);
            }
            if let Some(console) = &mut self.console {
                let address = registered.address;
                console.jobs.set_own_address(update.relay, address);
            }
        }
        self.report(Some(update.relay), event);
        let relay = &mut self.relays[update.relay];
        if self.is_stopping || relay.announcer.is_busy() {
            update.state = UpdateState::Done;
            return ReadNext::Close(CloseReason::Completed);
        }
        if !relay.announcer.compare_record(&registered) {
            update.state = UpdateState::Announcing;
            let requests = &mut update.requests;
            return relay.announcer.start(&mut self.share, requests, out);
        }
        // Both requests arrive together, so no list is without the node.
        self.send_unregister(update, out);
        self.send_register(update, out);
        self.relays[update.relay].registrar.register_again();
        ReadNext::Line
    }

    fn send_register(&self, update: &mut RelayUpdate, out: &mut Vec<u8>) {
        let (ip, port) = self.relays[update.relay].registrar.claim;
        let request = Request::Register(ip, port);
        update.requests.send(&request, UpdateRequest::Register, out);
    }

    fn send_unregister(&self, update: &mut RelayUpdate, out: &mut Vec<u8>) {
        let (ip, port) = self.relays[update.relay].registrar.claim;
        let request = Request::Unregister(ip, port);
        update
            .requests
            .send(&request, UpdateRequest::Unregister, out);
    }

    pub(super) fn on_update_end(
        &mut self,
        now: Instant,
        mut update: RelayUpdate,
        reason: &CloseReason,
    ) {
        let relay = &mut self.relays[update.relay];
        match update.state {
            UpdateState::Registering => {
                let event = relay.registrar.on_failure(now, reason);
                self.report(Some(update.relay), event);
            }
            UpdateState::Announcing => {
                relay.announcer.on_close(update.requests.take_tags());
                if relay.announcer.is_outdated(&mut self.share) {
                    relay.registrar.renew_within(now, ANNOUNCE_DELAY);
                }
            }
            UpdateState::Unregistering | UpdateState::Done => {}
        }
    }

    /// Repeats over TCP an update that failed over UDP.
    pub(super) fn repeat_update(
        &mut self,
        context: &mut Context<'_, Self>,
        address: SocketAddr,
        mut update: RelayUpdate,
    ) {
        // A node that stops need not register.
        if self.is_stopping && update.state != UpdateState::Unregistering {
            self.on_update_end(context.now, update, &CloseReason::ReadTimeout);
            return self.unregister_if_stopping(context);
        }
        if update.state == UpdateState::Announcing {
            let announcer = &mut self.relays[update.relay].announcer;
            announcer.on_close(update.requests.take_tags());
            update.state = UpdateState::Registering;
        }
        let update = RelayUpdate::new(update.relay, update.state);
        context.out.dial(address, update.into());
    }
}
