//! Messages that the relay forwards.

use std::borrow::Cow;
use std::fmt;

use nom::Parser;

use crate::escaped::is_bidi_control;
use crate::protocol::MAX_TEXT;
use crate::protocol::address::{NodeAddress, node_address};
use crate::protocol::fields::last;

/// The text of a message: 1 to 1,024 bytes of UTF-8 without control characters and
/// bidi controls.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Text<'a>(Cow<'a, str>);

impl<'a> Text<'a> {
    /// Parses a text.
    ///
    /// # Errors
    /// The first rule that `text` breaks.
    pub fn parse(text: &'a str) -> Result<Self, TextError> {
        if text.is_empty() {
            return Err(TextError::Empty);
        }
        if text.len() > MAX_TEXT {
            return Err(TextError::TooLong);
        }
        if text.chars().any(|c| c.is_control() || is_bidi_control(c)) {
            return Err(TextError::Character);
        }
        Ok(Self(Cow::Borrowed(text)))
    }

    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A copy of the text that outlives the line.
    #[must_use]
    pub fn into_owned(self) -> Text<'static> {
        Text(Cow::Owned(self.0.into_owned()))
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is not a valid message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TextError {
    /// The text is empty.
    Empty,
    /// The text has more than 1,024 bytes.
    TooLong,
    /// The text contains a control character or a bidi control.
    Character,
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the text is missing",
            Self::TooLong => "a text has at most 1024 bytes",
            Self::Character => "a text must not contain control characters",
        })
    }
}

impl std::error::Error for TextError {}

/// A message that a listening connection receives: `FROM ip port text`. No reply
/// starts with `FROM`, so the line may stand between any two replies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery<'a> {
    /// The address to which the receiver can reply.
    pub from: NodeAddress,
    /// The message.
    pub text: Text<'a>,
}

impl<'a> Delivery<'a> {
    const KEYWORD: &'static str = "FROM ";

    /// Whether the line is a delivery, even one that this version cannot parse.
    #[must_use]
    pub fn is_delivery(line: &[u8]) -> bool {
        line.starts_with(Self::KEYWORD.as_bytes())
    }

    /// Parses one line without its end. Returns `None` for any other line.
    #[must_use]
    pub fn parse(line: &'a str) -> Option<Self> {
        let fields = line.strip_prefix(Self::KEYWORD)?;
        let (_, (from, text)) = (node_address, last).parse(fields).ok()?;
        let text = Text::parse(text).ok()?;
        Some(Self { from, text })
    }
}

/// As on the wire.
impl fmt::Display for Delivery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{} {}", Self::KEYWORD, self.from, self.text)
    }
}
