//! A short text that is composed from its end to its beginning, as the digits of a
//! number are computed. The formatting of the standard library takes five times as long
//! for a line of several numbers.

/// A text of at most `N` bytes.
pub(super) struct ReverseText<const N: usize> {
    bytes: [u8; N],
    /// Where the text begins.
    start: usize,
}

impl<const N: usize> ReverseText<N> {
    pub(super) fn new() -> Self {
        Self {
            bytes: [0; N],
            start: N,
        }
    }

    /// Puts an ASCII character in front.
    pub(super) fn prepend(&mut self, character: u8) {
        debug_assert!(character.is_ascii());
        self.start -= 1;
        self.bytes[self.start] = character;
    }

    /// Puts a number in front.
    pub(super) fn prepend_number(&mut self, mut number: u64) {
        loop {
            self.prepend(b'0' + (number % 10) as u8);
            number /= 10;
            if number == 0 {
                return;
            }
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(super) fn as_str(&self) -> &str {
        // The text is ASCII.
        str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

/// Appends a number in decimal digits.
pub(crate) fn append_number(text: &mut Vec<u8>, number: u64) {
    let mut digits = ReverseText::<20>::new();
    digits.prepend_number(number);
    text.extend_from_slice(digits.as_bytes());
}
