//! The text of a file that was fetched.

use std::time::Duration;

use crate::byte_size::ByteSize;
use crate::counted::Counted;
use crate::escaped::Escaped;
use crate::jobs::UserEvent;
use crate::protocol::FileName;
use crate::terminal::node_text;

/// None for other events.
pub(super) fn text(event: &UserEvent<'_>) -> Option<String> {
    let UserEvent::Fetched {
        name,
        node,
        nodes,
        size,
        resumed,
        took,
        is_encrypted,
        is_verified,
    } = event
    else {
        return None;
    };
    let checked = match is_verified {
        true => "verified",
        false => "not verified: the node knows no hash",
    };
    if was_complete(*size, *resumed) {
        let (name, size) = (Escaped::text(name.as_str()), ByteSize(*size));
        return Some(format!(
            "{name}: {size}, all of it was there before, {checked}"
        ));
    }
    let from = match nodes {
        1 => node_text(*node),
        nodes => Counted(*nodes as u64, "node").to_string(),
    };
    let fetched = fetched(name, *size, *resumed, *took);
    let security = security(*is_encrypted);
    Some(format!("{fetched} from {from}, {security}, {checked}"))
}

/// How content was transferred.
pub(super) fn security(is_encrypted: bool) -> &'static str {
    match is_encrypted {
        true => "encrypted",
        false => "plain",
    }
}

/// Whether nothing of a fetched file had to arrive, because an earlier download had stored all of
/// it.
pub(super) fn was_complete(size: u64, resumed: u64) -> bool {
    size > 0 && resumed >= size
}

/// With the duration as `0.8 ms` or `3.2 s`.
fn fetched(name: &FileName<'_>, size: u64, resumed: u64, took: Duration) -> String {
    let name = Escaped::text(name.as_str());
    let now = size.saturating_sub(resumed);
    let seconds = took.as_secs_f64();
    let rate = ByteSize((now as f64 / seconds.max(1e-6)) as u64);
    let took = match seconds < 1.0 {
        true => format!("{:.1} ms", seconds * 1000.0),
        false => format!("{seconds:.1} s"),
    };
    let size = ByteSize(size);
    match resumed {
        0 => format!("{name}: {size} in {took} ({rate}/s)"),
        _ => {
            let now = ByteSize(now);
            format!("{name}: {size}, {now} of it in {took} ({rate}/s)")
        }
    }
}
