//! Values as the pages show them.

use std::fmt::{self, Display};
use std::time::{Duration, SystemTime};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};

use crate::wall_clock::LAST_SECOND;

/// What stays as it is in the path of a link. No character of it needs quotes in HTML.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'/')
    .remove(b'_')
    .remove(b'~');

/// What stays as it is in a value of a query: no slash.
const QUERY: &AsciiSet = &PATH.add(b'/');

/// A name as the path of a link.
pub(crate) fn path(name: &str) -> PercentEncode<'_> {
    utf8_percent_encode(name, PATH)
}

/// A text as a value in the query of a link.
pub(crate) fn query(value: &str) -> PercentEncode<'_> {
    utf8_percent_encode(value, QUERY)
}

/// A time in seconds since 1970 as a date and a time of day, in UTC: `2026-11-26 14:03`.
/// Empty for times before 1970 and after the year 9999.
pub(crate) fn minute(seconds: i64) -> impl Display {
    fmt::from_fn(move |f| {
        let since = u64::try_from(seconds).ok().map(Duration::from_secs);
        let time = since.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
        let Some(time) = time.filter(|_| seconds <= LAST_SECOND) else {
            return Ok(());
        };
        // 2026-11-26T14:03:22Z
        let text = humantime::format_rfc3339_seconds(time).to_string();
        write!(f, "{} {}", &text[..10], &text[11..16])
    })
}

/// An error text as a sentence: with a capital letter, unless it begins with something else
/// than a word, and a full stop.
pub(crate) fn sentence(text: &str) -> String {
    let (word, rest) = text.split_at(text.find(' ').unwrap_or(text.len()));
    let is_word = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let stop = if text.ends_with(['.', '?', '!']) {
        ""
    } else {
        "."
    };
    match is_word {
        true => format!("{}{}{rest}{stop}", word[..1].to_uppercase(), &word[1..]),
        false => format!("{text}{stop}"),
    }
}

/// The two halves of a hash: a narrow page breaks it between them, so that the lines are of
/// one length.
pub(crate) fn halves(digits: &str) -> (&str, &str) {
    digits
        .split_at_checked(digits.len() / 2)
        .unwrap_or((digits, ""))
}

/// How long ago something was: `59 min`, `47 h`, `2 d`.
pub(crate) fn age(age: Duration) -> impl Display {
    let minutes = age.as_secs() / 60;
    let hours = minutes / 60;
    fmt::from_fn(move |f| match hours {
        0 => write!(f, "{minutes} min"),
        1..48 => write!(f, "{hours} h"),
        _ => write!(f, "{} d", hours / 24),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_encoded() {
        assert_eq!(path("a b/ü%<.txt").to_string(), "a%20b/%C3%BC%25%3C.txt");
        assert_eq!(path("a:b?c#d\"e'").to_string(), "a%3Ab%3Fc%23d%22e%27");
        assert_eq!(query("a/b&c=+").to_string(), "a%2Fb%26c%3D%2B");
    }

    #[test]
    fn an_error_becomes_a_sentence() {
        assert_eq!(sentence("no such file"), "No such file.");
        let id = "sha256//a is not in --allow-ids";
        assert_eq!(sentence(id), format!("{id}."));
        assert_eq!(sentence("TLS only; say https"), "TLS only; say https.");
        assert_eq!(sentence(""), ".");
    }

    #[test]
    fn a_hash_has_two_halves() {
        assert_eq!(halves("01234567"), ("0123", "4567"));
        assert_eq!(halves(""), ("", ""));
    }

    #[test]
    fn ages_have_one_unit() {
        let text = |minutes: u64| age(Duration::from_secs(minutes * 60)).to_string();
        assert_eq!([0, 59, 60].map(text), ["0 min", "59 min", "1 h"]);
        assert_eq!([48 * 60 - 1, 48 * 60].map(text), ["47 h", "2 d"]);
    }

    #[test]
    fn times_are_in_utc() {
        assert_eq!(minute(0).to_string(), "1970-01-01 00:00");
        assert_eq!(minute(784_111_777).to_string(), "1994-11-06 08:49");
        assert_eq!(minute(LAST_SECOND).to_string(), "9999-12-31 23:59");
        for other in [-1, LAST_SECOND + 1, i64::MAX, i64::MIN] {
            assert_eq!(minute(other).to_string(), "", "{other}");
        }
    }
}
