//! What is kept in memory is never older than the request: a change that was
//! complete before it was asked for is seen.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Instant;

use crate::support::{Nc, eventually, folder, node_with_relay};

/// How often each kind of change is made and looked at.
const ROUNDS: usize = 300;

/// Asks for the same file over and over on one connection.
struct Reader<'a> {
    nc: Nc,
    name: &'a str,
}

impl Reader<'_> {
    /// What the node gives, or nothing if it is not found.
    fn get(&mut self) -> Option<Vec<u8>> {
        let answer = self.nc.ask(&format!("GET {}", self.name));
        let size = answer.strip_prefix("FOUND ")?.trim_end().parse();
        Some(self.nc.bytes(size.expect("a size")))
    }

    /// Asked twice, so that the second answer may come from memory.
    #[track_caller]
    fn expect(&mut self, content: Option<&[u8]>, after: &str) {
        for _ in 0..2 {
            let got = self.get();
            assert_eq!(got.as_deref(), content, "{}, after {after}", self.name);
        }
    }
}

/// Changes the file at `path` in all ways that there are, and each time asks.
fn change_and_ask(reader: &mut Reader<'_>, path: &Path) {
    let aside = path.with_extension("new");
    for round in 0..ROUNDS {
        let text = |what: &str| format!("{what} {round}\n").into_bytes();
        fs::write(path, text("written")).expect("a file");
        reader.expect(Some(&text("written")), "write");
        let mut file = OpenOptions::new().write(true).open(path).expect("a file");
        file.write_all(b"W").expect("it takes bytes");
        let mut content = text("written");
        content[0] = b'W';
        reader.expect(Some(&content), "a write of the same length");
        file.seek(std::io::SeekFrom::End(0)).expect("a file");
        file.write_all(b"more\n").expect("it takes bytes");
        content.extend_from_slice(b"more\n");
        reader.expect(Some(&content), "an append");
        file.set_len(3).expect("a size");
        reader.expect(Some(&content[..3]), "truncate");
        fs::write(&aside, text("renamed")).expect("a file");
        fs::rename(&aside, path).expect("a new name");
        reader.expect(Some(&text("renamed")), "rename");
        // The file that has lost its name is not the one that is asked for.
        file.set_len(1).expect("a size");
        reader.expect(Some(&text("renamed")), "truncate of the old one");
        fs::rename(path, &aside).expect("a new name");
        reader.expect(None, "rename to another name");
        fs::rename(&aside, path).expect("a new name");
        reader.expect(Some(&text("renamed")), "rename back");
        fs::remove_file(path).expect("it goes");
        reader.expect(None, "unlink");
    }
}

#[test]
fn a_change_is_seen_by_the_next_request() {
    let share = folder(&[("other", b"other\n")]);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let nc = Nc::connect(node.address());
    let mut reader = Reader { nc, name: "file" };
    change_and_ask(&mut reader, &share.path().join("file"));
}

#[test]
fn below_folders_as_well() {
    let share = folder(&[("a/b/other", b"other\n")]);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let nc = Nc::connect(node.address());
    let name = "a/b/file";
    let mut reader = Reader { nc, name };
    change_and_ask(&mut reader, &share.path().join(name));
}

#[test]
fn a_folder_that_goes_takes_its_files_along() {
    let share = folder(&[("a/b/file", b"first\n"), ("c/b/file", b"second\n")]);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let nc = Nc::connect(node.address());
    let name = "a/b/file";
    let mut reader = Reader { nc, name };
    let (a, c, aside) = (
        share.path().join("a"),
        share.path().join("c"),
        share.path().join("aside"),
    );
    for _ in 0..ROUNDS {
        reader.expect(Some(b"first\n"), "the beginning");
        fs::rename(&a, &aside).expect("a new name");
        reader.expect(None, "rename of the folder");
        fs::rename(&c, &a).expect("a new name");
        reader.expect(Some(b"second\n"), "another folder in its place");
        fs::write(a.join("b/file"), "third\n").expect("a file");
        reader.expect(Some(b"third\n"), "write");
        fs::write(a.join("b/file"), "second\n").expect("a file");
        fs::rename(&a, &c).expect("a new name");
        // A link to a folder is another way, which is not watched.
        symlink("aside", &a).expect("a link");
        reader.expect(Some(b"first\n"), "a link in its place");
        fs::write(aside.join("b/file"), "fourth\n").expect("a file");
        reader.expect(Some(b"fourth\n"), "write behind the link");
        fs::write(aside.join("b/file"), "first\n").expect("a file");
        fs::remove_file(&a).expect("it goes");
        reader.expect(None, "unlink of the link");
        fs::rename(&aside, &a).expect("a new name");
    }
}

#[test]
fn links_from_elsewhere_are_looked_behind() {
    let share = folder(&[("target", b"first\n"), ("hard", b"first\n")]);
    let outside = folder(&[]);
    symlink("target", share.path().join("soft")).expect("a link");
    let other_name = outside.path().join("name");
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let nc = Nc::connect(node.address());
    let mut soft = Reader { nc, name: "soft" };
    for round in 0..ROUNDS {
        let content = format!("{round}\n");
        fs::write(share.path().join("target"), &content).expect("a file");
        soft.expect(Some(content.as_bytes()), "write to a link's target");
    }
    // A new hard link is no event, and so are changes by way of it: the content
    // is read again a second later at the latest.
    let nc = Nc::connect(node.address());
    let mut hard = Reader { nc, name: "hard" };
    hard.expect(Some(b"first\n"), "the beginning");
    if fs::hard_link(share.path().join("hard"), &other_name).is_ok() {
        fs::write(&other_name, "second\n").expect("a file");
        let written = Instant::now();
        eventually("the change", || hard.get().as_deref() == Some(b"second\n"));
        let second = std::time::Duration::from_millis(1500);
        assert!(written.elapsed() < second, "{:?}", written.elapsed());
        for round in 0..ROUNDS {
            let content = format!("{round}\n");
            fs::write(&other_name, &content).expect("a file");
            hard.expect(Some(content.as_bytes()), "write by the other name");
        }
    }
}

#[test]
fn more_than_fits_and_more_events_than_the_queue_holds_do_no_harm() {
    let share = folder(&[("file", b"first\n")]);
    let (node, _relay) = node_with_relay(share.path(), &["--max-kept", "2000"]);
    let nc = Nc::connect(node.address());
    let mut reader = Reader { nc, name: "file" };
    reader.expect(Some(b"first\n"), "the beginning");
    // fs.inotify.max_queued_events is 16,384 by default.
    for _ in 0..10_000 {
        for name in ["x", "y"] {
            drop(File::create(share.path().join(name)).expect("a file"));
            fs::remove_file(share.path().join(name)).expect("it goes");
        }
    }
    fs::write(share.path().join("file"), "second\n").expect("a file");
    reader.expect(Some(b"second\n"), "an overflow");
    for round in 0..ROUNDS {
        let content = vec![b'x'; 1000 + round];
        fs::write(share.path().join("file"), &content).expect("a file");
        fs::write(share.path().join("other"), &content).expect("a file");
        reader.expect(Some(&content), "a content that fits only alone");
        reader.name = if round % 2 == 0 { "other" } else { "file" };
        reader.expect(Some(&content), "another one");
    }
}
