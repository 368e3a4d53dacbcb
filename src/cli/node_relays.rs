//! The relays of a node: what registers the node with each, and what looks each up again.

use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver};
use std::time::Instant;

use crate::node::Registrar;
use crate::protocol::{ClaimedIp, Port};

/// The registrar for a relay at these addresses, and its requests to look the relay up.
pub(super) fn registrar(
    relay: &[SocketAddr],
    (ip, port): (ClaimedIp, Port),
    now: Instant,
) -> (Registrar, Receiver<()>) {
    let seed = fastrand::u64(..);
    let name = relay.first().map_or_else(String::new, ToString::to_string);
    let mut registrar = Registrar::new(relay.to_vec(), ip, port, seed, now).named(name);
    let (look_ups, queue) = mpsc::sync_channel(1);
    // A request that waits already serves this one as well.
    registrar.look_up_relay = Some(Box::new(move || {
        let _ = look_ups.try_send(());
    }));
    (registrar, queue)
}
