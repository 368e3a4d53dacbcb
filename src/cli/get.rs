//! The arguments of `get`: what to fetch, and where to store it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::{Exit, StartupError, is_interactive, values};
use crate::client::Task;
use crate::download::{Destination, SaveOptions, Target, path_exists};
use crate::escaped::Escaped;
use crate::jobs::FilePattern;
use crate::protocol::HashPrefix;
use crate::quantity::{integer, seconds_or_zero};
use crate::system_error::Reason;
use crate::terminal::TerminalOutput;

/// The most files that are saved at once.
pub(super) const MAX_DOWNLOADS: usize = 16;

/// What to fetch, and where to store it.
#[derive(clap::Args)]
pub(super) struct GetArgs {
    /// Names of files; folders that end with a slash, such as docs/; or globs in quotes, such
    /// as '*.txt' or 'docs/**'. `*` stops at a slash, `**` does not. Without -o and -d, named
    /// files go to stdout, and those of folders and globs are saved below the present folder
    #[arg(value_name = "NAME", required_unless_present_any = ["input", "all"],
          value_parser = values::file_pattern)]
    pub(super) names: Vec<FilePattern>,
    /// Fetch all files that the nodes have announced
    #[arg(long, conflicts_with_all = ["names", "input"])]
    pub(super) all: bool,
    /// Let folders, globs and --all stand for hidden files as well, whose names have a part that
    /// starts with a dot. Without it, they do only where you type the dot: .config/ or '.*'
    #[arg(long)]
    pub(super) hidden: bool,
    /// Read the names from this file, one per line; - is stdin. Files that are saved are fetched
    /// many at once, while the list is being read
    #[arg(short, long, value_name = "FILE", conflicts_with = "names")]
    pub(super) input: Option<PathBuf>,
    /// Accept only the content with this BLAKE3 hash. The first 8 digits choose among contents;
    /// write 32 or more if somebody may forge the file
    #[arg(long, value_name = "HASH", value_parser = values::hash_prefix)]
    pub(super) hash: Option<HashPrefix>,
    /// Save to this file; - is stdout
    #[arg(short, long, value_name = "FILE", conflicts_with = "dir")]
    pub(super) output: Option<PathBuf>,
    /// Save into this folder, under the names of the files
    #[arg(short, long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
    /// Create the folder of --dir if there is none
    #[arg(long, requires = "dir")]
    pub(super) mkdir: bool,
    /// Replace existing files
    #[arg(short, long)]
    pub(super) force: bool,
    /// Discard what an interrupted download of the file has left, and start again
    #[arg(long)]
    pub(super) restart: bool,
    /// Maximum number of files to fetch at the same time when they are saved; others wait. Eight
    /// files of at most 64 KiB count as one, unless N is 1
    #[arg(long, value_name = "N", default_value_t = MAX_DOWNLOADS, value_parser = integer::<usize>(1..))]
    pub(super) max_downloads: usize,
    /// Wait this long for a node that has a file, or the rest of it, if there is none; of a folder
    /// or a glob, for a node that announces such a file
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = seconds_or_zero)]
    pub(super) wait: Duration,
}

impl GetArgs {
    /// The task of the client.
    pub(super) fn task(&self) -> Task {
        if self.input.is_some() {
            return Task::GetList(self.hash);
        }
        let patterns = match self.all {
            true => vec![FilePattern::All],
            false => self.patterns(),
        };
        let patterns = match self.hidden {
            true => patterns.into_iter().map(FilePattern::with_hidden).collect(),
            false => patterns,
        };
        Task::Get(patterns, self.hash)
    }

    /// What to fetch. With -o that is one file, whose name may look like a glob.
    fn patterns(&self) -> Vec<FilePattern> {
        match (&self.output, &self.names[..]) {
            (Some(_), [word]) => vec![word.clone().into_name()],
            _ => self.names.clone(),
        }
    }

    /// Where files are saved, or none if they are printed.
    pub(super) fn destination(
        &self,
        output: &TerminalOutput,
    ) -> Result<Option<Destination>, StartupError> {
        let is_name = |pattern: &FilePattern| matches!(pattern, FilePattern::Name(_));
        let has_patterns = self.all || !self.patterns().iter().all(is_name);
        let has_several = has_patterns || self.names.len() > 1 || self.input.is_some();
        let target = match (&self.output, &self.dir) {
            (Some(file), _) if file.as_os_str() == "-" => return Ok(None),
            (Some(_), _) if has_several => {
                return Err(StartupError::usage(
                    "-o takes one file, but there may be several; write -d DIR",
                ));
            }
            (Some(file), _) => Target::File(file.clone()),
            (None, Some(folder)) => {
                self.ensure_folder(folder, output)?;
                Target::Folder(folder.clone())
            }
            (None, None) if has_patterns => Target::Folder(".".into()),
            (None, None) => return Ok(None),
        };
        let options = SaveOptions {
            replace: self.force,
            restart: self.restart,
        };
        Ok(Some(Destination::save(target, options)))
    }

    /// Creates a missing folder if the user wants it.
    fn ensure_folder(&self, folder: &Path, output: &TerminalOutput) -> Result<(), StartupError> {
        let name = Escaped(folder.as_os_str().as_encoded_bytes());
        let exists = path_exists(folder);
        if exists.map_err(|text| StartupError::new(Exit::StoreError, text))? {
            return Ok(());
        }
        let confirms = || is_interactive() && confirm(output, &format!("create {name}?"));
        if !(self.mkdir || confirms()) {
            let text = format!("there is no folder {name}; --mkdir creates it");
            return Err(StartupError::new(Exit::StoreError, text));
        }
        fs::create_dir_all(folder).map_err(|error| {
            let text = format!("cannot create {name}: {}", Reason(&error));
            StartupError::new(Exit::StoreError, text)
        })
    }

    /// Opens the file with the names, unless that is stdin.
    pub(super) fn open_list(&self) -> Result<Option<File>, StartupError> {
        let open = |path: &PathBuf| {
            File::open(path).map_err(|error| {
                let text = format!("cannot read {}: {}", path.display(), Reason(&error));
                StartupError::usage(text)
            })
        };
        let path = self.input.as_ref();
        path.filter(|path| path.as_os_str() != "-")
            .map(open)
            .transpose()
    }
}

/// Asks a question at the terminal. Only `y` and `yes` are a yes.
fn confirm(output: &TerminalOutput, question: &str) -> bool {
    output.eprint(format_args!("{question} [y/N] "));
    let mut answer = String::new();
    let is_read = io::stdin().read_line(&mut answer).is_ok();
    is_read && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}
