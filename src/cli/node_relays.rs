//! The relays of a node: what registers the node with each, and what looks each up again.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver};
use std::time::Instant;

use crate::cli::relay_address::{FoundRelay, RelayAddressArgs};
use crate::cli::{Exit, StartupError};
use crate::node::{Node, NodeMessage, Registrar};
use crate::protocol::{ClaimedIp, Port};
use crate::reactor::Reactor;
use crate::share::Folder;

/// The address under which the node asks to be listed.
pub(super) fn claim(
    (ip, forwarded_port): (ClaimedIp, Option<Port>),
    addresses: &[SocketAddr],
) -> Result<(ClaimedIp, Port), StartupError> {
    let port = forwarded_port.or_else(|| Port::new(addresses[0].port()));
    let port = port.ok_or_else(|| StartupError::new(Exit::System, "the system chose no port"))?;
    Ok((ip, port))
}

/// The registrar for a relay, and its requests to look the relay up.
pub(super) fn registrar(
    relay: &FoundRelay,
    (ip, port): (ClaimedIp, Port),
    now: Instant,
) -> (Registrar, Receiver<()>) {
    let (source, seed) = (&relay.source, fastrand::u64(..));
    let registrar = Registrar::new(source.addresses.clone(), ip, port, seed, now);
    let mut registrar = registrar.named(&source.name);
    let (look_ups, queue) = mpsc::sync_channel(1);
    // A request that waits already serves this one as well.
    registrar.look_up_relay = Some(Box::new(move || {
        let _ = look_ups.try_send(());
    }));
    (registrar, queue)
}

/// Starts a thread for each relay that is looked up on request.
pub(super) fn start_resolvers(
    reactor: &Reactor<Node<Folder>>,
    args: &RelayAddressArgs,
    relays: &[FoundRelay],
    look_ups: Vec<Receiver<()>>,
) -> io::Result<()> {
    for (index, (relay, queue)) in relays.iter().zip(look_ups).enumerate() {
        let handle = reactor.handle();
        args.start_resolver(relay, queue, move |addresses| {
            handle.send(NodeMessage::RelayAddresses(index, addresses));
        })?;
    }
    Ok(())
}
