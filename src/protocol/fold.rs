//! What a search ignores: upper and lower case, and how a character is composed.

use std::borrow::Cow;

use caseless::Caseless;
use unicode_normalization::UnicodeNormalization;

/// The text in the form in which names and searches are compared: fully case-folded and
/// normalised (NFC, Unicode Standard Annex #15). The composed and the decomposed `é` are
/// the same, as are `ß` and `SS`. Not NFKC: it makes eighteen characters of some, and a
/// name could cost as much as a hundred others.
#[must_use]
pub fn fold(text: &str) -> Cow<'_, str> {
    if !text.is_ascii() {
        return text.nfd().default_case_fold().nfc().collect();
    }
    match text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(text.to_ascii_lowercase()),
        false => Cow::Borrowed(text),
    }
}

/// Bytes of a text beyond ASCII whose folding is as much work as a short line.
const FOLDED_PER_WORK: usize = 4;

/// The work of [`fold`], in short lines.
pub(crate) fn fold_work(text: &str) -> usize {
    match text.is_ascii() {
        true => 0,
        false => text.len() / FOLDED_PER_WORK,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_composition_do_not_matter() {
        for (one, other) in [
            ("README.md", "readme.MD"),
            ("GRÖSSE", "größe"),
            ("GROẞE", "GROSSE"),
            ("caf\u{e9}", "CAFE\u{301}"),
            ("ΟΔΟΣ", "οδος"),
            ("οδός", "ΟΔΌΣ"),
            ("ДОМ", "дом"),
            ("ǅ", "ǆ"),
            ("ﬁle", "FILE"),
            ("\u{1112}\u{1161}\u{11ab}", "한"),
            ("\u{390}", "\u{3b9}\u{308}\u{301}"),
            ("か\u{3099}", "が"),
        ] {
            assert_eq!(fold(one), fold(other), "{one} {other}");
        }
        assert_ne!(fold("café"), fold("cafe"));
    }
}
