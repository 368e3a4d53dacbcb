//! Files that are saved: whole or not at all, never over another one unasked,
//! and never outside the folder that the user named.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Stdio;
use std::thread;

use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::{Signal, geteuid};
use tempfile::TempDir;

use crate::bodies::noise;
use crate::fake::{Fake, register};
use crate::running::Running;
use crate::support::{Done, Server, client, client_command, eventually, folder, node, relay, run};

const HELLO: &str = "Hello, Peerline!\n";

/// A network of one node that has a few files, and a folder to save into.
struct Scene {
    relay: Server,
    _node: Server,
    _share: TempDir,
    home: TempDir,
}

impl Scene {
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
    fn get(&self, args: &[&str]) -> Done {
        let mut command = client_command(self.relay.address(), &["get"]);
        command.args(args).current_dir(self.home.path());
        run(command, b"")
    }

    /// Likewise, where it must fail with this advice.
    #[track_caller]
    fn refused(&self, args: &[&str], advice: &str) {
        let done = self.get(args).expect_code(6);
        assert!(done.stderr.contains(advice), "{}", done.stderr);
        assert!(done.stdout.is_empty());
    }

    #[track_caller]
    fn has(&self, name: &str, content: &str) {
        let path = self.home.path().join(name);
        assert_eq!(fs::read_to_string(path).expect("a text"), content);
    }

    /// Everything in the home folder.
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
fn a_file_is_saved_under_the_name_that_the_user_gives() {
    let scene = Scene::new();
    let done = scene.get(&["hello.txt", "-o", "mine"]).expect_code(0);
    assert!(done.stdout.is_empty());
    scene.has("mine", HELLO);
    assert_eq!(scene.names(), ["mine"]);
    // Dashes mean stdout, and a name after ./ is a name.
    let done = scene.get(&["hello.txt", "-o", "-"]).expect_code(0);
    assert_eq!(done.text(), HELLO);
    scene.get(&["hello.txt", "-o", "./-"]).expect_code(0);
    scene.has("-", HELLO);
    // The usual permissions: what the umask leaves of 0666.
    let mode = |name| fs::metadata(scene.home.path().join(name)).map(|m| m.permissions().mode());
    fs::write(scene.home.path().join("other"), "").expect("a file");
    assert_eq!(mode("mine").expect("a file"), mode("other").expect("one"));
}

#[test]
fn files_are_saved_under_their_own_names_below_a_folder() {
    let scene = Scene::new();
    let args = ["hello.txt", "a/b/deep.txt", "large", "-d", "new/folder"];
    scene.get(&args).expect_code(0);
    scene.has("new/folder/hello.txt", HELLO);
    scene.has("new/folder/a/b/deep.txt", "deep");
    let large = fs::read(scene.home.path().join("new/folder/large")).expect("a file");
    assert!(large == noise(3_000_000, 5));
    let all = names(&scene.home.path().join("new/folder"));
    assert_eq!(all, ["a", "hello.txt", "large"]);
}

#[test]
fn what_is_there_is_replaced_only_by_force() {
    let scene = Scene::new();
    fs::write(scene.home.path().join("hello.txt"), "mine").expect("a file");
    symlink("nowhere", scene.home.path().join("link")).expect("a link");
    for target in ["-ohello.txt", "-d.", "-o./hello.txt", "-olink"] {
        scene.refused(
            &["hello.txt", target],
            "exists already; --force replaces it",
        );
    }
    scene.has("hello.txt", "mine");
    scene
        .get(&["hello.txt", "-d", ".", "--force"])
        .expect_code(0);
    scene.has("hello.txt", HELLO);
    assert_eq!(scene.names(), ["hello.txt", "link"]);
}

#[test]
fn what_cannot_be_written_is_said_with_advice() {
    let scene = Scene::new();
    fs::create_dir(scene.home.path().join("folder")).expect("a folder");
    fs::write(scene.home.path().join("file"), "mine").expect("a file");
    scene.refused(&["hello.txt", "-o", "folder"], "is a folder; use -d");
    scene.refused(
        &["hello.txt", "-o", "missing/x"],
        "No such file or directory",
    );
    scene.refused(&["hello.txt", "-o", "file/x"], "no folder");
    scene.refused(&["hello.txt", "-d", "file"], "no folder");
    // Every write to it finds the disk full.
    scene.refused(&["hello.txt", "-o", "/dev/full"], "No space left on device");
    scene.refused(&["large", "-o", "/dev/full"], "No space left on device");
    scene.has("file", "mine");
    assert_eq!(scene.names(), ["file", "folder"]);
    // Nothing stops root from writing.
    if !geteuid().is_root() {
        let locked = fs::Permissions::from_mode(0o500);
        fs::set_permissions(scene.home.path().join("folder"), locked).expect("it is ours");
        scene.refused(&["hello.txt", "-d", "folder"], "Permission denied");
    }
}

#[test]
fn devices_and_pipes_are_written_to_directly() {
    let scene = Scene::new();
    let done = scene.get(&["hello.txt", "-o", "/dev/null"]).expect_code(0);
    assert!(done.stdout.is_empty());
    let fifo = scene.home.path().join("fifo");
    mkfifoat(CWD, &fifo, Mode::RUSR | Mode::WUSR).expect("a FIFO");
    let reader = thread::spawn({
        let fifo = fifo.clone();
        move || fs::read(fifo)
    });
    scene.get(&["large", "-o", "fifo"]).expect_code(0);
    let came = reader.join().expect("a reader").expect("bytes");
    assert!(came == noise(3_000_000, 5));
    assert_eq!(scene.names(), ["fifo"]);
}

#[test]
fn a_file_that_cannot_be_saved_does_not_stop_the_others_nor_is_a_part_of_ours_taken() {
    let lone = relay(&[]);
    let share = folder(&[("x", b"x"), ("x.part", b"a file of its own"), ("y", b"y")]);
    let _node = node(&lone, share.path(), &[]);
    let home = folder(&[("d/y", b"mine")]);
    let dir = home.path().join("d");
    let dir = dir.to_str().expect("a text");
    let done = client(&lone, &["get", "y", "x.part", "x", "-d", dir]).expect_code(6);
    assert!(done.stderr.contains("exists already"), "{}", done.stderr);
    for (name, content) in [("x", "x"), ("x.part", "a file of its own"), ("y", "mine")] {
        let path = home.path().join("d").join(name);
        assert_eq!(fs::read_to_string(path).expect("a text"), content);
    }
}

#[test]
fn links_do_not_lead_out_of_the_folder() {
    let scene = Scene::new();
    let outside = folder(&[("b/deep.txt", b"mine")]);
    let (home, into) = (scene.home.path(), scene.home.path().join("into"));
    fs::create_dir(&into).expect("a folder");
    symlink(outside.path(), into.join("a")).expect("a link");
    scene.refused(&["a/b/deep.txt", "-d", "into", "-f"], "link: not followed");
    let path = outside.path().join("b/deep.txt");
    assert_eq!(fs::read(&path).expect("a file"), b"mine");
    // A link in the last place is replaced; one in the place of the part is left alone.
    fs::remove_file(into.join("a")).expect("a link");
    fs::create_dir_all(into.join("a/b")).expect("a folder");
    symlink(&path, into.join("a/b/deep.txt")).expect("a link");
    scene
        .get(&["a/b/deep.txt", "-d", "into", "-f"])
        .expect_code(0);
    scene.has("into/a/b/deep.txt", "deep");
    assert_eq!(fs::read(&path).expect("a file"), b"mine");
    let new = outside.path().join("new");
    for target in [&path, &new] {
        symlink(target, into.join("hello.txt.part")).expect("a link");
        scene.get(&["hello.txt", "-d", "into", "-f"]).expect_code(0);
        scene.has("into/hello.txt", HELLO);
        fs::remove_file(into.join("hello.txt.part")).expect("a link");
    }
    assert_eq!(fs::read(&path).expect("a file"), b"mine");
    assert!(!new.exists());
    // The folder itself is the user's own choice: it may be a link.
    symlink(outside.path(), home.join("chosen")).expect("a link");
    scene.get(&["hello.txt", "-d", "chosen"]).expect_code(0);
    assert!(outside.path().join("hello.txt").exists());
}

#[test]
fn a_name_that_leads_out_is_none() {
    let scene = Scene::new();
    for name in ["../x", "/etc/passwd", "a/../../x", "a//x", ".", "x\\y", ""] {
        let done = scene.get(&["-d", ".", "--", name]).expect_code(2);
        assert!(done.stderr.contains("file name"), "{}", done.stderr);
    }
    assert!(scene.names().is_empty());
    let args = ["hello.txt", "large", "-o", "file"];
    let done = scene.get(&args).expect_code(2);
    assert!(done.stderr.contains("use -d DIR"), "{}", done.stderr);
    scene.get(&["x", "-o", "file", "-d", "dir"]).expect_code(2);
}

#[test]
fn a_node_that_dies_in_the_middle_leaves_nothing() {
    let dies = Fake::saying([b"FOUND 4000000\n", &noise(2_500_000, 1)[..]].concat());
    let lone = relay(&[]);
    register(&lone, dies.address());
    let home = folder(&[]);
    let path = home.path().join("large");
    let target = path.to_str().expect("a text");
    client(&lone, &["get", "large", "-o", target]).expect_code(5);
    assert!(names(home.path()).is_empty());
    // Even 2.5 MB from one node do not stand before the file of the next.
    let share = folder(&[("large", &noise(3_000_000, 5))]);
    let node = node(&lone, share.path(), &[]);
    let both = Fake::relay(&[dies.address(), node.address()]);
    let get = |args: &[&str]| run(client_command(both.address(), args), b"").expect_code(0);
    get(&["get", "large", "-o", target]);
    let folder = home.path().join("d");
    let dir = folder.to_str().expect("a text");
    get(&["get", "large", "-d", dir]);
    for path in [path, folder.join("large")] {
        assert!(fs::read(path).expect("a file") == noise(3_000_000, 5));
    }
    assert_eq!(names(home.path()), ["d", "large"]);
    assert_eq!(dies.calls(), 3);
}

/// A client that has saved a part of a file whose rest does not come.
fn in_the_middle(relay: &Server, path: &Path) -> Running {
    let client = Running::start(
        client_command(relay.address(), &["get", "hello.txt", "-o"])
            .arg(path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    );
    let part = path.with_file_name("hello.txt.part");
    eventually("a part is saved", || {
        fs::metadata(&part).is_ok_and(|metadata| metadata.len() == 40)
    });
    client
}

#[test]
fn an_interrupted_client_leaves_nothing_and_a_killed_one_only_its_part() {
    // Longer than the file that will be saved over the part.
    let stuck = Fake::stuck_after(format!("FOUND 60\n{}", "x".repeat(40)));
    let lone = relay(&[]);
    register(&lone, stuck.address());
    let home = folder(&[]);
    let path = home.path().join("hello.txt");
    for signal in [Signal::INT, Signal::TERM] {
        let mut client = in_the_middle(&lone, &path);
        client.signal(signal);
        assert_eq!(client.end(), Some(130));
        assert!(names(home.path()).is_empty());
    }
    let mut killed = in_the_middle(&lone, &path);
    // Another client leaves alone what is being written, and what is left of it.
    let target = path.to_str().expect("a text");
    let scene = Scene::new();
    scene.get(&["hello.txt", "-o", target]).expect_code(0);
    killed.signal(Signal::KILL);
    assert_eq!(killed.end(), None);
    scene.get(&["hello.txt", "-o", target, "-f"]).expect_code(0);
    assert_eq!(fs::read_to_string(&path).expect("a file"), HELLO);
    assert_eq!(names(home.path()), ["hello.txt", "hello.txt.part"]);
    let part = fs::read_to_string(home.path().join("hello.txt.part"));
    assert_eq!(part.expect("a file").len(), 40);
}
