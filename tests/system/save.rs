//! Saved files: complete or not at all, never over another file without `--force`, and
//! never outside of the folder that the user named.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Stdio;
use std::thread;

use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::{Signal, geteuid};
use tempfile::TempDir;

use crate::support::fake_server::{FakeServer, register};
use crate::support::{
    ProgramOutput, RunningProgram, Server, client, client_command, eventually, folder, node, noise,
    relay, run,
};

const HELLO: &str = "Hello, Peerline!\n";

/// A relay, a node with a few files, and a folder to save into.
struct SaveFixture {
    relay: Server,
    _node: Server,
    _share: TempDir,
    home: TempDir,
}

impl SaveFixture {
    fn new() -> Self {
        let share = folder(&[
            ("hello.txt", HELLO.as_bytes()),
            ("a/b/deep.txt", b"deep"),
            ("large", &noise(3_000_000, 5)),
        ]);
        let relay = relay(&[]);
        let node = node(&relay, share.path(), &[]);
        Self {
            relay,
            _node: node,
            _share: share,
            home: folder(&[]),
        }
    }

    /// Runs the client in the home folder.
    fn get(&self, args: &[&str]) -> ProgramOutput {
        let mut command = client_command(self.relay.address(), &["get"]);
        command.args(args).current_dir(self.home.path());
        run(command, b"")
    }

    /// Runs the client, which must fail with this advice.
    #[track_caller]
    fn assert_fails(&self, args: &[&str], advice: &str) {
        let output = self.get(args).expect_code(6);
        assert!(output.stderr.contains(advice), "{}", output.stderr);
        assert!(output.stdout.is_empty());
    }

    #[track_caller]
    fn assert_content(&self, name: &str, content: &str) {
        let path = self.home.path().join(name);
        assert_eq!(fs::read_to_string(path).expect("a text"), content);
    }

    /// All names in the home folder.
    fn names(&self) -> Vec<String> {
        names(self.home.path())
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    let mut names: Vec<String> = entries.map(|e| name(e.expect("an entry"))).collect();
    names.sort();
    names
}

#[test]
fn output_names_the_file() {
    let fixture = SaveFixture::new();
    let output = fixture.get(&["hello.txt", "-o", "mine"]).expect_code(0);
    assert!(output.stdout.is_empty());
    fixture.assert_content("mine", HELLO);
    assert_eq!(fixture.names(), ["mine"]);
    // `-` is stdout, and `./-` is a file.
    let output = fixture.get(&["hello.txt", "-o", "-"]).expect_code(0);
    assert_eq!(output.text(), HELLO);
    fixture.get(&["hello.txt", "-o", "./-"]).expect_code(0);
    fixture.assert_content("-", HELLO);
    // The usual permissions: 0666 without the umask.
    let mode = |name| fs::metadata(fixture.home.path().join(name)).map(|m| m.permissions().mode());
    fs::write(fixture.home.path().join("other"), "").expect("a file");
    assert_eq!(mode("mine").expect("a file"), mode("other").expect("one"));
}

#[test]
fn directory_keeps_the_names_of_files() {
    let fixture = SaveFixture::new();
    let args = [
        "hello.txt",
        "a/b/deep.txt",
        "large",
        "-d",
        "new/folder",
        "--mkdir",
    ];
    fixture.get(&args).expect_code(0);
    fixture.assert_content("new/folder/hello.txt", HELLO);
    fixture.assert_content("new/folder/a/b/deep.txt", "deep");
    let large = fs::read(fixture.home.path().join("new/folder/large")).expect("a file");
    assert!(large == noise(3_000_000, 5));
    let all = names(&fixture.home.path().join("new/folder"));
    assert_eq!(all, ["a", "hello.txt", "large"]);
}

#[test]
fn only_force_replaces_a_file() {
    let fixture = SaveFixture::new();
    fs::write(fixture.home.path().join("hello.txt"), "mine").expect("a file");
    symlink("nowhere", fixture.home.path().join("link")).expect("a link");
    for target in ["-ohello.txt", "-d.", "-o./hello.txt", "-olink"] {
        fixture.assert_fails(
            &["hello.txt", target],
            "exists already; --force replaces it",
        );
    }
    fixture.assert_content("hello.txt", "mine");
    fixture
        .get(&["hello.txt", "-d", ".", "--force"])
        .expect_code(0);
    fixture.assert_content("hello.txt", HELLO);
    assert_eq!(fixture.names(), ["hello.txt", "link"]);
}

#[test]
fn write_errors_are_explained() {
    let fixture = SaveFixture::new();
    fs::create_dir(fixture.home.path().join("folder")).expect("a folder");
    fs::write(fixture.home.path().join("file"), "mine").expect("a file");
    for folder in ["folder", "new/", "new/.", "."] {
        fixture.assert_fails(&["hello.txt", "-o", folder], "names a folder; use -d");
    }
    fixture.assert_fails(&["hello.txt", "-o", "missing/x"], "there is no such folder");
    fixture.assert_fails(&["hello.txt", "-o", "file/x"], "a parent is not a folder");
    fixture.assert_fails(&["hello.txt", "-d", "file"], "a parent is not a folder");
    // Every write to /dev/full fails.
    fixture.assert_fails(&["hello.txt", "-o", "/dev/full"], "No space left on device");
    fixture.assert_fails(&["large", "-o", "/dev/full"], "No space left on device");
    fixture.assert_content("file", "mine");
    assert_eq!(fixture.names(), ["file", "folder"]);
    // Root may write anywhere.
    if !geteuid().is_root() {
        let locked = fs::Permissions::from_mode(0o500);
        fs::set_permissions(fixture.home.path().join("folder"), locked).expect("it is ours");
        fixture.assert_fails(&["hello.txt", "-d", "folder"], "Permission denied");
    }
}

#[test]
fn devices_and_fifos_are_written_directly() {
    let fixture = SaveFixture::new();
    let output = fixture
        .get(&["hello.txt", "-o", "/dev/null"])
        .expect_code(0);
    assert!(output.stdout.is_empty());
    let fifo = fixture.home.path().join("fifo");
    mkfifoat(CWD, &fifo, Mode::RUSR | Mode::WUSR).expect("a FIFO");
    let reader = thread::spawn({
        let fifo = fifo.clone();
        move || fs::read(fifo)
    });
    fixture.get(&["large", "-o", "fifo"]).expect_code(0);
    let received = reader.join().expect("a reader").expect("bytes");
    assert!(received == noise(3_000_000, 5));
    assert_eq!(fixture.names(), ["fifo"]);
}

#[test]
fn a_replaced_file_keeps_its_owner_and_permissions() {
    let fixture = SaveFixture::new();
    let path = fixture.home.path().join("hello.txt");
    for mode in [0o600, 0o640, 0o777, 0o444] {
        fs::write(&path, "mine").expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("it is ours");
        if geteuid().is_root() {
            chown(&path, Some(1234), Some(4321)).expect("root may do so");
        }
        let before = fs::metadata(&path).expect("a file");
        for target in ["-ohello.txt", "-d."] {
            fixture.get(&["hello.txt", "-f", target]).expect_code(0);
            fixture.assert_content("hello.txt", HELLO);
            let after = fs::metadata(&path).expect("a file");
            assert_eq!(after.mode(), before.mode(), "{mode:o} {target}");
            assert_eq!((after.uid(), after.gid()), (before.uid(), before.gid()));
        }
        fs::remove_file(&path).expect("a file");
    }
}

#[test]
fn only_a_regular_file_is_replaced() {
    let fixture = SaveFixture::new();
    let home = fixture.home.path();
    let path = home.join("hello.txt");
    let refused = || fixture.assert_fails(&["hello.txt", "-d.", "-f"], "only a regular file");
    mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).expect("a FIFO");
    refused();
    assert!(path.metadata().expect("it is there").file_type().is_fifo());
    fs::remove_file(&path).expect("a FIFO");
    let _socket = UnixListener::bind(&path).expect("a socket");
    refused();
    fs::remove_file(&path).expect("a socket");
    fs::create_dir(&path).expect("a folder");
    refused();
    fs::remove_dir(&path).expect("a folder");
    symlink("target", &path).expect("a link");
    refused();
    assert_eq!(fixture.names(), ["hello.txt"]);
}

#[test]
fn output_writes_through_a_link() {
    let fixture = SaveFixture::new();
    let home = fixture.home.path();
    fs::create_dir(home.join("sub")).expect("a folder");
    symlink("sub/second", home.join("link")).expect("a link");
    symlink("target", home.join("sub/second")).expect("a link");
    // The target is created, and then replaced.
    for content in ["", "old"] {
        if !content.is_empty() {
            fs::write(home.join("sub/target"), content).expect("a file");
        }
        fixture.assert_fails(&["hello.txt", "-olink"], "exists already");
        fixture.get(&["hello.txt", "-olink", "-f"]).expect_code(0);
        fixture.assert_content("sub/target", HELLO);
        assert!(home.join("link").is_symlink() && home.join("sub/second").is_symlink());
    }
    symlink("loop", home.join("loop")).expect("a link");
    fixture.assert_fails(&["hello.txt", "-oloop", "-f"], "symbolic links");
    assert_eq!(names(&home.join("sub")), ["second", "target"]);
}

#[test]
fn a_write_error_does_not_stop_other_files() {
    let lone = relay(&[]);
    let longest = "n".repeat(255);
    let longest = longest.as_str();
    let share = folder(&[
        ("x", b"x"),
        (".x.part", b"not shared"),
        ("y", b"y"),
        (longest, b"n"),
    ]);
    let _node = node(&lone, share.path(), &[]);
    let home = folder(&[("d/y", b"mine"), ("d/.x.part", b"a file of the user")]);
    let dir = home.path().join("d");
    let dir = dir.to_str().expect("a text");
    let output = client(&lone, &["get", "y", longest, "x", "-d", dir]).expect_code(6);
    assert!(
        output.stderr.contains("exists already"),
        "{}",
        output.stderr
    );
    let user_file = (".x.part", "a file of the user");
    for (name, content) in [("x", "x"), user_file, ("y", "mine"), (longest, "n")] {
        let path = home.path().join("d").join(name);
        assert_eq!(fs::read_to_string(path).expect("a text"), content);
    }
}

#[test]
fn links_are_not_followed_out_of_the_folder() {
    let fixture = SaveFixture::new();
    let outside = folder(&[("b/deep.txt", b"mine")]);
    let (home, into) = (fixture.home.path(), fixture.home.path().join("into"));
    fs::create_dir(&into).expect("a folder");
    symlink(outside.path(), into.join("a")).expect("a link");
    fixture.assert_fails(&["a/b/deep.txt", "-d", "into", "-f"], "is a symbolic link");
    let path = outside.path().join("b/deep.txt");
    assert_eq!(fs::read(&path).expect("a file"), b"mine");
    // Links with the name of the file and of the part file are left alone.
    fs::remove_file(into.join("a")).expect("a link");
    fs::create_dir_all(into.join("a/b")).expect("a folder");
    symlink(&path, into.join("a/b/deep.txt")).expect("a link");
    let advice = "only a regular file is replaced";
    fixture.assert_fails(&["a/b/deep.txt", "-d", "into", "-f"], advice);
    assert!(into.join("a/b/deep.txt").is_symlink());
    let new = outside.path().join("new");
    for target in [&path, &new] {
        symlink(target, into.join(".hello.txt.part")).expect("a link");
        fixture
            .get(&["hello.txt", "-d", "into", "-f"])
            .expect_code(0);
        fixture.assert_content("into/hello.txt", HELLO);
        fs::remove_file(into.join(".hello.txt.part")).expect("a link");
    }
    assert_eq!(fs::read(&path).expect("a file"), b"mine");
    assert!(!new.exists());
    // The folder that the user named may be a link.
    symlink(outside.path(), home.join("chosen")).expect("a link");
    fixture
        .get(&["hello.txt", "-d", "chosen", "--mkdir"])
        .expect_code(0);
    assert!(outside.path().join("hello.txt").exists());
}

#[test]
fn a_name_that_leaves_the_folder_is_invalid() {
    let fixture = SaveFixture::new();
    for name in ["../x", "/etc/passwd", "a/../../x", "a//x", ".", "x\\y", ""] {
        let output = fixture.get(&["-d", ".", "--", name]).expect_code(2);
        assert!(output.stderr.contains("file name"), "{}", output.stderr);
    }
    assert!(fixture.names().is_empty());
    let args = ["hello.txt", "large", "-o", "file"];
    let output = fixture.get(&args).expect_code(2);
    assert!(output.stderr.contains("write -d DIR"), "{}", output.stderr);
    fixture
        .get(&["x", "-o", "file", "-d", "dir"])
        .expect_code(2);
}

#[test]
fn an_aborted_transfer_leaves_no_part_file() {
    let aborting = FakeServer::replying([b"FOUND 4000000\n", &noise(2_500_000, 1)[..]].concat());
    let lone = relay(&[]);
    register(&lone, aborting.address());
    let home = folder(&[]);
    let path = home.path().join("large");
    let target = path.to_str().expect("a text");
    client(&lone, &["get", "large", "-o", target]).expect_code(5);
    assert!(names(home.path()).is_empty());
    // The 2.5 MB of the aborting node are not in the saved file.
    let share = folder(&[("large", &noise(3_000_000, 5))]);
    let node = node(&lone, share.path(), &[]);
    let both = FakeServer::relay(&[aborting.address(), node.address()]);
    let get = |args: &[&str]| run(client_command(both.address(), args), b"").expect_code(0);
    get(&["get", "large", "-o", target]);
    let folder = home.path().join("d");
    let dir = folder.to_str().expect("a text");
    get(&["get", "large", "-d", dir, "--mkdir"]);
    for path in [path, folder.join("large")] {
        assert!(fs::read(path).expect("a file") == noise(3_000_000, 5));
    }
    assert_eq!(names(home.path()), ["d", "large"]);
    assert_eq!(aborting.connections(), 3);
}

/// A client that has opened a part file and waits for the rest.
fn client_mid_body(relay: &Server, path: &Path) -> RunningProgram {
    let client = RunningProgram::start(
        client_command(relay.address(), &["get", "large", "-o"])
            .arg(path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    );
    let part = path.with_file_name(".large.part");
    eventually("a part is there", || {
        fs::metadata(&part).is_ok_and(|metadata| metadata.len() == 4_000_000)
    });
    client
}

#[test]
fn sigint_removes_a_part_without_pieces_and_sigkill_leaves_it() {
    let stuck = FakeServer::hanging_after(format!("FOUND 4000000\n{}", "x".repeat(70_000)));
    let lone = relay(&[]);
    register(&lone, stuck.address());
    let home = folder(&[]);
    let path = home.path().join("large");
    for signal in [
        Signal::INT,
        Signal::TERM,
        Signal::HUP,
        Signal::QUIT,
        Signal::XCPU,
    ] {
        let mut client = client_mid_body(&lone, &path);
        // The second one must not interrupt the cleaning up.
        client.signal(signal);
        client.signal(signal);
        assert_eq!(client.wait(), Some(130));
        assert!(names(home.path()).is_empty());
    }
    let mut killed = client_mid_body(&lone, &path);
    let target = path.to_str().expect("a text");
    let fixture = SaveFixture::new();
    fixture.assert_fails(
        &["large", "-o", target],
        "is being fetched by another program",
    );
    killed.signal(Signal::KILL);
    assert_eq!(killed.wait(), None);
    assert_eq!(names(home.path()), [".large.part", ".large.part.state"]);
    // No piece was complete: there is nothing to lose.
    fixture.get(&["large", "-o", target]).expect_code(0);
    assert!(fs::read(&path).expect("a file") == noise(3_000_000, 5));
    assert_eq!(names(home.path()), ["large"]);
}
