//! Answers each line with the same text from memory; only the digits of the
//! number that is asked for differ.

use std::{fs, io};

use super::lines;
use crate::exchange::Template;

/// `reply` is the file that holds the template.
pub(super) fn run(reply: &str) -> io::Result<()> {
    let reply = Template::new(fs::read(reply)?);
    lines::serve(|line, to| reply.print(number_in(line), to))
}

/// The six digits in a line, or 0.
pub(super) fn number_in(line: &[u8]) -> u32 {
    let runs = line.split(|byte| !byte.is_ascii_digit());
    let digits = runs.max_by_key(|run| run.len()).unwrap_or_default();
    digits
        .iter()
        .fold(0, |number, digit| number * 10 + u32::from(digit - b'0'))
}
