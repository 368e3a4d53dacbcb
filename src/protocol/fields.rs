//! Blanks and fields: a blank is a space or a tab, nothing else.

use nom::bytes::complete::{take_till1, take_while, take_while1};
use nom::character::complete::digit1;
use nom::combinator::map_res;
use nom::sequence::preceded;
use nom::{IResult, Parser};

use crate::protocol::hash::MaybeHash;

pub(super) fn is_blank(c: char) -> bool {
    c == ' ' || c == '\t'
}

/// Drops the blanks at both ends.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(is_blank)
}

/// The next field: skips blanks, takes all up to the next blank.
pub(super) fn field(input: &str) -> IResult<&str, &str> {
    preceded(take_while(is_blank), take_till1(is_blank)).parse(input)
}

/// The next field as a decimal number of 64 bits; a sign is refused.
pub(super) fn number(input: &str) -> IResult<&str, u64> {
    map_res(field, whole_number).parse(input)
}

/// The next field as a hash.
pub(super) fn hash(input: &str) -> IResult<&str, MaybeHash> {
    map_res(field, str::parse).parse(input)
}

/// The last field: skips blanks, takes everything to the end of the line.
/// The line must have been trimmed.
pub(super) fn last(input: &str) -> IResult<&str, &str> {
    let (rest, _) = take_while1(is_blank).parse(input)?;
    Ok(("", rest))
}

fn whole_number(text: &str) -> Result<u64, nom::Err<nom::error::Error<&str>>> {
    let (_, digits) = nom::combinator::all_consuming(digit1).parse(text)?;
    digits
        .parse()
        .map_err(|_| nom::Err::Error(nom::error::Error::new(text, nom::error::ErrorKind::Digit)))
}
