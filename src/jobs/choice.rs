//! Several contents under one name: which one is meant?

use std::collections::{BTreeMap, VecDeque};

use crate::jobs::command::BLANKS;
use crate::jobs::user::{PromptKind, User, UserEvent};
use crate::protocol::{ContentHash, FileName, HolderItem};

/// One of the contents that nodes have under a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Offer {
    /// Its hash.
    pub hash: ContentHash,
    /// In bytes.
    pub size: u64,
    /// How many nodes have it.
    pub nodes: usize,
}

/// The contents whose hashes are known, in the order of those.
pub(super) fn offers(holders: &[HolderItem]) -> Vec<Offer> {
    let mut offers = BTreeMap::new();
    for holder in holders {
        if let Some(hash) = holder.hash.0 {
            let (size, nodes) = (holder.size, 0);
            let offer = offers.entry(hash).or_insert(Offer { hash, size, nodes });
            offer.nodes += 1;
        }
    }
    offers.into_values().collect()
}

/// A file of which the user is to choose a content.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Choice {
    pub(super) name: FileName<'static>,
    pub(super) offers: Vec<Offer>,
}

impl Choice {
    fn tell(&self, user: &mut dyn User) {
        user.on_event(UserEvent::WhichContent {
            name: &self.name,
            offers: &self.offers,
            numbered: true,
        });
    }
}

/// The choices that the user is still to make, one at a time.
#[derive(Default)]
pub struct Choices(VecDeque<Choice>);

/// What became of a choice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Chosen {
    /// This content of the file.
    Content(FileName<'static>, ContentHash),
    /// None of them.
    Nothing,
    /// It is still to be made: what was typed is no number of an offer.
    NotYet,
}

impl Choices {
    /// One more. It is told when it is its turn.
    pub fn add(&mut self, choice: Choice, user: &mut dyn User) {
        if self.0.is_empty() {
            choice.tell(user);
        }
        self.0.push_back(choice);
    }

    /// What the next line is to be.
    #[must_use]
    pub fn wanted(&self) -> PromptKind {
        match self.0.front() {
            Some(_) => PromptKind::Choice,
            None => PromptKind::Command,
        }
    }

    /// The user has typed a line: if a choice is to be made, that is it.
    pub fn typed(&mut self, line: &str, user: &mut dyn User) -> Option<Chosen> {
        let choice = self.0.front()?;
        let line = line.trim_matches(BLANKS);
        let number = line.parse().ok().and_then(|n: usize| n.checked_sub(1));
        let chosen = match number.and_then(|index| choice.offers.get(index)) {
            Some(offer) => Chosen::Content(choice.name.clone(), offer.hash),
            None if line.is_empty() => Chosen::Nothing,
            None => {
                let most = choice.offers.len();
                user.on_event(UserEvent::Wrong(&format!(
                    "a number from 1 to {most}, or an empty line for none"
                )));
                return Some(Chosen::NotYet);
            }
        };
        self.advance(user);
        Some(chosen)
    }

    /// The user does not want to make this choice. Returns whether there was one.
    pub fn give_up(&mut self, user: &mut dyn User) -> bool {
        let Some(choice) = self.0.front() else {
            return false;
        };
        user.on_event(UserEvent::Note(&format!("{}: not fetched", choice.name)));
        self.advance(user);
        true
    }

    /// The first one is over, and the next one has its turn.
    fn advance(&mut self, user: &mut dyn User) {
        self.0.pop_front();
        if let Some(choice) = self.0.front() {
            choice.tell(user);
        }
    }
}
