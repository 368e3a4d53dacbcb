//! Text that waits to be written to the log or the terminal, up to a limit.

/// The most bytes in a queue. Lines beyond it are dropped.
pub(crate) const MAX_QUEUED: usize = 1024 * 1024;

/// The number of line ends in `text`.
pub(super) fn count_lines(text: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', text).count() as u64
}

/// A bounded queue of lines. When it is full, it counts the lines it drops.
#[derive(Default)]
pub(crate) struct LogQueue {
    text: String,
    /// Lines that were dropped. All of them came after `text`.
    dropped: u64,
}

impl LogQueue {
    /// Appends `bytes`, or drops them if they do not fit.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        // After the first dropped line even a shorter one is dropped, so that the
        // count stands where the gap is.
        if self.dropped > 0 || self.text.len() + bytes.len() > MAX_QUEUED {
            self.dropped += count_lines(bytes);
        } else {
            self.text.push_str(&String::from_utf8_lossy(bytes));
        }
    }

    /// Whether no text is queued and no line was dropped.
    pub(crate) fn is_empty(&self) -> bool {
        self.dropped == 0 && self.text.is_empty()
    }

    /// Removes the complete lines. Returns them and the number of lines that were
    /// dropped after them.
    pub(crate) fn take_lines(&mut self) -> (String, u64) {
        let end = self.text.rfind('\n').map_or(0, |last| last + 1);
        let rest = self.text.split_off(end);
        let lines = std::mem::replace(&mut self.text, rest);
        (lines, std::mem::take(&mut self.dropped))
    }

    /// Removes all text. Returns it and the number of lines that were dropped after
    /// it; if there are any, the text ends with a newline.
    pub(crate) fn take_all(&mut self) -> (String, u64) {
        let dropped = std::mem::take(&mut self.dropped);
        let mut text = std::mem::take(&mut self.text);
        if dropped > 0 && !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        (text, dropped)
    }
}
