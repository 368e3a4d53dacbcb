//! The parts of a file that a node has while it is still fetching the rest.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use crate::protocol::fields::ParseError;

/// Parts of a file, in order. Prints as `first-last` offsets of bytes with commas between, or
/// as `-` if there are none.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct FileParts(Vec<Range<u64>>);

impl FileParts {
    /// The most parts that are named. They fit into one line.
    pub const MAX: usize = 64;

    /// The first parts of ranges in order. Adjacent ranges become one part.
    pub fn new(ranges: impl IntoIterator<Item = Range<u64>>) -> Self {
        let mut parts: Vec<Range<u64>> = Vec::new();
        for range in ranges {
            match parts.last_mut() {
                _ if range.is_empty() => {}
                Some(last) if last.end == range.start => last.end = range.end,
                _ => parts.push(range),
            }
            if parts.len() > Self::MAX {
                parts.pop();
                break;
            }
        }
        Self(parts)
    }

    /// Whether all bytes of a range are there.
    #[must_use]
    pub fn contains(&self, range: &Range<u64>) -> bool {
        let before = self.0.partition_point(|part| part.end < range.end);
        let part = self.0.get(before);
        part.is_some_and(|part| part.start <= range.start && range.end <= part.end)
    }
}

impl FromStr for FileParts {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text == "-" {
            return Ok(Self::default());
        }
        let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
            true => text.parse().map_err(|_| ParseError),
            false => Err(ParseError),
        };
        let mut parts = Vec::new();
        let mut end = 0;
        for part in text.split(',') {
            let (first, last) = part.split_once('-').ok_or(ParseError)?;
            let (first, last): (u64, u64) = (number(first)?, number(last)?);
            if first < end || last < first || last == u64::MAX || parts.len() == Self::MAX {
                return Err(ParseError);
            }
            end = last + 1;
            parts.push(first..end);
        }
        Ok(Self::new(parts))
    }
}

impl fmt::Display for FileParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("-");
        }
        for (index, part) in self.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{}-{}", part.start, part.end - 1)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_print_as_they_parse() {
        let parts = FileParts::new([0..10, 10..20, 30..31, 40..40]);
        assert_eq!(parts.to_string(), "0-19,30-30");
        assert_eq!("0-19,30-30".parse(), Ok(parts.clone()));
        assert!(parts.contains(&(5..20)) && parts.contains(&(30..31)));
        assert!(!parts.contains(&(19..21)) && !parts.contains(&(31..32)));
        assert_eq!("-".parse(), Ok(FileParts::default()));
        for wrong in [
            "",
            "1",
            "2-1",
            "5-9,7-8",
            "-1-2",
            "+1-2",
            "1-2,",
            "0-18446744073709551615",
        ] {
            assert_eq!(wrong.parse::<FileParts>(), Err(ParseError), "{wrong}");
        }
    }

    #[test]
    fn many_parts_fit_into_one_line() {
        let start = u64::MAX - 1000;
        let parts = FileParts::new((0..200).map(|index| start + 2 * index..start + 2 * index + 1));
        let text = parts.to_string();
        assert_eq!(text.split(',').count(), FileParts::MAX);
        assert!(text.len() < 3000, "{}", text.len());
        assert_eq!(text.parse(), Ok(parts));
    }
}
