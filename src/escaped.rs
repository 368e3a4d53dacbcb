//! Text from the network, made safe to show: on a terminal and in a log nothing
//! that a peer sent may move the cursor, change colours or forge a line.
//!
//! Control characters (C0, DEL, C1), bidi controls, line and paragraph
//! separators, zero-width characters and bytes that are no UTF-8 are written as
//! `\n`, `\u{202e}`, `\xff`.

use std::fmt::{self, Write};

/// Shows bytes or text on one line, with what could do harm made visible.
#[derive(Clone, Copy)]
pub struct Escaped<'a>(pub &'a [u8]);

impl<'a> Escaped<'a> {
    /// Shows a text.
    #[must_use]
    pub fn text(text: &'a str) -> Self {
        Self(text.as_bytes())
    }
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                write_visible(f, c, false)?;
            }
            write_invalid(f, chunk.invalid())?;
        }
        Ok(())
    }
}

/// Whether `c` changes the direction in which a line is read (Unicode UAX #9).
#[must_use]
pub fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Makes a stream of bytes visible, piece by piece: line ends and tabs pass, and
/// a character that is cut by the end of a piece waits for the next one.
#[derive(Default)]
pub struct EscapedStream {
    /// The first bytes of a character whose rest has not come, at most three.
    cut: Vec<u8>,
}

impl EscapedStream {
    /// Appends the visible form of `bytes` to `out`.
    pub fn push(&mut self, bytes: &[u8], out: &mut String) {
        let joined;
        let bytes = if self.cut.is_empty() {
            bytes
        } else {
            self.cut.extend_from_slice(bytes);
            joined = std::mem::take(&mut self.cut);
            &joined
        };
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            for c in chunk.valid().chars() {
                // Writing to a String cannot fail.
                let _ = write_visible(out, c, true);
            }
            let invalid = chunk.invalid();
            if chunks.peek().is_none() && may_continue(invalid) {
                self.cut.extend_from_slice(invalid);
            } else {
                let _ = write_invalid(out, invalid);
            }
        }
    }

    /// Ends the stream: a character whose rest never came is shown as it is.
    pub fn finish(&mut self, out: &mut String) {
        let _ = write_invalid(out, &std::mem::take(&mut self.cut));
    }
}

/// Whether `bytes` could be the beginning of a character: then it is not an
/// error of the text but of where it was cut.
fn may_continue(bytes: &[u8]) -> bool {
    !bytes.is_empty() && std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

fn write_visible(out: &mut impl Write, c: char, multiline: bool) -> fmt::Result {
    let harmless = match c {
        '\n' | '\t' => multiline,
        '\u{2028}' | '\u{2029}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' => false,
        c => !c.is_control() && !is_bidi_control(c),
    };
    if harmless {
        out.write_char(c)
    } else {
        write!(out, "{}", c.escape_default())
    }
}

fn write_invalid(out: &mut impl Write, bytes: &[u8]) -> fmt::Result {
    for byte in bytes {
        write!(out, "\\x{byte:02x}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_of_every_kind_are_made_visible() {
        let text = "a\u{1b}[31m\r\n\u{7f}\u{9b}\u{202e}\u{2028}\u{200b}é";
        assert_eq!(
            Escaped::text(text).to_string(),
            "a\\u{1b}[31m\\r\\n\\u{7f}\\u{9b}\\u{202e}\\u{2028}\\u{200b}é"
        );
        assert_eq!(Escaped(b"\xff\xc3").to_string(), "\\xff\\xc3");
    }

    #[test]
    fn a_stream_shows_the_same_however_it_is_cut() {
        let bytes = "grün\u{1b}\n\tüber 𝄞".as_bytes();
        for cut in 0..=bytes.len() {
            let mut stream = EscapedStream::default();
            let mut out = String::new();
            stream.push(&bytes[..cut], &mut out);
            stream.push(&bytes[cut..], &mut out);
            stream.finish(&mut out);
            assert_eq!(out, "grün\\u{1b}\n\tüber 𝄞");
        }
    }

    #[test]
    fn a_character_that_never_ends_is_shown() {
        let mut stream = EscapedStream::default();
        let mut out = String::new();
        stream.push(b"a\xf0\x9d", &mut out);
        assert_eq!(out, "a");
        stream.finish(&mut out);
        assert_eq!(out, "a\\xf0\\x9d");
    }
}
