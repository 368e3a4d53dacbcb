//! The programs: their flags, and how each is put together from a role, a loop
//! and what surrounds them. The files in `bin/` only name one of these.

mod addresses;
pub mod client;
mod console;
pub mod demo;
mod logging;
pub mod node;
pub mod relay;

use std::fmt;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::process::ExitCode;

pub use console::ConsoleArgs;
pub use logging::LogArgs;

use crate::exit::Exit;
use crate::logging::AsyncLogWriter;
use crate::protocol::Port;
use crate::reactor::{DatagramSocket, ListeningSocket, LoopOutcome};
use crate::role::UdpPeer;
pub use crate::terminal::HistoryArgs;
use crate::terminal::TerminalOutput;

/// Bytes that a server reads at once: requests are short, but many are read
/// together, with room left for the longest datagram.
const SERVER_READ_SIZE: usize = 128 * 1024;

/// Why a program cannot do its work. It prints as one line that says what to do.
#[derive(Debug)]
pub struct StartupError {
    exit: Exit,
    text: String,
}

impl StartupError {
    fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self {
            exit,
            text: text.into(),
        }
    }

    fn system(what: &str, error: &io::Error) -> Self {
        Self::new(Exit::System, format!("{what}: {error}"))
    }
}

impl fmt::Display for StartupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for StartupError {}

/// Reads a port to connect to.
fn port(text: &str) -> Result<Port, &'static str> {
    text.parse()
        .map_err(|_| "a port is a whole number from 1 to 65535")
}

/// Turns the result of a program into its exit code; a failure is said on stderr.
#[must_use]
pub fn exit_code(program: &str, result: Result<Exit, StartupError>) -> ExitCode {
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            // If stderr is closed, the exit code is all that is left to say.
            let _ = writeln!(io::stderr(), "{program}: {failure}");
            failure.exit.into()
        }
    }
}

/// How a server speaks. Its last words are written when the scribe is dropped.
fn server_voice() -> Result<(TerminalOutput, Option<AsyncLogWriter>), StartupError> {
    TerminalOutput::of_server()
        .map_err(|error| StartupError::system("a thread cannot start", &error))
}

/// A server that was stopped has done its work, unless something was cut.
fn server_exit(outcome: LoopOutcome) -> Exit {
    match outcome {
        LoopOutcome::Finished | LoopOutcome::Drained | LoopOutcome::Aborted(0) => Exit::Success,
        LoopOutcome::Aborted(connections) => {
            log::warn!("connections cut before all was sent: {connections}");
            Exit::Cut
        }
    }
}

/// Says a line on stdout at once. A closed stdout is no failure.
fn announce(line: impl fmt::Display) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{line}");
    let _ = stdout.flush();
}

/// The addresses of a host: all are tried.
fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, StartupError> {
    // Written in brackets as in a URL, an IPv6 address is meant as well.
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = literal.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let unresolved = |why: String| {
        StartupError::new(
            Exit::Host,
            format!("{host} does not resolve: {why}; give a known name or an address"),
        )
    };
    let addresses: Vec<SocketAddr> = (host, port)
        .to_socket_addrs()
        .map_err(|error| unresolved(error.to_string()))?
        .collect();
    if addresses.is_empty() {
        return Err(unresolved("it has no address".into()));
    }
    Ok(addresses)
}

/// Listens on all these addresses, with one port. The port that the system
/// chooses for the first is everybody's.
fn bind(
    ips: &[IpAddr],
    port: u16,
) -> Result<(Vec<ListeningSocket>, Vec<SocketAddr>), StartupError> {
    let mut listeners = Vec::new();
    let mut addresses: Vec<SocketAddr> = Vec::new();
    // Alone, :: takes IPv4 as well.
    let v6_only = ips.iter().any(IpAddr::is_ipv4);
    for ip in ips {
        let port = addresses.first().map_or(port, SocketAddr::port);
        let (listener, address) = bind_one(SocketAddr::new(*ip, port), v6_only)?;
        listeners.push(listener);
        addresses.push(address);
    }
    Ok((listeners, addresses))
}

fn bind_one(
    address: SocketAddr,
    v6_only: bool,
) -> Result<(ListeningSocket, SocketAddr), StartupError> {
    let bound = ListeningSocket::bind(address, v6_only).and_then(|listener| {
        let address = listener.address()?;
        Ok((listener, address))
    });
    bound.map_err(|error| not_bound(address, "", &error))
}

/// Takes datagrams at all these addresses, each with a socket of its own: so the
/// answers leave from the address that was asked.
fn bind_datagrams(addresses: &[SocketAddr]) -> Result<Vec<DatagramSocket>, StartupError> {
    let v6_only = addresses.iter().any(SocketAddr::is_ipv4);
    let bound = addresses.iter().map(|address| {
        DatagramSocket::bind(*address, v6_only)
            .map_err(|error| not_bound(*address, " over UDP (--no-udp does without)", &error))
    });
    bound.collect()
}

/// Opens the ways on which datagrams reach a relay: a socket for each of its
/// addresses. Where there is none, there is TCP.
fn datagram_routes(
    relay: &[SocketAddr],
    sources: &[IpAddr],
) -> (Vec<DatagramSocket>, Vec<UdpPeer>) {
    let (mut sockets, mut routes) = (Vec::new(), Vec::new());
    for address in relay {
        match DatagramSocket::connect(*address, sources) {
            Ok(socket) => {
                routes.push(UdpPeer {
                    socket: sockets.len() as u32,
                    address: *address,
                });
                sockets.push(socket);
            }
            Err(error) => log::warn!("no datagrams to {address}: {error}"),
        }
    }
    (sockets, routes)
}

fn not_bound(address: SocketAddr, over: &str, error: &io::Error) -> StartupError {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => "another program has it; choose another port, or 0",
        io::ErrorKind::AddrNotAvailable => "it is no address of this machine",
        io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege; choose another",
        _ => "choose another address or port",
    };
    StartupError::new(
        Exit::Listen,
        format!("cannot listen on {address}{over}: {error}; {advice}"),
    )
}
