//! Requests and the expected replies. Both are templates in which only a number
//! differs, so that each reply can be checked byte for byte at full rate.

/// The epoch in a reply to `REGISTER`.
pub(crate) const EPOCH: &str = "#3#3#3#3#3";

/// A text with placeholders for the digits of a number below a million: `#0`, `#1` and
/// `#2` stand for the first, middle and last two digits, and `#3` for any two digits.
pub(crate) struct Template {
    text: Vec<u8>,
    /// The offset and the pair of digits of each placeholder, in order.
    placeholders: Vec<(usize, usize)>,
}

impl Template {
    pub(crate) fn new(text: impl Into<Vec<u8>>) -> Self {
        let text = text.into();
        let pair = |at: usize| match text.get(at..at + 2) {
            Some([b'#', pair @ b'0'..=b'3']) => Some((at, usize::from(pair - b'0'))),
            _ => None,
        };
        let placeholders = memchr::memchr_iter(b'#', &text).filter_map(pair).collect();
        Self { text, placeholders }
    }

    /// A text without placeholders.
    pub(crate) fn verbatim(text: impl Into<Vec<u8>>) -> Self {
        Self {
            text: text.into(),
            placeholders: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    /// Appends the text for a number.
    pub(crate) fn print(&self, number: u32, to: &mut Vec<u8>) {
        let start = to.len();
        to.extend_from_slice(&self.text);
        let pairs = pairs(number);
        for (at, pair) in &self.placeholders {
            to[start + at..][..2].copy_from_slice(&pairs[*pair]);
        }
    }

    /// The text for a number.
    pub(crate) fn text(&self, number: u32) -> Vec<u8> {
        let mut text = Vec::new();
        self.print(number, &mut text);
        text
    }

    /// Whether `bytes` are the text for a number.
    pub(crate) fn matches(&self, number: u32, bytes: &[u8]) -> bool {
        bytes.len() == self.text.len() && self.matches_at(number, 0, bytes)
    }

    /// Whether the text for a number contains `bytes` at offset `position`.
    fn matches_at(&self, number: u32, position: usize, bytes: &[u8]) -> bool {
        let end = position + bytes.len();
        let pairs = pairs(number);
        let mut checked = position;
        for (placeholder, pair) in &self.placeholders {
            for (digit_position, digit) in (*placeholder..).zip(pairs[*pair]) {
                if (checked..end).contains(&digit_position) {
                    let before = self.text[checked..digit_position]
                        == bytes[checked - position..digit_position - position];
                    let byte = bytes[digit_position - position];
                    let is_any = *pair == ANY_DIGITS && byte.is_ascii_digit();
                    if !before || !(is_any || byte == digit) {
                        return false;
                    }
                    checked = digit_position + 1;
                }
            }
        }
        self.text[checked..end] == bytes[checked - position..]
    }
}

/// The placeholder for two digits that do not depend on the number.
const ANY_DIGITS: usize = 3;

/// The digits of a number in pairs, and those to print for [`ANY_DIGITS`].
fn pairs(number: u32) -> [[u8; 2]; 4] {
    let pair = |n: u32| [b'0' + (n / 10 % 10) as u8, b'0' + (n % 10) as u8];
    [
        pair(number / 10_000),
        pair(number / 100),
        pair(number),
        *b"11",
    ]
}

/// How a head of the right status begins and ends.
const HEAD_START: &[u8] = b"HTTP/1.1 200 ";
const HEAD_END: &[u8] = b"\r\n\r\n";

/// The format of replies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ReplyFormat {
    /// The text, byte for byte.
    Exact,
    /// An HTTP response with status 200 whose body is the text.
    Http,
    /// This number of lines, each of which begins with the text.
    Lines(usize),
}

/// A kind of request, and its expected reply.
pub(crate) struct RequestSpec {
    pub(crate) request: Template,
    pub(crate) reply: Template,
    pub(crate) format: ReplyFormat,
    /// Numbers are below this.
    pub(crate) numbers: u32,
}

/// The progress of a reply.
#[derive(Default)]
pub(crate) struct ReplyState {
    /// Bytes or lines that were checked.
    position: usize,
    /// An incomplete head or line.
    partial: Vec<u8>,
    /// The length of the last head.
    head_length: usize,
    /// The head is complete.
    in_body: bool,
    /// The reply differs from the expected one.
    is_wrong: bool,
}

/// The result of [`RequestSpec::consume`].
pub(crate) struct Consumed {
    pub(crate) bytes: usize,
    /// Set if the reply is complete: whether it was the expected one.
    pub(crate) complete: Option<bool>,
}

impl RequestSpec {
    /// A spec with an exact reply.
    pub(crate) fn exact(
        request: impl Into<Vec<u8>>,
        reply: impl Into<Vec<u8>>,
        numbers: u32,
    ) -> Self {
        Self {
            request: Template::new(request),
            reply: Template::new(reply),
            format: ReplyFormat::Exact,
            numbers,
        }
    }

    /// Checks the part of `input` that belongs to the current reply.
    pub(crate) fn consume(&self, number: u32, state: &mut ReplyState, input: &[u8]) -> Consumed {
        match self.format {
            ReplyFormat::Exact => self.consume_text(number, state, input),
            ReplyFormat::Lines(lines) => self.consume_line(lines, state, input),
            ReplyFormat::Http if !state.in_body => self.consume_head(number, state, input),
            ReplyFormat::Http => self.consume_text(number, state, input),
        }
    }

    fn consume_text(&self, number: u32, state: &mut ReplyState, input: &[u8]) -> Consumed {
        let length = input.len().min(self.reply.len() - state.position);
        let text = &input[..length];
        state.is_wrong |= !self.reply.matches_at(number, state.position, text);
        state.position += length;
        let complete = state.position == self.reply.len();
        Consumed {
            bytes: length,
            complete: complete.then(|| state.finish()),
        }
    }

    fn consume_line(&self, lines: usize, state: &mut ReplyState, input: &[u8]) -> Consumed {
        let end = memchr::memchr(b'\n', input);
        let bytes = end.map_or(input.len(), |end| end + 1);
        state.partial.extend_from_slice(&input[..bytes]);
        if end.is_none() {
            return Consumed {
                bytes,
                complete: None,
            };
        }
        state.is_wrong |= !state.partial.starts_with(&self.reply.text);
        state.partial.clear();
        state.position += 1;
        let complete = state.position == lines;
        Consumed {
            bytes,
            complete: complete.then(|| state.finish()),
        }
    }

    /// Checks an HTTP head and the part of the body behind it. A head usually arrives whole, and
    /// is as long as the last one of the connection: then it costs no search. A head of another
    /// length would move the body, which is compared.
    fn consume_head(&self, number: u32, state: &mut ReplyState, input: &[u8]) -> Consumed {
        let usual = input.get(..state.head_length);
        match usual.filter(|head| state.partial.is_empty() && head.ends_with(HEAD_END)) {
            Some(head) => {
                state.is_wrong |= !head.starts_with(HEAD_START);
                self.consume_body(number, state, input, head.len())
            }
            None => self.consume_unusual_head(number, state, input),
        }
    }

    fn consume_unusual_head(&self, number: u32, state: &mut ReplyState, input: &[u8]) -> Consumed {
        let before = state.partial.len();
        // A head is short.
        state
            .partial
            .extend_from_slice(&input[..input.len().min(4096)]);
        let Some(end) = memchr::memmem::find(&state.partial, HEAD_END) else {
            let bytes = state.partial.len() - before;
            return Consumed {
                bytes,
                complete: None,
            };
        };
        state.is_wrong |= !state.partial.starts_with(HEAD_START);
        state.partial.clear();
        state.head_length = end + HEAD_END.len();
        self.consume_body(number, state, input, state.head_length - before)
    }

    /// Checks the part of the body behind a head that ends at `start`.
    fn consume_body(
        &self,
        number: u32,
        state: &mut ReplyState,
        input: &[u8],
        start: usize,
    ) -> Consumed {
        state.in_body = true;
        let body = self.consume_text(number, state, &input[start..]);
        Consumed {
            bytes: start + body.bytes,
            complete: body.complete,
        }
    }
}

impl ReplyState {
    /// Resets the state for the next reply. Returns whether this one was right.
    fn finish(&mut self) -> bool {
        self.position = 0;
        self.in_body = false;
        !std::mem::take(&mut self.is_wrong)
    }
}
