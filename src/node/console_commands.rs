//! Does what is typed at the console and concerns the node itself.

use crate::escaped::Escaped;
use crate::jobs::{Query, TerminalEvent, UserEvent};
use crate::node::share::{Share, Unavailable};
use crate::node::{MessageListener, Node};
use crate::protocol::{ContentHash, FileName, NodeAddress, Text};
use crate::role::{Context, Role};

/// What the console cannot do by itself.
pub(super) enum ConsoleCommand<'a> {
    /// Fetch this file, unless it is here or on its way.
    Get(FileName<'a>, Option<ContentHash>),
    /// Share what lies here.
    Share(&'a str),
    /// Share this no longer.
    Unshare(FileName<'a>),
    /// Send a message.
    Send(NodeAddress, Text<'static>),
    /// Send one to whoever wrote last.
    Reply(Text<'static>),
    /// Stop the node.
    Stop,
}

impl<S: Share> Node<S> {
    /// Something was typed at the console.
    pub(super) fn handle(&mut self, context: &mut Context<'_, Self>, message: TerminalEvent) {
        let Some(console) = &mut self.console else {
            return;
        };
        match message {
            // Nothing new is begun.
            TerminalEvent::Typed(_) | TerminalEvent::Complete { .. }
                if self.registrar.is_leaving() => {}
            TerminalEvent::Typed(line) => {
                if let Some(order) = console.typed(context, &line) {
                    self.execute(context, order);
                }
            }
            TerminalEvent::Complete { prefix, callback } => {
                console.complete(context, prefix, callback);
            }
            TerminalEvent::EndOfInput => context.out.shut_down(),
            TerminalEvent::Interrupt => {
                let was_choosing = !self.registrar.is_leaving() && console.give_up();
                if !was_choosing {
                    context.out.shut_down();
                }
            }
        }
    }

    fn execute(&mut self, context: &mut Context<'_, Self>, order: ConsoleCommand<'_>) {
        let Some(console) = &mut self.console else {
            return;
        };
        match order {
            ConsoleCommand::Get(name, _) if console.is_coming(&name) => {
                let name = Escaped::text(name.as_str());
                console.answer(UserEvent::Wrong(&format!("{name} is on its way already")));
            }
            ConsoleCommand::Get(name, hash) => match self.share.stat(&name) {
                Err(Unavailable::NotFound) => console.get(context, name.into_owned(), hash),
                Ok(_) | Err(_) => {
                    let name = Escaped::text(name.as_str());
                    console.answer(UserEvent::Wrong(&format!(
                        "{name} is shared here already; move it away or unshare it to fetch another"
                    )));
                }
            },
            ConsoleCommand::Share(path) => {
                match self.share.add(path) {
                    Ok(added) => console.answer(UserEvent::Note(&added.to_string())),
                    Err(why) => console.answer(UserEvent::Wrong(&why.to_string())),
                }
                self.on_external_event(context);
            }
            ConsoleCommand::Unshare(name) => {
                match self.share.remove(&name) {
                    Ok(removed) => console.answer(UserEvent::Note(&removed.to_string())),
                    Err(why) => console.answer(UserEvent::Wrong(&why.to_string())),
                }
                self.on_external_event(context);
            }
            // Said from our own address it can be answered.
            ConsoleCommand::Send(to, text) if self.listener.is_some() => {
                self.say(context, to, text)
            }
            ConsoleCommand::Send(to, text) => console.ask(context, Query::Message(to, text)),
            ConsoleCommand::Reply(text) => {
                match self.listener.as_ref().and_then(MessageListener::last) {
                    Some(to) => self.say(context, to, text),
                    None => console.answer(UserEvent::NobodyYet),
                }
            }
            ConsoleCommand::Stop => context.out.shut_down(),
        }
    }
}
