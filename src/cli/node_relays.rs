//! The relays of a node: what registers the node with each, and what looks each up again.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver};
use std::time::Instant;

use log::warn;

use crate::cli::relay_address::{FoundRelay, RelayAddressArgs};
use crate::cli::relay_tls::RelayTls;
use crate::cli::{Exit, StartupError, rights};
use crate::logging::OPERATOR;
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

/// The registrars for these relays, and the requests of each to look its relay up.
pub(super) fn registrars(
    relays: &[FoundRelay],
    claim: (ClaimedIp, Port),
    now: Instant,
) -> (Vec<Registrar>, Vec<Receiver<()>>) {
    let all = relays.iter().map(|relay| registrar(relay, claim, now));
    all.unzip()
}

fn registrar(
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
fn start_resolvers(
    reactor: &Reactor<Node<Folder>>,
    relays: &[FoundRelay],
    look_ups: Vec<Receiver<()>>,
) -> io::Result<()> {
    for (index, (relay, queue)) in relays.iter().zip(look_ups).enumerate() {
        let handle = reactor.handle();
        RelayAddressArgs::start_resolver(relay, queue, move |addresses| {
            handle.send(NodeMessage::RelayAddresses(index, addresses));
        })?;
    }
    Ok(())
}

/// Starts the threads that look `relays` up on request, and one that adds those that are
/// announced from now on, and says where known ones are, if `auto` stands for relays.
pub(super) fn follow_relays(
    reactor: &Reactor<Node<Folder>>,
    args: &RelayAddressArgs,
    (relays, look_ups): (&[FoundRelay], Vec<Receiver<()>>),
    tls: RelayTls,
    has_sandbox: bool,
) -> Result<(), StartupError> {
    let started = start_resolvers(reactor, relays, look_ups);
    started.map_err(StartupError::system("cannot start a thread"))?;
    if !args.is_given() {
        return Ok(());
    }
    let handle = reactor.handle();
    let sandbox = has_sandbox.then(rights::of_discovery);
    let moved = handle.clone();
    let add = move |relay: FoundRelay| match tls.connector(&relay) {
        Ok(connector) => {
            // Both lists of relays grow together. A node that stops takes no relay any more, so
            // that no later one gets a wrong index.
            handle.add_relay(connector);
            handle.send(NodeMessage::RelayFound(relay.source, fastrand::u64(..)));
            true
        }
        Err(error) => {
            warn!(target: OPERATOR, "{} is not used: {}", relay.source, error.text);
            false
        }
    };
    args.follow_relays(relays, sandbox, add, move |index, addresses| {
        moved.send(NodeMessage::RelayAddresses(index, addresses));
    })
}
