//! Which pieces of a content are missing, requested, or complete.

use crate::jobs::content::PieceSet;
use crate::protocol::FileParts;

/// The state of a piece.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum PieceState {
    /// Nobody is asked for it.
    Missing,
    /// A node is asked for it, or it is being checked.
    Requested,
    /// It was checked, and is right.
    Complete,
}

/// The states of all pieces of one content.
pub(super) struct PieceMap {
    states: Vec<PieceState>,
    /// The order in which pieces are taken, if it is not that of the content.
    order: Vec<u32>,
    /// No piece before this one in the order is missing.
    lowest: usize,
    completed: usize,
}

impl PieceMap {
    /// A map of so many pieces, all of them missing.
    pub(super) fn new(count: usize) -> Self {
        Self {
            states: vec![PieceState::Missing; count],
            order: Vec::new(),
            lowest: 0,
            completed: 0,
        }
    }

    /// Takes the pieces in another order, which `seed` decides. As many parts as a node can
    /// name follow each other in any order; within a part, the pieces stay in theirs.
    pub(super) fn shuffle(&mut self, seed: u64) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let pieces: Vec<u32> = (0..self.states.len() as u32).collect();
        let length = pieces.len().div_ceil(FileParts::MAX).max(1);
        let mut parts: Vec<&[u32]> = pieces.chunks(length).collect();
        rng.shuffle(&mut parts);
        self.order = parts.concat();
    }

    /// Whether one of these pieces before the piece `limit` is missing.
    pub(super) fn is_any_missing(&self, pieces: &PieceSet, limit: usize) -> bool {
        let first = self.first_missing(pieces);
        first.is_some_and(|index| (index as usize) < limit)
    }

    fn first_missing(&self, pieces: &PieceSet) -> Option<u32> {
        let state = |index: &u32| self.states.get(*index as usize);
        let mut pieces = pieces.iter();
        pieces.find(|index| state(index) == Some(&PieceState::Missing))
    }

    /// Takes the first missing piece of these before the piece `limit`: a node is asked for it.
    pub(super) fn take_from(&mut self, pieces: &PieceSet, limit: usize) -> Option<u32> {
        let index = self.first_missing(pieces)?;
        if index as usize >= limit {
            return None;
        }
        self.reserve(index);
        Some(index)
    }

    /// Whether this piece is complete.
    pub(super) fn is_complete_piece(&self, index: usize) -> bool {
        self.states.get(index) == Some(&PieceState::Complete)
    }

    /// The complete pieces, in order.
    pub(super) fn complete_pieces(&self) -> impl Iterator<Item = usize> {
        (0..self.states.len()).filter(|index| self.is_complete_piece(*index))
    }

    /// Reserves a missing piece: no node is asked for it until it is given back.
    pub(super) fn reserve(&mut self, index: u32) {
        let state = self.states.get_mut(index as usize);
        if let Some(state) = state.filter(|state| **state == PieceState::Missing) {
            *state = PieceState::Requested;
        }
    }

    /// Takes the first missing piece before the piece `limit`: a node is asked for it.
    pub(super) fn take(&mut self, limit: usize) -> Option<u32> {
        if !self.order.is_empty() {
            return self.take_in_order();
        }
        let limit = limit.min(self.states.len());
        let missing = self.states.get(self.lowest..limit)?;
        let found = missing
            .iter()
            .position(|state| *state == PieceState::Missing);
        self.lowest += found.unwrap_or(missing.len());
        *self
            .states
            .get_mut(self.lowest)
            .filter(|_| found.is_some())? = PieceState::Requested;
        Some(self.lowest as u32)
    }

    fn take_in_order(&mut self) -> Option<u32> {
        while let Some(index) = self.order.get(self.lowest).copied() {
            if self.states.get(index as usize) == Some(&PieceState::Missing) {
                self.reserve(index);
                return Some(index);
            }
            self.lowest += 1;
        }
        None
    }

    /// Takes the last piece, if it is missing: a node is asked for it.
    pub(super) fn take_last(&mut self) -> Option<u32> {
        let last = self.states.last_mut();
        *last.filter(|state| **state == PieceState::Missing)? = PieceState::Requested;
        Some(self.states.len() as u32 - 1)
    }

    /// Nobody is asked for the piece any longer.
    pub(super) fn give_back(&mut self, index: u32) {
        let index = index as usize;
        if self.states[index] == PieceState::Requested {
            self.states[index] = PieceState::Missing;
            self.lowest = match self.order.is_empty() {
                true => self.lowest.min(index),
                false => 0,
            };
        }
    }

    /// The piece is complete. Returns whether it is new.
    pub(super) fn complete(&mut self, index: u32) -> bool {
        let Some(state) = self.states.get_mut(index as usize) else {
            return false;
        };
        let is_new = *state != PieceState::Complete;
        *state = PieceState::Complete;
        self.completed += usize::from(is_new);
        is_new
    }

    /// Whether every piece is complete.
    pub(super) fn is_complete(&self) -> bool {
        self.completed == self.states.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shuffled_pieces_are_all_taken_in_few_parts() {
        let mut map = PieceMap::new(1000);
        map.shuffle(7);
        map.complete(3);
        let first: Vec<u32> = std::iter::from_fn(|| map.take(0)).take(100).collect();
        assert!(!first.contains(&3));
        assert!(
            first
                .windows(2)
                .filter(|pair| pair[0] + 1 != pair[1])
                .count()
                < 10
        );
        assert_ne!(first[0], 0, "the seed decides");
        let only = PieceSet::from_iter([first[0], 3]);
        assert!(!map.is_any_missing(&only, 1_000));
        map.give_back(first[0]);
        assert!(!map.is_any_missing(&only, first[0] as usize));
        assert!(map.is_any_missing(&only, 1_000));
        assert_eq!(map.take_from(&only, first[0] as usize), None);
        assert_eq!(map.take_from(&only, 1_000), Some(first[0]));
        assert_eq!(std::iter::from_fn(|| map.take(0)).count(), 1000 - 101);
    }

    #[test]
    fn pieces_are_taken_in_order_and_again_when_given_back() {
        let mut map = PieceMap::new(5);
        map.complete(1);
        map.reserve(4);
        assert_eq!(map.take(1), Some(0));
        assert_eq!(map.take(1), None, "the limit");
        assert_eq!(map.take(9), Some(2));
        map.give_back(0);
        assert_eq!(map.take(9), Some(0));
        assert_eq!(map.take(9), Some(3));
        assert_eq!(map.take(9), None);
        map.give_back(4);
        assert_eq!(map.take(9), Some(4));
        assert!([0, 2, 3, 4].into_iter().all(|index| map.complete(index)));
        assert!(!map.complete(3));
        map.give_back(3);
        assert!(map.is_complete());
        assert!(!map.complete(5), "there is no such piece");
    }
}
