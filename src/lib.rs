//! Peerline: a relay-based peer-to-peer file network whose every message is a
//! line of text that a person can type into `nc`.
//!
//! The map, in reading order; imports point down this list only:
//!
//! - [`cli`]: how each of the programs starts: flags, log, loop, exit code.
//! - [`terminal`]: the prompt, its line editor, and what people see.
//! - [`download`]: where fetched content goes.
//! - [`share`]: a folder as a node's share.
//! - [`reactor`]: the one poll loop. All sockets are here.
//! - [`relay`], [`node`], [`client`]: what each program decides. No I/O, no clock.
//! - [`jobs`], [`relay_link`]: what node and client have in common.
//! - [`session`]: bytes into requests and responses. No I/O.
//! - [`role`]: what the loop and the three programs agree on.
//! - [`logging`], [`limits`], [`quantity`]: log lines, limits, and how their values
//!   are written on a command line.
//! - [`close_reason`], [`protocol`]: why a connection ends, and all text on the wire.
//! - [`timers`], `rate_limiter`, [`escaped`], [`counted`], [`xdg`]: deadlines in
//!   order, events per second, how foreign text is shown, a number with its noun, the
//!   user's folders.

pub mod cli;
pub mod client;
pub mod close_reason;
pub mod counted;
pub mod download;
pub mod escaped;
pub mod jobs;
pub mod limits;
pub mod logging;
pub mod node;
pub mod protocol;
pub mod quantity;
pub(crate) mod rate_limiter;
pub mod reactor;
pub mod relay;
pub mod relay_link;
pub mod role;
pub mod session;
pub mod share;
pub mod terminal;
pub mod timers;
pub mod xdg;
