//! Parses the command line. An error is one sentence that says what is wrong and
//! what to write instead, never the text of a library.

use std::error::Error as _;
use std::ffi::OsString;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::cli::relay_address::has_port;
use crate::cli::{Program, StartupError};

/// What is wrong with a command line.
pub struct Mistake<'a> {
    /// The kind of the mistake.
    pub kind: MistakeKind,
    /// The flag, the word or the name of the value that it is about: `--lease`.
    pub subject: &'a str,
    /// All words after the name of the program.
    pub words: &'a [String],
}

/// The mistakes for which a program may know what the user means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MistakeKind {
    /// The program has no such flag.
    UnknownFlag,
    /// The program has no such command.
    UnknownCommand,
    /// A word too many.
    UnexpectedWord,
    /// A word is missing.
    Missing,
    /// A value is not of the right form. The subject is the value's name.
    InvalidValue,
}

impl Mistake<'_> {
    /// Whether the subject is one of these.
    pub(super) fn is_about(&self, subjects: &[&str]) -> bool {
        subjects.contains(&self.subject)
    }

    /// The first word that is a port.
    pub(super) fn port(&self) -> Option<&str> {
        let words = self.words.iter();
        let mut values = words.map(|word| word.rsplit(['=', ':']).next().unwrap_or(word));
        values.find(|word| word.parse::<u16>().is_ok())
    }
}

/// Parses the words after the name of the program. Returns none if the user asked for
/// help or version, which has been printed.
pub(super) fn parse<P: Program>(words: &[OsString]) -> Result<Option<P>, StartupError> {
    let program = OsString::from(P::command().get_name());
    let parse = |words: &[OsString]| {
        P::command().try_get_matches_from(std::iter::once(&program).chain(words))
    };
    let matches = parse(words);
    let error = match matches.and_then(|mut matches| P::from_arg_matches_mut(&mut matches)) {
        Ok(args) => return Ok(Some(args)),
        Err(error) if error.use_stderr() => error,
        Err(help) => {
            // A closed stdout is not an error.
            let _ = help.print();
            return Ok(None);
        }
    };
    let words: Vec<String> = words
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    // After HOST:PORT, a word is a command, not a second port that is wrong.
    let is_second = context(&error, ContextKind::InvalidArg) == "PORT"
        && !has_port(&context(&error, ContextKind::InvalidValue));
    let error = match split_address(&words).filter(|_| is_second) {
        Some(words) => parse(&words).err().unwrap_or(error),
        None => error,
    };
    Err(StartupError::usage(explain::<P>(&error, &words)))
}

/// The words with the first HOST:PORT as two words.
fn split_address(words: &[String]) -> Option<Vec<OsString>> {
    let index = words.iter().position(|word| has_port(word))?;
    let (host, port) = words[index].rsplit_once(':')?;
    let mut words: Vec<OsString> = words.iter().map(OsString::from).collect();
    words.splice(index..=index, [host.into(), port.into()]);
    Some(words)
}

/// The command that prints the help about the words.
pub(super) fn help_command<P: Program>(words: &[OsString]) -> String {
    let command = P::command();
    let subcommand = words.iter().find_map(|word| command.find_subcommand(word));
    let topic = subcommand.map_or(String::new(), |command| format!(" {}", command.get_name()));
    format!("{}{topic} --help", command.get_name())
}

/// The sentence for the user.
fn explain<P: Program>(error: &clap::Error, words: &[String]) -> String {
    let command = P::command();
    let subcommand = words.iter().find_map(|word| command.find_subcommand(word));
    let value = context(error, ContextKind::InvalidValue);
    let subject = match context(error, ContextKind::InvalidArg) {
        subject if subject.is_empty() => context(error, ContextKind::InvalidSubcommand),
        subject => subject,
    };
    let hint = |kind| {
        let mistake = Mistake {
            kind,
            subject: &subject,
            words,
        };
        P::hint(&mistake)
    };
    match error.kind() {
        ErrorKind::ValueValidation => {
            let reason = hint(MistakeKind::InvalidValue)
                .or_else(|| Some(error.source()?.to_string()))
                .unwrap_or_default();
            format!("invalid value '{value}' for {subject}: {reason}")
        }
        ErrorKind::InvalidValue => format!("{subject} needs a value"),
        ErrorKind::MissingRequiredArgument => {
            let hint = hint(MistakeKind::Missing);
            format!("missing {subject}{}", after_colon(hint))
        }
        ErrorKind::UnknownArgument if subject.starts_with('-') => {
            let hint =
                hint(MistakeKind::UnknownFlag).or_else(|| flag_hint(&command, subcommand, error));
            format!("unknown flag {subject}{}", after_colon(hint))
        }
        ErrorKind::UnknownArgument if command.has_subcommands() && subcommand.is_none() => {
            let hint =
                hint(MistakeKind::UnknownCommand).or_else(|| hint(MistakeKind::UnexpectedWord));
            format!("unknown command '{subject}'{}", after_colon(hint))
        }
        ErrorKind::UnknownArgument => {
            let hint = hint(MistakeKind::UnexpectedWord);
            format!("unexpected word '{subject}'{}", after_colon(hint))
        }
        ErrorKind::InvalidSubcommand => {
            let hint = hint(MistakeKind::UnknownCommand)
                .or_else(|| similar(error, ContextKind::SuggestedSubcommand));
            format!("unknown command '{subject}'{}", after_colon(hint))
        }
        ErrorKind::ArgumentConflict => match context(error, ContextKind::PriorArg) {
            prior if prior == subject || prior.is_empty() => {
                format!("{subject} may be given only once")
            }
            prior => format!("{subject} and {prior} exclude each other"),
        },
        ErrorKind::TooManyValues => format!("{subject} takes no value, but '{value}' was given"),
        ErrorKind::InvalidUtf8 => "the command line contains a word that is not UTF-8".into(),
        _ => "wrong command line".into(),
    }
}

fn after_colon(hint: Option<String>) -> String {
    hint.map_or(String::new(), |hint| format!(": {hint}"))
}

/// The hint for a flag that is misspelled, or that stands on the wrong side of the
/// command.
fn flag_hint(
    command: &Command,
    subcommand: Option<&Command>,
    error: &clap::Error,
) -> Option<String> {
    let flag = context(error, ContextKind::InvalidArg);
    if flag.trim_start_matches('-').parse::<f64>().is_ok() {
        return Some("a value cannot be negative".into());
    }
    let has_flag = |command: &Command| {
        command.get_arguments().any(|arg| {
            arg.get_long() == flag.strip_prefix("--")
                || arg
                    .get_short()
                    .is_some_and(|short| flag == format!("-{short}"))
        })
    };
    let owner = command.get_subcommands().find(|command| has_flag(command));
    match owner {
        Some(owner) => {
            let name = owner.get_name();
            Some(format!("it is a flag of {name}; write it after {name}"))
        }
        None if has_flag(command) => Some(format!("write it before {}", subcommand?.get_name())),
        None => similar(error, ContextKind::SuggestedArg),
    }
}

fn similar(error: &clap::Error, kind: ContextKind) -> Option<String> {
    let word = Some(context(error, kind)).filter(|word| !word.is_empty())?;
    Some(format!("did you mean {word}?"))
}

/// A part of clap's error, as the user would write it: `--lease <SECONDS>` is `--lease`,
/// `<PORT>` is `PORT`.
fn context(error: &clap::Error, kind: ContextKind) -> String {
    let plain = |text: &String| {
        let flag = text.split(" <").next().unwrap_or(text);
        flag.trim_matches(['<', '>', '[', ']', '.']).to_owned()
    };
    match error.get(kind) {
        Some(ContextValue::String(text)) if kind == ContextKind::InvalidValue => text.clone(),
        Some(ContextValue::String(text)) => plain(text),
        Some(ContextValue::Strings(texts)) => {
            let texts: Vec<String> = texts.iter().map(plain).collect();
            texts.join(", ")
        }
        _ => String::new(),
    }
}
