//! A chat: the client listens for messages, sends messages on the same connection,
//! and shows the messages that arrive. One message is outstanding at a time: the
//! user can type the next one when the relay has answered.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::client::{Client, ClientSession};
use crate::close_reason::CloseReason;
use crate::jobs::{BLANKS, Failure, Listing, PromptKind, Query, TaskResult, User, UserEvent};
use crate::protocol::{Delivery, ErrorCode, NodeAddress, Text};
use crate::relay_link::{Backoff, MessageSubscription, SubscriptionEvent};
use crate::role::{ConnId, Context, Input, Output, ReadNext};

/// A message that was refused as too fast is sent again after this time: every
/// relay allows one message a second.
const SLOW_DOWN: Duration = Duration::from_secs(1);

/// The line that ends a chat.
pub(super) const QUIT: &str = "/quit";

/// A chat.
pub(super) struct Chat {
    /// The index of the relay, and its addresses; unknown until they are set.
    relay_index: usize,
    relay: Backoff,
    subscription: MessageSubscription,
    /// Whether the user types messages; else there is one message only.
    is_typed: bool,
    /// Where typed messages go, instead of to the last sender.
    to: Option<NodeAddress>,
    /// The message that the relay has not answered, or that is not sent yet.
    pending: Option<Query>,
    resend: Resend,
    last_sender: Option<NodeAddress>,
    /// How long to show messages after the last one was sent, and until when.
    wait: Duration,
    deadline: Option<Instant>,
    /// The connection is about to close, and the user knows the reason.
    is_closing: bool,
    result: TaskResult,
    /// The user can type the next message.
    needs_prompt: bool,
}

/// Whether the pending message is sent again, because it came too fast.
#[derive(PartialEq, Eq)]
enum Resend {
    NotNeeded,
    /// At this time, after the relay has refused it with these words.
    At(Instant, String),
    /// It was sent again. There is no third time.
    Done,
}

impl Chat {
    /// A chat with `to`, or with the last sender.
    pub(super) fn new(to: Option<NodeAddress>, wait: Duration) -> Self {
        Self {
            relay_index: 0,
            relay: Backoff::new(Vec::new(), 0),
            subscription: MessageSubscription::new(None),
            is_typed: true,
            to,
            pending: None,
            resend: Resend::NotNeeded,
            last_sender: None,
            wait,
            deadline: None,
            is_closing: false,
            result: TaskResult::Success,
            needs_prompt: false,
        }
    }

    /// Sends one message, and shows the messages that arrive in the time `wait`.
    pub(super) fn with_message(to: NodeAddress, text: Text<'static>, wait: Duration) -> Self {
        Self {
            is_typed: false,
            pending: Some(Query::Message(to, text)),
            ..Self::new(None, wait)
        }
    }

    /// The address whose relay must be found first.
    pub(super) fn receiver(&self) -> Option<NodeAddress> {
        match &self.pending {
            Some(Query::Message(to, _)) => Some(*to),
            _ => self.to,
        }
    }

    /// Connects to the relay of this index, at one of its addresses.
    pub(super) fn start(&mut self, out: &mut Output<Client>, relay: usize, at: Vec<SocketAddr>) {
        (self.relay_index, self.relay) = (relay, Backoff::new(at, 0));
        self.connect(out);
    }

    fn connect(&self, out: &mut Output<Client>) {
        if let Some(address) = self.relay.address() {
            out.dial(
                address,
                ClientSession::MessageSubscription(self.relay_index),
            );
        }
    }

    /// When to call [`Chat::on_timer`].
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        match self.resend {
            _ if self.is_closing => None,
            Resend::At(time, _) => Some(time),
            Resend::NotNeeded | Resend::Done => self.deadline,
        }
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

    /// Reads input from the relay.
    pub(super) fn on_input(
        &mut self,
        context: &mut Context<'_, Client>,
        conn: ConnId,
        user: &mut dyn User,
        input: Input<'_>,
    ) -> ReadNext {
        let (next, event) = self.subscription.on_input(context.out, conn, input);
        match event {
            // The reason is reported when the connection has closed.
            None | Some(SubscriptionEvent::Replaced) => {}
            Some(SubscriptionEvent::Open(address)) => {
                user.on_event(UserEvent::Listening(address));
                self.needs_prompt = !self.send_pending(context.out);
            }
            Some(SubscriptionEvent::Refused(code, text)) => {
                self.fail(user, &Failure::Error(code, text.into_owned()));
            }
            Some(SubscriptionEvent::Message(message)) => {
                if !self.on_message(user, &message) {
                    return ReadNext::Close(CloseReason::Completed);
                }
            }
            Some(SubscriptionEvent::Sent(_)) => self.on_sent(user, context.now),
            Some(SubscriptionEvent::NotSent(_, ErrorCode::SLOW_DOWN, text))
                if self.resend == Resend::NotNeeded =>
            {
                self.resend = Resend::At(context.now + SLOW_DOWN, text.into_owned());
            }
            Some(SubscriptionEvent::NotSent(_, code, text)) => {
                return self.on_not_sent(user, code, text.into_owned());
            }
        }
        next
    }

    /// Returns false if the message cannot be shown.
    fn on_message(&mut self, user: &mut dyn User, message: &Delivery<'_>) -> bool {
        self.last_sender = Some(message.from);
        let Err(error) = user.show(Listing::Message(message)) else {
            return true;
        };
        self.is_closing = true;
        if !error.is_reader_gone {
            user.on_event(UserEvent::NotShown(&error));
            self.result = self.result.max(TaskResult::StoreError);
        }
        false
    }

    fn on_sent(&mut self, user: &mut dyn User, now: Instant) {
        self.pending = None;
        self.resend = Resend::NotNeeded;
        if self.is_typed {
            self.needs_prompt = true;
        } else {
            self.start_wait(now);
            let can_be_answered = true;
            user.on_event(UserEvent::MessageSent { can_be_answered });
        }
    }

    fn on_not_sent(&mut self, user: &mut dyn User, code: ErrorCode, text: String) -> ReadNext {
        self.resend = Resend::NotNeeded;
        if let Some(query) = self.pending.take() {
            let failure = Failure::Error(code, text);
            user.on_event(UserEvent::RelayFailed(&query, &failure));
        }
        self.result = self.result.max(match code {
            ErrorCode::NO_SUCH_NODE => TaskResult::NotFound,
            _ => TaskResult::Relay,
        });
        if self.is_typed {
            self.needs_prompt = true;
            return ReadNext::Line;
        }
        self.is_closing = true;
        ReadNext::Close(CloseReason::Completed)
    }

    /// The connection has closed, or the dial has failed. Returns whether the chat
    /// is over.
    pub(super) fn on_close(
        &mut self,
        out: &mut Output<Client>,
        user: &mut dyn User,
        reason: &CloseReason,
    ) -> bool {
        if self.is_closing {
            return true;
        }
        if self.subscription.address.is_none() && self.relay.on_failure().is_zero() {
            self.subscription = MessageSubscription::new(None);
            self.connect(out);
            return false;
        }
        // The relay's last words say more than the end of the connection.
        let failure = match std::mem::replace(&mut self.resend, Resend::Done) {
            Resend::At(_, text) => Failure::Error(ErrorCode::SLOW_DOWN, text),
            Resend::NotNeeded | Resend::Done => Failure::Ended(reason),
        };
        self.fail(user, &failure);
        true
    }

    fn fail(&mut self, user: &mut dyn User, failure: &Failure<'_>) {
        self.is_closing = true;
        user.on_event(match &self.pending {
            Some(query) => UserEvent::RelayFailed(query, failure),
            None => UserEvent::NotListening(failure),
        });
        self.result = self.result.max(TaskResult::Relay);
    }

    /// The user has typed a line.
    pub(super) fn on_line(&mut self, out: &mut Output<Client>, user: &mut dyn User, line: &str) {
        match (line.trim_matches(BLANKS), self.to.or(self.last_sender)) {
            ("", _) => {}
            (QUIT, _) => return self.close(out),
            (_, None) => {
                user.on_event(UserEvent::NoRecipient);
                self.result = self.result.max(TaskResult::NotFound);
            }
            (line, Some(to)) => match Text::parse(line) {
                Ok(text) => {
                    self.pending = Some(Query::Message(to, text.into_owned()));
                    // Without a connection, its end is reported.
                    self.send_pending(out);
                    return;
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

    /// At the deadline: sends a message again that came too fast, or ends the wait.
    pub(super) fn on_timer(&mut self, context: &mut Context<'_, Client>, user: &mut dyn User) {
        if self.next_deadline().is_none_or(|due| due > context.now) {
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

    /// Returns false if there is nothing to send.
    fn send_pending(&mut self, out: &mut Output<Client>) -> bool {
        let Some(Query::Message(to, text)) = &self.pending else {
            return false;
        };
        self.subscription.send(out, *to, text.clone());
        true
    }

    fn close(&mut self, out: &mut Output<Client>) {
        self.is_closing = true;
        self.subscription.close(out, CloseReason::Completed);
    }
}
