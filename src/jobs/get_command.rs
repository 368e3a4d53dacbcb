//! The command `get` of the prompt.

use std::path::PathBuf;
use std::time::Duration;

use crate::jobs::command_flags::Flags;
use crate::jobs::file_pattern::FilePattern;
use crate::protocol::HashPrefix;

const USAGE: &str = "usage: get NAME... [-o FILE | -d DIR [--mkdir]] [--force] [--restart] \
                     [--hash HASH] [--hidden] [--wait SECONDS] [--max-downloads N], or get --all";

/// Files to fetch, and where they go.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct GetCommand {
    /// The files.
    pub patterns: Vec<FilePattern>,
    /// The hash of the wanted content.
    pub hash: Option<HashPrefix>,
    /// Where the files go, unless to the usual place.
    pub output: Option<OutputSpec>,
    /// Whether the user has named that place. `-o -` names none but stdout.
    pub is_output_named: bool,
    /// How long to wait for a node that has a file.
    pub wait: Option<Duration>,
    /// The most files that are saved at once.
    pub max_downloads: Option<usize>,
}

/// Where fetched files go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OutputSpec {
    /// The path of a file or a folder.
    pub path: PathBuf,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// Whether a missing folder is created.
    pub mkdir: bool,
    /// Whether existing files are replaced.
    pub force: bool,
    /// Whether parts of earlier downloads are deleted.
    pub restart: bool,
}

impl OutputSpec {
    /// A file, which is not replaced.
    #[must_use]
    pub fn file(path: PathBuf) -> Self {
        Self {
            path,
            is_folder: false,
            mkdir: false,
            force: false,
            restart: false,
        }
    }
}

impl GetCommand {
    /// Parses the words after `get`, with the flags of the command line.
    ///
    /// # Errors
    /// Which word is wrong, and how to write the command.
    pub(super) fn parse(line: &str) -> Result<Self, String> {
        let (flags, words) = Flags::read(line, |_| true, USAGE)?;
        let patterns: Result<Vec<_>, _> = words.iter().map(|word| parse_pattern(word)).collect();
        let mut patterns = patterns?;
        if flags.all {
            patterns.push(FilePattern::All);
        }
        // With -o it is one file, whose name may look like a glob.
        if let (Some((_, false)), [_]) = (&flags.path, &patterns[..]) {
            patterns = patterns.into_iter().map(FilePattern::into_name).collect();
        }
        if flags.hidden {
            patterns = patterns.into_iter().map(FilePattern::with_hidden).collect();
        }
        Self::new(flags, patterns)
    }

    fn new(flags: Flags, patterns: Vec<FilePattern>) -> Result<Self, String> {
        let is_output_named = flags.path.is_some();
        let path = output_path(flags.path, &patterns)?;
        if path.is_none() && (flags.mkdir || flags.force || flags.restart) {
            return Err("--mkdir, --force and --restart need -o FILE or -d DIR".into());
        }
        let output = path.map(|(path, is_folder)| OutputSpec {
            path,
            is_folder,
            mkdir: flags.mkdir,
            force: flags.force,
            restart: flags.restart,
        });
        Ok(Self {
            patterns,
            hash: flags.hash,
            output,
            is_output_named,
            wait: flags.wait,
            max_downloads: flags.max_downloads,
        })
    }

    /// A line that is the name of a file, or a pattern.
    /// `is_doubtful`: the line looks like a mistyped command.
    pub(super) fn bare(line: &str, is_doubtful: bool) -> Result<Self, String> {
        let pattern = match FilePattern::parse(line).map_err(|error| error.to_string())? {
            FilePattern::Name(name) if is_doubtful => FilePattern::Announced(name),
            pattern => pattern,
        };
        let is_name = matches!(pattern, FilePattern::Name(_) | FilePattern::Announced(_));
        Ok(Self {
            patterns: vec![pattern],
            output: (!is_name).then(|| OutputSpec {
                is_folder: true,
                ..OutputSpec::file(".".into())
            }),
            ..Self::default()
        })
    }
}

/// The file or, with true, the folder into which files are saved, if they are.
fn output_path(
    path: Option<(PathBuf, bool)>,
    patterns: &[FilePattern],
) -> Result<Option<(PathBuf, bool)>, &'static str> {
    let is_name = |pattern: &FilePattern| matches!(pattern, FilePattern::Name(_));
    let is_single = matches!(patterns, [FilePattern::Name(_)]);
    match path {
        _ if patterns.is_empty() => Err("the file name is missing"),
        Some((path, false)) if path.as_os_str() == "-" => Ok(None),
        Some((_, false)) if !is_single => {
            Err("-o takes one file, but there may be several; write -d DIR")
        }
        Some(path) => Ok(Some(path)),
        None if patterns.iter().all(is_name) => Ok(None),
        None => Ok(Some((".".into(), true))),
    }
}

fn parse_pattern(word: &str) -> Result<FilePattern, String> {
    FilePattern::parse(word).map_err(|error| format!("{word}: {error}"))
}
