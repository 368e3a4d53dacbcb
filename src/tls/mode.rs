//! Whether connections are encrypted.

use std::str::FromStr;

/// The choice of a user.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum TlsMode {
    /// None is.
    Off,
    /// Those are whose other side is known to speak TLS.
    #[default]
    Auto,
    /// All are.
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
