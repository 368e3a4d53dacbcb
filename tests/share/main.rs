//! A share as its node sees it: files and folders that are added at run time, and
//! scans.

#![allow(missing_docs, clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use peerline::node::{FileContent, Share, Unavailable};
use peerline::protocol::{ContentHash, FileItem, FileName, MaybeHash};
use peerline::share::{Folder, FolderSettings, HashWorker, ScanWorker, ShareUpdate};
use rustix::fs::{CWD, Mode, mkfifoat};
use tempfile::TempDir;

/// A temporary folder with the node's folder `share`, which holds the file `own`, and
/// other files beside it.
struct Fixture {
    dir: TempDir,
    folder: Folder,
    /// Not started: the test runs the scans.
    scan_worker: ScanWorker,
    _hash_worker: HashWorker,
    /// Number of GET requests. Each is a read of its own.
    arrivals: u64,
}

impl Fixture {
    fn new(files: &[&str]) -> Self {
        Self::with_max_files(files, 100)
    }

    fn with_max_files(files: &[&str], max_files: usize) -> Self {
        Self::with_settings(files, max_files, false)
    }

    fn with_settings(files: &[&str], max_files: usize, hidden: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for path in files.iter().chain(&["share/own"]) {
            write(&dir.path().join(path));
        }
        let settings = FolderSettings {
            sha256: false,
            hidden,
            max_files,
            max_cached: 1000,
            max_hashed: u64::MAX,
            rescan_interval: Duration::MAX,
        };
        let path = dir.path().join("share");
        let (folder, scan_worker, hash_worker) = Folder::open(&path, settings).unwrap();
        Self {
            dir,
            folder,
            scan_worker,
            _hash_worker: hash_worker,
            arrivals: 0,
        }
    }

    fn path(&self, path: &str) -> String {
        let path = self.dir.path().join(path);
        path.to_str().unwrap().to_owned()
    }

    /// Shares a path. Returns the message for the user.
    fn add(&mut self, path: &str) -> String {
        let path = self.path(path);
        match self.folder.add(&path) {
            Ok(added) => added.to_string(),
            Err(why) => why.to_string().replace(&path, "PATH"),
        }
    }

    /// Stops sharing a name. Returns the message for the user.
    fn remove(&mut self, name: &str) -> String {
        match self.folder.remove(&FileName::parse(name).unwrap()) {
            Ok(removed) => removed.to_string(),
            Err(why) => why.to_string(),
        }
    }

    /// Runs a scan, if one is requested.
    fn scan(&mut self) -> Option<ShareUpdate> {
        self.folder.on_external_event();
        self.scan_worker.scan_if_requested()
    }

    /// The listed names after all requested scans.
    fn list(&mut self) -> Vec<String> {
        while let Some(result) = self.scan() {
            self.folder.on_message(result);
        }
        self.current_list()
    }

    /// The listed names without another scan.
    fn current_list(&mut self) -> Vec<String> {
        let mut names = Vec::new();
        let mut each = |item: &FileItem<'_>| names.push(item.name.to_string());
        self.folder.list(None, 1000, &mut each);
        assert_eq!(self.folder.count(None), names.len() as u64);
        names
    }

    /// The content of a shared file.
    fn get(&mut self, name: &str) -> Option<String> {
        self.arrivals += 1;
        let name = FileName::parse(name).unwrap();
        match self.folder.open(&name, self.arrivals) {
            Ok(FileContent::Small(content)) => {
                Some(String::from_utf8(content.bytes.to_vec()).unwrap())
            }
            Ok(FileContent::Large { .. }) => panic!("not a small file"),
            Err(Unavailable::NotFound) => None,
            Err(why) => panic!("{why:?}"),
        }
    }
}

/// Requests for parts of a file check its hash. Each would read and hash all of it.
#[test]
fn a_cached_file_is_hashed_once_until_it_changes() {
    let mut fixture = Fixture::new(&[]);
    let hash = |fixture: &mut Fixture| {
        fixture.arrivals += 1;
        let name = FileName::parse("own").unwrap();
        let content = fixture.folder.open(&name, fixture.arrivals);
        let Ok(FileContent::Small(content)) = content else {
            panic!("not a small file");
        };
        let was_known = content.computed.hash().is_some();
        assert_eq!(content.hash(), ContentHash::of(content.bytes));
        (was_known, content.hash())
    };
    // The first request brings it into the cache.
    assert!(!hash(&mut fixture).0);
    hash(&mut fixture);
    let (was_known, before) = hash(&mut fixture);
    assert!(was_known);
    fs::write(fixture.path("share/own"), "changed").unwrap();
    let (was_known, after) = hash(&mut fixture);
    assert!(!was_known && after != before);
}

#[test]
fn to_open_a_file_counts_as_work_and_a_deep_folder_is_not_watched() {
    let deep = format!("{}file", "d/".repeat(400));
    let in_share = format!("share/{deep}");
    let mut fixture = Fixture::new(&["share/one/two/file", &in_share]);
    let mut work = |name: &str| {
        fixture.get(name).expect("it is shared");
        fixture.folder.take_work()
    };
    // The folder is watched, once; then the file is in the cache.
    let of_own = work("own");
    assert_eq!(work("own"), 0);
    assert!(work("one/two/file") > of_own);
    assert_eq!(work("one/two/file"), 0);
    let of_deep = work(&deep);
    assert!((1..of_own).contains(&of_deep));
    assert_eq!(work(&deep), of_deep);
}

/// Writes a file whose content is its own name.
fn write(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    fs::write(path, name).unwrap();
}

#[test]
fn add_shares_a_single_file_under_its_own_name() {
    let mut fixture = Fixture::new(&["else/file", "else/other"]);
    assert_eq!(fixture.add("else/file"), "sharing 1 file (4 B) as file");
    assert_eq!(fixture.list(), ["file", "own"]);
    assert_eq!(fixture.get("file").as_deref(), Some("file"));
    assert_eq!((fixture.get("other"), fixture.get("file/x")), (None, None));
    assert_eq!(fixture.folder.bytes(), 7);
    // The file is shared in place: a change and its removal are seen.
    fs::write(fixture.path("else/file"), "changed").unwrap();
    assert_eq!(fixture.get("file").as_deref(), Some("changed"));
    fs::remove_file(fixture.path("else/file")).unwrap();
    assert_eq!(fixture.get("file"), None);
    assert_eq!(fixture.list(), ["own"]);
    write(fixture.dir.path().join("else/file").as_path());
    assert_eq!(fixture.list(), ["file", "own"]);
    assert_eq!(
        fixture.remove("file"),
        "no longer sharing file: 1 file (4 B)"
    );
    assert_eq!(fixture.list(), ["own"]);
    assert_eq!(fixture.get("file"), None);
    assert!(fs::exists(fixture.path("else/file")).unwrap());
}

#[test]
fn add_shares_a_folder_with_its_sub_folders() {
    let mut fixture = Fixture::new(&[
        "else/music/a",
        "else/music/deep/ b",
        "else/music/.c",
        "else/d",
    ]);
    assert_eq!(fixture.add("else/music"), "sharing 2 files (3 B) as music");
    assert_eq!(fixture.list(), ["music/a", "music/deep/ b", "own"]);
    assert_eq!(fixture.get("music/deep/ b").as_deref(), Some(" b"));
    for name in ["music", "a", "music/.c", "music/deep", "else/d"] {
        assert_eq!(fixture.get(name), None, "{name}");
    }
    write(&fixture.dir.path().join("else/music/new"));
    assert_eq!(fixture.list().len(), 4);
    // First a sub-folder is removed, then the whole folder.
    let removed = fixture.remove("music/deep");
    assert_eq!(removed, "no longer sharing music/deep: 1 file (2 B)");
    assert_eq!(fixture.list(), ["music/a", "music/new", "own"]);
    assert_eq!(fixture.get("music/deep/ b"), None);
    let removed = fixture.remove("music");
    assert_eq!(removed, "no longer sharing music: 2 files (4 B)");
    assert_eq!(fixture.list(), ["own"]);
    assert_eq!(fixture.remove("music"), "music is not shared here");
    assert_eq!(fixture.add("else/music"), "sharing 3 files (6 B) as music");
}

#[test]
fn a_removed_file_of_the_folder_is_not_shared_until_it_is_added_again() {
    let mut fixture = Fixture::new(&["share/sub/a", "share/sub/b", "share/sub.txt"]);
    // The file is in the content cache.
    assert_eq!(fixture.get("own").as_deref(), Some("own"));
    assert_eq!(fixture.remove("own"), "no longer sharing own: 1 file (3 B)");
    let removed = fixture.remove("sub/a");
    assert_eq!(removed, "no longer sharing sub/a: 1 file (1 B)");
    assert_eq!(fixture.remove("sub/a"), "sub/a is not shared here");
    let removed = fixture.remove("sub");
    assert_eq!(removed, "no longer sharing sub: 1 file (1 B)");
    assert_eq!(fixture.list(), ["sub.txt"]);
    for name in ["own", "sub/a", "sub/b"] {
        assert_eq!(fixture.get(name), None, "{name}");
        assert!(fs::exists(fixture.path("share").to_owned() + "/" + name).unwrap());
    }
    // A new file of the same name is not shared either.
    fs::remove_file(fixture.path("share/own")).unwrap();
    write(&fixture.dir.path().join("share/own"));
    assert_eq!(fixture.list(), ["sub.txt"]);
    let error = "cannot share PATH: it is in sub, which is not shared; share that first";
    assert_eq!(fixture.add("share/sub/a"), error);
    assert_eq!(fixture.add("share/sub"), "sharing 2 files (2 B) as sub");
    assert_eq!(fixture.add("share/own"), "sharing 1 file (3 B) as own");
    assert_eq!(fixture.list(), ["own", "sub.txt", "sub/a", "sub/b"]);
    let error = "cannot share PATH: it is shared already, as sub/a";
    assert_eq!(fixture.add("share/sub/a"), error);
    let error = "cannot share PATH: it is the node's folder, which is shared already";
    assert_eq!(fixture.add("share"), error);
}

#[test]
fn add_refuses_what_cannot_be_shared_with_a_reason() {
    let mut fixture = Fixture::new(&["else/own", "else/sub/x", "share/sub/y", "else/.ssh", "b\\c"]);
    mkfifoat(CWD, fixture.path("fifo"), Mode::RWXU).unwrap();
    for (path, reason) in [
        ("none", "No such file or directory"),
        ("fifo", "it is neither a file nor a folder"),
        (
            "else/.ssh",
            "names that start with a dot are shared with --hidden only",
        ),
        (
            "b\\c",
            "a file name must not contain control characters or backslashes",
        ),
        (
            "else/own",
            "own is shared already; unshare that first, or give this another name",
        ),
        (
            "else/sub",
            "sub is shared already; unshare that first, or give this another name",
        ),
    ] {
        assert_eq!(fixture.add(path), format!("cannot share PATH: {reason}"));
    }
    let root = fixture.folder.add("/").unwrap_err().to_string();
    assert_eq!(root, "cannot share /: it has no name that can be shared");
    assert_eq!(fixture.list(), ["own", "sub/y"]);
}

#[test]
fn an_unfinished_file_is_not_shared_even_with_hidden_files() {
    let files = [
        "share/.a.part",
        "share/.b.7f3a.part",
        "share/.c",
        "else/.d.part",
    ];
    let mut fixture = Fixture::with_settings(&files, 100, true);
    assert_eq!(fixture.list(), [".c", "own"]);
    assert_eq!(
        (fixture.get(".a.part"), fixture.get(".b.7f3a.part")),
        (None, None)
    );
    let error = "cannot share PATH: it is a file that is being fetched";
    assert_eq!(fixture.add("else/.d.part"), error);
}

impl Fixture {
    /// The console fetches these files.
    fn fetch(&mut self, names: &[&str]) {
        let items = names.iter().map(|name| FileItem {
            size: 7,
            hash: MaybeHash(Some(ContentHash::of(b"content"))),
            holders: 1,
            name: FileName::parse(name).unwrap(),
        });
        self.folder.set_partial_files(items.collect());
    }

    fn is_incomplete(&mut self, name: &str) -> bool {
        self.arrivals += 1;
        let name = FileName::parse(name).unwrap();
        let opened = self.folder.open(&name, self.arrivals);
        matches!(opened, Err(Unavailable::Incomplete))
    }
}

/// A file that is being fetched is shared under the same rules as one that is there.
#[test]
fn an_incomplete_file_with_a_name_that_is_not_shared_is_not_listed() {
    let names = ["big", ".hidden", ".git/pack", "a/.b/c"];
    let mut fixture = Fixture::new(&[]);
    fixture.fetch(&names);
    assert_eq!(fixture.list(), ["big", "own"]);
    assert!(fixture.is_incomplete("big"));
    assert!(!fixture.is_incomplete(".git/pack"));
    // It is fetched into the node's folder, and this name is that of another one.
    write(&fixture.dir.path().join("more/file"));
    fixture.add("more");
    fixture.fetch(&["big", "more/new"]);
    assert_eq!(fixture.list(), ["big", "more/file", "own"]);
    let mut fixture = Fixture::with_settings(&[], 100, true);
    fixture.fetch(&[&names[..], &["a/.x.part"]].concat());
    assert_eq!(
        fixture.list(),
        [".git/pack", ".hidden", "a/.b/c", "big", "own"]
    );
}

#[test]
fn an_incomplete_file_that_is_removed_is_not_listed_again() {
    let mut fixture = Fixture::new(&[]);
    fixture.fetch(&["big", "docs/one", "docs/two"]);
    assert_eq!(
        fixture.remove("docs"),
        "no longer sharing docs: 2 files (14 B)"
    );
    assert_eq!(fixture.current_list(), ["big", "own"]);
    assert_eq!(fixture.list(), ["big", "own"]);
    assert!(!fixture.is_incomplete("docs/one"));
    // Another download begins.
    fixture.fetch(&["big", "docs/one", "docs/two", "other"]);
    assert_eq!(fixture.list(), ["big", "other", "own"]);
    fixture.remove("big");
    assert_eq!(fixture.list(), ["other", "own"]);
}

/// The file that had a name first keeps it.
#[test]
fn a_name_has_one_file() {
    let mut fixture = Fixture::new(&["else/file", "else/own"]);
    fixture.add("else/file");
    fs::write(fixture.path("share/file"), "another").unwrap();
    assert_eq!(fixture.list(), ["file", "own"]);
    assert_eq!(fixture.get("file").as_deref(), Some("file"));
    // The later file of that name is not shared instead, unless it is added.
    fixture.remove("file");
    assert_eq!(fixture.list(), ["own"]);
    assert_eq!(fixture.get("file"), None);
    assert_eq!(fixture.add("share/file"), "sharing 1 file (7 B) as file");
    // When a file of the node's folder is removed, its name is free.
    fixture.remove("own");
    assert_eq!(fixture.add("else/own"), "sharing 1 file (3 B) as own");
    fixture.remove("own");
    assert_eq!(fixture.list(), ["file"]);
    assert_eq!(fixture.get("own"), None);
}

#[test]
fn links_in_added_roots_do_not_lead_out() {
    let mut fixture = Fixture::new(&["else/file", "else/secret", "else/sub/x"]);
    fixture.add("else/file");
    fixture.add("else/sub");
    symlink("../secret", fixture.path("else/sub/out")).unwrap();
    symlink("x", fixture.path("else/sub/in")).unwrap();
    fs::remove_file(fixture.path("else/file")).unwrap();
    symlink("secret", fixture.path("else/file")).unwrap();
    assert_eq!(fixture.list(), ["own", "sub/in", "sub/x"]);
    assert_eq!(fixture.get("sub/in").as_deref(), Some("x"));
    assert_eq!((fixture.get("file"), fixture.get("sub/out")), (None, None));
    // When a link is added, its target is shared.
    assert_eq!(fixture.add("else/file"), "sharing 1 file (6 B) as secret");
}

#[test]
fn max_files_counts_the_files_of_all_roots() {
    let mut fixture = Fixture::with_max_files(&["else/a", "else/b", "more/c", "one"], 3);
    assert_eq!(fixture.add("else"), "sharing 2 files (2 B) as else");
    let error = "cannot share PATH: it makes more than 3 files; see --max-files";
    assert_eq!(fixture.add("more"), error);
    assert_eq!(fixture.add("one"), error);
    assert_eq!(fixture.list(), ["else/a", "else/b", "own"]);
    fixture.remove("else/a");
    assert_eq!(fixture.add("one"), "sharing 1 file (3 B) as one");
}

/// The roots can change while a scan is running in its thread.
#[test]
fn a_scan_of_old_roots_is_ignored() {
    let mut fixture = Fixture::new(&["else/file", "share/second"]);
    write(&fixture.dir.path().join("share/new"));
    let result = fixture.scan().unwrap();
    assert_eq!(fixture.remove("own"), "no longer sharing own: 1 file (3 B)");
    assert_eq!(fixture.add("else/file"), "sharing 1 file (4 B) as file");
    assert_eq!(fixture.folder.on_message(result), None);
    assert_eq!(fixture.current_list(), ["file", "second"]);
    assert_eq!(fixture.list(), ["file", "new", "second"]);
}

#[test]
fn a_change_during_a_scan_requests_another_scan() {
    let mut fixture = Fixture::new(&[]);
    assert!(fixture.scan().is_none(), "nothing has changed");
    write(&fixture.dir.path().join("share/first"));
    let result = fixture.scan().unwrap();
    write(&fixture.dir.path().join("share/second"));
    assert!(fixture.scan().is_none(), "one at a time");
    let pause = fixture.folder.on_message(result);
    assert_eq!(pause, Some(Duration::ZERO));
    assert_eq!(fixture.current_list(), ["first", "own"]);
    let result = fixture.scan().unwrap();
    let pause = fixture.folder.on_message(result);
    assert!(pause.is_some());
    assert_eq!(fixture.current_list(), ["first", "own", "second"]);
    assert!(fixture.scan().is_none(), "that was all");
}

#[test]
fn a_file_that_is_added_again_is_listed_once() {
    let mut fixture = Fixture::new(&["share/sub/a", "share/sub/b", "share/sub.txt"]);
    fixture.remove("sub/a");
    assert_eq!(fixture.current_list(), ["own", "sub.txt", "sub/b"]);
    assert_eq!(fixture.add("share/sub"), "sharing 2 files (2 B) as sub");
    assert_eq!(fixture.current_list(), ["own", "sub.txt", "sub/a", "sub/b"]);
    assert_eq!(fixture.folder.bytes(), 12);
    assert_eq!(fixture.remove("own"), "no longer sharing own: 1 file (3 B)");
    assert_eq!(fixture.folder.bytes(), 9);
}
