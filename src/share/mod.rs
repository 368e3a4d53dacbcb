//! A folder as a node's share.
//!
//! Names come from anybody, so nothing here follows one out of the folder:
//! `beneath` opens, `catalog` lists, [`Folder`] joins the two.

mod beneath;
mod catalog;
mod folder;

pub use folder::{Folder, Settings};
