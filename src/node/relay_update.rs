//! Updates of the relay: a connection, or a series of datagrams, that registers the
//! node and then announces its files, or that unregisters the node.

use std::net::SocketAddr;
use std::time::Instant;

use crate::close_reason::CloseReason;
use crate::node::event::relay_error;
use crate::node::relay_record::FileVersion;
use crate::node::share::Share;
use crate::node::{ANNOUNCE_DELAY, Node, NodeEvent};
use crate::protocol::{Registered, Reply, Request};
use crate::role::{Context, Input, ReadNext};
use crate::session::connector::Connector;
use crate::session::requests::{RequestQueue, ResponsePart};

/// One update of the relay.
#[derive(Debug)]
pub struct RelayUpdate {
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

/// A request of an update.
#[derive(Debug)]
pub enum UpdateRequest {
    /// `REGISTER`
    Register,
    /// `UNREGISTER`
    Unregister,
    /// `SHARE`: a new or changed file.
    Share(Box<str>, FileVersion),
    /// `SHAREDIGEST`: the digest of a file that is announced before it.
    ShareDigest(Box<str>),
    /// `UNSHARE`: a removed file.
    Unshare(Box<str>),
}

impl RelayUpdate {
    fn new(state: UpdateState) -> Self {
        let requests = RequestQueue::default();
        Self { state, requests }
    }
}

impl<S: Share> Node<S> {
    /// Starts an update, which is to register the node or to unregister it.
    pub(super) fn start_update(
        &mut self,
        context: &mut Context<'_, Self>,
        relay: SocketAddr,
        state: UpdateState,
    ) {
        let update = RelayUpdate::new(state);
        let mut udp = std::mem::take(&mut self.udp);
        let mut connector = Connector::new(context, &mut udp);
        let now = connector.now;
        connector.request(relay, update, |update, out| {
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
                    self.report([NodeEvent::Unregistered]);
                }
                // Otherwise the relay has removed the node, or will when the lease expires.
                ReadNext::Close(CloseReason::Completed)
            }
            // An error means that the relay has no record of the node.
            (UpdateRequest::Unregister, _) => {
                self.announcer.on_record_reset();
                ReadNext::Line
            }
            (UpdateRequest::Register, Reply::Error(code, text)) => {
                update.state = UpdateState::Done;
                let event = self.registrar.on_refusal(now, relay_error(code, &text));
                self.report(event);
                ReadNext::Close(CloseReason::Completed)
            }
            (UpdateRequest::Register, Reply::Ok(text)) => match Registered::parse(&text) {
                Ok(registered) => self.on_registered(now, update, registered, out),
                Err(_) => ReadNext::Close(CloseReason::ProtocolError),
            },
            (UpdateRequest::Register, _) => ReadNext::Close(CloseReason::ProtocolError),
            (_, _) if self.registrar.is_stopping => ReadNext::Close(CloseReason::Completed),
            (change, reply) => {
                let requests = &mut update.requests;
                self.announcer
                    .on_reply(&mut self.share, change, reply, requests, out)
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
        let event = self.registrar.on_registered(now, registered);
        if event.is_some() {
            if let Some(listener) = &mut self.listener {
                listener.enable(now);
            }
            if let Some(console) = &mut self.console {
                console.jobs.set_own_address(registered.address);
            }
        }
        self.report(event);
        if self.registrar.is_stopping || self.announcer.is_busy() {
            update.state = UpdateState::Done;
            return ReadNext::Close(CloseReason::Completed);
        }
        if !self.announcer.compare_record(&registered) {
            update.state = UpdateState::Announcing;
            let requests = &mut update.requests;
            return self.announcer.start(&mut self.share, requests, out);
        }
        // Both requests arrive together, so no list is without the node.
        self.send_unregister(update, out);
        self.send_register(update, out);
        self.registrar.register_again();
        ReadNext::Line
    }

    fn send_register(&self, update: &mut RelayUpdate, out: &mut Vec<u8>) {
        let (ip, port) = self.registrar.claim;
        let request = Request::Register(ip, port);
        update.requests.send(&request, UpdateRequest::Register, out);
    }

    fn send_unregister(&self, update: &mut RelayUpdate, out: &mut Vec<u8>) {
        let (ip, port) = self.registrar.claim;
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
        match update.state {
            UpdateState::Registering => {
                let event = self.registrar.on_failure(now, reason);
                self.report(event);
            }
            UpdateState::Announcing => {
                self.announcer.on_close(update.requests.take_tags());
                if self.announcer.is_outdated(&mut self.share) {
                    self.registrar.renew_within(now, ANNOUNCE_DELAY);
                }
            }
            UpdateState::Unregistering | UpdateState::Done => {}
        }
    }

    /// Repeats over TCP an update that failed over UDP.
    pub(super) fn repeat_update(
        &mut self,
        context: &mut Context<'_, Self>,
        relay: SocketAddr,
        mut update: RelayUpdate,
    ) {
        // A node that stops need not register.
        if self.registrar.is_stopping && update.state != UpdateState::Unregistering {
            self.on_update_end(context.now, update, &CloseReason::ReadTimeout);
            return self.unregister_if_stopping(context);
        }
        if update.state == UpdateState::Announcing {
            self.announcer.on_close(update.requests.take_tags());
            update.state = UpdateState::Registering;
        }
        context
            .out
            .dial(relay, RelayUpdate::new(update.state).into());
    }
}
