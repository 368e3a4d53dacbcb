//! Tells the user what happens.

use crate::node::share::Share;
use crate::node::{Node, NodeEvent, NodeReport};

impl<S: Share> Node<S> {
    /// Reports events, of the relay of this index if one has caused them.
    pub(super) fn report<'a>(
        &mut self,
        relay: Option<usize>,
        events: impl IntoIterator<Item = NodeEvent<'a>>,
    ) {
        for event in events {
            let is_named = self.relays.len() > 1 && event.concerns_relay();
            let named = relay.filter(|_| is_named);
            let report = NodeReport {
                relay: named.map(|relay| self.relays[relay].registrar.name()),
                relay_index: relay,
                event,
            };
            (self.on_event)(&report);
            // The `send` of the console is complete: prompt again.
            if let (NodeEvent::MessageSent(_) | NodeEvent::MessageNotSent(..), Some(console)) =
                (report.event, &mut self.console)
            {
                console.prompt();
            }
        }
    }
}
