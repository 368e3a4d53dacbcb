//! How long written bytes can be trusted before they are synced: until the system boots
//! again, or the file system is mounted again.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::LazyLock;

use rustix::fs::{AtFlags, StatxFlags, statx};

/// The number of a mount, which is never used again (STATX_MNT_ID_UNIQUE, Linux 6.8).
const UNIQUE_MOUNT_ID: StatxFlags = StatxFlags::from_bits_retain(0x4000);

/// The present boot of the system. If the kernel does not tell, each run of a program is
/// taken for a boot.
static BOOT: LazyLock<String> = LazyLock::new(|| {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    boot.map_or_else(
        |_| format!("unknown-{:x}", fastrand::u128(..)),
        |boot| boot.trim().to_owned(),
    )
});

/// The present boot, and the mount of a file: the disk may have been pulled out and
/// plugged in again. Older kernels tell only the device.
pub(super) fn boot_and_mount(file: &File) -> io::Result<String> {
    let mount = statx(file, "", AtFlags::EMPTY_PATH, UNIQUE_MOUNT_ID)
        .ok()
        .filter(|stat| stat.stx_mask & UNIQUE_MOUNT_ID.bits() != 0);
    let boot = &*BOOT;
    Ok(match mount {
        Some(stat) => format!("{boot} mount {:x}", stat.stx_mnt_id),
        None => format!("{boot} device {:x}", file.metadata()?.dev()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_told_from_others() {
        let mount = |path: &str| {
            let folder = File::open(path).expect("a folder");
            boot_and_mount(&folder).expect("a mount")
        };
        assert_eq!(mount("/proc"), mount("/proc/self"));
        assert_ne!(mount("/proc"), mount("/sys"));
        assert!(mount("/proc").starts_with(BOOT.as_str()));
    }
}
