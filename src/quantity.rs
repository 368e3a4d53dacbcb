//! Parses the quantities of a command line: numbers, bytes, times. A quantity with
//! a unit is an error whose text contains the right form.

use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::time::Duration;

/// The longest time of a flag: a year.
const MAX_SECONDS: f64 = 366.0 * 86_400.0;

/// The longest lease: a day.
const MAX_LEASE: u64 = 86_400;

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
    match without_time_unit(text).filter(in_range) {
        Some(seconds) => Err(format!("write the seconds without a unit: {seconds}")),
        None => Err("write a number of seconds up to one year, such as 0.5 or 60".into()),
    }
}

/// Parses a lease: whole seconds, as on the wire.
///
/// # Errors
/// The accepted form.
pub fn lease(text: &str) -> Result<Duration, String> {
    let in_range = |seconds: &u64| (1..=MAX_LEASE).contains(seconds);
    if let Some(seconds) = text.parse().ok().filter(in_range) {
        return Ok(Duration::from_secs(seconds));
    }
    match without_time_unit(text).map(|seconds| seconds as u64) {
        Some(seconds) if in_range(&seconds) && text.parse::<f64>().is_err() => {
            Err(format!("write the seconds without a unit: {seconds}"))
        }
        _ => Err(format!(
            "write whole seconds from 1 to {MAX_LEASE} (one day)"
        )),
    }
}

/// `1.5m` is 90 seconds.
fn without_time_unit(text: &str) -> Option<f64> {
    let (number, unit) = split_unit(text);
    let factor = match unit {
        "ms" => 0.001,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hour" | "hours" => 3600.0,
        "d" | "day" | "days" => 86_400.0,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * factor)
}

/// A parser of whole numbers in a range.
pub fn whole_number<T: TryFrom<u64>>(
    range: impl RangeBounds<u64> + Clone + Send + Sync,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync {
    move |text: &str| match parse_whole(text, &range) {
        Some(number) => T::try_from(number).map_err(|_| "the number is too large".into()),
        None => Err(
            match parse_whole(&text.replace(['_', ',', '\''], ""), &range) {
                Some(number) => format!("write the number in digits only: {number}"),
                None => format!("write a whole number {}", RangeText(&range)),
            },
        ),
    }
}

/// A parser of a number of bytes in a range.
pub fn bytes<T: TryFrom<u64>>(
    range: impl RangeBounds<u64> + Clone + Send + Sync,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync {
    move |text: &str| match without_byte_unit(text) {
        Some(number) if range.contains(&number) => {
            Err(format!("write the bytes without a unit: {number}"))
        }
        _ => whole_number(range.clone())(text),
    }
}

/// `from 1 up`, `from 64 to 65536`.
struct RangeText<'a, R>(&'a R);

impl<R: RangeBounds<u64>> fmt::Display for RangeText<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.start_bound() {
            Bound::Included(min) => write!(f, "from {min}")?,
            Bound::Excluded(_) | Bound::Unbounded => f.write_str("from 0")?,
        }
        match self.0.end_bound() {
            Bound::Included(max) => write!(f, " to {max}"),
            Bound::Excluded(_) | Bound::Unbounded => f.write_str(" up"),
        }
    }
}

/// `64k` is 65536 bytes, `64kB` is 64000 bytes.
fn without_byte_unit(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text);
    let unit = unit.to_ascii_lowercase();
    let base: u64 = match unit.as_str() {
        "kb" | "mb" | "gb" => 1000,
        _ => 1024,
    };
    let exponent = match unit.as_str() {
        "b" | "byte" | "bytes" => 0,
        "k" | "kb" | "ki" | "kib" => 1,
        "m" | "mb" | "mi" | "mib" => 2,
        "g" | "gb" | "gi" | "gib" => 3,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(base.pow(exponent))
}

/// Splits `10 s` or `10s` into number and unit.
fn split_unit(text: &str) -> (&str, &str) {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    (number.trim_end(), &text[number.len()..])
}

fn parse_whole(text: &str, range: &impl RangeBounds<u64>) -> Option<u64> {
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
    fn numbers_and_bytes() {
        assert_eq!(whole_number::<u16>(1..)("65535"), Ok(65535));
        assert_eq!(
            error(whole_number::<u16>(1..)("65536")),
            "the number is too large"
        );
        let digits = "write the number in digits only";
        for text in ["1_000", "1,000", "1'000"] {
            assert_eq!(
                error(whole_number::<u16>(1..)(text)),
                format!("{digits}: 1000")
            );
        }
        let form = "write a whole number from 1 up";
        for text in ["", "0", "-1", "1.5", "many"] {
            assert_eq!(error(whole_number::<u16>(1..)(text)), form, "{text}");
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
        assert_eq!(error(bytes::<u64>(64..=128)("1k")), form);
    }
}
