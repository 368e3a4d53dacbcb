//! Parses the values of a command line. The error of each parser is the second half
//! of a sentence for the user: it says what to write instead.

use std::net::{IpAddr, SocketAddr};

use log::LevelFilter;

use crate::jobs::FilePattern;
use crate::protocol::{
    ClaimedIp, FileName, HashPrefix, NameError, NodeAddress, Port, Text, TextError, canonical,
};

/// A port to connect to.
pub(super) fn port(text: &str) -> Result<Port, &'static str> {
    let error = "a port is a whole number from 1 to 65535";
    listen_port(text).ok().and_then(Port::new).ok_or(error)
}

/// A port to listen on.
pub(super) fn listen_port(text: &str) -> Result<u16, &'static str> {
    let error = "a port is a whole number from 0 to 65535";
    text.parse().map_err(|_| error)
}

pub(super) fn ip(text: &str) -> Result<IpAddr, String> {
    if let Ok(ip) = text.trim_matches(['[', ']']).parse() {
        // ::ffff:127.0.0.1 is the IPv4 address.
        return Ok(canonical(ip));
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        let ip = address.ip();
        return Err(format!("write the address without a port: {ip}"));
    }
    Err(match text {
        "localhost" => "write the address instead of the name: 127.0.0.1".into(),
        "*" => "write 0.0.0.0 for all IPv4 addresses, :: for all addresses".into(),
        _ => "write an IPv4 or IPv6 address, such as 192.0.2.1 or ::1".into(),
    })
}

/// The address of a message receiver. The port is the next word.
pub(super) fn receiver_ip(text: &str) -> Result<IpAddr, String> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        let (ip, port) = (address.ip(), address.port());
        return Err(format!("write address and port as two words: {ip} {port}"));
    }
    ip(text)
}

/// An address under which a node asks to be listed, with the port if that differs: `IP`,
/// `IP:PORT`, `[IPv6]:PORT`; `*` is the address that the relay sees.
pub(super) fn advertised(text: &str) -> Result<(ClaimedIp, Option<Port>), String> {
    let (host, listed_port) = match text.rsplit_once(':') {
        Some((host, digits)) if text.parse::<IpAddr>().is_err() => (host, Some(port(digits)?)),
        _ => (text, None),
    };
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    Ok((claimed_ip(bare.unwrap_or(host))?, listed_port))
}

fn claimed_ip(text: &str) -> Result<ClaimedIp, String> {
    if text == "*" {
        return Ok(ClaimedIp::Source);
    }
    // Only the address is checked, so any port will do.
    let address = NodeAddress::new(ip(text)?, Port::MIN).map_err(|error| error.to_string())?;
    Ok(ClaimedIp::Address(address.ip()))
}

pub(super) fn hash_prefix(text: &str) -> Result<HashPrefix, String> {
    text.parse()
        .map_err(|_| match text.chars().find(|c| !c.is_ascii_hexdigit()) {
            Some(c) => format!("write 8 to 64 hex digits of the hash; {c:?} is not a hex digit"),
            None => format!("write 8 to 64 hex digits of the hash, not {}", text.len()),
        })
}

pub(super) fn message_text(text: &str) -> Result<Text<'static>, TextError> {
    Text::parse(text).map(Text::into_owned)
}

pub(super) fn file_pattern(text: &str) -> Result<FilePattern, NameError> {
    FilePattern::parse(text)
}

pub(super) fn file_name(text: &str) -> Result<FileName<'static>, NameError> {
    FileName::parse(text).map(FileName::into_owned)
}

pub(super) fn log_level(text: &str) -> Result<LevelFilter, String> {
    let advice = match text.to_ascii_lowercase().as_str() {
        "warning" => "; write warn",
        "err" | "fatal" | "critical" => "; write error",
        "verbose" | "all" | "trace" => "; write debug",
        "none" | "quiet" | "silent" => "; write off",
        _ => "",
    };
    match text.parse() {
        // Only libraries write lines of the level trace.
        Err(_) | Ok(LevelFilter::Trace) => Err(format!(
            "the levels are off, error, warn, info and debug{advice}"
        )),
        Ok(level) => Ok(level),
    }
}
