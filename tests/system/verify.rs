//! `verify`: files on disk are compared with the network, and only wrong pieces are
//! replaced.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::geteuid;
use tempfile::TempDir;

use crate::hashes::{hash, node};
use crate::support::piece_node::{Fault, PieceNode};
use crate::support::relay_index::{holders, wait_for_hash};
use crate::support::{
    FileSystem, ProgramOutput, Server, client, client_command, eventually, folder, noise, relay,
    run,
};

const PIECE: usize = 1024 * 1024;
const SIZE: usize = 5 * PIECE + 5;
const SMALL: &[u8] = b"Hello, Peerline!\n";

/// A relay, a node with two files, and a folder with copies.
struct VerifyFixture {
    relay: Server,
    node: Server,
    _share: TempDir,
    home: TempDir,
    content: Vec<u8>,
}

impl VerifyFixture {
    fn new(node_args: &[&str]) -> Self {
        let content = noise(SIZE, 21);
        let files = [("large", &content[..]), ("small", SMALL)];
        let (share, home) = (folder(&files), folder(&files));
        let relay = relay(&[]);
        let node = node(&relay, share.path(), node_args);
        Self {
            relay,
            node,
            _share: share,
            home,
            content,
        }
    }

    fn with_hashes() -> Self {
        let fixture = Self::new(&["--no-hash-cache"]);
        for (name, content) in [("large", &fixture.content[..]), ("small", SMALL)] {
            let hash = hash(content);
            eventually("the hash is known", || {
                let holders = holders(&fixture.relay, name);
                holders.iter().any(|holder| holder.contains(&hash))
            });
        }
        fixture
    }

    fn verify(&self, args: &[&str]) -> ProgramOutput {
        let mut command = client_command(self.relay.address(), &["verify"]);
        command.args(args).current_dir(self.home.path());
        run(command, b"")
    }

    fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.home.path().join(name), content).expect("a file");
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.home.path().join(name)).expect("a file")
    }
}

/// Permissions do not bind root.
fn as_user(mut command: Command) -> Command {
    if geteuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
    command
}

#[test]
fn only_wrong_pieces_are_replaced() {
    let fixture = VerifyFixture::with_hashes();
    let path = fixture.home.path().join("large");
    let before = fs::metadata(&path).expect("a file");
    for args in [&["large"][..], &["./large", "large"]] {
        let output = fixture.verify(args).expect_code(0);
        assert!(output.stderr.contains("up to date"), "{}", output.stderr);
    }
    let after = fs::metadata(&path).expect("a file");
    assert_eq!(after.mtime_nsec(), before.mtime_nsec(), "not written");
    let mut damaged = fixture.content.clone();
    damaged[2 * PIECE + 7] ^= 1;
    *damaged.last_mut().expect("a byte") ^= 1;
    fixture.write("copy", &damaged);
    let output = fixture.verify(&["copy", "large"]).expect_code(0);
    // The last piece has five bytes.
    for line in [
        "  2 of 6 pieces are wrong, fetching them\n",
        "  received 1048581 bytes, 0 remaining\n",
    ] {
        assert!(output.stderr.contains(line), "{}", output.stderr);
    }
    let found = "large: 2 of 6 pieces were wrong and have been replaced\n";
    assert!(output.stderr.contains(found), "{}", output.stderr);
    assert!(fixture.read("copy") == fixture.content);
}

#[test]
fn only_right_pieces_are_written_into_the_file_of_the_user() {
    let content = noise(SIZE, 24);
    let mut damaged = content.clone();
    damaged[PIECE + 7] ^= 1;
    let home = folder(&[("file", &damaged)]);
    let read = || fs::read(home.path().join("file")).expect("a file");
    let verify = |relay: &Server| {
        let args = ["verify", "file", "--timeout", "0.5"];
        let mut command = client_command(relay.address(), &args);
        command.current_dir(home.path());
        run(command, b"")
    };
    for (fault, code) in [
        (Fault::WrongByte, 12),
        (Fault::HangAt(1), 4),
        (Fault::ChangeAt(1), 4),
    ] {
        let relay = relay(&[]);
        let node = PieceNode::new(&relay, &content, fault);
        let output = verify(&relay);
        assert!(read() == damaged, "{fault:?}: {}", output.stderr);
        output.expect_code(code);
        drop(node);
    }
    let relay = relay(&[]);
    let _liar = PieceNode::new(&relay, &content, Fault::WrongByte);
    let _honest = PieceNode::new(&relay, &content, Fault::None);
    verify(&relay).expect_code(0);
    assert!(read() == content);
}

#[test]
fn a_small_file_is_verified() {
    let fixture = VerifyFixture::with_hashes();
    let output = fixture.verify(&["small"]).expect_code(0);
    assert!(output.stderr.contains("up to date"), "{}", output.stderr);
}

#[test]
fn a_file_that_cannot_be_compared_is_not_changed() {
    let fixture = VerifyFixture::with_hashes();
    let short = &SMALL[1..];
    fixture.write("it's short", short);
    let output = fixture.verify(&["it's short", "small"]).expect_code(6);
    let command = r" get small -o 'it'\''s short' --force";
    assert!(output.stderr.contains(command), "{}", output.stderr);
    assert!(fixture.read("it's short") == short);
    let output = fixture.verify(&["missing"]).expect_code(6);
    assert!(output.stderr.contains("no file"), "{}", output.stderr);
    let output = fixture.verify(&["."]).expect_code(2);
    assert!(output.stderr.contains(". is a folder"), "{}", output.stderr);
    let unknown = "0".repeat(64);
    fixture
        .verify(&["large", "--hash", &unknown])
        .expect_code(12);
    // Without hashes there is nothing to compare with.
    let fixture = VerifyFixture::new(&["--no-hashes"]);
    fixture.write("large", b"mine");
    for name in ["large", "small"] {
        let before = fixture.read(name);
        let output = fixture.verify(&[name]).expect_code(6);
        assert!(output.stderr.contains("no node knows"), "{}", output.stderr);
        assert!(fixture.read(name) == before);
    }
}

#[test]
fn a_file_that_may_be_another_one_is_not_changed() {
    let fixture = VerifyFixture::with_hashes();
    // A small file of another length or content, and a large one with no right piece.
    let foreign = noise(SIZE, 22);
    for (name, mine, reason) in [
        ("small", &b"my own notes"[..], "--force"),
        ("small", b"Hello, Peerlime!\n", "--force"),
        ("large", &foreign, "get large -o large --force"),
    ] {
        fixture.write(name, mine);
        let output = fixture.verify(&[name]).expect_code(6);
        assert!(output.stderr.contains(reason), "{}", output.stderr);
        assert!(fixture.read(name) == mine);
    }
    // With several contents, nobody knows which one the user means.
    let other = folder(&[("large", &foreign)]);
    let _node = node(&fixture.relay, other.path(), &["--no-hash-cache"]);
    let mut damaged = fixture.content.clone();
    damaged[9] ^= 1;
    fixture.write("large", &damaged);
    eventually("two contents", || {
        let foreign = hash(&foreign);
        let holders = holders(&fixture.relay, "large");
        holders.iter().any(|holder| holder.contains(&foreign))
    });
    let output = fixture.verify(&["large"]).expect_code(12);
    assert!(output.stderr.contains("choose one with --hash"));
    assert!(fixture.read("large") == damaged);
    let wanted = hash(&fixture.content);
    fixture.verify(&["large", "--hash", &wanted]).expect_code(0);
    assert!(fixture.read("large") == fixture.content);
    // A file that has one of them is right.
    for content in [&fixture.content, &foreign] {
        fixture.write("my copy", content);
        let output = fixture.verify(&["my copy", "large"]).expect_code(0);
        let short = &hash(content)[..8];
        let line = format!("large is the content {short} (1 node): up to date\n");
        assert!(output.stderr.contains(&line), "{}", output.stderr);
    }
}

/// Regression: the descriptor was said to be bad, and the command to be worth another try.
#[test]
fn a_damaged_file_without_permission_to_write_says_so() {
    let fixture = VerifyFixture::with_hashes();
    let home = fixture.home.path();
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("its owner may");
    };
    mode(home, 0o755);
    let mut damaged = fixture.content.clone();
    damaged[9] ^= 1;
    for (content, code) in [(&fixture.content, 0), (&damaged, 6)] {
        mode(&home.join("large"), 0o644);
        fixture.write("large", content);
        mode(&home.join("large"), 0o444);
        let mut command = client_command(fixture.relay.address(), &["verify", "large"]);
        command.current_dir(home);
        let output = run(as_user(command), b"").expect_code(code);
        let why = "cannot write large: Permission denied\n";
        assert_eq!(output.stderr.contains(why), code == 6, "{}", output.stderr);
        assert!(!output.stderr.contains("is kept"), "{}", output.stderr);
        assert!(fixture.read("large") == *content);
    }
}

/// Regression: a right file could not be verified there.
#[test]
fn a_file_on_a_read_only_file_system_is_compared() {
    let fixture = VerifyFixture::with_hashes();
    let home = fixture.home.path();
    let source = home.to_str().expect("text");
    let Some(disk) = FileSystem::mount(&["-o", "bind,ro", source]) else {
        return;
    };
    let file = disk.root().join("large");
    let file = file.to_str().expect("text");
    let mut damaged = fixture.content.clone();
    damaged[9] ^= 1;
    for (content, code) in [(&fixture.content, 0), (&damaged, 6)] {
        fixture.write("large", content);
        let output = fixture.verify(&[file, "large"]).expect_code(code);
        let why = format!("cannot write {file}: Read-only file system\n");
        assert_eq!(output.stderr.contains(&why), code == 6, "{}", output.stderr);
        assert!(!output.stderr.contains("is kept"), "{}", output.stderr);
        assert!(fixture.read("large") == *content);
    }
}

/// Regression: the folder was said to have another length, and --force to replace it.
#[test]
fn a_folder_with_the_name_of_a_file_is_named() {
    let fixture = VerifyFixture::with_hashes();
    for (name, glob) in [("small", "smal*"), ("large", "larg*")] {
        let path = fixture.home.path().join(name);
        fs::remove_file(&path).expect("removed");
        fs::create_dir(&path).expect("a folder");
        let output = fixture.verify(&["-d", ".", glob]).expect_code(6);
        let why = format!("./{name} is a folder, and the content is that of a file\n");
        assert!(output.stderr.contains(&why), "{}", output.stderr);
        fs::remove_dir(&path).expect("removed");
        mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).expect("a FIFO");
        let output = fixture.verify(&["-d", ".", name]).expect_code(6);
        let why = format!("./{name} is not a regular file\n");
        assert!(output.stderr.contains(&why), "{}", output.stderr);
    }
}

#[test]
fn a_file_that_was_cut_off_is_completed() {
    let fixture = VerifyFixture::with_hashes();
    fixture.write("short", &fixture.content[..3 * PIECE + 1]);
    let output = fixture.verify(&["short", "large"]).expect_code(0);
    for line in [
        "  3 of 6 pieces are wrong, fetching them\n",
        "  received 2097157 bytes, 0 remaining\n",
        "large: 3 of 6 pieces were wrong and have been replaced\n",
    ] {
        assert!(output.stderr.contains(line), "{}", output.stderr);
    }
    assert!(fixture.read("short") == fixture.content);
}

#[test]
fn the_end_of_a_longer_file_is_cut_off_by_the_user_only() {
    let fixture = VerifyFixture::with_hashes();
    let mut damaged = fixture.content.clone();
    damaged[9] ^= 1;
    for content in [&fixture.content, &damaged] {
        let long = [&content[..], b"mine"].concat();
        fixture.write("my log", &long);
        let output = fixture.verify(&["my log", "large"]).expect_code(6);
        assert!(
            output.stderr.contains("4 bytes follow"),
            "{}",
            output.stderr
        );
        assert!(!output.stderr.contains("is kept"), "{}", output.stderr);
        assert!(fixture.read("my log") == long, "it was not changed");
        let lines = output.stderr.lines();
        let mut commands = lines.filter_map(|line| line.split_once("verify it again: "));
        let (_, command) = commands.next().expect("a command");
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(fixture.home.path());
        run(shell, b"").expect_code(0);
        fixture.verify(&["my log", "large"]).expect_code(0);
        assert!(fixture.read("my log") == fixture.content);
    }
}

#[test]
fn a_folder_is_verified_file_by_file() {
    let large = noise(SIZE, 23);
    let files: [(&str, &[u8]); 5] = [
        ("docs/damaged", &large),
        ("docs/deep/right", SMALL),
        ("docs/missing", b"gone"),
        ("docs/other", b"theirs"),
        ("elsewhere", b"not in the folder"),
    ];
    let share = folder(&files);
    let home = folder(&[]);
    let relay = relay(&[]);
    let node = node(&relay, share.path(), &["--no-hash-cache"]);
    for (name, content) in files {
        wait_for_hash(&relay, name, content, 1);
    }
    let run_in_home = |args: &[&str]| {
        let mut command = client_command(relay.address(), args);
        command.current_dir(home.path());
        run(command, b"")
    };
    run_in_home(&["get", "docs/"]).expect_code(0);
    let output = run_in_home(&["verify", "docs/"]).expect_code(0);
    let summary = "4 files right, 0 repaired, 0 failed\n";
    assert!(output.stderr.ends_with(summary), "{}", output.stderr);
    let path = |name: &str| home.path().join(name);
    let mut damaged = large.clone();
    damaged[PIECE + 1] ^= 1;
    fs::write(path("docs/damaged"), &damaged).expect("a file");
    fs::remove_file(path("docs/missing")).expect("a file");
    fs::write(path("docs/other"), "mine :").expect("a file");
    let gets = node.stat("gets");
    let absolute = home.path().to_str().expect("text");
    let output = run_in_home(&["verify", "-d", absolute, "docs"]).expect_code(6);
    for line in [
        "docs/damaged: 1 of 6 pieces was wrong and has been replaced\n",
        "/docs/missing is missing; to fetch it: peer-client ",
        "/docs/other has another content, and may be another file; it was not changed",
        "1 file right, 1 repaired, 2 failed\n",
    ] {
        assert!(output.stderr.contains(line), "{line}: {}", output.stderr);
    }
    assert!(fs::read(path("docs/damaged")).expect("a file") == large);
    assert!(!path("docs/missing").exists());
    assert_eq!(fs::read(path("docs/other")).expect("a file"), b"mine :");
    assert_eq!(node.stat("gets"), gets + 1, "only the damaged piece");
    let output = run_in_home(&["verify", "docs/", "--json"]).expect_code(6);
    let summary = r#""repaired":0"#;
    assert!(output.text().contains(summary), "{}", output.text());
    assert!(
        output.text().contains(r#""up_to_date":2"#),
        "{}",
        output.text()
    );
}

#[test]
fn a_folder_that_no_name_stands_for_gets_advice() {
    let home = folder(&[("docs/a", b"a")]);
    let relay = relay(&[]);
    let docs = home.path().join("docs");
    let docs = docs.to_str().expect("text");
    let parent = home.path().to_str().expect("text");
    let advice = format!(
        "write peer-client {} verify -d {parent} docs/",
        relay.address()
    );
    let output = client(&relay, &["verify", docs]).expect_code(2);
    assert!(output.stderr.contains(&advice), "{}", output.stderr);
    let output = client(&relay, &["verify", "-d", "/no/such", "docs/"]).expect_code(6);
    assert!(
        output.stderr.contains("no folder /no/such"),
        "{}",
        output.stderr
    );
    let output = client(&relay, &["verify", "-d", parent, "docs/"]).expect_code(1);
    assert!(output.stderr.contains("docs/"), "{}", output.stderr);
}

#[test]
fn a_path_is_compared_with_the_file_of_its_longest_end() {
    let files: [(&str, &[u8]); 3] = [("a", b"at the top"), ("docs/a", b"in docs"), ("b", b"b")];
    let share = folder(&files);
    let home = folder(&[
        ("docs/a", b"in docs"),
        ("deep/docs/a", b"in docs"),
        ("other/a", b"at the top"),
        ("other/b", b"b"),
    ]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &["--no-hash-cache"]);
    for (name, content) in files {
        let hash = hash(content);
        eventually("the hash is known", || {
            let holders = holders(&relay, name);
            holders.iter().any(|holder| holder.contains(&hash))
        });
    }
    let verify = |path: &str| {
        let mut command = client_command(relay.address(), &["verify", path]);
        command.current_dir(home.path());
        run(command, b"")
    };
    let absolute = home.path().join("deep/docs/a");
    for (path, name) in [
        ("docs/a", "docs/a"),
        ("./deep/../deep/docs/a", "docs/a"),
        (absolute.to_str().expect("text"), "docs/a"),
        ("other/a", "a"),
        ("other/b", "b"),
    ] {
        let output = verify(path).expect_code(0);
        let text = format!("{name}: up to date\n");
        assert!(output.stderr.ends_with(&text), "{path}: {}", output.stderr);
    }
    fs::write(home.path().join("docs/a"), "at the top").expect("a file");
    assert_ne!(
        verify("docs/a").code,
        Some(0),
        "it is the content of another file"
    );
}

/// Runs the command that a message advises after this text.
fn paste(output: &ProgramOutput, after: &str, folder: &Path) -> ProgramOutput {
    let mut lines = output.stderr.lines();
    let command = lines.find_map(|line| line.split_once(after));
    let (_, command) = command.unwrap_or_else(|| panic!("{after}: {}", output.stderr));
    let programs = Path::new(env!("CARGO_BIN_EXE_peer-client")).parent();
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]).current_dir(folder);
    shell.env("PATH", programs.expect("a folder"));
    shell.env("XDG_STATE_HOME", folder);
    run(shell, b"")
}

#[test]
fn an_advised_command_works_when_it_is_pasted() {
    let fixture = VerifyFixture::with_hashes();
    let home = fixture.home.path();
    let mine = b"my own notes";
    let replace = |args: &[&str]| {
        fixture.write("my copy", mine);
        let output = fixture.verify(&[&["my copy", "small"], args].concat());
        let pasted = paste(&output, "to replace it: ", home).expect_code(0);
        assert!(fixture.read("my copy") == SMALL, "{}", pasted.stderr);
    };
    replace(&[]);
    // With another content of that name, a command without the hash would be refused.
    let other = folder(&[("small", b"not what was wanted")]);
    let _node = node(&fixture.relay, other.path(), &["--no-hash-cache"]);
    wait_for_hash(&fixture.relay, "small", b"not what was wanted", 1);
    replace(&["--hash", &hash(SMALL)]);
    let node_address = fixture.node.address().to_string();
    fixture.write("my copy", mine);
    let mut command = Command::new(env!("CARGO_BIN_EXE_peer-client"));
    command.args(["verify", "my copy", "small", "--from", &node_address]);
    let output = run(
        {
            command.current_dir(home);
            command
        },
        b"",
    )
    .expect_code(6);
    paste(&output, "to replace it: ", home).expect_code(0);
    assert!(fixture.read("my copy") == SMALL);
    fixture.write("small", SMALL);
    let other = folder(&[]);
    let output = fixture.verify(&["-d", other.path().to_str().expect("text"), "large"]);
    paste(&output.expect_code(6), "to fetch it: ", home).expect_code(0);
    assert!(fs::read(other.path().join("large")).expect("a file") == fixture.content);
}

#[test]
fn an_advised_command_has_the_flags_for_access_and_tls() {
    let home = folder(&[("small", b"my own notes")]);
    let secret = home.path().join("the secret");
    fs::write(&secret, "correct horse battery staple").expect("a file");
    fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).expect("ours");
    let secret_flag = format!("--secret-file={}", secret.display());
    let relay = relay(&[&secret_flag]);
    let share = folder(&[("small", SMALL)]);
    let node = node(&relay, share.path(), &[&secret_flag]);
    node.log_until("registered as");
    let client = |words: &[&str]| {
        let args = [words, &["--show-id", "--tls", "required", &secret_flag]].concat();
        let mut command = client_command(relay.address(), &args);
        command.env("XDG_STATE_HOME", home.path());
        command.current_dir(home.path());
        run(command, b"")
    };
    eventually("its hash is known", || {
        client(&["find", "small"]).text().contains(&hash(SMALL))
    });
    let output = client(&["verify", "small"]).expect_code(6);
    let flags = format!(" '{secret_flag}' --show-id --tls=required get small -o small --force");
    assert!(output.stderr.contains(&flags), "{}", output.stderr);
    paste(&output, "to replace it: ", home.path()).expect_code(0);
    assert_eq!(fs::read(home.path().join("small")).expect("a file"), SMALL);
}

#[test]
fn verify_at_the_prompt_is_that_of_the_command_line() {
    let fixture = VerifyFixture::with_hashes();
    let mut damaged = fixture.content.clone();
    damaged[9] ^= 1;
    fixture.write("large", &damaged);
    fixture.write("my copy", b"my own notes");
    let prompt = |line: &str| {
        let mut command = client_command(fixture.relay.address(), &[]);
        command.current_dir(fixture.home.path());
        run(command, line.as_bytes())
    };
    let output = prompt("verify large\nget small\n").expect_code(0);
    assert!(
        fixture.read("large") == fixture.content,
        "{}",
        output.stderr
    );
    assert_eq!(output.stdout, SMALL, "the next command prints");
    let output = prompt("verify -d . '*l*'\n").expect_code(0);
    let summary = "2 files right, 0 repaired, 0 failed\n";
    assert!(output.stderr.contains(summary), "{}", output.stderr);
    let output = prompt("verify 'my copy' small\n").expect_code(6);
    let (_, advice) = output.stderr.split_once("to replace it: ").expect("advice");
    prompt(advice).expect_code(0);
    assert!(fixture.read("my copy") == SMALL);
    for (line, why) in [
        ("verify", "write the path of a file: verify hello.txt"),
        (
            "verify large --force",
            "unknown flag --force; usage: verify FILE",
        ),
        (
            "verify large large x",
            "unexpected word 'x'; usage: verify FILE",
        ),
    ] {
        let output = prompt(line).expect_code(2);
        assert!(output.stderr.contains(why), "{line}: {}", output.stderr);
    }
}

/// Regression: such a folder or file was said to be missing.
#[test]
fn a_folder_that_cannot_be_searched_is_not_missing() {
    let fixture = VerifyFixture::with_hashes();
    let home = fixture.home.path();
    fs::create_dir_all(home.join("private/in")).expect("folders");
    fs::copy(home.join("small"), home.join("private/in/small")).expect("a copy");
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("its owner may");
    };
    mode(home, 0o755);
    let is_root = geteuid().is_root();
    mode(&home.join("private"), if is_root { 0o700 } else { 0 });
    for (args, path) in [
        (&["get", "-d", "private/in", "small"][..], "private/in"),
        (
            &["get", "-d", "private/in", "--mkdir", "small"],
            "private/in",
        ),
        (&["verify", "private/in/small"], "private/in/small"),
        (&["verify", "-d", "private/in", "small"], "private/in"),
    ] {
        let client = |args: &[&str], input: &str| {
            let mut command = as_user(client_command(fixture.relay.address(), args));
            command.current_dir(home);
            run(command, input.as_bytes()).expect_code(6)
        };
        for output in [client(args, ""), client(&[], &args.join(" "))] {
            let why = format!("cannot open {path}: Permission denied\n");
            assert!(output.stderr.contains(&why), "{args:?}: {}", output.stderr);
        }
    }
    mode(&home.join("private"), 0o700);
}

/// A job that checks a file from time to time must not be told that its command is wrong.
#[test]
fn a_file_that_is_missing_on_disk_has_the_exit_code_of_the_disk() {
    let fixture = VerifyFixture::with_hashes();
    fs::remove_file(fixture.home.path().join("small")).expect("a file to remove");
    let client = |args: &[&str], input: &str| {
        let mut command = client_command(fixture.relay.address(), args);
        command.current_dir(fixture.home.path());
        run(command, input.as_bytes())
    };
    for (args, why) in [
        (
            &["verify", "no/such"][..],
            "no/such is no file on this computer; ",
        ),
        (
            &["verify", "small", "large"],
            "small is no file on this computer; ",
        ),
        (
            &["verify", "no/such/"],
            "no/such/ is no file on this computer; ",
        ),
        (&["verify", "-d", "no", "small"], "there is no folder no"),
        (&["verify", "-d", ".", "small"], "small"),
    ] {
        let output = client(args, "").expect_code(6);
        assert!(output.stderr.contains(why), "{args:?}: {}", output.stderr);
        let output = client(&[], &args.join(" ")).expect_code(6);
        assert!(output.stderr.contains(why), "{args:?}: {}", output.stderr);
    }
}
