//! The node: serves the files of a share, keeps itself registered with its relays and
//! announces its files there. Optionally it receives messages and has a console.

mod announcer;
mod console;
mod console_gets;
mod event;
mod http;
mod message_listener;
mod messages;
mod node_message;
mod partial;
mod refused_files;
mod registrar;
mod relay_contact;
mod relay_record;
mod relay_update;
mod report;
mod requests;
mod session;
mod share;
mod update_request;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use announcer::Announcer;
pub use console::{Console, HELP};
pub use event::{NodeEvent, NodeReport};
pub use node_message::NodeMessage;
pub use registrar::Registrar;
pub use relay_update::{ChooseAddresses, RelayUpdate};
pub use session::NodeSession;
pub use share::{
    ComputedValues, FileContent, FileRevision, ListedFile, MAX_SMALL, Share, ShareTotals,
    SmallContent, Unavailable,
};
pub use update_request::UpdateRequest;

use crate::close_reason::{CloseReason, ResourceLimit};
use crate::jobs::PeerSource;
use crate::node::relay_contact::RelayContact;
use crate::node::relay_update::UpdateState;
use crate::protocol::{ContentHash, NodeAddress, ServerKind};
use crate::role::{
    ConnId, ConnectionInfo, Context, Input, LastRequest, PeerTls, ReadNext, Role, UdpPeer,
};
use crate::session::connector::Connector;
use crate::session::http::HttpSettings;
use crate::session::line_codec::RenderedList;
use crate::session::server;
use crate::session::udp_requests::{UdpOutcome, UdpRequests};
use crate::session::{AccessControl, AccessSettings, ServerSession};
use crate::tls::{Certificates, ConnectionSecurity, KeyId};

/// Changes during an update are announced this long after the update.
const ANNOUNCE_DELAY: Duration = Duration::from_secs(1);

/// The role of the node.
pub struct Node<S: Share> {
    share: S,
    /// In the order of the user. A relay has its index there.
    relays: Vec<RelayContact>,
    /// Updates and queries over UDP. Without routes the node uses only TCP.
    pub udp: UdpRequests<NodeSession>,
    /// Called before each registration, if the local addresses may change.
    pub choose_addresses: Option<ChooseAddresses>,
    /// No registration starts any more.
    is_stopping: bool,
    /// The relay that brought the last message, and its sender.
    last_sender: Option<(usize, NodeAddress)>,
    /// Set if the node has a console.
    pub console: Option<Console>,
    /// Reports an event to the user.
    on_event: Box<dyn FnMut(&NodeReport<'_>)>,
    /// Who the node is, if it speaks TLS.
    pub certificates: Option<Arc<Certificates>>,
    /// How requests in HTTP are answered.
    pub http: HttpSettings,
    /// Who may fetch files.
    pub access: AccessControl,
    max_unknown: u16,
    started: Instant,
    /// The number of `GET` and `RANGE` requests, and of those whose file was found.
    gets: u64,
    gets_found: u64,
    /// The last reply to `PIECES`. Connections that have not read it share it.
    rendered_pieces: Option<(ContentHash, RenderedList)>,
    /// The last value of [`crate::jobs::JobRunner::partial_revision`].
    partial_revision: u64,
}

impl<S: Share> Node<S> {
    /// A node that serves `share` from `now` on, over TCP only, without messages and
    /// without a console. It has one of `registrars` for each of its relays.
    #[must_use]
    pub fn new(
        share: S,
        registrars: Vec<Registrar>,
        max_unknown: u16,
        now: Instant,
        on_event: impl FnMut(&NodeReport<'_>) + 'static,
    ) -> Self {
        Self {
            share,
            relays: registrars.into_iter().map(RelayContact::new).collect(),
            udp: UdpRequests::default(),
            choose_addresses: None,
            is_stopping: false,
            last_sender: None,
            console: None,
            on_event: Box::new(on_event),
            certificates: None,
            http: HttpSettings::default(),
            access: AccessControl::new(ServerKind::Node, &AccessSettings::default(), now),
            max_unknown,
            started: now,
            gets: 0,
            gets_found: 0,
            rendered_pieces: None,
            partial_revision: 0,
        }
    }

    /// Registers with one more relay. `seed` is for its pauses.
    fn add_relay(&mut self, relay: PeerSource, seed: u64, now: Instant) {
        let Some(first) = self.relays.first().filter(|_| !self.is_stopping) else {
            return;
        };
        let (ip, port) = first.registrar.claim;
        let registrar = Registrar::new(relay.addresses.clone(), ip, port, seed, now);
        let mut contact = RelayContact::new(registrar.named(&relay.name));
        if self.receives_messages() {
            contact.receive_messages(seed.wrapping_add(1));
        }
        self.relays.push(contact);
        if let Some(console) = &mut self.console {
            console.jobs.add_sources(vec![relay]);
        }
    }

    /// The id of the node, if it speaks TLS.
    fn id(&self) -> Option<KeyId> {
        Some(self.certificates.as_ref()?.id())
    }

    /// The share will have changes to announce within `delay`.
    fn renew_within(&mut self, now: Instant, delay: Duration) {
        for relay in &mut self.relays {
            relay.registrar.renew_within(now, delay);
        }
    }

    /// Unregisters a stopping node from each relay from which none of its own REGISTER requests
    /// is unanswered.
    fn unregister_if_stopping(&mut self, context: &mut Context<'_, Self>) {
        if !self.is_stopping {
            return;
        }
        for relay in 0..self.relays.len() {
            let contact = &mut self.relays[relay];
            let listener = contact.listener.as_mut();
            let is_registering = listener.is_some_and(|listener| !listener.stop(context.out));
            if !is_registering && let Some(address) = contact.registrar.dial_to_unregister() {
                self.start_update(context, (relay, address), UpdateState::Unregistering);
            }
        }
    }

    fn on_udp_outcomes(
        &mut self,
        context: &mut Context<'_, Self>,
        outcomes: impl IntoIterator<Item = UdpOutcome<NodeSession>>,
    ) {
        for outcome in outcomes {
            match outcome {
                UdpOutcome::Ended(session, reason) => self.on_close(context, session, &reason),
                UdpOutcome::FallBack(address, NodeSession::RelayUpdate(update)) => {
                    self.repeat_update(context, address, *update);
                }
                UdpOutcome::FallBack(address, session) => context.out.dial(address, session),
            }
        }
    }
}

impl<S: Share> Role for Node<S> {
    type Session = NodeSession;
    type File = S::File;
    type Message = NodeMessage<S::Update>;

    fn start(&mut self, context: &mut Context<'_, Self>) {
        self.on_timer(context);
        if let Some(console) = &mut self.console {
            console.prompt();
        }
    }

    fn on_accept(&mut self, _: SocketAddr) -> NodeSession {
        NodeSession::Client(ServerSession::default(), None, None)
    }

    fn on_encrypted(&mut self, session: &mut NodeSession, security: ConnectionSecurity) {
        session.on_encrypted(security);
    }

    fn on_refuse(&self, full: ResourceLimit, text: &mut Vec<u8>) {
        server::refuse(text, full);
    }

    fn on_input(
        &mut self,
        context: &mut Context<'_, Self>,
        conn: ConnId,
        peer: SocketAddr,
        session: &mut NodeSession,
        input: Input<'_>,
    ) -> ReadNext {
        match (session, &mut self.console) {
            (NodeSession::Client(session, last_listed, task), _) => {
                let next = if input.is_http() || task.is_some() {
                    self.on_http_input(context, (conn, peer), session, task, input)
                } else {
                    self.on_client_input(context, (conn, peer), session, last_listed, input)
                };
                context.out.add_work(self.share.take_work());
                next
            }
            (NodeSession::RelayUpdate(update), _) => {
                self.on_relay_input(context.now, update, input, context.out.append_reply(conn))
            }
            (NodeSession::Messages(relay), _) => {
                self.on_messages_input(context, *relay, conn, input)
            }
            (NodeSession::Job(session), Some(console)) => {
                let mut connector = Connector::new(context, &mut self.udp);
                let next = console.on_input(&mut connector, conn, session, input);
                self.list_partial_files(context.now);
                next
            }
            (NodeSession::Job(_), None) => ReadNext::Close(CloseReason::Completed),
        }
    }

    fn write_connections(
        &self,
        session: &NodeSession,
        total: u64,
        connections: &[ConnectionInfo],
        text: &mut Vec<u8>,
    ) {
        session.write_connections(total, connections, text);
    }

    fn on_connections(
        &mut self,
        _: &mut Context<'_, Self>,
        total: u64,
        connections: &[ConnectionInfo],
    ) {
        if let Some(console) = &mut self.console {
            console.list_connections(total, connections);
        }
    }

    fn last_request(session: &NodeSession) -> Option<LastRequest<'_>> {
        session.last_request()
    }

    fn carries_content(session: &NodeSession) -> bool {
        session.carries_content()
    }

    fn peer_tls(session: &NodeSession) -> PeerTls {
        match session {
            NodeSession::Client(..) => PeerTls::Plain,
            NodeSession::RelayUpdate(update) => PeerTls::Configured(update.relay()),
            NodeSession::Messages(relay) => PeerTls::Configured(*relay),
            NodeSession::Job(connection) => connection.tls,
        }
    }

    fn on_close(
        &mut self,
        context: &mut Context<'_, Self>,
        session: NodeSession,
        reason: &CloseReason,
    ) {
        match (session, &mut self.console) {
            (NodeSession::Client(..), _) | (NodeSession::Job(_), None) => return,
            (NodeSession::Job(session), Some(console)) => {
                let mut connector = Connector::new(context, &mut self.udp);
                console.on_close(&mut connector, *session, reason);
                return self.list_partial_files(context.now);
            }
            (NodeSession::RelayUpdate(update), _) => {
                self.on_update_end(context.now, *update, reason);
            }
            (NodeSession::Messages(relay), _) => {
                self.on_messages_close(context.now, relay, reason);
            }
        }
        self.unregister_if_stopping(context);
    }

    fn on_datagram(&mut self, context: &mut Context<'_, Self>, from: UdpPeer, bytes: &[u8]) {
        let mut udp = std::mem::take(&mut self.udp);
        let (out, now) = (&mut *context.out, context.now);
        let outcome = udp.on_datagram(out, now, from, bytes, |session, line, more| {
            let input = Input::Line(line);
            match (session, &mut self.console) {
                (NodeSession::RelayUpdate(update), _) => {
                    self.on_relay_input(now, update, input, more)
                }
                (NodeSession::Job(session), Some(console)) => {
                    console.jobs.on_relay_input(session, input, more)
                }
                (_, _) => ReadNext::Close(CloseReason::Completed),
            }
        });
        self.udp = udp;
        self.on_udp_outcomes(context, outcome);
    }

    fn on_udp_unreachable(&mut self, context: &mut Context<'_, Self>, socket: u32) {
        let outcomes = self.udp.on_unreachable(socket);
        self.on_udp_outcomes(context, outcomes);
    }

    fn has_open_requests(&self) -> bool {
        !self.udp.is_empty()
    }

    fn on_message(&mut self, context: &mut Context<'_, Self>, message: NodeMessage<S::Update>) {
        match message {
            NodeMessage::ShareUpdate(update) => {
                if let Some(delay) = self.share.on_message(update) {
                    self.renew_within(context.now, delay);
                }
            }
            NodeMessage::Terminal(event) => {
                self.on_terminal_event(context, event);
                self.list_partial_files(context.now);
            }
            NodeMessage::Answer(relay, to, text) => {
                self.send_answer(context, (relay, to), text, true);
            }
            NodeMessage::RelayFound(relay, seed) => self.add_relay(relay, seed, context.now),
            NodeMessage::RelayAddresses(relay, addresses) => {
                if let Some(contact) = self.relays.get_mut(relay) {
                    contact.set_addresses(&addresses, context.now);
                }
                if let Some(console) = &mut self.console {
                    console.jobs.set_addresses(relay, addresses);
                }
            }
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let relays = self.relays.iter().filter_map(RelayContact::next_deadline);
        let console = self.console.as_ref();
        let jobs = console.and_then(|console| console.jobs.next_deadline());
        relays.chain(self.udp.next_deadline()).chain(jobs).min()
    }

    fn on_timer(&mut self, context: &mut Context<'_, Self>) {
        self.register_if_due(context);
        if let Some(console) = &mut self.console {
            let mut connector = Connector::new(context, &mut self.udp);
            console.on_timer(&mut connector);
            self.list_partial_files(context.now);
        }
        let outcomes = self.udp.on_timer(context.out, context.now);
        self.on_udp_outcomes(context, outcomes);
        self.listen_if_due(context);
    }

    fn on_external_event(&mut self, context: &mut Context<'_, Self>) {
        if let Some(delay) = self.share.on_external_event() {
            self.renew_within(context.now, delay);
        }
    }

    fn drain(&mut self, context: &mut Context<'_, Self>) {
        if let Some(console) = &mut self.console {
            console.stop(context);
        }
        self.is_stopping = true;
        for relay in &mut self.relays {
            relay.registrar.stop();
        }
        self.unregister_if_stopping(context);
    }
}
