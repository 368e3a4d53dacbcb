//! A folder as a node's share, and what is added to it at run time.
//!
//! Names come from anybody, so nothing here follows one out of the places that
//! are shared: `beneath` opens, a `root` is one such place and `roots` are all,
//! `contents` keeps what was small, `walk` and `catalog` list what is there,
//! `watch` notices changes, [`Scanner`] walks and [`Hasher`] computes hashes, each
//! in a thread of its own, [`Folder`] joins them.

mod catalog;
mod content_cache;
mod folder;
mod hash_cache;
mod hasher;
mod identity;
mod open_beneath;
mod root;
mod roots;
mod scanner;
#[cfg(test)]
mod tests;
mod walk;
mod watch;

pub use folder::{Finding, Folder, FolderSettings};
pub use hasher::{Hashed, Hasher};
pub use scanner::{Scanner, Walked};
