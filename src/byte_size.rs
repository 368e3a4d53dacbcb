//! A number of bytes for people: `17 B`, `1.56 kB`.

use std::fmt;

/// The decimal units (IEC 80000-13), each a thousand times the one before.
const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];

/// Prints a size as every program and page shows it: whole bytes below 1000, else two digits
/// after the point, rounded to the nearest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ByteSize(pub(crate) u64);

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(bytes) = *self;
        if bytes < 1000 {
            return write!(f, "{bytes} B");
        }
        // A hundredth of the unit.
        let mut hundredth = 10_u64;
        for (index, unit) in UNITS.iter().enumerate() {
            let rounded = bytes / hundredth + u64::from(bytes % hundredth >= hundredth / 2);
            // Rounding can reach the next unit: 999,995 bytes are 1.00 MB.
            if rounded < 100_000 || index + 1 == UNITS.len() {
                return write!(f, "{}.{:02} {unit}", rounded / 100, rounded % 100);
            }
            hundredth *= 1000;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_to_the_nearest() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.00 kB"),
            (1004, "1.00 kB"),
            (1005, "1.01 kB"),
            (1556, "1.56 kB"),
            (999_994, "999.99 kB"),
            (999_995, "1.00 MB"),
            (314_572_800, "314.57 MB"),
            (314_578_000, "314.58 MB"),
            (999_995_000, "1.00 GB"),
            (1 << 40, "1.10 TB"),
            (u64::MAX, "18.45 EB"),
        ] {
            assert_eq!(ByteSize(bytes).to_string(), text, "{bytes}");
        }
    }
}
