//! The flags of the commands of the prompt: those of the command line.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::jobs::words::split_words;
use crate::protocol::HashPrefix;
use crate::quantity::{integer, seconds_or_zero};

/// Flags of the client's command line that hold for every command of its prompt.
const CLIENT_FLAGS: [&str; 36] = [
    "--allow-ids",
    "--connect-timeout",
    "--connections",
    "--dht-bootstrap",
    "--discovery-time",
    "--from",
    "--json",
    "--limit-rate",
    "--limit-rate-per-peer",
    "--log-file",
    "--log-format",
    "--log-level",
    "--log-rate",
    "--max-failures",
    "--max-found",
    "--max-listed",
    "--max-listed-bytes",
    "--max-nodes",
    "--min-rate",
    "--node-id",
    "--quiet",
    "--raw",
    "--relay",
    "--relay-delay",
    "--relay-id",
    "--require-hash",
    "--secret-file",
    "--show-id",
    "--sources",
    "--timeout",
    "--tls",
    "--try-delay",
    "--udp",
    "--verbose",
    "-q",
    "-v",
];

/// The flags of a command as they are read.
#[derive(Default)]
pub(super) struct Flags {
    /// A file or, with true, a folder.
    pub(super) path: Option<(PathBuf, bool)>,
    pub(super) hash: Option<HashPrefix>,
    pub(super) wait: Option<Duration>,
    pub(super) max_downloads: Option<usize>,
    pub(super) mkdir: bool,
    pub(super) force: bool,
    pub(super) restart: bool,
    pub(super) hidden: bool,
    pub(super) all: bool,
}

impl Flags {
    /// Reads the words of a command: the flags among them, and the others. After `--`, none is a
    /// flag. `is_known` tells which flags the command has.
    ///
    /// # Errors
    /// Which word is wrong. `usage` says how to write the command.
    pub(super) fn read(
        line: &str,
        is_known: impl Fn(&str) -> bool,
        usage: &str,
    ) -> Result<(Self, Vec<String>), String> {
        let mut words = split_words(line)?.into_iter();
        let (mut flags, mut others, mut may_be_flag) = (Self::default(), Vec::new(), true);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--" if may_be_flag => may_be_flag = false,
                flag if may_be_flag && flag.starts_with('-') => {
                    if !is_known(split_flag(flag).0) {
                        return Err(unknown_flag(flag, usage));
                    }
                    flags.add(flag, &mut words, usage)?;
                }
                _ => others.push(word),
            }
        }
        Ok((flags, others))
    }

    /// Reads a flag. Its value is in the same word, or the next one of `words`.
    ///
    /// # Errors
    /// The flag is unknown, or its value is wrong. `usage` says how to write the command.
    fn add(
        &mut self,
        word: &str,
        words: &mut impl Iterator<Item = String>,
        usage: &str,
    ) -> Result<(), String> {
        let (flag, attached) = split_flag(word);
        let mut value = || {
            let value = attached.map(str::to_owned).or_else(|| words.next());
            value.ok_or_else(|| format!("{flag} needs a value"))
        };
        match flag {
            "-o" | "--output" | "-d" | "--dir" if self.path.is_some() => {
                return Err(format!(
                    "{flag}: only one of -o and -d may be given, and once"
                ));
            }
            "-o" | "--output" => self.path = Some((value()?.into(), false)),
            "-d" | "--dir" => self.path = Some((value()?.into(), true)),
            "--hash" => {
                let parse = |text: &str| text.parse().map_err(|_| "write 8 to 64 hex digits");
                self.hash = Some(parse_value(flag, &value()?, parse)?);
            }
            "--wait" => self.wait = Some(parse_value(flag, &value()?, seconds_or_zero)?),
            "--max-downloads" => {
                self.max_downloads = Some(parse_value(flag, &value()?, integer(1..))?);
            }
            _ => *self.switch(word, usage)? = true,
        }
        Ok(())
    }

    /// A flag without a value.
    fn switch(&mut self, word: &str, usage: &str) -> Result<&mut bool, String> {
        Ok(match word {
            "-f" | "--force" => &mut self.force,
            "--restart" => &mut self.restart,
            "--mkdir" => &mut self.mkdir,
            "--hidden" => &mut self.hidden,
            "--all" => &mut self.all,
            _ => return Err(unknown_flag(word, usage)),
        })
    }
}

/// Why the word is refused. `usage` says how to write the command.
fn unknown_flag(word: &str, usage: &str) -> String {
    let flag = split_flag(word).0;
    match CLIENT_FLAGS.contains(&flag) {
        true => format!("the prompt takes no {flag}: give it when the program starts; {usage}"),
        false => format!("unknown flag {word}; {usage}"),
    }
}

/// A flag, and the value in the same word, if there is one: `--wait=60`, `-oFILE`.
fn split_flag(word: &str) -> (&str, Option<&str>) {
    match word.split_at_checked(2) {
        Some((flag @ ("-o" | "-d"), value)) if !value.is_empty() => {
            (flag, Some(value.strip_prefix('=').unwrap_or(value)))
        }
        Some(("--", _)) => match word.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (word, None),
        },
        _ => (word, None),
    }
}

/// Parses the value of a flag. The error is that of the command line.
fn parse_value<T, E: fmt::Display>(
    flag: &str,
    value: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, String> {
    parse(value).map_err(|error| format!("invalid value '{value}' for {flag}: {error}"))
}
