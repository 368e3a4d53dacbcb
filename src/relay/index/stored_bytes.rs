//! The size of a name in the index.

use crate::protocol::fold;

/// The bytes of a name in the index: as it was announced, and folded.
pub(super) fn stored_bytes(name: &str) -> u64 {
    let folded = if name.is_ascii() {
        name.len()
    } else {
        fold(name).len()
    };
    (name.len() + folded) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_counted_as_it_is_stored() {
        assert_eq!(stored_bytes("Hello"), 10);
        assert_eq!(stored_bytes("\u{390}"), 4);
        assert_eq!(stored_bytes("\u{fdfa}"), 3 + 33);
    }
}
