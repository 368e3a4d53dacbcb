//! Sorts very many names.
//!
//! To compare two names of the index, the processor waits for four accesses to memory. This
//! sort compares eight bytes of each name, which stand beside its id, then the next eight of
//! those names that agree so far, and so on.

use crate::protocol::MAX_NAME;
use crate::relay::index::{NameEntry, NameId};
use crate::relay::table::Table;

const KEY: usize = size_of::<u64>();

/// Sorts names by their bytes.
pub(super) fn sort_names(ids: &mut [NameId], entries: &Table<NameEntry>) {
    let mut names: Vec<(u64, NameId)> = ids.iter().map(|id| (0, *id)).collect();
    sort_from(&mut names, 0, entries);
    for (id, (_, sorted)) in ids.iter_mut().zip(names) {
        *id = sorted;
    }
}

/// Sorts names that agree in the bytes before `start`.
fn sort_from(names: &mut [(u64, NameId)], start: usize, entries: &Table<NameEntry>) {
    for (key, id) in &mut *names {
        *key = key_at(&entries[*id].name, start);
    }
    names.sort_unstable();
    let next = start + KEY;
    for same in names.chunk_by_mut(|a, b| a.0 == b.0) {
        if same.len() > 1 && next < MAX_NAME {
            sort_from(same, next, entries);
        }
    }
}

/// The bytes from `start` on as a number that compares as they do. Zeros follow a name: no
/// name contains one.
fn key_at(name: &str, start: usize) -> u64 {
    let rest = name.as_bytes().get(start..).unwrap_or_default();
    let mut key = [0; KEY];
    match rest.first_chunk() {
        Some(bytes) => key = *bytes,
        None => key[..rest.len()].copy_from_slice(rest),
    }
    u64::from_be_bytes(key)
}
