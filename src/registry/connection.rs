//! A connection to the engine: commands go out, their replies come back in order.

use std::fmt;
use std::io::{self, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;

use crate::escaped::Escaped;
use crate::registry::address::{RegistryAddress, RegistryHost};
use crate::registry::resp::{Commands, RespValue};
use crate::registry::tls;
use crate::system_error::Reason;

/// An engine that does not answer for this long counts as gone.
pub(super) const REPLY_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The least bytes per second of a reply, after that time.
const MIN_RATE: u64 = 16 * 1024;

/// How to reach the engine, and as whom.
#[derive(Clone)]
pub struct RegistryAccess {
    /// The engine.
    pub address: RegistryAddress,
    /// The password, if there is one.
    pub password: Option<String>,
    /// How to check the engine's certificate, for `rediss://`.
    pub tls: Option<Arc<ClientConfig>>,
}

/// Why the engine cannot be used.
#[derive(Debug)]
pub enum EngineError {
    /// The connection failed.
    Connection(io::Error),
    /// The socket in the file system cannot be reached.
    Socket(PathBuf, io::Error),
    /// The engine wants another user or password.
    AccessDenied(String),
    /// The engine refuses a command.
    Refused(String),
    /// The relay was told to connect again.
    Reconnect(&'static str),
    /// The code that speaks to the engine is wrong.
    Panicked,
}

impl EngineError {
    /// Does a part of a thread's work. A panic, which is printed as usual, becomes an error,
    /// so that the thread goes on with a new connection.
    pub(super) fn catch_panic<T>(work: impl FnOnce() -> Result<T, Self>) -> Result<T, Self> {
        panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(Self::Panicked))
    }
}

impl From<io::Error> for EngineError {
    fn from(error: io::Error) -> Self {
        Self::Connection(error)
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                    f.write_str("the registry does not answer in time")
                }
                io::ErrorKind::UnexpectedEof => f.write_str("the registry closed the connection"),
                _ => error.fmt(f),
            },
            Self::Socket(path, error) => {
                let path = Escaped(path.as_os_str().as_encoded_bytes());
                match error.kind() {
                    io::ErrorKind::NotFound => write!(f, "there is no socket {path}")?,
                    io::ErrorKind::ConnectionRefused => write!(f, "nobody listens at {path}")?,
                    _ => return write!(f, "{path}: {}", Reason(error)),
                }
                f.write_str(": the engine does not run, or the path is wrong")
            }
            Self::AccessDenied(text) | Self::Refused(text) => {
                let text = Escaped::text(text);
                write!(f, "the registry refused the command: {text}")
            }
            Self::Reconnect(reason) => f.write_str(reason),
            Self::Panicked => f.write_str("a thread of the registry panicked"),
        }
    }
}

/// Whether the engine refuses a command because a key holds a value of another type.
pub(super) fn is_wrong_type(error: &str) -> bool {
    error.starts_with("WRONGTYPE")
}

/// A byte stream to the engine.
pub(super) trait EngineStream: Read + Write + Send {}

impl<T: Read + Write + Send> EngineStream for T {}

/// A connection.
pub(super) struct EngineConnection {
    stream: BufReader<RatedStream>,
}

/// A stream whose replies must come at [`MIN_RATE`]. The time-out of the socket is one for each
/// read: an engine that sends a byte now and then would never reach it.
struct RatedStream {
    stream: Box<dyn EngineStream>,
    /// How long a reply may take, beside the time for its bytes.
    patience: Duration,
    /// When the present reply was begun, and its bytes.
    started: Instant,
    received: u64,
}

impl RatedStream {
    fn begin_reply(&mut self) {
        (self.started, self.received) = (Instant::now(), 0);
    }
}

impl Read for RatedStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let time = self.patience + Duration::from_secs(self.received / MIN_RATE);
        if self.started.elapsed() > time {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let length = self.stream.read(buffer)?;
        self.received += length as u64;
        Ok(length)
    }
}

impl EngineConnection {
    /// Connects and logs in. Replies may take [`REPLY_TIMEOUT`] and `patience`.
    pub(super) fn open(access: &RegistryAccess, patience: Duration) -> Result<Self, EngineError> {
        let timeout = Some(REPLY_TIMEOUT + patience);
        let stream: Box<dyn EngineStream> = match &access.address.host {
            RegistryHost::Unix(path) => {
                let failed = |error| EngineError::Socket(path.clone(), error);
                let stream = UnixStream::connect(path).map_err(failed)?;
                stream.set_read_timeout(timeout)?;
                stream.set_write_timeout(timeout)?;
                Box::new(stream)
            }
            RegistryHost::Tcp(host, port, _) => {
                let stream = connect(host, *port)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(timeout)?;
                stream.set_write_timeout(timeout)?;
                match &access.tls {
                    Some(config) => Box::new(tls::encrypt(stream, host, config)?),
                    None => Box::new(stream),
                }
            }
        };
        let mut connection = Self::over(stream, REPLY_TIMEOUT + patience);
        connection.log_in(access)?;
        Ok(connection)
    }

    /// Speaks over a stream. A reply may take so long, beside the time for its bytes.
    pub(super) fn over(stream: Box<dyn EngineStream>, patience: Duration) -> Self {
        let stream = RatedStream {
            stream,
            patience,
            started: Instant::now(),
            received: 0,
        };
        Self {
            stream: BufReader::with_capacity(64 * 1024, stream),
        }
    }

    fn log_in(&mut self, access: &RegistryAccess) -> Result<(), EngineError> {
        let mut commands = Commands::default();
        if let Some(password) = &access.password {
            match &access.address.user {
                Some(user) => commands.push_words(["AUTH", user, password]),
                None => commands.push_words(["AUTH", password]),
            }
        }
        let database = access.address.database.to_string();
        commands.push_words(["SELECT", &database]);
        self.exchange(&commands)?;
        Ok(())
    }

    /// Sends commands and reads their replies. The first error of a reply is one.
    pub(super) fn exchange(&mut self, commands: &Commands) -> Result<Vec<RespValue>, EngineError> {
        self.exchange_unless(commands, |_| false)
    }

    /// Sends commands that read keys. One that holds a value of the wrong type, which no relay
    /// wrote, counts as missing.
    pub(super) fn read_keys(&mut self, commands: &Commands) -> Result<Vec<RespValue>, EngineError> {
        self.exchange_unless(commands, is_wrong_type)
    }

    /// Sends commands and reads their replies. An error that counts as a missing value is none.
    fn exchange_unless(
        &mut self,
        commands: &Commands,
        is_missing: impl Fn(&str) -> bool,
    ) -> Result<Vec<RespValue>, EngineError> {
        let stream = &mut self.stream.get_mut().stream;
        stream.write_all(&commands.bytes)?;
        stream.flush()?;
        let mut replies = Vec::with_capacity(commands.count);
        let mut error = None;
        for _ in 0..commands.count {
            self.stream.get_mut().begin_reply();
            match RespValue::read(&mut self.stream)? {
                RespValue::Error(text) if is_missing(&text) => replies.push(RespValue::Nil),
                RespValue::Error(text) => error = error.or(Some(text)),
                reply => replies.push(reply),
            }
        }
        match error {
            None => Ok(replies),
            Some(text) => Err(refusal(text)),
        }
    }
}

fn refusal(text: String) -> EngineError {
    let is_denied = [
        "NOAUTH",
        "WRONGPASS",
        "ERR AUTH",
        "ERR invalid password",
        "NOPERM",
    ]
    .iter()
    .any(|word| text.starts_with(word));
    match is_denied {
        true => EngineError::AccessDenied(text),
        false => EngineError::Refused(text),
    }
}

fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An engine whose reply never ends.
    struct TricklingEngine;

    impl Read for TricklingEngine {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            std::thread::sleep(Duration::from_millis(5));
            buffer[0] = b'+';
            Ok(1)
        }
    }

    impl Write for TricklingEngine {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reply_that_trickles_in_is_late() {
        let patience = Duration::from_millis(50);
        let mut connection = EngineConnection::over(Box::new(TricklingEngine), patience);
        let mut commands = Commands::default();
        commands.push_words(["PING"]);
        let reply = connection.exchange(&commands);
        assert!(
            matches!(&reply, Err(EngineError::Connection(error)) if error.kind() == io::ErrorKind::TimedOut),
            "{reply:?}"
        );
    }
}
