//! Files that change while a node sends or hashes them, and files whose size says nothing
//! about their content.

use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, SystemTime};

use crate::hashes::{hash, node, stat, wait_for_rest};
use crate::idle_cpu::cpu_time;
use crate::support::{
    Nc, RunningProgram, Server, ask, client_command, eventually, folder, large_file,
    node_with_relay, relay,
};

const MIB: usize = 1024 * 1024;

/// Larger than the buffers of a connection.
const LARGE: usize = 64 * MIB;

/// Requests a large file, changes it after the first MiB, and returns the number of bytes
/// that arrive.
fn length_after(node: &Server, change: impl FnOnce()) -> usize {
    let mut nc = Nc::connect(node.address());
    nc.send("GET large\nQUIT\n");
    assert_eq!(nc.line(), format!("FOUND {LARGE}"));
    nc.bytes(MIB);
    change();
    MIB + nc.rest().len()
}

#[test]
fn a_file_overwritten_while_it_is_sent_ends_early() {
    let share = large_file(LARGE as u64);
    let (node, _relay) = node_with_relay(share.path(), &["--log-level", "debug"]);
    let length = length_after(&node, || {
        let file = File::options().write(true).open(share.path().join("large"));
        let file = file.expect("a file");
        file.write_all_at(b"new", (LARGE / 2) as u64)
            .expect("bytes");
    });
    assert!(length < LARGE, "a mixture of two contents");
    node.log_until("file changed while sending");
}

/// Regression: what was longer counted as appended to.
#[test]
fn a_file_replaced_by_a_longer_one_while_it_is_sent_ends_early() {
    let share = large_file(LARGE as u64);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let length = length_after(&node, || {
        fs::write(share.path().join("large"), vec![b'x'; LARGE + 1]).expect("it is ours");
    });
    assert!(length < LARGE, "a mixture of two contents");
    // What is appended leaves the bytes before.
    let mut nc = Nc::connect(node.address());
    nc.send("GET large\nQUIT\n");
    assert_eq!(nc.line(), format!("FOUND {}", LARGE + 1));
    nc.bytes(MIB);
    let file = File::options()
        .append(true)
        .open(share.path().join("large"));
    file.expect("a file").write_all(b"more").expect("bytes");
    assert_eq!(MIB + nc.rest().len(), LARGE + 1 + "OK bye\n".len());
}

/// Regression: what `rsync --inplace --times` or `cp -p` writes over a file of the same size and
/// mtime counted as unchanged.
#[test]
fn a_file_overwritten_under_its_old_mtime_while_it_is_sent_ends_early() {
    let share = large_file(LARGE as u64);
    let path = share.path().join("large");
    fs::write(&path, vec![b'x'; LARGE]).expect("it is ours");
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let length = length_after(&node, || {
        let file = File::options().write(true).open(&path).expect("a file");
        let mtime = file.metadata().and_then(|data| data.modified());
        file.write_all_at(&vec![b'y'; LARGE], 0).expect("bytes");
        file.set_modified(mtime.expect("a time")).expect("a time");
    });
    assert!(length < LARGE, "a mixture of two contents");
}

#[test]
fn a_client_reports_a_file_that_was_overwritten() {
    let share = large_file(LARGE as u64);
    let (_node, relay) = node_with_relay(share.path(), &[]);
    let mut client = RunningProgram::start(
        client_command(relay.address(), &["get", "large", "-q"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped()),
    );
    let mut stdout = client.child.stdout.take().expect("it is a pipe");
    stdout
        .read_exact(&mut vec![0; MIB])
        .expect("the first part");
    let file = File::options().write(true).open(share.path().join("large"));
    file.expect("a file")
        .write_all_at(b"new", 2)
        .expect("bytes");
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).expect("the rest");
    assert!(MIB + rest.len() < LARGE, "a mixture of two contents");
    assert_eq!(client.wait(), Some(4));
}

#[test]
fn a_file_beyond_max_hashed_gets_no_hash() {
    let share = folder(&[("1", b"x"), ("2", b"xx"), ("3", b"xxx")]);
    let relay = relay(&[]);
    let args = ["--no-hash-cache", "--max-hashed", "2"];
    let node = node(&relay, share.path(), &args);
    eventually("the limit", || stat(&node, "2") == hash(b"xx"));
    eventually("less", || stat(&node, "1") == hash(b"x"));
    assert_eq!(stat(&node, "3"), "-");
}

#[test]
fn a_file_renamed_or_deleted_while_it_is_sent_arrives() {
    let share = large_file(LARGE as u64);
    let path = share.path().join("large");
    // In memory, so that the node has samples of it.
    fs::write(&path, vec![b'x'; LARGE]).expect("it is ours");
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let complete = LARGE + "OK bye\n".len();
    let length = length_after(&node, || {
        let permissions = Permissions::from_mode(0o600);
        fs::set_permissions(&path, permissions).expect("it is ours");
        fs::rename(&path, share.path().join("other")).expect("a new name");
        fs::rename(share.path().join("other"), &path).expect("the old name");
    });
    assert_eq!(length, complete);
    // A file without samples: the pages of a hole are not in memory.
    fs::write(&path, "").expect("it is ours");
    let hole = File::options().write(true).open(&path).expect("a file");
    hole.set_len(LARGE as u64).expect("a size");
    let link = share.path().join("link");
    let length = length_after(&node, || {
        fs::hard_link(&path, &link).expect("a second name");
        fs::remove_file(&path).expect("it is there");
        fs::remove_file(&link).expect("it is there");
    });
    assert_eq!(length, complete);
}

/// Regression: proc(5) states a size of 0 for files that have a content, and the node sent
/// nothing of it.
#[test]
fn files_without_a_true_size_are_not_shared() {
    let (node, relay) = node_with_relay(Path::new("/proc/sys/kernel/random"), &[]);
    assert_eq!(ask(node.address(), b"LIST\n"), "FILES 0 0\n");
    assert_eq!(
        ask(node.address(), b"GET boot_id\nSTAT uuid\n"),
        "NOTFOUND\nNOTFOUND\n"
    );
    assert_eq!(ask(relay.address(), b"FIND boot_id\n"), "NOTFOUND\n");
}

/// Whether the node has an open file whose path contains `text`.
fn has_open(node: &Server, text: &str) -> bool {
    let entries = fs::read_dir(format!("/proc/{}/fd", node.pid())).expect("it runs");
    let mut paths = entries
        .flatten()
        .flat_map(|entry| fs::read_link(entry.path()));
    paths.any(|path| path.to_string_lossy().contains(text))
}

#[test]
fn an_endless_file_does_not_hold_up_others_and_is_let_go_when_it_is_deleted() {
    let share = folder(&[("b", b"content")]);
    let endless = share.path().join("a");
    let file = File::create(&endless).expect("a file");
    file.set_len(1 << 40).expect("a sparse file");
    let relay = relay(&[]);
    let node = node(&relay, share.path(), &["--no-hash-cache"]);
    eventually("another hash", || stat(&node, "b") == hash(b"content"));
    eventually("it is read", || has_open(&node, "/a"));
    fs::write(share.path().join("c"), "new").expect("a file");
    eventually("a new file is hashed", || stat(&node, "c") == hash(b"new"));
    assert!(has_open(&node, "/a"), "it was put aside");
    fs::remove_file(&endless).expect("it is there");
    eventually("it is closed", || !has_open(&node, "(deleted)"));
}

/// Regression: the image of a virtual machine was read again and again while it grew.
#[test]
fn a_file_that_grows_all_the_time_is_not_read_all_the_time() {
    let share = folder(&[]);
    let image = File::create(share.path().join("image")).expect("a file");
    image.set_len(4 << 30).expect("a sparse file");
    let relay = relay(&[]);
    let mut node = node(&relay, share.path(), &["--no-hash-cache"]);
    let (stop, stopped) = channel::<()>();
    let path = share.path().join("image");
    let writer = thread::spawn(move || {
        let pause = Duration::from_millis(300);
        while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
            let mut file = File::options().append(true).open(&path).expect("a file");
            file.write_all(b"+").expect("it takes a byte");
        }
    });
    let before = cpu_time(&node);
    assert!(node.is_running_after(Duration::from_secs(6)));
    let used = cpu_time(&node) - before;
    drop(stop);
    writer.join().expect("it writes to its end");
    assert!(used < 100, "{used} of 600 hundredths of a second were used");
}

/// A store by a mapped page (mmap(2)) need not change the identity of a file.
/// The system reports nothing about such a file.
#[test]
fn the_hash_of_a_file_that_gets_a_link_elsewhere_is_known_again_soon() {
    let relay = relay(&[]);
    let share = folder(&[("file", b"content")]);
    let elsewhere = folder(&[]);
    let node = node(&relay, share.path(), &["--no-hash-cache", "--rescan=3600"]);
    let is_known = || stat(&node, "file") != "-";
    eventually("the hash is known", is_known);
    fs::hard_link(share.path().join("file"), elsewhere.path().join("link")).expect("linked");
    eventually("the hash is known again", is_known);
}

#[test]
fn a_hash_is_computed_again_when_a_writer_closes() {
    let (share, home) = (folder(&[("a", b"content")]), folder(&[]));
    wait_for_rest(share.path(), &["a"]);
    let cache = home.path().join("hashes");
    let args = ["--hash-cache", cache.to_str().expect("a text")];
    let relay = relay(&[]);
    let mut first = node(&relay, share.path(), &args);
    eventually("it is stored", || stat(&first, "a") == hash(b"content"));
    assert_eq!(first.stop(), Some(0));
    // As if it were the hash of an earlier content.
    let cache_text = fs::read_to_string(&cache).expect("a text");
    let earlier = hash(b"earlier");
    fs::write(&cache, cache_text.replace(&hash(b"content"), &earlier)).expect("a file");
    let mut second = node(&relay, share.path(), &args);
    eventually("it is read", || stat(&second, "a") == earlier);
    let path = share.path().join("a");
    drop(File::options().append(true).open(&path).expect("a file"));
    eventually("it is right", || stat(&second, "a") == hash(b"content"));
    assert_eq!(second.stop(), Some(0));
    let third = node(&relay, share.path(), &args);
    eventually("it is known", || stat(&third, "a") != "-");
    assert_eq!(stat(&third, "a"), hash(b"content"));
}

#[test]
fn a_time_before_1970_is_negative() {
    let share = folder(&[("a", b"content")]);
    let then = SystemTime::UNIX_EPOCH - Duration::from_secs(14_182_980);
    let file = File::options().append(true).open(share.path().join("a"));
    file.expect("a file").set_modified(then).expect("a time");
    let (node, _relay) = node_with_relay(share.path(), &[]);
    assert_eq!(ask(node.address(), b"STAT a\n"), "STAT 7 - -14182980 -\n");
}

/// The content of a small file is cached when it is sent, with its status.
#[test]
fn stat_shows_each_change_of_a_file_that_was_sent() {
    let share = folder(&[("a", b"content\n")]);
    let path = share.path().join("a");
    let set_modified = |seconds| {
        let file = File::options().append(true).open(&path).expect("a file");
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        file.set_modified(time).expect("a time");
    };
    set_modified(5);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let mut nc = Nc::connect(node.address());
    let mut statuses = Vec::new();
    for change in 0..3 {
        match change {
            0 => {}
            1 => fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("it is ours"),
            _ => set_modified(6),
        }
        nc.send("STAT a\nGET a\nSTAT a\n");
        statuses.push(nc.line());
        assert_eq!([nc.line(), nc.line()], ["FOUND 8", "content"]);
        assert_eq!(Some(&nc.line()), statuses.last());
    }
    assert_eq!(statuses, ["STAT 8 - 5 -", "STAT 8 - 5 x", "STAT 8 - 6 x"]);
    fs::remove_file(&path).expect("it is ours");
    nc.send("STAT a\n");
    assert_eq!(nc.line(), "NOTFOUND");
}
