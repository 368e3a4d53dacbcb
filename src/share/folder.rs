//! The node's folder as a [`Share`], with the files and folders that are added to
//! it at run time.

use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use log::{info, warn};

use crate::escaped::Escaped;
use crate::logging::OPERATOR;
use crate::node::{FileContent, FileRevision, ListedFile, Share, Unavailable};
use crate::protocol::{FileItem, FileName, FileStat, MaybeHash, PieceList, Sha256Digest};
use crate::share::catalog::{Catalog, CatalogEntry};
use crate::share::content_reader::{ContentReader, unavailable};
use crate::share::file_identity::FileIdentity;
use crate::share::folder_settings::FolderSettings;
use crate::share::hash_worker::HashWorker;
use crate::share::root::Root;
use crate::share::roots::{Roots, add_error};
use crate::share::scan_worker::{SCAN_DELAY, ScanWorker};
use crate::share::shared_file::SharedFile;
use crate::share::walk::{OutOfResources, Walk, WalkResult};
use crate::share::watch::{FolderWatch, WrittenFiles};
use crate::share::worker_messages::{HashRequest, ScanResult, ShareUpdate};

/// A folder with its sub-folders, and what was added to it.
pub struct Folder {
    roots: Arc<Roots>,
    /// See [`Share::root_changes`].
    root_changes: u64,
    settings: FolderSettings,
    catalog: Catalog,
    /// The revision at the last call of [`Share::revision`].
    last_revision: u64,
    watch: Arc<FolderWatch>,
    scan_requests: Sender<Arc<Roots>>,
    /// A scan was requested and has no result yet.
    is_scan_pending: bool,
    /// The last scan has read all folders. Else the list of files is an older one.
    is_scan_complete: bool,
    hash_requests: Sender<HashRequest>,
    reader: ContentReader,
}

impl Folder {
    /// Shares the folder at `path`. Also returns the worker threads, to be started
    /// once. Their results are for [`Share::on_message`].
    ///
    /// # Errors
    /// It is not a folder, or cannot be read.
    pub fn open(
        path: &Path,
        settings: FolderSettings,
    ) -> io::Result<(Self, ScanWorker, HashWorker)> {
        let main = Root::whole_folder(path, None)?;
        let watch = Arc::new(FolderWatch::new());
        let (scan_requests, requests) = channel();
        let (hash_requests, hashes) = channel();
        let hash_worker = HashWorker {
            requests: hashes,
            has_sha256: settings.sha256,
        };
        let reader = ContentReader::new(&main, settings.max_cached);
        let roots = Arc::new(Roots::new(main, settings.hidden));
        let scan_worker = ScanWorker {
            requests,
            last_roots: Arc::downgrade(&roots),
            max_files: settings.max_files,
            rescan_interval: settings.rescan_interval,
            watch: Arc::clone(&watch),
        };
        let first_scan = scan_worker.scan(Arc::clone(&roots));
        let mut folder = Self {
            roots,
            root_changes: 0,
            settings,
            catalog: Catalog::default(),
            last_revision: 0,
            watch,
            scan_requests,
            is_scan_pending: false,
            is_scan_complete: true,
            hash_requests,
            reader,
        };
        folder.on_scan_result(first_scan);
        Ok((folder, scan_worker, hash_worker))
    }

    /// The path of the node's folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.roots.main().location
    }

    /// A descriptor to poll. When it is readable, call [`Share::on_external_event`].
    #[must_use]
    pub fn inotify_fd(&self) -> Option<OwnedFd> {
        self.watch.inotify.as_ref()?.try_clone().ok()
    }

    /// Requests a scan if the list of files may be out of date.
    fn refresh(&mut self) {
        if self.watch.has_changed() {
            self.request_scan();
        }
    }

    fn request_scan(&mut self) {
        if !self.is_scan_pending {
            self.is_scan_pending = self.scan_requests.send(Arc::clone(&self.roots)).is_ok();
        }
    }

    /// Updates the list of files. After a failed scan the old list stays: an incomplete
    /// new one would be worse.
    fn on_scan_result(&mut self, result: ScanResult) {
        self.is_scan_pending = false;
        let was_complete = self.is_scan_complete;
        self.is_scan_complete = result.walk.is_ok();
        match result.walk {
            Ok(mut walk) if Arc::ptr_eq(&result.requested, &self.roots) => {
                if !Arc::ptr_eq(&result.roots, &self.roots) {
                    self.root_changes += 1;
                    // What is known is of other folders.
                    walk.unread.clear();
                    self.reader = ContentReader::new(result.roots.main(), self.settings.max_cached);
                    self.roots = result.roots;
                }
                self.update(walk, None);
            }
            Ok(_) | Err(OutOfResources) => self.watch.restore(result.written),
        }
        match (was_complete, self.is_scan_complete) {
            (true, false) => warn!(
                target: OPERATOR,
                "the share cannot be read in full: too many open files or too little memory; \
                 trying again"
            ),
            (false, true) => info!(target: OPERATOR, "the share was read in full"),
            (true, true) | (false, false) => {}
        }
        if self.watch.has_changed() {
            self.request_scan();
        }
    }

    /// Updates the list within a name, or all of it, and requests missing hashes.
    fn update(&mut self, walk: WalkResult, within: Option<&str>) {
        let (roots, hash_requests) = (&self.roots, &self.hash_requests);
        let max_hashed = self.settings.max_hashed;
        let is_shared = |name: &str| roots.shares_in_main(name);
        self.catalog
            .update(walk, within, is_shared, |file, cache_use| {
                if let Some(root) = roots.root_of(&file.name)
                    && file.identity.size <= max_hashed
                {
                    // Without a hash worker there are no hashes.
                    let _ = hash_requests.send(HashRequest {
                        root: Arc::downgrade(root),
                        name: file.name.clone(),
                        identity: file.identity,
                        cache_use,
                    });
                }
            });
    }

    /// The entry of an open file, if the file has not changed since it was listed.
    fn entry_of(&mut self, name: &FileName<'_>, file: &SharedFile) -> Option<&CatalogEntry> {
        self.listed_entry(name, file.identity()?)
    }

    /// The entry of a file with this identity. If another one is listed, it is scanned again:
    /// the system has reported no change if it was linked, or changed, under a path elsewhere.
    fn listed_entry(
        &mut self,
        name: &FileName<'_>,
        identity: FileIdentity,
    ) -> Option<&CatalogEntry> {
        if self.catalog.find(name.as_str())?.identity != identity {
            self.watch.mark_changed();
            self.refresh();
            return None;
        }
        self.catalog.find(name.as_str())
    }

    /// Replaces the roots, and the list below `name` with the files of a walk.
    fn set_roots(&mut self, roots: Roots, walk: WalkResult, name: &FileName<'_>) {
        self.roots = Arc::new(roots);
        self.update(walk, Some(name.as_str()));
        self.reader.clear_cache();
        // A truncated list may have room for other files now.
        self.watch.mark_changed();
    }
}

impl Share for Folder {
    type File = SharedFile;
    type Update = ShareUpdate;

    fn open(
        &mut self,
        name: &FileName<'_>,
        arrival: u64,
    ) -> Result<FileContent<'_, SharedFile>, Unavailable> {
        match self.reader.open(&self.roots, name, arrival) {
            Err(Unavailable::NotFound) if self.catalog.is_partial(name.as_str()) => {
                Err(Unavailable::Incomplete)
            }
            opened => opened,
        }
    }

    fn take_work(&mut self) -> usize {
        self.reader.take_work()
    }

    fn open_part(&self, file: OwnedFd) -> Option<SharedFile> {
        SharedFile::part(file)
    }

    fn set_partial_files(&mut self, files: Vec<FileItem<'_>>) -> Option<Duration> {
        // A file that is complete stays in the list until the scan finds it.
        self.watch.mark_changed();
        self.refresh();
        let roots = &self.roots;
        let is_shared = |name: &str| roots.shares_in_main(name);
        let is_new = self.catalog.set_partial(files, is_shared);
        is_new.then_some(SCAN_DELAY)
    }

    fn visit_files(&mut self, start: &str, visit: &mut dyn FnMut(&ListedFile<'_>) -> bool) {
        for file in self.catalog.from(start) {
            let listed = ListedFile {
                name: &file.name,
                size: file.identity.size,
                mtime: file.identity.mtime,
                hash: file.hash,
                sha256: file.sha256(),
            };
            if !visit(&listed) {
                break;
            }
        }
    }

    fn revision(&mut self) -> u64 {
        self.refresh();
        self.last_revision = self.catalog.revision;
        self.last_revision
    }

    fn stat(&mut self, name: &FileName<'_>, arrival: u64) -> Result<FileStat, Unavailable> {
        let status = match self.reader.status(&self.roots, name, arrival) {
            Err(Unavailable::NotFound) if self.catalog.is_partial(name.as_str()) => {
                return Err(Unavailable::Incomplete);
            }
            status => status?,
        };
        let identity = status.identity;
        let hash = match self.listed_entry(name, identity) {
            Some(entry) => entry.hash,
            None => MaybeHash(None),
        };
        Ok(FileStat {
            size: identity.size,
            hash,
            mtime: identity.mtime,
            is_executable: status.is_executable,
            parts: None,
        })
    }

    fn is_shared(&self, name: &FileName<'_>) -> bool {
        let opened = self.roots.open(name).map_err(|error| unavailable(&error));
        !matches!(opened, Err(Unavailable::NotFound))
    }

    fn revision_of(&self, file: &SharedFile) -> FileRevision {
        file.revision()
    }

    fn read(&mut self, file: &SharedFile, range: Range<u64>) -> Result<&[u8], Unavailable> {
        self.reader.read(file, range)
    }

    fn pieces(&mut self, name: &FileName<'_>, file: &SharedFile) -> Option<Arc<PieceList>> {
        self.entry_of(name, file)?.pieces()
    }

    fn has_sha256(&self) -> bool {
        self.settings.sha256
    }

    fn sha256(&mut self, name: &FileName<'_>, file: &SharedFile) -> Option<Sha256Digest> {
        self.entry_of(name, file)?.sha256()
    }

    fn on_message(&mut self, update: ShareUpdate) -> Option<Duration> {
        let before = self.catalog.revision;
        let delay = match update {
            // The worker has waited already.
            ShareUpdate::Scan(result) => {
                self.on_scan_result(result);
                Duration::ZERO
            }
            ShareUpdate::Hash(result) => {
                self.catalog.set_hash(&result);
                SCAN_DELAY
            }
        };
        (self.catalog.revision != before).then_some(delay)
    }

    fn on_external_event(&mut self) -> Option<Duration> {
        self.refresh();
        (self.catalog.revision != self.last_revision).then_some(SCAN_DELAY)
    }

    fn count(&mut self, after: Option<&str>) -> u64 {
        if after.is_none() {
            self.refresh();
        }
        self.catalog.after(after).len() as u64
    }

    fn bytes(&self) -> u64 {
        self.catalog.bytes
    }

    fn skipped(&self) -> u64 {
        self.catalog.skipped.count
    }

    fn root_changes(&self) -> u64 {
        self.root_changes
    }

    fn is_complete(&self) -> bool {
        self.is_scan_complete && !self.catalog.skipped.is_incomplete
    }

    fn add(&mut self, path: &str) -> Result<String, String> {
        let mut roots = Roots::clone(&self.roots);
        let name = roots.add(path)?;
        // The walk is done here and not by the worker: the reply has the totals.
        let max = self.settings.max_files;
        let walk = Walk::new(&roots, max, &self.watch, &WrittenFiles::default())
            .within(&name)
            .map_err(|_| add_error(path, &"too many open files; try again later"))?;
        let total = self.catalog.after(None).len() as u64;
        let others = total - self.catalog.totals(name.as_str()).files;
        if walk.is_truncated || others + walk.files.len() as u64 > max as u64 {
            let why = format_args!("it makes more than {max} files; see --max-files");
            return Err(add_error(path, &why));
        }
        self.set_roots(roots, walk, &name);
        let totals = self.catalog.totals(name.as_str());
        let name = Escaped::text(name.as_str());
        Ok(format!("sharing {totals} as {name}"))
    }

    fn remove(&mut self, name: &FileName<'_>) -> Result<String, String> {
        let totals = self.catalog.totals(name.as_str());
        let is_shared = totals.files > 0 || self.roots.is_added(name);
        // A shared file may be missing in the list.
        let shown_name = Escaped::text(name.as_str());
        if !is_shared && self.roots.open(name).is_err() {
            return Err(format!("{shown_name} is not shared here"));
        }
        let mut roots = Roots::clone(&self.roots);
        roots.remove(name);
        self.set_roots(roots, WalkResult::default(), name);
        Ok(format!("no longer sharing {shown_name}: {totals}"))
    }
}
