//! Encrypted streams: a real client of TLS over a scripted stream. Arbitrary records in
//! arbitrary segments are in `tests/fuzz/targets/tls.rs`.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use peerline::protocol::{Prover, SharedSecret};
use peerline::session::GroupSecret;
use peerline::tls::{
    Certificates, Identity, KeyId, KnownKeys, RelayTrust, ServerTrust, TlsConnector,
};
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, ResolvesClientCert, Resumption,
    Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConnection, Connection, HandshakeKind, NamedGroup, ServerConfig, ServerConnection,
    SignatureScheme,
};

use crate::fake_stream::{InjectedFault, SharedWire, Tail};
use crate::tls_peer::{ACCEPTOR, IDENTITY, Peer, identity};
use crate::tls_session::{any_server, session_of, tls_session};
use crate::world::{World, answer};
use crate::{PORT, QUEUES, REQUESTS, check_events, finish, input, output};

/// The certificates of a program that connects.
static CERTIFICATES: LazyLock<Arc<Certificates>> = LazyLock::new(|| Certificates::new(identity()));

/// A loop that accepts TLS, with at most so many handshakes at once.
fn world(max_queue: usize, max_handshakes: usize) -> World {
    World::with_settings(max_queue, |settings| {
        settings.tls = Some(ACCEPTOR.clone());
        settings.limits.max_handshakes = max_handshakes;
        settings.limits.handshake_rate = 3;
    })
}

/// Sends all requests over TLS to a loop whose stream has these faults.
fn play(max_queue: usize, piece: usize, faults: &[(usize, InjectedFault)]) -> (World, Peer) {
    let mut world = world(max_queue, 10);
    let wire = world.accept(PORT);
    wire.borrow_mut().faults = faults.iter().copied().collect();
    let mut client = Peer::client(&wire);
    client.exchange(&mut world, piece);
    client.write(&input(&REQUESTS));
    client.exchange(&mut world, piece);
    finish(&mut world, &wire);
    client.read();
    (world, client)
}

fn check_complete(world: &World, client: &Peer) {
    check_events(world, PORT, &REQUESTS, "Quit");
    let received = String::from_utf8_lossy(&client.received);
    assert_eq!(received.as_bytes(), output(&REQUESTS), "{received}");
    assert!(client.is_ended, "the end is authentic");
    assert!(client.wire.borrow().is_shut_down);
    assert!(client.wire.borrow().is_dropped);
}

#[test]
fn lines_over_tls_are_answered_however_they_are_cut() {
    for max_queue in QUEUES {
        for piece in [1, 2, 5, 100, 10_000] {
            let (world, client) = play(max_queue, piece, &[]);
            check_complete(&world, &client);
        }
    }
}

#[test]
fn every_call_over_tls_may_block_be_interrupted_or_be_short() {
    let faults = [
        InjectedFault::WouldBlock,
        InjectedFault::Interrupted,
        InjectedFault::Short(1),
        InjectedFault::Short(23),
    ];
    for max_queue in [1, 1000] {
        let calls = play(max_queue, 10_000, &[]).1.wire.borrow().calls;
        for first in 0..calls {
            for fault in faults {
                for other in faults {
                    let both = [(first, fault), (first + 1, other)];
                    let (world, client) = play(max_queue, 10_000, &both);
                    check_complete(&world, &client);
                }
            }
        }
    }
}

#[test]
fn every_call_over_tls_may_find_the_connection_reset() {
    let calls = play(1000, 10_000, &[]).1.wire.borrow().calls;
    for call in 0..calls {
        let (world, client) = play(1000, 10_000, &[(call, InjectedFault::Reset)]);
        let end = world.events(PORT).pop();
        let is_complete = client.received == output(&REQUESTS);
        let reason = if is_complete {
            "Quit"
        } else {
            "ConnectionLost"
        };
        assert_eq!(end, Some(format!("closed: {reason}")), "call {call}");
        assert!(output(&REQUESTS).starts_with(&client.received));
        assert!(
            is_complete || !client.is_ended,
            "a broken stream looks whole"
        );
    }
}

#[test]
fn records_wait_for_a_slow_reader() {
    for max_queue in [1, 1000] {
        let mut world = world(max_queue, 10);
        let wire = world.accept(PORT);
        let mut client = Peer::client(&wire);
        client.exchange(&mut world, 10_000);
        wire.borrow_mut().room = Some(0);
        let requests = ["t"; 200];
        client.write(&input(&requests));
        client.connection.send_close_notify();
        client.exchange(&mut world, 10_000);
        assert_eq!(client.received, b"");
        for _ in 0..20_000 {
            wire.borrow_mut().read(7);
            world.run();
        }
        client.read();
        assert_eq!(client.received, output(&requests));
        assert!(client.is_ended);
        check_events(&world, PORT, &requests, "EndOfInput");
    }
}

#[test]
fn an_end_of_input_that_may_be_forged_is_a_lost_connection() {
    for (is_authentic, reason) in [(true, "EndOfInput"), (false, "ConnectionLost")] {
        let mut world = world(1000, 10);
        let wire = world.accept(PORT);
        let mut client = Peer::client(&wire);
        client.exchange(&mut world, 10_000);
        client.write(b"text\n");
        if is_authentic {
            client.connection.send_close_notify();
        }
        let last = client.output();
        wire.borrow_mut().deliver(&last, Tail::Eof);
        world.run();
        client.read();
        assert_eq!(client.received, output(&["text"]));
        check_events(&world, PORT, &["text"], reason);
    }
}

#[test]
fn handshakes_that_go_nowhere_end_with_the_time_for_the_first_line() {
    let mut hello = Peer::client(&SharedWire::default()).output();
    let complete = hello.clone();
    hello.pop();
    for begin in [&b"\x16"[..], &hello, &complete] {
        let mut world = world(1000, 10);
        let wire = world.accept(PORT);
        wire.borrow_mut().deliver(begin, Tail::Open);
        world.run();
        assert_eq!(world.events(PORT), [""; 0]);
        world.advance(Duration::from_secs(11));
        assert_eq!(world.events(PORT), ["closed: NoRequest"]);
        assert!(wire.borrow().is_dropped);
    }
}

#[test]
fn bytes_that_are_no_tls_close_the_connection() {
    for (bytes, alert) in [
        (&b"\x16hello, this is no record of TLS\n"[..], true),
        (b"\x16\x03\x01\x00\x05hello", false),
    ] {
        let mut world = world(1000, 10);
        let wire = world.accept(PORT);
        wire.borrow_mut().deliver(bytes, Tail::Open);
        world.run();
        assert_eq!(world.events(PORT), ["closed: TlsFailed"]);
        let sent = &wire.borrow().sent;
        assert_eq!(sent.first() == Some(&0x15), alert, "{bytes:?}: {sent:?}");
        assert!(wire.borrow().is_dropped);
    }
}

#[test]
fn handshakes_under_way_are_limited_and_make_room_when_they_end() {
    let mut world = world(1000, 1);
    let silent = world.accept(PORT);
    silent.borrow_mut().deliver(b"\x16", Tail::Open);
    world.run();
    let wire = world.accept(PORT + 1);
    wire.borrow_mut().deliver(b"\x16", Tail::Open);
    world.run();
    assert_eq!(world.events(PORT + 1), ["closed: TooManyHandshakes"]);
    silent.borrow_mut().deliver(b"", Tail::Eof);
    world.run();
    // Complete handshakes need no room.
    for port in [PORT + 2, PORT + 3] {
        let wire = world.accept(port);
        let mut client = Peer::client(&wire);
        client.exchange(&mut world, 10_000);
        client.write(b"text\n");
        client.exchange(&mut world, 10_000);
        assert_eq!(client.received, answer("text").into_bytes());
    }
}

#[test]
fn handshakes_from_one_address_have_a_rate() {
    let mut world = world(1000, 100);
    let mut refused = 0;
    for port in 1..=10 {
        let wire = world.accept_from([192, 0, 2, 1], port);
        wire.borrow_mut().deliver(b"\x16", Tail::Open);
        world.run();
        refused += usize::from(world.events(port) == ["closed: TooManyHandshakes"]);
    }
    assert_eq!(refused, 7);
    let other = world.accept_from([192, 0, 2, 2], PORT + 20);
    let mut client = Peer::client(&other);
    client.exchange(&mut world, 10_000);
    assert!(!client.connection.is_handshaking(), "others are served");
}

/// Connects over TLS to a server of which `id` is known, over a stream with these faults.
fn connect(id: KeyId, faults: &[(usize, InjectedFault)]) -> (World, SharedWire) {
    let mut world = World::with_settings(1000, |settings| {
        settings.relay_tls = vec![TlsConnector::new(ServerTrust::Key(id), None).ok()];
    });
    let wire = world.connect(PORT);
    wire.borrow_mut().faults = faults.iter().copied().collect();
    wire.borrow_mut().establish(Ok(()));
    world.run();
    (world, wire)
}

#[test]
fn connections_to_a_known_server_are_encrypted_however_the_handshake_is_cut() {
    let faults = [
        InjectedFault::WouldBlock,
        InjectedFault::Interrupted,
        InjectedFault::Short(1),
    ];
    let mut plays: Vec<(usize, Vec<_>)> = vec![(1, vec![]), (3, vec![]), (10_000, vec![])];
    for call in 0..12 {
        for (fault, other) in faults.iter().flat_map(|f| faults.map(|other| (*f, other))) {
            plays.push((10_000, vec![(call, fault), (call + 1, other)]));
        }
    }
    for (piece, faults) in plays {
        let (mut world, wire) = connect(IDENTITY.id(), &faults);
        let mut server = Peer::server(&wire);
        server.read();
        server.exchange(&mut world, piece);
        assert_eq!(server.received, b"hello\n", "{faults:?}");
        server.write(b"text\n");
        server.exchange(&mut world, piece);
        let received = [b"hello\n", &answer("text").into_bytes()[..]].concat();
        assert_eq!(server.received, received, "{faults:?}");
    }
}

#[test]
fn a_loop_that_ends_at_once_ends_its_streams_unless_a_request_is_cut_off() {
    for is_cut_off in [false, true] {
        let (mut world, wire) = connect(IDENTITY.id(), &[]);
        let mut server = Peer::server(&wire);
        server.read();
        server.exchange(&mut world, 10_000);
        if is_cut_off {
            wire.borrow_mut().room = Some(0);
            server.write(&input(&["t"; 10_000]));
            let requests = server.output();
            wire.borrow_mut().deliver(&requests, Tail::Open);
            world.run();
        }
        world.stop_loop();
        world.run_round();
        server.read();
        assert_eq!(server.is_ended, !is_cut_off);
    }
}

#[test]
fn a_server_with_another_key_or_without_tls_gets_no_byte_of_a_request() {
    let (mut world, wire) = connect(KeyId::of(b"another key"), &[]);
    let mut server = Peer::server(&wire);
    let arrived = wire.borrow().sent.clone();
    let mut hello = &arrived[..];
    server.connection.read_tls(&mut hello).expect("room");
    server.connection.process_new_packets().expect("a hello");
    let answer = server.output();
    wire.borrow_mut().deliver(&answer, Tail::Open);
    world.run();
    assert_eq!(world.events(PORT), ["closed: TlsFailed"]);
    for reply in [&b"ERROR 501 TLS is not supported\n"[..], b""] {
        let (mut world, wire) = connect(IDENTITY.id(), &[]);
        wire.borrow_mut().deliver(reply, Tail::Eof);
        world.run();
        let end = if reply.is_empty() {
            "ConnectionLost"
        } else {
            "TlsFailed"
        };
        assert_eq!(world.events(PORT), [format!("closed: {end}")]);
    }
}

/// An address that is not on loopback.
fn remote(port: u16) -> SocketAddr {
    ([192, 0, 2, 1], port).into()
}

/// A loop that connects to a relay whose key is not known.
fn world_of_unknown_relay(is_required: bool) -> World {
    let names = vec!["relay.example.org:1".to_owned()];
    let trust = RelayTrust::remembered(names, is_required, KnownKeys::default(), None);
    let trust = ServerTrust::Relay(Arc::new(trust));
    World::with_settings(1000, |settings| {
        settings.relay_tls = vec![TlsConnector::new(trust, None).ok()];
    })
}

/// Connects to the relay at this address. Returns what the relay receives first.
fn first_bytes(world: &mut World, address: SocketAddr) -> (SharedWire, Vec<u8>) {
    let wire = world.connect_to(address);
    wire.borrow_mut().establish(Ok(()));
    world.run();
    let sent = wire.borrow().sent.clone();
    (wire, sent)
}

/// The first byte of TLS.
const TLS: u8 = 0x16;

/// The relay answers in TLS.
fn serve_tls(world: &mut World, wire: &SharedWire) {
    let mut server = Peer::server(wire);
    server.read();
    server.exchange(world, 10_000);
    assert_eq!(server.received, b"hello\n");
}

#[test]
fn a_relay_without_tls_gets_plain_text_on_one_connection_unless_it_must_encrypt() {
    for (is_required, segment) in [(false, 100), (false, 1), (true, 100)] {
        let mut world = world_of_unknown_relay(is_required);
        for port in [PORT, PORT + 1] {
            let (wire, sent) = first_bytes(&mut world, remote(port));
            assert_eq!(sent[0], TLS, "tried each time");
            for segment in b"ERROR 501 TLS\n".chunks(segment) {
                wire.borrow_mut().deliver(segment, Tail::Open);
                world.run();
            }
            if is_required {
                assert_eq!(world.events(port), ["closed: TlsFailed"]);
                continue;
            }
            // The role does not notice.
            assert!(world.events(port).is_empty());
            let wire = world.reconnected();
            wire.borrow_mut().establish(Ok(()));
            world.run();
            assert_eq!(wire.borrow().sent, b"hello\n");
        }
        // The relay speaks TLS from now on: there is no way back.
        let (wire, _) = first_bytes(&mut world, remote(PORT + 2));
        serve_tls(&mut world, &wire);
        let (wire, sent) = first_bytes(&mut world, remote(PORT + 3));
        assert_eq!(sent[0], TLS);
        wire.borrow_mut().deliver(b"ERROR 501 TLS\n", Tail::Open);
        world.run();
        assert_eq!(world.events(PORT + 3), ["closed: TlsFailed"]);
    }
}

#[test]
fn each_connection_is_on_loopback_or_not_by_its_own_address() {
    let mut world = world_of_unknown_relay(false);
    let mapped = ([0, 0, 0, 0, 0, 0xffff, 0x7f00, 1], PORT + 1).into();
    for local in [([127, 0, 0, 1], PORT).into(), mapped] {
        let (_, sent) = first_bytes(&mut world, local);
        assert_eq!(sent, b"hello\n");
    }
    let (wire, sent) = first_bytes(&mut world, remote(PORT + 2));
    assert_eq!(sent[0], TLS);
    serve_tls(&mut world, &wire);
    // Now its key is known.
    let (_, sent) = first_bytes(&mut world, ([127, 0, 0, 1], PORT + 3).into());
    assert_eq!(sent[0], TLS);
    let (_, sent) = first_bytes(
        &mut world_of_unknown_relay(true),
        ([127, 0, 0, 1], PORT).into(),
    );
    assert_eq!(sent[0], TLS, "required");
}

#[test]
fn a_server_that_has_proved_nothing_cannot_hold_up_the_loop() {
    let pem = Identity::generate().expect("random bytes");
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).expect("a key");
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions();
    let builder = builder.expect("TLS 1.3").with_no_client_auth();
    let mut config = builder
        .with_single_cert(vec![certificate], key)
        .expect("its key");
    for (tickets, is_closed) in [(2, false), (2000, true)] {
        config.send_tls13_tickets = tickets;
        let mut world = World::with_settings(1000, |settings| {
            settings.relay_tls = vec![TlsConnector::new(ServerTrust::Any, None).ok()];
            let secret = SharedSecret::new("correct horse battery").ok();
            settings.secret = secret.map(|secret| Arc::new(GroupSecret::new(secret)));
        });
        let wire = world.connect(PORT);
        wire.borrow_mut().establish(Ok(()));
        world.run();
        let server = ServerConnection::new(Arc::new(config.clone()));
        let mut server = Peer::new(&wire, server.expect("random bytes").into());
        server.read();
        server.exchange(&mut world, usize::MAX);
        assert!(server.received.starts_with(b"PROVE "));
        let end = is_closed.then_some("closed: ConnectFailed");
        assert_eq!(world.events(PORT), Vec::from_iter(end));
    }
}

#[test]
fn a_new_secret_closes_connections_to_servers_that_have_proved_the_old_one() {
    let secret = |text| SharedSecret::new(text).expect("a secret");
    let (first, second) = (
        secret("correct horse battery"),
        secret("correct horse staple"),
    );
    let group = Arc::new(GroupSecret::new(first));
    let mut world = World::with_settings(1000, |settings| {
        settings.relay_tls = vec![TlsConnector::new(ServerTrust::Any, None).ok()];
        settings.secret = Some(Arc::clone(&group));
    });
    // Connects, and answers the proof of this secret. Returns the server.
    let serve = |world: &mut World, port, secret: &SharedSecret| {
        let mut server = Peer::connected_server(world, port);
        let exporter = exporter(&server.connection);
        let proof = secret.proof(Prover::Client, &exporter);
        assert_eq!(server.received, format!("PROVE {proof}\n").into_bytes());
        let reply = format!("OK {}\n", secret.proof(Prover::Server, &exporter));
        server.write(reply.as_bytes());
        server.exchange(world, usize::MAX);
        assert!(server.received.ends_with(b"hello\n"), "it is proven");
        server
    };
    let mut open = serve(&mut world, 1, &first);
    let accepted = world.accept(3);
    world.run();
    assert!(!group.replace(first));
    world.run();
    assert!(world.events(1).is_empty(), "the secret is the same");
    assert!(group.replace(second));
    // What the server has sent before the loop sees the change is not handled either.
    open.write(b"text\n");
    open.exchange(&mut world, usize::MAX);
    world.run();
    assert_eq!(world.events(1), ["closed: SecretChanged"]);
    serve(&mut world, 2, &second);
    assert!(world.events(2).is_empty());
    // Connections of others are locked by the role.
    accepted.borrow_mut().deliver(b"text\n", Tail::Open);
    world.run();
    assert_eq!(world.events(3), ["text"]);
}

/// The keying material of a session of rustls.
fn exporter(connection: &Connection) -> [u8; 32] {
    let label = b"EXPORTER-Peerline-PROVE";
    let material = connection.export_keying_material([0; 32], label, None);
    material.expect("a complete handshake")
}

/// A client that shows a certificate and accepts every server, or that shows none.
fn client_of(identity: Option<&Identity>) -> ClientConnection {
    match identity {
        None => tls_session(),
        Some(identity) => {
            let certificates = Certificates::new(identity.clone());
            let connector = TlsConnector::new(ServerTrust::Any, Some(certificates));
            let client = connector.expect("the version is known");
            let client = client.connect(Ipv4Addr::LOCALHOST.into());
            client.expect("random bytes").expect("it speaks TLS")
        }
    }
}

#[test]
fn the_role_learns_the_key_of_a_client_that_shows_a_certificate() {
    let shown = identity();
    for identity in [None, Some(&shown)] {
        for piece in [1, 10_000] {
            let mut world = world(1000, 10);
            let wire = world.accept(PORT);
            let mut client = Peer::new(&wire, client_of(identity).into());
            client.write(b"text\n");
            client.exchange(&mut world, piece);
            assert_eq!(client.received, answer("text").into_bytes());
            let security = world.security(PORT).expect("it is encrypted");
            assert_eq!(security.peer, identity.map(Identity::id));
            assert_eq!(security.exporter, exporter(&client.connection));
            assert!(!format!("{security:?}").contains("exporter"));
        }
    }
    let mut world = world(1000, 10);
    let wire = world.accept(PORT);
    wire.borrow_mut().deliver(b"text\n", Tail::Open);
    world.run();
    assert_eq!(world.events(PORT), ["text"]);
    assert_eq!(world.security(PORT), None);
}

#[test]
fn the_role_learns_how_a_connection_to_a_known_server_is_encrypted() {
    let mut world = World::with_settings(1000, |settings| {
        let certificates = Some(Arc::clone(&CERTIFICATES));
        let connector = TlsConnector::new(ServerTrust::Key(IDENTITY.id()), certificates);
        settings.relay_tls = vec![connector.ok()];
    });
    let wire = world.connect(PORT);
    wire.borrow_mut().establish(Ok(()));
    world.run();
    assert_eq!(world.security(PORT), None);
    let mut server = Peer::server(&wire);
    server.read();
    server.exchange(&mut world, 10_000);
    assert_eq!(server.received, b"hello\n");
    let security = world.security(PORT).expect("it is encrypted");
    assert_eq!(security.peer, Some(IDENTITY.id()));
    assert_eq!(security.exporter, exporter(&server.connection));
    let certificates = server.connection.peer_certificates();
    assert_eq!(certificates.map(<[_]>::len), Some(1));
    // A new key is shown to the next server.
    CERTIFICATES.replace(identity());
}

/// Changes the signature of a client in its handshake: it shows the certificate of another.
#[derive(Debug)]
struct StolenCertificate(CertifiedKey);

impl ResolvesClientCert for StolenCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::new(self.0.clone()))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// A key, and the certificate that it has signed itself.
fn key_pair() -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let pem = Identity::generate().expect("random bytes");
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).expect("a key");
    (certificate, key)
}

#[test]
fn a_resumed_session_has_the_key_of_the_first_one_and_keying_material_of_its_own() {
    let (certificate, key) = key_pair();
    let config = any_server().with_client_auth_cert(vec![certificate], key);
    let config = Arc::new(config.expect("both belong together"));
    let mut securities = Vec::new();
    for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let mut world = world(1000, 10);
        let wire = world.accept(PORT);
        let mut client = Peer::new(&wire, session_of(&config).into());
        client.write(b"text\n");
        client.exchange(&mut world, 10_000);
        assert_eq!(client.received, answer("text").into_bytes());
        assert_eq!(client.connection.handshake_kind(), Some(kind));
        securities.push(world.security(PORT).expect("it is encrypted"));
    }
    assert!(securities[0].peer.is_some());
    assert_eq!(securities[0].peer, securities[1].peer);
    assert_ne!(securities[0].exporter, securities[1].exporter);
}

#[test]
fn a_client_with_too_many_certificates_is_refused() {
    for (count, end) in [(20, "text"), (60, "closed: TlsFailed")] {
        let (certificate, key) = key_pair();
        let chain = vec![certificate; count];
        let bytes: usize = chain.iter().map(|certificate| certificate.len()).sum();
        assert_eq!(bytes <= 16 * 1024, end == "text", "{bytes}");
        let config = any_server().with_client_auth_cert(chain, key);
        let config = Arc::new(config.expect("both belong together"));
        assert_eq!(last_event(session_of(&config)), end);
    }
}

/// What a server sees of a client that sends a line.
fn last_event(client: ClientConnection) -> String {
    let mut world = world(1000, 10);
    let wire = world.accept(PORT);
    let mut client = Peer::new(&wire, client.into());
    client.write(b"text\n");
    let output = client.output();
    wire.borrow_mut().deliver(&output, Tail::Open);
    world.run();
    let arrived = wire.borrow().sent.clone();
    client.read = arrived.len();
    client.connection.read_tls(&mut &arrived[..]).expect("room");
    let result = client.connection.process_new_packets();
    result.expect("the server keeps the rules");
    let output = client.output();
    wire.borrow_mut().deliver(&output, Tail::Open);
    world.run();
    assert_eq!(
        world.security(PORT).is_some(),
        world.events(PORT) == ["text"]
    );
    world.events(PORT).pop().unwrap_or_default()
}

#[test]
fn a_client_with_the_certificate_but_not_the_key_of_another_is_refused() {
    let [own, stolen] = [(); 2].map(|()| {
        let (certificate, key) = key_pair();
        let provider = ring::default_provider();
        CertifiedKey::from_der(vec![certificate], key, &provider).expect("both belong together")
    });
    for (key, end) in [(&own, "text"), (&stolen, "closed: TlsFailed")] {
        let certified = CertifiedKey::new(own.cert.clone(), Arc::clone(&key.key));
        let resolver = Arc::new(StolenCertificate(certified));
        let config = Arc::new(any_server().with_client_cert_resolver(resolver));
        assert_eq!(last_event(session_of(&config)), end);
    }
}

/// Sends early data although no ticket allows it.
#[derive(Debug)]
struct Impatient(ClientSessionMemoryCache);

impl ClientSessionStore for Impatient {
    fn set_kx_hint(&self, name: ServerName<'static>, group: NamedGroup) {
        self.0.set_kx_hint(name, group);
    }

    fn kx_hint(&self, name: &ServerName<'_>) -> Option<NamedGroup> {
        self.0.kx_hint(name)
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, name: ServerName<'static>, mut ticket: Tls13ClientSessionValue) {
        assert_eq!(ticket.max_early_data_size(), 0, "the server allows none");
        ticket._private_set_max_early_data_size(1000);
        self.0.insert_tls13_ticket(name, ticket);
    }

    fn take_tls13_ticket(&self, name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.take_tls13_ticket(name)
    }
}

#[test]
fn early_data_is_refused_and_never_read() {
    let mut config = any_server().with_no_client_auth();
    let tickets = Impatient(ClientSessionMemoryCache::new(8));
    config.resumption = Resumption::store(Arc::new(tickets));
    config.enable_early_data = true;
    let config = Arc::new(config);
    for (kind, early) in [
        (HandshakeKind::Full, None),
        (HandshakeKind::Resumed, Some(b"text early\n")),
    ] {
        let mut world = world(1000, 10);
        let wire = world.accept(PORT);
        let mut session = session_of(&config);
        if let Some(early) = early {
            let mut writer = session.early_data().expect("the client wants to send some");
            writer.write_all(early).expect("room");
        }
        let mut client = Peer::new(&wire, session.into());
        client.exchange(&mut world, 10_000);
        client.write(b"text\n");
        client.exchange(&mut world, 10_000);
        assert_eq!(client.connection.handshake_kind(), Some(kind));
        assert_eq!(world.events(PORT), ["text"]);
        assert_eq!(client.received, answer("text").into_bytes());
    }
}

#[test]
fn sessions_with_a_server_are_resumed_unless_a_certificate_is_shown() {
    for (certificates, second) in [
        (None, HandshakeKind::Resumed),
        (Some(Arc::clone(&CERTIFICATES)), HandshakeKind::Full),
    ] {
        let trust = ServerTrust::Key(IDENTITY.id());
        let mut world = World::with_settings(1000, |settings| {
            settings.relay_tls = vec![TlsConnector::new(trust, certificates).ok()];
        });
        for (port, kind) in [(PORT, HandshakeKind::Full), (PORT + 1, second)] {
            let server = Peer::connected_server(&mut world, port);
            assert_eq!(server.received, b"hello\n");
            assert_eq!(server.connection.handshake_kind(), Some(kind));
        }
    }
}

#[test]
fn an_address_has_as_many_handshakes_as_are_left_for_others() {
    let mut world = World::with_settings(1000, |settings| {
        settings.tls = Some(ACCEPTOR.clone());
        settings.limits.max_handshakes = 8;
        settings.limits.handshake_rate = 1000;
    });
    let mut port = PORT;
    let mut started = Vec::new();
    for host in 1..=3 {
        let begun = (0..8).filter(|_| {
            port += 1;
            let wire = world.accept_from([192, 0, 2, host], port);
            wire.borrow_mut().deliver(b"\x16", Tail::Open);
            world.run();
            world.events(port) != ["closed: TooManyHandshakes"]
        });
        started.push(begun.count());
    }
    assert_eq!(started, [4, 2, 1]);
    // There is one place left for somebody who comes now, and it is free again at once.
    for host in 4..=9 {
        port += 1;
        let wire = world.accept_from([192, 0, 2, host], port);
        let mut client = Peer::client(&wire);
        client.exchange(&mut world, 10_000);
        assert!(!client.connection.is_handshaking(), "host {host}");
    }
    // When the time for a first line is over, the places of the others are, too.
    world.advance(Duration::from_secs(11));
    let wire = world.accept_from([192, 0, 2, 1], port + 1);
    wire.borrow_mut().deliver(b"\x16", Tail::Open);
    world.run();
    assert_eq!(world.events(port + 1), [""; 0]);
}

/// How many handshakes others start before the loop answers somebody who comes last. They have
/// so many addresses, each with 20 connections.
fn handshakes_before_an_answer(addresses: u8) -> usize {
    let mut world = World::with_settings(1000, |settings| {
        settings.tls = Some(ACCEPTOR.clone());
        settings.limits.max_connections = Some(10_000);
    });
    let hello = Peer::client(&SharedWire::default()).output();
    let wires: Vec<SharedWire> = (0..u16::from(addresses) * 20)
        .map(|number| {
            let ip = [127, 0, 1, (number % u16::from(addresses)) as u8];
            let wire = world.accept_from(ip, PORT + 1 + number);
            wire.borrow_mut().deliver(&hello, Tail::Open);
            wire
        })
        .collect();
    let own = world.accept_from([127, 0, 0, 1], PORT);
    own.borrow_mut().deliver(b"text\n", Tail::Open);
    world.step();
    while own.borrow().sent.is_empty() {
        world.run_round();
    }
    let is_started = |wire: &&SharedWire| !wire.borrow().sent.is_empty();
    let before = wires.iter().filter(is_started).count();
    world.run();
    assert!(
        wires.iter().all(|wire| is_started(&wire)),
        "all have their turn"
    );
    before
}

#[test]
fn a_flood_of_handshakes_delays_others_by_a_few_of_them() {
    assert!(handshakes_before_an_answer(1) <= 2);
    // One of each address, and those that a round does beside the last one.
    assert!(handshakes_before_an_answer(30) <= 33);
}

#[test]
fn what_follows_the_end_of_our_side_is_discarded_and_not_answered() {
    for broken in [false, true] {
        let mut world = world(1000, 10);
        let wire = world.accept(PORT);
        let mut client = Peer::client(&wire);
        client.exchange(&mut world, 10_000);
        client.write(b"quit\n");
        client.exchange(&mut world, 10_000);
        assert!(world.is_lingering() && client.is_ended);
        let sent = wire.borrow().sent.len();
        client.write(b"text\n");
        client.connection.refresh_traffic_keys().expect("TLS 1.3");
        client.write(b"text\n");
        let mut records = client.output();
        if broken {
            records[10] ^= 1;
        }
        for _ in 0..2 {
            wire.borrow_mut().deliver(&records, Tail::Open);
            world.run();
        }
        assert!(world.is_lingering());
        wire.borrow_mut().deliver(b"", Tail::Eof);
        world.run();
        check_events(&world, PORT, &["quit"], "Quit");
        assert_eq!(wire.borrow().sent.len(), sent);
    }
}
