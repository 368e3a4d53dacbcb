//! The share that is a folder on this machine.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use rustix::io::{Errno, pread};

use super::beneath::{Opened, Resolver};
use super::catalog::{Catalog, Scan};
use super::contents::Contents;
use super::hasher::{Hashed, Hasher, Job};
use super::watch::Watch;
use crate::protocol::{FileItem, FileName, MaybeHash};
use crate::role::node::{Content, Share, Stat, Unavailable};

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

/// A folder and its sub-folders.
pub struct Folder {
    path: PathBuf,
    root: OwnedFd,
    resolver: Resolver,
    settings: Settings,
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
    /// Small files that were asked for lately, if changes are told.
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
        let file = File::open(path)?;
        if !file.metadata()?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        std::fs::read_dir(path)?;
        let root: OwnedFd = file.into();
        let resolver = Resolver::detect(&root);
        let (jobs, hasher) = Hasher::new(root.try_clone()?, resolver);
        let mut folder = Self {
            path: path.canonicalize()?,
            resolver,
            contents: Contents::new(&root, settings.max_kept),
            root,
            settings,
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
        &self.path
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

    /// The way to the folder that was opened, whatever its name is by now: what
    /// is listed must be what is served.
    fn opened_path(&self) -> PathBuf {
        let path = format!("/proc/self/fd/{}", self.root.as_raw_fd());
        if Path::new(&path).is_dir() {
            path.into()
        } else {
            // Without /proc there is only the name.
            self.path.clone()
        }
    }

    fn scan(&mut self) {
        // What changes from now on is noticed again.
        self.look();
        let path = self.opened_path();
        let (resolver, root) = (self.resolver, &self.root);
        let (watch, jobs) = (&mut self.watch, &self.jobs);
        self.stale = !self.catalog.scan(&mut Scan {
            path: &path,
            hidden: self.settings.hidden,
            max_files: self.settings.max_files,
            behind_link: &|name| Ok(resolver.open(root, name)?.identity),
            each_folder: &mut |folder| watch.add(folder),
            each_content: &mut |file| {
                // If nobody computes hashes, there are none.
                let _ = jobs.send(Job {
                    name: file.name.clone(),
                    identity: file.identity,
                });
            },
        });
    }

    fn open_shared(&self, name: &FileName<'_>) -> Result<Opened, Unavailable> {
        if name.is_hidden() && !self.settings.hidden {
            return Err(Unavailable::NotFound);
        }
        self.resolver
            .open(&self.root, name)
            .map_err(|error| unavailable(&error))
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
        let may_keep = self
            .contents
            .as_mut()
            .is_some_and(|contents| contents.watch(name));
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
