//! A flag that is missing because another one needs it.

use std::ffi::OsString;
use std::iter;

use clap::error::{ContextKind, ErrorKind};
use clap::{Command, Parser};

use crate::cli::usage::{context, find_command, parse_words};

/// The sentence for the user, such as `missing --key: --certificate needs it; write --key FILE`.
pub(super) fn explain<P: Parser>(missing: &str, words: &[String], hints: &str) -> String {
    let needed_by = match flag_that_needs::<P>(missing, words, hints) {
        Some(flag) => format!("{flag} needs it; "),
        None => String::new(),
    };
    let value = value_name::<P>(missing, words).map(|name| format!(" {name}"));
    let value = value.unwrap_or_default();
    format!("missing {missing}: {needed_by}write {missing}{value}")
}

/// What stands behind a flag, if it takes a value.
fn value_name<P: Parser>(flag: &str, words: &[String]) -> Option<String> {
    let program = P::command();
    let long = flag.strip_prefix("--");
    let commands = find_command(&program, words).into_iter().chain([&program]);
    let mut args = commands.flat_map(Command::get_arguments);
    let arg = args.find(|arg| arg.get_long() == long)?;
    let names = arg.get_value_names()?;
    let name = names.first().filter(|_| arg.get_action().takes_values())?;
    Some(name.to_string())
}

/// The flag among the words without which `missing` is not missing.
fn flag_that_needs<'a, P: Parser>(
    missing: &str,
    words: &'a [String],
    hints: &str,
) -> Option<&'a str> {
    let program = P::command().get_name().to_owned();
    let is_flag = |index: usize| words.get(index).is_some_and(|word| word.starts_with('-'));
    let is_cause = |index: usize, count: usize| {
        let after = words.iter().skip(index + count);
        let others = words[..index].iter().chain(after);
        let line = iter::once(&program).chain(others).map(OsString::from);
        parse_words::<P>(line.collect(), hints).map_or_else(
            |error| {
                error.kind() == ErrorKind::MissingRequiredArgument
                    && !context(&error, ContextKind::InvalidArg)
                        .split(", ")
                        .any(|flag| flag == missing)
            },
            |_| true,
        )
    };
    let index = (0..words.len()).find(|index| {
        // Its value may be the next word.
        let has_value = !is_flag(index + 1);
        is_flag(*index) && (is_cause(*index, 1) || has_value && is_cause(*index, 2))
    })?;
    words[index].split('=').next()
}
