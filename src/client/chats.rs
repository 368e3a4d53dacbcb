//! The chat of a client: its start, and its end.

use crate::client::Client;
use crate::client::chat::Chat;
use crate::client::chat_relay::ChatRelayId;
use crate::close_reason::CloseReason;
use crate::jobs::{Failure, Job, TaskResult, UserEvent};
use crate::role::Context;

impl Client {
    /// Starts a chat through the relay where the receiver is found, or else at all relays.
    pub(super) fn start_chat(&mut self, context: &mut Context<'_, Self>, chat: Chat) {
        let receiver = chat.receiver();
        self.next_chat = Some(chat.into());
        match receiver {
            Some(to) if self.jobs.has_several_sources() => {
                self.start_job(context, Job::FindRelay(to));
            }
            _ => self.start_next_chat(context, None),
        }
    }

    /// Starts the chat that waits, through the relay of this index or through all.
    pub(super) fn start_next_chat(
        &mut self,
        context: &mut Context<'_, Self>,
        relay: Option<usize>,
    ) {
        let Some(chat) = self.next_chat.take() else {
            return;
        };
        let mut relays = self.jobs.relays();
        relays.retain(|(index, _)| relay.is_none_or(|relay| relay == *index));
        if relays.is_empty() {
            let event = UserEvent::NotListening(&Failure::NoRelay);
            self.jobs.user().on_event(event);
            return self.on_result(context, TaskResult::Relay);
        }
        self.chats += 1;
        let (number, seed) = (self.chats, self.seed);
        self.chat
            .insert(chat)
            .start(context.out, number, relays, seed);
    }

    /// A connection of the chat has closed.
    pub(super) fn on_chat_close(
        &mut self,
        context: &mut Context<'_, Self>,
        id: ChatRelayId,
        reason: &CloseReason,
    ) {
        let Some(chat) = &mut self.chat else {
            return;
        };
        chat.on_close(context, self.jobs.user(), id, reason);
        self.after_chat_event(context);
    }

    /// Takes what has changed for the user, and whether the chat is over.
    pub(super) fn after_chat_event(&mut self, context: &mut Context<'_, Self>) {
        let Some(chat) = &mut self.chat else {
            return;
        };
        let (result, needs_prompt) = chat.take_update();
        self.result = self.result.max(result);
        if chat.is_over() {
            self.chat = None;
            self.on_result(context, TaskResult::Success);
        } else if needs_prompt {
            self.prompt();
        }
    }
}
