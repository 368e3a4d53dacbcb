//! What stays of a file that is not complete, for people.

use crate::escaped::Escaped;
use crate::jobs::StoredPart;
use crate::protocol::FileName;

/// Says how much is right, and how much is there but was not checked: it is kept, too.
pub(super) fn text(name: &FileName<'_>, part: &StoredPart) -> String {
    let unchecked = match part.unchecked {
        0 => String::new(),
        bytes => {
            let unchecked = percent(bytes, part.size);
            format!(", and {unchecked} % is still to be checked")
        }
    };
    format!(
        "{}: incomplete: {} % of {} is kept{unchecked}; run the same command again to resume",
        Escaped::text(name.as_str()),
        percent(part.stored, part.size),
        part.path
    )
}

/// Rounded down: less than the whole is never 100 %.
pub(super) fn percent(part: u64, whole: u64) -> u64 {
    (u128::from(part) * 100 / u128::from(whole.max(1))) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_unchecked_is_told() {
        let name = FileName::parse("a").expect("a name");
        for (unchecked, end) in [
            (0, "kept;"),
            (600, "kept, and 60 % is still to be checked;"),
        ] {
            let part = StoredPart {
                path: "b/a".into(),
                stored: 300,
                unchecked,
                size: 1000,
            };
            let expected =
                format!("a: incomplete: 30 % of b/a is {end} run the same command again to resume");
            assert_eq!(text(&name, &part), expected);
        }
    }
}
