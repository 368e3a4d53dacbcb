//! A client of TLS that checks no certificate, and a proxy that encrypts what it passes on,
//! so that every other client can speak TLS.

#[path = "../../shared/post_quantum.rs"]
mod post_quantum;
#[path = "../../shared/tls_session.rs"]
mod tls_session;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;

use peerline::tls::Identity;
pub use post_quantum::post_quantum_session;
use rustix::event::{PollFd, PollFlags, poll};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection};
pub use tls_session::tls_session;
use tls_session::{any_server, session_of};

use crate::support::Nc;

/// A key and its certificate, as a program keeps them in one file.
pub struct ClientKey(Arc<ClientConfig>);

impl ClientKey {
    /// A new one.
    pub fn generate() -> Self {
        Self::from_pem(&Identity::generate().expect("random bytes"))
    }

    /// That of a program.
    pub fn from_pem(pem: &str) -> Self {
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).expect("a key");
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate");
        let config = any_server().with_client_auth_cert(vec![certificate], key);
        Self(Arc::new(config.expect("both belong together")))
    }

    /// A connection to a server to which this key is shown.
    pub fn connect(&self, server: SocketAddr) -> Nc {
        let config = Arc::clone(&self.0);
        Nc::connect(proxy(server, move || session_of(&config)))
    }
}

/// Takes the bytes that the session has to send.
pub fn take_records(session: &mut ClientConnection) -> Vec<u8> {
    let mut records = Vec::new();
    while session.wants_write() {
        session.write_tls(&mut records).expect("a vector");
    }
    records
}

/// Accepts connections for as long as the test runs, and passes them on to a server over TLS.
pub fn tls_proxy(server: SocketAddr) -> SocketAddr {
    proxy(server, tls_session)
}

fn proxy(
    server: SocketAddr,
    new_session: impl Fn() -> ClientConnection + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for plain in listener.incoming().flatten() {
            let encrypted = TcpStream::connect(server).expect("it listens");
            let session = new_session();
            thread::spawn(move || {
                // Both sides are dropped: that is what the client would see without a proxy.
                let _ = pass_on(&plain, &encrypted, session);
            });
        }
    });
    address
}

/// Passes bytes on until the server has ended its side.
fn pass_on(
    mut plain: &TcpStream,
    mut encrypted: &TcpStream,
    mut session: ClientConnection,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    plain.set_nodelay(true)?;
    encrypted.set_nodelay(true)?;
    let mut is_plain_open = true;
    loop {
        while session.wants_write() {
            session.write_tls(&mut encrypted)?;
        }
        let mut sources = vec![PollFd::from_borrowed_fd(encrypted.as_fd(), PollFlags::IN)];
        // The end of TLS would end a handshake, too.
        if is_plain_open && !session.is_handshaking() {
            sources.push(PollFd::from_borrowed_fd(plain.as_fd(), PollFlags::IN));
        }
        poll(&mut sources, None)?;
        let ready: Vec<bool> = sources.iter().map(|fd| !fd.revents().is_empty()).collect();
        if ready[0] {
            let is_ended = session.read_tls(&mut encrypted)? == 0;
            session
                .process_new_packets()
                .map_err(|error| std::io::Error::new(ErrorKind::InvalidData, error))?;
            loop {
                match session.reader().read(&mut buffer) {
                    Ok(0) => return plain.shutdown(Shutdown::Write),
                    Ok(length) => plain.write_all(&buffer[..length])?,
                    Err(error) if error.kind() == ErrorKind::WouldBlock && !is_ended => break,
                    Err(error) => return Err(error),
                }
            }
        }
        if ready.get(1) == Some(&true) {
            match plain.read(&mut buffer)? {
                0 => {
                    session.send_close_notify();
                    is_plain_open = false;
                }
                length => session.writer().write_all(&buffer[..length])?,
            }
        }
    }
}
