//! Parses the command line. An error is one sentence that says what is wrong and
//! what to write instead, never the text of a library.

mod missing_flag;

use std::error::Error as _;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::iter;
use std::net::IpAddr;
use std::process;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, Command, Parser};

use crate::cli::host_port::{announces_node, has_port, join_node_address, names_node, names_relay};
use crate::cli::relay_address::RELAY_VARIABLE;
use crate::cli::{StartupError, values};
use crate::jobs::quoted;
use crate::stdio::Stdout;
use crate::system_error::check_close;

/// The end of each help. docs/exit-codes.md has all codes.
const EXIT_CODES: &str = "\
Exit codes: 0 success, 1 not found, 2 wrong command line, 3 no relay, 4 broken off, \
5 not found at the nodes that could be asked, 6 cannot save or print, 7 to 11 cannot start or stop, \
12 several or wrong contents, 130 interrupted; docs/exit-codes.md explains them.";

/// Parses the command line of the process. `words` are its words without the name of
/// the program. If the user asks for help or version, the process exits.
///
/// `hints` is a table of `problem | subjects | hint`, one line per hint. The hint says
/// what to write instead; see [`fill`] for its placeholders. The problem is the
/// beginning of the error, such as `unknown flag`. The subjects are separated by blanks.
/// Each is a flag, a word, the name of a value, the command on the command line,
/// `no-command` or `any`. The first line that applies is used.
///
/// A line `hidden flag | flags | commands` removes flags of all commands from the help of
/// those that do not use them.
///
/// # Errors
/// The sentence for the user.
pub(super) fn parse<P: Parser>(words: &[String], hints: &str) -> Result<P, StartupError> {
    let error = match parse_words(std::env::args_os().collect(), hints) {
        Ok(args) => return Ok(args),
        Err(error) if error.use_stderr() => error,
        Err(help) => {
            let printed = print_help(&help).and_then(|()| check_close(io::stdout()));
            printed.map_err(StartupError::stdout)?;
            process::exit(0);
        }
    };
    // The word after HOST:PORT is a command, although clap takes it for the port.
    let is_command = context(&error, ContextKind::InvalidArg) == "PORT"
        && !has_port(&context(&error, ContextKind::InvalidValue));
    let error = match split_address::<P>(words).filter(|_| is_command) {
        Some(words) => P::try_parse_from(words).err().unwrap_or(error),
        None => error,
    };
    Err(StartupError::usage(explain::<P>(&error, words, hints)))
}

/// Parses a whole command line. With `--from` there is no relay, with `--relay` the first one
/// may be missing, and a node that is announced needs none.
fn parse_words<P: Parser>(words: Vec<OsString>, hints: &str) -> Result<P, clap::Error> {
    let words = join_node_address(words);
    let mut program = P::command();
    let has_relay = program.get_arguments().any(|arg| arg.get_id() == "relay");
    let is_direct = has_relay && names_node(&words);
    if is_direct || (has_relay && (names_relay(&words) || announces_node(&words))) {
        program = program.mut_arg("relay", |arg| arg.required(false));
    }
    // Each command has the flags of all commands from here on.
    program.build();
    let program = hide_flags(program, hints).mut_subcommands(with_exit_codes);
    let mut program = with_exit_codes(program);
    let matches = program.try_get_matches_from_mut(words)?;
    if is_direct && matches.value_source("relay") == Some(ValueSource::CommandLine) {
        let mut error = clap::Error::new(ErrorKind::ArgumentConflict).with_cmd(&program);
        let argument = |name: &str| ContextValue::String(name.into());
        error.insert(ContextKind::InvalidArg, argument("RELAY"));
        error.insert(ContextKind::PriorArg, argument("--from"));
        return Err(error);
    }
    P::from_arg_matches(&matches).map_err(|error| error.format(&mut program))
}

/// The help ends with the exit codes.
fn with_exit_codes(program: Command) -> Command {
    let text = match program.get_after_help() {
        Some(text) => format!("{text}\n\n{EXIT_CODES}"),
        None => EXIT_CODES.to_owned(),
    };
    program.after_help(text)
}

fn hide_flags(program: Command, hints: &str) -> Command {
    let hidden: Vec<(&str, &str)> = hints
        .lines()
        .filter_map(|line| line.strip_prefix("hidden flag | ")?.split_once(" | "))
        .collect();
    program.mut_subcommands(|command| {
        let name = command.get_name().to_owned();
        let is_hidden = |arg: &Arg| {
            let long = arg.get_long().map(|long| format!("--{long}"));
            let has = |words: &str, word: &str| words.split(' ').any(|other| other == word);
            let mut lines = hidden.iter();
            long.is_some_and(|long| {
                lines.any(|(flags, commands)| has(flags, &long) && has(commands, &name))
            })
        };
        command.mut_args(|arg| match is_hidden(&arg) {
            true => arg.hide(true),
            false => arg,
        })
    })
}

/// Prints with the colours that clap chooses for a terminal.
fn print_help(help: &clap::Error) -> io::Result<()> {
    match io::stdout().is_terminal() {
        true => help.print(),
        false => write!(Stdout, "{}", help.render()),
    }
}

/// The whole command line with the first HOST:PORT as two words.
fn split_address<P: Parser>(words: &[String]) -> Option<Vec<String>> {
    let index = words.iter().position(|word| has_port(word))?;
    let (host, port) = words[index].rsplit_once(':')?;
    let program = P::command().get_name().to_owned();
    let mut words: Vec<String> = iter::once(program).chain(words.iter().cloned()).collect();
    words.splice(index + 1..=index + 1, [host.into(), port.into()]);
    Some(words)
}

/// The command that prints the help about the words.
pub(super) fn help_command<P: Parser>(words: &[String]) -> String {
    let program = P::command();
    match find_command(&program, words) {
        Some(command) => format!("{} {} --help", program.get_name(), command.get_name()),
        None => format!("{} --help", program.get_name()),
    }
}

fn find_command<'a>(program: &'a Command, words: &[String]) -> Option<&'a Command> {
    words.iter().find_map(|word| program.find_subcommand(word))
}

/// The sentence for the user.
fn explain<P: Parser>(error: &clap::Error, words: &[String], hints: &str) -> String {
    let program = P::command();
    let command = find_command(&program, words);
    let value = context(error, ContextKind::InvalidValue);
    let subject = subject(error);
    let is_flag = subject.starts_with('-');
    let (problem, rest) = match error.kind() {
        ErrorKind::ValueValidation if subject == "RELAY" && !words.contains(&value) => {
            ("invalid value", format!("'{value}' for {RELAY_VARIABLE}"))
        }
        ErrorKind::ValueValidation => ("invalid value", format!("'{value}' for {subject}")),
        ErrorKind::MissingRequiredArgument if is_flag => {
            return missing_flag::explain::<P>(&subject, words, hints);
        }
        ErrorKind::MissingRequiredArgument => ("missing", subject.clone()),
        ErrorKind::UnknownArgument if is_flag => ("unknown flag", subject.clone()),
        ErrorKind::UnknownArgument if command.is_some() || !program.has_subcommands() => {
            ("unexpected word", format!("'{subject}'"))
        }
        ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand => {
            ("unknown command", format!("'{subject}'"))
        }
        ErrorKind::InvalidValue => return format!("{subject} needs a value"),
        ErrorKind::ArgumentConflict => match context(error, ContextKind::PriorArg) {
            prior if prior == subject || prior.is_empty() => {
                return format!("{subject} may be given only once");
            }
            prior => return format!("{subject} and {prior} cannot be used together"),
        },
        ErrorKind::TooManyValues => {
            return format!("{subject} takes no value, but '{value}' was given");
        }
        ErrorKind::InvalidUtf8 => {
            return "the command line contains a word that is not UTF-8".into();
        }
        _ => return "wrong command line".into(),
    };
    let about = [
        subject.as_str(),
        command.map_or("no-command", Command::get_name),
    ];
    let other_hint = || match error.kind() {
        ErrorKind::ValueValidation => Some(error.source()?.to_string()),
        ErrorKind::UnknownArgument if is_flag => flag_hint(&program, command, &subject, error),
        // Perhaps the word is not meant as a command.
        ErrorKind::UnknownArgument => find_hint(hints, "unexpected word", about, words),
        ErrorKind::InvalidSubcommand => similar(error, ContextKind::SuggestedSubcommand),
        _ => None,
    };
    match find_hint(hints, problem, about, words).or_else(other_hint) {
        Some(hint) => format!("{problem} {rest}: {hint}"),
        None => format!("{problem} {rest}"),
    }
}

/// What the error is about. If arguments and flags are missing, the arguments come first.
fn subject(error: &clap::Error) -> String {
    let subjects = match context(error, ContextKind::InvalidArg) {
        subject if subject.is_empty() => context(error, ContextKind::InvalidSubcommand),
        subject => subject,
    };
    let arguments = subjects.split(", ").filter(|word| !word.starts_with('-'));
    let arguments: Vec<&str> = arguments.collect();
    match (error.kind(), &arguments[..]) {
        (ErrorKind::MissingRequiredArgument, [_, ..]) => arguments.join(", "),
        _ => subjects,
    }
}

/// The hint for a problem about a subject and a command.
fn find_hint(hints: &str, problem: &str, about: [&str; 2], words: &[String]) -> Option<String> {
    hints.lines().find_map(|line| {
        let (first, rest) = line.split_once(" | ")?;
        let (subjects, hint) = rest.split_once(" | ")?;
        let is_about = |subject| subject == "any" || about.contains(&subject);
        let applies = first == problem && subjects.split(' ').any(is_about);
        applies.then(|| fill(hint, about, words)).flatten()
    })
}

/// Replaces the placeholders of a hint: `{subject}`, `{port}` (the first port among the
/// words, or 8888), `{address}` (the first IP address), `{words}` (the words with the
/// relay's address at the front) and `{before}` (the words before the command or, without one,
/// before the subject, each with a blank behind it). Words that stand in a command are quoted.
/// None if the hint needs an address, and the words have none.
fn fill(hint: &str, [subject, command]: [&str; 2], words: &[String]) -> Option<String> {
    let mut values = words
        .iter()
        .map(|word| word.rsplit(['=', ':']).next().unwrap_or(word));
    let port = values.find(|word| word.parse::<u16>().is_ok());
    let hint = hint.replace("{port}", port.unwrap_or("8888"));
    let hint = match hint.contains("{address}") {
        true => hint.replace("{address}", words.iter().find_map(|word| address(word))?),
        false => hint,
    };
    let position = |wanted: &str| words.iter().rposition(|word| *word == wanted);
    let end = position(command).or_else(|| position(subject)).unwrap_or(0);
    let before = words[..end].iter().map(|word| quoted(word) + " ");
    let before: String = before.collect();
    let words = address_first(words).join(" ");
    Some(
        hint.replace("{words}", &words)
            .replace("{before}", &before)
            .replace("{subject}", &quoted(subject)),
    )
}

/// The IP address in a word such as `localhost:8888`.
fn address(word: &str) -> Option<&str> {
    match word.rsplit_once(':').map_or(word, |(host, _)| host) {
        "localhost" => Some("127.0.0.1"),
        host => values::ip(host).is_ok().then_some(host),
    }
}

/// The words with the relay's address at the front, or with an example of one.
fn address_first(words: &[String]) -> Vec<&str> {
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    let is_host = |word: &str| word == "localhost" || word.parse::<IpAddr>().is_ok();
    let pair = words
        .windows(2)
        .position(|pair| is_host(pair[0]) && values::port(pair[1]).is_ok());
    if let Some(host) = pair {
        words[..host + 2].rotate_right(2);
    } else if let Some(address) = words.iter().position(|word| has_port(word)) {
        words[..=address].rotate_right(1);
    } else {
        words.insert(0, "127.0.0.1:8888");
    }
    words
}

/// The hint for a flag that is misspelled, or that stands on the wrong side of the
/// command.
fn flag_hint(
    program: &Command,
    command: Option<&Command>,
    flag: &str,
    error: &clap::Error,
) -> Option<String> {
    if flag.trim_start_matches('-').parse::<f64>().is_ok() {
        return Some("a value cannot be negative".into());
    }
    let has_flag = |command: &Command| {
        command.get_arguments().any(|arg| {
            let long = arg.get_long().map(|long| format!("--{long}"));
            let short = arg.get_short().map(|short| format!("-{short}"));
            long.as_deref() == Some(flag) || short.as_deref() == Some(flag)
        })
    };
    let owner = program.get_subcommands().find(|command| has_flag(command));
    match owner.map(Command::get_name) {
        Some(owner) => Some(format!("it is a flag of {owner}; write it after {owner}")),
        None if has_flag(program) => Some(format!("write it before {}", command?.get_name())),
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
