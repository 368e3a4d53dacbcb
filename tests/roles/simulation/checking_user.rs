//! The user of a client, who compares each received content with those that the node
//! had.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Instant;

use peerline::jobs::{
    ContentInfo, DiscardedContent, JobId, Listing, Opened, PartialContent, PieceSet, PromptKind,
    StoreError, User, UserEvent,
};
use peerline::protocol::{FileName, NodeAddress, PieceValue};

use super::network::Clock;

/// All contents that were ever shared, by node and name.
pub struct History {
    clock: Clock,
    versions: BTreeMap<(NodeAddress, String), Vec<Version>>,
    /// The number of received files, and of definite failures.
    pub fetched: u64,
    pub refused: u64,
}

struct Version {
    content: String,
    from: Instant,
    to: Option<Instant>,
}

impl History {
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            versions: BTreeMap::new(),
            fetched: 0,
            refused: 0,
        }
    }

    fn now(&self) -> Instant {
        self.clock.get()
    }

    /// Records the node's content under a name from now on, or that there is none.
    pub fn put(&mut self, node: NodeAddress, name: &str, content: Option<&str>) {
        let now = self.now();
        let versions = self.versions.entry((node, name.to_owned())).or_default();
        if let Some(last) = versions.last_mut() {
            last.to.get_or_insert(now);
        }
        versions.extend(content.map(|content| Version {
            content: content.to_owned(),
            from: now,
            to: None,
        }));
    }

    /// Records that a node is gone.
    pub fn lose(&mut self, node: NodeAddress) {
        let now = self.now();
        let its = self.versions.iter_mut().filter(|((of, _), _)| *of == node);
        for version in its.flat_map(|(_, versions)| versions) {
            version.to.get_or_insert(now);
        }
    }

    fn versions(&self, node: NodeAddress, name: &str) -> &[Version] {
        let key = (node, name.to_owned());
        self.versions.get(&key).map_or(&[], Vec::as_slice)
    }

    /// Whether the node had this content at some time from `since` on.
    fn had(&self, node: NodeAddress, name: &str, content: &str, since: Instant) -> bool {
        let versions = self.versions(node, name).iter();
        let mut since_then = versions.filter(|version| version.to.is_none_or(|to| to >= since));
        since_then.any(|version| version.content == content)
    }

    /// Whether the node has had the file all the time from `since` on.
    fn has_had(&self, node: NodeAddress, name: &str, since: Instant) -> bool {
        let mut covered = since;
        for version in self.versions(node, name) {
            match version.to {
                _ if version.from > covered => break,
                None => return true,
                Some(to) => covered = covered.max(to),
            }
        }
        covered >= self.now()
    }
}

pub struct CheckingUser {
    pub history: Rc<RefCell<History>>,
    /// What was asked of each node, and when.
    attempts: BTreeMap<NodeAddress, (String, Instant)>,
    received: Vec<u8>,
    size: u64,
}

impl CheckingUser {
    pub fn new(history: Rc<RefCell<History>>) -> Self {
        Self {
            history,
            attempts: BTreeMap::new(),
            received: Vec::new(),
            size: 0,
        }
    }
}

impl User for CheckingUser {
    fn on_event(&mut self, event: UserEvent<'_>) {
        let mut history = self.history.borrow_mut();
        match event {
            UserEvent::TryingNode { name, node, .. } => {
                let attempt = (name.to_string(), history.now());
                self.attempts.insert(node, attempt);
            }
            UserEvent::NotFound { node, .. } => {
                let (name, since) = self.attempts.get(&node).expect("an attempt");
                let has_had = history.has_had(node, name, *since);
                assert!(!has_had, "{node} has {name} and replies NOTFOUND");
            }
            UserEvent::Fetched { node, .. } => {
                let (name, since) = self.attempts.get(&node).expect("an attempt");
                let content = std::str::from_utf8(&self.received).expect("all here is text");
                let had = history.had(node, name, content, *since);
                assert!(had, "{node} never had this under {name}: {content}");
                history.fetched += 1;
            }
            UserEvent::Missing { .. }
            | UserEvent::SeveralContents { .. }
            | UserEvent::NoNodes { .. }
            | UserEvent::RelayFailed(..) => {
                history.refused += 1;
            }
            UserEvent::StoreError { .. } | UserEvent::Incomplete { .. } => {
                panic!("all is stored here")
            }
            _ => {}
        }
    }

    fn prompt(&mut self, _: PromptKind) {}

    fn show(&mut self, _: Listing<'_>) -> Result<(), StoreError> {
        Ok(())
    }

    fn open(
        &mut self,
        _: JobId,
        _: &FileName<'_>,
        content: &ContentInfo,
    ) -> Result<Opened, StoreError> {
        self.size = content.size;
        self.received.clear();
        Ok(Opened::InOrder)
    }

    fn write_at(&mut self, _: JobId, offset: u64, bytes: &[u8]) -> Result<(), StoreError> {
        assert_eq!(offset, self.received.len() as u64, "written in order");
        self.received.extend_from_slice(bytes);
        Ok(())
    }

    fn record_piece(&mut self, _: JobId, _: u32) -> Result<(), StoreError> {
        Ok(())
    }

    fn start_check(&mut self, _: JobId, _: &PieceSet, _: &[PieceValue]) -> Result<(), StoreError> {
        unreachable!("nothing is stored")
    }

    fn checked_pieces(&mut self, _: JobId) -> Result<Vec<(u32, bool)>, StoreError> {
        Ok(Vec::new())
    }

    fn commit(&mut self, _: JobId, _: &ContentInfo) -> Result<(), StoreError> {
        assert_eq!(self.received.len() as u64, self.size, "the file is whole");
        Ok(())
    }

    fn discard(&mut self, _: JobId) -> DiscardedContent {
        // Nothing was shown.
        DiscardedContent::default()
    }

    fn keep(&mut self, _: JobId) -> PartialContent {
        PartialContent::Nothing
    }
}
