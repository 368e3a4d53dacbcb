//! The files that a console fetches. All that are fetched at one time go to one place: the
//! share, or the place that a command names. Commands with another place wait.

use crate::counted::Counted;
use crate::escaped::Escaped;
use crate::jobs::{FilePattern, GetCommand, Job, OutputSpec, PromptKind, RunsJobs, UserEvent};
use crate::node::share::Share;
use crate::node::{Console, Node};
use crate::protocol::{FileName, HashPrefix};
use crate::role::Context;
use crate::session::connector::Connector;

/// The most queued downloads. When the queue is full, the prompt waits.
const MAX_QUEUED: usize = 1000;

impl<S: Share> Node<S> {
    /// Downloads files, into the share if the command names no place.
    pub(super) fn start_get(&mut self, context: &mut Context<'_, Self>, mut command: GetCommand) {
        let Some(console) = &mut self.console else {
            return;
        };
        command.output = match output(&command) {
            Ok(output) => output.cloned(),
            Err(reason) => return console.answer_with(Err(reason.into())),
        };
        if command.output.is_none() {
            command.patterns.retain(|pattern| match pattern {
                FilePattern::Name(name) if self.share.is_shared(name) => {
                    let advice =
                        "is shared here already; move it away or unshare it to fetch another";
                    console.refuse(name, advice);
                    false
                }
                _ => true,
            });
        }
        console.get(&mut Connector::new(context, &mut self.udp), command);
    }
}

/// The place that the command names, if any.
fn output(command: &GetCommand) -> Result<Option<&OutputSpec>, &'static str> {
    if command.wait.is_some() || command.max_downloads.is_some() {
        return Err("--wait and --max-downloads are flags of the client's get");
    }
    match &command.output {
        None if command.is_output_named => Err("a node prints no contents; write -o FILE"),
        Some(output) if command.is_output_named => Ok(Some(output)),
        Some(output) if output.mkdir || output.force || output.restart => {
            Err("--mkdir, --force and --restart need -o FILE or -d DIR")
        }
        _ => Ok(None),
    }
}

impl Console {
    fn refuse(&mut self, name: &FileName<'_>, reason: &str) {
        let text = format!("{} {reason}", Escaped::text(name.as_str()));
        self.jobs.user().on_event(UserEvent::InvalidCommand(&text));
    }

    /// How many names and patterns wait.
    pub(super) fn waiting_files(&self) -> usize {
        let waiting = self.waiting.iter().map(|command| command.patterns.len());
        self.queue.waiting() + waiting.sum::<usize>()
    }

    fn has_choice(&self) -> bool {
        self.choices.prompt_kind() == PromptKind::Choice
    }

    /// Whether nothing is being fetched, and no file waits for a choice of the user.
    fn is_idle(&self) -> bool {
        self.queue.is_done() && !self.has_choice()
    }

    /// Whether this file is being downloaded or queued.
    fn is_downloading(&self, name: &FileName<'_>) -> bool {
        self.jobs.fetched_names().any(|fetched| fetched == name) || self.queue.contains(name)
    }

    /// Fetches the files of a command as soon as no other place is in use.
    fn get(&mut self, connector: &mut Connector<'_, impl RunsJobs>, command: GetCommand) {
        let has_same_output = self.waiting.is_empty() && command.output == self.output;
        if has_same_output || self.is_idle() {
            self.start_command(command);
        } else {
            let note = UserEvent::Note("waits until the files before are fetched");
            self.jobs.user().on_event(note);
            self.waiting.push_back(command);
        }
        self.continue_downloads(connector);
    }

    fn start_command(&mut self, command: GetCommand) {
        if self.is_idle() {
            let result = self.jobs.user().set_output(command.output.as_ref());
            self.output = result.is_ok().then_some(command.output).flatten();
            if let Err(error) = result {
                let event = UserEvent::InvalidCommand(&error.reason);
                return self.jobs.user().on_event(event);
            }
        }
        for pattern in command.patterns {
            match &pattern {
                FilePattern::Name(name) if self.is_downloading(name) => {
                    self.refuse(name, "is being fetched already");
                    continue;
                }
                FilePattern::Name(_) | FilePattern::Announced(_) => {}
                _ => self.start_batch(),
            }
            self.queue.push(pattern, command.hash);
        }
    }

    /// Downloads the content that the user has chosen.
    pub(super) fn download(
        &mut self,
        connector: &mut Connector<'_, impl RunsJobs>,
        name: FileName<'static>,
        hash: Option<HashPrefix>,
    ) {
        self.queue.push(FilePattern::Name(name), hash);
        self.continue_downloads(connector);
    }

    /// The files of a folder or a glob are going to be downloaded.
    fn start_batch(&mut self) {
        if !std::mem::replace(&mut self.is_batch, true) {
            let event = UserEvent::BatchStarted { files: 0 };
            self.jobs.user().on_event(event);
        }
    }

    /// No job runs, and none follows. If the disk is full, files may be left.
    fn finish_queue(&mut self) {
        let unfetched = self.queue.waiting();
        self.queue.clear();
        if std::mem::take(&mut self.is_batch) {
            let event = UserEvent::BatchFinished { unfetched };
            self.jobs.user().on_event(event);
        } else if unfetched > 0 {
            let files = Counted(unfetched as u64, "file");
            let text = format!("{files} not fetched, because the disk is full");
            self.jobs.user().on_event(UserEvent::Note(&text));
        }
    }

    /// The user may type the next line. Starts what may run.
    pub(super) fn continue_downloads(&mut self, connector: &mut Connector<'_, impl RunsJobs>) {
        self.is_prompt_due = true;
        self.start_downloads(connector);
    }

    /// Starts as many queued downloads as may run, and after the last of them the next
    /// command.
    pub(super) fn start_downloads(&mut self, connector: &mut Connector<'_, impl RunsJobs>) {
        loop {
            while let Some(job) = self.queue.next_job() {
                let job = match job {
                    Job::GetFromKnownNodes(file) => Job::Get(file),
                    job => job,
                };
                self.jobs.start(connector, job);
            }
            if self.queue.is_done() {
                self.finish_queue();
            }
            match self.is_idle().then(|| self.waiting.pop_front()).flatten() {
                Some(command) => self.start_command(command),
                None => break,
            }
        }
        // With a choice to make, commands wait for the user.
        let has_room = self.waiting_files() < MAX_QUEUED || self.has_choice();
        if self.is_prompt_due && has_room {
            self.is_prompt_due = false;
            self.prompt();
        }
    }
}
