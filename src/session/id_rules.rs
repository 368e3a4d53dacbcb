//! Which keys may use a server: lists of ids that the user can change while the server runs.

use std::sync::{PoisonError, RwLock};

use crate::protocol::AccessRejection;
use crate::tls::{IdList, KeyId};

/// The lists of a server. With any of them, clients must show a key.
#[derive(Default, Debug)]
pub struct IdRules {
    allowed: Option<RwLock<IdList>>,
    denied: Option<RwLock<IdList>>,
}

impl IdRules {
    /// Only keys that are in `allowed`, if there is such a list, and none that is in `denied`.
    #[must_use]
    pub fn new(allowed: Option<IdList>, denied: Option<IdList>) -> Self {
        Self {
            allowed: allowed.map(RwLock::new),
            denied: denied.map(RwLock::new),
        }
    }

    /// Changes the list of keys that are allowed.
    pub fn set_allowed(&self, list: IdList) {
        replace(self.allowed.as_ref(), list);
    }

    /// Changes the list of keys that are denied.
    pub fn set_denied(&self, list: IdList) {
        replace(self.denied.as_ref(), list);
    }

    /// Whether a client with this key may do what the lists restrict.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check(&self, id: Option<KeyId>) -> Result<(), AccessRejection> {
        let id = id.ok_or(AccessRejection::IdRequired)?;
        let contains = |list: &RwLock<IdList>| {
            let list = list.read().unwrap_or_else(PoisonError::into_inner);
            list.contains(&id)
        };
        if self.denied.as_ref().is_some_and(contains) {
            return Err(AccessRejection::IdDenied(id));
        }
        match self.allowed.as_ref().is_none_or(contains) {
            true => Ok(()),
            false => Err(AccessRejection::IdNotAllowed(id)),
        }
    }
}

fn replace(current: Option<&RwLock<IdList>>, list: IdList) {
    if let Some(current) = current {
        *current.write().unwrap_or_else(PoisonError::into_inner) = list;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(ids: &[KeyId]) -> Option<IdList> {
        let lines = ids.iter().map(|id| format!("{id}\n"));
        Some(IdList::parse(&lines.collect::<String>()).expect("ids"))
    }

    #[test]
    fn who_is_denied_stays_out_even_if_allowed() {
        let [first, second, third] = [b"1", b"2", b"3"].map(|key| KeyId::of(key));
        let rules = IdRules::new(list(&[first, second]), list(&[second]));
        assert_eq!(rules.check(Some(first)), Ok(()));
        let denied = Err(AccessRejection::IdDenied(second));
        assert_eq!(rules.check(Some(second)), denied);
        let unknown = Err(AccessRejection::IdNotAllowed(third));
        assert_eq!(rules.check(Some(third)), unknown);
        assert_eq!(rules.check(None), Err(AccessRejection::IdRequired));
        rules.set_allowed(list(&[third]).expect("a list"));
        rules.set_denied(IdList::default());
        assert_eq!(rules.check(Some(third)), Ok(()));
        let removed = Err(AccessRejection::IdNotAllowed(first));
        assert_eq!(rules.check(Some(first)), removed);
    }

    #[test]
    fn without_a_list_of_allowed_keys_all_others_are_allowed() {
        let [first, second] = [b"1", b"2"].map(|key| KeyId::of(key));
        let rules = IdRules::new(None, list(&[first]));
        assert_eq!(rules.check(Some(second)), Ok(()));
        assert!(rules.check(Some(first)).is_err());
        assert_eq!(rules.check(None), Err(AccessRejection::IdRequired));
    }
}
