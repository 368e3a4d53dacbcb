//! One input in a role, without a loop around it.

use std::time::{Duration, Instant, SystemTime};

use peerline::role::{ConnId, Context, Input, Output, Role, Traffic};

use crate::processor_time::processor_time;

/// The time that an input of a new connection takes in the role, and the work that the role
/// counts for it.
pub fn handle_alone<R: Role>(role: &mut R, input: Input<'_>) -> (Duration, usize) {
    let peer = "127.0.0.1:5000".parse().expect("an address");
    let mut out = Output::default();
    let mut session = role.on_accept(peer);
    let began = processor_time();
    let mut context = Context {
        now: Instant::now(),
        wall_clock: || SystemTime::UNIX_EPOCH,
        traffic: &Traffic::default(),
        out: &mut out,
    };
    let conn = ConnId { slot: 0, serial: 0 };
    role.on_input(&mut context, conn, peer, &mut session, input);
    (processor_time().saturating_sub(began), out.take_work())
}
