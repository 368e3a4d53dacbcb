//! A network without sockets: hosts, links between them, and one schedule of events.
//!
//! A *link* is one connection. The bytes of a host are cut into pieces. Each piece has
//! its own delay, and arrives after the pieces sent before it. The clock jumps from one
//! event to the next. The [`Conditions`] say how bad the network is: a link may break
//! after any byte, each side sees that at a time of its own, and a piece may arrive
//! after every timeout.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use peerline::close_reason::CloseReason;
use peerline::tls::KeyId;

use super::host::{Host, HostAction, HostState};
use super::link::{Conditions, Endpoint, HostId, Link, LinkId, NetworkEvent, Side};

/// The timeouts of outgoing connections: the defaults of the programs.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// The idle timeout of accepted connections, likewise.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);

/// The virtual time, shared with the hosts and the checks.
pub type Clock = Rc<Cell<Instant>>;

pub struct Network {
    clock: Clock,
    pub conditions: Conditions,
    rng: Rng,
    pub(super) hosts: BTreeMap<HostId, HostState>,
    listening: BTreeMap<SocketAddr, HostId>,
    pub(super) links: BTreeMap<LinkId, Link>,
    /// By time, then by the order in which they were scheduled.
    schedule: BTreeMap<(Instant, u64), NetworkEvent>,
    scheduled: u64,
    next_host: u32,
    next_link: LinkId,
}

impl Network {
    pub fn new(clock: Clock, seed: u64, conditions: Conditions) -> Self {
        Self {
            clock,
            conditions,
            rng: Rng::with_seed(seed),
            hosts: BTreeMap::new(),
            listening: BTreeMap::new(),
            links: BTreeMap::new(),
            schedule: BTreeMap::new(),
            scheduled: 0,
            next_host: 0,
            next_link: 0,
        }
    }

    pub fn now(&self) -> Instant {
        self.clock.get()
    }

    /// The number of events so far.
    pub fn event_count(&self) -> u64 {
        self.scheduled
    }

    /// Adds a host that has just started.
    pub fn add(
        &mut self,
        ip: IpAddr,
        listens: Option<u16>,
        machine: impl Host + 'static,
    ) -> HostId {
        self.add_with_key(ip, listens, None, machine)
    }

    /// The same with a key that the host shows to whom it connects.
    pub fn add_with_key(
        &mut self,
        ip: IpAddr,
        listens: Option<u16>,
        key: Option<KeyId>,
        machine: impl Host + 'static,
    ) -> HostId {
        let id = HostId(self.next_host);
        self.next_host += 1;
        if let Some(port) = listens {
            self.listening.insert(SocketAddr::new(ip, port), id);
        }
        let host = HostState {
            machine: Box::new(machine),
            ip,
            key,
            is_finished: false,
            links: BTreeMap::new(),
            suspended_until: self.now(),
        };
        self.hosts.insert(id, host);
        self.apply_actions(id);
        id
    }

    /// Whether the work of a host is done.
    pub fn is_finished(&self, id: HostId) -> bool {
        self.hosts[&id].is_finished
    }

    /// Whether a host has no connection.
    pub fn has_no_connections(&self, id: HostId) -> bool {
        self.hosts[&id].links.is_empty()
    }

    /// Tells a host that its watched files changed.
    pub fn notify_external(&mut self, id: HostId) {
        self.call(id, Host::on_external_event);
    }

    /// Stops a host gracefully: it accepts no more connections.
    pub fn drain(&mut self, id: HostId) {
        self.listening.retain(|_, host| *host != id);
        self.close_connections(id, Side::Inbound);
        self.call(id, Host::drain);
    }

    /// Removes a host. A graceful end closes its connections; after a power failure its
    /// peers are not told.
    pub fn remove(&mut self, id: HostId, is_graceful: bool) {
        self.listening.retain(|_, host| *host != id);
        if is_graceful {
            self.close_connections(id, Side::Inbound);
            self.close_connections(id, Side::Outbound);
        }
        let host = self.hosts.remove(&id).expect("it is there");
        for (link, side) in host.links.into_values() {
            self.link(link).endpoint(side).owner = None;
            // Its peers run into their idle timeout.
            self.schedule_after(IDLE_TIMEOUT, NetworkEvent::Reset(link, side.other()));
        }
    }

    /// Closes the connections that a host accepted, or those that it opened.
    fn close_connections(&mut self, id: HostId, side: Side) {
        let links = self.hosts[&id].links.clone();
        for (number, (_, its)) in links {
            if its == side {
                self.call(id, |machine| machine.close(number, &CloseReason::Shutdown));
            }
        }
    }

    /// Handles all events until `end`.
    pub fn run_until(&mut self, end: Instant) {
        while let Some(at) = self.next().filter(|at| *at <= end) {
            self.clock.set(self.now().max(at));
            match self.deadline() {
                Some((due, host)) if due <= self.now() => {
                    self.call(host, Host::on_timer);
                }
                _ => {
                    let (_, event) = self.schedule.pop_first().expect("it is the next");
                    self.handle_event(event);
                }
            }
        }
        self.clock.set(end);
    }

    fn next(&self) -> Option<Instant> {
        let scheduled = self.schedule.first_key_value().map(|((at, _), _)| *at);
        let due = self.deadline().map(|(due, _)| due);
        [scheduled, due].into_iter().flatten().min()
    }

    /// The first deadline of all hosts.
    fn deadline(&self) -> Option<(Instant, HostId)> {
        let hosts = self.hosts.iter();
        hosts
            .filter_map(|(id, host)| {
                let due = host.machine.next_deadline()?;
                Some((due.max(host.suspended_until), *id))
            })
            .min()
    }

    fn schedule_after(&mut self, after: Duration, event: NetworkEvent) {
        // No two events are at the same time.
        let at = self.now() + after + Duration::from_nanos(self.rng.u64(1..100_000));
        self.scheduled += 1;
        self.schedule.insert((at, self.scheduled), event);
    }

    /// Calls a host, if it is still there, and carries out its actions.
    fn call<T>(
        &mut self,
        id: HostId,
        act: impl FnOnce(&mut (dyn Host + 'static)) -> T,
    ) -> Option<T> {
        let now = self.now();
        let machine = &mut self.hosts.get_mut(&id)?.machine;
        machine.set_time(now);
        let result = act(&mut **machine);
        self.apply_actions(id);
        Some(result)
    }

    /// Calls the host at one end of a link, if it is still there.
    fn with_endpoint(
        &mut self,
        link: LinkId,
        side: Side,
        act: impl FnOnce(&mut (dyn Host + 'static), u32),
    ) {
        if let Some((host, number)) = self.link(link).endpoint(side).owner {
            self.call(host, |machine| act(machine, number));
        }
    }

    fn link(&mut self, id: LinkId) -> &mut Link {
        self.links.get_mut(&id).expect("links are never removed")
    }

    fn delay(&mut self) -> Duration {
        let most = match self.rng.f64() < self.conditions.late_chance {
            true => Duration::from_secs(60),
            false => self.conditions.delay,
        };
        most.mul_f64(self.rng.f64())
    }

    fn handle_event(&mut self, event: NetworkEvent) {
        if let Some(until) = self.suspended(&event) {
            // In order: no event of the host comes between.
            self.scheduled += 1;
            self.schedule.insert((until, self.scheduled), event);
            return;
        }
        match event {
            NetworkEvent::ConnectRequest(link) => {
                let delay = self.delay().min(CONNECT_TIMEOUT / 2);
                let to = self.link(link).to;
                let answer = match self.listening.get(&to).copied() {
                    Some(host) if self.is_suspended(host) => {
                        let timeout = NetworkEvent::ConnectTimeout(link);
                        return self.schedule_after(CONNECT_TIMEOUT, timeout);
                    }
                    None => NetworkEvent::ConnectRefused(link),
                    Some(host) => {
                        self.accept(link, host);
                        NetworkEvent::ConnectAccepted(link)
                    }
                };
                self.schedule_after(delay, answer);
            }
            NetworkEvent::ConnectAccepted(link) => {
                let now = self.now();
                self.link(link).outbound.last_received = now;
                self.schedule_after(READ_TIMEOUT, NetworkEvent::CheckReadTimeout(link));
                self.with_endpoint(link, Side::Outbound, Host::on_connected);
            }
            NetworkEvent::ConnectRefused(link) => {
                self.connect_failed(
                    link,
                    &CloseReason::ConnectFailed(ErrorKind::ConnectionRefused.into()),
                );
            }
            NetworkEvent::ConnectTimeout(link) => {
                self.connect_failed(link, &CloseReason::ConnectTimeout);
            }
            NetworkEvent::Data(link, side, bytes) => {
                let now = self.now();
                self.link(link).endpoint(side).last_received = now;
                self.with_endpoint(link, side, |machine, number| {
                    machine.receive(number, &bytes);
                });
            }
            NetworkEvent::Eof(link, side) => self.with_endpoint(link, side, Host::end_input),
            NetworkEvent::Reset(link, side) => {
                let reason = CloseReason::ConnectionLost(ErrorKind::ConnectionReset.into());
                self.with_endpoint(link, side, |machine, number| machine.close(number, &reason));
            }
            NetworkEvent::CheckReadTimeout(link) => {
                let until = self.link(link).outbound.last_received + READ_TIMEOUT;
                if until > self.now() {
                    let left = until - self.now();
                    return self.schedule_after(left, NetworkEvent::CheckReadTimeout(link));
                }
                self.with_endpoint(link, Side::Outbound, |machine, number| {
                    machine.close(number, &CloseReason::ReadTimeout);
                });
            }
        }
    }

    fn accept(&mut self, link: LinkId, id: HostId) {
        let (from, key) = match self.link(link).outbound.owner {
            Some((client, _)) => {
                let port = 50_000 + (link % 10_000) as u16;
                let client = &self.hosts[&client];
                (SocketAddr::new(client.ip, port), client.key)
            }
            None => return,
        };
        let accepted = self.call(id, |machine| machine.accept(from, key));
        let number = accepted.expect("it listens");
        let host = self.hosts.get_mut(&id).expect("it listens");
        host.links.insert(number, (link, Side::Inbound));
        self.link(link).inbound.owner = Some((id, number));
    }

    fn connect_failed(&mut self, link: LinkId, reason: &CloseReason) {
        self.with_endpoint(link, Side::Outbound, |machine, number| {
            machine.close(number, reason);
        });
    }

    /// Carries out the actions of a host.
    fn apply_actions(&mut self, id: HostId) {
        let Some(host) = self.hosts.get_mut(&id) else {
            return;
        };
        for action in host.machine.take_actions() {
            let host = self.hosts.get_mut(&id).expect("it is there");
            match action {
                HostAction::Send(number, bytes) => {
                    if let Some((link, side)) = host.links.get(&number).copied() {
                        self.send(link, side.other(), bytes);
                    }
                }
                HostAction::Dial(number, address) => self.dial(id, number, address),
                HostAction::Close(number) => {
                    if let Some((link, side)) = host.links.remove(&number) {
                        self.link(link).endpoint(side).owner = None;
                        if !self.link(link).is_broken {
                            self.schedule_behind(
                                link,
                                side.other(),
                                Duration::ZERO,
                                NetworkEvent::Eof,
                            );
                        }
                    }
                }
                HostAction::EndInput(number) => {
                    if let Some((link, side)) = host.links.get(&number).copied()
                        && !self.link(link).is_broken
                    {
                        let (to, delay) = (side.other(), Duration::ZERO);
                        self.schedule_behind(link, to, delay, NetworkEvent::Eof);
                    }
                }
                HostAction::Finish => host.is_finished = true,
            }
        }
    }

    fn dial(&mut self, id: HostId, number: u32, to: SocketAddr) {
        let link = self.next_link;
        self.next_link += 1;
        let now = self.now();
        let endpoint = |owner| Endpoint {
            owner,
            last_arrival: now,
            last_received: now,
        };
        let breaks = self.rng.f64() < self.conditions.break_chance;
        // Most connections carry few bytes.
        let longest = [30, 300, 3000][self.rng.usize(0..3)];
        let breaks_after = self.rng.usize(0..longest);
        let new = Link {
            outbound: endpoint(Some((id, number))),
            inbound: endpoint(None),
            to,
            breaks_after: breaks.then_some(breaks_after),
            is_broken: false,
        };
        self.links.insert(link, new);
        let host = self.hosts.get_mut(&id).expect("it dials");
        host.links.insert(number, (link, Side::Outbound));
        if self.rng.f64() < self.conditions.lost_chance {
            self.schedule_after(CONNECT_TIMEOUT, NetworkEvent::ConnectTimeout(link));
        } else {
            let delay = self.delay().min(CONNECT_TIMEOUT / 2);
            self.schedule_after(delay, NetworkEvent::ConnectRequest(link));
        }
    }

    /// Sends bytes in pieces, until the link breaks.
    fn send(&mut self, link: LinkId, to: Side, mut bytes: Vec<u8>) {
        let state = self.link(link);
        if state.is_broken {
            return;
        }
        if let Some(left) = &mut state.breaks_after {
            state.is_broken = bytes.len() > *left;
            bytes.truncate(*left);
            *left -= bytes.len();
        }
        let is_broken = state.is_broken;
        while !bytes.is_empty() {
            // Every second piece is all of the rest.
            let length = match self.rng.bool() {
                true => bytes.len(),
                false => self.rng.usize(1..=bytes.len()),
            };
            let rest = bytes.split_off(length);
            let piece = mem::replace(&mut bytes, rest);
            let delay = self.delay();
            self.schedule_behind(link, to, delay, |link, to| {
                NetworkEvent::Data(link, to, piece)
            });
        }
        if is_broken {
            for side in [to, to.other()] {
                let learns = READ_TIMEOUT.mul_f64(self.rng.f64());
                self.schedule_behind(link, side, learns, NetworkEvent::Reset);
            }
        }
    }

    /// Schedules an event at one end of a link, behind everything that is on its way.
    fn schedule_behind(
        &mut self,
        link: LinkId,
        to: Side,
        delay: Duration,
        event: impl FnOnce(LinkId, Side) -> NetworkEvent,
    ) {
        let now = self.now();
        let endpoint = self.link(link).endpoint(to);
        endpoint.last_arrival = endpoint.last_arrival.max(now + delay) + Duration::from_micros(100);
        let after = endpoint.last_arrival - now;
        self.schedule_after(after, event(link, to));
    }
}
