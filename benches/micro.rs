//! Nanoseconds of the parts of a request: `cargo bench --bench micro`.

use std::io::Write;
use std::iter;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use peerline::protocol::{MAX_LINE, NodeAddress, Reply, Request};
use peerline::relay::{Quota, Relay, RelaySettings, Trust};
use peerline::role::{ConnId, Context, Input, Output, Role, Traffic};
use peerline::session::AccessSettings;
use peerline::session::http::HttpSettings;
use peerline::session::inbox::Inbox;
use peerline::timers::Timers;

/// Entries of a small and of a large directory.
const ENTRIES: [u32; 2] = [1_000, 1_000_000];
/// Distance between successive entries; a prime, so that the order defeats the caches.
const STRIDE: u32 = 611_953;

/// Typical request lines.
const LINES: [&str; 6] = [
    "PING",
    "GET music/album 12/disc 34/track 56.flac",
    "FIND music/album 12/disc 34/track 56.flac",
    "REGISTER 203.0.113.7 40001",
    "SHARE 17 0e5b3d7e0523a525c18dcb70b7a4b290f88ed054f0f8c08feea1404be00cd488 hello.txt",
    "SEND 203.0.113.7 40001 Who is there?",
];

fn main() {
    divan::main();
}

#[divan::bench(args = LINES)]
fn parse_request(line: &str) -> Request<'_> {
    Request::parse(black_box(line).as_bytes()).expect("a valid line")
}

#[divan::bench(args = ["PONG", "FOUND 1024", "OK 60 203.0.113.7 40001 0 1111111111"])]
fn parse_reply(line: &str) -> Reply<'_> {
    Reply::parse(black_box(line).as_bytes()).expect("a valid line")
}

#[divan::bench]
fn print_reply(bencher: Bencher<'_, '_>) {
    let mut text = Vec::new();
    bencher.bench_local(|| {
        text.clear();
        writeln!(text, "{}", black_box(Reply::Found(1024))).expect("room");
    });
}

#[divan::bench]
fn print_address(bencher: Bencher<'_, '_>) {
    let address = NodeAddress::parse("203.0.113.7 40001").expect("an address");
    let mut text = Vec::new();
    bencher.bench_local(|| {
        text.clear();
        writeln!(text, "{}", black_box(address)).expect("room");
    });
}

/// Sixteen lines in one read.
#[divan::bench]
fn split_sixteen_lines(bencher: Bencher<'_, '_>) {
    let received = "GET music/album 12/disc 34/track 56.flac\n".repeat(16);
    let mut inbox = Inbox::default();
    bencher.bench_local(|| {
        let mut unread = inbox.open(black_box(received.as_bytes()));
        while let Some(piece) = unread.next(MAX_LINE) {
            black_box(piece);
        }
        inbox.keep(unread);
    });
}

/// Renews one lease among this many.
#[divan::bench(args = ENTRIES)]
fn set_timer(bencher: Bencher<'_, '_>, entries: u32) {
    let origin = Instant::now();
    let mut timers = Timers::new(origin, 1);
    let mut count: u32 = 0;
    let mut set = || {
        let key = count.wrapping_mul(STRIDE) % entries;
        count += 1;
        timers.set(key as usize, 0, origin + Duration::from_nanos(count.into()));
    };
    (0..entries).for_each(|_| set());
    bencher.bench_local(set);
}

/// Renews a registration: the whole role, from the request line to the reply.
#[divan::bench(args = ENTRIES)]
fn register(bencher: Bencher<'_, '_>, entries: u32) {
    let mut bench = RelayBench::new();
    (0..entries).for_each(|number| bench.send(&register_line(number)));
    let lines = strided_lines(entries, register_line);
    let mut lines = lines.iter().cycle();
    bencher.bench_local(|| bench.send(lines.next().expect("a cycle has no end")));
}

/// Finds the holders of a file.
#[divan::bench(args = ENTRIES)]
fn find(bencher: Bencher<'_, '_>, entries: u32) {
    let mut bench = RelayBench::with_files(entries);
    let lines = strided_lines(entries, |number| format!("FIND {}", name(number)));
    let mut lines = lines.iter().cycle();
    bencher.bench_local(|| bench.send(lines.next().expect("a cycle has no end")));
}

/// Finds the holders of 32 files whose requests arrive together and are prefetched.
#[divan::bench(args = ENTRIES)]
fn find_thirty_two(bencher: Bencher<'_, '_>, entries: u32) {
    let mut bench = RelayBench::with_files(entries);
    let lines = strided_lines(entries, |number| format!("FIND {}", name(number)));
    let batch = |lines: &[String]| lines.iter().map(|line| format!("{line}\n")).collect();
    let batches: Vec<String> = lines.chunks_exact(32).map(batch).collect();
    let mut batches = batches.iter().cycle();
    bencher.counter(ItemsCount::new(32_u32)).bench_local(|| {
        let batch = batches.next().expect("a cycle has no end");
        bench.prefetch(batch);
        batch.lines().for_each(|line| bench.send(line));
    });
}

/// Lines for entries that are far from each other.
fn strided_lines(entries: u32, line: impl Fn(u32) -> String) -> Vec<String> {
    let numbers = (0..10_000_u32).map(|n| n.wrapping_mul(STRIDE) % entries);
    numbers.map(line).collect()
}

fn register_line(number: u32) -> String {
    let [_, a, b, c] = number.to_be_bytes();
    format!("REGISTER 10.{a}.{b}.{c} 40001")
}

fn name(number: u32) -> String {
    format!("music/album {}/track {number}.flac", number % 1000)
}

/// A relay without a loop, and one connection.
struct RelayBench {
    relay: Relay,
    peer: SocketAddr,
    session: <Relay as Role>::Session,
    out: Output<Relay>,
    now: Instant,
}

impl RelayBench {
    fn new() -> Self {
        let now = Instant::now();
        let settings = RelaySettings {
            lease: Duration::from_secs(86_400),
            max_nodes: 1 << 20,
            max_nodes_per_address: 1024,
            max_line: MAX_LINE,
            max_unknown: 10,
            wrong_cookie_rate: 1000,
            datagram_rate: 1_000_000,
            quota: Quota {
                node_files: 1 << 20,
                node_bytes: 1 << 30,
                address_bytes: 1 << 30,
                all_files: 1 << 20,
                all_bytes: 1 << 30,
            },
            message_rate: 50,
            message_rate_per_address: 200,
            trust: Trust::new(Vec::new()),
            certificates: None,
            http: HttpSettings::default(),
            access: AccessSettings::default(),
        };
        let mut relay = Relay::new(settings, [0; 32], now);
        let peer = SocketAddr::from(([127, 0, 0, 1], 50_000));
        let session = relay.on_accept(peer);
        Self {
            relay,
            peer,
            session,
            out: Output::default(),
            now,
        }
    }

    /// A relay with one node that shares this many files.
    fn with_files(entries: u32) -> Self {
        let mut bench = Self::new();
        bench.send("REGISTER 203.0.113.7 40001");
        let share = |number| format!("SHARE 17 - {}", name(number));
        (0..entries).for_each(|number| bench.send(&share(number)));
        bench
    }

    /// Prefetches a batch of lines.
    fn prefetch(&self, lines: &str) {
        self.relay
            .prefetch(iter::once((self.peer, lines.as_bytes())));
    }

    /// Sends one request line and discards the reply.
    fn send(&mut self, line: &str) {
        let conn = ConnId { slot: 0, serial: 0 };
        let mut context = Context {
            now: self.now,
            wall_clock: || SystemTime::UNIX_EPOCH,
            traffic: &Traffic::default(),
            out: &mut self.out,
        };
        let input = Input::Line(line.as_bytes());
        black_box(
            self.relay
                .on_input(&mut context, conn, self.peer, &mut self.session, input),
        );
        let (text, actions) = self.out.take();
        debug_assert!(!text.starts_with(b"ERROR"), "{line} was refused");
        self.out.recycle(text, actions);
    }
}
