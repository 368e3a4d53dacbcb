//! The space of a file on its disk, reserved before the first byte.

use std::fs::File;

use rustix::fs::{FallocateFlags, fallocate, fstatvfs};
use rustix::io::{Errno, retry_on_intr};

use crate::download::save_error::SaveError;

/// Gives a new file its size and, where the file system can, its space.
///
/// # Errors
/// The space is not there, or the file would be too large.
pub(super) fn reserve(file: &File, size: u64) -> Result<(), SaveError> {
    let system = fstatvfs(file)?;
    let free = system.f_bavail.saturating_mul(system.f_frsize);
    // Some file systems do not know their size.
    if system.f_blocks > 0 && free < size {
        return Err(SaveError::NoSpace { needed: size, free });
    }
    file.set_len(size)?;
    match retry_on_intr(|| fallocate(file, FallocateFlags::empty(), 0, size)) {
        Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG | Errno::IO)) => Err(error.into()),
        // Not all file systems can reserve space.
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_does_not_fit_is_refused() {
        let file = tempfile::tempfile().expect("a file");
        let too_much = 1 << 60;
        let error = reserve(&file, too_much).expect_err("too large");
        assert!(matches!(error, SaveError::NoSpace { needed, .. } if needed == too_much));
        assert_eq!(file.metadata().expect("a file").len(), 0);
    }
}
