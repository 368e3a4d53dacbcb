//! A network without sockets: machines, wires between them, and one list of all
//! that is going to happen.
//!
//! A *wire* is one connection. What a machine sends is cut into pieces, and each
//! piece arrives after a delay of its own, but never before the one sent before
//! it. The clock jumps from one happening to the next. How bad it gets is up to
//! the [`Weather`]: a wire may break behind any byte, and each side learns of it
//! in its own time; a piece may come so late that nobody waits for it any more.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use peerline::close_reason::CloseReason;
use peerline::role::Role;

use crate::machine::{Event, Machine};

/// How long a dial takes if nobody is there, and how long the one who dialled
/// waits for more: the defaults of the programs.
const DIAL_TIME: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(10);
/// When the other one gives up a connection on which nothing is asked.
const IDLE_TIME: Duration = Duration::from_secs(600);

/// A machine that knows whom it is connected to only by numbers.
pub trait Plays {
    fn set_time(&mut self, now: Instant);
    /// Somebody connects; returns the number of the connection.
    fn accept(&mut self, from: SocketAddr) -> u32;
    fn reached(&mut self, number: u32);
    fn arrive(&mut self, number: u32, bytes: &[u8]);
    fn end(&mut self, number: u32);
    fn over(&mut self, number: u32, end: &CloseReason);
    fn next_deadline(&self) -> Option<Instant>;
    fn on_timer(&mut self);
    /// Something outside that it watches has changed.
    fn on_external_event(&mut self);
    /// It is told to stop.
    fn drain(&mut self);
    /// What it has wanted since the last time.
    fn wishes(&mut self) -> Vec<Wish>;
}

/// What a machine wants of the network.
pub enum Wish {
    /// Bytes for a connection.
    Send(u32, Vec<u8>),
    /// A connection with this number.
    Dial(u32, SocketAddr),
    /// The end of a connection, after what was sent.
    End(u32),
    /// Nothing more: its work is done.
    Finish,
}

/// Machines of which files are sent from memory.
impl<R: Role> Plays for Machine<R, Vec<Event<R::File>>> {
    fn set_time(&mut self, now: Instant) {
        self.now = now;
    }

    fn accept(&mut self, from: SocketAddr) -> u32 {
        let number = self.next_number();
        Machine::accept(self, number, from).expect("a new number");
        number
    }

    fn reached(&mut self, number: u32) {
        Machine::on_connected(self, number).expect("it is connected");
    }

    fn arrive(&mut self, number: u32, bytes: &[u8]) {
        Machine::receive(self, number, bytes).expect("it is connected");
    }

    fn end(&mut self, number: u32) {
        Machine::end_input(self, number).expect("it is connected");
    }

    fn over(&mut self, number: u32, end: &CloseReason) {
        Machine::close(self, number, end).expect("it is connected");
    }

    fn next_deadline(&self) -> Option<Instant> {
        if self.role().has_work() {
            return Some(self.now);
        }
        self.role().next_deadline()
    }

    fn on_timer(&mut self) {
        self.call(R::on_timer);
    }

    fn on_external_event(&mut self) {
        self.call(R::on_external_event);
    }

    fn drain(&mut self) {
        self.call(R::drain);
    }

    fn wishes(&mut self) -> Vec<Wish> {
        let events = mem::take(&mut self.observer).into_iter();
        let wishes = events.filter_map(|event| match event {
            Event::Sent { to, bytes } => Some(Wish::Send(to, bytes)),
            Event::Connecting {
                number, address, ..
            } => Some(Wish::Dial(number, address)),
            Event::Closed { number, .. } => Some(Wish::End(number)),
            Event::LoopStopped => Some(Wish::Finish),
            Event::File { .. } => unreachable!("files here are small"),
            _ => None,
        });
        wishes.collect()
    }
}

/// How the network is today: chances from 0 to 1.
#[derive(Clone, Copy)]
pub struct Weather {
    /// The usual longest delay of a piece.
    pub delay: Duration,
    /// That a piece takes up to a minute.
    pub late: f64,
    /// That a wire is to break behind some byte.
    pub cut: f64,
    /// That a dial is never answered.
    pub lost: f64,
}

/// A machine, as long as it is there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct HostId(u32);

type WireId = u32;

/// One of the two ends of a wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Side {
    Dialled,
    Accepted,
}

/// The time, for all who want to know it.
pub type Clock = Rc<Cell<Instant>>;

pub struct Network {
    clock: Clock,
    pub weather: Weather,
    rng: Rng,
    hosts: BTreeMap<HostId, Host>,
    listening: BTreeMap<SocketAddr, HostId>,
    wires: BTreeMap<WireId, Wire>,
    /// In order of time; what is noted later happens later.
    agenda: BTreeMap<(Instant, u64), Happening>,
    noted: u64,
    made_hosts: u32,
    made_wires: WireId,
}

struct Host {
    machine: Box<dyn Plays>,
    ip: IpAddr,
    finished: bool,
    wires: BTreeMap<u32, (WireId, Side)>,
}

struct Wire {
    dialled: Plug,
    accepted: Plug,
    to: SocketAddr,
    /// So many more bytes until it breaks.
    breaks_after: Option<usize>,
    broken: bool,
}

/// One end of a wire.
struct Plug {
    /// Whose it is and by which number; nobody's before the dial is answered, and
    /// after the connection is over there.
    of: Option<(HostId, u32)>,
    /// When the last piece that was sent to it arrives.
    last_arrival: Instant,
    /// When something last arrived.
    heard: Instant,
}

enum Happening {
    Knock(WireId),
    Answer(WireId),
    Refusal(WireId),
    NoAnswer(WireId),
    Piece(WireId, Side, Vec<u8>),
    End(WireId, Side),
    Break(WireId, Side),
    /// Has the one who dialled waited long enough?
    Timeouts(WireId),
}

impl Network {
    pub fn new(clock: Clock, seed: u64, weather: Weather) -> Self {
        Self {
            clock,
            weather,
            rng: Rng::with_seed(seed),
            hosts: BTreeMap::new(),
            listening: BTreeMap::new(),
            wires: BTreeMap::new(),
            agenda: BTreeMap::new(),
            noted: 0,
            made_hosts: 0,
            made_wires: 0,
        }
    }

    pub fn now(&self) -> Instant {
        self.clock.get()
    }

    /// How much has happened.
    pub fn happenings(&self) -> u64 {
        self.noted
    }

    /// Adds a machine that has just started.
    pub fn add(
        &mut self,
        ip: IpAddr,
        listens: Option<u16>,
        machine: impl Plays + 'static,
    ) -> HostId {
        let id = HostId(self.made_hosts);
        self.made_hosts += 1;
        if let Some(port) = listens {
            self.listening.insert(SocketAddr::new(ip, port), id);
        }
        let host = Host {
            machine: Box::new(machine),
            ip,
            finished: false,
            wires: BTreeMap::new(),
        };
        self.hosts.insert(id, host);
        self.grant(id);
        id
    }

    /// Whether its work is done.
    pub fn is_finished(&self, id: HostId) -> bool {
        self.hosts[&id].finished
    }

    /// Whether it has no connection.
    pub fn is_alone(&self, id: HostId) -> bool {
        self.hosts[&id].wires.is_empty()
    }

    /// Tells a machine that what it watches has changed.
    pub fn notice(&mut self, id: HostId) {
        self.call(id, Plays::on_external_event);
    }

    /// Tells a machine to stop: nobody reaches it any more.
    pub fn drain(&mut self, id: HostId) {
        self.listening.retain(|_, host| *host != id);
        self.hang_up(id, Side::Accepted);
        self.call(id, Plays::drain);
    }

    /// Takes a machine out. Its system closes its connections, unless it loses
    /// its power: then nobody says a word.
    pub fn remove(&mut self, id: HostId, says_so: bool) {
        self.listening.retain(|_, host| *host != id);
        if says_so {
            self.hang_up(id, Side::Accepted);
            self.hang_up(id, Side::Dialled);
        }
        let host = self.hosts.remove(&id).expect("it is there");
        for (wire, side) in host.wires.into_values() {
            self.wire(wire).plug(side).of = None;
            // Whoever was asked by it waits for a long time.
            self.note(IDLE_TIME, Happening::Break(wire, side.other()));
        }
    }

    /// Ends the connections of a machine on one side.
    fn hang_up(&mut self, id: HostId, side: Side) {
        let wires = self.hosts[&id].wires.clone();
        for (number, (_, its)) in wires {
            if its == side {
                self.call(id, |machine| machine.over(number, &CloseReason::Shutdown));
            }
        }
    }

    /// Lets happen all that happens until `end`.
    pub fn run_until(&mut self, end: Instant) {
        while let Some(at) = self.next().filter(|at| *at <= end) {
            self.clock.set(self.now().max(at));
            match self.deadline() {
                Some((due, host)) if due <= self.now() => {
                    self.call(host, Plays::on_timer);
                }
                _ => {
                    let (_, happening) = self.agenda.pop_first().expect("it is the next");
                    self.happen(happening);
                }
            }
        }
        self.clock.set(end);
    }

    fn next(&self) -> Option<Instant> {
        let noted = self.agenda.first_key_value().map(|((at, _), _)| *at);
        let due = self.deadline().map(|(due, _)| due);
        [noted, due].into_iter().flatten().min()
    }

    /// The first deadline of all machines.
    fn deadline(&self) -> Option<(Instant, HostId)> {
        let hosts = self.hosts.iter();
        hosts
            .filter_map(|(id, host)| Some((host.machine.next_deadline()?, *id)))
            .min()
    }

    fn note(&mut self, after: Duration, happening: Happening) {
        // No two happenings are at the same time.
        let at = self.now() + after + Duration::from_nanos(self.rng.u64(1..100_000));
        self.noted += 1;
        self.agenda.insert((at, self.noted), happening);
    }

    /// Lets a machine do something, if it is still there, and does what it wants.
    fn call<T>(
        &mut self,
        id: HostId,
        act: impl FnOnce(&mut (dyn Plays + 'static)) -> T,
    ) -> Option<T> {
        let now = self.now();
        let machine = &mut self.hosts.get_mut(&id)?.machine;
        machine.set_time(now);
        let done = act(&mut **machine);
        self.grant(id);
        Some(done)
    }

    /// Likewise for the one at the end of a wire, if there is still somebody.
    fn tell(
        &mut self,
        wire: WireId,
        side: Side,
        act: impl FnOnce(&mut (dyn Plays + 'static), u32),
    ) {
        if let Some((host, number)) = self.wire(wire).plug(side).of {
            self.call(host, |machine| act(machine, number));
        }
    }

    fn wire(&mut self, id: WireId) -> &mut Wire {
        self.wires.get_mut(&id).expect("wires are kept")
    }

    fn delay(&mut self) -> Duration {
        let most = match self.rng.f64() < self.weather.late {
            true => Duration::from_secs(60),
            false => self.weather.delay,
        };
        most.mul_f64(self.rng.f64())
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Knock(wire) => {
                let delay = self.delay().min(DIAL_TIME / 2);
                let to = self.wire(wire).to;
                let answer = match self.listening.get(&to).copied() {
                    None => Happening::Refusal(wire),
                    Some(host) => {
                        self.accept(wire, host);
                        Happening::Answer(wire)
                    }
                };
                self.note(delay, answer);
            }
            Happening::Answer(wire) => {
                let now = self.now();
                self.wire(wire).dialled.heard = now;
                self.note(PATIENCE, Happening::Timeouts(wire));
                self.tell(wire, Side::Dialled, Plays::reached);
            }
            Happening::Refusal(wire) => {
                self.unreached(
                    wire,
                    &CloseReason::ConnectFailed(ErrorKind::ConnectionRefused.into()),
                );
            }
            Happening::NoAnswer(wire) => self.unreached(wire, &CloseReason::ConnectTimeout),
            Happening::Piece(wire, side, bytes) => {
                let now = self.now();
                self.wire(wire).plug(side).heard = now;
                self.tell(wire, side, |machine, number| machine.arrive(number, &bytes));
            }
            Happening::End(wire, side) => self.tell(wire, side, Plays::end),
            Happening::Break(wire, side) => {
                let end = CloseReason::ConnectionLost(ErrorKind::ConnectionReset.into());
                self.tell(wire, side, |machine, number| machine.over(number, &end));
            }
            Happening::Timeouts(wire) => {
                let until = self.wire(wire).dialled.heard + PATIENCE;
                if until > self.now() {
                    let left = until - self.now();
                    return self.note(left, Happening::Timeouts(wire));
                }
                self.tell(wire, Side::Dialled, |machine, number| {
                    machine.over(number, &CloseReason::ReadTimeout);
                });
            }
        }
    }

    fn accept(&mut self, wire: WireId, id: HostId) {
        let from = match self.wire(wire).dialled.of {
            // The port is of no interest.
            Some((dialler, _)) => SocketAddr::new(self.hosts[&dialler].ip, 50_000),
            None => return,
        };
        let accepted = self.call(id, |machine| machine.accept(from));
        let number = accepted.expect("it listens");
        let host = self.hosts.get_mut(&id).expect("it listens");
        host.wires.insert(number, (wire, Side::Accepted));
        self.wire(wire).accepted.of = Some((id, number));
    }

    fn unreached(&mut self, wire: WireId, end: &CloseReason) {
        self.tell(wire, Side::Dialled, |machine, number| {
            machine.over(number, end);
        });
    }

    /// Does what a machine wants.
    fn grant(&mut self, id: HostId) {
        let Some(host) = self.hosts.get_mut(&id) else {
            return;
        };
        for wish in host.machine.wishes() {
            let host = self.hosts.get_mut(&id).expect("it is there");
            match wish {
                Wish::Send(number, bytes) => {
                    if let Some((wire, side)) = host.wires.get(&number).copied() {
                        self.send(wire, side.other(), bytes);
                    }
                }
                Wish::Dial(number, address) => self.dial(id, number, address),
                Wish::End(number) => {
                    if let Some((wire, side)) = host.wires.remove(&number) {
                        self.wire(wire).plug(side).of = None;
                        if !self.wire(wire).broken {
                            self.after_all(wire, side.other(), Duration::ZERO, Happening::End);
                        }
                    }
                }
                Wish::Finish => host.finished = true,
            }
        }
    }

    fn dial(&mut self, id: HostId, number: u32, to: SocketAddr) {
        let wire = self.made_wires;
        self.made_wires += 1;
        let now = self.now();
        let plug = |of| Plug {
            of,
            last_arrival: now,
            heard: now,
        };
        let cut = self.rng.f64() < self.weather.cut;
        // Most conversations are short.
        let longest = [30, 300, 3000][self.rng.usize(0..3)];
        let breaks_after = self.rng.usize(0..longest);
        let new = Wire {
            dialled: plug(Some((id, number))),
            accepted: plug(None),
            to,
            breaks_after: cut.then_some(breaks_after),
            broken: false,
        };
        self.wires.insert(wire, new);
        let host = self.hosts.get_mut(&id).expect("it dials");
        host.wires.insert(number, (wire, Side::Dialled));
        if self.rng.f64() < self.weather.lost {
            self.note(DIAL_TIME, Happening::NoAnswer(wire));
        } else {
            let delay = self.delay().min(DIAL_TIME / 2);
            self.note(delay, Happening::Knock(wire));
        }
    }

    /// Sends bytes, piece by piece, as far as the wire carries them.
    fn send(&mut self, wire: WireId, to: Side, mut bytes: Vec<u8>) {
        let state = self.wire(wire);
        if state.broken {
            return;
        }
        if let Some(left) = &mut state.breaks_after {
            state.broken = bytes.len() > *left;
            bytes.truncate(*left);
            *left -= bytes.len();
        }
        let broken = state.broken;
        while !bytes.is_empty() {
            // Every second piece is all that is left.
            let length = match self.rng.bool() {
                true => bytes.len(),
                false => self.rng.usize(1..=bytes.len()),
            };
            let rest = bytes.split_off(length);
            let piece = mem::replace(&mut bytes, rest);
            let delay = self.delay();
            self.after_all(wire, to, delay, |wire, to| {
                Happening::Piece(wire, to, piece)
            });
        }
        if broken {
            for side in [to, to.other()] {
                let learns = PATIENCE.mul_f64(self.rng.f64());
                self.after_all(wire, side, learns, Happening::Break);
            }
        }
    }

    /// Something arrives at an end of a wire, behind all that is on its way.
    fn after_all(
        &mut self,
        wire: WireId,
        to: Side,
        delay: Duration,
        happening: impl FnOnce(WireId, Side) -> Happening,
    ) {
        let now = self.now();
        let plug = self.wire(wire).plug(to);
        plug.last_arrival = plug.last_arrival.max(now + delay) + Duration::from_micros(100);
        let after = plug.last_arrival - now;
        self.note(after, happening(wire, to));
    }
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Dialled => Self::Accepted,
            Self::Accepted => Self::Dialled,
        }
    }
}

impl Wire {
    fn plug(&mut self, side: Side) -> &mut Plug {
        match side {
            Side::Dialled => &mut self.dialled,
            Side::Accepted => &mut self.accepted,
        }
    }
}
