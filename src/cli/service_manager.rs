//! Reports to the service manager how a server is doing, as sd_notify(3) does.

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::rc::Rc;

use log::warn;

use crate::logging::OPERATOR;
use crate::system_error::Reason;

/// The socket of the service manager, if it started this program and waits for reports.
#[derive(Clone)]
pub(super) struct ServiceManager(Option<Rc<UnixDatagram>>);

impl ServiceManager {
    /// Connects to the socket that `NOTIFY_SOCKET` names.
    pub(super) fn from_environment() -> Self {
        let name = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        let socket = name.and_then(|name| match connect(&name) {
            Ok(socket) => Some(Rc::new(socket)),
            Err(error) => {
                warn!(
                    target: OPERATOR,
                    "cannot reach the service manager at {}: {}",
                    name.display(),
                    Reason(&error)
                );
                None
            }
        });
        Self(socket)
    }

    /// Sends an assignment, such as `READY=1`. Never blocks: a report that the service
    /// manager does not take is lost.
    pub(super) fn notify(&self, assignment: impl fmt::Display) {
        if let Some(socket) = &self.0
            && let Err(error) = socket.send(assignment.to_string().as_bytes())
        {
            let reason = Reason(&error);
            warn!(target: OPERATOR, "cannot report to the service manager: {reason}");
        }
    }
}

fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    // A name that starts with @ is abstract: it is in no file system.
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
