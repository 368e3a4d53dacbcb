//! Splits received bytes into lines and counted bodies. No I/O.
//!
//! Pieces are slices of the read buffer; only bytes that cannot be used yet (an
//! unfinished line, requests that must wait) are copied into the inbox, so an idle
//! connection owns no buffer. Each byte is searched for a newline once, however
//! small the pieces are in which a line arrives.

use std::borrow::Cow;

use crate::role::{FramingError, Input};

/// The unparsed input of a connection between two turns; mostly empty.
#[derive(Default)]
pub struct Inbox(Option<Box<UnparsedInput>>);

#[derive(Default)]
struct UnparsedInput {
    bytes: Vec<u8>,
    /// The number of leading bytes that are used.
    start: usize,
    /// The number of bytes behind them without a newline.
    searched: usize,
    /// The number of bytes that a body still lacks.
    body_left: u64,
}

impl Inbox {
    /// Appends `arrived` to the stored bytes, and takes all of them out. Return the rest
    /// with [`Inbox::keep`].
    pub fn open<'a>(&mut self, arrived: &'a [u8]) -> Unread<'a> {
        let stored = self.0.take().unwrap_or_default();
        let mut bytes = stored.bytes;
        let bytes = if bytes.is_empty() {
            Cow::Borrowed(arrived)
        } else {
            bytes.extend_from_slice(arrived);
            Cow::Owned(bytes)
        };
        Unread {
            bytes,
            start: stored.start,
            searched: stored.searched,
            body_left: stored.body_left,
        }
    }

    /// Stores the bytes that were not used.
    pub fn keep(&mut self, unread: Unread<'_>) {
        let Unread {
            bytes,
            start,
            searched,
            body_left,
        } = unread;
        if start == bytes.len() && body_left == 0 {
            return;
        }
        let (bytes, start) = match bytes {
            // Each byte of a long read is copied once or twice, in however many turns it
            // is used.
            Cow::Owned(bytes) if start <= bytes.len() / 2 => (bytes, start),
            // The rest must not hold on to the memory of all of it.
            bytes => (bytes[start..].to_vec(), 0),
        };
        self.0 = Some(Box::new(UnparsedInput {
            bytes,
            start,
            searched,
            body_left,
        }));
    }

    /// Whether no bytes are stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of stored bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        let rest = |stored: &UnparsedInput| stored.bytes.len() - stored.start;
        self.0.as_deref().map_or(0, rest)
    }
}

/// Input that is being split into pieces.
#[derive(Default)]
pub struct Unread<'a> {
    bytes: Cow<'a, [u8]>,
    start: usize,
    /// The number of bytes from `start` on without a newline; of a head in HTTP, those of its
    /// complete lines.
    searched: usize,
    body_left: u64,
}

impl Unread<'_> {
    /// The next `length` bytes are a body.
    pub fn expect_body(&mut self, length: u64) {
        self.body_left = length;
        self.searched = 0;
    }

    /// Whether all bytes are used.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    /// The next line or piece of a body, or `None` until more bytes arrive. A line has at
    /// most `max_line` bytes with its line ending. Behind a longer one, the start of the
    /// next line is unknown.
    pub fn next(&mut self, max_line: usize) -> Option<Input<'_>> {
        let rest = &self.bytes[self.start..];
        if rest.is_empty() {
            return None;
        }
        if self.body_left > 0 {
            let length = usize::try_from(self.body_left).map_or(rest.len(), |n| n.min(rest.len()));
            self.start += length;
            self.body_left -= length as u64;
            return Some(Input::Body(&rest[..length]));
        }
        let window = rest.len().min(max_line);
        let from = self.searched.min(window);
        let Some(newline) = memchr::memchr(b'\n', &rest[from..window]) else {
            self.searched = window;
            return (window == max_line).then_some(Input::FramingError(FramingError::LineTooLong));
        };
        let line = &rest[..from + newline];
        self.start += line.len() + 1;
        self.searched = 0;
        Some(Input::Line(line.strip_suffix(b"\r").unwrap_or(line)))
    }

    /// The next line without its newline, if it has at most `max` bytes with it and is
    /// complete. Does not use the line.
    pub fn first_line(&mut self, max: usize) -> Option<&[u8]> {
        let rest = &self.bytes[self.start..];
        let window = rest.len().min(max);
        let from = self.searched.min(window);
        let newline = memchr::memchr(b'\n', &rest[from..window]);
        self.searched = newline.map_or(window, |_| 0);
        newline.map(|newline| &rest[..from + newline])
    }

    /// The next head of a request in HTTP, or `None` until more bytes arrive: at least one
    /// line, and the empty line at the end. Empty lines before it are skipped (RFC 9112,
    /// 2.2). Behind a head with more than `max_head` bytes, the start of the next one is
    /// unknown.
    pub fn next_head(&mut self, max_head: usize) -> Option<Input<'_>> {
        while let [b'\n', ..] | [b'\r', b'\n', ..] = self.unfinished() {
            self.start += 1 + usize::from(self.bytes[self.start] == b'\r');
            self.searched = 0;
        }
        let rest = &self.bytes[self.start..];
        let window = rest.len().min(max_head);
        // The start of the first line that is not known to be complete.
        let mut line = self.searched.min(window);
        loop {
            let ending = match &rest[line..window] {
                [b'\n', ..] => 1,
                [b'\r', b'\n', ..] => 2,
                _ => 0,
            };
            if line > 0 && ending > 0 {
                let end = line + ending;
                self.start += end;
                self.searched = 0;
                return Some(Input::HttpHead(&rest[..end]));
            }
            let Some(length) = memchr::memchr(b'\n', &rest[line..window]) else {
                break;
            };
            line += length + 1;
        }
        self.searched = line;
        (window == max_head).then_some(Input::HttpError(FramingError::LineTooLong))
    }

    /// The bytes that are not used yet.
    #[must_use]
    pub fn unfinished(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(inbox: &mut Inbox, arrived: &[u8]) -> Vec<String> {
        let mut unread = inbox.open(arrived);
        let mut lines = Vec::new();
        while let Some(piece) = unread.next(16) {
            match piece {
                Input::Line(line) => lines.push(String::from_utf8_lossy(line).into_owned()),
                Input::FramingError(_) => {
                    lines.push("too long".into());
                    break;
                }
                _ => unreachable!(),
            }
        }
        inbox.keep(unread);
        lines
    }

    #[test]
    fn a_line_ends_with_a_newline_and_one_carriage_return_is_dropped() {
        let mut inbox = Inbox::default();
        assert_eq!(
            lines_of(&mut inbox, b"a\r\nb\n\nc\r\r\nd"),
            ["a", "b", "", "c\r"]
        );
        assert_eq!(lines_of(&mut inbox, b"\n"), ["d"]);
        assert!(inbox.is_empty());
        assert!(inbox.0.is_none(), "an idle connection owns no buffer");
    }

    #[test]
    fn stored_bytes_hold_no_excess_memory() {
        let mut inbox = Inbox::default();
        assert!(lines_of(&mut inbox, b"a").is_empty());
        let mut long = "b\n".repeat(10_000);
        long.push('c');
        assert_eq!(lines_of(&mut inbox, long.as_bytes()).len(), 10_000);
        assert!(inbox.0.is_some_and(|stored| stored.bytes.capacity() < 100));
    }

    #[test]
    fn the_line_ending_counts_towards_the_length() {
        let mut inbox = Inbox::default();
        assert_eq!(
            lines_of(&mut inbox, b"123456789012345\n"),
            ["123456789012345"]
        );
        assert_eq!(lines_of(&mut inbox, b"1234567890123456\n"), ["too long"]);
        let mut inbox = Inbox::default();
        for _ in 0..15 {
            assert!(lines_of(&mut inbox, b"x").is_empty());
        }
        assert_eq!(lines_of(&mut inbox, b"x"), ["too long"]);
    }

    #[test]
    fn a_body_is_counted_and_lines_follow() {
        let mut inbox = Inbox::default();
        let mut unread = inbox.open(b"FOUND 5\nab");
        assert_eq!(unread.next(16), Some(Input::Line(b"FOUND 5")));
        unread.expect_body(5);
        assert_eq!(unread.next(16), Some(Input::Body(b"ab")));
        assert_eq!(unread.next(16), None);
        inbox.keep(unread);
        let mut unread = inbox.open(b"\n\ncOK\n");
        assert_eq!(unread.next(16), Some(Input::Body(b"\n\nc")));
        assert_eq!(unread.next(16), Some(Input::Line(b"OK")));
        assert!(unread.is_empty());
    }
}
