//! A client that changes the directory faster than the engine takes it waits, and nobody else
//! waits for it.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Instant;

use peerline::relay::shared_directory::InstanceId;

use super::engine::Engine;
use super::settle;
use super::site::RelaySite;

/// Together more than the relay lets be on their way.
const FILES: usize = 4000;
const NAME_SIZE: usize = 900;

/// A relay whose engine takes nothing until it is told to, and a client with many changes.
struct Flood {
    now: Instant,
    engine: Engine,
    relays: [RelaySite; 1],
    /// The number of its connection.
    client: u32,
    /// The answers that it has got at once.
    answered: usize,
}

impl Flood {
    fn new() -> Self {
        let mut now = Instant::now();
        let mut engine = Engine::default();
        let mut relays = [RelaySite::new(1, now)];
        relays[0].connect(InstanceId(1), &engine);
        settle(&mut relays, &mut engine, &mut now);
        let mut lines = "REGISTER * 9000\n".to_owned();
        for number in 0..FILES {
            writeln!(lines, "SHARE 1 - {number:0NAME_SIZE$}").expect("memory");
        }
        let (client, answers) = relays[0].open(SocketAddr::from(([10, 0, 0, 1], 1)), None, &lines);
        let answered = count_ok(&answers);
        // A megabyte is on its way, and one more is left for others.
        let expected = (1 << 20) / NAME_SIZE;
        assert!(answered > expected * 9 / 10, "{answered}");
        assert!(answered < expected * 11 / 10, "{answered}");
        Self {
            now,
            engine,
            relays,
            client,
            answered,
        }
    }
}

fn count_ok(answers: &str) -> usize {
    let is_ok = |line: &&str| line.starts_with("OK");
    answers.lines().filter(is_ok).count()
}

#[test]
fn a_client_that_is_faster_than_the_engine_waits_alone() {
    let mut flood = Flood::new();
    let other = SocketAddr::from(([10, 0, 0, 2], 1));
    let answers = flood.relays[0].ask(other, "REGISTER * 9000\nSHARE 5 - other\n");
    assert_eq!(count_ok(&answers), 2, "{answers}");
    assert_eq!(flood.relays[0].sent_to(flood.client), "");
    settle(&mut flood.relays, &mut flood.engine, &mut flood.now);
    // The events began anew with the other client.
    let late = count_ok(&flood.relays[0].sent_to(flood.client));
    assert_eq!(flood.answered + late, FILES + 1);
}

#[test]
fn nobody_waits_while_the_relay_is_cut_off() {
    let mut flood = Flood::new();
    flood.relays[0].cut();
    flood.relays[0].run(flood.now);
    assert_eq!(count_ok(&flood.relays[0].sent_to(flood.client)), FILES + 1);
}
