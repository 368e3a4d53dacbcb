//! The sockets of an mDNS daemon, and which datagrams they take.
//!
//! The library that owns them stores all that it is sent, and reads no command as long as
//! datagrams arrive faster than it handles them. A socket filter is the only thing that stops it
//! then: a duplicate of a socket shares its filter.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::{fs, io};

use mdns_sd::MDNS_PORT;
use rustix::io::Errno;
use rustix::net::sockopt::socket_cookie;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use socket2::{SockFilter, Socket, Type};

/// Descriptors in a row that are not in use, after which there are none of interest: meanwhile,
/// other threads open and close some.
const MAX_UNUSED: u32 = 1024;

/// Which datagrams a daemon reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Accepted {
    /// All of them.
    All,
    /// Queries of others, which it does not store.
    Queries,
    /// None.
    Nothing,
}

/// Duplicates of the sockets of one daemon, each by its cookie: a number that no other socket
/// has had since the system started.
pub(super) struct MdnsSockets(BTreeMap<u64, Socket>);

impl MdnsSockets {
    /// All of this process, of any daemon. Each socket of the process is duplicated for an
    /// instant.
    ///
    /// # Errors
    /// The system does not allow to duplicate a descriptor.
    pub(super) fn of_process() -> io::Result<Self> {
        let process = pidfd_open(getpid(), PidfdFlags::empty())?;
        let mut sockets = BTreeMap::new();
        let (mut number, mut unused) = (0, 0);
        // The system gives the lowest number that is not in use, so that new ones are no further.
        while unused < MAX_UNUSED {
            if is_other_than_socket(number) {
                (number, unused) = (number + 1, 0);
                continue;
            }
            match pidfd_getfd(&process, number, PidfdGetfdFlags::empty()) {
                Ok(descriptor) => {
                    unused = 0;
                    let socket = Socket::from(descriptor);
                    if is_of_mdns(&socket) {
                        // The duplicate itself is found further on.
                        sockets.entry(socket_cookie(&socket)?).or_insert(socket);
                    }
                }
                Err(Errno::BADF) => unused += 1,
                Err(error) => return Err(error.into()),
            }
            number += 1;
        }
        Ok(Self(sockets))
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Leaves out sockets that have been there before.
    pub(super) fn without(mut self, others: &Self) -> Self {
        self.0.retain(|cookie, _| !others.0.contains_key(cookie));
        self
    }

    /// From now on, the daemon reads these datagrams, and those that wait already.
    ///
    /// # Errors
    /// The system has no memory for a filter.
    pub(super) fn set_filter(&self, accepted: Accepted) -> io::Result<()> {
        let program = program(accepted);
        self.0
            .values()
            .try_for_each(|socket| socket.attach_filter(&program))
    }
}

impl PartialEq for MdnsSockets {
    fn eq(&self, other: &Self) -> bool {
        self.0.keys().eq(other.0.keys())
    }
}

/// Whether it is certain that a descriptor is not a socket. A duplicate of another one could have
/// effects: to close that of a file releases locks of this process.
fn is_other_than_socket(number: i32) -> bool {
    // Unlike its metadata, its name does not depend on a file system that may not answer.
    let name = fs::read_link(format!("/proc/self/fd/{number}"));
    name.is_ok_and(|name| !name.as_os_str().as_bytes().starts_with(b"socket:"))
}

fn is_of_mdns(socket: &Socket) -> bool {
    let port = |address: socket2::SockAddr| address.as_socket().map(|address| address.port());
    let address = socket.local_addr();
    address.is_ok_and(|address| port(address) == Some(MDNS_PORT))
        && socket.r#type().is_ok_and(|kind| kind == Type::DGRAM)
}

/// A program of the classic BPF, which sees a datagram from its UDP header on.
fn program(accepted: Accepted) -> Vec<SockFilter> {
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_IF_BITS: u16 = 0x45;
    const RETURN: u16 = 0x06;
    /// The byte after the UDP header and the id, whose first bit a response has.
    const FLAGS: u32 = 8 + 2;
    const RESPONSE: u32 = 0x80;
    let accept = SockFilter::new(RETURN, 0, 0, u32::MAX);
    let drop = SockFilter::new(RETURN, 0, 0, 0);
    match accepted {
        Accepted::All => vec![accept],
        Accepted::Queries => vec![
            SockFilter::new(LOAD_BYTE, 0, 0, FLAGS),
            SockFilter::new(JUMP_IF_BITS, 1, 0, RESPONSE),
            accept,
            drop,
        ],
        Accepted::Nothing => vec![drop],
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::time::Duration;

    use super::*;

    /// Sends a query, a response and a short datagram to a socket with this filter, which takes
    /// those with these first bytes.
    fn assert_taken(accepted: Accepted, first_bytes: &[u8]) {
        let receiver = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let socket = receiver.try_clone().expect("a socket").into();
        let sockets = MdnsSockets([(0, socket)].into());
        sockets.set_filter(accepted).expect("a filter");
        let to = receiver.local_addr().expect("an address");
        let sender = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let [query, response, short] = [&[1, 1, 0, 0][..], &[2, 2, 0x84, 0], &[3]];
        for datagram in [query, response, short] {
            sender.send_to(datagram, to).expect("it is sent");
        }
        let mut buffer = [0; 9];
        let mut receive = |time| {
            receiver.set_read_timeout(Some(time)).expect("a socket");
            receiver.recv(&mut buffer).ok().map(|_| buffer[0])
        };
        for first in first_bytes {
            assert_eq!(receive(Duration::from_secs(10)), Some(*first));
        }
        assert_eq!(receive(Duration::from_millis(100)), None);
    }

    #[test]
    fn a_filter_takes_what_it_is_meant_to() {
        assert_taken(Accepted::All, &[1, 2, 3]);
        assert_taken(Accepted::Queries, &[1]);
        assert_taken(Accepted::Nothing, &[]);
    }
}
