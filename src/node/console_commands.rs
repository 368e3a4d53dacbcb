//! The commands of a node's console.

use crate::escaped::Escaped;
use crate::jobs::{Job, PromptCommand, Query, TerminalEvent, UserEvent};
use crate::node::Node;
use crate::node::console::HELP;
use crate::node::share::{Share, Unavailable};
use crate::role::{Context, Role};
use crate::session::connector::Connector;

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
        let is_stopping = self.registrar.is_stopping();
        match event {
            TerminalEvent::EndOfInput => context.out.shut_down(),
            TerminalEvent::Interrupt if is_stopping || !console.cancel_choice() => {
                context.out.shut_down();
            }
            TerminalEvent::Interrupt => {}
            // A node that stops starts nothing new.
            TerminalEvent::Typed(_) | TerminalEvent::Complete { .. } if is_stopping => {}
            TerminalEvent::Typed(line) => self.on_line(context, &line),
            TerminalEvent::Complete { prefix, callback } => {
                let mut connector = Connector::new(context, &mut self.udp);
                console.jobs.complete(&mut connector, prefix, callback);
            }
        }
    }

    fn on_line(&mut self, context: &mut Context<'_, Self>, line: &str) {
        let Some(console) = &mut self.console else {
            return;
        };
        let mut connector = Connector::new(context, &mut self.udp);
        let Some(command) = console.on_line(&mut connector, line) else {
            return;
        };
        match command {
            PromptCommand::Get(name, hash) => {
                let reason = if console.is_downloading(&name) {
                    "is being fetched already"
                } else if let Err(Unavailable::NotFound) = self.share.stat(&name) {
                    return console.download(&mut connector, name.into_owned(), hash);
                } else {
                    "is shared here already; move it away or unshare it to fetch another"
                };
                let name = Escaped::text(name.as_str());
                console.answer_with(Err(format!("{name} {reason}")));
            }
            PromptCommand::Share(path) => {
                console.answer_with(self.share.add(path));
                self.on_external_event(context);
            }
            PromptCommand::Unshare(name) => {
                console.answer_with(self.share.remove(&name));
                self.on_external_event(context);
            }
            // The receiver can reply to a message that comes from the node's address.
            PromptCommand::Query(Query::Message(to, text)) if self.listener.is_some() => {
                self.send_message(context, to, text);
            }
            PromptCommand::Query(query) => console.start_job(&mut connector, Job::Query(query)),
            PromptCommand::Reply(text) => {
                let listener = self.listener.as_ref();
                match listener.and_then(|listener| listener.last_sender) {
                    Some(to) => self.send_message(context, to, text),
                    None => console.answer(UserEvent::NoRecipient),
                }
            }
            PromptCommand::Chat(_) => console.answer(UserEvent::InvalidCommand(
                "usage: send IP PORT TEXT; replies are shown, and reply TEXT answers them",
            )),
            PromptCommand::Quit => context.out.shut_down(),
            other => {
                other.report(line, HELP, console.jobs.user());
                console.prompt();
            }
        }
    }
}
