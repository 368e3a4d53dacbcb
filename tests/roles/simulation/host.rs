//! A machine as a host of the simulated network.

use std::collections::BTreeMap;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use peerline::close_reason::CloseReason;
use peerline::role::Role;
use peerline::tls::KeyId;

use super::link::{LinkId, Side};
use super::stranger::Manner;
use crate::machine::{Event, Machine};

/// A machine whose connections are numbers.
pub trait Host {
    fn set_time(&mut self, now: Instant);
    /// A peer connects, and perhaps shows a key; returns the number of the connection.
    fn accept(&mut self, from: SocketAddr, key: Option<KeyId>) -> u32;
    fn on_connected(&mut self, number: u32);
    fn receive(&mut self, number: u32, bytes: &[u8]);
    fn end_input(&mut self, number: u32);
    fn close(&mut self, number: u32, reason: &CloseReason);
    fn next_deadline(&self) -> Option<Instant>;
    fn on_timer(&mut self);
    /// The watched files changed.
    fn on_external_event(&mut self);
    /// The program stops gracefully.
    fn drain(&mut self);
    /// The actions requested since the last call.
    fn take_actions(&mut self) -> Vec<HostAction>;
}

/// An action that a host requests of the network.
pub enum HostAction {
    /// Send bytes to a connection.
    Send(u32, Vec<u8>),
    /// Open a connection with this number.
    Dial(u32, SocketAddr),
    /// Send the end of input.
    EndInput(u32),
    /// Close a connection after everything that was sent to it.
    Close(u32),
    /// Stop: the work of the host is done.
    Finish,
}

/// A host in the network.
pub struct HostState {
    pub machine: Box<dyn Host>,
    pub ip: IpAddr,
    /// The key that it shows to whom it connects.
    pub key: Option<KeyId>,
    pub is_finished: bool,
    pub links: BTreeMap<u32, (LinkId, Side)>,
    /// Until then its machine is suspended: nothing happens there.
    pub suspended_until: Instant,
}

/// A machine that sends files from memory.
impl<R: Role> Host for Machine<R, Vec<Event<R::File>>> {
    fn set_time(&mut self, now: Instant) {
        self.now = now;
    }

    fn accept(&mut self, from: SocketAddr, key: Option<KeyId>) -> u32 {
        let number = self.next_number();
        Machine::accept(self, number, from).expect("a new number");
        if let Some(key) = key {
            self.on_encrypted(number, key).expect("just accepted");
        }
        if Manner::of(from.ip()) == Some(Manner::Stalls) {
            self.stall(number).expect("just accepted");
        }
        number
    }

    fn on_connected(&mut self, number: u32) {
        Machine::on_connected(self, number).expect("it is connected");
    }

    fn receive(&mut self, number: u32, bytes: &[u8]) {
        Machine::receive(self, number, bytes).expect("it is connected");
        self.assert_nobody_waits();
    }

    fn end_input(&mut self, number: u32) {
        Machine::end_input(self, number).expect("it is connected");
    }

    fn close(&mut self, number: u32, reason: &CloseReason) {
        Machine::close(self, number, reason).expect("it is connected");
    }

    fn next_deadline(&self) -> Option<Instant> {
        if self.role().has_work() {
            return Some(self.now);
        }
        self.role().next_deadline()
    }

    fn on_timer(&mut self) {
        self.call(R::on_timer);
        self.assert_nobody_waits();
    }

    fn on_external_event(&mut self) {
        self.call(R::on_external_event);
    }

    fn drain(&mut self) {
        self.call(R::drain);
    }

    fn take_actions(&mut self) -> Vec<HostAction> {
        let events = mem::take(&mut self.observer).into_iter();
        let actions = events.filter_map(|event| match event {
            Event::Sent { to, bytes } => Some(HostAction::Send(to, bytes)),
            Event::Connecting {
                number, address, ..
            } => Some(HostAction::Dial(number, address)),
            Event::Closed { number, .. } => Some(HostAction::Close(number)),
            Event::LoopStopped => Some(HostAction::Finish),
            Event::File { .. } => unreachable!("files here are small"),
            _ => None,
        });
        actions.collect()
    }
}
