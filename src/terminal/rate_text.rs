//! How fast a transfer is, and how long it still takes, for people.

use crate::byte_size::ByteSize;

/// Such as `, 20 MB/s`; empty if nothing has come yet.
pub(super) fn rate(bytes_per_second: f64) -> String {
    match bytes_per_second as u64 {
        0 => String::new(),
        rate => format!(", {}/s", ByteSize(rate)),
    }
}

/// Such as `, 13 s left`; empty if that is not known. `rate` is in units a second.
pub(super) fn time_left(remaining: u64, rate: f64) -> String {
    let seconds = (remaining as f64 / rate).ceil();
    if rate <= 0.0 || !seconds.is_finite() {
        return String::new();
    }
    let seconds = seconds as u64;
    match (seconds, seconds / 60) {
        (0..100, _) => format!(", {seconds} s left"),
        (_, minutes @ 0..100) => format!(", {minutes} min left"),
        (_, minutes) => format!(", {} h left", minutes / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_left_out() {
        assert_eq!(rate(0.0), "");
        assert_eq!(rate(20e6), ", 20.00 MB/s");
        for (remaining, rate, text) in [
            (10, 0.0, ""),
            (u64::MAX, f64::MIN_POSITIVE, ""),
            (0, 1.0, ", 0 s left"),
            (25, 2.0, ", 13 s left"),
            (100, 1.0, ", 1 min left"),
            (6000, 1.0, ", 1 h left"),
        ] {
            assert_eq!(time_left(remaining, rate), text);
        }
    }
}
