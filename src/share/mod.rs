//! A folder as a node's share.
//!
//! Names come from anybody, so nothing here follows one out of the folder:
//! `beneath` opens, `contents` keeps what was small, `catalog` lists, `watch` notices changes, [`Hasher`] computes
//! hashes in a thread of its own, [`Folder`] joins them.

mod beneath;
mod catalog;
mod contents;
mod folder;
mod hash_cache;
mod hasher;
mod identity;
mod watch;

pub use folder::{Folder, Settings};
pub use hasher::{Hashed, Hasher};
