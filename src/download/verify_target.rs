//! Which files of the user `verify` checks, and what they are in the network.

use std::path::{Component, Path};

use crate::download::path::{escaped, path_type};
use crate::download::shell_command::{AdvisedCommands, path_word};
use crate::download::target::Target;
use crate::jobs::{FilePattern, VerifyCommand};
use crate::protocol::FileName;

/// Why there is nothing to check.
#[derive(Debug)]
pub enum VerifyTargetError {
    /// The file or the folder is not on this computer, or cannot be reached.
    Missing(String),
    /// The command does not say which file of the network it is.
    Usage(String),
}

impl VerifyTargetError {
    /// For people.
    #[must_use]
    pub fn into_text(self) -> String {
        match self {
            Self::Missing(text) | Self::Usage(text) => text,
        }
    }
}

/// What the files of a command are in the network, and where they are on disk.
///
/// # Errors
/// There are no such files on disk, or their names in the network are not known.
pub fn verify_target(
    command: &VerifyCommand,
    commands: AdvisedCommands,
) -> Result<(FilePattern, Target), VerifyTargetError> {
    let (file, commands) = (&command.file, Box::new(commands));
    let file_type = match &command.dir {
        Some(_) => None,
        None => path_type(file).map_err(VerifyTargetError::Missing)?,
    };
    let (pattern, target) = match &command.dir {
        Some(folder) => (
            pattern_below(folder, file)?,
            Target::RepairBelow(folder.clone(), commands),
        ),
        None if file_type.is_some_and(|file| file.is_dir()) => {
            let pattern = folder_pattern(file).filter(|_| command.name.is_none());
            let pattern =
                pattern.ok_or_else(|| VerifyTargetError::Usage(how_to_verify(file, &commands)))?;
            (pattern, Target::RepairBelow(".".into(), commands))
        }
        None if !file_type.is_some_and(|file| file.is_file()) => {
            let (path, command) = (escaped(file), commands.command("verify", "FILE NAME"));
            let text = format!("{path} is no file on this computer; {command} checks one");
            return Err(VerifyTargetError::Missing(text));
        }
        None => {
            let name = command.name.clone().map(FilePattern::Name);
            let pattern = name.or_else(|| pattern_of(file)).ok_or_else(|| {
                let words = format!("{} NAME", path_word(file));
                let command = commands.command("verify", &words);
                let text = format!("write the name in the network as well: {command}");
                VerifyTargetError::Usage(text)
            })?;
            (pattern, Target::Repair(file.clone(), commands))
        }
    };
    let pattern = match command.hidden {
        true => pattern.with_hidden(),
        false => pattern,
    };
    Ok((pattern, target))
}

/// The word for files that were saved below a folder. A folder need not end with a slash.
fn pattern_below(folder: &Path, word: &Path) -> Result<FilePattern, VerifyTargetError> {
    let file_type = path_type(folder).map_err(VerifyTargetError::Missing)?;
    if !file_type.is_some_and(|file| file.is_dir()) {
        let text = format!("there is no folder {}", escaped(folder));
        return Err(VerifyTargetError::Missing(text));
    }
    let text = word.to_str().unwrap_or_default();
    match FilePattern::parse(text) {
        Ok(FilePattern::Name(name)) if folder.join(text).is_dir() => {
            Ok(FilePattern::Folder(format!("{name}/")))
        }
        Ok(pattern) => Ok(pattern),
        Err(error) => {
            let text = format!("{}: {error}", escaped(word));
            Err(VerifyTargetError::Usage(text))
        }
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
fn how_to_verify(path: &Path, commands: &AdvisedCommands) -> String {
    let (folder, leaf) = match (path.parent(), path.file_name()) {
        (Some(parent), Some(leaf)) if parent != Path::new("") => {
            (path_word(parent), path_word(&Path::new(leaf).join("")))
        }
        _ => (path_word(path), "NAME/".to_owned()),
    };
    let command = commands.command("verify", &format!("-d {folder} {leaf}"));
    format!(
        "{} is a folder: to check the files of a folder of the network in it, write {command}",
        escaped(path)
    )
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
