//! What node and client need for lasting contact with a relay.

mod backoff;
mod message_subscription;

pub(crate) use backoff::Backoff;
pub(crate) use message_subscription::{MessageSubscription, SubscriptionEvent};
