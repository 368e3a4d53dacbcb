//! The user's folders, by the XDG Base Directory Specification.

use std::path::PathBuf;

/// Our folder among those of the user (XDG Base Directory Specification): of the
/// kind that the variable names, which is else in `home`.
pub fn user_folder(variable: &str, home: &str) -> Option<PathBuf> {
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let kind = absolute(variable).or_else(|| Some(absolute("HOME")?.join(home)))?;
    Some(kind.join("peerline"))
}
