//! What a chat does when the connection to a relay ends: one that has listened there is made
//! again, with growing pauses.

use std::time::Instant;

use crate::client::Client;
use crate::client::chat::{Chat, Resend};
use crate::client::chat_relay::ChatRelayId;
use crate::close_reason::CloseReason;
use crate::jobs::{Failure, TaskResult, User, UserEvent};
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
        // The relay's last words say more than the end of the connection.
        let refusal = relay.refusal.take();
        let has_words = refusal.is_some();
        let failure = match refusal {
            Some((code, text)) => Failure::Error(code, text),
            None => Failure::Ended(reason),
        };
        if self.is_closing {
            self.relays.remove(position);
            return;
        }
        let is_final = matches!(reason, CloseReason::Replaced) || failure.is_refusal();
        let may_retry = self.is_typed && relay.has_listened && !is_final;
        if !may_retry && !has_words && relay.try_next_address(context.out) {
            return;
        }
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
        relay.retry(now);
        if relay.must_report(failure) {
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
        // A relay that had refused the message may have closed for another reason.
        let refusal = match std::mem::replace(&mut self.resend, Resend::NotNeeded) {
            Resend::At(_, code, text) => Some(Failure::Error(code, text)),
            Resend::NotNeeded | Resend::Done => None,
        };
        let failure = refusal.as_ref().unwrap_or(failure);
        user.on_event(UserEvent::RelayFailed(&message.query, failure));
        self.sent_to = None;
        self.needs_prompt = self.is_typed;
        self.result = self.result.max(TaskResult::Relay);
        true
    }
}
