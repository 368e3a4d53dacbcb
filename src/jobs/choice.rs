//! The choice between several contents under one name.

use std::collections::VecDeque;

use crate::jobs::offer::{Offer, Selection};
use crate::jobs::user::{PromptKind, User};
use crate::jobs::user_event::UserEvent;
use crate::jobs::words::BLANKS;
use crate::protocol::{ContentHash, FileName};

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
