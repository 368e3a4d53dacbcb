//! TLS as a layer of a connection: however records and segments are cut, and whenever the
//! stream blocks, the role gets the same requests and the peer the same answers. Somebody
//! between the two who changes bytes can only end the connection, and both see that.

use std::time::Duration;

use peerline::tls::{ServerTrust, TlsConnector};

use super::Bytes;
use super::fake_stream::{InjectedFault, SharedWire, Tail};
use super::tls_peer::{ACCEPTOR, IDENTITY, Peer};
use super::world::{World, answer};

/// One request for each way in which an answer is sent.
const REQUESTS: [&str; 7] = ["text", "shared", "file", "wait", "parts", "t again", "quit"];
const PORT: u16 = 1;
/// Queues from one that holds one answer to one that holds all.
const QUEUES: [usize; 4] = [1, 10, 25, 1000];
/// Longer than any wait of the loop.
const LONG: Duration = Duration::from_secs(3600);
/// The first byte of a connection in TLS.
const TLS: u8 = 0x16;

/// The steps, as an input has them. A length or a place follows, or two bytes.
#[derive(Clone, Copy)]
pub enum TlsStep {
    /// The peer makes a record of the next bytes of its requests.
    Record,
    /// So many bytes of those that are under way arrive.
    Segment,
    /// A call of the stream, so many from now, does not succeed: 0 blocks, 1 is interrupted,
    /// others are short by their number.
    Fault,
    /// The kernel has no room but for this many more bytes.
    Room,
    /// All answers that are awaited are completed.
    Resume,
    /// A bit of the bytes that are under way is changed.
    Flip,
    /// A byte is put among those that are under way.
    Insert,
    /// The connection is cut off.
    Cut,
}

const STEPS: [TlsStep; 8] = [
    TlsStep::Record,
    TlsStep::Segment,
    TlsStep::Fault,
    TlsStep::Room,
    TlsStep::Resume,
    TlsStep::Flip,
    TlsStep::Insert,
    TlsStep::Cut,
];

/// A connection, and what is on its way from the peer to the loop.
struct Scene {
    world: World,
    wire: SharedWire,
    peer: Peer,
    requests: Vec<u8>,
    /// What the peer has sent, and has not arrived.
    under_way: Vec<u8>,
    /// The first byte that has arrived.
    first: Option<u8>,
    /// Somebody has changed what the peer sent, or cut it off.
    is_broken: bool,
    is_cut: bool,
    /// The peer has noticed, and reads nothing more.
    has_peer_failed: bool,
}

/// Runs the steps on a connection that the loop accepts, or that it opens, as the first byte
/// says. The second one chooses the length of the queue.
pub fn tls(data: &[u8]) {
    let mut bytes = Bytes(data);
    let is_outbound = bytes.number() % 2 == 1;
    let max_queue = QUEUES[usize::from(bytes.number()) % QUEUES.len()];
    let mut scene = Scene::new(is_outbound, max_queue);
    while !bytes.is_empty() {
        scene.play(&mut bytes);
    }
    scene.finish();
    scene.check(is_outbound);
}

impl Scene {
    fn new(is_outbound: bool, max_queue: usize) -> Self {
        let mut world = World::with_settings(max_queue, |settings| {
            settings.tls = Some(ACCEPTOR.clone());
            let trust = ServerTrust::Key(IDENTITY.id());
            settings.relay_tls = vec![TlsConnector::new(trust, None).ok()];
        });
        let (wire, peer) = if is_outbound {
            let wire = world.connect(PORT);
            wire.borrow_mut().establish(Ok(()));
            let peer = Peer::server(&wire);
            (wire, peer)
        } else {
            let wire = world.accept(PORT);
            let peer = Peer::client(&wire);
            (wire, peer)
        };
        let lines = REQUESTS.iter().map(|request| format!("{request}\n"));
        let mut scene = Self {
            world,
            wire,
            peer,
            requests: lines.collect::<String>().into_bytes(),
            under_way: Vec::new(),
            first: None,
            is_broken: false,
            is_cut: false,
            has_peer_failed: false,
        };
        scene.run();
        scene
    }

    /// The loop runs until it waits for its peer, which answers what has arrived there.
    fn run(&mut self) {
        self.world.run();
        if !self.has_peer_failed && self.peer.try_read().is_err() {
            assert!(self.is_broken, "the loop keeps the rules");
            self.has_peer_failed = true;
        }
        let output = self.peer.output();
        self.under_way.extend(output);
    }

    fn play(&mut self, bytes: &mut Bytes<'_>) {
        match STEPS[usize::from(bytes.number()) % STEPS.len()] {
            TlsStep::Record => self.write(usize::from(bytes.number())),
            TlsStep::Segment => self.arrive(usize::from(bytes.number()) * 4 + 1),
            TlsStep::Fault => {
                let fault = match bytes.number() {
                    0 => InjectedFault::WouldBlock,
                    1 => InjectedFault::Interrupted,
                    length => InjectedFault::Short(usize::from(length)),
                };
                let mut wire = self.wire.borrow_mut();
                let call = wire.calls + usize::from(bytes.number() % 8);
                wire.faults.insert(call, fault);
            }
            TlsStep::Room => {
                let mut wire = self.wire.borrow_mut();
                wire.room = Some(0);
                wire.read(usize::from(bytes.number()));
            }
            TlsStep::Resume => self.world.resume_all(),
            TlsStep::Flip => {
                let (at, bit) = (usize::from(bytes.number()), bytes.number() % 8);
                if let Some(byte) = self.under_way.get_mut(at) {
                    *byte ^= 1 << bit;
                    self.is_broken = true;
                }
            }
            TlsStep::Insert => {
                let at = usize::from(bytes.number()).min(self.under_way.len());
                self.under_way.insert(at, bytes.number());
                self.is_broken = true;
            }
            TlsStep::Cut => {
                (self.is_broken, self.is_cut) = (true, true);
                self.wire.borrow_mut().deliver(b"", Tail::Eof);
            }
        }
        self.run();
    }

    /// The peer makes a record of the next bytes of its requests.
    fn write(&mut self, length: usize) {
        let length = length.min(self.requests.len());
        let record: Vec<u8> = self.requests.drain(..length).collect();
        if !self.has_peer_failed {
            self.peer.write(&record);
        }
    }

    /// The next bytes of those that are under way arrive.
    fn arrive(&mut self, length: usize) {
        let length = length.min(self.under_way.len());
        let segment: Vec<u8> = self.under_way.drain(..length).collect();
        self.first = self.first.or(segment.first().copied());
        if !self.is_cut && length > 0 {
            self.wire.borrow_mut().deliver(&segment, Tail::Open);
        }
        self.run();
    }

    /// Everything arrives, there is room for everything, and time passes.
    fn finish(&mut self) {
        self.wire.borrow_mut().room = None;
        self.wire.borrow_mut().read(0);
        self.write(usize::MAX);
        self.run();
        for _ in 0..3 * REQUESTS.len() {
            self.arrive(usize::MAX);
            self.world.resume_all();
            self.run();
        }
        // For the rest of a line or a record, and then for the end of the peer's input.
        for _ in 0..2 {
            self.world.advance(LONG);
            self.run();
        }
    }

    fn check(&self, is_outbound: bool) {
        let mut events = self.world.events(PORT);
        let end = events.pop().expect("the connection is closed");
        assert!(end.starts_with("closed: "), "{end}");
        assert!(self.wire.borrow().is_dropped);
        let greeting = if is_outbound { "hello\n" } else { "" };
        let answers = REQUESTS.map(answer).concat();
        let all = [greeting, &answers].concat().into_bytes();
        let is_complete = self.peer.received == all && self.peer.is_ended;
        if !self.is_broken {
            assert_eq!(end, "closed: Quit");
            assert_eq!(events, REQUESTS);
            assert!(is_complete, "{:?}", self.peer.received);
            return;
        }
        // Without TLS, anybody may have written anything.
        if !is_outbound && self.first != Some(TLS) {
            assert_eq!(self.peer.received, b"");
            return;
        }
        // The rest of a line does not come, and the loop says so.
        let is_late = events.pop_if(|event| event == "LineTimeout").is_some();
        let received = &self.peer.received[..];
        let told = received.strip_suffix(b"error\n").filter(|_| is_late);
        assert_eq!(
            events,
            REQUESTS[..events.len()],
            "nobody else can write a request"
        );
        assert!(all.starts_with(told.unwrap_or(received)), "nor an answer");
        // The loop ends its side in good order if it waits in vain for the rest of a record.
        let is_lost = ["closed: ConnectionLost", "closed: TlsFailed"].contains(&end.as_str());
        let is_ended = self.peer.is_ended;
        assert!(
            is_complete || !is_ended || !is_lost,
            "{end}: the end is authentic"
        );
    }
}
