//! Answers each line with a template in memory, for the number in the line.

use std::{fs, io};

use super::line_server;
use crate::request_spec::Template;

/// `reply` is the path of the template.
pub(super) fn run(reply: &str) -> io::Result<()> {
    let reply = Template::new(fs::read(reply)?);
    line_server::serve(|line, to| reply.print(number_in(line), to))
}

/// The number in a line, or 0.
pub(super) fn number_in(line: &[u8]) -> u32 {
    let runs = line.split(|byte| !byte.is_ascii_digit());
    let digits = runs.max_by_key(|run| run.len()).unwrap_or_default();
    digits
        .iter()
        .fold(0, |number, digit| number * 10 + u32::from(digit - b'0'))
}
