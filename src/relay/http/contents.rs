//! The contents of a file: what its holders have under one name.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use crate::protocol::{
    FileName, HashPrefix, HolderItem, MaybeHash, NodeItem, Sha256Digest, address_group,
};
use crate::relay::address_turns::take_turns;
use crate::relay::http::Refusal;
use crate::relay::index::ContentId;
use crate::relay::{Relay, RelayRequest};
use crate::session::http::HttpRequest;

/// The content that a request is about.
#[derive(Default)]
pub(in crate::relay) struct ContentFilter {
    hash: Option<HashFilter>,
    size: Option<u64>,
}

enum HashFilter {
    Known(HashPrefix),
    /// The hash is not known yet.
    Unknown,
}

impl ContentFilter {
    /// Reads the parameters `hash` and `size`.
    pub(super) fn parse(http: &HttpRequest<'_>) -> Result<Self, Refusal> {
        let hash = match http.parameter("hash").as_deref() {
            None => None,
            Some("-") => Some(HashFilter::Unknown),
            Some(digits) => {
                let prefix = digits.parse().map(HashFilter::Known);
                Some(prefix.map_err(|_| {
                    Refusal::bad_request("hash must be 8 to 64 hexadecimal digits, or -")
                })?)
            }
        };
        let size = http.parameter("size").map(|size| size.parse());
        let size = size.transpose();
        let size = size.map_err(|_| Refusal::bad_request("size must be a number of bytes"))?;
        Ok(Self { hash, size })
    }

    /// Whether all contents are meant.
    pub(super) fn is_empty(&self) -> bool {
        self.hash.is_none() && self.size.is_none()
    }

    fn accepts(&self, content: ContentId) -> bool {
        let has_hash = match (&self.hash, content.hash().0) {
            (None, _) | (Some(HashFilter::Unknown), None) => true,
            (Some(HashFilter::Known(prefix)), Some(hash)) => prefix.matches(hash),
            (Some(HashFilter::Known(_)), None) | (Some(HashFilter::Unknown), Some(_)) => false,
        };
        has_hash && self.size.is_none_or(|size| size == content.size)
    }
}

/// A content and its holders.
pub(in crate::relay) struct Content {
    pub(super) size: u64,
    pub(super) hash: MaybeHash,
    /// What its holders have announced, if they agree.
    pub(in crate::relay) sha256: Option<Sha256Digest>,
    /// In the order in which they are to be asked.
    pub(super) nodes: Vec<NodeItem>,
}

/// The most contents whose ages a page tells.
const MAX_AGES: usize = 1000;

/// What a request for a file finds.
pub(in crate::relay) enum FoundContent {
    One(Content),
    /// Those at the most addresses first: one stranger can run many nodes at one address.
    Several(Vec<Content>),
}

impl Relay {
    /// The holders of a file that the requester can reach; none if there are none. Each call
    /// with an answer that names them needs a [`Relay::count_find`].
    pub(super) fn find_holders(
        &mut self,
        request: &mut RelayRequest<'_>,
        name: &FileName<'_>,
        filter: &ContentFilter,
    ) -> Option<Vec<HolderItem>> {
        let wanted = |content| filter.accepts(content);
        let (count, holders) = self.visible_holders(request, name, wanted);
        let all: Vec<HolderItem> = holders.collect();
        (count > 0).then_some(all)
    }

    /// The content of a file, or those to choose from. If only one has a known hash, it is
    /// that one, as for a client.
    pub(in crate::relay) fn find_content(
        &mut self,
        request: &mut RelayRequest<'_>,
        name: &FileName<'_>,
        filter: &ContentFilter,
    ) -> Option<FoundContent> {
        let rotation = self.next_rotation;
        let holders = self.find_holders(request, name, filter)?;
        let mut all = contents(&holders, rotation);
        let known = all
            .iter()
            .filter(|content| content.hash.0.is_some())
            .count();
        if known == 1 {
            all.retain(|content| content.hash.0.is_some());
        }
        if all.len() > 1 {
            return Some(FoundContent::Several(all));
        }
        let mut content = all.remove(0);
        let digests = self.announced_digests(request, name);
        content.sha256 = digests.get(&content.id()).copied().flatten();
        Some(FoundContent::One(content))
    }
}

impl Relay {
    /// How long the relay has known these contents of a file.
    pub(super) fn content_ages(
        &self,
        request: &RelayRequest<'_>,
        name: &FileName<'_>,
    ) -> HashMap<ContentId, Duration> {
        let is_live = |slot| self.directory.is_live(slot);
        let visibility = self.visibility(request.is_loopback(), &is_live);
        let times = self.index.content_times(name, &visibility, MAX_AGES);
        let uptime = self.uptime(request.now);
        let ages = times.into_iter();
        ages.map(|(content, since)| (content, since.age(uptime)))
            .collect()
    }
}

/// Groups holders by content; see [`take_turns`].
fn contents(holders: &[HolderItem], rotation: usize) -> Vec<Content> {
    let mut nodes: BTreeMap<(MaybeHash, u64), Vec<NodeItem>> = BTreeMap::new();
    for holder in holders {
        let same = nodes.entry((holder.hash, holder.size)).or_default();
        same.push(NodeItem {
            address: holder.node,
            id: holder.id,
        });
    }
    let contents = nodes.into_iter().map(|((hash, size), nodes)| Content {
        size,
        hash,
        sha256: None,
        // Browsers go to the first node.
        nodes: take_turns(nodes.into_iter(), |node| node.address.ip(), rotation),
    });
    let mut contents: Vec<Content> = contents.collect();
    contents.sort_by_cached_key(|content| Reverse(content.addresses()));
    contents
}

impl Content {
    pub(super) fn id(&self) -> ContentId {
        ContentId::new(self.size, self.hash)
    }

    /// At how many addresses it is.
    fn addresses(&self) -> usize {
        let groups = self
            .nodes
            .iter()
            .map(|node| address_group(node.address.ip()));
        groups.collect::<BTreeSet<_>>().len()
    }

    /// Whether its holders have the same bytes. Only a hash proves it.
    pub(super) fn is_proven(&self) -> bool {
        self.hash.0.is_some()
    }
}
