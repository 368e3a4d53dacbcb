//! Folders of the user by the XDG Base Directory Specification.

use std::path::{Path, PathBuf};

/// The folder `peerline` in a base directory of the user: the one that `variable`
/// names (such as `XDG_CACHE_HOME`), or else `default` in the home folder. None if
/// neither is known. Relative paths are ignored, as the specification demands. For another
/// user, whose `home` folder is given, the variables say nothing.
pub fn user_folder(variable: &str, default: &str, home: Option<&Path>) -> Option<PathBuf> {
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base = match home {
        Some(home) => home.join(default),
        None => absolute(variable).or_else(|| Some(absolute("HOME")?.join(default)))?,
    };
    Some(base.join("peerline"))
}
