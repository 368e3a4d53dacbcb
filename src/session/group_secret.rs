//! The secret of a program's group, which the user can change while the program runs.

use std::fmt;
use std::sync::{OnceLock, PoisonError, RwLock};

use crate::protocol::SharedSecret;

/// The secret that counts now.
pub struct GroupSecret {
    current: RwLock<VersionedSecret>,
    on_change: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

/// A secret, and how many there have been.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VersionedSecret {
    pub(crate) secret: SharedSecret,
    /// From 1; greater for each later secret.
    pub(crate) version: u32,
}

impl GroupSecret {
    /// Begins with this secret.
    #[must_use]
    pub fn new(secret: SharedSecret) -> Self {
        Self {
            current: RwLock::new(VersionedSecret { secret, version: 1 }),
            on_change: OnceLock::new(),
        }
    }

    /// Calls `report` after each change, in the thread that makes the change. Only the first
    /// call counts.
    pub(crate) fn on_change(&self, report: impl Fn() + Send + Sync + 'static) {
        let _ = self.on_change.set(Box::new(report));
    }

    /// From now on, this secret counts. Returns whether it is another one.
    #[must_use]
    pub fn replace(&self, secret: SharedSecret) -> bool {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let is_other = current.secret != secret;
        if is_other {
            let version = current.version + 1;
            *current = VersionedSecret { secret, version };
        }
        drop(current);
        if is_other && let Some(report) = self.on_change.get() {
            report();
        }
        is_other
    }

    pub(crate) fn versioned(&self) -> VersionedSecret {
        *self.current.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for GroupSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GroupSecret")
            .field(&self.versioned())
            .finish()
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
        assert_eq!(group.versioned().secret, second);
        // Back to the first: what was unlocked with it long ago stays locked.
        assert!(group.replace(first));
        assert_eq!(group.versioned().version, 3);
    }
}
