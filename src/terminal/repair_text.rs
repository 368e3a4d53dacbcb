//! What is wrong with a file of the user, as lines for people.

use crate::counted::Counted;
use crate::escaped::Escaped;
use crate::jobs::UserEvent;

/// The wrong pieces of a file that is repaired. Returns none for another event.
pub(super) fn text(event: &UserEvent<'_>) -> Option<String> {
    Some(match event {
        UserEvent::Repairing { wrong, pieces, .. } => {
            let (are, them) = match wrong {
                1 => ("is", "it"),
                _ => ("are", "them"),
            };
            let pieces = Counted(*pieces as u64, "piece");
            format!("  {wrong} of {pieces} {are} wrong, fetching {them}")
        }
        UserEvent::Repaired {
            name,
            wrong,
            pieces,
        } => {
            let have = match wrong {
                1 => "was wrong and has",
                _ => "were wrong and have",
            };
            let name = Escaped::text(name.as_str());
            let pieces = Counted(*pieces as u64, "piece");
            format!("{name}: {wrong} of {pieces} {have} been replaced")
        }
        _ => return None,
    })
}
