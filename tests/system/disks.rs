//! Downloads to file systems that are full, or that cannot reserve space.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::hashes;
use crate::resume::{ResumeFixture, recorded};
use crate::small_files::SmallFilesNetwork;
use crate::support::relay_index::wait_for_hash;
use crate::support::{
    FileSystem, RunningProgram, client_command, eventually, folder, noise, relay, run,
};

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    names
        .map(|name| name.into_string().expect("text"))
        .collect()
}

#[test]
fn a_full_disk_is_told_before_the_first_byte() {
    let fixture = ResumeFixture::new();
    if let Some(disk) = FileSystem::mount(&["-t", "tmpfs", "-o", "size=4m", "none"]) {
        let output = run(fixture.command_in(disk.root(), &[]), b"").expect_code(6);
        assert!(output.stderr.contains("no space for "), "{}", output.stderr);
        assert_eq!(names(disk.root()), Vec::<String>::new());
    }
}

/// Regression: the disk was said to be full, the space of the unfinished file was kept, and
/// the small files were not fetched.
#[test]
fn of_two_large_files_for_one_space_one_fails_and_the_others_are_fetched() {
    let Some(disk) = FileSystem::mount(&["-t", "tmpfs", "-o", "size=12m", "none"]) else {
        return;
    };
    let large = noise(8_000_000, 3);
    let files = [
        ("large1", &large[..]),
        ("large2", &large),
        ("small1", &large[..2_000_000]),
        ("small2", &large[..1000]),
    ];
    let share = folder(&files);
    let relay = relay(&[]);
    let _node = hashes::node(&relay, share.path(), &["--no-hash-cache"]);
    for (name, content) in files {
        wait_for_hash(&relay, name, content, 1);
    }
    let names_of_all = files.map(|(name, _)| name);
    let args = [&["get"][..], &names_of_all, &["-d.", "--max-downloads=2"]].concat();
    let mut command = client_command(relay.address(), &args);
    // Both large files are opened before the first piece of either is there.
    command
        .args(["--limit-rate", "8MB"])
        .current_dir(disk.root());
    let output = run(command, b"").expect_code(6);
    let text = output.stderr;
    assert_eq!(text.matches("no space for ./large").count(), 1, "{text}");
    assert!(text.contains("3 files fetched, "), "{text}");
    assert!(text.contains(", 1 failed"), "{text}");
    let mut saved = names(disk.root());
    saved.sort();
    assert!(saved[0].starts_with("large"), "{saved:?}");
    assert_eq!(saved[1..], ["small1", "small2"]);
}

/// There is a place for the part file, and none for its state file.
#[test]
fn a_disk_without_room_for_the_state_keeps_no_empty_part() {
    let fixture = ResumeFixture::new();
    // One inode is that of the root.
    if let Some(disk) = FileSystem::mount(&["-t", "tmpfs", "-o", "nr_inodes=2", "none"]) {
        let output = run(fixture.command_in(disk.root(), &[]), b"").expect_code(6);
        assert!(output.stderr.contains("No space left"), "{}", output.stderr);
        assert_eq!(names(disk.root()), Vec::<String>::new());
    }
}

#[test]
fn a_file_system_that_cannot_reserve_space_gets_the_file() {
    let fixture = ResumeFixture::new();
    if let Some(disk) = FileSystem::mount(&["-t", "ramfs", "none"]) {
        run(fixture.command_in(disk.root(), &[]), b"").expect_code(0);
        assert_eq!(names(disk.root()), ["large"]);
    }
}

/// ext2 cannot reserve space, so another program may take it during the download.
#[test]
fn a_disk_that_fills_up_keeps_the_part_and_that_is_told() {
    const IMAGE: u64 = 20 << 20;
    let images = folder(&[]);
    let image = images.path().join("image");
    let file = File::create(&image).and_then(|file| file.set_len(IMAGE));
    file.expect("a sparse file");
    let made = Command::new("mkfs.ext2")
        .args(["-q", "-m0"])
        .arg(&image)
        .status();
    if !made.is_ok_and(|status| status.success()) {
        return eprintln!("not tested: there is no mkfs.ext2");
    }
    let image = image.to_str().expect("text");
    let Some(disk) = FileSystem::mount(&["-t", "ext2", "-o", "loop", image]) else {
        return;
    };
    let fixture = ResumeFixture::new();
    let state = disk.root().join(".large.part.state");
    let mut command = fixture.command_in(disk.root(), &["--limit-rate", "4MB"]);
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    let mut client = RunningProgram::start(&mut command);
    eventually("two pieces are there", || recorded(&state) >= 2);
    let filler = disk.root().join("filler");
    let mut file = File::create(&filler).expect("a file");
    while file.write_all(&[1; 4096]).is_ok() {}
    drop(file);
    assert_eq!(client.wait(), Some(6));
    let mut text = String::new();
    let stderr = client.child.stderr.as_mut().expect("it is a pipe");
    stderr.read_to_string(&mut text).expect("text");
    assert!(text.contains("No space left on device"), "{text}");
    assert!(
        text.contains(" % is still to be checked; run the same command again to resume"),
        "{text}"
    );
    assert!(recorded(&state) >= 2);
    fs::remove_file(filler).expect("it is there");
    let output = run(fixture.command_in(disk.root(), &[]), b"").expect_code(0);
    assert!(output.stderr.contains("resuming at "), "{}", output.stderr);
    let saved = fs::read(disk.root().join("large")).expect("a file");
    assert!(saved == fixture.content);
}

#[test]
fn a_full_disk_holds_whole_small_files_only() {
    const FILES: usize = 300;
    let Some(disk) = FileSystem::mount(&["-t", "tmpfs", "-o", "size=512k", "none"]) else {
        return;
    };
    let network = SmallFilesNetwork::new(1, FILES);
    let output = run(network.command(disk.root(), &["--max-downloads", "1"]), b"").expect_code(6);
    let text = output.stderr;
    assert!(text.contains("No space left on device"), "{text}");
    let saved = network.whole_files(disk.root());
    assert!((1..FILES).contains(&saved), "{saved}");
    let mut names = names(&disk.root().join("docs")).into_iter();
    assert!(names.all(|name| !name.starts_with('.')));
    assert!(text.contains(", 1 failed, "), "{text}");
    let left = format!(
        "{} not fetched; the disk is full: make room, then run the same command again to fetch the rest",
        FILES - saved - 1
    );
    assert!(text.contains(&left), "{text}");
    assert_eq!(text.matches("No space left").count(), 1, "{text}");
}

/// Device, inode and times of a file may be those of another one after a mount, as with sshfs and
/// vfat. Only of known types of file systems this cannot be so; ramfs is not among them.
#[test]
fn no_hash_is_stored_or_read_for_a_file_system_without_a_reliable_identity() {
    let Some(disk) = FileSystem::mount(&["-t", "ramfs", "none"]) else {
        return;
    };
    let home = folder(&[]);
    let path = disk.root().join("a");
    fs::write(&path, "content").expect("a file");
    hashes::wait_for_rest(disk.root(), &["a"]);
    // The line of another file that had the same identity.
    let metadata = fs::metadata(&path).expect("a file");
    let other = hashes::hash(b"another");
    let (device, inode, size) = (metadata.dev(), metadata.ino(), metadata.size());
    let (mtime, ctime, nanos) = (metadata.mtime(), metadata.ctime(), metadata.ctime_nsec());
    let forged = format!("{device} {inode} {size} {mtime} {ctime} {nanos} {other}\n");
    let cache = home.path().join("hashes");
    fs::write(&cache, &forged).expect("a file");
    let relay = relay(&[]);
    let cache_path = cache.to_str().expect("a text");
    let node = hashes::node(&relay, disk.root(), &["--hash-cache", cache_path]);
    eventually("its hash is known", || hashes::stat(&node, "a") != "-");
    assert_eq!(hashes::stat(&node, "a"), hashes::hash(b"content"));
    assert_eq!(fs::read_to_string(&cache).expect("a text"), forged);
}
