//! The contents that nodes have under one name.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::jobs::wanted_file::ListedContent;
use crate::protocol::{ContentHash, HashPrefix, HolderItem, NodeAddress, address_group};

/// One of the contents that nodes have under a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Offer {
    /// The hash of the content.
    pub hash: ContentHash,
    /// In bytes.
    pub size: u64,
    /// How many nodes have it.
    pub nodes: usize,
    /// At how many addresses they are.
    pub addresses: usize,
}

/// The holders are not known.
impl From<ListedContent> for Offer {
    fn from(content: ListedContent) -> Self {
        Self {
            hash: content.hash,
            size: content.size,
            nodes: 0,
            addresses: 0,
        }
    }
}

/// Which of several contents is fetched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Selection {
    /// The one that the user chooses by its number, from 1 on.
    ByNumber,
    /// The first one: nobody can be asked.
    First,
    /// None: nobody has chosen one.
    None,
    /// None: no content has a hash that begins with these digits.
    NoMatch(HashPrefix),
}

/// The contents whose hashes are known. The first one is the one to prefer: its nodes
/// are at the most addresses, because one stranger can run many nodes at one address.
/// Among equals, it is the one whose node comes first in `nodes`: at one relay, the one that
/// registered first.
pub(super) fn offers(holders: &[HolderItem], nodes: &[NodeAddress]) -> Vec<Offer> {
    let mut holders_of: BTreeMap<ContentHash, Vec<&HolderItem>> = BTreeMap::new();
    let mut hash_of = BTreeMap::new();
    for holder in holders {
        if let Some(hash) = holder.hash.0 {
            holders_of.entry(hash).or_default().push(holder);
            hash_of.insert(holder.node, hash);
        }
    }
    let mut ages = BTreeMap::new();
    if holders_of.len() > 1 {
        let hashes = nodes.iter().filter_map(|node| hash_of.get(node));
        for (age, hash) in hashes.enumerate() {
            ages.entry(*hash).or_insert(age);
        }
    }
    let offers = holders_of.into_iter().map(|(hash, holders)| {
        let addresses = holders.iter().map(|holder| address_group(holder.node.ip()));
        Offer {
            hash,
            size: most_announced_size(&holders),
            nodes: holders.len(),
            addresses: BTreeSet::from_iter(addresses).len(),
        }
    });
    let mut offers: Vec<Offer> = offers.collect();
    offers.sort_by_key(|offer| {
        let age = ages.get(&offer.hash).copied().unwrap_or(usize::MAX);
        (Reverse(offer.addresses), age)
    });
    offers
}

/// The size that the holders at the most addresses announce; among equals, the first one.
fn most_announced_size(holders: &[&HolderItem]) -> u64 {
    let mut addresses: BTreeMap<u64, BTreeSet<IpAddr>> = BTreeMap::new();
    for holder in holders {
        let same = addresses.entry(holder.size).or_default();
        same.insert(address_group(holder.node.ip()));
    }
    let first = holders.first().map(|holder| holder.size);
    let sizes = addresses.into_iter();
    let best = sizes.max_by_key(|(size, addresses)| (addresses.len(), Some(*size) == first));
    best.map_or(0, |(size, _)| size)
}
