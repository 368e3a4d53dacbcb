//! Creates files, as fast as the file system does.

use std::fs;
use std::io;
use std::path::Path;

/// The size of each file.
const SIZE: usize = 1024;

/// Creates `count` files in `folder`.
pub(super) fn run(folder: &str, count: &str) -> io::Result<()> {
    let count: usize = count.parse().map_err(io::Error::other)?;
    fs::create_dir_all(folder)?;
    let content = [b'.'; SIZE];
    for number in 0..count {
        fs::write(Path::new(folder).join(format!("{number}.bin")), content)?;
    }
    Ok(())
}
