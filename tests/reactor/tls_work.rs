//! What TLS costs beside its content counts in the sharing of turns.

use peerline::tls::{ServerTrust, TlsConnector};

use crate::fake_stream::{SharedWire, Tail};
use crate::tls_peer::{ACCEPTOR, IDENTITY, Peer};
use crate::world::World;

/// Connections that send records without pause.
const BUSY: u16 = 20;
/// The records of each of them.
const RECORDS: usize = 3000;
/// A server tolerates so many changes of keys without content between them.
const KEY_UPDATES: usize = 31;
/// The most bytes of such records in one round, and in the turn that goes beyond it: 16 count as
/// a short line.
const MAX_READ: usize = 48 * 1024;

/// Lets the peer send records of one byte, with changes of keys between them.
fn send_records(peer: &mut Peer, key_updates: usize) {
    let mut bytes = Vec::new();
    for record in 1..=RECORDS {
        match record % (key_updates + 1) {
            0 => peer.write(b"x"),
            _ => peer
                .connection
                .refresh_traffic_keys()
                .expect("a complete handshake"),
        }
        bytes.extend(peer.output());
    }
    peer.wire.borrow_mut().deliver(&bytes, Tail::Open);
}

/// At most so many bytes are read of what these peers have sent before a request of another address
/// is answered, and in each round.
fn check_share(world: &mut World, peers: &[Peer], max_read: usize) {
    let wires: Vec<SharedWire> = peers.iter().map(|peer| peer.wire.clone()).collect();
    let unread = || -> usize { wires.iter().map(|wire| wire.borrow().unread()).sum() };
    let sent = unread();
    let other = world.accept_from([127, 0, 0, 3], 999);
    other.borrow_mut().deliver(b"text\n", Tail::Open);
    while world.events(999).is_empty() {
        world.step();
    }
    let read = sent - unread();
    assert!(read <= max_read, "{read} bytes before");
    while unread() > 0 {
        let before = unread();
        world.step();
        let read = before - unread();
        assert!(read <= max_read, "{read} bytes in a round");
    }
}

/// The same for such records.
fn check_records(world: &mut World, peers: &mut [Peer], key_updates: usize) {
    for peer in &mut *peers {
        send_records(peer, key_updates);
    }
    check_share(world, peers, MAX_READ);
}

/// Clients of the loop at one address.
fn accept(world: &mut World) -> Vec<Peer> {
    let ports = 1..=BUSY;
    let accept = |port| {
        let wire = world.accept_from([127, 0, 0, 2], port);
        let mut client = Peer::client(&wire);
        client.exchange(world, 10_000);
        client
    };
    ports.map(accept).collect()
}

fn world() -> World {
    World::with_settings(1 << 20, |settings| {
        settings.tls = Some(ACCEPTOR.clone());
        settings.relay_tls = vec![TlsConnector::new(ServerTrust::Key(IDENTITY.id()), None).ok()];
    })
}

#[test]
fn records_of_one_byte_share_a_round() {
    let mut world = world();
    let mut clients = accept(&mut world);
    check_records(&mut world, &mut clients, 0);
}

#[test]
fn changes_of_keys_share_a_round() {
    let mut world = world();
    let mut clients = accept(&mut world);
    check_records(&mut world, &mut clients, KEY_UPDATES);
    let first = &mut clients[0];
    first.write(b"\n");
    first.exchange(&mut world, 10_000);
    let line = "x".repeat(RECORDS / (KEY_UPDATES + 1));
    assert_eq!(world.events(1), [line], "the session goes on");
}

#[test]
fn records_of_servers_share_a_round() {
    for key_updates in [0, KEY_UPDATES] {
        let mut world = world();
        let connect = |port| {
            let server = Peer::connected_server(&mut world, port);
            assert_eq!(server.received, b"hello\n");
            server
        };
        let mut servers: Vec<Peer> = (1..=BUSY).map(connect).collect();
        check_records(&mut world, &mut servers, key_updates);
    }
}

#[test]
fn a_part_of_a_record_that_is_full_of_content_costs_no_share() {
    let mut world = world();
    let mut clients = accept(&mut world);
    for client in &mut clients {
        client.write(&[b'x'; 16 * 1024]);
        let record = client.output();
        let part = &record[..15_000];
        client.wire.borrow_mut().deliver(part, Tail::Open);
    }
    world.step();
    let is_read = |client: &Peer| client.wire.borrow().unread() == 0;
    assert!(clients.iter().all(is_read));
}

#[test]
fn what_is_discarded_after_the_end_of_our_side_shares_a_round() {
    const LENGTH: usize = 500_000;
    /// A round, and the turn that goes beyond it.
    const MAX_DISCARDED: usize = 6 << 20;
    let mut world = world();
    let mut clients = accept(&mut world);
    for client in &mut clients {
        client.write(b"quit\n");
        client.exchange(&mut world, 10_000);
        assert!(client.is_ended);
    }
    for client in &clients {
        let mut wire = client.wire.borrow_mut();
        wire.deliver(&[b'x'; LENGTH], Tail::Open);
    }
    check_share(&mut world, &clients, MAX_DISCARDED);
}
