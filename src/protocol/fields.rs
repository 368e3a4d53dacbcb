//! The fields of a line and the blanks between them. A blank is a space or a tab.

use std::fmt;
use std::str::FromStr;

use nom::bytes::complete::take_while1;
use nom::combinator::{map_opt, map_res};
use nom::error::{Error, ErrorKind};
use nom::{IResult, Parser};

use crate::protocol::hash::{ContentHash, MaybeHash};

pub(super) fn is_blank(c: char) -> bool {
    c == ' ' || c == '\t'
}

/// Removes the blanks at both ends.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(is_blank)
}

/// The next field: skips blanks and takes all characters up to the next blank.
pub(super) fn field(input: &str) -> IResult<&str, &str> {
    let start = input.trim_start_matches(is_blank);
    let end = memchr::memchr2(b' ', b'\t', start.as_bytes()).unwrap_or(start.len());
    match start.split_at(end) {
        ("", _) => Err(nom::Err::Error(Error::new(start, ErrorKind::TakeTill1))),
        (field, rest) => Ok((rest, field)),
    }
}

/// The next field as an unsigned decimal number.
pub(super) fn number<N: FromStr>(input: &str) -> IResult<&str, N> {
    map_opt(field, |text| decimal(text, text)).parse(input)
}

/// The next field as a decimal number that may be negative.
pub(super) fn signed_number(input: &str) -> IResult<&str, i64> {
    map_opt(field, |text| {
        decimal(text, text.strip_prefix('-').unwrap_or(text))
    })
    .parse(input)
}

/// The next field as a hash.
pub(super) fn hash(input: &str) -> IResult<&str, MaybeHash> {
    map_res(field, str::parse).parse(input)
}

/// The next field as a hash that is known.
pub(super) fn known_hash(input: &str) -> IResult<&str, ContentHash> {
    map_res(field, str::parse).parse(input)
}

/// The last field: skips blanks and takes the rest of the line, which must have
/// been trimmed.
pub(super) fn last(input: &str) -> IResult<&str, &str> {
    let (rest, _) = take_while1(is_blank).parse(input)?;
    Ok(("", rest))
}

/// Parses `text` if `digits`, its part after a sign, holds nothing but digits:
/// the standard parsers also accept `+`.
pub(super) fn decimal<N: FromStr>(text: &str, digits: &str) -> Option<N> {
    let is_decimal = digits.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_decimal)
}

/// A line is not a reply, or not an item of its list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ParseError;

impl<E> From<nom::Err<E>> for ParseError {
    fn from(_: nom::Err<E>) -> Self {
        Self
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the line is not a reply of this protocol")
    }
}

impl std::error::Error for ParseError {}
