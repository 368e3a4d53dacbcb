//! Peerline: a relay-based peer-to-peer file network whose every message is a
//! line of text that a person can type into `nc`.
//!
//! The map, in reading order; imports point down this list only:
//!
//! - [`program`]: how each of the programs starts: flags, log, loop, exit code.
//! - [`screen`]: what the client's user sees, and where the content goes.
//! - [`share`]: a folder as a node's share.
//! - [`reactor`]: the one poll loop. All sockets are here.
//! - [`role`]: what a relay, a node and a client decide. No I/O, no clock.
//! - [`end`], [`limits`]: why a connection is over, and how much one may take.
//! - [`protocol`]: the values that may stand on the wire.
//! - [`inbox`], [`timers`]: bytes into lines, deadlines in order.
//! - [`exit`], [`visible`]: how a program ends, and how foreign text is shown.

pub mod end;
pub mod exit;
pub mod inbox;
pub mod limits;
pub mod program;
pub mod protocol;
pub mod reactor;
pub mod role;
pub mod screen;
pub mod share;
pub mod timers;
pub mod visible;
