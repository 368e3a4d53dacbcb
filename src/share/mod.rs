//! A folder as a node's share, and the files and folders that are added to it at
//! run time.
//!
//! - [`Folder`] implements [`Share`](crate::node::Share) and joins the parts below.
//! - `roots`, `root`: the places that are shared, and the names of their files.
//! - `open_beneath`: opens a file by a name from the network, and never one outside
//!   of the root.
//! - [`SharedFile`]: an open file that knows whether it was written meanwhile.
//! - `content_reader`, `content_cache`: the bytes of a file, and those of small
//!   files in memory.
//! - `catalog`: the list of all files with sizes and hashes.
//! - `skipped_entries`: what cannot be shared, and the warnings about it.
//! - [`ScanWorker`], `walk`, `watch`: a thread that lists all files again when
//!   inotify(7) reports a change.
//! - [`HashWorker`], `hash_queue`, `file_hasher`, `hash_cache`, `hash_cache_file`: a
//!   thread that computes hashes, the order in which it does, and the hashes on disk.
//! - `worker_messages`: what the share asks both threads, and what they answer.

mod catalog;
mod content_cache;
mod content_reader;
mod file_hasher;
mod file_identity;
mod folder;
mod folder_settings;
mod hash_cache;
mod hash_cache_file;
mod hash_queue;
mod hash_worker;
mod open_beneath;
mod root;
mod roots;
mod scan_worker;
mod shared_file;
mod skipped_entries;
mod walk;
mod walked_devices;
mod watch;
mod worker_messages;

pub use folder::Folder;
pub use folder_settings::FolderSettings;
pub use hash_cache_file::open_or_create as open_hash_cache;
pub use hash_worker::HashWorker;
pub use scan_worker::ScanWorker;
pub use shared_file::SharedFile;
pub use worker_messages::ShareUpdate;
