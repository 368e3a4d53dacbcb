//! Reports events to the user: as lines for people, or as JSON.

use indicatif::{ProgressBar, ProgressStyle};

use crate::counted::Counted;
use crate::jobs::{JobId, UserEvent};
use crate::terminal::{TerminalOutput, event_text, json};

/// The form of the reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// Lines on stderr.
    Human {
        /// Only failures.
        quiet: bool,
        /// A progress bar, if stderr is a terminal.
        progress: bool,
    },
    /// For the console of a node: results, and one line at the end of each file.
    /// Several files may be in progress at the same time.
    Console,
    /// One JSON object per result.
    Json {
        /// On stdout, as no content goes there. Else on stderr.
        on_stdout: bool,
    },
}

/// Reports events to the user.
pub struct Reporter {
    style: Style,
    output: TerminalOutput,
    /// The progress bar, and the job that it belongs to: the first of several.
    bar: Option<(JobId, ProgressBar)>,
    has_listed_nodes: bool,
}

impl Reporter {
    /// Reports in this style, through this output.
    #[must_use]
    pub fn new(style: Style, output: TerminalOutput) -> Self {
        Self {
            style,
            output,
            bar: None,
            has_listed_nodes: false,
        }
    }

    pub(crate) fn style(&self) -> Style {
        self.style
    }

    pub(crate) fn output(&self) -> &TerminalOutput {
        &self.output
    }

    /// A transfer of `size` bytes starts.
    pub(crate) fn start_progress(&mut self, job: JobId, size: u64) {
        if let (Style::Human { progress: true, .. }, None) = (self.style, &self.bar) {
            const TEMPLATE: &str = "{bar:30} {decimal_bytes} of {decimal_total_bytes}, {decimal_bytes_per_sec}, {eta} left";
            let bar = ProgressBar::new(size);
            if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
                bar.set_style(style);
            }
            self.bar = Some((job, bar));
        }
    }

    /// A transfer has succeeded or failed.
    pub(crate) fn end_progress(&mut self, job: JobId) {
        if let Some((_, bar)) = self.bar.take_if(|(owner, _)| *owner == job) {
            bar.finish_and_clear();
        }
    }

    pub(crate) fn on_event(&mut self, event: &UserEvent<'_>) {
        if let (Some((owner, bar)), UserEvent::Progress { job, received, .. }) = (&self.bar, event)
            && owner == job
        {
            bar.set_position(*received);
        }
        match self.style {
            Style::Json { on_stdout } => match json::event(event) {
                Some(value) if on_stdout => self.output.println(value),
                Some(value) => self.output.eprintln(value),
                None => {}
            },
            Style::Console => self.print_at_console(event),
            Style::Human { quiet, .. } => match event_text::result(event) {
                Some(text) => self.output.eprintln(text),
                None if !quiet => self.print_progress(event),
                None => {}
            },
        }
    }

    fn print_at_console(&mut self, event: &UserEvent<'_>) {
        match event {
            UserEvent::MessageSent | UserEvent::Fetched { .. } => self.print_progress(event),
            // The result is reported when all nodes have been tried.
            UserEvent::NodeFailed(..) => {}
            UserEvent::NoNodes { name, failure } => {
                self.output.eprintln(event_text::no_list_for(name, failure));
            }
            event => {
                if let Some(text) = event_text::result(event) {
                    self.output.eprintln(text);
                }
            }
        }
    }

    /// Reports how the work goes on.
    fn print_progress(&mut self, event: &UserEvent<'_>) {
        if let UserEvent::Nodes(nodes) = event {
            let is_first = !std::mem::replace(&mut self.has_listed_nodes, true);
            self.output.eprintln(event_text::node_list(nodes, is_first));
            return;
        }
        if let UserEvent::Fetched { size, .. } = event
            && self.style != Style::Console
        {
            let received = Counted(*size, "byte");
            self.output
                .eprintln(format_args!("  received {received}, 0 remaining"));
        }
        if let Some(text) = event_text::progress(event) {
            self.output.eprintln(text);
        }
    }
}
