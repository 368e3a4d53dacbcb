//! A place on this machine that is shared: a folder with all that is in it, or
//! one file. What was opened counts, whatever the place is called by now.

use std::borrow::Cow;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::share::open_beneath::{Opened, READ, Resolver};

/// A folder that was opened, and which of its files are shared under which names.
pub(super) struct Root {
    path: PathBuf,
    folder: OwnedFd,
    resolver: Resolver,
    names: Names,
}

enum Names {
    /// All files, under their names in the folder.
    AsInside,
    /// All files, with this and a `/` before their names.
    Below(String),
    /// This file.
    One(String),
}

impl Root {
    /// All files of a folder. Their names are those inside, below `name` if there
    /// is one.
    pub(super) fn folder(path: &Path, name: Option<&str>) -> io::Result<Self> {
        let folder = open_folder(path)?;
        Ok(Self {
            path: path.canonicalize()?,
            resolver: Resolver::detect(&folder),
            folder,
            names: name.map_or(Names::AsInside, |name| Names::Below(name.to_owned())),
        })
    }

    /// The file of this name in a folder, and nothing else that is there.
    pub(super) fn file(folder: &Path, name: &str) -> io::Result<Self> {
        Ok(Self {
            path: folder.to_owned(),
            folder: open_folder(folder)?,
            // A link that takes its place may lead to what is not shared.
            resolver: Resolver::PartByPart,
            names: Names::One(name.to_owned()),
        })
    }

    /// Where it is, or the one file's folder.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that was opened.
    pub(super) fn opened(&self) -> &OwnedFd {
        &self.folder
    }

    /// Opens a file by the name that it is shared under.
    pub(super) fn open(&self, name: &str) -> io::Result<Opened> {
        let inside = self.inside(name).ok_or(Errno::NOENT)?;
        self.resolver.open(&self.folder, inside)
    }

    /// Opens a folder by its name inside, to list it; the empty name is the root's own.
    pub(super) fn open_folder(&self, inside: &str) -> Result<OwnedFd, Errno> {
        let path = if inside.is_empty() { "." } else { inside };
        self.resolver.open_folder(&self.folder, path)
    }

    /// What has this name is called so inside; the root's own name is empty there.
    pub(super) fn inside<'n>(&self, name: &'n str) -> Option<&'n str> {
        match &self.names {
            Names::AsInside => Some(name),
            Names::Below(first) if name == first => Some(""),
            Names::Below(first) => name.strip_prefix(first.as_str())?.strip_prefix('/'),
            Names::One(only) => (name == only).then_some(name),
        }
    }

    /// The name under which it shares what has this name inside.
    pub(super) fn outside<'n>(&self, inside: &'n str) -> Cow<'n, str> {
        match &self.names {
            Names::AsInside | Names::One(_) => inside.into(),
            Names::Below(first) => format!("{first}/{inside}").into(),
        }
    }

    /// If one file is all that there is: its name.
    pub(super) fn only(&self) -> Option<&str> {
        match &self.names {
            Names::One(only) => Some(only),
            Names::AsInside | Names::Below(_) => None,
        }
    }

    /// The name of what lies at `place`, if that is in here; empty if it is the
    /// whole folder and has none.
    pub(super) fn name_of(&self, place: &Path) -> Option<String> {
        let inside = place.strip_prefix(&self.path).ok()?.to_str()?;
        match &self.names {
            Names::Below(first) if inside.is_empty() => Some(first.clone()),
            Names::One(only) if only != inside => None,
            _ => Some(self.outside(inside).into_owned()),
        }
    }

    /// The way to the folder that was opened: what is listed must be what is served.
    pub(super) fn opened_path(&self) -> PathBuf {
        let path = format!("/proc/self/fd/{}", self.folder.as_raw_fd());
        if Path::new(&path).is_dir() {
            path.into()
        } else {
            // Without /proc there is only the name.
            self.path.clone()
        }
    }
}

fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    let folder = rustix::fs::open(path, READ | OFlags::DIRECTORY, Mode::empty())?;
    Ok(folder)
}
