//! Compares the engine's record of a node with the newer one of the relay.

use std::time::Instant;

use crate::protocol::{MaybeHash, Request};
use crate::relay::Relay;
use crate::relay::index::ContentId;
use crate::relay::shared_directory::change::DirectoryChange;

impl Relay {
    /// Compares a file of the engine's record. What the node has no longer is withdrawn at once.
    /// The files that are missing in the record are published when all of it was read: also one
    /// with a digest, which the record may not have.
    pub(super) fn compare_file(&mut self, request: &Request<'_>, now: Instant) {
        let shared = self.shared.as_mut();
        let Some(merge) = shared.and_then(|shared| shared.reconciliation.current.as_mut()) else {
            return;
        };
        let slot = merge.slot;
        let (Request::Share(_, _, name) | Request::ShareDigest(_, _, name)) = request else {
            return;
        };
        let own = self.index.file_of(slot, name);
        let has_digest = own.is_some_and(|(id, _)| self.index.has_digest(slot, id));
        let is_withdrawn = match (request, own) {
            (Request::Share(size, hash, _), Some((id, own))) => {
                let content = ContentId::new(*size, *hash);
                if own == content && !has_digest {
                    merge.missing.remove(&id);
                }
                // The digest of another content goes, too.
                own != content && content.is_known()
            }
            (Request::ShareDigest(hash, ..), Some((_, own))) => {
                own.hash() == MaybeHash(Some(*hash)) && !has_digest
            }
            _ => true,
        };
        if let (true, Some((id, _))) = (is_withdrawn, own) {
            // It is published again, also if the node has changed it meanwhile.
            merge.missing.insert(id);
        }
        let subject = merge.subject;
        if is_withdrawn && let Some(shared) = &mut self.shared {
            let change = DirectoryChange::File(Request::Unshare(name.clone()));
            shared.publish(Some(subject), &change, now);
        }
    }
}
