//! What was said and is not written yet, up to a limit.

/// Bytes that may wait. Beyond it lines are left out.
pub(crate) const MAX_WAITING: usize = 1024 * 1024;

/// Lines that wait for whoever writes them.
#[derive(Default)]
pub(crate) struct LogQueue {
    text: String,
    /// Lines for which there was no room: they came after those that wait.
    left_out: u64,
}

impl LogQueue {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        // A shorter line may still fit, but the gap must stay in its place.
        if self.left_out > 0 || self.text.len() + bytes.len() > MAX_WAITING {
            self.left_out += memchr::memchr_iter(b'\n', bytes).count() as u64;
        } else {
            self.text.push_str(&String::from_utf8_lossy(bytes));
        }
    }

    /// Whether nothing waits, and no line was left out.
    pub(crate) fn is_empty(&self) -> bool {
        self.left_out == 0 && self.text.is_empty()
    }

    /// What waits, up to the end of its last line, and how many lines were left
    /// out after it.
    pub(crate) fn take_lines(&mut self) -> (String, u64) {
        let end = self.text.rfind('\n').map_or(0, |last| last + 1);
        let rest = self.text.split_off(end);
        let lines = std::mem::replace(&mut self.text, rest);
        (lines, std::mem::take(&mut self.left_out))
    }

    /// All that waits, and how many lines were left out after it; if any, it ends
    /// with the end of a line.
    pub(crate) fn take_all(&mut self) -> (String, u64) {
        let left_out = std::mem::take(&mut self.left_out);
        let mut text = std::mem::take(&mut self.text);
        if left_out > 0 && !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        (text, left_out)
    }
}
