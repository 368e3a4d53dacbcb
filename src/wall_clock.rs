//! The date, within the years that all formats here can express: HTTP, the log, TLS.
//!
//! Linux itself refuses a date before 1970 or after 2262, but a program that pretends another one
//! does not.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The last second of the year 9999, since 1970.
pub(crate) const LAST_SECOND: i64 = 253_402_300_799;

/// The current date.
pub(crate) fn now() -> SystemTime {
    within_limits(SystemTime::now())
}

/// Whether the system's date is after the start of 1970.
pub(crate) fn is_after_1970() -> bool {
    SystemTime::now() >= UNIX_EPOCH
}

fn within_limits(time: SystemTime) -> SystemTime {
    let last = UNIX_EPOCH + Duration::from_secs(LAST_SECOND.cast_unsigned());
    time.clamp(UNIX_EPOCH, last)
}

#[cfg(test)]
mod tests {
    use httpdate::HttpDate;
    use humantime::format_rfc3339_millis;

    use super::*;

    #[test]
    fn every_date_can_be_expressed() {
        let year = Duration::from_secs(365 * 24 * 3600);
        let shown = |time| {
            let time = within_limits(time);
            (
                HttpDate::from(time).to_string(),
                format_rfc3339_millis(time).to_string(),
            )
        };
        let (http, log) = shown(UNIX_EPOCH - 10 * year);
        assert_eq!(http, "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(log, "1970-01-01T00:00:00.000Z");
        let (http, log) = shown(UNIX_EPOCH + 10_000 * year);
        assert_eq!(http, "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(log, "9999-12-31T23:59:59.000Z");
    }
}
