//! Shares that change as a whole, that cannot be read in full, or whose changes the system
//! does not report.

use std::fs::{self, File, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::fs::{Mode, OFlags, mkdirat, openat};
use rustix::process::geteuid;

use crate::support::{Server, ask, eventually, folder, node, node_command, relay};

fn list(node: &Server) -> String {
    ask(node.address(), b"LIST\n")
}

fn wait_for_list(node: &Server, expected: &str) {
    eventually(expected, || list(node) == expected);
}

#[test]
fn a_switched_link_shares_the_new_folder() {
    let home = folder(&[("old/x", b"x"), ("new/y", b"yy")]);
    let (link, other_link) = (home.path().join("link"), home.path().join("other"));
    symlink("old", &link).expect("a link");
    let relay = relay(&["--lease", "600"]);
    let node = node(&relay, &link, &[]);
    assert_eq!(ask(node.address(), b"GET x\n"), "FOUND 1\nx");
    symlink("new", &other_link).expect("a link");
    fs::rename(&other_link, &link).expect("it is replaced");
    node.log_until("link is another folder now");
    wait_for_list(&node, "FILES 1 1\n2 - 1 y\n");
    assert_eq!(
        ask(node.address(), b"GET x\nGET y\n"),
        "NOTFOUND\nFOUND 2\nyy"
    );
    eventually("it is announced", || {
        ask(relay.address(), b"FIND y\n").starts_with("HOLDERS")
    });
    // The new folder is watched, and its small files are cached.
    fs::write(home.path().join("new/y"), "changed").expect("a file");
    assert_eq!(ask(node.address(), b"GET y\n"), "FOUND 7\nchanged");
    wait_for_list(&node, "FILES 1 1\n7 - 1 y\n");
}

#[test]
fn a_deleted_folder_is_reported_and_its_successor_shared() {
    let home = folder(&[("share/x", b"x")]);
    let share = home.path().join("share");
    let relay = relay(&["--lease", "600"]);
    let node = node(&relay, &share, &[]);
    assert_eq!(node.stat("share_complete"), 1);
    // The folder that is moved away is not shared any more either.
    fs::rename(&share, home.path().join("away")).expect("a new name");
    node.log_until("share is gone: No such file or directory");
    wait_for_list(&node, "FILES 0 0\n");
    assert_eq!(node.stat("share_complete"), 0);
    assert_eq!(ask(node.address(), b"GET x\n"), "NOTFOUND\n");
    eventually("the relay knows", || {
        ask(relay.address(), b"FIND x\n") == "NOTFOUND\n"
    });
    fs::create_dir(&share).expect("a folder");
    fs::write(share.join("z"), "zzz").expect("a file");
    wait_for_list(&node, "FILES 1 1\n3 - 1 z\n");
    assert_eq!(node.stat("share_complete"), 1);
    assert_eq!(ask(node.address(), b"GET z\n"), "FOUND 3\nzzz");
}

/// A node in a namespace of its own, which mounts a file system there when it is told. None where
/// the system does not allow that.
fn node_that_mounts(relay: &Server, share: &Path) -> Option<Server> {
    let status = Command::new("unshare").args(["-rm", "true"]).status();
    if !status.is_ok_and(|status| status.success()) {
        eprintln!("not tested: there are no namespaces");
        return None;
    }
    let script = "exec 3<&0 </dev/null
                  { read -r told <&3 && mount -t tmpfs none \"$0\" && echo zz >\"$0/z\"; } &
                  exec \"$@\"";
    let node = node_command(relay.address(), share, &[]);
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", script]).arg(share);
    command.arg(node.get_program()).args(node.get_args());
    Some(Server::start_with_stdin(command))
}

#[test]
fn a_file_system_that_is_mounted_later_is_shared() {
    let (relay, share) = (relay(&[]), folder(&[("x", b"x")]));
    let Some(mut node) = node_that_mounts(&relay, share.path()) else {
        return;
    };
    wait_for_list(&node, "FILES 1 1\n1 - 1 x\n");
    node.enter("mount");
    wait_for_list(&node, "FILES 1 1\n3 - 1 z\n");
    assert_eq!(ask(node.address(), b"GET z\n"), "FOUND 3\nzz\n");
}

/// A program whose system calls fail as strace(1) is told. None without strace.
fn with_fault(command: &Command, fault: &str) -> Option<Command> {
    let mut strace = Command::new("strace");
    // The tracer is a grandchild: the child is the program.
    strace.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", "signal=none"]);
    strace.args([
        "-e",
        "trace=?open,openat,openat2,getdents64",
        "-e",
        &format!("inject={fault}"),
    ]);
    let mut attempt = Command::new("strace");
    attempt.args(["-o", "/dev/null", "-e", "inject=chdir:error=EPERM", "true"]);
    let status = attempt.stderr(Stdio::null()).status();
    if !status.is_ok_and(|status| status.success()) {
        eprintln!("not tested: there is no strace");
        return None;
    }
    strace.arg(command.get_program()).args(command.get_args());
    Some(strace)
}

#[test]
fn a_refused_openat2_does_not_empty_the_share() {
    let share = folder(&[("a", b"a"), ("sub/b", b"b")]);
    let relay = relay(&[]);
    for error in ["EACCES", "EINVAL", "ENOSYS"] {
        let command = node_command(relay.address(), share.path(), &[]);
        let Some(command) = with_fault(&command, &format!("openat2:error={error}")) else {
            return;
        };
        let node = Server::start(command);
        assert!(
            node.first_line.contains("sharing 2 files"),
            "{}",
            node.first_line
        );
        assert_eq!(ask(node.address(), b"GET sub/b\n"), "FOUND 1\nb");
    }
}

#[test]
fn a_first_scan_without_descriptors_is_reported_and_repeated() {
    let share = folder(&[("a", b"a"), ("sub/b", b"b")]);
    let relay = relay(&[]);
    let command = node_command(relay.address(), share.path(), &[]);
    // The first call is the test whether it is allowed.
    let Some(command) = with_fault(&command, "openat2:error=EMFILE:when=2..3") else {
        return;
    };
    let node = Server::start(command);
    let first_line = &node.first_line;
    assert!(
        first_line.ends_with(", which cannot be read in full\n"),
        "{first_line}"
    );
    node.log_until("the share cannot be read in full");
    node.log_until("the share was read in full");
    assert_eq!(list(&node), "FILES 2 2\n1 - 1 a\n1 - 1 sub/b\n");
    assert_eq!(node.stat("share_complete"), 1);
}

#[test]
fn a_folder_that_a_scan_cannot_read_stays_in_the_list() {
    let share = folder(&[("a", b"a"), ("sub/b", b"b")]);
    let relay = relay(&[]);
    let command = node_command(relay.address(), share.path(), &[]);
    // Each thread counts its own calls, of which a folder takes two. The first scan is that
    // of the main thread.
    let Some(command) = with_fault(&command, "getdents64:error=EIO:when=7+") else {
        return;
    };
    let node = Server::start(command);
    fs::write(share.path().join("c"), "c").expect("a file");
    wait_for_list(&node, "FILES 3 3\n1 - 1 a\n1 - 1 c\n1 - 1 sub/b\n");
    fs::write(share.path().join("d"), "d").expect("a file");
    node.log_until("1 item cannot be shared; such as sub: Input/output error");
    wait_for_list(&node, "FILES 4 4\n1 - 1 a\n1 - 1 c\n1 - 1 d\n1 - 1 sub/b\n");
    assert_eq!(node.stat("share_complete"), 0);
}

/// The rights of a folder say whether its names may be read, and whether its files may.
#[test]
fn files_that_the_node_may_no_longer_read_are_withdrawn_and_counted() {
    let share = folder(&[("a", b"a"), ("sub/b", b"b"), ("sub/c", b"c")]);
    let sub = share.path().join("sub");
    let set_mode = |path: &Path, mode| {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
    };
    set_mode(share.path(), 0o755);
    let relay = relay(&[]);
    // Root may read everything.
    let user: &[&str] = match geteuid().is_root() {
        true => &["--user", "nobody"],
        false => &[],
    };
    let node = node(&relay, share.path(), user);
    let all = "FILES 3 3\n1 - 1 a\n1 - 1 sub/b\n1 - 1 sub/c\n";
    wait_for_list(&node, all);
    for (mode, skipped) in [(0o000, 1), (0o444, 2), (0o111, 1)] {
        set_mode(&sub, mode);
        wait_for_list(&node, "FILES 1 1\n1 - 1 a\n");
        eventually("they are counted", || node.stat("files_skipped") == skipped);
        eventually("the relay forgets them", || {
            ask(relay.address(), b"FIND sub/b\n") == "NOTFOUND\n"
        });
        set_mode(&sub, 0o755);
        wait_for_list(&node, all);
    }
}

#[test]
fn a_switched_link_is_followed_when_descriptors_are_free_again() {
    let home = folder(&[("old/x", b"x"), ("new/y", b"yy")]);
    let (link, other_link) = (home.path().join("link"), home.path().join("other"));
    symlink("old", &link).expect("a link");
    let relay = relay(&[]);
    let command = node_command(relay.address(), &link, &[]);
    // The first call of the main thread opens the folder. Each thread counts its own.
    let Some(command) = with_fault(&command, "?open:error=EMFILE:when=2") else {
        return;
    };
    let node = Server::start(command);
    node.log_until("registered as");
    for (count, target) in [(1, "new"), (2, "old")] {
        symlink(target, &other_link).expect("a link");
        fs::rename(&other_link, &link).expect("it is replaced");
        let log = node.log_until_count("link is another folder now", count);
        assert!(!log.contains("is gone"), "{log}");
    }
    wait_for_list(&node, "FILES 1 1\n1 - 1 x\n");
}

/// Creates folders in each other until their path is longer than `length`.
fn nest(folder: &Path, length: usize) {
    let name = "d".repeat(250);
    let mut fd: OwnedFd = File::open(folder).expect("a folder").into();
    for _ in 0..=length / name.len() {
        mkdirat(&fd, &name, Mode::RWXU).expect("a folder");
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        fd = openat(&fd, &name, flags, Mode::empty()).expect("a folder");
    }
}

/// Regression: after one path that was too long no folder was watched, and the log blamed
/// the number of watches.
#[test]
fn a_path_beyond_the_limit_of_the_system_costs_that_entry_only() {
    let share = folder(&[("z/file", b"old")]);
    nest(&share.path().join("z"), 4096);
    let relay = relay(&["--lease", "600"]);
    let node = node(&relay, share.path(), &[]);
    assert_eq!(list(&node), "FILES 1 1\n3 - 1 z/file\n");
    assert_eq!(node.stat("files_skipped"), 1);
    let log = node.log_until("1 item cannot be shared; such as z/ddd");
    assert!(!log.contains("watch"), "{log}");
    fs::write(share.path().join("z/file"), "newer").expect("a file");
    eventually("a change is announced", || {
        ask(relay.address(), b"FIND z/file\n").ends_with(" 5 -\n")
    });
}

#[test]
fn each_growth_of_what_cannot_be_shared_is_reported() {
    let share = folder(&[("good", b"")]);
    let relay = relay(&[]);
    let args = ["--rescan", "0.2", "--max-files", "2"];
    let node = node(&relay, share.path(), &args);
    assert_eq!(node.stat("files_skipped"), 0);
    fs::write(share.path().join("one\\"), "").expect("a file");
    node.log_until("1 item cannot be shared; such as one\\: a file name must not");
    assert_eq!(node.stat("files_skipped"), 1);
    assert_eq!(node.stat("share_complete"), 1);
    fs::write(share.path().join("two\\"), "").expect("a file");
    node.log_until("2 items cannot be shared; such as two\\: a file name must not");
    for name in ["2", "3"] {
        fs::write(share.path().join(name), "").expect("a file");
    }
    node.log_until("beyond --max-files");
    assert_eq!(node.stat("files"), 2);
    assert_eq!(node.stat("share_complete"), 0);
}

/// The target of a link in a hidden folder is not watched.
#[test]
fn a_change_that_is_not_reported_is_found_by_the_next_scan() {
    let share = folder(&[(".hidden/x", b"old")]);
    symlink(".hidden/x", share.path().join("x")).expect("a link");
    let relay = relay(&["--lease", "600"]);
    let _node = node(&relay, share.path(), &["--rescan", "0.5"]);
    let has_size = |size| {
        let holders = ask(relay.address(), b"FIND x\n");
        holders.ends_with(&format!(" {size} -\n"))
    };
    eventually("it is announced", || has_size(3));
    fs::write(share.path().join(".hidden/x"), "newer").expect("a file");
    eventually("the change is announced", || has_size(5));
}

/// The command with another limit in /proc/sys/user, or none where that is not allowed.
fn with_user_limit(limit: &str, value: u32, command: &Command) -> Option<Command> {
    let script = format!("echo {value} > /proc/sys/user/{limit} && exec \"$0\" \"$@\"");
    let unshare = || {
        let mut unshare = Command::new("unshare");
        unshare.args(["-Ur", "sh", "-c", &script]);
        unshare
    };
    let status = unshare().arg("true").status();
    if !status.is_ok_and(|status| status.success()) {
        eprintln!("not tested: no user namespaces");
        return None;
    }
    let mut unshare = unshare();
    unshare.arg(command.get_program()).args(command.get_args());
    Some(unshare)
}

#[test]
fn without_a_watch_for_each_folder_those_that_have_one_keep_it() {
    let share = folder(&[("a/1", b"1"), ("b/2", b"2"), ("c/3", b"3"), ("d/4", b"4")]);
    let relay = relay(&["--lease", "600"]);
    let command = node_command(relay.address(), share.path(), &["--rescan", "600"]);
    let Some(command) = with_user_limit("max_inotify_watches", 4, &command) else {
        return;
    };
    let node = Server::start(command);
    node.log_until("inotify watch failed: No space left on device (see ");
    node.log_until("registered as");
    // The scan for the first change must keep the watch that reports the second.
    for name in ["first", "second"] {
        fs::write(share.path().join(name), name).expect("a file");
        eventually("it is announced", || {
            ask(relay.address(), format!("FIND {name}\n").as_bytes()).starts_with("HOLDERS")
        });
    }
}

#[test]
fn without_inotify_changes_are_found_by_scans() {
    let share = folder(&[("a", b"a")]);
    let relay = relay(&["--lease", "600"]);
    let command = node_command(relay.address(), share.path(), &["--rescan", "0.5"]);
    let Some(command) = with_user_limit("max_inotify_instances", 0, &command) else {
        return;
    };
    let mut node = Server::start(command);
    node.log_until("inotify unavailable");
    node.log_until("registered as");
    // The scan that follows an announcement is over.
    assert!(node.is_running_after(Duration::from_secs(2)));
    fs::write(share.path().join("b"), "new").expect("a file");
    eventually("it is announced", || {
        ask(relay.address(), b"FIND b\n").starts_with("HOLDERS")
    });
    // The content cache is off, so that no old content is sent.
    fs::write(share.path().join("a"), "changed").expect("a file");
    assert_eq!(ask(node.address(), b"GET a\n"), "FOUND 7\nchanged");
}

#[test]
fn unfinished_files_are_never_shared() {
    let share = folder(&[(".a.part", b"1"), (".b.7f3a.part", b"2"), (".c", b"3")]);
    let relay = relay(&[]);
    let node = node(&relay, share.path(), &["--hidden"]);
    assert_eq!(list(&node), "FILES 1 1\n1 - 1 .c\n");
    let replies = ask(node.address(), b"GET .a.part\nSTAT .b.7f3a.part\n");
    assert_eq!(replies, "NOTFOUND\nNOTFOUND\n");
}

#[test]
fn the_sum_of_the_sizes_does_not_wrap() {
    let Ok(share) = tempfile::tempdir_in("/dev/shm") else {
        return eprintln!("not tested: no file system with files of 8 EiB");
    };
    for name in ["a", "b", "c"] {
        let file = File::create(share.path().join(name)).expect("a file");
        if file.set_len(i64::MAX.cast_unsigned()).is_err() {
            return eprintln!("not tested: no file system with files of 8 EiB");
        }
    }
    let relay = relay(&[]);
    let node = node(&relay, share.path(), &[]);
    assert_eq!(node.stat("files_bytes"), u64::MAX);
}

/// The number of folders that a node watches.
fn watched_folders(node: &Server) -> usize {
    let entries = fs::read_dir(format!("/proc/{}/fdinfo", node.pid())).expect("it runs");
    let texts = entries
        .flatten()
        .flat_map(|entry| fs::read_to_string(entry.path()));
    // The descriptor is duplicated.
    let counts = texts.map(|text| text.matches("inotify wd:").count());
    counts.max().unwrap_or(0)
}

#[test]
fn folders_that_left_the_share_are_not_watched() {
    let home = folder(&[("share/sub/a", b"a"), ("other/b", b"b")]);
    let (share, link) = (home.path().join("share"), home.path().join("link"));
    symlink(&share, &link).expect("a link");
    let relay = relay(&[]);
    let node = node(&relay, &link, &["--max-kept", "0"]);
    assert_eq!(watched_folders(&node), 2);
    fs::rename(share.join("sub"), home.path().join("sub")).expect("a new name");
    eventually("one is left", || watched_folders(&node) == 1);
    fs::create_dir(share.join("new")).expect("a folder");
    eventually("another one is watched", || watched_folders(&node) == 2);
    fs::remove_file(&link).expect("it is there");
    eventually("none is watched", || watched_folders(&node) == 0);
    symlink(home.path().join("other"), &link).expect("a link");
    eventually("the other one is watched", || watched_folders(&node) == 1);
    wait_for_list(&node, "FILES 1 1\n1 - 1 b\n");
}
