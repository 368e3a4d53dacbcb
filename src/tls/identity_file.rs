//! Files with keys. A key that others can read is no secret, and is refused. A damaged file
//! is refused as well: a new key in its place would make a stranger of a known server.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::system_error::Reason;
use crate::tls::identity::Identity;
use crate::tls::state_file::{self, StateFileError, open, read, read_option_file};

/// The file in which a program keeps its own key and certificate.
#[derive(Clone, Debug)]
pub struct IdentityFile(PathBuf);

impl IdentityFile {
    /// The file of a program in the user's state folder. None without such a folder.
    #[must_use]
    pub fn of(program: &str) -> Option<Self> {
        let folder = crate::xdg::user_folder("XDG_STATE_HOME", ".local/state", None)?;
        Some(Self(folder.join(format!("{program}.pem"))))
    }

    /// Reads the identity, or makes one if there is no file.
    ///
    /// # Errors
    /// The file cannot be made, or must not be used.
    pub fn open(&self) -> Result<Identity, StateFileError> {
        let Self(path) = self;
        let found = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => self.create(),
            found => found.map(drop),
        };
        found.map_err(|error| StateFileError::Unavailable(path.clone(), error))?;
        let refused = |reason: String| {
            let advice = "repair or restore the file, or remove it for a new key, \
                          which is a new identity";
            StateFileError::Refused(path.clone(), format!("{reason}; {advice}"))
        };
        let content = read_private_file(path, 0o077).map_err(refused)?;
        Identity::from_pem(&content, &content).map_err(|reason| refused(reason.to_owned()))
    }

    /// Locks the file for a server: another one that is given the same key can see that.
    ///
    /// # Errors
    /// A running server has locked it, or the file system knows no locks.
    pub fn lock(&self) -> Result<File, TryLockError> {
        let file = File::open(&self.0).map_err(TryLockError::Error)?;
        file.try_lock()?;
        Ok(file)
    }

    /// Makes a new identity, if there is none: another program of the user may be faster.
    fn create(&self) -> io::Result<()> {
        let Self(path) = self;
        let content = Identity::generate().map_err(io::Error::other)?;
        let part = state_file::write_part(path, content.as_bytes())?;
        // Unlike a rename, a link replaces nothing.
        let result = fs::hard_link(&part, path);
        fs::remove_file(&part)?;
        match result {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            result => result,
        }
    }
}

/// Reads a key and the certificates for it from files of the user's own.
///
/// # Errors
/// One of the files cannot be used.
pub fn read_identity(key: &Path, certificates: &Path) -> Result<Identity, StateFileError> {
    let refused = |path: &Path, reason| StateFileError::Refused(path.to_owned(), reason);
    // Some systems let a group of services read keys.
    let key_content = read_private_file(key, 0o007).map_err(|reason| refused(key, reason))?;
    let content = read_option_file(certificates);
    let content = content.map_err(|error| refused(certificates, Reason(&error).to_string()))?;
    let identity = Identity::from_pem(&key_content, &content);
    identity.map_err(|reason| match reason {
        "no private key" => refused(key, reason.to_owned()),
        _ => refused(certificates, reason.to_owned()),
    })
}

/// Reads a file that nobody else may read: `forbidden` are the permissions that it must not
/// have.
///
/// # Errors
/// Why the file cannot be used.
pub fn read_private_file(path: &Path, forbidden: u32) -> Result<Vec<u8>, String> {
    let reason = |error: io::Error| Reason(&error).to_string();
    let file = open(path).map_err(reason)?;
    let mode = file.metadata().map_err(reason)?.mode() & 0o777;
    if mode & forbidden != 0 {
        let path = path.display();
        return Err(format!(
            "others can read or change it (mode {mode:03o}); write chmod 600 {path}"
        ));
    }
    read(file).map_err(reason)
}
