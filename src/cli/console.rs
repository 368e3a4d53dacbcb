//! The flags of a node's console.

use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;

use log::LevelFilter;

use crate::cli::{StartupError, is_interactive, values};
use crate::download::{Destination, SaveOptions, Target, path_type};
use crate::jobs::{PromptKind, TerminalEvent, quoted};
use crate::limits::JobLimits;
use crate::protocol::NameError;
use crate::quantity::integer;
use crate::terminal::{Screen, Style, TerminalOutput, is_in_foreground};

/// Checks a name or a pattern.
fn file_pattern(text: &str) -> Result<String, NameError> {
    values::file_pattern(text).map(|_| text.to_owned())
}

/// The flags of the console.
#[derive(clap::Args)]
#[command(next_help_heading = "Console")]
pub(super) struct ConsoleArgs {
    /// Read commands from stdin, as at the client's prompt [default: at a terminal]
    #[arg(long, conflicts_with = "no_console")]
    console: bool,
    /// Read no commands
    #[arg(long)]
    no_console: bool,
    /// Maximum number of files to fetch at the same time; others wait. Eight files of at most 64
    /// KiB count as one, unless N is 1
    #[arg(long, value_name = "N", default_value = "8", value_parser = integer::<usize>(1..))]
    pub(super) max_downloads: usize,
    /// Let get -o and get -d save into this folder, too, not only into the share; may be repeated.
    /// With --no-sandbox, they save anywhere
    #[arg(long, value_name = "DIR")]
    save_dir: Vec<PathBuf>,
    /// Fetch this file into the share at the start: a name, a folder such as docs/, or a glob in
    /// quotes; may be repeated. Others can fetch its pieces while it is on its way
    #[arg(long, value_name = "NAME", value_parser = file_pattern)]
    get: Vec<String>,
    #[command(flatten)]
    pub(super) limits: JobLimits,
}

impl ConsoleArgs {
    /// Whether the node fetches files: for a console, or at the start.
    pub(super) fn fetches(&self) -> bool {
        self.is_enabled() || !self.get.is_empty()
    }

    /// The commands that fetch files at the start, as if they were typed.
    pub(super) fn first_commands(&self) -> impl Iterator<Item = TerminalEvent> {
        let line = |name: &String| format!("get -- {}", quoted(name));
        self.get.iter().map(line).map(TerminalEvent::Typed)
    }

    /// Whether the user types commands.
    pub(super) fn is_enabled(&self) -> bool {
        self.console || (!self.no_console && is_in_foreground() && is_interactive())
    }

    /// Checks the folders of `--save-dir`, also if the node fetches no files this time.
    pub(super) fn check_folders(&self) -> Result<(), StartupError> {
        for folder in &self.save_dir {
            let file_type = path_type(folder);
            let file_type =
                file_type.map_err(|text| StartupError::usage(format!("--save-dir: {text}")))?;
            if !file_type.is_some_and(|file| file.is_dir()) {
                return Err(StartupError::usage(format!(
                    "--save-dir: there is no folder {}",
                    folder.display()
                )));
            }
        }
        Ok(())
    }

    /// The folders into which a node with a sandbox saves what it fetches.
    pub(super) fn save_folders(&self, share: &Path) -> Vec<PathBuf> {
        let mut folders = self.save_dir.clone();
        folders.push(share.to_owned());
        folders
    }

    /// The user of the console.
    pub(super) fn screen(
        &self,
        share: PathBuf,
        has_sandbox: bool,
        output: &TerminalOutput,
        line_requests: Sender<PromptKind>,
    ) -> Screen {
        let save_folders = has_sandbox.then(|| self.save_folders(&share));
        let destination = Destination::save(Target::Share(share), SaveOptions::default());
        let style = match self.is_enabled() {
            true => Style::Console,
            false => Style::Log,
        };
        let mut screen = Screen::new(style, output, destination, line_requests);
        screen.save_folders = save_folders;
        screen
    }

    /// A person at the console wants results, not a line per connection.
    pub(super) fn log_level(&self) -> LevelFilter {
        match self.is_enabled() {
            true => LevelFilter::Warn,
            false => LevelFilter::Info,
        }
    }
}
