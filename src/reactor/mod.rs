//! The one event loop of a program. It waits for events and deadlines, moves bytes and
//! calls its [`Role`]; it decides nothing about the protocol.
//!
//! Each round has four steps, and their order is the rule that must not break:
//!
//! 1. **Wait** until the next event or deadline.
//! 2. **Record.** Each event sets a bit on its connection, and the connection
//!    joins the run queue of its address. This step adds, removes, reads and writes nothing, so
//!    no event can reach the wrong connection.
//! 3. **Act.** New connections join the queue. Each queued one has a turn within
//!    a budget: flush the outbox, read, call the role, write its answers at once.
//!    A batch of connections is read before the first of them is answered. Then
//!    come datagrams, deadlines and messages of other threads.
//! 4. **Reap.** Closed connections are removed, and the role is called for each.
//!
//! A readiness bit is set by an event and cleared only by the operation that finds
//! nothing to do: events are edge-triggered (see mio's `Poll`, "Draining readiness").

mod accept;
mod access_log;
mod actions;
mod address_groups;
mod byte_stream;
mod clock;
mod close;
mod connect;
mod connection;
mod connection_list;
mod connectors;
mod datagrams;
mod deadlines;
mod descriptors;
mod file_transfer;
mod handle;
mod handshakes;
mod listener;
mod local_addresses;
mod memory;
mod outbox;
mod proof;
mod readiness;
mod record_counter;
mod round;
mod shutdown;
mod sockets;

mod throttle;
mod timer_fd;
mod tls_session;
mod token_bucket;
mod transport;
mod turn;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Instant;

use mio::net::TcpStream;
use mio::unix::SourceFd;
use mio::{Interest, Poll, Token, Waker};
use signal_hook_mio::v1_0::Signals;
use slab::Slab;

pub use clock::Clock;
pub use datagrams::DatagramSocket;
pub use descriptors::reserve_descriptors;
pub use handle::Handle;
pub use listener::ListeningSocket;
pub use shutdown::LoopOutcome;
pub use sockets::source_address;
pub use transport::{StreamEvent, Transport};

use crate::close_reason::CloseReason;
use crate::limits::{Limits, RateLimits, Timeouts};
use crate::reactor::address_groups::AddressGroups;
use crate::reactor::connection::Connection;
use crate::reactor::connection_list::ListedBytes;
use crate::reactor::connectors::Connectors;
use crate::reactor::datagrams::MAX_DATAGRAM;
use crate::reactor::deadlines::TIMER_KINDS;
use crate::reactor::descriptors::{DescriptorShares, raise_limit};
use crate::reactor::handle::ReactorCommand;
use crate::reactor::handshakes::Handshakes;
use crate::reactor::memory::QueuedMemory;
use crate::reactor::shutdown::Stopping;
use crate::reactor::throttle::Throttle;
use crate::reactor::timer_fd::TimerFd;
use crate::reactor::turn::PendingTurn;
use crate::role::{Output, Role, Traffic};
use crate::session::GroupSecret;
use crate::session::group_secret::VersionedSecret;
use crate::timers::Timers;
use crate::tls::{Certificates, IdList, TlsAcceptor, TlsConnector};

const WAKER: Token = Token(usize::MAX);
const SIGNALS: Token = Token(usize::MAX - 1);
/// The file descriptor that the program watches for its role.
const EXTERNAL: Token = Token(usize::MAX - 2);
const TIMER: Token = Token(usize::MAX - 3);
/// The token of the first listener; the tokens of connections start at 0.
const FIRST_LISTENER: usize = usize::MAX - 1024;
/// The token of the first UDP socket.
const FIRST_SOCKET: usize = usize::MAX - 2048;

/// The initial capacity of the table of connections. A larger table is moved page by
/// page when it grows, as in [`Timers`].
const FIRST_CONNECTIONS: usize = 2048;

/// The settings of a loop.
#[derive(Clone, Debug)]
pub struct ReactorSettings {
    /// For accepted connections.
    pub limits: Limits,
    /// Whether accepted connections may speak HTTP.
    pub speaks_http: bool,
    /// Encrypts accepted connections that begin in TLS. Without it, TLS is another protocol.
    pub tls: Option<TlsAcceptor>,
    /// Encrypts connections to the relays; none for one that is spoken to in plain text.
    pub relay_tls: Vec<Option<TlsConnector>>,
    /// The key that nodes are shown on encrypted connections, if any.
    pub certificates: Option<Arc<Certificates>>,
    /// The only keys that nodes may have on encrypted connections, if there is such a list.
    pub node_ids: Option<Arc<IdList>>,
    /// What both sides of an outgoing connection have to know, if anything. Such a connection
    /// is encrypted.
    pub secret: Option<Arc<GroupSecret>>,
    /// For outgoing connections.
    pub timeouts: Timeouts,
    /// For content that is sent or received.
    pub rates: RateLimits,
    /// The size of the read buffer of a batch, in bytes. A smaller value is raised to
    /// 65,535, the longest datagram.
    pub read_size: usize,
    /// The local addresses for connections to relays; none: any address.
    pub source_addresses: Vec<IpAddr>,
}

/// An event loop and its role, over TCP or another transport.
///
/// A program calls [`Reactor::run`]. A test without sockets passes streams, events and the
/// time by [`Reactor::accept_stream`], [`Reactor::record_event`] and
/// [`Reactor::run_round`].
pub struct Reactor<R: Role, T = TcpStream> {
    role: R,
    settings: ReactorSettings,
    clock: Clock,
    poll: Poll,
    timer: TimerFd,
    listeners: Vec<ListeningSocket>,
    /// Where the program was to listen when it last tried, and could not.
    unusable: Vec<SocketAddr>,
    sockets: Vec<DatagramSocket>,
    signals: Option<Signals>,
    external: Option<OwnedFd>,
    is_signal_pending: bool,
    is_external_ready: bool,
    commands: Receiver<ReactorCommand<R::Message>>,
    handle: Handle<R::Message>,
    connections: Slab<Connection<R::Session, R::File, T>>,
    next_serial: u32,
    addresses: AddressGroups,
    /// Open connections that are being refused.
    open_refusals: usize,
    max_refusals: usize,
    memory: QueuedMemory,
    handshakes: Handshakes,
    connectors: Connectors,
    /// What all connections that we opened prove, or have proved.
    secret: Option<VersionedSecret>,
    /// None if no rate is limited.
    throttle: Option<Box<Throttle>>,
    timers: Timers,
    /// The turns of the current batch; empty between rounds.
    turns: Vec<PendingTurn>,
    closed: Vec<usize>,
    /// Outgoing connections without a socket; the role is called at the reap.
    failed_connects: Vec<(R::Session, CloseReason)>,
    out: Output<R>,
    /// The buffer of all reads.
    read_buffer: Box<[u8]>,
    /// For the rates in lists of connections.
    last_listed: ListedBytes,
    traffic: Traffic,
    started: Instant,
    now: Instant,
    /// The time since the start of the loop in nanoseconds: 64 bits last for 584 years.
    age: u64,
    stopping: Stopping,
    on_stopping: Option<Box<dyn FnOnce()>>,
}

impl<R: Role, T: Transport<R::File>> Reactor<R, T> {
    /// Creates a loop for `role`.
    ///
    /// # Errors
    /// The system provides no poll, waker or timer.
    pub fn new(role: R, settings: ReactorSettings, clock: Clock) -> io::Result<Self> {
        let now = clock.now();
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let timer = TimerFd::new(poll.registry(), TIMER)?;
        let (sender, commands) = mpsc::channel();
        let descriptors = DescriptorShares::of(raise_limit());
        let limits = &settings.limits;
        let max_connections = limits.max_connections.unwrap_or(descriptors.connections);
        let max_per_address = limits.max_per_address;
        Ok(Self {
            role,
            clock,
            poll,
            timer,
            listeners: Vec::new(),
            unusable: Vec::new(),
            sockets: Vec::new(),
            signals: None,
            external: None,
            is_signal_pending: false,
            is_external_ready: false,
            commands,
            handle: Handle {
                commands: sender,
                waker: Arc::clone(&waker),
            },
            connections: Slab::with_capacity(FIRST_CONNECTIONS),
            next_serial: 0,
            addresses: AddressGroups::new(max_connections, max_per_address, descriptors.files),
            open_refusals: 0,
            max_refusals: descriptors.refusals,
            memory: QueuedMemory::default(),
            handshakes: Handshakes::new(limits, now),
            connectors: Connectors::new(
                settings.relay_tls.clone(),
                settings.certificates.clone(),
                settings.node_ids.clone(),
            ),
            secret: connect::watch_secret(settings.secret.as_deref(), &waker),
            throttle: Throttle::new(settings.rates, now),
            timers: Timers::new(now, TIMER_KINDS),
            turns: Vec::new(),
            closed: Vec::new(),
            failed_connects: Vec::new(),
            out: Output::default(),
            read_buffer: vec![0; settings.read_size.max(MAX_DATAGRAM)].into(),
            settings,
            last_listed: ListedBytes::default(),
            traffic: Traffic::default(),
            started: now,
            now,
            age: 0,
            stopping: Stopping::No,
            on_stopping: None,
        })
    }

    /// Accepts connections from `listener`.
    ///
    /// # Errors
    /// The listener cannot be registered.
    pub fn listen(&mut self, mut listener: ListeningSocket) -> io::Result<()> {
        let token = Token(FIRST_LISTENER + self.listeners.len());
        self.poll
            .registry()
            .register(&mut listener.socket, token, Interest::READABLE)?;
        self.listeners.push(listener);
        Ok(())
    }

    /// Stops the loop on these signals.
    ///
    /// # Errors
    /// The handlers cannot be installed.
    pub fn stop_on_signals(&mut self, signals: &[i32]) -> io::Result<()> {
        let mut signals = Signals::new(signals)?;
        self.poll
            .registry()
            .register(&mut signals, SIGNALS, Interest::READABLE)?;
        self.signals = Some(signals);
        Ok(())
    }

    /// Calls `report` when the loop begins to stop.
    pub fn on_stopping(&mut self, report: impl FnOnce() + 'static) {
        self.on_stopping = Some(Box::new(report));
    }

    /// Calls [`Role::on_external_event`] whenever `external` becomes readable.
    ///
    /// # Errors
    /// The descriptor cannot be registered.
    pub fn watch_external(&mut self, external: OwnedFd) -> io::Result<()> {
        let descriptor = external.as_raw_fd();
        self.poll
            .registry()
            .register(&mut SourceFd(&descriptor), EXTERNAL, Interest::READABLE)?;
        self.external = Some(external);
        Ok(())
    }

    /// A handle by which other threads reach this loop.
    pub fn handle(&self) -> Handle<R::Message> {
        self.handle.clone()
    }

    /// Sets the time of a round.
    fn set_now(&mut self, now: Instant) {
        self.now = now;
        self.age = now.saturating_duration_since(self.started).as_nanos() as u64;
    }

    fn enqueue(&mut self, slot: usize) {
        if let Some(conn) = self.connections.get_mut(slot)
            && !conn.is_queued
        {
            conn.is_queued = true;
            self.addresses.push(conn.group, slot);
        }
    }

    /// Queues a connection that has had its turn for another one, in the same round if its
    /// address has not used up its share.
    fn enqueue_again(&mut self, slot: usize) {
        if let Some(conn) = self.connections.get_mut(slot)
            && !conn.is_queued
        {
            conn.is_queued = true;
            self.addresses.push_again(conn.group, slot);
        }
    }
}
