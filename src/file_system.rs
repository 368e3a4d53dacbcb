//! What can be relied on in a file system, by its type (statfs(2)).

use std::os::fd::AsFd;

use rustix::fs::fstatfs;

/// The types that only this machine can change.
const LOCAL: [u64; 8] = [
    0xEF53,      // ext2, ext3, ext4
    0x5846_5342, // xfs
    0x9123_683E, // btrfs
    0xF2F5_2010, // f2fs
    0x2FC1_2FC1, // zfs
    0xCA45_1A4E, // bcachefs
    0x0102_1994, // tmpfs
    0x794C_7630, // overlayfs
];

const NFS: u64 = 0x6969;

/// Whether only this machine can change the file system of a file or folder.
pub(crate) fn is_local(file: impl AsFd) -> bool {
    kind(file).is_some_and(|kind| LOCAL.contains(&kind))
}

/// Whether device, inode, size, mtime and ctime identify a version of a file, also after a
/// restart. An NFS server has true inodes and ctimes. Many others do not: sshfs and vfat number
/// their files in the order of look-ups, and the ctime of sshfs is the mtime. Unknown types count
/// as such.
pub(crate) fn has_reliable_identity(file: impl AsFd) -> bool {
    kind(file).is_some_and(|kind| kind == NFS || LOCAL.contains(&kind))
}

#[allow(
    clippy::cast_sign_loss,
    reason = "the type of f_type differs by platform"
)]
fn kind(file: impl AsFd) -> Option<u64> {
    Some(fstatfs(file).ok()?.f_type as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn a_type_that_is_not_known_is_not_relied_on() {
        let proc = File::open("/proc").unwrap();
        assert!(!is_local(&proc) && !has_reliable_identity(&proc));
        // Of tmpfs.
        let shm = File::open("/dev/shm").unwrap();
        assert!(is_local(&shm) && has_reliable_identity(&shm));
    }
}
