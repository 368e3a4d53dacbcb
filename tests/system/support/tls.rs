//! A client of TLS that checks no certificate, and a proxy that encrypts what it passes on,
//! so that every other client can speak TLS.

#[path = "../../shared/tls_session.rs"]
mod session;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustls::ClientConnection;
pub use session::tls_session;

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
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for plain in listener.incoming().flatten() {
            let encrypted = TcpStream::connect(server).expect("it listens");
            thread::spawn(move || {
                // Both sides are dropped: that is what the client would see without a proxy.
                let _ = pass_on(&plain, &encrypted);
            });
        }
    });
    address
}

/// Passes bytes on until the server has ended its side.
fn pass_on(mut plain: &TcpStream, mut encrypted: &TcpStream) -> std::io::Result<()> {
    let mut session = tls_session();
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
