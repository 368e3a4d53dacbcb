//! The arguments of `verify`: which files to check, and against what.

use std::path::PathBuf;
use std::time::Duration;

use crate::cli::{Exit, StartupError, values};
use crate::client::Task;
use crate::download::{
    AdvisedCommands, Destination, SaveOptions, VerifyTargetError, verify_target,
};
use crate::jobs::VerifyCommand;
use crate::protocol::{FileName, HashPrefix};
use crate::quantity::seconds_or_zero;

/// Which files to check, and against what.
#[derive(clap::Args)]
pub(super) struct VerifyArgs {
    /// The file on disk; or a folder, such as docs/, whose files have the same names in the
    /// network. With --dir: a name, a folder or a glob in quotes, as for get
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The name in the network [default: the longest suffix of the path that is a name there,
    /// such as docs/a.txt, or else the name of the file]
    #[arg(value_name = "NAME", value_parser = values::file_name)]
    name: Option<FileName<'static>>,
    /// Check what get -d DIR has saved; FILE is its name in the network
    #[arg(short, long, value_name = "DIR", conflicts_with = "name")]
    dir: Option<PathBuf>,
    /// Let folders and globs stand for hidden files as well, as get does
    #[arg(long)]
    hidden: bool,
    /// Compare with the content that has this BLAKE3 hash. The first 8 digits choose among
    /// contents; write 32 or more if somebody may forge the file
    #[arg(long, value_name = "HASH", value_parser = values::hash_prefix)]
    hash: Option<HashPrefix>,
    /// Wait this long for a node that has the file, or the wrong pieces of it, if there is none
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = seconds_or_zero)]
    pub(super) wait: Duration,
}

impl VerifyArgs {
    /// The task of the client, and the files that it repairs. See [`AdvisedCommands::start`].
    pub(super) fn task(self, start: String) -> Result<(Task, Option<Destination>), StartupError> {
        let hash = self.hash;
        let command = VerifyCommand {
            file: self.file,
            name: self.name,
            dir: self.dir,
            hidden: self.hidden,
            hash,
            wait: self.wait,
        };
        let target = verify_target(&command, AdvisedCommands { start, hash });
        let (pattern, target) = target.map_err(|error| match error {
            VerifyTargetError::Missing(text) => StartupError::new(Exit::StoreError, text),
            VerifyTargetError::Usage(text) => StartupError::usage(text),
        })?;
        let destination = Destination::save(target, SaveOptions::default());
        Ok((Task::Get(vec![pattern], hash), Some(destination)))
    }
}
