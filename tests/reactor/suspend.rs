//! A machine that is suspended: its loops do at once what is late by then.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use peerline::close_reason::{CloseReason, ResourceLimit};
use peerline::limits::{Limits, RateLimits, Timeouts};
use peerline::reactor::{Clock, Reactor, ReactorSettings};
use peerline::role::{ConnId, Context, Input, ReadNext, Role};

use crate::fake_stream::{FakeFile, FakeStream};

/// How long the machine was suspended, in seconds.
static SUSPENDED: AtomicU64 = AtomicU64::new(0);

/// A role that waits for a deadline, and is suspended with its machine when it starts.
struct Sleeper {
    deadline: Instant,
}

impl Role for Sleeper {
    type Session = String;
    type File = FakeFile;
    type Message = ();

    fn start(&mut self, _: &mut Context<'_, Self>) {
        SUSPENDED.store(70, Ordering::SeqCst);
    }

    fn on_accept(&mut self, _: SocketAddr) -> String {
        String::new()
    }

    fn on_refuse(&self, _: ResourceLimit, _: &mut Vec<u8>) {}

    fn on_input(
        &mut self,
        _: &mut Context<'_, Self>,
        _: ConnId,
        _: SocketAddr,
        _: &mut String,
        _: Input<'_>,
    ) -> ReadNext {
        ReadNext::Line
    }

    fn on_close(&mut self, _: &mut Context<'_, Self>, _: String, _: &CloseReason) {}

    fn on_message(&mut self, _: &mut Context<'_, Self>, (): ()) {}

    fn next_deadline(&self) -> Option<Instant> {
        Some(self.deadline)
    }

    fn on_timer(&mut self, context: &mut Context<'_, Self>) {
        assert!(context.now >= self.deadline);
        context.out.stop_loop();
    }

    fn drain(&mut self, _: &mut Context<'_, Self>) {}
}

#[test]
fn a_deadline_that_passed_during_a_suspend_is_met_at_once() {
    let start = Instant::now();
    let clock = Clock::new(start, || {
        Duration::from_secs(SUSPENDED.load(Ordering::SeqCst))
    });
    let settings = ReactorSettings {
        speaks_http: false,
        tls: None,
        relay_tls: Vec::new(),
        certificates: None,
        node_ids: None,
        secret: None,
        limits: Limits::default(),
        timeouts: Timeouts::default(),
        rates: RateLimits::default(),
        read_size: 0,
        source_addresses: Vec::new(),
    };
    let deadline = start + Duration::from_secs(60);
    let reactor = Reactor::<_, FakeStream>::new(Sleeper { deadline }, settings, clock);
    let reactor = reactor.expect("the system has a poll");
    reactor.run().expect("the poll works");
    assert!(start.elapsed() < Duration::from_secs(30));
}
