//! A folder as a node's share.
//!
//! Names come from anybody, so nothing here follows one out of the folder:
//! `beneath` opens, `catalog` lists, `watch` notices changes, [`Folder`] joins them.

mod beneath;
mod catalog;
mod folder;
mod watch;

pub use folder::{Folder, Settings};
