//! The share that is on this machine: a folder, and what is added to it.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use rustix::io::{Errno, pread};

use crate::escaped::Escaped;
use crate::node::{AddError, AddSummary, FileContent, RemoveSummary, Share, Unavailable};
use crate::protocol::{FileItem, FileName, FileStat, MaybeHash};
use crate::share::catalog::Catalog;
use crate::share::content_cache::ContentCache;
use crate::share::hasher::{HashJob, Hashed, Hasher};
use crate::share::open_beneath::Opened;
use crate::share::root::Root;
use crate::share::roots::Roots;
use crate::share::scanner::{PAUSE, Scanner, Walked};
use crate::share::walk::{Found, Walk};
use crate::share::watch::Watch;

/// A list is made anew after this time even if no change was noticed: other
/// hosts of a network file system are not.
const TRUSTED: Duration = Duration::from_secs(60);

/// Files up to this size leave in one write together with their header.
const SMALL: usize = 64 * 1024;

/// What is found out beside the loop.
pub enum Finding {
    /// What is there.
    Walked(Walked),
    /// What is in a file.
    Hashed(Hashed),
}

/// What to share of a folder.
#[derive(Clone, Copy, Debug)]
pub struct FolderSettings {
    /// Files and folders whose names start with a dot as well.
    pub hidden: bool,
    /// The most files in a list.
    pub max_files: usize,
    /// The most bytes of small files to keep in memory.
    pub max_kept: usize,
}

/// A folder and its sub-folders, and what is shared beside it.
pub struct Folder {
    roots: Arc<Roots>,
    max_files: usize,
    catalog: Catalog,
    /// The revision when it was last asked for.
    seen: u64,
    watch: Arc<Watch>,
    /// Walks are wanted here.
    walks: Sender<Arc<Roots>>,
    /// One is wanted, and has not been heard of.
    is_walking: bool,
    /// When one was heard of.
    walked: Instant,
    /// Hashes are wanted here.
    jobs: Sender<HashJob>,
    /// Until they are started.
    workers: Option<(Scanner, Hasher)>,
    /// Small files of the node's own folder that were asked for lately, if changes
    /// are told.
    contents: Option<ContentCache>,
    /// The last small file's content; one byte more than the largest.
    small: Box<[u8]>,
}

impl Folder {
    /// Shares the folder at `path`.
    ///
    /// # Errors
    /// It is no folder, or cannot be read.
    pub fn open(path: &Path, settings: FolderSettings) -> io::Result<Self> {
        let own = Root::folder(path, None)?;
        let watch = Arc::new(Watch::new());
        let (walks, scanner) = Scanner::new(settings.max_files, Arc::clone(&watch));
        let (jobs, hasher) = Hasher::new();
        let contents = ContentCache::new(own.opened(), settings.max_kept);
        let roots = Arc::new(Roots::new(own, settings.hidden));
        let first = scanner.walk(Arc::clone(&roots));
        let mut folder = Self {
            roots,
            max_files: settings.max_files,
            catalog: Catalog::default(),
            seen: 0,
            watch,
            walks,
            is_walking: false,
            walked: Instant::now(),
            jobs,
            workers: Some((scanner, hasher)),
            contents,
            small: vec![0; SMALL + 1].into(),
        };
        folder.take_in(first);
        Ok(folder)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.roots.own().path()
    }

    /// What looks at the disk beside the loop, to be started; what is found is for
    /// [`Share::on_message`].
    pub fn workers(&mut self) -> Option<(Scanner, Hasher)> {
        self.workers.take()
    }

    /// Something to wait on: when it is readable, tell [`Share::on_external_event`].
    #[must_use]
    pub fn changes(&self) -> Option<OwnedFd> {
        self.watch.descriptor()
    }

    /// Asks for a walk if the list may be wrong.
    fn refresh(&mut self) {
        if self.watch.has_changed() || !self.watch.works() || self.walked.elapsed() >= TRUSTED {
            self.ask();
        }
    }

    fn ask(&mut self) {
        if !self.is_walking {
            self.is_walking = self.walks.send(Arc::clone(&self.roots)).is_ok();
        }
    }

    /// A walk is over. If it failed, the list is the one of before, which is nearer
    /// to the truth than a part of this one.
    fn take_in(&mut self, walked: Walked) {
        self.walked = Instant::now();
        self.is_walking = false;
        match walked.found {
            Ok(found) if Arc::ptr_eq(&walked.roots, &self.roots) => self.put(found, None),
            Ok(_) | Err(_) => self.watch.note(),
        }
        if self.watch.has_changed() {
            self.ask();
        }
    }

    /// Lists what was found, and asks for the hashes.
    fn put(&mut self, found: Found, within: Option<&str>) {
        let (roots, jobs) = (&self.roots, &self.jobs);
        self.catalog.put(found, within, |file| {
            if let Some(root) = roots.owner(&file.name) {
                // If nobody computes hashes, there are none.
                let _ = jobs.send(HashJob {
                    root: Arc::downgrade(root),
                    name: file.name.clone(),
                    identity: file.identity,
                });
            }
        });
    }

    /// Other places are shared now than before; the difference is what is `found`
    /// within a name.
    fn rearrange(&mut self, roots: Roots, found: Found, name: &FileName<'_>) {
        self.roots = Arc::new(roots);
        self.put(found, Some(name.as_str()));
        if let Some(contents) = &mut self.contents {
            contents.forget_all();
        }
        // There may be room for others now.
        self.watch.note();
    }

    fn open_shared(&self, name: &FileName<'_>) -> Result<Opened, Unavailable> {
        self.roots
            .find(name)
            .ok_or(Unavailable::NotFound)?
            .open(name.as_str())
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
    type Finding = Finding;

    fn open(
        &mut self,
        name: &FileName<'_>,
        arrival: u64,
    ) -> Result<FileContent<'_, File>, Unavailable> {
        let kept = self.contents.as_mut();
        if let Some(place) = kept.and_then(|contents| contents.find(name, arrival)) {
            let bytes = self
                .contents
                .as_ref()
                .map_or(&[][..], |contents| contents.bytes(place));
            return Ok(FileContent::Small(bytes));
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
            return Ok(FileContent::Large { size, file });
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
                Ok(FileContent::Small(bytes))
            }
            None => {
                let size = file.metadata().map_err(|error| unavailable(&error))?.len();
                Ok(FileContent::Large { size, file })
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
        self.refresh();
        self.seen = self.catalog.revision();
        self.seen
    }

    fn stat(&mut self, name: &FileName<'_>) -> Result<FileStat, Unavailable> {
        let identity = self.open_shared(name)?.identity;
        let listed = self.catalog.find(name.as_str());
        let known = listed.filter(|file| file.identity == identity);
        Ok(FileStat {
            size: identity.size,
            hash: known.map_or(MaybeHash(None), |file| file.hash),
            mtime: identity.mtime,
        })
    }

    fn on_message(&mut self, finding: Finding) -> Option<Duration> {
        let before = self.catalog.revision();
        let pause = match finding {
            // It has waited already.
            Finding::Walked(walked) => {
                self.take_in(walked);
                Duration::ZERO
            }
            Finding::Hashed(hashed) => {
                self.catalog.put_hash(hashed);
                PAUSE
            }
        };
        (self.catalog.revision() != before).then_some(pause)
    }

    fn on_external_event(&mut self) -> Option<Duration> {
        self.refresh();
        (self.catalog.revision() != self.seen).then_some(PAUSE)
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

    fn add(&mut self, path: &str) -> Result<AddSummary, AddError> {
        let refused = |why: &dyn fmt::Display| {
            let path = Escaped::text(path);
            AddError(format!("cannot share {path}: {why}"))
        };
        let mut roots = Roots::clone(&self.roots);
        let name = roots.add(path)?;
        let walk = Walk {
            roots: &roots,
            max_files: self.max_files,
            watch: &self.watch,
        };
        // Who asks wants to know how many files that makes.
        let found = walk
            .within(&name)
            .map_err(|_| refused(&"too many open files; try again later"))?;
        let listed = self.catalog.after(None).len() as u64;
        let others = listed - self.catalog.extent(name.as_str()).files;
        if found.is_cut || others + found.files.len() as u64 > self.max_files as u64 {
            let most = self.max_files;
            return Err(refused(&format_args!(
                "it makes more than {most} files; see --max-files"
            )));
        }
        self.rearrange(roots, found, &name);
        let extent = self.catalog.extent(name.as_str());
        Ok(AddSummary {
            name,
            totals: extent,
        })
    }

    fn remove(&mut self, name: &FileName<'_>) -> Result<RemoveSummary, AddError> {
        let extent = self.catalog.extent(name.as_str());
        let is_shared = extent.files > 0 || self.roots.is_added(name);
        // Not everything that is shared is listed.
        if !is_shared && self.open_shared(name).is_err() {
            let name = Escaped::text(name.as_str());
            return Err(AddError(format!("{name} is not shared here")));
        }
        let mut roots = Roots::clone(&self.roots);
        roots.remove(name);
        self.rearrange(roots, Found::default(), name);
        let name = name.clone().into_owned();
        Ok(RemoveSummary {
            name,
            totals: extent,
        })
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
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM) => Unavailable::Busy,
        _ => Unavailable::Failed(error.to_string()),
    }
}
