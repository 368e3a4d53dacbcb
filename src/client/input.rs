//! What the user of a client types: commands, choices and messages.

use std::time::Duration;

use crate::client::chat::{self, Chat};
use crate::client::{Client, Task};
use crate::jobs::{
    BLANKS, ChoiceResult, HELP, Job, PromptCommand, PromptKind, TaskResult, TerminalEvent,
    UserEvent,
};
use crate::protocol::{ContentHash, FileName};
use crate::role::Context;
use crate::session::connector::Connector;

impl Client {
    pub(super) fn on_terminal_event(
        &mut self,
        context: &mut Context<'_, Self>,
        event: TerminalEvent,
    ) {
        let is_chatting = self.chat.is_some();
        match event {
            TerminalEvent::Typed(line) => match self.prompted.take() {
                Some(PromptKind::Message(_)) if !is_chatting => self.on_late_message(&line),
                _ => self.on_line(context, &line),
            },
            // A message is no file name.
            TerminalEvent::Complete { .. } if is_chatting => {}
            TerminalEvent::Complete { prefix, callback } => {
                let mut connector = Connector::new(context, &mut self.udp);
                let job = Job::FindNames(prefix, callback);
                self.jobs.start(&mut connector, job);
            }
            TerminalEvent::EndOfInput => self.on_end_of_input(context),
            TerminalEvent::Interrupt => self.on_interrupt(context),
        }
    }

    fn prompt_kind(&self) -> PromptKind {
        match (&self.chat, &self.task) {
            (Some(chat), _) => chat.prompt_kind(),
            (None, Task::GetList(_)) => PromptKind::Name,
            (None, _) => self.choices.prompt_kind(),
        }
    }

    /// Prompts the user for one line.
    pub(super) fn prompt(&mut self) {
        if self.prompted.is_none() {
            let kind = self.prompt_kind();
            self.prompted = Some(kind);
            self.jobs.user().prompt(kind);
        }
    }

    fn on_line(&mut self, context: &mut Context<'_, Self>, line: &str) {
        let user = self.jobs.user();
        if let Some(chat) = &mut self.chat {
            chat.on_line(context.out, user, line);
            return self.after_chat_event();
        }
        if let Task::GetList(hash) = self.task {
            return self.on_name(context, line, hash);
        }
        let result = match self.choices.on_line(line, user) {
            Some(ChoiceResult::Content(name, hash)) => {
                self.queue.push_front(name, Some(hash));
                return self.after_choice(context);
            }
            Some(ChoiceResult::Cancelled) => TaskResult::SeveralContents,
            Some(ChoiceResult::Invalid) => return self.prompt(),
            None => match PromptCommand::parse(line) {
                PromptCommand::Get(name, hash) => {
                    return self.start_job(context, Job::Get(name.into_owned(), hash));
                }
                PromptCommand::Search(search) => {
                    return self.start_job(context, Job::Search(search));
                }
                PromptCommand::Query(query) => return self.start_job(context, Job::Show(query)),
                PromptCommand::Chat(to) => {
                    return self
                        .start_chat(context, Chat::new(self.jobs.relay(), to, Duration::ZERO));
                }
                PromptCommand::Quit => return context.out.stop_loop(),
                other => other.report(line, HELP, user),
            },
        };
        self.on_result(context, result);
        self.after_choice(context);
    }

    /// Asks for the next choice, or starts the jobs that have waited for the choices.
    fn after_choice(&mut self, context: &mut Context<'_, Self>) {
        if self.choices.prompt_kind() == PromptKind::Choice {
            self.prompt();
        }
        self.take_finished_jobs(context);
    }

    /// A line of a list of names. An empty line is no name.
    fn on_name(&mut self, context: &mut Context<'_, Self>, line: &str, hash: Option<ContentHash>) {
        let name = line.trim_matches(BLANKS);
        match FileName::parse(name) {
            _ if name.is_empty() => {}
            Ok(name) => {
                let name = name.into_owned();
                let job = match std::mem::replace(&mut self.is_ready, true) {
                    false => Job::Get(name, hash),
                    true => Job::GetFromKnownNodes(name, hash),
                };
                return self.start_job(context, job);
            }
            Err(error) => {
                let text = format!("{name}: {error}");
                self.jobs.user().on_event(UserEvent::InvalidCommand(&text));
                self.result = self.result.or(TaskResult::Usage);
            }
        }
        self.prompt();
    }

    /// The user has typed a message for a chat that was over by then: the line is no
    /// command.
    fn on_late_message(&mut self, line: &str) {
        if !matches!(line.trim_matches(BLANKS), "" | chat::QUIT) {
            let event = UserEvent::InvalidCommand("not sent: the conversation is over");
            self.jobs.user().on_event(event);
            self.result = self.result.or(TaskResult::Relay);
        }
        self.prompt();
    }

    fn on_end_of_input(&mut self, context: &mut Context<'_, Self>) {
        match (&self.task, &mut self.chat) {
            (Task::Get(..), _) => {
                // A choice was expected. The other files are fetched without choices.
                self.jobs.set_may_choose(false);
                while self.choices.prompt_kind() == PromptKind::Choice {
                    self.on_line(context, "");
                }
            }
            (Task::Chat(..) | Task::SendAndWait(..), Some(chat)) => chat.start_wait(context.now),
            (_, _) => {
                self.cancel_choice();
                context.out.stop_loop();
            }
        }
    }

    /// At the prompt this ends a choice, or the program if there is none.
    fn on_interrupt(&mut self, context: &mut Context<'_, Self>) {
        self.prompted = None;
        if self.task == Task::Prompt && self.cancel_choice() {
            self.prompt();
        } else {
            context.out.stop_gracefully();
        }
    }

    /// The user does not make the next choice. Returns whether there was one.
    fn cancel_choice(&mut self) -> bool {
        let had_choice = self.choices.cancel(self.jobs.user());
        if had_choice {
            self.result = self.result.or(TaskResult::SeveralContents);
        }
        had_choice
    }
}
