//! The secret of a group, and a file with it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;

use crate::support::folder;

pub const SECRET: &str = "correct horse battery";

/// A file with a secret, which only its owner can read.
pub struct SecretFile(TempDir);

impl SecretFile {
    pub fn new(content: impl AsRef<[u8]>) -> Self {
        let file = Self(folder(&[]));
        file.replace(content);
        file
    }

    /// Its folder, which is of no other use.
    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    pub fn path(&self) -> String {
        let path = self.folder().join("secret");
        path.to_str().expect("a temporary name is text").to_owned()
    }

    pub fn set_mode(&self, mode: u32) {
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(self.path(), permissions).expect("it is ours");
    }

    /// Replaces the file as a whole: a server may be reading it.
    pub fn replace(&self, content: impl AsRef<[u8]>) {
        let new = self.folder().join("new");
        fs::write(&new, content).expect("a file");
        let permissions = fs::Permissions::from_mode(0o600);
        fs::set_permissions(&new, permissions).expect("it is ours");
        fs::rename(&new, self.path()).expect("a file");
    }
}
