//! Console commands that concern the node itself.

use crate::escaped::Escaped;
use crate::jobs::{Query, TerminalEvent, UserEvent};
use crate::node::share::{Share, Unavailable};
use crate::node::{MessageListener, Node};
use crate::protocol::{ContentHash, FileName, NodeAddress, Text};
use crate::role::{Context, Role};
use crate::session::connector::Connector;

/// A command that the console cannot execute alone.
pub(super) enum ConsoleCommand<'a> {
    /// Download this file, unless the node shares or downloads it already.
    Get(FileName<'a>, Option<ContentHash>),
    /// Share the file or the folder at this path.
    Share(&'a str),
    /// Stop sharing this file or folder.
    Unshare(FileName<'a>),
    /// Send a message to this address.
    Send(NodeAddress, Text<'static>),
    /// Send a message to the sender of the last one.
    Reply(Text<'static>),
    /// Stop the node.
    Stop,
}

impl<S: Share> Node<S> {
    /// Handles an event of the terminal.
    pub(super) fn on_terminal_event(
        &mut self,
        context: &mut Context<'_, Self>,
        event: TerminalEvent,
    ) {
        let Some(console) = &mut self.console else {
            return;
        };
        let mut connector = Connector::new(context, &mut self.udp);
        match event {
            // A node that stops starts nothing new.
            TerminalEvent::Typed(_) | TerminalEvent::Complete { .. }
                if self.registrar.is_stopping() => {}
            TerminalEvent::Typed(line) => {
                if let Some(command) = console.on_line(&mut connector, &line) {
                    self.execute(context, command);
                }
            }
            TerminalEvent::Complete { prefix, callback } => {
                console.complete(&mut connector, prefix, callback);
            }
            TerminalEvent::EndOfInput => context.out.shut_down(),
            TerminalEvent::Interrupt => {
                let had_choice = !self.registrar.is_stopping() && console.cancel_choice();
                if !had_choice {
                    context.out.shut_down();
                }
            }
        }
    }

    fn execute(&mut self, context: &mut Context<'_, Self>, command: ConsoleCommand<'_>) {
        let Some(console) = &mut self.console else {
            return;
        };
        let mut connector = Connector::new(context, &mut self.udp);
        match command {
            ConsoleCommand::Get(name, _) if console.is_downloading(&name) => {
                let name = Escaped::text(name.as_str());
                console.answer(UserEvent::InvalidCommand(&format!(
                    "{name} is being fetched already"
                )));
            }
            ConsoleCommand::Get(name, hash) => match self.share.stat(&name) {
                Err(Unavailable::NotFound) => {
                    console.download(&mut connector, name.into_owned(), hash);
                }
                Ok(_) | Err(_) => {
                    let name = Escaped::text(name.as_str());
                    console.answer(UserEvent::InvalidCommand(&format!(
                        "{name} is shared here already; move it away or unshare it to fetch another"
                    )));
                }
            },
            ConsoleCommand::Share(path) => {
                match self.share.add(path) {
                    Ok(added) => console.answer(UserEvent::Note(&added.to_string())),
                    Err(error) => console.answer(UserEvent::InvalidCommand(&error.to_string())),
                }
                self.on_external_event(context);
            }
            ConsoleCommand::Unshare(name) => {
                match self.share.remove(&name) {
                    Ok(removed) => console.answer(UserEvent::Note(&removed.to_string())),
                    Err(error) => console.answer(UserEvent::InvalidCommand(&error.to_string())),
                }
                self.on_external_event(context);
            }
            // The receiver can reply to a message that comes from the node's address.
            ConsoleCommand::Send(to, text) if self.listener.is_some() => {
                self.send_message(context, to, text);
            }
            ConsoleCommand::Send(to, text) => {
                console.query(&mut connector, Query::Message(to, text));
            }
            ConsoleCommand::Reply(text) => {
                let sender = self
                    .listener
                    .as_ref()
                    .and_then(MessageListener::last_sender);
                match sender {
                    Some(to) => self.send_message(context, to, text),
                    None => console.answer(UserEvent::NoRecipient),
                }
            }
            ConsoleCommand::Stop => context.out.shut_down(),
        }
    }
}
