//! Whether connections are encrypted.

use std::fmt;
use std::str::FromStr;

/// The choice of a user.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum TlsMode {
    /// No connection is encrypted.
    Off,
    /// Connections to peers that are known to speak TLS are encrypted.
    #[default]
    Auto,
    /// All connections are encrypted.
    Required,
}

impl fmt::Display for TlsMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Auto => "auto",
            Self::Required => "required",
        })
    }
}

impl FromStr for TlsMode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "off" => Ok(Self::Off),
            "auto" => Ok(Self::Auto),
            "required" => Ok(Self::Required),
            _ => Err("write off, auto or required"),
        }
    }
}
