//! The protocol of Redis, version 2 (RESP2): commands and values.

use std::io::{self, BufRead, Read, Write};

/// The longest text in a reply, in bytes: a batch of changes is much shorter.
const MAX_TEXT: usize = 16 << 20;
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
        // Writing to memory cannot fail.
        let _ = write!(self.bytes, "*{}\r\n", parts.len());
        for part in parts {
            let _ = write!(self.bytes, "${}\r\n", part.len());
            self.bytes.extend_from_slice(part);
            self.bytes.extend_from_slice(b"\r\n");
        }
        self.count += 1;
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

impl RespValue {
    /// Reads a value.
    pub(super) fn read(input: &mut impl BufRead) -> io::Result<Self> {
        Self::read_at(input, &mut Vec::new(), 0)
    }

    /// Reads a value that is in so many lists. `line` is a buffer.
    fn read_at(input: &mut impl BufRead, line: &mut Vec<u8>, depth: u32) -> io::Result<Self> {
        let line_text = read_line(input, line)?;
        let (kind, rest) = line_text.split_first().ok_or_else(malformed)?;
        let text = std::str::from_utf8(rest).map_err(|_| malformed());
        Ok(match kind {
            b'+' => Self::Text(rest.to_vec()),
            b'-' => Self::Error(String::from_utf8_lossy(rest).into_owned()),
            b':' => Self::Integer(text?.parse().map_err(|_| malformed())?),
            b'$' => match parse_length(text?, MAX_TEXT)? {
                None => Self::Nil,
                Some(length) => Self::Text(read_text(input, length)?),
            },
            b'*' => match parse_length(text?, MAX_VALUES)? {
                None => Self::Nil,
                Some(_) if depth == MAX_DEPTH => return Err(malformed()),
                Some(count) => (0..count)
                    .map(|_| Self::read_at(input, line, depth + 1))
                    .collect::<io::Result<_>>()
                    .map(Self::List)?,
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

    fn read(mut bytes: &[u8]) -> io::Result<RespValue> {
        RespValue::read(&mut bytes)
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
    fn commands_are_written_by_length() {
        let mut commands = Commands::default();
        commands.push_words(["GET", "a\r\nb"]);
        assert_eq!(commands.bytes, b"*2\r\n$3\r\nGET\r\n$4\r\na\r\nb\r\n");
        assert_eq!(commands.count, 1);
    }
}
