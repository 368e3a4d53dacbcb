//! The share that is on this machine: a folder, and what is added to it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use rustix::io::{Errno, pread};

use super::beneath::Opened;
use super::catalog::Catalog;
use super::contents::Contents;
use super::hasher::{Hashed, Hasher, Job};
use super::root::Root;
use super::roots::Roots;
use super::walk::Walk;
use super::watch::Watch;
use crate::protocol::{FileItem, FileName, MaybeHash};
use crate::role::node::{Added, Content, Refused, Removed, Share, Stat, Unavailable};
use crate::visible::Visible;

/// A list is made anew after this time even if no change was noticed: other
/// hosts of a network file system are not.
const TRUSTED: Duration = Duration::from_secs(60);

/// Files up to this size leave in one write together with their header.
const SMALL: usize = 64 * 1024;

/// What to share of a folder.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Files and folders whose names start with a dot as well.
    pub hidden: bool,
    /// The most files in a list.
    pub max_files: usize,
    /// The most bytes of small files to keep in memory.
    pub max_kept: usize,
}

/// A folder and its sub-folders, and what is shared beside it.
pub struct Folder {
    roots: Roots,
    max_files: usize,
    catalog: Catalog,
    watch: Watch,
    /// Something has changed since the last scan.
    stale: bool,
    /// Something has changed since the revision was last asked for.
    unseen: bool,
    /// Hashes are wanted here.
    jobs: Sender<Job>,
    /// Until it is started.
    hasher: Option<Hasher>,
    /// Small files of the node's own folder that were asked for lately, if changes
    /// are told.
    contents: Option<Contents>,
    /// The last small file's content; one byte more than the largest.
    small: Box<[u8]>,
}

impl Folder {
    /// Shares the folder at `path`.
    ///
    /// # Errors
    /// It is no folder, or cannot be read.
    pub fn open(path: &Path, settings: Settings) -> io::Result<Self> {
        let own = Root::folder(path, None)?;
        let (jobs, hasher) = Hasher::new();
        let mut folder = Self {
            contents: Contents::new(own.opened(), settings.max_kept),
            roots: Roots::new(own, settings.hidden),
            max_files: settings.max_files,
            catalog: Catalog::default(),
            watch: Watch::new(),
            stale: true,
            unseen: false,
            jobs,
            hasher: Some(hasher),
            small: vec![0; SMALL + 1].into(),
        };
        folder.scan();
        Ok(folder)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.roots.own().path()
    }

    /// What computes the hashes, to be started; what it finds is for [`Share::told`].
    pub fn hasher(&mut self) -> Option<Hasher> {
        self.hasher.take()
    }

    /// Something to wait on: when it is readable, tell [`Share::noticed`].
    #[must_use]
    pub fn changes(&self) -> Option<OwnedFd> {
        self.watch.descriptor()
    }

    /// Looks at the disk if the list may be wrong, and not too often.
    fn refresh(&mut self) {
        self.look();
        let is_right = self.watch.works() && !self.stale && self.catalog.is_younger_than(TRUSTED);
        if !is_right && !self.catalog.is_younger_than(self.catalog.pause()) {
            self.scan();
        }
    }

    /// Takes in what the watch has noticed.
    fn look(&mut self) {
        if self.watch.take() {
            self.stale = true;
            self.unseen = true;
        }
    }

    fn scan(&mut self) {
        // What changes from now on is noticed again.
        self.look();
        let (roots, watch, jobs) = (&self.roots, &mut self.watch, &self.jobs);
        let walk = Walk {
            roots,
            max_files: self.max_files,
            each_folder: &mut |folder| watch.add(folder),
        };
        let scanned = self.catalog.scan(walk, |file| {
            if let Some(root) = roots.owner(&file.name) {
                // If nobody computes hashes, there are none.
                let _ = jobs.send(Job {
                    root: Arc::downgrade(root),
                    name: file.name.clone(),
                    identity: file.identity,
                });
            }
        });
        self.stale = scanned.is_err();
    }

    fn open_shared(&self, name: &FileName<'_>) -> Result<Opened, Unavailable> {
        self.roots
            .find(name)
            .ok_or(Unavailable::NotFound)?
            .open(name.as_str())
            .map_err(|error| unavailable(&error))
    }

    /// Other places are shared now than before.
    fn rearranged(&mut self) {
        if let Some(contents) = &mut self.contents {
            contents.forget_all();
        }
        self.scan();
        self.unseen = true;
    }

    /// Reads a file that was small when it was opened. Returns nothing if it is
    /// not small any more.
    fn read_small(&mut self, file: &File, expected: u64) -> Result<Option<usize>, Errno> {
        let mut length = 0;
        while length < self.small.len() {
            match pread(file, &mut self.small[length..], length as u64) {
                Ok(0) => return Ok(Some(length)),
                Ok(read) => length += read,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error),
            }
            // The whole file as it was: no need to ask for its end.
            if length as u64 == expected {
                return Ok(Some(length));
            }
        }
        Ok(None)
    }
}

impl Share for Folder {
    type File = File;
    type Finding = Hashed;

    fn open(
        &mut self,
        name: &FileName<'_>,
        arrival: u64,
    ) -> Result<Content<'_, File>, Unavailable> {
        let kept = self.contents.as_mut();
        if let Some(place) = kept.and_then(|contents| contents.find(name, arrival)) {
            let bytes = self
                .contents
                .as_ref()
                .map_or(&[][..], |contents| contents.bytes(place));
            return Ok(Content::Small(bytes));
        }
        let since = Instant::now();
        let kept = self.contents.as_mut().filter(|_| self.roots.is_own(name));
        let may_keep = kept.is_some_and(|contents| contents.watch(name));
        let Opened {
            file,
            identity,
            is_direct,
        } = self.open_shared(name)?;
        let size = identity.size;
        if size > SMALL as u64 {
            return Ok(Content::Large { size, file });
        }
        match self
            .read_small(&file, size)
            .map_err(|error| unavailable(&error.into()))?
        {
            Some(length) => {
                let bytes = &self.small[..length];
                if let Some(contents) = &mut self.contents
                    && may_keep
                    && is_direct
                {
                    contents.keep(name, bytes, since);
                }
                Ok(Content::Small(bytes))
            }
            None => {
                let size = file.metadata().map_err(|error| unavailable(&error))?.len();
                Ok(Content::Large { size, file })
            }
        }
    }

    fn list(&mut self, after: Option<&str>, most: usize, each: &mut dyn FnMut(&FileItem<'_>)) {
        for file in self.catalog.after(after).iter().take(most) {
            if let Ok(name) = FileName::parse(&file.name) {
                each(&FileItem {
                    size: file.identity.size,
                    hash: file.hash,
                    holders: 1,
                    name,
                });
            }
        }
    }

    fn revision(&mut self) -> u64 {
        self.look();
        if self.stale {
            self.scan();
        } else {
            self.refresh();
        }
        self.unseen = self.stale;
        self.catalog.revision()
    }

    fn stat(&mut self, name: &FileName<'_>) -> Result<Stat, Unavailable> {
        let identity = self.open_shared(name)?.identity;
        let listed = self.catalog.find(name.as_str());
        let known = listed.filter(|file| file.identity == identity);
        Ok(Stat {
            size: identity.size,
            hash: known.map_or(MaybeHash(None), |file| file.hash),
            mtime: identity.mtime,
        })
    }

    fn told(&mut self, hashed: Hashed) -> Option<Duration> {
        let Hashed {
            name,
            identity,
            hash,
        } = hashed;
        match hash {
            Some(hash) => self
                .catalog
                .put_hash(&name, identity, hash)
                .then(|| self.catalog.pause()),
            None => {
                self.catalog.want_hash_again(&name, identity);
                None
            }
        }
    }

    fn noticed(&mut self) -> Option<Duration> {
        self.look();
        self.unseen.then(|| self.catalog.pause())
    }

    fn count(&mut self, after: Option<&str>) -> u64 {
        if after.is_none() {
            self.refresh();
        }
        self.catalog.after(after).len() as u64
    }

    fn bytes(&self) -> u64 {
        self.catalog.bytes()
    }

    fn add(&mut self, path: &str) -> Result<Added, Refused> {
        let name = self.roots.add(path)?;
        self.rearranged();
        let why = if self.stale {
            Some("too many open files; try again later".to_owned())
        } else if self.catalog.is_cut() {
            let most = self.max_files;
            Some(format!("it makes more than {most} files; see --max-files"))
        } else {
            None
        };
        if let Some(why) = why {
            self.roots.remove(&name);
            self.rearranged();
            let path = Visible::text(path);
            return Err(Refused(format!("cannot share {path}: {why}")));
        }
        let extent = self.catalog.extent(name.as_str());
        Ok(Added { name, extent })
    }

    fn remove(&mut self, name: &FileName<'_>) -> Result<Removed, Refused> {
        // As it is now.
        self.revision();
        let extent = self.catalog.extent(name.as_str());
        let is_shared = extent.files > 0 || self.roots.is_added(name);
        // Not everything that is shared is listed.
        if !is_shared && self.open_shared(name).is_err() {
            let name = Visible::text(name.as_str());
            return Err(Refused(format!("{name} is not shared here")));
        }
        self.roots.remove(name);
        self.rearranged();
        let name = name.clone().into_owned();
        Ok(Removed { name, extent })
    }
}

fn unavailable(error: &io::Error) -> Unavailable {
    match Errno::from_io_error(error) {
        // Among them: a link that leads out, a part that is no folder, a socket.
        Some(
            Errno::NOENT
            | Errno::NOTDIR
            | Errno::XDEV
            | Errno::LOOP
            | Errno::NXIO
            | Errno::ISDIR
            | Errno::NAMETOOLONG
            | Errno::NODEV,
        ) => Unavailable::NotFound,
        Some(Errno::ACCESS | Errno::PERM) => Unavailable::NotAllowed,
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM) => {
            Unavailable::Busy("too many open files".into())
        }
        _ => Unavailable::Failed(error.to_string()),
    }
}
