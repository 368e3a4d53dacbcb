//! Whether connections are encrypted.

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
