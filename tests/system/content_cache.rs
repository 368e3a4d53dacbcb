//! The node's content cache is never older than the request: a change that was complete
//! before the request is seen.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Instant;

use crate::support::{Nc, eventually, folder, node_with_relay};

/// Repetitions of each kind of change.
const ROUNDS: usize = 300;

/// Fetches the same file again and again over one connection.
struct Reader<'a> {
    nc: Nc,
    name: &'a str,
}

impl Reader<'_> {
    /// The content, or None if the file is not found.
    fn get(&mut self) -> Option<Vec<u8>> {
        let answer = self.nc.ask(&format!("GET {}", self.name));
        let size = answer.strip_prefix("FOUND ")?.trim_end().parse();
        Some(self.nc.bytes(size.expect("a size")))
    }

    /// Fetches twice, so that the second reply can come from the cache.
    #[track_caller]
    fn expect(&mut self, content: Option<&[u8]>, after: &str) {
        for _ in 0..2 {
            let got = self.get();
            assert_eq!(got.as_deref(), content, "{}, after {after}", self.name);
        }
    }
}

/// Changes the file at `path` in every way, and fetches after each change.
fn check_every_change(reader: &mut Reader<'_>, path: &Path) {
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
        // The replaced file has no name any more: its changes must not be seen.
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
fn a_file_change_is_seen_by_the_next_request() {
    let share = folder(&[("other", b"other\n")]);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let nc = Nc::connect(node.address());
    let mut reader = Reader { nc, name: "file" };
    check_every_change(&mut reader, &share.path().join("file"));
}

#[test]
fn a_change_in_a_sub_folder_is_seen_by_the_next_request() {
    let share = folder(&[("a/b/other", b"other\n")]);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let nc = Nc::connect(node.address());
    let name = "a/b/file";
    let mut reader = Reader { nc, name };
    check_every_change(&mut reader, &share.path().join(name));
}

#[test]
fn a_renamed_folder_is_seen_by_the_next_request() {
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
        // A link to a folder is another path, which is not watched.
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
fn changes_behind_links_are_seen() {
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
    // Neither a new hard link nor a change through it is an event: the content is
    // read again within a second.
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
fn a_full_cache_and_an_event_overflow_are_harmless() {
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
