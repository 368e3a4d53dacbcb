//! The arguments of `verify`: which files to check, and against what.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use crate::cli::{StartupError, values};
use crate::client::Task;
use crate::download::{AdvisedCommands, Destination, SaveOptions, Target};
use crate::escaped::Escaped;
use crate::jobs::{FilePattern, quoted};
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
        let path = escaped(&self.file);
        let hash = self.hash;
        let commands = Box::new(AdvisedCommands { start, hash });
        let (pattern, target) = match self.dir {
            Some(folder) => (
                pattern_below(&folder, &self.file)?,
                Target::RepairBelow(folder, commands),
            ),
            None if self.file.is_dir() => {
                let pattern = folder_pattern(&self.file).filter(|_| self.name.is_none());
                let pattern = pattern.ok_or_else(|| how_to_verify(&self.file, &commands))?;
                (pattern, Target::RepairBelow(".".into(), commands))
            }
            None if !self.file.is_file() => {
                let command = commands.command("verify", "FILE NAME");
                let text = format!("{path} is no file on this computer; {command} checks one");
                return Err(StartupError::usage(text));
            }
            None => {
                let own_name = || pattern_of(&self.file);
                let pattern = self.name.map(FilePattern::Name).or_else(own_name);
                let pattern = pattern.ok_or_else(|| {
                    let words = format!("{} NAME", quoted_path(&self.file));
                    let command = commands.command("verify", &words);
                    let text = format!("write the name in the network as well: {command}");
                    StartupError::usage(text)
                })?;
                (pattern, Target::Repair(self.file, commands))
            }
        };
        let pattern = match self.hidden {
            true => pattern.with_hidden(),
            false => pattern,
        };
        let task = Task::Get(vec![pattern], hash);
        Ok((
            task,
            Some(Destination::save(target, SaveOptions::default())),
        ))
    }
}

/// The word for files that were saved below a folder. A folder need not end with a slash.
fn pattern_below(folder: &Path, word: &Path) -> Result<FilePattern, StartupError> {
    if !folder.is_dir() {
        let text = format!("there is no folder {}", escaped(folder));
        return Err(StartupError::usage(text));
    }
    let text = word.to_str().unwrap_or_default();
    match FilePattern::parse(text) {
        Ok(FilePattern::Name(name)) if folder.join(text).is_dir() => {
            Ok(FilePattern::Folder(format!("{name}/")))
        }
        Ok(pattern) => Ok(pattern),
        Err(error) => Err(StartupError::usage(format!("{}: {error}", escaped(word)))),
    }
}

/// The folder of the same name in the network, if the path is one below the present folder.
fn folder_pattern(path: &Path) -> Option<FilePattern> {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    let parts: Option<Vec<&str>> = parts.map(normal_part).collect();
    let name = parts?.join("/");
    FileName::parse(&name).ok()?;
    Some(FilePattern::Folder(format!("{name}/")))
}

/// The advice for a folder that does not have the name of one in the network.
fn how_to_verify(path: &Path, commands: &AdvisedCommands) -> StartupError {
    let (folder, leaf) = match (path.parent(), path.file_name()) {
        (Some(parent), Some(leaf)) if parent != Path::new("") => {
            (quoted_path(parent), quoted_path(&Path::new(leaf).join("")))
        }
        _ => (quoted_path(path), "NAME/".to_owned()),
    };
    let command = commands.command("verify", &format!("-d {folder} {leaf}"));
    let text = format!(
        "{} is a folder: to check the files of a folder of the network in it, write {command}",
        escaped(path)
    );
    StartupError::usage(text)
}

/// The path as a word of a command.
fn quoted_path(path: &Path) -> String {
    Escaped::text(&quoted(&path.to_string_lossy())).to_string()
}

fn escaped(path: &Path) -> String {
    Escaped(path.as_os_str().as_encoded_bytes()).to_string()
}

fn normal_part(component: Component<'_>) -> Option<&str> {
    match component {
        Component::Normal(part) => part.to_str(),
        _ => None,
    }
}

/// What the path of a file says about its name in the network.
fn pattern_of(path: &Path) -> Option<FilePattern> {
    let name = FileName::parse(path.file_name()?.to_str()?).ok()?;
    // Folders before `..` do not tell where the file is.
    let parts = path.components().rev().map_while(normal_part);
    let mut parts: Vec<&str> = parts.collect();
    parts.reverse();
    Some(match &parts[..] {
        [_] => FilePattern::Name(name.into_owned()),
        parts => FilePattern::Path(parts.join("/")),
    })
}
