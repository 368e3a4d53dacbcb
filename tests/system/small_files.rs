//! Many small files: from all nodes at once, and never seen incomplete.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::hashes;
use crate::support::relay_index::{holders, wait_for_names};
use crate::support::{RunningProgram, Server, client_command, eventually, folder, relay, run};

/// A relay and nodes that share the same small files in a folder, with known hashes.
pub struct SmallFilesNetwork {
    relay: Server,
    pub nodes: Vec<Server>,
    share: TempDir,
    files: usize,
}

fn content(number: usize) -> Vec<u8> {
    number.to_string().into_bytes().repeat(300)
}

fn name(number: usize) -> String {
    format!("docs/{number}.txt")
}

impl SmallFilesNetwork {
    pub fn new(nodes: usize, files: usize) -> Self {
        let share = folder(&[]);
        fs::create_dir(share.path().join("docs")).expect("a folder");
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        for number in 0..files {
            let path = share.path().join(name(number));
            fs::write(&path, content(number)).expect("a file");
            if number % 2 == 1 {
                fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("ours");
            }
            let file = fs::File::options().append(true).open(&path);
            file.expect("a file").set_modified(time).expect("a time");
        }
        let mut network = Self {
            relay: relay(&[]),
            nodes: Vec::new(),
            share,
            files,
        };
        network.nodes = (0..nodes).map(|_| network.start_node()).collect();
        network.wait_for_hashes();
        network
    }

    /// Another node with the same files.
    pub fn start_node(&self) -> Server {
        hashes::node(&self.relay, self.share.path(), &["--no-hash-cache"])
    }

    fn wait_for_hashes(&self) {
        wait_for_names(&self.relay, self.files as u64);
        eventually("all hashes", || {
            (0..self.files).all(|number| {
                let holders = holders(&self.relay, &name(number));
                let has_hash = |holder: &String| !holder.ends_with(" -");
                holders.len() == self.nodes.len() && holders.iter().all(has_hash)
            })
        });
    }

    /// Fetches all files into `home`.
    pub fn command(&self, home: &Path, args: &[&str]) -> Command {
        let mut command = client_command(self.relay.address(), &["get", "docs/"]);
        command.args(args).current_dir(home);
        command
    }

    /// The number of its files below `home`; each of them is whole.
    pub fn whole_files(&self, home: &Path) -> usize {
        let Ok(entries) = fs::read_dir(home.join("docs")) else {
            return 0;
        };
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        let is_file = |name: &String| !name.starts_with('.');
        let names = names
            .map(|name| name.into_string().expect("text"))
            .filter(is_file);
        let mut count = 0;
        for name in names {
            let number = name.strip_suffix(".txt").expect("one of ours");
            let number: usize = number.parse().expect("a number");
            let saved = fs::read(home.join("docs").join(&name)).expect("a file");
            assert!(number < self.files && saved == content(number), "{name}");
            count += 1;
        }
        count
    }
}

#[test]
fn many_small_files_come_from_all_nodes() {
    const FILES: usize = 300;
    let network = SmallFilesNetwork::new(3, FILES);
    let home = folder(&[]);
    // On a busy machine files would be requested twice.
    let command = network.command(home.path(), &["--try-delay", "60"]);
    let output = run(command, b"").expect_code(0);
    assert!(
        output.stderr.contains("\n300 files fetched"),
        "{}",
        output.stderr
    );
    assert_eq!(network.whole_files(home.path()), FILES);
    for (number, mode) in [(0, 0), (1, 0o100)] {
        let saved = fs::metadata(home.path().join(name(number))).expect("a file");
        let modified = saved.modified().expect("a time");
        let age = modified.duration_since(SystemTime::UNIX_EPOCH);
        assert_eq!(age.expect("a time").as_secs(), 1_000_000_000);
        assert_eq!(saved.permissions().mode() & 0o100, mode, "{number}");
    }
    let sent: Vec<u64> = network
        .nodes
        .iter()
        .map(|node| node.stat("gets_found"))
        .collect();
    assert_eq!(sent.iter().sum::<u64>(), FILES as u64, "{sent:?}");
    assert!(sent.iter().all(|sent| *sent >= 50), "{sent:?}");
}

#[test]
fn a_small_file_is_whole_or_absent_after_sigkill_at_any_moment() {
    const FILES: usize = 1000;
    let network = SmallFilesNetwork::new(2, FILES);
    let home = folder(&[]);
    let mut whole = 0;
    for round in 1..=8 {
        let mut get = network.command(home.path(), &["--quiet"]);
        get.stdin(Stdio::null()).stderr(Stdio::null());
        let mut get = RunningProgram::start(&mut get);
        let saved = || fs::read_dir(home.path().join("docs")).map_or(0, Iterator::count);
        eventually("some more", || {
            saved() >= whole + 10 * round || get.child.try_wait().expect("ours").is_some()
        });
        get.signal(Signal::KILL);
        get.wait();
        let before = std::mem::replace(&mut whole, network.whole_files(home.path()));
        assert!(whole >= before);
    }
    let output = run(network.command(home.path(), &[]), b"").expect_code(0);
    assert!(
        output.stderr.ends_with(" up to date, 0 failed\n"),
        "{}",
        output.stderr
    );
    assert_eq!(network.whole_files(home.path()), FILES);
}
