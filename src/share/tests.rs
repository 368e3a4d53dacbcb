//! What is added to a folder at run time, and taken back.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{CWD, Mode, mkfifoat};
use tempfile::TempDir;

use crate::node::{FileContent, Share, Unavailable};
use crate::protocol::FileName;
use crate::share::{Finding, Folder, FolderSettings, Hasher, Scanner, Walked};

/// A node's folder, `share`, with the file `own`, and what lies beside it.
struct Home {
    place: TempDir,
    folder: Folder,
    /// Its thread, which is none here.
    scanner: Scanner,
    _hasher: Hasher,
    /// Requests so far, each of which arrives alone.
    arrivals: u64,
}

impl Home {
    fn new(beside: &[&str]) -> Self {
        Self::with(beside, 100)
    }

    fn with(beside: &[&str], max_files: usize) -> Self {
        let place = tempfile::tempdir().unwrap();
        for path in beside.iter().chain(&["share/own"]) {
            write(&place.path().join(path));
        }
        let hidden = false;
        let settings = FolderSettings {
            hidden,
            max_files,
            max_kept: 1000,
        };
        let mut folder = Folder::open(&place.path().join("share"), settings).unwrap();
        let (scanner, hasher) = folder.workers().unwrap();
        let arrivals = 0;
        Self {
            place,
            folder,
            scanner,
            _hasher: hasher,
            arrivals,
        }
    }

    fn path(&self, path: &str) -> String {
        let path = self.place.path().join(path);
        path.to_str().unwrap().to_owned()
    }

    /// What is said about it.
    fn add(&mut self, path: &str) -> String {
        let path = self.path(path);
        match self.folder.add(&path) {
            Ok(added) => added.to_string(),
            Err(why) => why.to_string().replace(&path, "PATH"),
        }
    }

    fn remove(&mut self, name: &str) -> String {
        match self.folder.remove(&FileName::parse(name).unwrap()) {
            Ok(removed) => removed.to_string(),
            Err(why) => why.to_string(),
        }
    }

    /// What is found now, if a walk is wanted.
    fn walked(&mut self) -> Option<Walked> {
        self.folder.on_external_event();
        let roots = self.scanner.jobs.try_recv().ok()?;
        Some(self.scanner.walk(roots))
    }

    /// After all walks that are wanted.
    fn list(&mut self) -> Vec<String> {
        while let Some(walked) = self.walked() {
            self.folder.on_message(Finding::Walked(walked));
        }
        self.last_list()
    }

    fn last_list(&mut self) -> Vec<String> {
        let mut names = Vec::new();
        let mut each = |item: &crate::protocol::FileItem<'_>| names.push(item.name.to_string());
        self.folder.list(None, 1000, &mut each);
        assert_eq!(self.folder.count(None), names.len() as u64);
        names
    }

    /// The content, which is the path below the home as it was written.
    fn get(&mut self, name: &str) -> Option<String> {
        self.arrivals += 1;
        match self
            .folder
            .open(&FileName::parse(name).unwrap(), self.arrivals)
        {
            Ok(FileContent::Small(bytes)) => Some(String::from_utf8(bytes.to_vec()).unwrap()),
            Ok(FileContent::Large { .. }) => panic!("it is small"),
            Err(Unavailable::NotFound) => None,
            Err(why) => panic!("{why:?}"),
        }
    }
}

/// Its content is its own name.
fn write(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    fs::write(path, name).unwrap();
}

#[test]
fn a_file_elsewhere_is_shared_under_its_own_name_and_alone() {
    let mut home = Home::new(&["else/file", "else/other"]);
    assert_eq!(home.add("else/file"), "sharing 1 file (4 B) as file");
    assert_eq!(home.list(), ["file", "own"]);
    assert_eq!(home.get("file").as_deref(), Some("file"));
    assert_eq!((home.get("other"), home.get("file/x")), (None, None));
    assert_eq!(home.folder.bytes(), 7);
    // Where it lies: a change is seen, and so is its end.
    fs::write(home.path("else/file"), "changed").unwrap();
    assert_eq!(home.get("file").as_deref(), Some("changed"));
    fs::remove_file(home.path("else/file")).unwrap();
    assert_eq!(home.get("file"), None);
    assert_eq!(home.list(), ["own"]);
    write(home.place.path().join("else/file").as_path());
    assert_eq!(home.list(), ["file", "own"]);
    assert_eq!(home.remove("file"), "no longer sharing file: 1 file (4 B)");
    assert_eq!((home.list(), home.get("file")), (vec!["own".into()], None));
    assert!(fs::exists(home.path("else/file")).unwrap());
}

#[test]
fn a_folder_elsewhere_is_shared_with_all_that_is_in_it() {
    let mut home = Home::new(&[
        "else/music/a",
        "else/music/deep/ b",
        "else/music/.c",
        "else/d",
    ]);
    assert_eq!(home.add("else/music"), "sharing 2 files (3 B) as music");
    assert_eq!(home.list(), ["music/a", "music/deep/ b", "own"]);
    assert_eq!(home.get("music/deep/ b").as_deref(), Some(" b"));
    for none in ["music", "a", "music/.c", "music/deep", "else/d"] {
        assert_eq!(home.get(none), None, "{none}");
    }
    write(&home.place.path().join("else/music/new"));
    assert_eq!(home.list().len(), 4);
    // A part of it is taken back, and the rest.
    let removed = home.remove("music/deep");
    assert_eq!(removed, "no longer sharing music/deep: 1 file (2 B)");
    assert_eq!(home.list(), ["music/a", "music/new", "own"]);
    assert_eq!(home.get("music/deep/ b"), None);
    let removed = home.remove("music");
    assert_eq!(removed, "no longer sharing music: 2 files (4 B)");
    assert_eq!(home.list(), ["own"]);
    assert_eq!(home.remove("music"), "music is not shared here");
    assert_eq!(home.add("else/music"), "sharing 3 files (6 B) as music");
}

#[test]
fn what_is_in_the_folder_is_withheld_until_it_is_shared_again() {
    let mut home = Home::new(&["share/sub/a", "share/sub/b", "share/sub.txt"]);
    // Also what was just given from memory.
    assert_eq!(home.get("own").as_deref(), Some("own"));
    assert_eq!(home.remove("own"), "no longer sharing own: 1 file (3 B)");
    let removed = home.remove("sub/a");
    assert_eq!(removed, "no longer sharing sub/a: 1 file (1 B)");
    assert_eq!(home.remove("sub/a"), "sub/a is not shared here");
    let removed = home.remove("sub");
    assert_eq!(removed, "no longer sharing sub: 1 file (1 B)");
    assert_eq!(home.list(), ["sub.txt"]);
    for none in ["own", "sub/a", "sub/b"] {
        assert_eq!(home.get(none), None, "{none}");
        assert!(fs::exists(home.path("share").to_owned() + "/" + none).unwrap());
    }
    // Also as another file, or after another look at the disk.
    fs::remove_file(home.path("share/own")).unwrap();
    write(&home.place.path().join("share/own"));
    assert_eq!(home.list(), ["sub.txt"]);
    let refused = "cannot share PATH: it is in sub, which is not shared; share that first";
    assert_eq!(home.add("share/sub/a"), refused);
    assert_eq!(home.add("share/sub"), "sharing 2 files (2 B) as sub");
    assert_eq!(home.add("share/own"), "sharing 1 file (3 B) as own");
    assert_eq!(home.list(), ["own", "sub.txt", "sub/a", "sub/b"]);
    let refused = "cannot share PATH: it is shared already, as sub/a";
    assert_eq!(home.add("share/sub/a"), refused);
    let refused = "cannot share PATH: it is the node's folder, which is shared already";
    assert_eq!(home.add("share"), refused);
}

#[test]
fn what_cannot_be_shared_is_refused_with_what_to_do() {
    let mut home = Home::new(&["else/own", "else/sub/x", "share/sub/y", "else/.ssh", "b\\c"]);
    mkfifoat(CWD, home.path("fifo"), Mode::RWXU).unwrap();
    for (path, why) in [
        ("none", "No such file or directory (os error 2)"),
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
        assert_eq!(home.add(path), format!("cannot share PATH: {why}"));
    }
    let root = home.folder.add("/").unwrap_err().to_string();
    assert_eq!(root, "cannot share /: it has no name that can be shared");
    assert_eq!(home.list(), ["own", "sub/y"]);
}

/// What was there first is what a name leads to.
#[test]
fn a_name_leads_to_one_place() {
    let mut home = Home::new(&["else/file", "else/own"]);
    home.add("else/file");
    fs::write(home.path("share/file"), "another").unwrap();
    assert_eq!(home.list(), ["file", "own"]);
    assert_eq!(home.get("file").as_deref(), Some("file"));
    // What came later does not take its place unsolicited.
    home.remove("file");
    assert_eq!((home.list(), home.get("file")), (vec!["own".into()], None));
    assert_eq!(home.add("share/file"), "sharing 1 file (7 B) as file");
    // One of its own that is withheld makes room.
    home.remove("own");
    assert_eq!(home.add("else/own"), "sharing 1 file (3 B) as own");
    home.remove("own");
    assert_eq!((home.list(), home.get("own")), (vec!["file".into()], None));
}

#[test]
fn no_link_leads_from_an_added_file_or_folder_to_what_is_not_shared() {
    let mut home = Home::new(&["else/file", "else/secret", "else/sub/x"]);
    home.add("else/file");
    home.add("else/sub");
    symlink("../secret", home.path("else/sub/out")).unwrap();
    symlink("x", home.path("else/sub/in")).unwrap();
    fs::remove_file(home.path("else/file")).unwrap();
    symlink("secret", home.path("else/file")).unwrap();
    assert_eq!(home.list(), ["own", "sub/in", "sub/x"]);
    assert_eq!(home.get("sub/in").as_deref(), Some("x"));
    assert_eq!((home.get("file"), home.get("sub/out")), (None, None));
    // Asked for by its path, it is what it leads to that is shared.
    assert_eq!(home.add("else/file"), "sharing 1 file (6 B) as secret");
}

#[test]
fn the_limit_is_that_of_all_together() {
    let mut home = Home::with(&["else/a", "else/b", "more/c", "one"], 3);
    assert_eq!(home.add("else"), "sharing 2 files (2 B) as else");
    let refused = "cannot share PATH: it makes more than 3 files; see --max-files";
    assert_eq!(home.add("more"), refused);
    assert_eq!(home.add("one"), refused);
    assert_eq!(home.list(), ["else/a", "else/b", "own"]);
    home.remove("else/a");
    assert_eq!(home.add("one"), "sharing 1 file (3 B) as one");
}

/// A walk takes its time, and the loop goes on meanwhile.
#[test]
fn a_walk_that_began_before_the_places_were_others_is_of_no_use() {
    let mut home = Home::new(&["else/file", "share/second"]);
    write(&home.place.path().join("share/new"));
    let walked = home.walked().unwrap();
    assert_eq!(home.remove("own"), "no longer sharing own: 1 file (3 B)");
    assert_eq!(home.add("else/file"), "sharing 1 file (4 B) as file");
    assert_eq!(home.folder.on_message(Finding::Walked(walked)), None);
    assert_eq!(home.last_list(), ["file", "second"]);
    assert_eq!(home.list(), ["file", "new", "second"]);
}

#[test]
fn what_changes_during_a_walk_is_looked_at_after_it() {
    let mut home = Home::new(&[]);
    assert!(home.walked().is_none(), "nothing has changed");
    write(&home.place.path().join("share/first"));
    let walked = home.walked().unwrap();
    write(&home.place.path().join("share/second"));
    assert!(home.walked().is_none(), "one at a time");
    let pause = home.folder.on_message(Finding::Walked(walked));
    assert_eq!(pause, Some(Duration::ZERO));
    assert_eq!(home.last_list(), ["first", "own"]);
    let walked = home.walked().unwrap();
    assert!(home.folder.on_message(Finding::Walked(walked)).is_some());
    assert_eq!(home.last_list(), ["first", "own", "second"]);
    assert!(home.walked().is_none(), "that was all");
}

#[test]
fn what_is_shared_again_is_listed_once() {
    let mut home = Home::new(&["share/sub/a", "share/sub/b", "share/sub.txt"]);
    home.remove("sub/a");
    assert_eq!(home.last_list(), ["own", "sub.txt", "sub/b"]);
    assert_eq!(home.add("share/sub"), "sharing 2 files (2 B) as sub");
    assert_eq!(home.last_list(), ["own", "sub.txt", "sub/a", "sub/b"]);
    assert_eq!(home.folder.bytes(), 12);
    assert_eq!(home.remove("own"), "no longer sharing own: 1 file (3 B)");
    assert_eq!(home.folder.bytes(), 9);
}
