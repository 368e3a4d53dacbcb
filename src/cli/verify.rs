//! The arguments of `verify`: which file to check, and against what.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use crate::cli::{StartupError, values};
use crate::client::Task;
use crate::download::{Destination, SaveOptions, Target};
use crate::escaped::Escaped;
use crate::jobs::FilePattern;
use crate::protocol::{FileName, HashPrefix};
use crate::quantity::seconds_or_zero;

/// Which file to check, and against what.
#[derive(clap::Args)]
pub(super) struct VerifyArgs {
    /// The file on disk
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The name in the network [default: the longest suffix of the path that is a name there,
    /// such as docs/a.txt, or else the name of the file]
    #[arg(value_name = "NAME", value_parser = values::file_name)]
    name: Option<FileName<'static>>,
    /// Compare with the content that has this BLAKE3 hash. The first 8 digits choose among
    /// contents; write 32 or more if somebody may forge the file
    #[arg(long, value_name = "HASH", value_parser = values::hash_prefix)]
    hash: Option<HashPrefix>,
    /// Wait this long for a node that has the file, or the wrong pieces of it, if there is none
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = seconds_or_zero)]
    pub(super) wait: Duration,
}

impl VerifyArgs {
    /// The task of the client, and the file that it repairs.
    pub(super) fn task(self) -> Result<(Task, Option<Destination>), StartupError> {
        let path = Escaped(self.file.as_os_str().as_encoded_bytes());
        if !self.file.is_file() {
            let text = match self.file.is_dir() {
                true => format!("{path} is a folder: name the files"),
                false => format!("{path} is no file on this computer; verify FILE NAME checks one"),
            };
            return Err(StartupError::usage(text));
        }
        let own_name = || pattern_of(&self.file);
        let Some(pattern) = self.name.map(FilePattern::Name).or_else(own_name) else {
            let text = format!("write the name in the network as well: verify {path} NAME");
            return Err(StartupError::usage(text));
        };
        let task = Task::Get(vec![pattern], self.hash);
        let target = Target::Repair(self.file);
        let destination = Destination::save(target, SaveOptions::default());
        Ok((task, Some(destination)))
    }
}

/// What the path of a file says about its name in the network.
fn pattern_of(path: &Path) -> Option<FilePattern> {
    let name = FileName::parse(path.file_name()?.to_str()?).ok()?;
    let part = |component| match component {
        Component::Normal(part) => part.to_str(),
        _ => None,
    };
    // Folders before `..` do not tell where the file is.
    let parts = path.components().rev().map_while(part);
    let mut parts: Vec<&str> = parts.collect();
    parts.reverse();
    Some(match &parts[..] {
        [_] => FilePattern::Name(name.into_owned()),
        parts => FilePattern::Path(parts.join("/")),
    })
}
