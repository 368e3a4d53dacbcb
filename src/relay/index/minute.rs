//! A time in three bytes: an entry of the index has that many to spare, and there are millions of
//! them.

use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// A whole minute since the start of the relay. The last one, after 31 years, stands for all later
/// ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::relay) struct Minute {
    /// The most significant byte first, so that they compare as the number does.
    bytes: [u8; 3],
}

impl Minute {
    pub(in crate::relay) const LAST: Self = Self {
        bytes: [u8::MAX; 3],
    };

    /// The minute of a time since the start.
    pub(in crate::relay) fn of(uptime: Duration) -> Self {
        let minutes = u32::try_from(uptime.as_secs() / MINUTE.as_secs()).unwrap_or(u32::MAX);
        match minutes.to_be_bytes() {
            [0, bytes @ ..] => Self { bytes },
            _ => Self::LAST,
        }
    }

    /// The minutes from `self` to the minute of a later time since the start.
    pub(in crate::relay) fn age(self, uptime: Duration) -> Duration {
        MINUTE * Self::of(uptime).number().saturating_sub(self.number())
    }

    fn number(self) -> u32 {
        let [a, b, c] = self.bytes;
        u32::from_be_bytes([0, a, b, c])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_are_counted_up_to_the_last() {
        let at = |seconds| Minute::of(Duration::from_secs(seconds));
        let age = |from: u64, to| at(from).age(Duration::from_secs(to)).as_secs();
        assert!(at(59) == at(0) && at(59) < at(60) && at(255 * 60) < at(256 * 60));
        assert_eq!([age(59, 59), age(59, 60), age(60, 59)], [0, 60, 0]);
        assert_eq!(age(60, 86_461), 86_400);
        assert!(at(u64::MAX) == Minute::LAST && at((1 << 24) * 60) == Minute::LAST);
        assert!(at(((1 << 24) - 2) * 60) < Minute::LAST);
    }
}
