//! A chat: the client listens for messages, sends messages on the same connection,
//! and shows the messages that arrive. One message is outstanding at a time: the
//! user can type the next one when the relay has answered. A chat with nobody in particular
//! listens at all relays, and an answer goes through the relay of the message.

mod lost_relay;

use std::time::{Duration, Instant};

use crate::client::Client;
use crate::client::chat_relay::{ChatRelay, ChatRelayId};
use crate::close_reason::CloseReason;
use crate::jobs::{
    BLANKS, Failure, Listing, PeerSource, PromptKind, Query, TaskResult, User, UserEvent,
};
use crate::protocol::{Delivery, ErrorCode, NodeAddress, Text};
use crate::relay_link::SubscriptionEvent;
use crate::role::{ConnId, Context, Input, Output, ReadNext};

/// A message that was refused as too fast is sent again after this time: every
/// relay allows one message a second.
const SLOW_DOWN: Duration = Duration::from_secs(1);

/// The line that ends a chat.
pub(super) const QUIT: &str = "/quit";

/// A chat.
pub(super) struct Chat {
    /// The relays, until they fail.
    relays: Vec<ChatRelay>,
    /// Whether the user types messages; else there is one message only.
    is_typed: bool,
    /// Where typed messages go, instead of to the last sender.
    to: Option<NodeAddress>,
    /// The message that the relay has not answered, or that is not sent yet.
    pending: Option<PendingMessage>,
    /// The index of the relay that has got it.
    sent_to: Option<usize>,
    resend: Resend,
    /// With the index of the relay.
    last_sender: Option<(NodeAddress, usize)>,
    /// How long to show messages after the last one was sent, and until when.
    wait: Duration,
    deadline: Option<Instant>,
    /// The connection is about to close, and the user knows the reason.
    is_closing: bool,
    result: TaskResult,
    /// Whether messages arrive, or did.
    is_open: bool,
    /// The user can type the next message.
    needs_prompt: bool,
}

/// A message that has no answer yet.
struct PendingMessage {
    query: Query,
    /// The index of the relay through which it goes, if only that one may: an address belongs to
    /// somebody else at another relay.
    relay: Option<usize>,
}

/// Whether the pending message is sent again, because the relay could not take it.
#[derive(PartialEq, Eq)]
enum Resend {
    NotNeeded,
    /// At this time, after the relay has refused it with this code and these words.
    At(Instant, ErrorCode, String),
    /// It was sent again. There is no third time.
    Done,
}

impl Chat {
    /// A chat with `to`, or with the last sender.
    pub(super) fn new(to: Option<NodeAddress>, wait: Duration) -> Self {
        Self {
            relays: Vec::new(),
            is_typed: true,
            to,
            pending: None,
            sent_to: None,
            resend: Resend::NotNeeded,
            last_sender: None,
            wait,
            deadline: None,
            is_closing: false,
            result: TaskResult::Success,
            is_open: false,
            needs_prompt: false,
        }
    }

    /// Sends one message, and shows the messages that arrive in the time `wait`.
    pub(super) fn with_message(to: NodeAddress, text: Text<'static>, wait: Duration) -> Self {
        Self {
            is_typed: false,
            pending: Some(PendingMessage {
                query: Query::Message(to, text),
                relay: None,
            }),
            ..Self::new(None, wait)
        }
    }

    /// The address whose relay must be found first.
    pub(super) fn receiver(&self) -> Option<NodeAddress> {
        match &self.pending {
            Some(PendingMessage {
                query: Query::Message(to, _),
                ..
            }) => Some(*to),
            _ => self.to,
        }
    }

    /// Connects to these relays, at least one; each has its index. No other chat of the client
    /// has this number.
    pub(super) fn start(
        &mut self,
        out: &mut Output<Client>,
        number: u64,
        relays: Vec<(usize, PeerSource)>,
        seed: u64,
    ) {
        let connect = |(relay, source)| {
            let chat = number;
            ChatRelay::connect(out, ChatRelayId { chat, relay }, source, seed)
        };
        self.relays = relays.into_iter().map(connect).collect();
    }

    /// When to call [`Chat::on_timer`].
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let relays = self.relays.iter().filter_map(ChatRelay::next_deadline);
        let next = relays.chain(self.message_deadline()).min();
        next.filter(|_| !self.is_closing)
    }

    /// When a message is sent again, or the wait for messages ends.
    fn message_deadline(&self) -> Option<Instant> {
        match self.resend {
            Resend::At(time, ..) => Some(time),
            Resend::NotNeeded | Resend::Done => self.deadline,
        }
    }

    /// Whether no relay is left.
    pub(super) fn is_over(&self) -> bool {
        self.relays.is_empty()
    }

    pub(super) fn prompt_kind(&self) -> PromptKind {
        PromptKind::Message(self.to)
    }

    /// The worst result since the last call, and whether the user is to be
    /// prompted.
    pub(super) fn take_update(&mut self) -> (TaskResult, bool) {
        let result = std::mem::replace(&mut self.result, TaskResult::Success);
        (result, std::mem::take(&mut self.needs_prompt))
    }

    /// Reads input from a relay.
    pub(super) fn on_input(
        &mut self,
        context: &mut Context<'_, Client>,
        (id, conn): (ChatRelayId, ConnId),
        user: &mut dyn User,
        input: Input<'_>,
    ) -> ReadNext {
        let position = self.position(id).filter(|_| !self.is_closing);
        let Some(position) = position else {
            return ReadNext::Close(CloseReason::Completed);
        };
        let relay = &mut self.relays[position];
        let (next, event) = relay.subscription.on_input(context.out, conn, input);
        match event {
            // The reason is reported when the connection has closed.
            None | Some(SubscriptionEvent::Replaced) => {}
            Some(SubscriptionEvent::Refused(code, text)) => {
                relay.refusal = Some((code, text.into_owned()));
            }
            Some(SubscriptionEvent::Open(address)) => {
                relay.on_open(context.now);
                user.on_event(UserEvent::Listening(address));
                let is_first = !std::mem::replace(&mut self.is_open, true);
                self.needs_prompt |= !self.send_pending(context.out) && is_first;
            }
            Some(SubscriptionEvent::Message(message)) => {
                self.last_sender = Some((message.from, id.relay));
                if !self.on_message(context.out, user, &message) {
                    return ReadNext::Close(CloseReason::Completed);
                }
            }
            Some(SubscriptionEvent::Sent(_)) => self.on_sent(user, context.now),
            Some(SubscriptionEvent::NotSent(
                _,
                code @ (ErrorCode::SLOW_DOWN | ErrorCode::UNAVAILABLE),
                text,
            )) if self.resend == Resend::NotNeeded => {
                self.sent_to = None;
                self.resend = Resend::At(context.now + SLOW_DOWN, code, text.into_owned());
            }
            Some(SubscriptionEvent::NotSent(_, code, text)) => {
                return self.on_not_sent(context.out, user, code, text.into_owned());
            }
        }
        next
    }

    fn position(&self, id: ChatRelayId) -> Option<usize> {
        self.relays.iter().position(|relay| relay.id == id)
    }

    /// Returns false if the message cannot be shown. No other one can, of any relay.
    fn on_message(
        &mut self,
        out: &mut Output<Client>,
        user: &mut dyn User,
        message: &Delivery<'_>,
    ) -> bool {
        let Err(error) = user.show(Listing::Message(message)) else {
            return true;
        };
        self.close(out);
        user.on_event(UserEvent::NotShown(&error));
        self.result = self.result.max(TaskResult::StoreError);
        false
    }

    fn on_sent(&mut self, user: &mut dyn User, now: Instant) {
        (self.pending, self.sent_to) = (None, None);
        self.resend = Resend::NotNeeded;
        if self.is_typed {
            self.needs_prompt = true;
        } else {
            self.start_wait(now);
            let can_be_answered = true;
            user.on_event(UserEvent::MessageSent { can_be_answered });
        }
    }

    fn on_not_sent(
        &mut self,
        out: &mut Output<Client>,
        user: &mut dyn User,
        code: ErrorCode,
        text: String,
    ) -> ReadNext {
        (self.resend, self.sent_to) = (Resend::NotNeeded, None);
        if let Some(message) = self.pending.take() {
            let failure = Failure::Error(code, text);
            user.on_event(UserEvent::RelayFailed(&message.query, &failure));
        }
        self.result = self.result.max(match code {
            ErrorCode::NO_SUCH_NODE => TaskResult::NotFound,
            _ => TaskResult::Relay,
        });
        if self.is_typed {
            self.needs_prompt = true;
            return ReadNext::Line;
        }
        self.close(out);
        ReadNext::Close(CloseReason::Completed)
    }

    /// The user has typed a line.
    pub(super) fn on_line(&mut self, out: &mut Output<Client>, user: &mut dyn User, line: &str) {
        let to = self.to.map(|to| (to, None));
        let last_sender = self.last_sender.map(|(from, relay)| (from, Some(relay)));
        match (line.trim_matches(BLANKS), to.or(last_sender)) {
            ("", _) => {}
            (QUIT, _) => return self.close(out),
            (_, None) => {
                user.on_event(UserEvent::NoRecipient);
                self.result = self.result.max(TaskResult::NotFound);
            }
            (line, Some((to, relay))) => match Text::parse(line) {
                Ok(text) => {
                    let query = Query::Message(to, text.into_owned());
                    if self.open_relay(relay).is_some() {
                        self.pending = Some(PendingMessage { query, relay });
                        self.send_pending(out);
                        return;
                    }
                    user.on_event(UserEvent::RelayFailed(&query, &Failure::RelayLost));
                    self.result = self.result.max(TaskResult::Relay);
                }
                Err(error) => {
                    user.on_event(UserEvent::InvalidCommand(&error.to_string()));
                    self.result = self.result.max(TaskResult::Usage);
                }
            },
        }
        self.needs_prompt = true;
    }

    /// The user will type no more lines.
    pub(super) fn start_wait(&mut self, now: Instant) {
        self.deadline = Some(now + self.wait);
    }

    /// Connects to lost relays again. At the deadline: sends a message again that came too
    /// fast, or ends the wait.
    pub(super) fn on_timer(&mut self, context: &mut Context<'_, Client>, user: &mut dyn User) {
        if self.is_closing {
            return;
        }
        for relay in &mut self.relays {
            relay.dial(context.out, context.now);
        }
        if self.message_deadline().is_none_or(|due| due > context.now) {
            return;
        }
        if let Resend::At(..) = self.resend {
            self.resend = Resend::Done;
            self.send_pending(context.out);
            return;
        }
        if !self.is_typed && self.last_sender.is_none() {
            user.on_event(UserEvent::NoReply(self.wait));
            self.result = self.result.max(TaskResult::NotFound);
        }
        self.close(context.out);
    }

    /// Sends the message that is not sent yet, if a relay that may pass it on is connected.
    /// Returns whether there is a message.
    fn send_pending(&mut self, out: &mut Output<Client>) -> bool {
        let Some(message) = &self.pending else {
            return false;
        };
        let Query::Message(to, text) = &message.query else {
            return false;
        };
        if let Some(position) = self.open_relay(message.relay)
            && self.sent_to.is_none()
        {
            let relay = &mut self.relays[position];
            self.sent_to = Some(relay.id.relay);
            relay.subscription.send(out, *to, text.clone());
        }
        true
    }

    /// A relay that can pass on a message: the one of this index, or any.
    fn open_relay(&self, index: Option<usize>) -> Option<usize> {
        let is_right = |relay: &ChatRelay| index.is_none_or(|index| index == relay.id.relay);
        let mut relays = self.relays.iter();
        relays.position(|relay| relay.is_open() && is_right(relay))
    }

    fn close(&mut self, out: &mut Output<Client>) {
        self.is_closing = true;
        if self.is_open && !self.relays.iter().any(ChatRelay::is_open) {
            // Messages may be lost, and nobody has come back.
            self.result = self.result.max(TaskResult::Relay);
        }
        for relay in &self.relays {
            relay.subscription.close(out, CloseReason::Completed);
        }
        // Nobody waits for a relay that does not answer, unless there is no other.
        if self.is_open {
            self.relays
                .retain(|relay| relay.subscription.is_connected());
        }
    }
}
