//! Files that are created, changed and deleted while they are fetched.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use fastrand::Rng;

use crate::support::relay_index::files;
use crate::support::{Nc, client_command, eventually, folder, node, relay, run};

const FILES: u32 = 1000;
/// Changes during the fetches.
const CHANGES: u32 = 3000;
/// Lines in a file: some files are small, some are sent with sendfile(2).
const LINES: [usize; 3] = [1, 40, 5000];

fn name(number: u32) -> String {
    format!("file {number:04}.txt")
}

/// One version of a file. Each of its lines names the version.
fn content(name: &str, version: u32, lines: usize) -> String {
    format!("{name} in version {version} of {lines} lines\n").repeat(lines)
}

/// Replaces a file atomically by another version, or deletes it.
fn change(share: &Path, rng: &mut Rng, version: u32) {
    let name = name(rng.u32(0..FILES));
    let path = share.join(&name);
    if rng.u8(0..3) == 0 {
        // The file may not exist.
        let _ = fs::remove_file(path);
        return;
    }
    let aside = share.join(".aside");
    let lines = LINES[rng.usize(0..LINES.len())];
    fs::write(&aside, content(&name, version, lines)).expect("a file");
    fs::rename(&aside, path).expect("a new name");
}

/// Fails unless the content is exactly one version of the file.
fn assert_one_version(name: &str, got: &[u8]) {
    let got = std::str::from_utf8(got).expect("all versions are text");
    let first = got.lines().next().expect("no version is empty");
    let rest = first.strip_prefix(name).expect("it is this file");
    let lines = rest.split(' ').rev().nth(1).expect("it tells how many");
    let lines: usize = lines.parse().expect("a number");
    let whole = got.lines().filter(|line| *line == first).count();
    assert_eq!(whole, lines, "{first}");
    assert_eq!(got.len(), lines * (first.len() + 1), "{first}");
}

#[test]
fn a_fetch_during_changes_gets_one_version_or_none() {
    let relay = relay(&[]);
    let share = folder(&[]);
    let mut rng = Rng::with_seed(1);
    for version in 0..FILES {
        change(share.path(), &mut rng, version);
    }
    let node = node(&relay, share.path(), &[]);
    let output = AtomicBool::new(false);
    let (found, missing) = thread::scope(|scope| {
        let fetch = |seed| {
            let mut rng = Rng::with_seed(seed);
            let mut nc = Nc::connect(node.address());
            let (mut found, mut missing) = (0, 0);
            while !output.load(Ordering::Relaxed) {
                let name = name(rng.u32(0..FILES));
                let answer = nc.ask(&format!("GET {name}"));
                let Some(size) = answer.strip_prefix("FOUND ") else {
                    assert_eq!(answer, "NOTFOUND");
                    missing += 1;
                    continue;
                };
                let got = nc.bytes(size.parse().expect("a size"));
                assert_one_version(&name, &got);
                found += 1;
            }
            (found, missing)
        };
        let client = || {
            let mut rng = Rng::with_seed(0);
            while !output.load(Ordering::Relaxed) {
                let name = name(rng.u32(0..FILES));
                let got = run(client_command(relay.address(), &["get", &name]), b"");
                match got.code {
                    Some(0) => assert_one_version(&name, &got.stdout),
                    code => assert_eq!(code, Some(1), "{}", got.stderr),
                }
            }
        };
        let mut fetchers: Vec<_> = (1..5)
            .map(|seed| scope.spawn(move || fetch(seed)))
            .collect();
        scope.spawn(client);
        for version in FILES..FILES + CHANGES {
            change(share.path(), &mut rng, version);
        }
        output.store(true, Ordering::Relaxed);
        let counts = fetchers.drain(..).map(|f| f.join().expect("it went well"));
        counts.fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1))
    });
    assert!(found > 100 && missing > 100, "{found} and {missing}");
    let there = |number: &u32| fs::metadata(share.path().join(name(*number)));
    let left: BTreeSet<String> = (0..FILES)
        .filter_map(|number| {
            let size = there(&number).ok()?.len();
            Some(format!("{size} - 1 {}", name(number)))
        })
        .collect();
    eventually("the index is the folder", || {
        files(&relay, "").into_iter().collect::<BTreeSet<_>>() == left
    });
}
