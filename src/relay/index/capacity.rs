//! Bounds on the unused memory of containers. A `Vec` doubles when it is full, and keeps its
//! memory when elements are removed, as a hash table does. Since peers announce and withdraw
//! files as they like, the index would need many times the memory that the relay states.

use hashbrown::HashTable;

/// Makes room in a full vector: a sixteenth more.
pub(super) fn grow<T>(vec: &mut Vec<T>) {
    if vec.len() == vec.capacity() {
        vec.reserve_exact(1 + vec.len() / 16);
    }
}

/// Makes room for so many bytes, and for a sixteenth more if the text must grow.
pub(super) fn grow_text(text: &mut String, bytes: usize) {
    if text.capacity() - text.len() < bytes {
        text.reserve_exact(bytes + text.len() / 16);
    }
}

/// Moves a vector to a smaller allocation if more than an eighth is unused. Shrinking in place
/// would leave the old allocation fragmented.
pub(super) fn shrink<T>(vec: &mut Vec<T>) {
    if is_too_large(vec.len(), vec.capacity()) {
        let mut smaller = Vec::with_capacity(vec.len());
        smaller.append(vec);
        *vec = smaller;
    }
}

/// As [`shrink`], for a text.
pub(super) fn shrink_text(text: &mut String) {
    if is_too_large(text.len(), text.capacity()) {
        *text = text.as_str().to_owned();
    }
}

/// Halves a hash table if less than two fifths of its buckets are used. A table that has just
/// doubled uses more, unless it was full of tombstones.
pub(super) fn shrink_table<T>(table: &mut HashTable<T>, hash: impl Fn(&T) -> u64) {
    if table.len() * 5 < table.num_buckets() * 2 {
        table.shrink_to_fit(hash);
    }
}

fn is_too_large(length: usize, capacity: usize) -> bool {
    capacity > 1 + length + length / 8
}
