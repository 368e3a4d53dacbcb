//! The command `verify`: which files on disk to check, and against what.

use std::path::PathBuf;
use std::time::Duration;

use crate::jobs::command_flags::Flags;
use crate::protocol::{FileName, HashPrefix};

const USAGE: &str = "usage: verify FILE [NAME], or verify -d DIR NAME; \
                     [--hash HASH] [--hidden] [--wait SECONDS]";

const FLAGS: [&str; 5] = ["-d", "--dir", "--hash", "--hidden", "--wait"];

/// Which files on disk to check, and against what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifyCommand {
    /// A file or folder on disk; below `dir`, a name, a folder or a glob in the network.
    pub file: PathBuf,
    /// The name in the network.
    pub name: Option<FileName<'static>>,
    /// The folder that has files under their names in the network.
    pub dir: Option<PathBuf>,
    /// Whether folders and globs stand for hidden files as well.
    pub hidden: bool,
    /// The hash of the wanted content.
    pub hash: Option<HashPrefix>,
    /// How long to wait for a node that has a file.
    pub wait: Duration,
}

impl VerifyCommand {
    /// Parses the words after `verify`.
    ///
    /// # Errors
    /// Which word is wrong, and how to write the command.
    pub(super) fn parse(line: &str) -> Result<Self, String> {
        let (flags, files) = Flags::read(line, |flag| FLAGS.contains(&flag), USAGE)?;
        let dir = flags.path.map(|(path, _)| path);
        let mut files = files.into_iter();
        let file = files
            .next()
            .ok_or("write the path of a file: verify hello.txt")?;
        let name = dir.is_none().then(|| files.next()).flatten();
        if let Some(word) = files.next() {
            return Err(format!("unexpected word '{word}'; {USAGE}"));
        }
        let parse = |name: String| match FileName::parse(&name) {
            Ok(name) => Ok(name.into_owned()),
            Err(error) => Err(format!("{name}: {error}")),
        };
        Ok(Self {
            file: file.into(),
            name: name.map(parse).transpose()?,
            dir,
            hidden: flags.hidden,
            hash: flags.hash,
            wait: flags.wait.unwrap_or_default(),
        })
    }
}
