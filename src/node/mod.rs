//! The node: serves the files of a share, keeps itself registered with the relay and
//! announces its files there. Optionally it receives messages and has a console.

mod announcer;
mod console;
mod event;
mod http;
mod message_listener;
mod registrar;
mod relay_record;
mod relay_update;
mod requests;
mod session;
mod share;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub use announcer::Announcer;
pub use console::{Console, HELP};
pub use event::NodeEvent;
pub use registrar::Registrar;
pub use relay_update::{RelayUpdate, UpdateRequest};
pub use session::NodeSession;
pub use share::{
    ComputedValues, FileContent, FileRevision, ListedFile, MAX_SMALL, Share, ShareTotals,
    SmallContent, Unavailable,
};

use crate::close_reason::{CloseReason, ResourceLimit};
use crate::jobs;
use crate::node::message_listener::MessageListener;
use crate::node::relay_update::UpdateState;
use crate::protocol::{ContentHash, NodeAddress, Text};
use crate::role::{ConnId, ConnectionInfo, Context, Input, LastRequest, ReadNext, Role, UdpPeer};
use crate::session::ServerSession;
use crate::session::connector::Connector;
use crate::session::http::HttpSettings;
use crate::session::line_codec::RenderedList;
use crate::session::server;
use crate::session::udp_requests::{UdpOutcome, UdpRequests};

/// Changes during an update are announced this long after the update.
const ANNOUNCE_DELAY: Duration = Duration::from_secs(1);

/// The role of the node.
pub struct Node<S: Share> {
    share: S,
    registrar: Registrar,
    announcer: Announcer,
    /// Updates and queries over UDP. Without routes the node uses only TCP.
    pub udp: UdpRequests<NodeSession>,
    /// Set if the node receives messages.
    listener: Option<MessageListener>,
    /// Set if the node has a console.
    pub console: Option<Console>,
    /// Reports an event to the user.
    on_event: Box<dyn FnMut(&NodeEvent<'_>)>,
    /// How requests in HTTP are answered.
    pub http: HttpSettings,
    max_unknown: u16,
    started: Instant,
    /// The number of `GET` and `RANGE` requests, and of those whose file was found.
    gets: u64,
    gets_found: u64,
    /// The last reply to `PIECES`. Connections that have not read it share it.
    rendered_pieces: Option<(ContentHash, RenderedList)>,
}

/// A message of another thread.
pub enum NodeMessage<U> {
    /// A result about the share.
    ShareUpdate(U),
    /// An event of the terminal.
    Terminal(jobs::TerminalEvent),
    /// An answer to a message, made by a program.
    Answer(NodeAddress, Text<'static>),
    /// The addresses of the relay, which may have changed.
    RelayAddresses(Vec<SocketAddr>),
}

impl<U> From<jobs::TerminalEvent> for NodeMessage<U> {
    fn from(event: jobs::TerminalEvent) -> Self {
        Self::Terminal(event)
    }
}

impl<S: Share> Node<S> {
    /// A node that serves `share` from `now` on, over TCP only, without messages and
    /// without a console.
    #[must_use]
    pub fn new(
        share: S,
        registrar: Registrar,
        max_unknown: u16,
        now: Instant,
        on_event: impl FnMut(&NodeEvent<'_>) + 'static,
    ) -> Self {
        Self {
            share,
            registrar,
            announcer: Announcer::default(),
            udp: UdpRequests::default(),
            listener: None,
            console: None,
            on_event: Box::new(on_event),
            http: HttpSettings::default(),
            max_unknown,
            started: now,
            gets: 0,
            gets_found: 0,
            rendered_pieces: None,
        }
    }

    /// Receives the messages that are sent to the node's address.
    pub fn receive_messages(&mut self, seed: u64) {
        let relay = self.registrar.relay().to_vec();
        let listener = MessageListener::new(relay, self.registrar.claim, seed);
        self.listener = Some(listener);
    }

    /// Sends a message from the node's address.
    fn send_message(
        &mut self,
        context: &mut Context<'_, Self>,
        to: NodeAddress,
        text: Text<'static>,
    ) {
        let listener = self.listener.as_mut();
        if listener.is_none_or(|listener| !listener.send(context.out, to, text)) {
            let reason = "no messages arrive here".into();
            self.report([NodeEvent::MessageNotSent(to, reason)]);
        }
    }

    /// Sends a message that answers another one without a person.
    fn send_answer(
        &mut self,
        context: &mut Context<'_, Self>,
        to: NodeAddress,
        text: Text<'static>,
    ) {
        let listener = self.listener.as_mut();
        if listener.is_none_or(|listener| !listener.send_answer(context.out, to, text)) {
            let reason = "no messages arrive here".into();
            self.report([NodeEvent::AnswerNotSent(to, reason)]);
        }
    }

    fn report<'a>(&mut self, events: impl IntoIterator<Item = NodeEvent<'a>>) {
        for event in events {
            (self.on_event)(&event);
            // The `send` of the console is complete: prompt again.
            if let (NodeEvent::MessageSent(_) | NodeEvent::MessageNotSent(..), Some(console)) =
                (event, &mut self.console)
            {
                console.prompt();
            }
        }
    }

    /// Unregisters a stopping node once none of its own REGISTER requests is unanswered.
    fn unregister_if_stopping(&mut self, context: &mut Context<'_, Self>) {
        if !self.registrar.is_stopping {
            return;
        }
        let listener = self.listener.as_mut();
        let is_registering = listener.is_some_and(|listener| !listener.stop(context.out));
        if !is_registering && let Some(relay) = self.registrar.dial_to_unregister() {
            self.start_update(context, relay, UpdateState::Unregistering);
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
                UdpOutcome::FallBack(relay, NodeSession::RelayUpdate(update)) => {
                    self.repeat_update(context, relay, *update);
                }
                UdpOutcome::FallBack(relay, session) => context.out.dial(relay, session),
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
            (NodeSession::Client(session, _, task), _) if input.is_http() || task.is_some() => {
                self.on_http_input(context, (conn, peer), session, task, input)
            }
            (NodeSession::Client(session, last_listed, _), _) => {
                self.on_client_input(context, (conn, peer), session, last_listed, input)
            }
            (NodeSession::RelayUpdate(update), _) => {
                self.on_relay_input(context.now, update, input, context.out.append_reply(conn))
            }
            (NodeSession::Messages, _) => {
                let Some(listener) = &mut self.listener else {
                    return ReadNext::Close(CloseReason::Completed);
                };
                let (next, event) = listener.on_input(context.out, context.now, conn, input);
                // Messages do not matter to a node that stops.
                self.report(event.filter(|_| !self.registrar.is_stopping));
                self.unregister_if_stopping(context);
                next
            }
            (NodeSession::Job(session), Some(console)) => {
                let mut connector = Connector::new(context, &mut self.udp);
                console.on_input(&mut connector, conn, session, input)
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

    fn last_request(session: &NodeSession) -> Option<LastRequest<'_>> {
        session.last_request()
    }

    fn carries_content(session: &NodeSession) -> bool {
        session.carries_content()
    }

    fn leads_to_relay(session: &NodeSession) -> bool {
        match session {
            NodeSession::Client(..) => false,
            NodeSession::RelayUpdate(_) | NodeSession::Messages => true,
            NodeSession::Job(connection) => connection.leads_to_relay(),
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
                return console.on_close(&mut connector, *session, reason);
            }
            (NodeSession::RelayUpdate(update), _) => {
                self.on_update_end(context.now, *update, reason);
            }
            (NodeSession::Messages, _) => {
                let listener = self.listener.as_mut();
                let events = listener.map(|listener| listener.on_close(context.now, reason));
                if !self.registrar.is_stopping {
                    self.report(events.unwrap_or_default());
                }
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
                    self.registrar.renew_within(context.now, delay);
                }
            }
            NodeMessage::Terminal(event) => self.on_terminal_event(context, event),
            NodeMessage::Answer(to, text) => self.send_answer(context, to, text),
            NodeMessage::RelayAddresses(relay) => {
                self.registrar.set_relay(&relay);
                if let Some(listener) = &mut self.listener {
                    listener.set_relay(&relay);
                }
                if let Some(console) = &mut self.console {
                    console.jobs.set_addresses(0, relay);
                }
            }
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let listener = self.listener.as_ref();
        let listener = listener.and_then(MessageListener::next_deadline);
        let (registrar, udp) = (self.registrar.next_deadline(), self.udp.next_deadline());
        let console = self.console.as_ref();
        let jobs = console.and_then(|console| console.jobs.next_deadline());
        [registrar, listener, udp, jobs].into_iter().flatten().min()
    }

    fn on_timer(&mut self, context: &mut Context<'_, Self>) {
        if let Some(relay) = self.registrar.dial(context.now) {
            self.start_update(context, relay, UpdateState::Registering);
        }
        if let Some(console) = &mut self.console {
            let mut connector = Connector::new(context, &mut self.udp);
            console.on_timer(&mut connector);
        }
        let outcomes = self.udp.on_timer(context.out, context.now);
        self.on_udp_outcomes(context, outcomes);
        let listener = self.listener.as_mut();
        if let Some(relay) = listener.and_then(|listener| listener.dial(context.now)) {
            context.out.dial(relay, NodeSession::Messages);
        }
    }

    fn on_external_event(&mut self, context: &mut Context<'_, Self>) {
        if let Some(delay) = self.share.on_external_event() {
            self.registrar.renew_within(context.now, delay);
        }
    }

    fn drain(&mut self, context: &mut Context<'_, Self>) {
        if let Some(console) = &mut self.console {
            console.stop(context);
        }
        self.registrar.stop();
        self.unregister_if_stopping(context);
    }
}
