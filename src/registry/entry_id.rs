//! The place of an entry in the stream of changes.

/// The id of an entry: a time in milliseconds, and a number within it. Each entry has a greater one
/// than those before it, unless somebody deletes the stream and the engine's clock was set back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub(super) struct EntryId(u64, u64);

impl EntryId {
    /// Parses `time-number`.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let (time, number) = std::str::from_utf8(text).ok()?.split_once('-')?;
        Some(Self(time.parse().ok()?, number.parse().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_compared_as_numbers() {
        let id = |text: &str| EntryId::parse(text.as_bytes());
        assert!(id("9-0") < id("10-0") && id("10-2") < id("10-10"));
        for text in ["", "1", "1-", "a-1", "1-1-1", "-1-1"] {
            assert_eq!(id(text), None, "{text}");
        }
    }
}
