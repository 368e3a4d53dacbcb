//! Tells the user what happens.

use crate::node::share::Share;
use crate::node::{Node, NodeEvent, NodeReport};

impl<S: Share> Node<S> {
    /// Reports events, of the relay of this index if they concern one.
    pub(super) fn report<'a>(
        &mut self,
        relay: Option<usize>,
        events: impl IntoIterator<Item = NodeEvent<'a>>,
    ) {
        for event in events {
            let is_named = self.relays.len() > 1 && event.concerns_relay();
            let relay = relay.filter(|_| is_named);
            let report = NodeReport {
                relay: relay.map(|relay| self.relays[relay].registrar.name()),
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
