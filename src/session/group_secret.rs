//! The secret of a program's group, which the user can change while the program runs.

use std::sync::{PoisonError, RwLock};

use crate::protocol::SharedSecret;

/// The secret that counts now.
#[derive(Debug)]
pub struct GroupSecret(RwLock<VersionedSecret>);

/// A secret, and how many there have been.
#[derive(Clone, Copy, Debug)]
pub(super) struct VersionedSecret {
    pub(super) secret: SharedSecret,
    /// From 1; greater for each later secret.
    pub(super) version: u32,
}

impl GroupSecret {
    /// Begins with this secret.
    #[must_use]
    pub fn new(secret: SharedSecret) -> Self {
        Self(RwLock::new(VersionedSecret { secret, version: 1 }))
    }

    /// From now on, this secret counts. Returns whether it is another one.
    #[must_use]
    pub fn replace(&self, secret: SharedSecret) -> bool {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let is_other = current.secret != secret;
        if is_other {
            let version = current.version + 1;
            *current = VersionedSecret { secret, version };
        }
        is_other
    }

    /// What programs prove now.
    pub(crate) fn current(&self) -> SharedSecret {
        self.versioned().secret
    }

    pub(super) fn versioned(&self) -> VersionedSecret {
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_secret_again_is_no_new_version() {
        let secret = |text| SharedSecret::new(text).expect("a secret");
        let (first, second) = (
            secret("correct horse battery"),
            secret("correct horse staple"),
        );
        let group = GroupSecret::new(first);
        assert!(!group.replace(first));
        assert_eq!(group.versioned().version, 1);
        assert!(group.replace(second));
        assert_eq!(group.versioned().version, 2);
        assert_eq!(group.current(), second);
        // Back to the first: what was unlocked with it long ago stays locked.
        assert!(group.replace(first));
        assert_eq!(group.versioned().version, 3);
    }
}
