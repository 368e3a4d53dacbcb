//! A number with its noun: `1 byte`, `2 bytes`.

use std::fmt;

/// Prints a number and a noun, with a plural `s` unless the number is 1.
#[derive(Clone, Copy, Debug)]
pub struct Counted(pub u64, pub &'static str);

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number, noun) = self;
        let plural = if *number == 1 { "" } else { "s" };
        write!(f, "{number} {noun}{plural}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numeral_agrees() {
        let printed = [0, 1, 2].map(|number| Counted(number, "byte").to_string());
        assert_eq!(printed, ["0 bytes", "1 byte", "2 bytes"]);
    }
}
