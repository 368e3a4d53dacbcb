//! One directory that several relays share, without I/O and clock.
//!
//! Each relay holds the whole directory in its memory. What its own clients change is
//! applied at once, and published in batches (`outgoing`); the engine (Redis or Valkey,
//! see [`crate::registry`]) puts the batches of all relays in one order, and every relay
//! applies those of the others (`apply`). Relays agree because the last change in the
//! order of the engine decides: a relay that has applied changes of its own too early
//! applies them again when they return (`unconfirmed`). Only a node with a key keeps its address
//! against later changes (`key_conflict`). A client whose changes come faster than
//! the engine takes them waits (`flow_control`).
//!
//! A relay that was cut off marks what changes meanwhile. When the engine is back, the
//! engine's record of each node is compared with the relay's (`reconcile`); of two records
//! the one whose lease was renewed later wins, and only the differences are published
//! (`publication`).
//!
//! The engine may lose records and not say so. Each change of a part of a record therefore
//! asks whether the record is whole, and a relay that learns that it is not publishes the
//! node with all its files.

mod apply;
mod change;
mod differences;
mod flow_control;
mod incoming;
mod key_conflict;
mod key_write;
mod other_relays;
mod outgoing;
mod publication;
mod reconcile;
mod record;
mod remote_messages;
mod status;
mod unconfirmed;
mod without_loopback;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::num::ParseIntError;
use std::ops::Bound;
use std::str::FromStr;
use std::time::{Duration, Instant};

pub use change::{DirectoryChange, NodeHeader};
pub use key_write::{HEADER_FIELD, KeyWrite, RecordField, WHOLE_FIELD, append_field, key_writes};
pub use without_loopback::without_loopback;

use crate::protocol::NodeAddress;
use crate::relay::shared_directory::flow_control::FlowControl;
use crate::relay::shared_directory::incoming::IncomingUpdates;
use crate::relay::shared_directory::other_relays::OtherRelays;
use crate::relay::shared_directory::outgoing::Outgoing;
use crate::relay::shared_directory::publication::Publications;
use crate::relay::shared_directory::reconcile::Reconciliation;
use crate::relay::shared_directory::status::RegistryCounters;
use crate::relay::shared_directory::unconfirmed::Unconfirmed;
use crate::relay::table::SlotId;
use crate::tls::KeyId;

/// How much longer than its lease an entry lives at other relays and in the engine: its
/// renewals arrive later there.
pub const LEASE_GRACE: Duration = Duration::from_secs(2);

/// Messages for other relays are refused if a batch has not returned from the engine for so long.
const MAX_DELAY: Duration = Duration::from_secs(1);

/// Identifies one connection of a relay to the engine. What a relay published over an
/// earlier connection may arrive late; it counts as that of another relay.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct InstanceId(pub u64);

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for InstanceId {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

/// Changes that one relay publishes together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegistryBatch {
    /// The relay.
    pub origin: InstanceId,
    /// The batches of a connection have consecutive numbers from 1 on.
    pub number: u64,
    /// Lines; see [`DirectoryChange`].
    pub text: Vec<u8>,
}

/// A part of the engine's record of a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeRecord {
    /// The node.
    pub address: NodeAddress,
    /// What is left of its lease and of [`LEASE_GRACE`].
    pub remaining: Duration,
    /// Lines: in the first part the state, then files.
    pub text: Vec<u8>,
    /// Whether this is the first part.
    pub is_first: bool,
    /// Whether this is the last part.
    pub is_last: bool,
}

/// What the engine tells a relay.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RegistryUpdate {
    /// The relay is connected, and may publish. The records of all nodes follow, then
    /// [`RegistryUpdate::Loaded`].
    Connected {
        /// Identifies this connection.
        origin: InstanceId,
        /// Whether the database was emptied since the last connection, or is another one.
        is_other_database: bool,
    },
    /// A record of the engine.
    Node(NodeRecord),
    /// At these addresses another relay has listeners.
    Listeners(InstanceId, Vec<NodeAddress>),
    /// All records were read; the batches that follow are newer, or known.
    Loaded,
    /// A relay has published changes.
    Batch(RegistryBatch),
    /// The engine has no whole record of nodes that a batch has changed.
    Missing(MissingRecords),
    /// The relay is cut off, for this reason.
    Disconnected(String),
}

/// What the engine found when it executed a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MissingRecords {
    /// The relay of the batch.
    pub origin: InstanceId,
    /// The number of the batch.
    pub number: u64,
    /// Nodes whose records are gone, or only a part.
    pub nodes: Vec<NodeAddress>,
}

/// What a relay asks of the engine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RegistryCommand {
    /// Publish this, if the connection is still the one of the batch.
    Publish(RegistryBatch),
    /// Send the record of a node.
    Load(NodeAddress),
    /// Connect again, for this reason: changes were missed.
    Reconnect(&'static str),
    /// An update is handled: another one may be sent.
    Handled,
}

/// Passes a command to the engine; must not block.
pub type SendCommand = Box<dyn FnMut(RegistryCommand)>;

/// The state of a relay that shares its directory.
pub(super) struct SharedDirectory {
    send: SendCommand,
    link: RegistryLink,
    /// The last connections of this relay to the engine, the newest first.
    instances: VecDeque<InstanceId>,
    incoming: IncomingUpdates,
    outgoing: Outgoing,
    unconfirmed: Unconfirmed,
    flow: FlowControl,
    /// By the slot of the node.
    nodes: Vec<SharedNode>,
    /// Nodes that left while the relay was cut off.
    removed: HashMap<NodeAddress, RemovedNode>,
    reconciliation: Reconciliation,
    publications: Publications,
    /// Where the listeners of this relay begin that are still to be published.
    next_listener: Option<Bound<NodeAddress>>,
    /// Nodes without a whole record in the engine, and the batch that found it so.
    missing: VecDeque<(u64, NodeAddress)>,
    relays: OtherRelays,
    counters: RegistryCounters,
}

/// Whether the relay may publish.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum RegistryLink {
    Disconnected,
    Connected(InstanceId),
}

/// A node that left.
struct RemovedNode {
    at: Instant,
    /// The key with which it was registered.
    key: Option<KeyId>,
}

/// What the registry knows about a node beside the directory.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct SharedNode {
    epoch: u64,
    /// Its lease was last renewed at this relay.
    is_own: bool,
    /// Since then, another relay has published it as it was before, which does not count here.
    is_defended: bool,
    hold: Hold,
    unpublished: Unpublished,
    /// The number of the last reconciliation in which the engine had a record of it, or got
    /// one.
    seen_in: u32,
}

/// Whether a node with a key keeps its address; see `key_conflict`.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Hold {
    /// Only this relay knows the node with its key.
    #[default]
    Unconfirmed,
    /// Others know it, too.
    Confirmed,
    /// The same, but the engine's record has something of another registration.
    Disputed,
}

/// What the engine does not know about a node, because the relay was cut off.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Unpublished {
    #[default]
    Nothing,
    /// Its lease was renewed.
    Renewal,
    /// The node is new, or its files have changed.
    Change,
}

impl SharedDirectory {
    pub(super) fn new(send: SendCommand, lease: Duration, now: Instant) -> Self {
        Self {
            send,
            link: RegistryLink::Disconnected,
            instances: VecDeque::new(),
            incoming: IncomingUpdates::default(),
            outgoing: Outgoing::new(lease, now),
            unconfirmed: Unconfirmed::default(),
            flow: FlowControl::default(),
            nodes: Vec::new(),
            removed: HashMap::new(),
            reconciliation: Reconciliation::default(),
            publications: Publications::default(),
            next_listener: None,
            missing: VecDeque::new(),
            relays: OtherRelays::default(),
            counters: RegistryCounters::default(),
        }
    }

    fn is_connected(&self) -> bool {
        self.link != RegistryLink::Disconnected
    }

    /// Whether what is published now reaches the other relays soon. It is some seconds until an
    /// engine that does not answer counts as gone.
    fn is_responsive(&self, now: Instant) -> bool {
        let is_recent = |sent: Instant| now.saturating_duration_since(sent) < MAX_DELAY;
        self.is_connected() && self.unconfirmed.oldest().is_none_or(is_recent)
    }

    fn node(&mut self, slot: SlotId) -> &mut SharedNode {
        let slot = slot as usize;
        if slot >= self.nodes.len() {
            self.nodes.resize(slot + 1, SharedNode::default());
        }
        &mut self.nodes[slot]
    }

    /// The epoch of a node's entry.
    pub(super) fn epoch(&self, slot: SlotId) -> u64 {
        self.nodes.get(slot as usize).map_or(0, |node| node.epoch)
    }

    /// Whether a bounded part of the work can be done now.
    pub(super) fn has_work(&self) -> bool {
        self.incoming.has_work() || self.has_publications() && self.may_publish_more()
    }

    /// When to publish what has changed, and renewals.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let deadline = || self.outgoing.next_deadline();
        self.is_connected().then(deadline)
    }
}
