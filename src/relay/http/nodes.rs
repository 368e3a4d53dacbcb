//! One batch of the nodes that the requester can reach.

use std::time::Duration;

use crate::protocol::NodeAddress;
use crate::relay::http::Refusal;
use crate::relay::{Relay, RelayRequest};
use crate::session::http::HttpRequest;
use crate::tls::KeyId;

/// Nodes in the order of `LIST`.
pub(super) struct NodeListPart {
    pub(super) nodes: Vec<ListedNode>,
    /// The nodes of all batches.
    pub(super) total: usize,
    /// The parameter `after` for the next batch, if there is one.
    pub(super) next: Option<String>,
}

/// A node of a batch.
pub(super) struct ListedNode {
    pub(super) address: NodeAddress,
    /// Its key, if it has shown one.
    pub(super) id: Option<KeyId>,
    /// How many files it has announced.
    pub(super) files: u64,
    /// The time until its lease ends.
    pub(super) expires_in: Duration,
}

impl Relay {
    /// The nodes after the parameter `after`, at most `max`.
    pub(super) fn list_nodes(
        &self,
        request: &RelayRequest<'_>,
        http: &HttpRequest<'_>,
        max: usize,
    ) -> Result<NodeListPart, Refusal> {
        let after = http.parameter("after");
        let Some(after) = after.map_or(Some(0), |cursor| self.registration_at(&cursor)) else {
            let reason = "after must be the value of next, from this relay since its start";
            return Err(Refusal::bad_request(reason));
        };
        let on_loopback = request.is_loopback();
        let mut slots = self.directory.slots_after(after, on_loopback);
        let mut nodes = Vec::new();
        let mut last = None;
        for slot in slots.by_ref().take(max) {
            let expiry = self.directory.lease_end(slot).unwrap_or(request.now);
            nodes.extend(self.directory.live_node(slot).map(|node| ListedNode {
                address: node.address,
                id: node.id,
                files: self.index.file_count(slot),
                expires_in: expiry.saturating_duration_since(request.now),
            }));
            last = Some(slot);
        }
        let last = last.filter(|_| slots.next().is_some());
        Ok(NodeListPart {
            nodes,
            total: self.directory.len(on_loopback),
            // Not the epoch that relays share: each has an order of its own.
            next: last.map(|slot| self.local_epoch(slot).to_string()),
        })
    }

    /// The number of the registration that a value of `next` stands for.
    fn registration_at(&self, cursor: &str) -> Option<u64> {
        let number = cursor.parse::<u64>().ok()?.checked_sub(self.first_epoch)?;
        (number <= self.last_registration).then_some(number)
    }
}
