//! Selects the part of a file that a request asks for (RFC 9110, 13 and 14).

use std::ops::Range;
use std::time::{Duration, SystemTime};

use httpdate::parse_http_date;

/// The conditions of a request, as they were sent.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Conditions<'h> {
    pub(crate) range: Option<&'h str>,
    pub(crate) if_range: Option<&'h str>,
    pub(crate) if_match: Option<&'h str>,
    pub(crate) if_none_match: Option<&'h str>,
    pub(crate) if_modified_since: Option<&'h str>,
    pub(crate) if_unmodified_since: Option<&'h str>,
}

/// What the conditions of a request are compared with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Representation<'t> {
    /// In bytes.
    pub(crate) size: u64,
    /// The time of the last change, in whole seconds. None if it is not known.
    pub(crate) modified: Option<SystemTime>,
    /// Its strong entity tags, with their quotes; the first one is sent.
    pub(crate) tags: &'t [String],
}

/// What to send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum SelectedPart {
    /// All of the file.
    All,
    /// This part, at least one byte.
    Part(Range<u64>),
    /// Nothing: the client has the file already.
    NotModified,
    /// Nothing: the file is not the one that the client means.
    PreconditionFailed,
    /// Nothing: the file has no such part.
    NotSatisfiable,
}

/// A range of bytes as requested.
enum ByteRange {
    From(u64),
    Closed(u64, u64),
    Last(u64),
}

impl Conditions<'_> {
    /// Compares the conditions in the order of RFC 9110, 13.2.2. `now` is the time of the
    /// response.
    pub(crate) fn select(&self, file: &Representation<'_>, now: SystemTime) -> SelectedPart {
        let date = |field: Option<&str>| parse_http_date(field?).ok();
        if let Some(tags) = self.if_match {
            if tags != "*" && !file.matches(tags, false) {
                return SelectedPart::PreconditionFailed;
            }
        } else if let (Some(date), Some(modified)) = (date(self.if_unmodified_since), file.modified)
            && modified > date
        {
            return SelectedPart::PreconditionFailed;
        }
        if let Some(tags) = self.if_none_match {
            if tags == "*" || file.matches(tags, true) {
                return SelectedPart::NotModified;
            }
        } else if let (Some(date), Some(modified)) = (date(self.if_modified_since), file.modified)
            && modified <= date
        {
            return SelectedPart::NotModified;
        }
        let range = self.range.and_then(ByteRange::parse);
        match range.filter(|_| self.allows_range(file, now)) {
            Some(range) => range.of(file.size),
            None => SelectedPart::All,
        }
    }

    /// Whether the part is one of the file that the client has begun to fetch.
    fn allows_range(&self, file: &Representation<'_>, now: SystemTime) -> bool {
        match self.if_range {
            None => true,
            Some(tag) if tag.starts_with('"') => file.has_tag(tag),
            // A file that was changed within the last second could change again in the same
            // second (RFC 9110, 8.8.2.2).
            Some(date) => file.modified.is_some_and(|modified| {
                let age = now.duration_since(modified);
                parse_http_date(date).is_ok_and(|date| date == modified)
                    && age.is_ok_and(|age| age > Duration::from_secs(1))
            }),
        }
    }
}

impl Representation<'_> {
    /// Whether one of the listed tags is the file's. A weak comparison ignores `W/`.
    fn matches(&self, list: &str, weakly: bool) -> bool {
        list.split(',').map(str::trim).any(|tag| {
            let tag = match tag.strip_prefix("W/") {
                Some(tag) if weakly => tag,
                _ => tag,
            };
            self.has_tag(tag)
        })
    }

    fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|own| own == tag)
    }
}

impl ByteRange {
    /// Parses a single range of bytes. None for anything else, which a server may ignore
    /// (RFC 9110, 14.2).
    fn parse(text: &str) -> Option<Self> {
        let (unit, range) = text.split_once('=')?;
        let (first, last) = range.trim().split_once('-')?;
        let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
            // A longer number is past any end.
            true if !text.is_empty() => Some(text.parse().unwrap_or(u64::MAX)),
            _ => None,
        };
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return None;
        }
        match (first, last) {
            ("", last) => number(last).map(Self::Last),
            (first, "") => number(first).map(Self::From),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::Closed(first, last))
            }
        }
    }

    /// The part of a file of this size.
    fn of(&self, size: u64) -> SelectedPart {
        let range = match *self {
            Self::From(first) => first..size,
            Self::Closed(first, last) => first..size.min(last.saturating_add(1)),
            Self::Last(length) => size.saturating_sub(length)..size,
        };
        match range.is_empty() {
            true => SelectedPart::NotSatisfiable,
            false => SelectedPart::Part(range),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

    fn select(conditions: Conditions<'_>) -> SelectedPart {
        let modified = parse_http_date(MODIFIED).unwrap();
        let file = Representation {
            size: 100,
            modified: Some(modified),
            tags: &["\"new\"".to_owned(), "\"old\"".to_owned()],
        };
        conditions.select(&file, modified + Duration::from_secs(60))
    }

    fn range(range: &str) -> SelectedPart {
        select(Conditions {
            range: Some(range),
            ..Conditions::default()
        })
    }

    #[test]
    fn a_single_range_selects_a_part() {
        assert_eq!(range("bytes=0-0"), SelectedPart::Part(0..1));
        assert_eq!(range("bytes=90-"), SelectedPart::Part(90..100));
        assert_eq!(range("bytes=90-1000"), SelectedPart::Part(90..100));
        assert_eq!(range("bytes=-10"), SelectedPart::Part(90..100));
        assert_eq!(range("bytes=-1000"), SelectedPart::Part(0..100));
        assert_eq!(range("Bytes = 1-2"), SelectedPart::Part(1..3));
        assert_eq!(
            range("bytes=0-99999999999999999999"),
            SelectedPart::Part(0..100)
        );
    }

    #[test]
    fn a_range_past_the_end_is_not_satisfiable() {
        for past in [
            "bytes=100-",
            "bytes=100-200",
            "bytes=-0",
            "bytes=99999999999999999999-",
        ] {
            assert_eq!(range(past), SelectedPart::NotSatisfiable, "{past}");
        }
    }

    #[test]
    fn what_is_no_single_range_is_ignored() {
        for other in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=2-1",
            "lines=1-2",
            "bytes=0-1,5-6",
            "bytes=+1-2",
            "bytes=1-2-3",
        ] {
            assert_eq!(range(other), SelectedPart::All, "{other}");
        }
    }

    #[test]
    fn a_range_of_another_content_is_ignored() {
        let if_range = |value| {
            select(Conditions {
                range: Some("bytes=1-2"),
                if_range: Some(value),
                ..Conditions::default()
            })
        };
        assert_eq!(if_range("\"new\""), SelectedPart::Part(1..3));
        assert_eq!(if_range("\"old\""), SelectedPart::Part(1..3));
        assert_eq!(if_range(MODIFIED), SelectedPart::Part(1..3));
        for other in ["\"other\"", "W/\"new\"", LATER, EARLIER, "nonsense"] {
            assert_eq!(if_range(other), SelectedPart::All, "{other}");
        }
    }

    #[test]
    fn a_date_of_this_second_is_no_proof() {
        let file = Representation {
            size: 100,
            modified: Some(UNIX_EPOCH),
            tags: &[],
        };
        let conditions = Conditions {
            range: Some("bytes=1-2"),
            if_range: Some("Thu, 01 Jan 1970 00:00:00 GMT"),
            ..Conditions::default()
        };
        assert_eq!(conditions.select(&file, UNIX_EPOCH), SelectedPart::All);
    }

    #[test]
    fn a_client_that_has_the_file_gets_nothing() {
        let if_none_match = |value| {
            select(Conditions {
                if_none_match: Some(value),
                ..Conditions::default()
            })
        };
        for same in ["*", "\"new\"", "W/\"new\"", "\"a\", \"old\""] {
            assert_eq!(if_none_match(same), SelectedPart::NotModified, "{same}");
        }
        assert_eq!(if_none_match("\"a\""), SelectedPart::All);
        let since = |date| {
            select(Conditions {
                if_modified_since: Some(date),
                ..Conditions::default()
            })
        };
        assert_eq!(since(MODIFIED), SelectedPart::NotModified);
        assert_eq!(since(LATER), SelectedPart::NotModified);
        assert_eq!(since(EARLIER), SelectedPart::All);
        assert_eq!(since("nonsense"), SelectedPart::All);
    }

    #[test]
    fn tags_count_more_than_dates() {
        let both = Conditions {
            if_none_match: Some("\"a\""),
            if_modified_since: Some(LATER),
            ..Conditions::default()
        };
        assert_eq!(select(both), SelectedPart::All);
        let both = Conditions {
            if_match: Some("\"new\""),
            if_unmodified_since: Some(EARLIER),
            ..Conditions::default()
        };
        assert_eq!(select(both), SelectedPart::All);
    }

    #[test]
    fn a_precondition_must_hold() {
        let if_match = |value| {
            select(Conditions {
                if_match: Some(value),
                ..Conditions::default()
            })
        };
        assert_eq!(if_match("*"), SelectedPart::All);
        assert_eq!(if_match("\"a\", \"new\""), SelectedPart::All);
        assert_eq!(if_match("\"a\""), SelectedPart::PreconditionFailed);
        assert_eq!(if_match("W/\"new\""), SelectedPart::PreconditionFailed);
        let unmodified = |date| {
            select(Conditions {
                if_unmodified_since: Some(date),
                ..Conditions::default()
            })
        };
        assert_eq!(unmodified(EARLIER), SelectedPart::PreconditionFailed);
        assert_eq!(unmodified(MODIFIED), SelectedPart::All);
    }
}
