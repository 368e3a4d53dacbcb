//! Files that another program saves while a client fetches them into the same place.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::geteuid;

use crate::hashes;
use crate::support::fake_server::{FakeConnection, FakeServer};
use crate::support::piece_node::{Fault, PieceNode};
use crate::support::relay_index::wait_for_hash;
use crate::support::{
    RunningProgram, Server, ask, client_command, eventually, folder, noise, relay, run,
};

const WANTED: &[u8] = b"the wanted content";
const NAMES: [&str; 3] = ["d/1", "d/2", "d/3"];

/// A node with small files. Before it sends one, another program saves `other` in its place
/// below `home`.
fn node_that_is_overtaken(relay: &Server, home: PathBuf, other: &'static [u8]) -> FakeServer {
    let node = FakeServer::new(move |connection| serve(connection, &home, other));
    let (ip, port) = (node.address().ip(), node.address().port());
    let (size, hash) = (WANTED.len(), blake3::hash(WANTED));
    let shares = NAMES.map(|name| format!("SHARE {size} {hash} {name}\n"));
    let lines = format!("REGISTER {ip} {port}\n{}", shares.concat());
    let reply = ask(relay.address(), lines.as_bytes());
    assert!(reply.ends_with("\nOK\n"), "{reply}");
    node
}

fn serve(mut connection: FakeConnection, home: &Path, other: &[u8]) {
    loop {
        let line = connection.line();
        let goes_on = match line.trim_end().split_once(' ') {
            Some(("GET", name)) => {
                fs::create_dir_all(home.join("d")).expect("a folder");
                fs::write(home.join(name), other).expect("a file");
                connection.send(format!("FOUND {}\n", WANTED.len())) && connection.send(WANTED)
            }
            Some(_) => connection.send("ERROR 501 only GET\n"),
            None => false,
        };
        if !goes_on {
            return;
        }
    }
}

#[test]
fn small_files_with_the_wanted_content_are_up_to_date() {
    for (other, code, summary) in [
        (WANTED, 0, "3 up to date, 0 failed\n"),
        (b"some other content".as_slice(), 6, "3 failed"),
    ] {
        let (relay, home) = (relay(&[]), folder(&[]));
        let _node = node_that_is_overtaken(&relay, home.path().to_owned(), other);
        for names in [&NAMES[..], &NAMES[..1]] {
            // What the round before has left.
            let _ = fs::remove_dir_all(home.path().join("d"));
            let mut get = client_command(relay.address(), &["get", "-d", "."]);
            get.args(names).current_dir(home.path());
            let output = run(get, b"").expect_code(code);
            let text = &output.stderr;
            assert!(names.len() == 1 || text.contains(summary), "{text}");
            assert_eq!(
                text.contains("exists already; --force"),
                code != 0,
                "{text}"
            );
            assert_eq!(fs::read(home.path().join("d/1")).expect("a file"), other);
        }
    }
}

#[test]
fn a_large_file_with_the_wanted_content_is_up_to_date() {
    let content = noise(3_000_000, 7);
    for (is_same, code) in [(true, 0), (false, 6)] {
        let (relay, home) = (relay(&[]), folder(&[]));
        // The client waits for the other pieces, and for a node when this one ends.
        let first = PieceNode::new(&relay, &content, Fault::Incomplete(1));
        let args = ["get", "file", "-d", ".", "--wait", "60"];
        let mut get = client_command(relay.address(), &args);
        get.current_dir(home.path()).stderr(Stdio::piped());
        let mut get = RunningProgram::start(&mut get);
        let saved = |name: &str| home.path().join(name);
        eventually("a part", || saved(".file.part").exists());
        let other = [&content[1..], &[content[0] ^ u8::from(!is_same)]].concat();
        fs::write(saved("file"), if is_same { &content } else { &other }).expect("a file");
        drop(first);
        let _second = PieceNode::new(&relay, &content, Fault::None);
        assert_eq!(get.wait(), Some(code));
        assert_eq!(saved(".file.part").exists(), !is_same);
        assert_eq!(saved(".file.part.state").exists(), !is_same);
    }
}

/// The command in a namespace in which the folder `y` of `home` is the folder `x`. None where
/// the system does not allow that.
fn with_one_folder_twice(command: &Command, home: &Path) -> Option<Command> {
    let mut unshare = Command::new("unshare");
    if !geteuid().is_root() {
        unshare.arg("--map-root-user");
    }
    let script = "mount --bind x y || exit 77; exec \"$@\"";
    unshare.args(["--mount", "sh", "-c", script, "sh"]);
    unshare.current_dir(home);
    let is_possible = Command::new(unshare.get_program())
        .args(unshare.get_args())
        .arg("true")
        .current_dir(home)
        .status()
        .is_ok_and(|status| status.success());
    if !is_possible {
        eprintln!("not tested: the system mounts no folder twice");
        return None;
    }
    unshare.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        unshare.env(name, value.unwrap_or_default());
    }
    Some(unshare)
}

/// Regression: the content of one name was left, and all were said to be fetched.
#[test]
fn of_two_names_for_one_file_force_saves_one_and_refuses_the_other() {
    let large = [noise(3_000_000, 1), noise(3_000_000, 2)];
    let share = folder(&[
        ("x/small", b"one"),
        ("y/small", b"other"),
        ("x/large", &large[0]),
        ("y/large", &large[1]),
    ]);
    let relay = relay(&[]);
    let _node = hashes::node(&relay, share.path(), &["--no-hash-cache"]);
    for name in ["x/small", "y/small", "x/large", "y/large"] {
        let content = fs::read(share.path().join(name)).expect("a file");
        wait_for_hash(&relay, name, &content, 1);
    }
    for name in ["small", "large"] {
        let home = folder(&[]);
        for name in ["x", "y"] {
            fs::create_dir(home.path().join(name)).expect("a folder");
        }
        let [x, y] = ["x", "y"].map(|folder| format!("{folder}/{name}"));
        let args = ["get", &x, &y, "-d.", "--force", "--max-downloads=1"];
        let command = client_command(relay.address(), &args);
        // The second time, the first file is up to date.
        for _ in 0..2 {
            let Some(get) = with_one_folder_twice(&command, home.path()) else {
                return;
            };
            let output = run(get, b"").expect_code(6);
            let text = &output.stderr;
            let reason = format!("./{y}: on disk it is ./{x}, a finished download");
            assert!(text.contains(&reason), "{text}");
            let saved = fs::read(home.path().join(&x)).expect("a file");
            assert!(saved == fs::read(share.path().join(&x)).expect("a file"));
            assert!(!home.path().join(format!("x/.{name}.part")).exists());
        }
        // Each command may replace the file.
        let args = ["get", &y, "-d.", "--force"];
        let command = client_command(relay.address(), &args);
        let get = with_one_folder_twice(&command, home.path()).expect("as before");
        run(get, b"").expect_code(0);
        let saved = fs::read(home.path().join(&x)).expect("a file");
        assert!(saved == fs::read(share.path().join(&y)).expect("a file"));
    }
}
