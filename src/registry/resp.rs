//! The protocol of Redis, version 2 (RESP2): commands and values.

use std::io::{self, BufRead, Read};

use log::warn;

use crate::logging::OPERATOR;

/// The longest announced text, in bytes: that of the engine itself.
const MAX_ANNOUNCED: usize = 512 << 20;
/// The longest text that is kept, in bytes: a batch with the renewals of all nodes is shorter.
const MAX_TEXT: usize = 4 << 20;
/// The most bytes of texts in one reply that are kept. Whoever can write to the engine must
/// not fill the memory of the relays.
const MAX_REPLY: usize = 32 << 20;
/// The most values in the lists of one reply that are kept.
const MAX_REPLY_VALUES: usize = 1 << 20;
/// Room for a text of this length is made at once.
const MAX_TRUSTED: usize = 64 << 10;
/// The most values of one list.
const MAX_VALUES: usize = 4 << 20;
/// The deepest list in lists.
const MAX_DEPTH: u32 = 8;
/// The longest line, in bytes: an error.
const MAX_LINE: u64 = 4096;

/// Commands that are sent together.
#[derive(Default)]
pub(super) struct Commands {
    pub(super) bytes: Vec<u8>,
    /// Their number.
    pub(super) count: usize,
}

impl Commands {
    /// Appends a command.
    pub(super) fn push<'p>(
        &mut self,
        parts: impl IntoIterator<Item = &'p [u8], IntoIter: ExactSizeIterator>,
    ) {
        let parts = parts.into_iter();
        self.start(parts.len());
        for part in parts {
            self.push_part(&[part]);
        }
    }

    /// Starts a command of so many parts, which follow.
    pub(super) fn start(&mut self, parts: usize) {
        self.push_length(b'*', parts);
        self.count += 1;
    }

    /// Appends a part, which consists of these pieces.
    pub(super) fn push_part(&mut self, pieces: &[&[u8]]) {
        let length = pieces.iter().map(|piece| piece.len()).sum();
        self.push_length(b'$', length);
        for piece in pieces {
            self.bytes.extend_from_slice(piece);
        }
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// Formatting would take longer than all the rest.
    fn push_length(&mut self, kind: u8, length: usize) {
        let mut line = [b'\r'; 24];
        let (mut start, mut rest) = (22, length);
        line[23] = b'\n';
        loop {
            start -= 1;
            line[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        line[start - 1] = kind;
        self.bytes.extend_from_slice(&line[start - 1..]);
    }

    /// Appends a command of words.
    pub(super) fn push_words<const N: usize>(&mut self, words: [&str; N]) {
        self.push(words.map(str::as_bytes));
    }
}

/// A value of a reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum RespValue {
    Text(Vec<u8>),
    Integer(i64),
    Nil,
    List(Vec<RespValue>),
    Error(String),
}

/// What is left of the limits of one reply.
struct ReplyLimits {
    bytes: usize,
    values: usize,
    /// How many values exceeded a limit.
    skipped: u64,
}

impl ReplyLimits {
    /// Whether a text of this length is kept.
    fn admit_text(&mut self, length: usize) -> bool {
        let has_room = length <= MAX_TEXT.min(self.bytes);
        match has_room {
            true => self.bytes -= length,
            false => self.skipped += 1,
        }
        has_room
    }

    /// Whether one more value of a list is kept.
    fn admit_value(&mut self) -> bool {
        let has_room = self.values > 0;
        match has_room {
            true => self.values -= 1,
            false => self.skipped += 1,
        }
        has_room
    }
}

/// The limits of a reply, and a buffer for its lines.
struct ReplyReader {
    limits: ReplyLimits,
    line: Vec<u8>,
}

impl RespValue {
    /// Reads a value. Texts that exceed a limit are empty, and lists shorter.
    pub(super) fn read(input: &mut impl BufRead) -> io::Result<Self> {
        let (value, skipped) = Self::read_counted(input)?;
        if skipped > 0 {
            // One line, however many values: anyone may have written them.
            warn!(target: OPERATOR, "registry: skipped {skipped} values of a reply: too long, or too many");
        }
        Ok(value)
    }

    /// Reads a value. Returns also how many values in it exceed a limit.
    fn read_counted(input: &mut impl BufRead) -> io::Result<(Self, u64)> {
        let mut reader = ReplyReader {
            limits: ReplyLimits {
                bytes: MAX_REPLY,
                values: MAX_REPLY_VALUES,
                skipped: 0,
            },
            line: Vec::new(),
        };
        let value = Self::read_at(input, &mut reader, 0)?;
        Ok((value, reader.limits.skipped))
    }

    /// Reads a value that is in so many lists.
    fn read_at(input: &mut impl BufRead, reader: &mut ReplyReader, depth: u32) -> io::Result<Self> {
        let line_text = read_line(input, &mut reader.line)?;
        let (kind, rest) = line_text.split_first().ok_or_else(malformed)?;
        let text = std::str::from_utf8(rest).map_err(|_| malformed());
        Ok(match kind {
            b'+' | b'-' => {
                let has_room = reader.limits.admit_text(rest.len());
                let text = if has_room { rest } else { &[] };
                match kind {
                    b'+' => Self::Text(text.to_vec()),
                    _ => Self::Error(String::from_utf8_lossy(text).into_owned()),
                }
            }
            b':' => Self::Integer(text?.parse().map_err(|_| malformed())?),
            b'$' => match parse_length(text?, MAX_ANNOUNCED)? {
                None => Self::Nil,
                Some(length) if reader.limits.admit_text(length) => {
                    Self::Text(read_text(input, length)?)
                }
                Some(length) => {
                    skip_text(input, length)?;
                    Self::Text(Vec::new())
                }
            },
            b'*' => match parse_length(text?, MAX_VALUES)? {
                None => Self::Nil,
                Some(_) if depth == MAX_DEPTH => return Err(malformed()),
                Some(count) => {
                    let mut values = Vec::new();
                    for _ in 0..count {
                        let value = Self::read_at(input, reader, depth + 1)?;
                        if reader.limits.admit_value() {
                            values.push(value);
                        }
                    }
                    Self::List(values)
                }
            },
            _ => return Err(malformed()),
        })
    }

    /// The text, if it is one.
    pub(super) fn text(self) -> Option<Vec<u8>> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text of the error, if it is one.
    pub(super) fn error(&self) -> Option<&str> {
        match self {
            Self::Error(text) => Some(text),
            _ => None,
        }
    }

    /// The values of the list, if it is one.
    pub(super) fn list(self) -> Option<Vec<Self>> {
        match self {
            Self::List(values) => Some(values),
            _ => None,
        }
    }
}

/// A line without its end.
fn read_line<'l>(input: &mut impl BufRead, line: &'l mut Vec<u8>) -> io::Result<&'l [u8]> {
    line.clear();
    input.take(MAX_LINE).read_until(b'\n', line)?;
    if line.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    line.strip_suffix(b"\r\n").ok_or_else(malformed)
}

/// A text of this length, and the end of its line.
fn read_text(input: &mut impl BufRead, length: usize) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    if length <= MAX_TRUSTED {
        text.resize(length + 2, 0);
        input.read_exact(&mut text)?;
    } else {
        // Room is made as the text arrives, not as it is announced.
        input.take(length as u64 + 2).read_to_end(&mut text)?;
        if text.len() != length + 2 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    text.truncate(length);
    Ok(text)
}

/// Reads a text of this length, and the end of its line, and keeps nothing.
fn skip_text(input: &mut impl BufRead, length: usize) -> io::Result<()> {
    let length = length as u64 + 2;
    if io::copy(&mut input.take(length), &mut io::sink())? != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

fn parse_length(text: &str, max: usize) -> io::Result<Option<usize>> {
    if text == "-1" {
        return Ok(None);
    }
    let length = text.parse().ok().filter(|length| *length <= max);
    length.map(Some).ok_or_else(malformed)
}

fn malformed() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "the server does not speak the Redis protocol",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> io::Result<RespValue> {
        Ok(read_counted(bytes)?.0)
    }

    fn read_counted(mut bytes: &[u8]) -> io::Result<(RespValue, u64)> {
        RespValue::read_counted(&mut bytes)
    }

    #[test]
    fn values_are_read() {
        let text = |text: &str| RespValue::Text(text.into());
        let list = b"*4\r\n$3\r\na\r\n\r\n:-7\r\n*0\r\n$-1\r\n";
        let expected = [
            text("a\r\n"),
            RespValue::Integer(-7),
            RespValue::List(Vec::new()),
            RespValue::Nil,
        ];
        assert_eq!(
            read(list).expect("a list"),
            RespValue::List(expected.into())
        );
        assert_eq!(read(b"+OK\r\n").expect("a text"), text("OK"));
        let error = RespValue::Error("OOM full".into());
        assert_eq!(read(b"-OOM full\r\n").expect("an error"), error);
    }

    #[test]
    fn what_is_not_a_value_is_refused() {
        for bytes in [
            &b""[..],
            b"\r\n",
            b"HTTP/1.1 400\r\n",
            b"$5\r\nabc\r\n",
            b"$99999999999\r\n",
            b"*99999999999\r\n",
            b"*2\r\n:1\r\n",
            b":x\r\n",
            b"+no end",
        ] {
            assert!(read(bytes).is_err(), "{bytes:?}");
        }
        let deep = b"*1\r\n".repeat(100);
        assert!(read(&deep).is_err());
        let long = [b"+".repeat(9000).as_slice(), b"\r\n"].concat();
        assert!(read(&long).is_err());
    }

    #[test]
    fn what_exceeds_a_limit_is_skipped() {
        let text = |length: usize| {
            let text = "x".repeat(length);
            format!("${length}\r\n{text}\r\n").into_bytes()
        };
        let lengths = |values: Vec<RespValue>| -> Vec<usize> {
            let texts = values.into_iter().filter_map(RespValue::text);
            texts.map(|text| text.len()).collect()
        };
        let list = |bytes: &[u8]| {
            let (value, skipped) = read_counted(bytes).expect("a reply");
            (value.list().expect("a list"), skipped)
        };
        let reply = [b"*3\r\n".to_vec(), text(1), text(MAX_TEXT + 1), text(2)].concat();
        let (values, skipped) = list(&reply);
        assert_eq!((lengths(values), skipped), (vec![1, 0, 2], 1));
        let reply = [b"*10\r\n".to_vec(), text(MAX_TEXT).repeat(10)].concat();
        let (values, skipped) = list(&reply);
        assert_eq!(lengths(values).iter().sum::<usize>(), MAX_REPLY);
        assert_eq!(skipped, 2);
        // Simple strings count as well.
        let count = MAX_REPLY / 4000 + 3;
        let line = [b"+", "x".repeat(4000).as_bytes(), b"\r\n"].concat();
        let reply = [format!("*{count}\r\n").into_bytes(), line.repeat(count)].concat();
        let (values, skipped) = list(&reply);
        assert!(lengths(values).iter().sum::<usize>() <= MAX_REPLY);
        assert_eq!(skipped, 3);
        let count = MAX_REPLY_VALUES + 2;
        let reply = [
            format!("*{count}\r\n").into_bytes(),
            b":1\r\n".repeat(count),
        ]
        .concat();
        let (values, skipped) = list(&reply);
        assert_eq!((values.len(), skipped), (MAX_REPLY_VALUES, 2));
    }

    #[test]
    fn commands_are_written_by_length() {
        let mut commands = Commands::default();
        commands.push_words(["GET", "a\r\nb"]);
        assert_eq!(commands.bytes, b"*2\r\n$3\r\nGET\r\n$4\r\na\r\nb\r\n");
        assert_eq!(commands.count, 1);
    }
}
