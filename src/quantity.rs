//! Parses the quantities of a command line: numbers, bytes, times. A quantity with
//! a unit is an error whose text contains the right form. Only a rate may have a unit.

use std::num::IntErrorKind;
use std::ops::{Bound, RangeBounds};
use std::time::Duration;

/// The longest time of a flag, in seconds: a year.
const MAX_SECONDS: f64 = 366.0 * 86_400.0;

/// The longest lease, in seconds: a day.
const MAX_LEASE: u64 = 86_400;

/// Names of a unit, and its seconds.
const TIME_UNITS: [(&str, f64); 5] = [
    ("ms", 0.001),
    ("s sec secs second seconds", 1.0),
    ("m min mins minute minutes", 60.0),
    ("h hour hours", 3600.0),
    ("d day days", 86_400.0),
];

/// Names of a unit, and its bytes.
const BYTE_UNITS: [(&str, f64); 7] = [
    ("b byte bytes", 1.0),
    ("kb", 1e3),
    ("mb", 1e6),
    ("gb", 1e9),
    ("k ki kib", 1024.0),
    ("m mi mib", 1_048_576.0),
    ("g gi gib", 1_073_741_824.0),
];

/// Parses a time in seconds above zero. Fractions are allowed.
///
/// # Errors
/// The accepted form.
pub fn seconds(text: &str) -> Result<Duration, String> {
    match seconds_or_zero(text)? {
        Duration::ZERO => Err("the time must be longer than 0 seconds".into()),
        duration => Ok(duration),
    }
}

/// Parses a time in seconds. Fractions and zero are allowed.
///
/// # Errors
/// The accepted form.
pub fn seconds_or_zero(text: &str) -> Result<Duration, String> {
    let in_range = |seconds: &f64| (0.0..=MAX_SECONDS).contains(seconds);
    if let Some(seconds) = text.parse().ok().filter(in_range) {
        return Ok(Duration::from_secs_f64(seconds));
    }
    Err(match without_unit(text, &TIME_UNITS).filter(in_range) {
        Some(seconds) => format!("write the seconds without a unit: {seconds}"),
        None => "write a number of seconds up to one year, such as 0.5 or 60".into(),
    })
}

/// Parses a lease: whole seconds, as on the wire.
///
/// # Errors
/// The accepted form.
pub fn lease(text: &str) -> Result<Duration, String> {
    let range = 1..=MAX_LEASE;
    if let Some(seconds) = parse_integer(text, &range) {
        return Ok(Duration::from_secs(seconds));
    }
    let seconds = without_unit(text, &TIME_UNITS).map(|seconds| seconds as u64);
    Err(match seconds.filter(|seconds| range.contains(seconds)) {
        Some(seconds) => format!("write the seconds without a unit: {seconds}"),
        None => format!("write whole seconds from 1 to {MAX_LEASE} (one day)"),
    })
}

/// The error of a number above the largest one of its type, if there is no other limit.
const TOO_LARGE: &str = "the number is too large";

/// A parser of integers in a range.
pub fn integer<T: TryFrom<u64>>(
    range: impl RangeBounds<u64> + Clone + Send + Sync,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync {
    move |text: &str| {
        if let Some(number) = parse_integer(text, &range) {
            return T::try_from(number).map_err(|_| TOO_LARGE.into());
        }
        if let Some(number) = parse_integer(&text.replace(['_', ',', '\''], ""), &range) {
            return Err(format!("write the number in digits only: {number}"));
        }
        let min = match range.start_bound() {
            Bound::Included(min) => *min,
            Bound::Excluded(_) | Bound::Unbounded => 0,
        };
        Err(match range.end_bound() {
            Bound::Included(max) => format!("write a whole number from {min} to {max}"),
            Bound::Excluded(_) | Bound::Unbounded if is_too_large(text) => TOO_LARGE.into(),
            Bound::Excluded(_) | Bound::Unbounded => format!("write a whole number from {min} up"),
        })
    }
}

/// A parser of a number of bytes in a range.
pub fn bytes<T: TryFrom<u64>>(
    range: impl RangeBounds<u64> + Clone + Send + Sync,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync {
    move |text: &str| match without_unit(text, &BYTE_UNITS).map(|bytes| bytes as u64) {
        Some(number) if range.contains(&number) => {
            Err(format!("write the bytes without a unit: {number}"))
        }
        _ => integer(range.clone())(text),
    }
}

/// The least rate: servers close the connections of slower readers.
const MIN_RATE: f64 = 4096.0;

/// Parses bytes per second, with or without a unit, such as `20M` or `1.5MiB/s`.
///
/// # Errors
/// The accepted form.
pub fn bytes_per_second(text: &str) -> Result<u64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    let rate = number
        .parse()
        .ok()
        .or_else(|| without_unit(number, &BYTE_UNITS));
    match rate.filter(|rate| (MIN_RATE..f64::INFINITY).contains(rate)) {
        Some(rate) if rate < u64::MAX as f64 => Ok(rate as u64),
        Some(_) => Err(TOO_LARGE.into()),
        None => Err("write bytes per second from 4k up, such as 500k, 20M or 1.5MiB".into()),
    }
}

/// `1.5m` and `1.5 min` are 90 seconds, `64k` is 65536 bytes, `64kB` is 64000 bytes.
fn without_unit(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text[number.len()..].to_ascii_lowercase();
    let (_, factor) = units
        .iter()
        .find(|(names, _)| names.split(' ').any(|name| name == unit))?;
    let value = number.trim_end().parse::<f64>().ok()? * factor;
    (0.0..u64::MAX as f64).contains(&value).then_some(value)
}

/// Whether a text is a whole number that no integer of ours can hold.
fn is_too_large(text: &str) -> bool {
    let error = text.parse::<u64>().err();
    error.is_some_and(|error| *error.kind() == IntErrorKind::PosOverflow)
}

fn parse_integer(text: &str, range: &impl RangeBounds<u64>) -> Option<u64> {
    text.parse().ok().filter(|number| range.contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn error<T: std::fmt::Debug>(result: Result<T, String>) -> String {
        result.expect_err("an error")
    }

    #[test]
    fn times() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(seconds_or_zero("0"), Ok(Duration::ZERO));
        assert_eq!(lease("60"), Ok(Duration::from_secs(60)));
        assert_eq!(
            error(seconds("0")),
            "the time must be longer than 0 seconds"
        );
        let unit = "write the seconds without a unit";
        assert_eq!(error(seconds("500ms")), format!("{unit}: 0.5"));
        assert_eq!(error(seconds("10 min")), format!("{unit}: 600"));
        assert_eq!(error(lease("1m")), format!("{unit}: 60"));
        let form = "write a number of seconds up to one year, such as 0.5 or 60";
        for text in ["", "x", "-1", "nan", "inf", "1e9", "400d", "s"] {
            assert_eq!(error(seconds(text)), form, "{text}");
        }
        let form = "write whole seconds from 1 to 86400 (one day)";
        for text in ["", "0", "1.5", "86401", "2d"] {
            assert_eq!(error(lease(text)), form, "{text}");
        }
    }

    #[test]
    fn rates() {
        for (text, rate) in [
            ("4096", 4096),
            ("20M", 20 << 20),
            ("20MB/s", 20_000_000),
            ("1.5MiB", 3 << 19),
        ] {
            assert_eq!(bytes_per_second(text), Ok(rate), "{text}");
        }
        for text in ["", "0", "4095", "1k", "-1M", "nan", "inf", "20M/h", "fast"] {
            assert!(bytes_per_second(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_and_bytes() {
        assert_eq!(integer::<u16>(1..)("65535"), Ok(65535));
        assert_eq!(
            error(integer::<u16>(1..)("65536")),
            "the number is too large"
        );
        let digits = "write the number in digits only";
        for text in ["1_000", "1,000", "1'000"] {
            assert_eq!(error(integer::<u16>(1..)(text)), format!("{digits}: 1000"));
        }
        let form = "write a whole number from 1 up";
        for text in ["", "0", "-1", "1.5", "many"] {
            assert_eq!(error(integer::<u16>(1..)(text)), form, "{text}");
        }
        let too_large = "the number is too large";
        for text in ["18446744073709551616", "99999999999999999999999999"] {
            assert_eq!(error(integer::<u64>(0..)(text)), too_large);
            assert_eq!(error(bytes::<u64>(0..)(text)), too_large);
            assert_eq!(error(integer::<u16>(1..)(text)), too_large);
            assert_eq!(error(bytes_per_second(text)), too_large);
        }
        let unit = "write the bytes without a unit";
        for (text, number) in [("64k", 65536), ("64kB", 64000), ("64 KiB", 65536)] {
            assert_eq!(
                error(bytes::<u64>(1..)(text)),
                format!("{unit}: {number}"),
                "{text}"
            );
        }
        assert_eq!(error(bytes::<u64>(1..)("0k")), form);
        let form = "write a whole number from 64 to 128";
        for text in ["1k", "129", "18446744073709551616"] {
            assert_eq!(error(bytes::<u64>(64..=128)(text)), form);
        }
    }
}
