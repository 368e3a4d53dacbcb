//! Reports to the service manager how a server is doing, as sd_notify(3) does.

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::rc::Rc;
use std::time::Duration;

use log::warn;
use rustix::io::retry_on_intr;
use rustix::net::{SendFlags, send};

use crate::logging::OPERATOR;
use crate::system_error::Reason;

/// How long a report waits for a service manager that is busy.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

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

    /// Sends an assignment without which the service manager would end the start of the server,
    /// such as `READY=1`: waits while its queue is full, but not for ever.
    pub(super) fn notify_and_wait(&self, assignment: &str) {
        self.send(assignment, SendFlags::empty());
    }

    /// Sends another assignment. Never waits, because the loop sends it: it is lost if the queue of
    /// the service manager is full.
    pub(super) fn notify(&self, assignment: &str) {
        self.send(assignment, SendFlags::DONTWAIT);
    }

    /// The same for a text for people.
    pub(super) fn notify_status(&self, status: impl fmt::Display) {
        self.notify(&format!("STATUS={status}"));
    }

    fn send(&self, assignment: &str, flags: SendFlags) {
        if let Some(socket) = &self.0
            && let Err(error) = retry_on_intr(|| send(socket, assignment.as_bytes(), flags))
        {
            let reason = Reason(&error.into());
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
    socket.set_write_timeout(Some(LONGEST_WAIT))?;
    Ok(socket)
}
