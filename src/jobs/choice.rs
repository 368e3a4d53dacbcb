//! The choice between several contents under one name.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use crate::jobs::command::BLANKS;
use crate::jobs::user::{PromptKind, User};
use crate::jobs::user_event::UserEvent;
use crate::protocol::{ContentHash, FileName, HolderItem, NodeAddress, address_group};

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

/// Which of several contents is fetched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Selection {
    /// The one that the user chooses by its number, from 1 on.
    ByNumber,
    /// The first one: nobody can be asked.
    First,
    /// None: the wanted one is not among them, or none was chosen.
    None,
}

/// The contents whose hashes are known. The first one is the one to prefer: its nodes
/// are at the most addresses, because one stranger can run many nodes at one address.
/// Among equals, it is the one whose node registered first, by the order of `nodes`.
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

/// A file of which the user is to choose one content.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Choice {
    pub(super) name: FileName<'static>,
    pub(super) offers: Vec<Offer>,
}

impl Choice {
    fn show(&self, user: &mut dyn User) {
        user.on_event(UserEvent::SeveralContents {
            name: &self.name,
            offers: &self.offers,
            selection: Selection::ByNumber,
        });
    }
}

/// The choices that the user is to make, one at a time.
#[derive(Default)]
pub struct Choices(VecDeque<Choice>);

/// The line that the user typed for a choice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ChoiceResult {
    /// This content of the file is chosen.
    Content(FileName<'static>, ContentHash),
    /// No content is chosen.
    Cancelled,
    /// The line is no number of an offer: the choice is still to be made.
    Invalid,
}

impl Choices {
    /// Adds a choice. It is shown when the ones before it are made.
    pub fn add(&mut self, choice: Choice, user: &mut dyn User) {
        if self.0.is_empty() {
            choice.show(user);
        }
        self.0.push_back(choice);
    }

    /// The kind of the line that the user is to type next.
    #[must_use]
    pub fn prompt_kind(&self) -> PromptKind {
        match self.0.front() {
            Some(_) => PromptKind::Choice,
            None => PromptKind::Command,
        }
    }

    /// Reads a line that the user typed, if there is a choice to make.
    pub fn on_line(&mut self, line: &str, user: &mut dyn User) -> Option<ChoiceResult> {
        let choice = self.0.front()?;
        let line = line.trim_matches(BLANKS);
        let number = line.parse().ok().and_then(|n: usize| n.checked_sub(1));
        let result = match number.and_then(|index| choice.offers.get(index)) {
            Some(offer) => ChoiceResult::Content(choice.name.clone(), offer.hash),
            None if line.is_empty() => ChoiceResult::Cancelled,
            None => {
                let last = choice.offers.len();
                user.on_event(UserEvent::InvalidCommand(&format!(
                    "a number from 1 to {last}, or an empty line for none"
                )));
                return Some(ChoiceResult::Invalid);
            }
        };
        self.advance(user);
        Some(result)
    }

    /// Cancels the first choice. Returns whether there was one.
    pub fn cancel(&mut self, user: &mut dyn User) -> bool {
        let Some(choice) = self.0.front() else {
            return false;
        };
        user.on_event(UserEvent::Note(&format!("{}: not fetched", choice.name)));
        self.advance(user);
        true
    }

    /// Removes the first choice, and shows the next one.
    fn advance(&mut self, user: &mut dyn User) {
        self.0.pop_front();
        if let Some(choice) = self.0.front() {
            choice.show(user);
        }
    }
}
