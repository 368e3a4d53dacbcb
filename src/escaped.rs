//! Escapes text from the network, so that it cannot move the cursor, change
//! colours or forge a line on a terminal or in a log.
//!
//! Control characters (C0, DEL, C1), bidi controls, line and paragraph
//! separators, invisible characters and bytes that are not UTF-8 are written as
//! `\n`, `\u{202e}`, `\xff`.

use std::fmt::{self, Write};

/// Prints bytes on one line, with unsafe characters escaped.
#[derive(Clone, Copy)]
pub struct Escaped<'a>(pub &'a [u8]);

impl<'a> Escaped<'a> {
    /// Prints a text.
    #[must_use]
    pub fn text(text: &'a str) -> Self {
        Self(text.as_bytes())
    }
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                write_escaped(f, c, false)?;
            }
            write_invalid(f, chunk.invalid())?;
        }
        Ok(())
    }
}

/// Whether `c` changes the direction of writing (Unicode UAX #9).
#[must_use]
pub fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Escapes a stream of bytes that arrives in pieces. Newlines and tabs pass. A
/// character that continues in the next piece is printed with that piece.
#[derive(Default)]
pub struct EscapedStream {
    /// The first bytes of an incomplete character, at most three.
    incomplete: Vec<u8>,
}

impl EscapedStream {
    /// Appends `bytes` to `out`, escaped.
    pub fn push(&mut self, bytes: &[u8], out: &mut String) {
        let joined;
        let bytes = if self.incomplete.is_empty() {
            bytes
        } else {
            self.incomplete.extend_from_slice(bytes);
            joined = std::mem::take(&mut self.incomplete);
            &joined
        };
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            for c in chunk.valid().chars() {
                // Writing to a String cannot fail.
                let _ = write_escaped(out, c, true);
            }
            let invalid = chunk.invalid();
            if chunks.peek().is_none() && is_incomplete(invalid) {
                self.incomplete.extend_from_slice(invalid);
            } else {
                let _ = write_invalid(out, invalid);
            }
        }
    }

    /// Ends the stream: prints the bytes of an incomplete character.
    pub fn finish(&mut self, out: &mut String) {
        let _ = write_invalid(out, &std::mem::take(&mut self.incomplete));
    }
}

/// Whether `bytes` are the beginning of a character.
fn is_incomplete(bytes: &[u8]) -> bool {
    !bytes.is_empty() && std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

fn write_escaped(out: &mut impl Write, c: char, multiline: bool) -> fmt::Result {
    let is_safe = match c {
        '\n' | '\t' => multiline,
        c => !c.is_control() && !is_bidi_control(c) && !is_invisible(c),
    };
    if is_safe {
        out.write_char(c)
    } else {
        write!(out, "{}", c.escape_default())
    }
}

/// Whether a terminal shows nothing for a character: line separators, and what Unicode calls
/// default-ignorable (`DerivedCoreProperties.txt`). U+FE0F is not among them: it follows emoji.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200d}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0e}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
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
    fn controls_of_every_kind_are_escaped() {
        let text = "a\u{1b}[31m\r\n\u{7f}\u{9b}\u{202e}\u{2028}\u{200b}é";
        assert_eq!(
            Escaped::text(text).to_string(),
            "a\\u{1b}[31m\\r\\n\\u{7f}\\u{9b}\\u{202e}\\u{2028}\\u{200b}é"
        );
        assert_eq!(Escaped(b"\xff\xc3").to_string(), "\\xff\\xc3");
    }

    #[test]
    fn invisible_characters_are_escaped() {
        for c in "\u{ad}\u{34f}\u{180e}\u{2061}\u{206a}\u{3164}\u{fe01}\u{fff9}\u{e0041}".chars() {
            let expected = format!("pay{}pal", c.escape_default());
            assert_eq!(Escaped::text(&format!("pay{c}pal")).to_string(), expected);
        }
        assert_eq!(Escaped::text("❤\u{fe0f}").to_string(), "❤\u{fe0f}");
    }

    #[test]
    fn a_stream_is_printed_the_same_however_it_is_split() {
        let bytes = "grün\u{1b}\n\tüber 𝄞".as_bytes();
        for split in 0..=bytes.len() {
            let mut stream = EscapedStream::default();
            let mut out = String::new();
            stream.push(&bytes[..split], &mut out);
            stream.push(&bytes[split..], &mut out);
            stream.finish(&mut out);
            assert_eq!(out, "grün\\u{1b}\n\tüber 𝄞");
        }
    }

    #[test]
    fn an_incomplete_character_at_the_end_is_printed() {
        let mut stream = EscapedStream::default();
        let mut out = String::new();
        stream.push(b"a\xf0\x9d", &mut out);
        assert_eq!(out, "a");
        stream.finish(&mut out);
        assert_eq!(out, "a\\xf0\\x9d");
    }
}
