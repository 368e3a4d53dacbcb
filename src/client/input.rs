//! What the user of a client types: commands, choices and messages.

use std::time::Duration;

use crate::client::chat::{self, Chat};
use crate::client::{Client, Task};
use crate::jobs::{
    BLANKS, ChoiceResult, FilePattern, GetCommand, GetQueue, HELP, Job, NOT_UTF8, OutputSpec,
    PromptCommand, PromptKind, StoreErrorKind, TaskResult, TerminalEvent, UserEvent, VerifyCommand,
    WantedFile,
};
use crate::protocol::{FileName, HashPrefix};
use crate::role::Context;
use crate::session::connector::Connector;

/// The answer to an interrupt while nothing runs.
const HOW_TO_LEAVE: &str = "to leave, type exit or press ctrl-D";

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
            TerminalEvent::Unreadable => self.on_unreadable_line(),
            // A message is no file name.
            TerminalEvent::Complete { .. } if is_chatting => {}
            TerminalEvent::Complete { prefix, callback } => {
                let mut connector = Connector::new(context, &mut self.udp);
                let job = Job::FindNames(prefix, callback);
                self.jobs.start(&mut connector, job);
            }
            TerminalEvent::FilesCommitted => {
                let mut connector = Connector::new(context, &mut self.udp);
                self.jobs.on_files_committed(&mut connector);
                self.take_finished_jobs(context);
            }
            TerminalEvent::EndOfInput => self.on_end_of_input(context),
            TerminalEvent::Interrupt => self.on_interrupt(context),
            TerminalEvent::InterruptSignal => self.on_interrupt_signal(context),
        }
    }

    fn prompt_kind(&self) -> PromptKind {
        match (&self.chat, &self.task) {
            (Some(chat), _) => chat.prompt_kind(),
            (None, Task::GetList(_)) => PromptKind::Name,
            (None, _) if self.unprinted.is_some() => PromptKind::Confirmation,
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
            return self.after_chat_event(context);
        }
        if let Some(name) = self.unprinted.take()
            && let Some(is_wanted) = parse_confirmation(line)
        {
            return self.on_confirmation(context, name, is_wanted);
        }
        if let Task::GetList(hash) = self.task {
            return self.on_name(context, line, hash);
        }
        let result = match self.choices.on_line(line, user) {
            Some(ChoiceResult::Content(name, hash)) => {
                self.queue.push_front(name, Some(hash.into()));
                return self.after_choice(context);
            }
            Some(ChoiceResult::Cancelled) => TaskResult::SeveralContents,
            Some(ChoiceResult::Invalid) => return self.prompt(),
            None => match PromptCommand::parse(line) {
                PromptCommand::Get(command) => return self.start_command(context, command),
                PromptCommand::Verify(command) => return self.start_verify(context, &command),
                PromptCommand::Search(search) => {
                    return self.start_job(context, Job::Search(search));
                }
                PromptCommand::Query(query) => return self.start_job(context, Job::Show(query)),
                PromptCommand::Chat(to) => {
                    return self.start_chat(context, Chat::new(to, Duration::ZERO));
                }
                PromptCommand::Quit => return self.leave_prompt(context),
                other => other.report(line, HELP, user),
            },
        };
        self.on_result(context, result);
        self.after_choice(context);
    }

    /// A line that is not UTF-8 is skipped: it names nothing.
    fn on_unreadable_line(&mut self) {
        self.prompted = None;
        if let Task::GetList(_) = self.task {
            self.on_invalid_name(NOT_UTF8);
            return self.prompt();
        }
        let event = UserEvent::InvalidCommand(NOT_UTF8);
        self.jobs.user().on_event(event);
        if self.chat.is_none() {
            self.result = self.result.max(TaskResult::Usage);
        }
        self.prompt();
    }

    /// Asks for the next choice, or starts the jobs that have waited for the choices.
    fn after_choice(&mut self, context: &mut Context<'_, Self>) {
        if self.choices.prompt_kind() == PromptKind::Choice {
            self.prompt();
        }
        self.take_finished_jobs(context);
    }

    /// A line of a list of names. An empty line is no name.
    fn on_name(&mut self, context: &mut Context<'_, Self>, line: &str, hash: Option<HashPrefix>) {
        let name = line.trim_matches(BLANKS);
        match FileName::parse(name) {
            _ if name.is_empty() => {}
            Ok(name) if self.is_batch => {
                return self.add_to_list(context, name.into_owned(), hash);
            }
            Ok(name) => {
                let name = name.into_owned();
                let job = match std::mem::replace(&mut self.is_ready, true) {
                    false => Job::Get(WantedFile::new(name, hash)),
                    true => Job::GetFromKnownNodes(WantedFile::new(name, hash)),
                };
                return self.start_job(context, job);
            }
            Err(error) => {
                self.on_invalid_name(&format!("{name}: {error}"));
            }
        }
        self.prompt();
    }

    /// A line of a list is no name. It counts as a file that cannot be fetched.
    fn on_invalid_name(&mut self, why: &str) {
        let user = self.jobs.user();
        if self.is_batch {
            user.on_event(UserEvent::BatchGrown { files: 1 });
        }
        user.on_event(UserEvent::InvalidName(why));
        self.result = self.result.max(TaskResult::Usage);
    }

    /// The user has typed a message for a chat that was over by then: the line is no
    /// command.
    fn on_late_message(&mut self, line: &str) {
        if !matches!(line.trim_matches(BLANKS), "" | chat::QUIT) {
            let event = UserEvent::InvalidCommand("not sent: the conversation is over");
            self.jobs.user().on_event(event);
            self.result = self.result.max(TaskResult::Relay);
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
            (Task::GetList(_), _) if self.is_batch => self.end_list(context),
            (_, _) => {
                self.cancel_choice();
                self.leave_prompt(context);
            }
        }
    }

    /// Ends the program. A person has seen each failure, and has ended the prompt as usual.
    fn leave_prompt(&mut self, context: &mut Context<'_, Self>) {
        if self.is_interactive && self.task == Task::Prompt {
            self.result = TaskResult::Success;
        }
        context.out.stop_loop();
    }

    /// At the prompt this ends a choice or a chat; elsewhere it ends the program.
    fn on_interrupt(&mut self, context: &mut Context<'_, Self>) {
        self.prompted = None;
        if self.task != Task::Prompt {
            return context.out.stop_gracefully();
        }
        let user = self.jobs.user();
        if let Some(chat) = &mut self.chat {
            chat.on_line(context.out, user, chat::QUIT);
            return self.after_chat_event(context);
        }
        if self.cancel_choice() {
            // Other files may still be on their way.
            self.on_result(context, TaskResult::SeveralContents);
            return self.after_choice(context);
        }
        if self.unprinted.take().is_none() {
            let event = UserEvent::Note(HOW_TO_LEAVE);
            self.jobs.user().on_event(event);
        }
        self.prompt();
    }

    /// Stops what runs, and prompts for the next command.
    fn on_interrupt_signal(&mut self, context: &mut Context<'_, Self>) {
        if self.prompted.is_some() {
            let event = UserEvent::Note(HOW_TO_LEAVE);
            return self.jobs.user().on_event(event);
        }
        if !self.is_ready {
            return context.out.stop_gracefully();
        }
        self.jobs.cancel_all(context.out);
        self.finish_batch();
        self.queue = GetQueue::new(1);
        self.awaits_nodes = false;
        let event = UserEvent::Note("stopped");
        self.jobs.user().on_event(event);
        self.on_result(context, TaskResult::Interrupted);
    }

    /// Fetches the files of a command. One file comes from nodes that are listed anew.
    fn start_command(&mut self, context: &mut Context<'_, Self>, command: GetCommand) {
        let output = command.output.as_ref();
        if let Err(error) = self.jobs.user().set_output(output) {
            let event = UserEvent::InvalidCommand(&error.reason);
            self.jobs.user().on_event(event);
            return self.on_result(context, TaskResult::StoreError);
        }
        let saves_files = output.is_some();
        self.jobs.set_wait(command.wait.unwrap_or_default());
        let usual = self.max_downloads;
        self.max_downloads = command.max_downloads.unwrap_or(usual);
        self.start_gets(context, command.patterns, command.hash, saves_files);
        self.max_downloads = usual;
    }

    /// Checks files of the user, and fetches what is wrong or missing.
    fn start_verify(&mut self, context: &mut Context<'_, Self>, command: &VerifyCommand) {
        match self.jobs.user().set_verify(command) {
            Ok(pattern) => {
                self.jobs.set_wait(command.wait);
                self.start_gets(context, vec![pattern], command.hash, true);
            }
            Err(error) => {
                let event = UserEvent::InvalidCommand(&error.reason);
                self.jobs.user().on_event(event);
                let result = match error.kind {
                    StoreErrorKind::FileMissing => TaskResult::StoreError,
                    _ => TaskResult::Usage,
                };
                self.on_result(context, result);
            }
        }
    }

    /// After a command: the user may save what was not printed, or types the next one.
    pub(super) fn confirm_or_prompt(&mut self) {
        self.unprinted = self
            .jobs
            .user()
            .take_unprinted()
            .filter(|_| self.jobs.may_choose());
        self.prompt();
    }

    /// Saves a file under the last part of its name in the present folder.
    fn on_confirmation(
        &mut self,
        context: &mut Context<'_, Self>,
        name: FileName<'static>,
        is_wanted: bool,
    ) {
        if !is_wanted {
            return self.prompt();
        }
        let leaf = name.as_str().rsplit('/').next().unwrap_or_default();
        let output = Some(OutputSpec::file(leaf.into()));
        let command = GetCommand {
            patterns: vec![FilePattern::Name(name)],
            output,
            is_output_named: true,
            ..GetCommand::default()
        };
        self.start_command(context, command);
    }

    /// The user does not make the next choice. Returns whether there was one.
    fn cancel_choice(&mut self) -> bool {
        let had_choice = self.choices.cancel(self.jobs.user());
        if had_choice {
            self.result = self.result.max(TaskResult::SeveralContents);
        }
        had_choice
    }
}

/// Reads the answer to a question with yes and no. Another line is a command: the user may
/// have typed it before the question was asked.
fn parse_confirmation(line: &str) -> Option<bool> {
    match line.trim_matches(BLANKS).to_lowercase().as_str() {
        "y" | "yes" => Some(true),
        "" | "n" | "no" => Some(false),
        _ => None,
    }
}
