//! A role without its loop: bytes go in, and the actions that the role requests come
//! out as [`Event`]s. The input runs through the same [`InputDriver`] as in the loop.
//! Connections are only numbers, and the test sets the clock.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::time::{Instant, SystemTime};

use peerline::close_reason::CloseReason;
use peerline::protocol::MAX_LINE;
use peerline::role::{
    Action, ConnId, Context, FramingError, Input, Output, ReadNext, Role, Traffic, UdpPeer,
};
use peerline::session::driver::{DrivenConnection, InputDriver, ReadState, TurnLimits};
use peerline::tls::{ConnectionSecurity, KeyId};

/// The default limit of the programs.
const MAX_QUEUE: u64 = 262_144;
/// The most bytes that wait for a peer that does not read: the queue may be all but full
/// when a batch of answers as large begins, and the last of them may be a whole list.
const MOST_QUEUED: u64 = 2 * MAX_QUEUE + 65_536;

pub struct Machine<R: Role, O: Observer<R::File>> {
    role: R,
    pub now: Instant,
    pub observer: O,
    /// The most bytes of the head of a request in HTTP, if peers may speak it.
    pub max_head: Option<usize>,
    traffic: Traffic,
    out: Output<R>,
    connections: BTreeMap<u32, Connection<R::Session>>,
    /// Connections that have a turn before control returns to the test.
    run_queue: VecDeque<u32>,
    /// The highest number of a connection so far.
    last_number: u32,
}

struct Connection<S> {
    address: SocketAddr,
    session: S,
    driver: InputDriver,
    /// What a socket would hold: bytes that are not read yet, and the end of input.
    unread: Vec<u8>,
    is_at_eof: bool,
    is_inbound: bool,
    /// The peer reads nothing; this many bytes wait for it.
    stalled: Option<u64>,
}

/// An action that the role requests.
pub enum Event<F> {
    /// Bytes are sent to a connection.
    Sent { to: u32, bytes: Vec<u8> },
    /// A datagram is sent.
    Datagram { to: UdpPeer, bytes: Vec<u8> },
    /// A part of a file is sent to a connection.
    File {
        to: u32,
        file: F,
        offset: u64,
        length: u64,
    },
    /// The idle timeout of a connection is lifted.
    IdleAllowed { number: u32 },
    /// The next reply of a connection must come in time.
    ReplyExpected { number: u32 },
    /// An outgoing connection is started and gets this number.
    Connecting {
        number: u32,
        address: SocketAddr,
        session: String,
    },
    /// A connection is closed after everything that was sent to it.
    Closed {
        number: u32,
        /// The name of the reason.
        reason: String,
        session: String,
    },
    /// The program listens at these addresses, and connects from them.
    AddressesUsed { ips: Vec<IpAddr> },
    /// The program stops gracefully; [`Role::drain`] follows.
    ShutDown,
    /// The loop stops.
    LoopStopped,
}

/// The name of the variant.
fn variant_name(reason: &CloseReason) -> String {
    let name = format!("{reason:?}");
    name.chars().take_while(|c| c.is_alphanumeric()).collect()
}

/// Receives all actions that a role requests, in order.
pub trait Observer<F> {
    fn observe(&mut self, event: Event<F>);
}

/// Stores the events.
impl<F> Observer<F> for Vec<Event<F>> {
    fn observe(&mut self, event: Event<F>) {
        self.push(event);
    }
}

/// Fails if there is no such connection.
pub type MachineResult<T = ()> = Result<T, &'static str>;

const NOT_CONNECTED: &str = "it is not connected";

impl<R: Role, O: Observer<R::File>> Machine<R, O> {
    /// Starts a role at the time `now`.
    pub fn new(role: R, now: Instant, observer: O) -> Self {
        let mut machine = Self {
            role,
            now,
            observer,
            max_head: None,
            traffic: Traffic::default(),
            out: Output::default(),
            connections: BTreeMap::new(),
            run_queue: VecDeque::new(),
            last_number: 0,
        };
        machine.call(R::start);
        machine
    }

    pub fn role(&self) -> &R {
        &self.role
    }

    /// Calls the role, and carries out what follows.
    pub fn call(&mut self, act: impl FnOnce(&mut R, &mut Context<'_, R>)) {
        self.call_role(act);
        self.take_turns();
    }

    /// A peer connects; the connection gets this number.
    pub fn accept(&mut self, number: u32, from: SocketAddr) -> MachineResult {
        let session = self.role.on_accept(from);
        self.add(number, from, session)?;
        self.connection(number)?.is_inbound = true;
        Ok(())
    }

    /// The handshake of a connection is complete; the peer has shown this key.
    pub fn on_encrypted(&mut self, number: u32, key: KeyId) -> MachineResult {
        let connection = self.connections.get_mut(&number).ok_or(NOT_CONNECTED)?;
        let security = ConnectionSecurity {
            peer: Some(key),
            exporter: [0; 32],
        };
        self.role.on_encrypted(&mut connection.session, security);
        Ok(())
    }

    /// The peer stops to read what is sent to it.
    pub fn stall(&mut self, number: u32) -> MachineResult {
        self.connection(number)?.stalled = Some(0);
        Ok(())
    }

    /// Fails if a peer that reads its answers waits, and nothing is done for it.
    pub fn assert_nobody_waits(&self) {
        for (number, connection) in &self.connections {
            if !connection.is_inbound || connection.stalled.is_some() {
                continue;
            }
            match connection.driver.state() {
                ReadState::AwaitingRole => assert!(self.role.has_work(), "{number} waits"),
                state => {
                    assert_eq!(state, ReadState::NeedsInput, "{number} waits");
                    assert_eq!(connection.unread, b"", "{number} waits");
                }
            }
        }
    }

    /// A number that no connection has had.
    pub fn next_number(&self) -> u32 {
        self.last_number + 1
    }

    pub fn is_connected(&self, number: u32) -> bool {
        self.connections.contains_key(&number)
    }

    /// An outgoing connection is established.
    pub fn on_connected(&mut self, number: u32) -> MachineResult {
        self.connection(number)?;
        InputDriver::notify(&mut self.driven(number), Input::Connected);
        self.take_turns();
        Ok(())
    }

    /// Bytes arrive.
    pub fn receive(&mut self, number: u32, bytes: &[u8]) -> MachineResult {
        self.connection(number)?.unread.extend_from_slice(bytes);
        self.run_queue.push_back(number);
        self.take_turns();
        Ok(())
    }

    /// The input ends.
    pub fn end_input(&mut self, number: u32) -> MachineResult {
        self.connection(number)?.is_at_eof = true;
        self.run_queue.push_back(number);
        self.take_turns();
        Ok(())
    }

    /// The input cannot be split into lines any further.
    pub fn on_framing_error(&mut self, number: u32, error: FramingError) -> MachineResult {
        self.connection(number)?;
        InputDriver::on_framing_error(&mut self.driven(number), error);
        self.take_turns();
        Ok(())
    }

    /// The connection is closed.
    pub fn close(&mut self, number: u32, reason: &CloseReason) -> MachineResult {
        self.remove(number, reason)?;
        self.take_turns();
        Ok(())
    }

    fn connection(&mut self, number: u32) -> MachineResult<&mut Connection<R::Session>> {
        self.connections.get_mut(&number).ok_or(NOT_CONNECTED)
    }

    fn driven(&mut self, number: u32) -> MachineConnection<'_, R, O> {
        MachineConnection {
            machine: self,
            number,
        }
    }

    fn add(&mut self, number: u32, address: SocketAddr, session: R::Session) -> MachineResult {
        let connection = Connection {
            address,
            session,
            driver: InputDriver::default(),
            unread: Vec::new(),
            is_at_eof: false,
            is_inbound: false,
            stalled: None,
        };
        if self.connections.insert(number, connection).is_some() {
            return Err("that connection is still there");
        }
        self.last_number = self.last_number.max(number);
        Ok(())
    }

    fn remove(&mut self, number: u32, reason: &CloseReason) -> MachineResult {
        let connection = self.connections.remove(&number).ok_or(NOT_CONNECTED)?;
        self.observer.observe(Event::Closed {
            number,
            reason: variant_name(reason),
            session: connection.session.to_string(),
        });
        self.call_role(|role, context| role.on_close(context, connection.session, reason));
        Ok(())
    }

    fn call_role(&mut self, act: impl FnOnce(&mut R, &mut Context<'_, R>)) {
        let mut context = Context {
            now: self.now,
            wall_clock: || SystemTime::UNIX_EPOCH,
            traffic: &self.traffic,
            out: &mut self.out,
        };
        act(&mut self.role, &mut context);
        self.apply();
    }

    /// Gives the queued connections their turns, until none has more to do.
    fn take_turns(&mut self) {
        while let Some(number) = self.run_queue.pop_front() {
            let Some(connection) = self.connections.get_mut(&number) else {
                continue;
            };
            let mut arrived = Vec::new();
            if connection.driver.state() == ReadState::NeedsInput {
                arrived = mem::take(&mut connection.unread);
                if arrived.is_empty() && connection.is_at_eof {
                    connection.driver.end_input();
                }
            }
            InputDriver::run(&mut self.driven(number), &arrived);
            if let Some(connection) = self.connections.get(&number) {
                let queued = connection.stalled.unwrap_or(0);
                assert!(queued < MOST_QUEUED, "{number}: {queued} bytes are queued");
                let has_more = match connection.driver.state() {
                    _ if queued >= MAX_QUEUE => false,
                    ReadState::NeedsInput => connection.is_at_eof || !connection.unread.is_empty(),
                    ReadState::Backlogged | ReadState::AtEof => true,
                    // What a peer that stalls has received is not known here.
                    ReadState::Flushing => queued == 0,
                    ReadState::AwaitingRole | ReadState::Resumable => false,
                };
                if has_more {
                    self.run_queue.push_back(number);
                }
            }
        }
    }

    fn dial(&mut self, address: SocketAddr, session: R::Session) -> Event<R::File> {
        let number = self.next_number();
        let shown = session.to_string();
        self.add(number, address, session).expect("a new number");
        Event::Connecting {
            number,
            address,
            session: shown,
        }
    }

    fn sent(&mut self, to: u32, bytes: Vec<u8>) -> Event<R::File> {
        let connection = self.connections.get_mut(&to);
        if let Some(queued) = connection.and_then(|connection| connection.stalled.as_mut()) {
            *queued += bytes.len() as u64;
        }
        Event::Sent { to, bytes }
    }

    /// Reports the requested actions, and carries out those that are possible here.
    fn apply(&mut self) {
        let (text, actions) = self.out.take();
        let mut start = 0;
        // These may request more actions, which come after all of these.
        let (mut closed, mut stops, mut reports) = (Vec::new(), false, false);
        for action in actions {
            let event = match action {
                Action::Text { to, end, .. } => {
                    let bytes = text[mem::replace(&mut start, end)..end].to_vec();
                    self.sent(to.slot, bytes)
                }
                Action::Datagram { to, end } => Event::Datagram {
                    to,
                    bytes: text[mem::replace(&mut start, end)..end].to_vec(),
                },
                Action::Shared(to, bytes) => self.sent(to.slot, bytes.to_vec()),
                Action::File(to, file, range, _) => Event::File {
                    to: to.slot,
                    file,
                    offset: range.start,
                    length: range.end - range.start,
                },
                Action::AllowIdle(conn) => Event::IdleAllowed { number: conn.slot },
                Action::ExpectReply(conn) => Event::ReplyExpected { number: conn.slot },
                Action::Dial(address, session) => self.dial(address, session),
                Action::StopGracefully => {
                    stops = true;
                    Event::ShutDown
                }
                Action::StopLoop => Event::LoopStopped,
                Action::UseAddresses(ips) => Event::AddressesUsed { ips },
                Action::Resume(conn) => {
                    if let Some(connection) = self.connections.get_mut(&conn.slot) {
                        connection.driver.resume();
                        self.run_queue.push_back(conn.slot);
                    }
                    continue;
                }
                Action::ListConnections(conn) => {
                    let mut list = Vec::new();
                    if let Some(connection) = self.connections.get(&conn.slot) {
                        let (session, open) = (&connection.session, self.traffic.open);
                        self.role.write_connections(session, open, &[], &mut list);
                    }
                    if let Some(connection) = self.connections.get_mut(&conn.slot) {
                        connection.driver.resume();
                        self.run_queue.push_back(conn.slot);
                    }
                    self.sent(conn.slot, list)
                }
                Action::ReportConnections => {
                    reports = true;
                    continue;
                }
                Action::Close(conn, reason) => {
                    closed.push((conn.slot, reason));
                    continue;
                }
            };
            self.observer.observe(event);
        }
        for (number, reason) in closed {
            self.remove(number, &reason).expect("it is connected");
        }
        if reports {
            self.call_role(|role, context| role.on_connections(context, 0, &[]));
        }
        if stops {
            self.call_role(R::drain);
        }
    }
}

/// A connection as its driver sees it.
struct MachineConnection<'a, R: Role, O: Observer<R::File>> {
    machine: &'a mut Machine<R, O>,
    number: u32,
}

impl<R: Role, O: Observer<R::File>> DrivenConnection for MachineConnection<'_, R, O> {
    fn limits(&self) -> TurnLimits {
        TurnLimits {
            max_line: MAX_LINE,
            max_head: self.machine.max_head,
            max_queue: MAX_QUEUE,
            max_work: 4096,
            lacks_tls: false,
            is_draining: false,
        }
    }

    fn driver(&mut self) -> Option<&mut InputDriver> {
        let connection = self.machine.connections.get_mut(&self.number);
        connection.map(|connection| &mut connection.driver)
    }

    fn on_input(&mut self, input: Input<'_>) -> ReadNext {
        let machine = &mut *self.machine;
        let connection = machine.connections.get_mut(&self.number);
        let connection = connection.expect("a connection with a driver");
        let conn = ConnId {
            slot: self.number,
            serial: self.number,
        };
        let mut context = Context {
            now: machine.now,
            wall_clock: || SystemTime::UNIX_EPOCH,
            traffic: &machine.traffic,
            out: &mut machine.out,
        };
        let (address, session) = (connection.address, &mut connection.session);
        machine
            .role
            .on_input(&mut context, conn, address, session, input)
    }

    fn unapplied_bytes(&self) -> u64 {
        self.machine.out.queued()
    }

    fn take_work(&mut self) -> usize {
        self.machine.out.take_work()
    }

    fn apply(&mut self) {
        self.machine.apply();
    }

    fn queued_bytes(&self) -> u64 {
        // Without a stall, the peer reads everything at once.
        let connection = self.machine.connections.get(&self.number);
        connection
            .and_then(|connection| connection.stalled)
            .unwrap_or(0)
    }

    fn start_closing(&mut self, reason: CloseReason) {
        // An action may have closed it already.
        let _ = self.machine.remove(self.number, &reason);
    }
}
