//! How a fetch chooses one of several contents, and the nodes to try.

use std::time::Instant;

use crate::jobs::candidate::{candidates, candidates_for_listed};
use crate::jobs::choice::Choice;
use crate::jobs::content_search::ContentSearch;
use crate::jobs::failure::Failure;
use crate::jobs::fetch::Fetch;
use crate::jobs::job_context::JobContext;
use crate::jobs::job_step::{JobResult, JobStep};
use crate::jobs::offer::{Offer, Selection, offers};
use crate::jobs::stored_check::StoredCheck;
use crate::jobs::task_result::TaskResult;
use crate::jobs::user_event::UserEvent;
use crate::jobs::wanted_file::ListedContent;
use crate::protocol::{ErrorCode, HolderItem};

impl Fetch {
    /// The relay has not said which nodes have the file, and in which content. Returns whether
    /// the nodes are tried all the same, in the order of the list: a relay that is typed by hand
    /// may know `LIST` only. On the way to another machine, somebody may have cut the connection,
    /// so that the content is not checked.
    pub(super) fn needs_no_holders(&self, context: &mut JobContext, failure: &Failure<'_>) -> bool {
        let is_unknown = matches!(failure, Failure::Error(ErrorCode::UNKNOWN_VERB, _));
        if context.is_direct || is_unknown {
            return true;
        }
        let is_refusal = matches!(failure, Failure::Error(..)) || failure.is_refusal();
        let needs_hash =
            self.wanted.is_some() || context.limits.require_hash || context.user.repairs_file();
        if is_refusal || needs_hash || !context.is_on_loopback {
            return false;
        }
        let name = &self.name;
        context.user.on_event(UserEvent::Note(&format!(
            "{name}: the relay has not said which nodes have it: {failure}; asking all nodes"
        )));
        true
    }

    /// The contents whose hashes are known. Without holders, it is the one of the relay's list.
    fn offers(&self, context: &JobContext, holders: &[HolderItem]) -> Vec<Offer> {
        match self.listed {
            Some(content) if holders.is_empty() => vec![content.into()],
            _ => offers(holders, &context.nodes),
        }
    }

    /// Chooses the content and the nodes to try.
    pub(super) fn choose_candidates(
        &mut self,
        context: &mut JobContext,
        holders: &[HolderItem],
        now: Instant,
    ) -> JobStep {
        let mut offers = self.offers(context, holders);
        let wanted = self.wanted;
        let is_wanted = |offer: &&Offer| wanted.is_some_and(|digits| digits.matches(offer.hash));
        let matching: Vec<Offer> = offers.iter().filter(is_wanted).copied().collect();
        let possible = wanted.map_or(&offers, |_| &matching);
        if possible.len() > 1 && context.user.repairs_file() && self.search.is_none() {
            return self.start_search(context, possible.clone(), holders, now);
        }
        let selection = match wanted {
            None if offers.len() < 2 => None,
            None if context.may_choose => {
                let name = self.name.clone();
                return JobStep::Finish(JobResult::Choice(Choice { name, offers }));
            }
            None if context.user.repairs_file() => Some(Selection::None),
            None => Some(Selection::First),
            Some(_) if matching.len() == 1 => None,
            // Several hashes begin with these digits.
            Some(_) if matching.len() > 1 => {
                offers.clone_from(&matching);
                Some(Selection::None)
            }
            Some(digits) => Some(Selection::NoMatch(digits)),
        };
        self.hash = matching.first().map(|offer| offer.hash);
        if wanted.is_some() && matching.is_empty() && self.waits(context, now) {
            return JobStep::Wait;
        }
        if let Some(selection) = selection {
            context.user.on_event(UserEvent::SeveralContents {
                name: &self.name,
                offers: &offers,
                selection,
            });
        }
        if let Some(Selection::None | Selection::NoMatch(_)) = selection {
            return TaskResult::SeveralContents.into();
        }
        self.preferred = selection.and(offers.first()).map(|offer| offer.hash);
        self.exists = !holders.is_empty();
        self.candidates = candidates(self.hash, context, holders, &offers, now);
        self.nodes = self.candidates.len();
        self.keep_only_holders(holders);
        if context.limits.require_hash && self.keep_only_hashed() {
            if self.waits(context, now) {
                return JobStep::Wait;
            }
            let name = &self.name;
            context.user.on_event(UserEvent::NoHash { name });
            return TaskResult::NotFound.into();
        }
        self.check = StoredCheck::new(self.hash, &offers, now);
        self.check_stored(context, now)
    }

    /// Looks for the one of several contents that the user's file has.
    fn start_search(
        &mut self,
        context: &mut JobContext,
        offers: Vec<Offer>,
        holders: &[HolderItem],
        now: Instant,
    ) -> JobStep {
        self.search = Some(ContentSearch::new(offers, holders, now).into());
        self.search_content(context, now)
    }

    /// Goes on with the search. If the file has none of the contents, the user must choose.
    pub(super) fn search_content(&mut self, context: &mut JobContext, now: Instant) -> JobStep {
        let Some(search) = &mut self.search else {
            return JobStep::Wait;
        };
        match search.advance(context, self.id, &self.name) {
            Ok(step) => step,
            Err(holders) => self.choose_candidates(context, &holders, now),
        }
    }

    /// When the search goes on, if there is one.
    pub(super) fn search_due(&self) -> Option<Instant> {
        self.search.as_ref()?.due
    }

    /// Fetches the only content of the file, which all nodes have.
    pub(super) fn fetch_listed(
        &mut self,
        context: &mut JobContext,
        content: ListedContent,
        now: Instant,
    ) -> JobStep {
        self.exists = true;
        self.candidates = candidates_for_listed(context, content, now);
        self.nodes = self.candidates.len();
        self.check = Some(StoredCheck::of(content.size, content.hash, now));
        self.check_stored(context, now)
    }

    /// Removes the nodes that know no hash of the file. Returns whether there were
    /// only such.
    fn keep_only_hashed(&mut self) -> bool {
        self.candidates
            .retain(|candidate| candidate.hash.is_some() && !candidate.has_hash_of_others);
        self.candidates.is_empty() && self.nodes > 0
    }

    /// While the user waits, holders only: the other nodes were asked at the start.
    fn keep_only_holders(&mut self, holders: &[HolderItem]) {
        if !self.wait.has_started() {
            return;
        }
        let is_holder = |node| holders.iter().any(|holder| holder.node == node);
        self.candidates
            .retain(|candidate| is_holder(candidate.node));
    }
}
