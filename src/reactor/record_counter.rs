//! Follows the records in the bytes that TLS receives.

/// The bytes of the header: the type, the version, and the length of what follows.
const HEADER: usize = 5;

/// Counts the bytes of complete records. A record may arrive in several parts.
#[derive(Default)]
pub(super) struct RecordCounter {
    /// The header of the record that is arriving, as far as it has arrived.
    header: [u8; HEADER],
    /// The bytes of this record that have arrived.
    arrived: usize,
}

impl RecordCounter {
    /// Follows received bytes. Returns the length of all records that end in them, with their
    /// headers and with what has arrived before.
    pub(super) fn complete(&mut self, mut bytes: &[u8]) -> usize {
        let mut complete = 0;
        while !bytes.is_empty() {
            let missing = match self.arrived < HEADER {
                true => HEADER - self.arrived,
                false => self.length() - self.arrived,
            };
            let (part, rest) = bytes.split_at(missing.min(bytes.len()));
            if let Some(header) = self.header.get_mut(self.arrived..self.arrived + part.len()) {
                header.copy_from_slice(part);
            }
            self.arrived += part.len();
            bytes = rest;
            if self.arrived >= HEADER && self.arrived == self.length() {
                complete += std::mem::take(&mut self.arrived);
            }
        }
        complete
    }

    /// The length of a record whose header has arrived.
    fn length(&self) -> usize {
        let [.., high, low] = self.header;
        HEADER + usize::from(u16::from_be_bytes([high, low]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_count_once_however_they_are_cut() {
        let mut bytes = Vec::new();
        for length in [1, 0, 300, 0, 0, 7] {
            bytes.extend_from_slice(&[23, 3, 3]);
            bytes.extend_from_slice(&u16::to_be_bytes(length));
            bytes.resize(bytes.len() + usize::from(length), 0xff);
        }
        for size in 1..=bytes.len() {
            let mut counter = RecordCounter::default();
            let parts = bytes.chunks(size);
            let complete: usize = parts.map(|part| counter.complete(part)).sum();
            assert_eq!(complete, bytes.len(), "in parts of {size}");
            assert_eq!(counter.complete(&[23, 3, 3, 0]), 0);
            assert_eq!(counter.complete(&[2, 9]), 0);
            assert_eq!(counter.complete(&[9, 23]), 7);
        }
    }
}
