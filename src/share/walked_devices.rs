//! The devices of the files that a walk has found.

use std::collections::HashMap;
use std::os::fd::AsFd;

use crate::file_system::has_reliable_identity;

/// For each device, whether its files have a reliable identity. Only for one walk: the number of
/// a device may be that of another file system later.
#[derive(Default)]
pub(super) struct WalkedDevices(pub(super) HashMap<u64, bool>);

impl WalkedDevices {
    /// Adds the device of an open file or folder.
    pub(super) fn add(&mut self, device: u64, file: impl AsFd) {
        let is_reliable = || has_reliable_identity(file);
        self.0.entry(device).or_insert_with(is_reliable);
    }

    /// Whether the identity of a file on this device is reliable. False if the walk has not seen
    /// the device.
    pub(super) fn is_reliable(&self, device: u64) -> bool {
        self.0.get(&device).is_some_and(|is_reliable| *is_reliable)
    }
}
