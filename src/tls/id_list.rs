//! Lists of ids, as users write them: one a line, `#` begins a comment.

use std::collections::HashSet;
use std::fmt;

use crate::tls::key_id::KeyId;

/// A set of ids.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct IdList(HashSet<KeyId>);

/// A line that is no id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IdListError {
    /// The number of the line, from 1.
    line: usize,
    reason: &'static str,
}

impl IdList {
    /// Reads a list.
    ///
    /// # Errors
    /// The first line that is neither an id nor empty.
    pub fn parse(text: &str) -> Result<Self, IdListError> {
        let mut ids = HashSet::new();
        for (line, number) in text.lines().zip(1..) {
            let id = line.split('#').next().unwrap_or_default().trim();
            if !id.is_empty() {
                let error = |reason| IdListError {
                    line: number,
                    reason,
                };
                ids.insert(id.parse().map_err(error)?);
            }
        }
        Ok(Self(ids))
    }

    /// The number of ids.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no id.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this id is in the list.
    #[must_use]
    pub fn contains(&self, id: &KeyId) -> bool {
        self.0.contains(id)
    }
}

impl std::error::Error for IdListError {}

impl fmt::Display for IdListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_blanks_and_empty_lines_mean_nothing() {
        let [first, second] = [KeyId::of(b"1"), KeyId::of(b"2")];
        let text = format!("# nodes\n\n  {first}  # lab 7\r\n{second}\n{first}\n");
        let list = IdList::parse(&text).expect("a list");
        assert_eq!(list.len(), 2);
        assert!(list.contains(&first) && list.contains(&second));
        assert!(!list.contains(&KeyId::of(b"3")));
        assert!(IdList::parse("").expect("a list").is_empty());
    }

    #[test]
    fn an_error_names_its_line() {
        let id = KeyId::of(b"1");
        for damaged in [
            "sha256//x",
            "x",
            &format!("{id}{id}"),
            &format!("{id} {id}"),
        ] {
            let error = IdList::parse(&format!("{id}\n#\n{damaged}\n")).expect_err(damaged);
            let reason = "line 3: write an id as servers print it: sha256// and 44 characters";
            assert_eq!(error.to_string(), reason);
        }
    }
}
