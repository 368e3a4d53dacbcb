//! The names of files that hold a part of a content. They begin with a dot and end with
//! `.part` or `.part.state`: no node shares such files.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// The longest file name of the usual file systems, in bytes (NAME_MAX).
const NAME_MAX: usize = 255;

const PART: &str = ".part";
const STATE: &str = ".part.state";

/// The names for one target.
#[derive(Clone)]
pub(super) struct PartNames {
    /// `.NAME.part`: its bytes.
    pub(super) part: OsString,
    /// `.NAME.part.state`: which of them are there.
    pub(super) state: OsString,
}

impl PartNames {
    pub(super) fn new(name: &OsStr) -> Self {
        let stem = stem(name, NAME_MAX - STATE.len());
        Self {
            part: with_suffix(&stem, PART),
            state: with_suffix(&stem, STATE),
        }
    }
}

/// `.NAME.RANDOM.part`, a name for a moment.
pub(super) fn small_part_name(name: &OsStr) -> OsString {
    let suffix = format!(".{:08x}{PART}", fastrand::u32(..));
    with_suffix(&stem(name, NAME_MAX - suffix.len()), &suffix)
}

/// `.NAME` in at most `max` bytes. If the name is cut, a part of its hash tells it from
/// other long names.
fn stem(name: &OsStr, max: usize) -> OsString {
    let mut stem = OsString::from(".");
    if name.len() < max {
        stem.push(name);
        return stem;
    }
    let hash = blake3::hash(name.as_bytes()).to_hex();
    let hash = &hash[..8];
    let length = max - stem.len() - 1 - hash.len();
    match name.to_str() {
        // Some file systems refuse a name with half of a character.
        Some(text) => stem.push(&text[..text.floor_char_boundary(length)]),
        None => stem.push(OsStr::from_bytes(&name.as_bytes()[..length])),
    }
    stem.push(".");
    stem.push(hash);
    stem
}

fn with_suffix(stem: &OsStr, suffix: &str) -> OsString {
    let mut name = stem.to_owned();
    name.push(suffix);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_and_stay_different() {
        let name = |text: &str| PartNames::new(OsStr::new(text));
        assert_eq!(name("a b").part, ".a b.part");
        assert_eq!(name("a b").state, ".a b.part.state");
        for (letter, count) in [("n", 255), ("é", 127), ("語", 85)] {
            let long = name(&letter.repeat(count));
            let other = name(&format!("{}x", letter.repeat(count - 1)));
            assert!(long.state.len() <= NAME_MAX && long.state.to_str().is_some());
            assert_ne!(long.part, other.part);
            assert!(small_part_name(OsStr::new(&letter.repeat(count))).len() <= NAME_MAX);
        }
        let longest_whole = "n".repeat(NAME_MAX - STATE.len() - 1);
        assert_eq!(
            name(&longest_whole).part,
            format!(".{longest_whole}.part").as_str()
        );
    }
}
