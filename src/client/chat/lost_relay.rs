//! What a chat does when the connection to a relay ends: one that has listened there is made
//! again, with growing pauses.

use std::time::Instant;

use crate::client::Client;
use crate::client::chat::{Chat, Resend};
use crate::client::chat_relay::ChatRelayId;
use crate::close_reason::CloseReason;
use crate::jobs::{Failure, TaskResult, User, UserEvent};
use crate::protocol::ErrorCode;
use crate::role::Context;

impl Chat {
    /// The connection to a relay has closed, or the dial has failed.
    pub(in crate::client) fn on_close(
        &mut self,
        context: &mut Context<'_, Client>,
        user: &mut dyn User,
        id: ChatRelayId,
        reason: &CloseReason,
    ) {
        let Some(position) = self.position(id) else {
            return;
        };
        let relay = &mut self.relays[position];
        let refusal = relay.refusal.take();
        if self.is_closing {
            self.relays.remove(position);
            return;
        }
        let may_retry =
            self.is_typed && relay.has_listened && !matches!(reason, CloseReason::Replaced);
        if !may_retry && refusal.is_none() && relay.try_next_address(context.out) {
            return;
        }
        // The relay's last words say more than the end of the connection.
        let failure = match (refusal, &self.resend) {
            (Some((code, text)), _) => Failure::Error(code, text),
            (None, Resend::At(_, text)) if self.is_needed(position) => {
                Failure::Error(ErrorCode::SLOW_DOWN, text.clone())
            }
            _ => Failure::Ended(reason),
        };
        match may_retry {
            true => self.reconnect(user, position, &failure, context.now),
            false => self.lose(user, position, &failure),
        }
    }

    /// Whether no other relay can pass on the pending message.
    fn is_needed(&self, position: usize) -> bool {
        let index = Some(self.relays[position].id.relay);
        let relay = self.pending.as_ref().and_then(|message| message.relay);
        let mut others = (0..self.relays.len()).filter(|other| *other != position);
        let has_other = others.any(|other| self.relays[other].next_deadline().is_none());
        !has_other || index == self.sent_to || index == relay
    }

    /// No messages arrive from a relay until there is another connection to it.
    fn reconnect(
        &mut self,
        user: &mut dyn User,
        position: usize,
        failure: &Failure<'_>,
        now: Instant,
    ) {
        let is_affected = self.is_needed(position);
        let has_several = self.relays.len() > 1;
        let relay = &mut self.relays[position];
        let was_open = relay.subscription.address.is_some();
        relay.retry(now);
        if was_open {
            let source = has_several.then_some(&relay.source);
            user.on_event(UserEvent::ListenerLost { source, failure });
        }
        self.fail_pending(user, is_affected, failure);
    }

    /// No more messages arrive from a relay.
    fn lose(&mut self, user: &mut dyn User, position: usize, failure: &Failure<'_>) {
        let is_affected = self.is_needed(position);
        let relay = self.relays.remove(position);
        let is_last = self.relays.is_empty();
        if !is_last {
            let source = &relay.source;
            user.on_event(UserEvent::SourceFailed { source, failure });
        }
        if !self.fail_pending(user, is_affected, failure) && is_last {
            user.on_event(UserEvent::NotListening(failure));
            self.result = self.result.max(TaskResult::Relay);
        }
        self.is_closing = is_last;
        self.needs_prompt &= !is_last;
    }

    /// The pending message, if it `is_affected`, is not sent. Returns whether there was one.
    fn fail_pending(
        &mut self,
        user: &mut dyn User,
        is_affected: bool,
        failure: &Failure<'_>,
    ) -> bool {
        let Some(message) = self.pending.take_if(|_| is_affected) else {
            return false;
        };
        user.on_event(UserEvent::RelayFailed(&message.query, failure));
        (self.resend, self.sent_to) = (Resend::NotNeeded, None);
        self.needs_prompt = self.is_typed;
        self.result = self.result.max(TaskResult::Relay);
        true
    }
}
