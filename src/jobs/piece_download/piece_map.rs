//! Which pieces of a content are missing, requested, or complete.

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
    /// No piece before this one is missing.
    lowest: usize,
    completed: usize,
}

impl PieceMap {
    /// A map of so many pieces, all of them missing.
    pub(super) fn new(count: usize) -> Self {
        Self {
            states: vec![PieceState::Missing; count],
            lowest: 0,
            completed: 0,
        }
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
            self.lowest = self.lowest.min(index);
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
