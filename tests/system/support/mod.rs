//! What the tests have in common: the real programs, fake servers, and clients of
//! both. Everything that waits has a deadline; nothing sleeps.

mod browser;
mod engine;
pub mod fake_server;
mod file_system;
mod files;
mod http;
mod http_program;
pub mod lossy_proxy;
pub mod namespaces;
mod nc;
pub mod piece_node;
mod program;
pub mod relay_index;
mod running_program;
mod secret_file;
mod server;
pub mod terminal;
pub mod tls;
mod tools;
mod udp_client;

use std::thread;
use std::time::{Duration, Instant};

pub use browser::Browser;
pub use engine::{Engine, free_port};
pub use file_system::FileSystem;
pub use files::{folder, folder_of_names, large_file, noise};
pub use http::{HttpResponse, http, read_chunks};
pub use http_program::{http_program, is_missing};
pub use nc::{Nc, ask, ask_bytes, without_epochs};
pub use program::{ProgramOutput, TLS_STATE, client, client_command, run, set_state};
pub use running_program::RunningProgram;
pub use secret_file::{SECRET, SecretFile};
pub use server::{
    Server, node, node_command, node_with_relay, relay, relay_command, unlisted_node,
};
pub use terminal::Terminal;
pub use tls::{ClientKey, post_quantum_session, take_records, tls_proxy, tls_session};
pub use tools::{has, s_client, server_id};
pub use udp_client::UdpClient;

/// The longest time that a test waits for one thing.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Polls until `is_done` returns true: for changes in another program that no log line
/// shows.
#[track_caller]
pub fn eventually(what: &str, mut is_done: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !is_done() {
        assert!(Instant::now() < end, "never: {what}");
        thread::yield_now();
    }
}
