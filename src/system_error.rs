//! Errors of the operating system.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;

use rustix::io::Errno;

/// Prints an error for people: `No such file or directory`, without the number that
/// the standard library adds.
pub(crate) struct Reason<'a>(pub(crate) &'a io::Error);

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        f.write_str(text.split(" (os error ").next().unwrap_or(&text))
    }
}

/// Returns an error of earlier writes that the file system reports only when a descriptor is
/// closed, as NFS, FUSE and disk quotas may do. Rust ignores it when it drops a file. Without a
/// free descriptor nothing is known, and nothing has failed.
pub(crate) fn check_close(file: impl AsFd) -> io::Result<()> {
    loop {
        let duplicate = match file.as_fd().try_clone_to_owned() {
            Err(error) if is_out_of_resources(&error) => return Ok(()),
            duplicate => duplicate?,
        };
        match nix::unistd::close(duplicate) {
            // It is closed, but perhaps not everything was written.
            Err(nix::errno::Errno::EINTR) => {}
            closed => return Ok(closed?),
        }
    }
}

/// Whether the system has no more descriptors or memory.
pub(crate) fn is_out_of_resources(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM)
    )
}

/// There is no connection to a relay, which would list an address at which nobody can reach this
/// program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SourceAddressError {
    /// The machine no longer has this address, from which the connection was to come.
    Lost(IpAddr),
    /// The connection would come from this address, and the program does not listen there.
    NotListening(IpAddr),
}

impl SourceAddressError {
    /// The error of a socket that cannot be bound to `ip`.
    pub(crate) fn lost_or(error: io::Error, ip: IpAddr) -> io::Error {
        match error.kind() {
            kind @ io::ErrorKind::AddrNotAvailable => io::Error::new(kind, Self::Lost(ip)),
            _ => error,
        }
    }

    /// What `error` says, if it is of this kind.
    pub(crate) fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

impl fmt::Display for SourceAddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(ip) => write!(f, "this machine no longer has the address {ip}"),
            Self::NotListening(ip) => write!(
                f,
                "this node does not listen on {ip}, the address that the relay would list"
            ),
        }
    }
}

impl std::error::Error for SourceAddressError {}
