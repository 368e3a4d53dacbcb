//! The address of an engine, as on the command line.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The port of Redis and Valkey.
const DEFAULT_PORT: u16 = 6379;

/// `redis://[USER@]HOST[:PORT][/DB]`, `rediss://…` with TLS, `unix:///PATH[?db=N]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegistryAddress {
    /// Where the engine listens.
    pub host: RegistryHost,
    /// The name of the user, if it is not the default one.
    pub user: Option<String>,
    /// The number of the database.
    pub database: u32,
}

/// Where an engine listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RegistryHost {
    /// A host name or address, a port, and whether the connection is encrypted.
    Tcp(String, u16, bool),
    /// A socket in the file system.
    Unix(PathBuf),
}

impl FromStr for RegistryAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str =
            "write redis://HOST:PORT/DB, rediss://HOST:PORT/DB or unix:///PATH?db=DB";
        let (scheme, rest) = text.split_once("://").ok_or(FORM)?;
        let is_encrypted = match scheme {
            "redis" => false,
            "rediss" => true,
            "unix" | "redis+unix" => return Self::of_socket(rest),
            _ => return Err(FORM),
        };
        let (user, rest) = match rest.rsplit_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, rest),
        };
        if user.is_some_and(|user| user.contains(':')) {
            return Err(
                "others can see the command line: write the password into a file for \
                 --registry-password-file, or into PEERLINE_REGISTRY_PASSWORD",
            );
        }
        let (place, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| "the port is not a number")?)
            }
            _ => (place, DEFAULT_PORT),
        };
        let host = host.trim_matches(['[', ']']);
        if host.is_empty() || port == 0 {
            return Err(FORM);
        }
        Ok(Self {
            host: RegistryHost::Tcp(host.to_owned(), port, is_encrypted),
            user: user.filter(|user| !user.is_empty()).map(str::to_owned),
            database: parse_database(database)?,
        })
    }
}

impl RegistryAddress {
    fn of_socket(rest: &str) -> Result<Self, &'static str> {
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        if !path.starts_with('/') {
            return Err("the path of the socket must be absolute: unix:///run/redis.sock");
        }
        Ok(Self {
            host: RegistryHost::Unix(path.into()),
            user: None,
            database: parse_database(query.strip_prefix("db=").unwrap_or(query))?,
        })
    }
}

fn parse_database(text: &str) -> Result<u32, &'static str> {
    match text {
        "" => Ok(0),
        text => text.parse().map_err(|_| "the database must be a number"),
    }
}

impl fmt::Display for RegistryAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            RegistryHost::Tcp(host, port, is_encrypted) => {
                let scheme = if *is_encrypted { "rediss" } else { "redis" };
                let host = match host.contains(':') {
                    true => format!("[{host}]"),
                    false => host.clone(),
                };
                write!(f, "{scheme}://{host}:{port}/{}", self.database)
            }
            RegistryHost::Unix(path) => {
                write!(f, "unix://{}?db={}", path.display(), self.database)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_parsed_and_printed() {
        for (text, printed) in [
            ("redis://localhost", "redis://localhost:6379/0"),
            ("redis://10.0.0.1:7000/3", "redis://10.0.0.1:7000/3"),
            (
                "rediss://me@cache.example/2",
                "rediss://cache.example:6379/2",
            ),
            ("redis://[::1]:7000", "redis://[::1]:7000/0"),
            ("redis://[::1]", "redis://[::1]:6379/0"),
            ("unix:///run/redis.sock", "unix:///run/redis.sock?db=0"),
            ("redis+unix:///run/r?db=4", "unix:///run/r?db=4"),
        ] {
            let address: RegistryAddress = text.parse().expect(text);
            assert_eq!(address.to_string(), printed);
        }
        let address: RegistryAddress = "redis://me@h".parse().expect("an address");
        assert_eq!(address.user.as_deref(), Some("me"));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "localhost:6379",
            "http://localhost",
            "redis://",
            "redis://:6379",
            "redis://h:x",
            "redis://h:0",
            "redis://h/x",
            "redis://me:secret@h",
            "unix://run/redis.sock",
        ] {
            assert!(text.parse::<RegistryAddress>().is_err(), "{text}");
        }
    }
}
