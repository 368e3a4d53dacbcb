//! The files that a pattern matches and does not stand for.

/// How many files were left out, by the reason.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct LeftOutFiles {
    /// Their names are hidden.
    pub hidden: usize,
    /// Their names are those of unfinished downloads: honest nodes share no such file, and
    /// none is saved.
    pub part_files: usize,
}

impl LeftOutFiles {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}
