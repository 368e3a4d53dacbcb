//! The command `get` of the prompt.

use std::path::PathBuf;

use crate::jobs::file_pattern::FilePattern;
use crate::jobs::words::split_words;
use crate::protocol::HashPrefix;

const USAGE: &str = "usage: get NAME... [-o FILE | -d DIR [--mkdir]] [--force] [--restart] \
                     [--hash HASH] [--hidden], or get --all";

/// Files to fetch, and where they go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GetCommand {
    /// The files.
    pub patterns: Vec<FilePattern>,
    /// The hash of the wanted content.
    pub hash: Option<HashPrefix>,
    /// Where the files go, unless to the usual place.
    pub output: Option<OutputSpec>,
    /// Whether the user has named that place. `-o -` names none but stdout.
    pub is_output_named: bool,
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
    /// Parses the words after `get`.
    ///
    /// # Errors
    /// What is wrong, or how to write the command.
    pub(super) fn parse(line: &str) -> Result<Self, String> {
        let mut words = split_words(line)?.into_iter();
        let (mut patterns, mut hash, mut has_flags) = (Vec::new(), None, true);
        let mut path: Option<(PathBuf, bool)> = None;
        let [mut mkdir, mut force, mut restart, mut hidden] = [false; 4];
        while let Some(word) = words.next() {
            match word.as_str() {
                _ if !has_flags => patterns.push(parse_pattern(&word)?),
                "--" => has_flags = false,
                "--all" => patterns.push(FilePattern::All),
                "-f" | "--force" => force = true,
                "--restart" => restart = true,
                "--mkdir" => mkdir = true,
                "--hidden" => hidden = true,
                "-o" | "--output" | "-d" | "--dir" if path.is_none() => {
                    let is_folder = word.contains('d');
                    path = Some((words.next().ok_or(USAGE)?.into(), is_folder));
                }
                "--hash" => {
                    let digits = words.next().unwrap_or_default();
                    let error = "usage: get --hash HASH NAME; write 8 to 64 hex digits";
                    hash = Some(digits.parse().map_err(|_| error)?);
                }
                flag if flag.starts_with('-') => return Err(USAGE.into()),
                _ => patterns.push(parse_pattern(&word)?),
            }
        }
        // With -o it is one file, whose name may look like a glob.
        if let (Some((_, false)), [_]) = (&path, &patterns[..]) {
            patterns = patterns.into_iter().map(FilePattern::into_name).collect();
        }
        if hidden {
            patterns = patterns.into_iter().map(FilePattern::with_hidden).collect();
        }
        let is_output_named = path.is_some();
        let path = output_path(path, &patterns)?;
        if path.is_none() && (mkdir || force || restart) {
            return Err("--mkdir, --force and --restart need -o FILE or -d DIR".into());
        }
        let output = path.map(|(path, is_folder)| OutputSpec {
            path,
            is_folder,
            mkdir,
            force,
            restart,
        });
        Ok(Self {
            patterns,
            hash,
            output,
            is_output_named,
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
            hash: None,
            output: (!is_name).then(|| OutputSpec {
                is_folder: true,
                ..OutputSpec::file(".".into())
            }),
            is_output_named: false,
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
