//! Handshakes of TLS with real servers: cut into any segments, silent, cut off, replayed, with
//! the hello of a browser, and very many of them.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use rustls::{ClientConnection, HandshakeKind, StreamOwned};

use crate::support::{ask, post_quantum_session, relay, take_records, tls_session};

/// Sends so many bytes of a write at most, each time in a segment of its own.
struct Segments(TcpStream, usize);

impl Segments {
    fn new(stream: TcpStream, length: usize) -> Self {
        stream.set_nodelay(true).expect("an option");
        Self(stream, length)
    }
}

impl Read for Segments {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Segments {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(&bytes[..bytes.len().min(self.1)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a server answers to `PING` and `QUIT` over this session.
fn ping(session: ClientConnection, stream: impl Read + Write) -> String {
    let mut tls = StreamOwned::new(session, stream);
    tls.write_all(b"PING\nQUIT\n").expect("it reads");
    let mut reply = String::new();
    tls.read_to_string(&mut reply).expect("an authentic end");
    reply
}

#[test]
fn a_handshake_may_arrive_byte_by_byte() {
    let relay = relay(&[]);
    let stream = TcpStream::connect(relay.address()).expect("it listens");
    let reply = ping(tls_session(), Segments::new(stream, 1));
    assert_eq!(reply, "PONG\nOK bye\n");
}

#[test]
fn the_hello_of_a_browser_with_post_quantum_shares_may_come_in_several_segments() {
    let relay = relay(&[]);
    for (has_classical_share, kind) in [
        (true, HandshakeKind::Full),
        // The server asks for a share of a group that it knows.
        (false, HandshakeKind::FullWithHelloRetryRequest),
    ] {
        for length in [1, 700, 10_000] {
            let mut session = post_quantum_session(has_classical_share);
            let stream = TcpStream::connect(relay.address()).expect("it listens");
            let mut stream = Segments::new(stream, length);
            while session.is_handshaking() {
                session.complete_io(&mut stream).expect("a handshake");
            }
            assert_eq!(session.handshake_kind(), Some(kind));
            assert_eq!(ping(session, stream), "PONG\nOK bye\n");
        }
    }
    let hello = take_records(&mut post_quantum_session(true));
    assert!(
        hello.len() > 1216,
        "{} bytes have no such share",
        hello.len()
    );
}

#[test]
fn a_thousand_handshakes_at_once_are_all_answered() {
    let relay = relay(&["--first-line", "300"]);
    let sessions = (0..1000).map(|_| {
        let mut stream = TcpStream::connect(relay.address()).expect("it listens");
        let mut session = tls_session();
        let hello = take_records(&mut session);
        stream.write_all(&hello[..1]).expect("it reads");
        (session, stream, hello)
    });
    // All of them are under way before the first one is completed.
    let sessions: Vec<_> = sessions.collect();
    for (session, mut stream, hello) in sessions {
        stream.write_all(&hello[1..]).expect("it reads");
        assert_eq!(ping(session, stream), "PONG\nOK bye\n");
    }
}

#[test]
fn handshakes_that_stop_are_closed_and_delay_nobody() {
    let relay = relay(&["--first-line", "8"]);
    let connect = |_| TcpStream::connect(relay.address()).expect("it listens");
    let silent: Vec<TcpStream> = (0..200).map(connect).collect();
    for (index, mut stream) in silent.iter().enumerate() {
        let hello = take_records(&mut tls_session());
        let length = [1, hello.len() / 2, hello.len()][index % 3];
        stream.write_all(&hello[..length]).expect("it reads");
    }
    for number in 0..20 {
        assert_eq!(ping(tls_session(), connect(number)), "PONG\nOK bye\n");
    }
    assert_eq!(ask(relay.address(), b"PING\n"), "PONG\n");
    for mut stream in silent {
        stream.read_to_end(&mut Vec::new()).expect("it is closed");
    }
    relay.log_until_count("no request received", 200);
}

#[test]
fn a_handshake_that_is_cut_off_is_a_lost_connection() {
    let relay = relay(&[]);
    let mut count = 0;
    for part in [1, 2, 3] {
        let mut session = tls_session();
        let hello = take_records(&mut session);
        let mut stream = TcpStream::connect(relay.address()).expect("it listens");
        match part {
            1 => stream
                .write_all(&hello[..hello.len() / 2])
                .expect("it reads"),
            _ => stream.write_all(&hello).expect("it reads"),
        }
        if part == 3 {
            // The last flight of the client, but for its last byte.
            while !session.wants_write() {
                session.read_tls(&mut stream).expect("the server answers");
                session.process_new_packets().expect("it keeps the rules");
            }
            let last = take_records(&mut session);
            stream.write_all(&last[..last.len() - 1]).expect("it reads");
        }
        stream.shutdown(Shutdown::Write).expect("it is open");
        let _ = stream.read_to_end(&mut Vec::new());
        count += 1;
        relay.log_until_count("cut off before the end of TLS", count);
    }
    assert_eq!(ask(relay.address(), b"PING\n"), "PONG\n");
}

#[test]
fn what_a_client_has_sent_is_worth_nothing_when_it_is_replayed() {
    let relay = relay(&[]);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let proxy = listener.local_addr().expect("it is bound");
    let target = relay.address();
    // Passes one connection on, and keeps what the client sends.
    let recorder = thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("a client");
        let mut server = TcpStream::connect(target).expect("it listens");
        let mut to_client = client.try_clone().expect("a descriptor");
        let mut from_server = server.try_clone().expect("a descriptor");
        let back = thread::spawn(move || {
            let _ = io::copy(&mut from_server, &mut to_client);
            let _ = to_client.shutdown(Shutdown::Both);
        });
        let mut record = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = client.read(&mut buffer) {
            record.extend(&buffer[..length]);
            if server.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        back.join().expect("it ends");
        record
    });
    let stream = TcpStream::connect(proxy).expect("it listens");
    let mut tls = StreamOwned::new(tls_session(), stream);
    tls.write_all(b"REGISTER * 9\nUNREGISTER * 9\nREGISTER * 9\nQUIT\n")
        .expect("it reads");
    let mut reply = String::new();
    tls.read_to_string(&mut reply).expect("an authentic end");
    assert_eq!(reply.matches("OK 60 ").count(), 2, "{reply}");
    drop(tls);
    let record = recorder.join().expect("it has recorded");
    assert!(record.len() > 300, "{} bytes", record.len());
    assert_eq!(
        ask(relay.address(), b"UNREGISTER * 9\nLIST\n"),
        "OK\nNODES 0\n"
    );
    let mut replayed = TcpStream::connect(relay.address()).expect("it listens");
    // The relay may close before it has read everything.
    let _ = replayed.write_all(&record);
    let _ = replayed.read_to_end(&mut Vec::new());
    let log = relay.log_until("TLS failed: ");
    assert!(log.contains("0 requests, TLS, 0 B in, 0 B out"), "{log}");
    assert_eq!(ask(relay.address(), b"LIST\n"), "NODES 0\n");
}
