//! Functions that take arbitrary bytes and panic when a rule is broken. `cargo test`
//! calls them with mutated seeds. `cargo fuzz` calls the same functions, see `fuzz/`.
//!
//! The shells around the roles are those of `tests/roles`, and the loop over scripted streams
//! is that of `tests/reactor`, which use more of them.

#[allow(dead_code)]
#[path = "../../roles/defaults.rs"]
mod defaults;
mod driver;
mod events;
#[allow(dead_code)]
#[path = "../../reactor/fake_stream.rs"]
mod fake_stream;
mod http;
#[allow(dead_code)]
#[path = "../../roles/machine.rs"]
mod machine;
#[allow(dead_code)]
#[path = "../../roles/memory.rs"]
mod memory;
mod parsers;
#[allow(dead_code)]
#[path = "../../roles/recording_user.rs"]
mod recording_user;
#[allow(dead_code)]
#[path = "../../roles/reply_reader.rs"]
mod reply_reader;
mod roles;
mod tls;
#[allow(dead_code)]
#[path = "../../reactor/tls_peer.rs"]
mod tls_peer;
#[allow(dead_code)]
#[path = "../../shared/tls_session.rs"]
mod tls_session;
#[allow(dead_code)]
#[path = "../../reactor/world.rs"]
mod world;

pub use driver::driver;
pub use events::EventKind;
pub use http::http;
pub use parsers::{datagrams, items, replies, requests, values};
pub use roles::{client, node, relay};
pub use tls::{TlsStep, tls};

/// The bytes of an input, taken from its start. When no bytes are left, numbers are 0.
pub struct Bytes<'a>(pub &'a [u8]);

impl<'a> Bytes<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn number(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    /// A byte for the length, and as many bytes, or all that are left.
    pub fn slice(&mut self) -> &'a [u8] {
        let length = usize::from(self.number()).min(self.0.len());
        let (slice, rest) = self.0.split_at(length);
        self.0 = rest;
        slice
    }
}
