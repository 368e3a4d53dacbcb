//! Peerline: a relay-based peer-to-peer file network whose every message is a
//! line of text that a person can type into `nc`.
//!
//! # The map
//!
//! In reading order; imports point down this list only.
//!
//! | Module | Contents |
//! |---|---|
//! | [`cli`] | command lines, start-up and exit codes of the programs |
//! | [`terminal`] | the prompt, its line editor, and what people see |
//! | [`download`] | where fetched content goes: stdout or a file |
//! | [`discovery`] | relays and nodes that announce themselves on a network |
//! | [`share`] | a folder as a share: walk, watch, hash, open safely |
//! | [`reactor`] | the one poll loop; all sockets are here |
//! | [`registry`] | Redis or Valkey, through which several relays share a directory |
//! | [`relay`], [`node`], [`client`] | what each program decides, without I/O and clock |
//! | [`jobs`], [`relay_link`] | what node and client have in common: queries, downloads, commands, retries |
//! | [`session`] | bytes into typed requests and responses, as lines and as HTTP, on both sides, without I/O |
//! | `web` | the pages for browsers: templates, style sheet, script |
//! | [`role`] | the contract between the loop and the programs |
//! | [`logging`], [`limits`], [`quantity`] | log lines; limits and how a command line writes them |
//! | [`close_reason`], [`name_glob`], [`protocol`] | why a connection closes; globs of file names; all text on the wire |
//! | [`tls`] | keys, certificates and known relays, and what both sides need to speak TLS |
//! | [`timers`], `figure`, `histogram`, `rate_limiter`, `wall_clock`, [`escaped`], [`counted`], `byte_size`, `system_error`, `stdio`, `file_system`, [`xdg`] | deadlines, figures of a server, times in buckets, events per second, the date, foreign text, plurals, sizes, errors, standard streams, types of file systems, user folders |
//! | [`sandbox`] | what the kernel lets a server open |
//!
//! # Where to look
//!
//! | Question | Place |
//! |---|---|
//! | Where is the loop? | [`reactor::Reactor::run`] in `reactor/round.rs`: wait, record, act, reap |
//! | Where is `GET` parsed? | [`protocol::Request::parse`], from bytes cut by [`session::driver`] |
//! | Where is the language of a connection decided? | `reactor/handshakes.rs` by its first byte: TLS or not; `session/driver.rs` by its first line: lines or HTTP |
//! | Where is a request in HTTP answered? | `session/http/request.rs` parses it, `node/http/` and `relay/http/` answer it from the same share and directory as a line |
//! | Where does the node answer `GET`? | `node/requests.rs`, through the typed replies of `session/responder.rs` |
//! | Where does the relay forget a node? | `relay/registration.rs` decides (`UNREGISTER`, and leases that expire); `relay/directory.rs` removes the entry, `relay/files.rs` its files |
//! | Where does one relay learn what another has changed? | `registry/reader.rs` reads it, `relay/shared_directory/incoming.rs` checks it, `relay/shared_directory/apply.rs` applies it |
//! | Where does a client wait whose changes the registry does not take as fast? | `relay/shared_directory/flow_control.rs` |
//! | Where does a client ask for relays on its network? | `discovery/browse.rs`, called by `cli/discovery.rs` |
//! | Where does a client choose the next node? | `jobs/candidate.rs` has the order, `jobs/fetch.rs` takes the next one; of several nodes at once, `jobs/piece_download/schedule.rs` |
//! | Where does an interrupted download find out what it still needs? | `download/part_state.rs` reads what is there, `jobs/piece_download/stored_pieces.rs` marks those pieces |
//! | What does `verify` do to a damaged file? | `download/repair_file.rs` writes right pieces only, `download/destination/comparison.rs` finds the content |
//! | Where is a secret proven? | by a program in `session/proof_exchange.rs`; `session/access.rs` checks it, and decides who may make which request |
//! | Where is a byte written to disk? | `download/part_file.rs` by `download/sparse_write.rs`, or `download/small_file.rs`; `download/target_file.rs` gives the file its name |
//! | Where is a verb added? | `protocol/verb.rs` (its form, meaning and replies), `protocol/request.rs` (its fields), `session/access.rs` (who may use it), the dispatch of `relay/mod.rs` and `node/requests.rs`, protocol.md; a new form of reply also in `protocol/reply.rs` and `session/responder.rs` |

pub(crate) mod byte_size;
pub mod cli;
pub mod client;
pub mod close_reason;
pub mod counted;
pub mod discovery;
pub mod download;
pub mod escaped;
pub(crate) mod figure;
pub(crate) mod file_system;
pub mod histogram;
pub mod jobs;
pub mod limits;
pub mod logging;
pub mod name_glob;
pub mod node;
pub mod protocol;
pub mod quantity;
pub(crate) mod rate_limiter;
pub mod reactor;
pub mod registry;
pub mod relay;
pub mod relay_link;
pub mod role;
pub mod sandbox;
pub mod session;
pub mod share;
pub(crate) mod stdio;
pub(crate) mod system_error;
pub mod terminal;
pub mod timers;
pub mod tls;
pub(crate) mod wall_clock;
pub(crate) mod web;
pub mod xdg;
