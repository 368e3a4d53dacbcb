//! File systems that a test mounts for itself alone.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::geteuid;
use tempfile::TempDir;

use crate::support::{RunningProgram, folder};

/// A file system in a mount namespace (mount_namespaces(7)) of its own.
pub struct FileSystem {
    root: PathBuf,
    /// It keeps the namespace alive.
    _keeper: RunningProgram,
    _mount_point: TempDir,
}

impl FileSystem {
    /// Mounts a file system with these arguments of mount(8). None where the system does not
    /// allow that: then a test can test nothing.
    pub fn mount(args: &[&str]) -> Option<Self> {
        let mount_point = folder(&[]);
        let path = mount_point.path();
        let mut command = Command::new("unshare");
        if !geteuid().is_root() {
            command.arg("--map-root-user");
        }
        command.args([
            "--mount",
            "sh",
            "-c",
            "mount \"$@\" && echo up && exec cat",
            "sh",
        ]);
        command.args(args).arg(path);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut keeper = RunningProgram::start(&mut command);
        let mut line = String::new();
        let mut stdout = BufReader::new(keeper.child.stdout.take().expect("a pipe"));
        stdout.read_line(&mut line).expect("a line");
        if line != "up\n" {
            eprintln!("not tested: the system does not mount {args:?}");
            return None;
        }
        let root = format!("/proc/{}/root{}", keeper.child.id(), path.display());
        Some(Self {
            root: root.into(),
            _keeper: keeper,
            _mount_point: mount_point,
        })
    }

    /// A path to its root, from any namespace.
    pub fn root(&self) -> &Path {
        &self.root
    }
}
