//! Sends a file over TLS to each client that connects, one after the other: read,
//! encrypt, write.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, Stream, version};

use super::line_server::bind;

/// Bytes that are encrypted at once: as many as rustls buffers.
const PIECE: usize = 64 * 1024;

/// Answers each HTTP request with `file`. `identity` has the key and the certificate as PEM.
pub(super) fn run(file: &str, identity: &str) -> io::Result<()> {
    let listener = bind()?;
    let certificate = CertificateDer::from_pem_file(identity).map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_file(identity).map_err(io::Error::other)?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&version::TLS13])
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .map_err(io::Error::other)?;
    let config = Arc::new(config);
    loop {
        let (socket, _) = listener.accept()?;
        let session = ServerConnection::new(Arc::clone(&config)).map_err(io::Error::other)?;
        // A client that goes away is missed by the benchmark.
        let _ = send(socket, session, file);
    }
}

fn send(mut socket: TcpStream, mut session: ServerConnection, file: &str) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut stream = Stream::new(&mut session, &mut socket);
    // A request is short enough to arrive in one record.
    let length = stream.read(&mut [0; 4096])?;
    if length == 0 {
        return Ok(());
    }
    let mut file = File::open(file)?;
    let size = file.metadata()?.len();
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n")?;
    let mut piece = vec![0; PIECE];
    loop {
        let length = file.read(&mut piece)?;
        if length == 0 {
            break;
        }
        stream.write_all(&piece[..length])?;
    }
    stream.conn.send_close_notify();
    stream.flush()
}
