//! What is asked and what must be answered. Requests and replies are texts in
//! which only a number differs, so that each reply can be checked byte for byte
//! at the speed at which it comes.

/// A text with places for the digits of a number below a million: `#0`, `#1`
/// and `#2` stand for its first, middle and last two digits.
pub(crate) struct Template {
    text: Vec<u8>,
    /// Where which pair of digits stands, in order.
    holes: Vec<(usize, usize)>,
}

impl Template {
    pub(crate) fn new(text: impl Into<Vec<u8>>) -> Self {
        let text = text.into();
        let pair = |at: usize| match text.get(at..at + 2) {
            Some([b'#', pair @ b'0'..=b'2']) => Some((at, usize::from(pair - b'0'))),
            _ => None,
        };
        let holes = memchr::memchr_iter(b'#', &text).filter_map(pair).collect();
        Self { text, holes }
    }

    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    /// Appends the text for a number.
    pub(crate) fn print(&self, number: u32, to: &mut Vec<u8>) {
        let start = to.len();
        to.extend_from_slice(&self.text);
        let pairs = pairs(number);
        for (at, pair) in &self.holes {
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
    pub(crate) fn is(&self, number: u32, bytes: &[u8]) -> bool {
        bytes.len() == self.text.len() && self.has_at(number, 0, bytes)
    }

    /// Whether `bytes` stand in the text for a number from byte `at` on.
    fn has_at(&self, number: u32, at: usize, bytes: &[u8]) -> bool {
        let end = at + bytes.len();
        let pairs = pairs(number);
        let mut checked = at;
        for (hole, pair) in &self.holes {
            for (place, digit) in (*hole..).zip(pairs[*pair]) {
                if (checked..end).contains(&place) {
                    let before = self.text[checked..place] == bytes[checked - at..place - at];
                    if !before || bytes[place - at] != digit {
                        return false;
                    }
                    checked = place + 1;
                }
            }
        }
        self.text[checked..end] == bytes[checked - at..]
    }
}

/// Two digits each.
fn pairs(number: u32) -> [[u8; 2]; 3] {
    let pair = |n: u32| [b'0' + (n / 10 % 10) as u8, b'0' + (n % 10) as u8];
    [pair(number / 10_000), pair(number / 100), pair(number)]
}

/// How replies are told from each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    /// They are the text, byte for byte.
    Exact,
    /// A head of HTTP that says 200 comes first.
    Http,
    /// So many lines that begin as the text does.
    Lines(usize),
}

/// A kind of request, and what must be answered.
pub(crate) struct Exchange {
    pub(crate) request: Template,
    pub(crate) reply: Template,
    pub(crate) form: Form,
    /// Numbers run from 0 to below this.
    pub(crate) numbers: u32,
}

/// How far a reply has come.
#[derive(Default)]
pub(crate) struct Reading {
    /// Bytes, or lines, that have been checked.
    at: usize,
    /// What cannot be checked yet: a head or a line that is not whole.
    partial: Vec<u8>,
    /// The head is behind us.
    in_body: bool,
    /// It is another one than expected.
    wrong: bool,
}

/// What became of a piece of input.
pub(crate) struct Taken {
    pub(crate) bytes: usize,
    /// The reply is complete; whether it was the right one.
    pub(crate) complete: Option<bool>,
}

impl Exchange {
    /// A request and its reply, word for word.
    pub(crate) fn exact(
        request: impl Into<Vec<u8>>,
        reply: impl Into<Vec<u8>>,
        numbers: u32,
    ) -> Self {
        Self {
            request: Template::new(request),
            reply: Template::new(reply),
            form: Form::Exact,
            numbers,
        }
    }

    /// Takes from `input` what belongs to the reply that is being read.
    pub(crate) fn take(&self, number: u32, reading: &mut Reading, input: &[u8]) -> Taken {
        match self.form {
            Form::Exact => self.take_text(number, reading, input),
            Form::Lines(lines) => self.take_line(lines, reading, input),
            Form::Http if !reading.in_body => self.take_head(number, reading, input),
            Form::Http => self.take_text(number, reading, input),
        }
    }

    fn take_text(&self, number: u32, reading: &mut Reading, input: &[u8]) -> Taken {
        let length = input.len().min(self.reply.len() - reading.at);
        let text = &input[..length];
        reading.wrong |= !self.reply.has_at(number, reading.at, text);
        reading.at += length;
        let complete = reading.at == self.reply.len();
        Taken {
            bytes: length,
            complete: complete.then(|| reading.finish()),
        }
    }

    fn take_line(&self, lines: usize, reading: &mut Reading, input: &[u8]) -> Taken {
        let end = memchr::memchr(b'\n', input);
        let bytes = end.map_or(input.len(), |end| end + 1);
        reading.partial.extend_from_slice(&input[..bytes]);
        if end.is_none() {
            return Taken {
                bytes,
                complete: None,
            };
        }
        reading.wrong |= !reading.partial.starts_with(&self.reply.text);
        reading.partial.clear();
        reading.at += 1;
        let complete = reading.at == lines;
        Taken {
            bytes,
            complete: complete.then(|| reading.finish()),
        }
    }

    /// A head, and what has come of its body.
    fn take_head(&self, number: u32, reading: &mut Reading, input: &[u8]) -> Taken {
        let before = reading.partial.len();
        // A head is short; most come whole.
        reading
            .partial
            .extend_from_slice(&input[..input.len().min(4096)]);
        let Some(end) = memchr::memmem::find(&reading.partial, b"\r\n\r\n") else {
            let bytes = reading.partial.len() - before;
            return Taken {
                bytes,
                complete: None,
            };
        };
        reading.wrong |= !reading.partial.starts_with(b"HTTP/1.1 200 ");
        reading.partial.clear();
        reading.in_body = true;
        let bytes = end + 4 - before;
        let body = self.take_text(number, reading, &input[bytes..]);
        Taken {
            bytes: bytes + body.bytes,
            complete: body.complete,
        }
    }
}

impl Reading {
    /// The next reply is read from its beginning. Returns whether this was right.
    fn finish(&mut self) -> bool {
        self.at = 0;
        self.in_body = false;
        !std::mem::take(&mut self.wrong)
    }
}
