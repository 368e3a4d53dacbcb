//! The value of the header `Date`, which is formatted once a second.

use std::cell::Cell;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use httpdate::HttpDate;

/// The length of a date, such as `Sun, 06 Nov 1994 08:49:37 GMT`.
const LENGTH: usize = 29;

thread_local! {
    /// The second since 1970 that was formatted last, and its text.
    static LAST: Cell<(u64, [u8; LENGTH])> = const { Cell::new((u64::MAX, [b' '; LENGTH])) };
}

/// A time as HTTP writes it.
pub(super) fn date(time: SystemTime) -> [u8; LENGTH] {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (second, text) = LAST.get();
    if second == since.as_secs() {
        return text;
    }
    let mut text = [b' '; LENGTH];
    // It has this length.
    let _ = write!(&mut text[..], "{}", HttpDate::from(UNIX_EPOCH + since));
    LAST.set((since.as_secs(), text));
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_second_has_its_text() {
        let at = |millis| date(UNIX_EPOCH + Duration::from_millis(millis));
        for (millis, text) in [
            (784_111_777_000, b"Sun, 06 Nov 1994 08:49:37 GMT"),
            (784_111_777_999, b"Sun, 06 Nov 1994 08:49:37 GMT"),
            (784_111_778_000, b"Sun, 06 Nov 1994 08:49:38 GMT"),
            (0, b"Thu, 01 Jan 1970 00:00:00 GMT"),
        ] {
            assert_eq!(&at(millis), text, "{millis}");
        }
    }
}
