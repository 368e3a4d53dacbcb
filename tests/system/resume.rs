//! Broken-off downloads: what is there stays, is checked where it may be wrong, and is
//! not fetched again.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::hashes::node;
use crate::support::relay_index::{hashes, wait_for_hash};
use crate::support::{
    ProgramOutput, RunningProgram, Server, client_command, eventually, folder, noise, relay, run,
};

const SIZE: usize = 12_000_000;
/// Twelve pieces, the last one short.
const PIECES: usize = 12;
const PIECE: usize = 1024 * 1024;

/// A relay, a node with a large file, and a folder to save into.
pub struct ResumeFixture {
    relay: Server,
    node: Server,
    share: TempDir,
    home: TempDir,
    pub content: Vec<u8>,
}

impl ResumeFixture {
    pub fn new() -> Self {
        Self::with_mode(0o644)
    }

    /// A fixture whose file has these permissions.
    fn with_mode(mode: u32) -> Self {
        let content = noise(SIZE, 11);
        let share = folder(&[("large", &content)]);
        let file = File::options().write(true).open(share.path().join("large"));
        let file = file.expect("a file");
        let permissions = fs::Permissions::from_mode(mode);
        file.set_permissions(permissions).expect("it is ours");
        let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_007);
        file.set_modified(then).expect("it is ours");
        drop(file);
        let relay = relay(&[]);
        let node = node(&relay, share.path(), &["--no-hash-cache"]);
        let fixture = Self {
            relay,
            node,
            share,
            home: folder(&[]),
            content,
        };
        fixture.wait_for_hash(1);
        fixture
    }

    /// Waits until so many nodes have announced the content with its hash.
    fn wait_for_hash(&self, nodes: usize) {
        wait_for_hash(&self.relay, "large", &self.content, nodes);
    }

    fn command(&self, args: &[&str]) -> Command {
        self.command_in(self.home.path(), args)
    }

    /// Fetches the file into a folder.
    pub fn command_in(&self, folder: &Path, args: &[&str]) -> Command {
        let mut command = client_command(self.relay.address(), &["get", "large", "-d."]);
        command.args(args).current_dir(folder);
        command
    }

    fn get(&self, args: &[&str]) -> ProgramOutput {
        run(self.command(args), b"")
    }

    /// Starts a download that takes a while.
    fn start(&self) -> RunningProgram {
        let mut command = self.command(&["--limit-rate", "4MB"]);
        RunningProgram::start(
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        )
    }

    fn state(&self) -> PathBuf {
        self.home.path().join(".large.part.state")
    }

    fn recorded(&self) -> usize {
        recorded(&self.state())
    }

    /// A download that gets this signal when some pieces are there.
    fn break_off(&self, signal: Signal) -> Option<i32> {
        let mut client = self.start();
        eventually("two pieces are there", || self.recorded() >= 2);
        client.signal(signal);
        client.wait()
    }

    #[track_caller]
    fn assert_complete(&self) {
        let saved = fs::read(self.home.path().join("large"));
        assert!(saved.expect("a file") == self.content);
        let names = fs::read_dir(self.home.path()).expect("a folder");
        assert_eq!(names.count(), 1);
    }
}

/// The pieces that this state file records.
pub fn recorded(state: &Path) -> usize {
    let state = fs::read_to_string(state).unwrap_or_default();
    let lines = state.lines();
    lines.filter(|line| line.starts_with("piece ")).count()
}

/// `command` under another umask.
fn with_umask(umask: &str, command: &Command, home: &Path) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("umask {umask}\nexec \"$0\" \"$@\"")])
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(home);
    shell
}

#[test]
fn a_download_resumes_after_any_signal() {
    let fixture = ResumeFixture::new();
    for (signal, code) in [
        (Signal::INT, Some(130)),
        (Signal::TERM, Some(130)),
        (Signal::KILL, None),
    ] {
        assert_eq!(fixture.break_off(signal), code);
        assert!((2..PIECES).contains(&fixture.recorded()));
        let output = fixture.get(&[]).expect_code(0);
        assert!(output.stderr.contains("resuming at "), "{}", output.stderr);
        fixture.assert_complete();
        fs::remove_file(fixture.home.path().join("large")).expect("a file");
    }
}

#[test]
fn a_part_that_another_program_takes_away_is_not_taken_for_the_file() {
    let fixture = ResumeFixture::new();
    let path = |name: &str| fixture.home.path().join(name);
    for what in ["replaced", "moved", "deleted"] {
        let mut command = fixture.command(&["--limit-rate", "4MB"]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut client = RunningProgram::start(command.stderr(Stdio::piped()));
        eventually("two pieces are there", || fixture.recorded() >= 2);
        let part = path(".large.part");
        match what {
            "deleted" => fs::remove_file(&part).expect("removed"),
            _ => fs::rename(&part, path("moved")).expect("renamed"),
        }
        if what == "replaced" {
            fs::write(&part, b"junk").expect("written");
        }
        let code = client.wait();
        let mut text = String::new();
        let stderr = client.child.stderr.as_mut().expect("it is a pipe");
        stderr.read_to_string(&mut text).expect("text");
        assert_eq!(code, Some(6), "{what}: {text}");
        let reason = "another program has moved, replaced or deleted its unfinished file";
        assert!(text.contains(reason), "{what}: {text}");
        assert!(!text.contains("is kept"), "{what}: {text}");
        assert!(!path("large").exists(), "{what}");
        assert!(!fixture.state().exists(), "{what}");
        // The file of the other program is not ours.
        assert_eq!(part.exists(), what == "replaced");
        let _ = fs::remove_file(part);
    }
    fixture.get(&[]).expect_code(0);
    assert!(fs::read(path("large")).expect("a file") == fixture.content);
}

#[test]
fn a_part_without_a_hash_is_not_kept_and_that_is_told() {
    let share = folder(&[("file", &noise(4 << 20, 9))]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &["--no-hashes"]);
    let home = folder(&[]);
    let args = ["get", "file", "-o", "saved", "--limit-rate", "1M"];
    let mut command = client_command(relay.address(), &args);
    command.current_dir(home.path()).stdin(Stdio::null());
    let mut client = RunningProgram::start(command.stderr(Stdio::piped()));
    let count = || fs::read_dir(home.path()).expect("the folder").count();
    eventually("a part of the file", || count() > 0);
    client.signal(Signal::INT);
    assert_eq!(client.wait(), Some(130));
    let mut text = String::new();
    let stderr = client.child.stderr.as_mut().expect("it is a pipe");
    stderr.read_to_string(&mut text).expect("text");
    assert!(text.contains("file: nothing is kept"), "{text}");
    assert_eq!(count(), 0);
}

#[test]
fn get_resumes_after_sigkill_at_any_moment() {
    const ROUNDS: usize = 20;
    let fixture = ResumeFixture::new();
    let mut last = 0;
    for round in 0..ROUNDS {
        let mut client = fixture.start();
        // A piece takes a quarter of a second.
        let moment = Duration::from_millis(fastrand::u64(..600));
        if client.is_running_after(moment) {
            client.signal(Signal::KILL);
        }
        client.wait();
        if fixture.home.path().join("large").exists() {
            break;
        }
        let recorded = fixture.recorded();
        // No piece is recorded twice: none was fetched twice.
        assert!(
            (last..=PIECES).contains(&recorded),
            "round {round}: {recorded} after {last}"
        );
        last = recorded;
    }
    fixture.get(&[]).expect_code(0);
    fixture.assert_complete();
}

#[test]
fn a_part_that_was_changed_after_its_download_is_checked() {
    let fixture = ResumeFixture::new();
    for (signal, code) in [(Signal::INT, Some(130)), (Signal::KILL, None)] {
        assert_eq!(fixture.break_off(signal), code);
        let state = fs::read_to_string(fixture.state()).expect("a file");
        let first: u64 = state
            .lines()
            .find_map(|line| line.strip_prefix("piece ")?.split(' ').next()?.parse().ok())
            .expect("a piece");
        let part = fixture.home.path().join(".large.part");
        let file = File::options().write(true).open(&part).expect("a file");
        file.write_all_at(b"evil", first * PIECE as u64 + 5)
            .expect("written");
        let right = fixture.recorded() - 1;
        let output = fixture.get(&[]).expect_code(0);
        let resuming = format!("resuming at {} %", right * PIECE * 100 / SIZE);
        assert!(output.stderr.contains("checking "), "{}", output.stderr);
        assert!(output.stderr.contains(&resuming), "{}", output.stderr);
        fixture.assert_complete();
        fs::remove_file(fixture.home.path().join("large")).expect("a file");
    }
}

#[test]
fn a_part_that_was_not_changed_after_its_download_is_not_read_again() {
    let fixture = ResumeFixture::new();
    assert_eq!(fixture.break_off(Signal::INT), Some(130));
    let resuming = format!("resuming at {} %", fixture.recorded() * PIECE * 100 / SIZE);
    let output = fixture.get(&[]).expect_code(0);
    assert!(output.stderr.contains(&resuming), "{}", output.stderr);
    assert!(!output.stderr.contains("checking "), "{}", output.stderr);
    let all = format!("received {SIZE} bytes");
    assert!(!output.stderr.contains(&all), "{}", output.stderr);
    fixture.assert_complete();
}

/// Regression: --force was advised, which does not replace a folder; then the whole part came from
/// a node in 0.7 ms, encrypted.
#[test]
fn a_folder_made_in_place_of_the_file_is_told_and_the_part_needs_no_transfer() {
    let fixture = ResumeFixture::new();
    let file = fixture.home.path().join("large");
    let break_off = || {
        let mut command = fixture.command(&["--limit-rate", "4MB"]);
        let client = command.stdin(Stdio::null()).stderr(Stdio::piped());
        let mut client = RunningProgram::start(client);
        eventually("two pieces are there", || fixture.recorded() >= 2);
        fs::create_dir(&file).expect("a folder");
        let mut stderr = String::new();
        let mut pipe = client.child.stderr.take().expect("a pipe");
        pipe.read_to_string(&mut stderr).expect("text");
        assert_eq!(client.wait(), Some(6), "{stderr}");
        fs::remove_dir(&file).expect("a folder");
        stderr
    };
    let stderr = break_off();
    let advice = "./large is not a regular file; move it away";
    assert!(stderr.contains(advice), "{stderr}");
    let output = fixture.get(&[]).expect_code(0);
    let all = "large: 12.00 MB, all of it was there before, verified\n";
    assert!(output.stderr.contains(all), "{}", output.stderr);
    fixture.assert_complete();
    fs::remove_file(&file).expect("a file");
    break_off();
    let output = fixture.get(&["other", "--json"]).expect_code(1);
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.contains(r#"{"encrypted":false,"ip""#), "{text}");
    assert!(
        text.contains(r#"{"summary":{"bytes":0,"encrypted":false,"#),
        "{text}"
    );
}

#[test]
fn another_content_is_begun_anew_only_with_restart() {
    let mut fixture = ResumeFixture::new();
    fixture.break_off(Signal::INT);
    fixture.content = noise(SIZE, 12);
    fs::write(fixture.share.path().join("large"), &fixture.content).expect("a file");
    fixture.wait_for_hash(1);
    let output = fixture.get(&[]).expect_code(6);
    assert!(output.stderr.contains("--restart"), "{}", output.stderr);
    assert!(fixture.recorded() >= 2);
    fixture.get(&["--restart"]).expect_code(0);
    fixture.assert_complete();
}

#[test]
fn a_second_client_with_the_same_target_is_told() {
    let fixture = ResumeFixture::new();
    let mut client = fixture.start();
    eventually("a piece is there", || fixture.recorded() >= 1);
    for args in [&[][..], &["--restart"], &["--force"]] {
        let output = fixture.get(args).expect_code(6);
        let advice = "is being fetched by another program";
        assert!(output.stderr.contains(advice), "{}", output.stderr);
    }
    assert_eq!(client.wait(), Some(0));
    fixture.assert_complete();
}

#[test]
fn an_incomplete_file_of_several_has_failed() {
    let mut fixture = ResumeFixture::new();
    let mut command = fixture.command(&["small", "--limit-rate", "4MB"]);
    fs::write(fixture.share.path().join("small"), "small").expect("a file");
    let mut client = RunningProgram::start(
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped()),
    );
    let mut stderr = client.child.stderr.take().expect("a pipe");
    eventually("two pieces are there", || fixture.recorded() >= 2);
    fixture.node.signal(Signal::KILL);
    fixture.node.wait();
    assert_eq!(client.wait(), Some(4));
    let mut shown = String::new();
    stderr.read_to_string(&mut shown).expect("text");
    assert!(shown.contains(" is kept; run the same command"), "{shown}");
    assert!(shown.ends_with(" 0 up to date, 1 failed\n"), "{shown}");
}

#[test]
fn a_part_stays_when_the_node_is_lost() {
    let mut fixture = ResumeFixture::new();
    let mut client = fixture.start();
    eventually("two pieces are there", || fixture.recorded() >= 2);
    fixture.node.signal(Signal::KILL);
    fixture.node.wait();
    assert_eq!(client.wait(), Some(4));
    assert!(fixture.recorded() >= 2);
    fixture.node = node(&fixture.relay, fixture.share.path(), &["--no-hash-cache"]);
    // The lease of the lost node is not over.
    fixture.wait_for_hash(2);
    let output = fixture.get(&[]).expect_code(0);
    assert!(output.stderr.contains("resuming at "), "{}", output.stderr);
    fixture.assert_complete();
}

#[test]
fn a_saved_file_has_time_and_permissions_of_its_source_and_the_umask() {
    for (mode, umasks) in [
        (0o644, &[("022", 0o644)][..]),
        (0o755, &[("022", 0o755), ("027", 0o750), ("111", 0o666)]),
    ] {
        let fixture = ResumeFixture::with_mode(mode);
        let source = fs::metadata(fixture.share.path().join("large")).expect("a file");
        for (umask, saved) in umasks {
            let command = with_umask(umask, &fixture.command(&[]), fixture.home.path());
            run(command, b"").expect_code(0);
            let path = fixture.home.path().join("large");
            let metadata = fs::metadata(&path).expect("a file");
            assert_eq!(metadata.mode() & 0o777, *saved, "{umask} {mode:o}");
            assert_eq!(metadata.mtime(), source.mtime());
            fs::remove_file(&path).expect("a file");
        }
    }
}

#[test]
fn a_sparse_file_stays_sparse() {
    const LENGTH: u64 = 64 << 20;
    let share = folder(&[("large", b"the head")]);
    let file = File::options()
        .append(true)
        .open(share.path().join("large"));
    file.and_then(|file| file.set_len(LENGTH)).expect("a file");
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &["--no-hash-cache"]);
    eventually("the relay knows the hash", || {
        let hashes = hashes(&relay, "large");
        hashes.iter().any(|hash| hash != "-")
    });
    let home = folder(&[]);
    let mut command = client_command(relay.address(), &["get", "large", "-d."]);
    run(
        {
            command.current_dir(home.path());
            command
        },
        b"",
    )
    .expect_code(0);
    let allocated = |folder: &TempDir| {
        let metadata = fs::metadata(folder.path().join("large")).expect("a file");
        assert_eq!(metadata.len(), LENGTH);
        metadata.blocks() * 512
    };
    let (source, saved) = (allocated(&share), allocated(&home));
    assert!(source > LENGTH / 2 || saved < LENGTH / 2, "{saved} bytes");
}
