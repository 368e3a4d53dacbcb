//! Folders, globs and many names: they are expanded by the relay's index and saved below
//! a folder, many at once, with a summary.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use walkdir::WalkDir;

use crate::hashes;
use crate::support::fake_server::FakeServer;
use crate::support::relay_index::{announce, wait_for_names};
use crate::support::{
    ProgramOutput, RunningProgram, Server, Terminal, client, client_command, eventually, folder,
    node, noise, relay, run,
};

/// A relay and a node that has announced files, and a folder to save into.
struct Fixture {
    relay: Server,
    _node: Server,
    share: TempDir,
    home: TempDir,
}

impl Fixture {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let share = folder(files);
        let relay = relay(&[]);
        let node = node(&relay, share.path(), &[]);
        wait_for_names(&relay, files.len() as u64);
        Self {
            relay,
            _node: node,
            share,
            home: folder(&[]),
        }
    }

    /// The same, with the hashes of all files in the index.
    fn with_hashes(files: &[(&str, &[u8])]) -> Self {
        let share = folder(files);
        let relay = relay(&[]);
        let node = hashes::node(&relay, share.path(), &["--no-hash-cache"]);
        wait_for_names(&relay, files.len() as u64);
        eventually("all hashes", || {
            let list = client(&relay, &["ls"]).expect_code(0).text();
            list.lines().all(|line| line.split(' ').nth(1) != Some("-"))
        });
        Self {
            relay,
            _node: node,
            share,
            home: folder(&[]),
        }
    }

    /// Runs the client in the home folder.
    fn get(&self, args: &[&str]) -> ProgramOutput {
        let mut command = client_command(self.relay.address(), &["get"]);
        command.args(args).current_dir(self.home.path());
        run(command, b"")
    }

    fn saved(&self) -> BTreeMap<String, Vec<u8>> {
        files_below(self.home.path())
    }

    #[track_caller]
    fn assert_saved(&self, names: &[&str]) {
        let saved = self.saved();
        assert_eq!(saved.keys().collect::<Vec<_>>(), names);
        let shared = files_below(self.share.path());
        assert!(saved.iter().all(|(name, content)| shared[name] == *content));
    }
}

/// The files below a folder, and their contents.
fn files_below(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = WalkDir::new(folder).into_iter();
    let entries = entries.map(|entry| entry.expect("an entry"));
    let files = entries.filter(|entry| entry.file_type().is_file());
    files
        .map(|file| {
            let name = file.path().strip_prefix(folder).expect("it is below");
            let content = fs::read(file.path()).expect("a file");
            (name.to_str().expect("text").to_owned(), content)
        })
        .collect()
}

const FEW: [(&str, &[u8]); 6] = [
    ("a.txt", b"a"),
    ("a[1].txt", b"brackets"),
    ("docs/b.txt", b"b"),
    ("docs/deep/c d.md", b"c"),
    ("docs2/no", b"no"),
    ("größe/ü.txt", b"wide"),
];

#[test]
fn a_folder_is_fetched_with_all_below_it() {
    let fixture = Fixture::new(&FEW);
    let output = fixture.get(&["docs/"]).expect_code(0);
    fixture.assert_saved(&["docs/b.txt", "docs/deep/c d.md"]);
    assert!(output.stdout.is_empty());
    let stderr = &output.stderr;
    assert!(stderr.contains("docs/: 2 files, 2 B\n"), "{stderr}");
    assert!(stderr.contains("\n2 files fetched, 2 B in "), "{stderr}");
    assert!(stderr.ends_with("0 up to date, 0 failed\n"), "{stderr}");
}

#[test]
fn a_star_stays_in_its_folder_and_two_cross_folders() {
    let fixture = Fixture::new(&FEW);
    fixture.get(&["*.txt"]).expect_code(0);
    fixture.assert_saved(&["a.txt", "a[1].txt"]);
    let args = ["**/*.{txt,md}", "-d", "all", "--mkdir"];
    fixture.get(&args).expect_code(0);
    let names: Vec<String> = fixture.saved().into_keys().collect();
    let below = names.iter().filter_map(|name| name.strip_prefix("all/"));
    assert_eq!(
        below.collect::<Vec<_>>(),
        [
            "a.txt",
            "a[1].txt",
            "docs/b.txt",
            "docs/deep/c d.md",
            "größe/ü.txt"
        ]
    );
    fixture.get(&["größe/*.tx?", "-q"]).expect_code(0);
    assert!(fixture.saved().contains_key("größe/ü.txt"));
}

#[test]
fn a_file_is_found_by_its_exact_name() {
    let fixture = Fixture::new(&FEW);
    fixture.get(&["a[1].txt"]).expect_code(0);
    fixture.assert_saved(&["a[1].txt"]);
    let output = fixture.get(&["a[1].txt", "-o", "-"]).expect_code(0);
    assert_eq!(output.text(), "brackets");
}

#[test]
fn a_file_with_the_name_of_a_glob_hides_no_other() {
    let files: [(&str, &[u8]); 4] = [
        ("*.txt", b"*"),
        ("a.txt", b"a"),
        ("a1", b"1"),
        ("a[1]", b"2"),
    ];
    let fixture = Fixture::new(&files);
    fixture.get(&["*.txt"]).expect_code(0);
    fixture.assert_saved(&["*.txt", "a.txt"]);
    fixture.get(&["a[1]"]).expect_code(0);
    fixture.assert_saved(&files.map(|(name, _)| name));
}

#[test]
fn words_that_overlap_fetch_each_file_once() {
    let fixture = Fixture::new(&FEW);
    let output = fixture
        .get(&[
            "docs/**",
            "docs/*.txt",
            "a.txt",
            "a.txt",
            "docs/",
            "-d",
            ".",
        ])
        .expect_code(0);
    fixture.assert_saved(&["a.txt", "docs/b.txt", "docs/deep/c d.md"]);
    let text = "3 files fetched";
    assert!(output.stderr.contains(text), "{}", output.stderr);
    // Printed, a file comes as often as it is named.
    let output = fixture
        .get(&["a.txt", "docs/b.txt", "a.txt"])
        .expect_code(0);
    assert_eq!(output.text(), "aba");
}

#[test]
fn no_name_of_a_part_file_is_taken_from_the_network() {
    let fixture = Fixture::new(&FEW);
    let forged = FakeServer::replying("FOUND 4\nevil");
    for name in [".big.part", ".big.part.state", "docs/.x.PART/y"] {
        announce(&fixture.relay, forged.address(), 4, name);
    }
    wait_for_names(&fixture.relay, FEW.len() as u64 + 3);
    // No flag fetches them, so none is a hidden file that --hidden fetches.
    for args in [&["--all"][..], &["--all", "--hidden", "--force"]] {
        let output = fixture.get(args).expect_code(0);
        let note = "; 3 files with names of unfinished downloads were left out\n";
        assert!(output.stderr.contains(note), "{}", output.stderr);
        assert!(!output.stderr.contains("hidden"), "{}", output.stderr);
    }
    fixture.assert_saved(&FEW.map(|(name, _)| name));
    let output = fixture.get(&["docs/.*/*", "--json"]).expect_code(1).text();
    let line = r#"{"error":"not found","hidden":0,"name":"docs/.*/*","part_files":1,"similar":[]}"#;
    assert_eq!(output.lines().next(), Some(line));
    let output = fixture.get(&[".big.part", "-d", "."]).expect_code(6);
    let text = "is a name of unfinished files";
    assert!(output.stderr.contains(text), "{}", output.stderr);
    fixture.assert_saved(&FEW.map(|(name, _)| name));
}

#[test]
fn a_folder_without_its_slash_is_suggested() {
    let fixture = Fixture::new(&FEW);
    let output = fixture.get(&["docs", "-d", "."]).expect_code(1);
    let text = "docs: not found, 1 node asked; did you mean: docs/\n";
    assert!(output.stderr.contains(text), "{}", output.stderr);
}

#[test]
fn a_folder_whose_name_differs_in_case_is_suggested() {
    let fixture = Fixture::new(&FEW);
    let output = fixture.get(&["DOCS/Deep/", "GRÖSSE/"]).expect_code(1);
    for text in [
        "DOCS/Deep/: no node has announced such a file; did you mean: docs/deep/\n",
        "GRÖSSE/: no node has announced such a file; did you mean: größe/\n",
    ] {
        assert!(output.stderr.contains(text), "{}", output.stderr);
    }
    fixture.assert_saved(&[]);
    let output = fixture.get(&["Docs/", "--json"]).expect_code(1).text();
    let line =
        r#"{"error":"not found","hidden":0,"name":"Docs/","part_files":0,"similar":["docs/"]}"#;
    assert_eq!(output.lines().next(), Some(line));
}

#[test]
fn files_that_nobody_has_announced_yet_are_waited_for() {
    for pattern in ["docs/", "**/b.*"] {
        let (relay, share, home) = (relay(&[]), folder(&FEW), folder(&[]));
        let mut get = client_command(relay.address(), &["get", pattern, "--wait", "60"]);
        get.current_dir(home.path())
            .stdin(Stdio::null())
            .stderr(Stdio::piped());
        let mut get = RunningProgram::start(&mut get);
        let stderr = BufReader::new(get.child.stderr.take().expect("it is a pipe"));
        let mut lines = stderr.lines().map(|line| line.expect("text"));
        let waiting = format!("{pattern}: no node has announced such a file; waiting up to 60 s");
        assert!(lines.any(|line| line == waiting));
        let _node = node(&relay, share.path(), &[]);
        assert!(lines.any(|line| line.ends_with(" up to date, 0 failed")));
        assert_eq!(get.wait(), Some(0));
        assert!(home.path().join("docs/b.txt").exists());
    }
    let fixture = Fixture::new(&FEW);
    let output = fixture
        .get(&["none/", "none.*", "--wait", "0.1"])
        .expect_code(1);
    for text in [
        "none/: no node has announced such a file\n",
        "no file matches none.*\n",
    ] {
        assert!(output.stderr.contains(text), "{}", output.stderr);
    }
}

#[test]
fn each_node_is_named_on_request() {
    let fixture = Fixture::new(&FEW);
    let output = fixture.get(&["docs/"]).expect_code(0);
    assert!(!output.stderr.contains("asking node"), "{}", output.stderr);
    let output = fixture
        .get(&["docs/", "-d", "new", "--mkdir", "-v"])
        .expect_code(0);
    let asked = output.stderr.matches("asking node 1 of 1: ").count();
    assert_eq!(asked, 2, "{}", output.stderr);
    assert!(
        output.stderr.contains("saved as new/docs/b.txt"),
        "{}",
        output.stderr
    );
}

#[test]
fn all_files_are_fetched() {
    let fixture = Fixture::new(&FEW);
    fixture.get(&["--all"]).expect_code(0);
    fixture.assert_saved(&FEW.map(|(name, _)| name));
}

#[test]
fn a_pattern_without_a_file_is_not_found() {
    let fixture = Fixture::new(&FEW);
    let output = fixture.get(&["missing/"]).expect_code(1);
    let text = "missing/: no node has announced such a file";
    assert!(output.stderr.contains(text), "{}", output.stderr);
    for (pattern, text) in [
        ("*.zip", "no file matches *.zip\n"),
        ("docs/*.x", "no file matches docs/*.x\n"),
        (
            "docs/*.md",
            "no file matches docs/*.md; 'docs/**/*.md' does: ** also matches slashes\n",
        ),
    ] {
        let output = fixture.get(&[pattern]).expect_code(1);
        assert!(output.stderr.starts_with(text), "{}", output.stderr);
    }
    let output = fixture.get(&["docs/", "-o", "one"]).expect_code(2);
    assert!(output.stderr.contains("write -d DIR"), "{}", output.stderr);
    fixture.get(&["--all", "a.txt"]).expect_code(2);
    assert!(fixture.saved().is_empty());
}

#[test]
fn failures_are_listed_at_the_end() {
    let fixture = Fixture::new(&FEW);
    fs::write(fixture.home.path().join("a.txt"), "mine").expect("a file");
    let output = fixture.get(&["a.txt", "nowhere", "docs/", "-d", "."]);
    // The code of whichever failed first.
    assert!(matches!(output.code, Some(1 | 6)), "{}", output.stderr);
    let last: Vec<&str> = output.stderr.lines().rev().take(3).collect();
    assert!(last[0].contains("2 failed"), "{}", output.stderr);
    let failures = last[1..].join("\n");
    assert!(failures.contains("a.txt exists already; --force replaces it"));
    assert!(failures.contains("nowhere: not found, 1 node asked"));
    assert_eq!(fixture.saved()["a.txt"], b"mine");
    assert!(fixture.saved().contains_key("docs/b.txt"));
    fixture.get(&["*.txt", "--force"]).expect_code(0);
    assert_eq!(fixture.saved()["a.txt"], b"a");
}

#[test]
fn the_exit_code_is_that_of_the_worst_failure() {
    let fixture = Fixture::new(&FEW);
    fs::write(fixture.home.path().join("a.txt"), "another").expect("written");
    for names in [["nowhere", "a.txt"], ["a.txt", "nowhere"]] {
        let args = [&names[..], &["-d", ".", "--max-downloads", "1"]].concat();
        let output = fixture.get(&args).expect_code(6);
        assert!(output.stderr.contains("2 failed"), "{}", output.stderr);
    }
}

/// The requests of one client that fetches `d/` from a relay whose list says `listed`, and
/// whose node has `content`; and what was saved.
fn fetch_listed(listed: &[u8], content: &'static [u8]) -> (Vec<String>, Vec<u8>) {
    let node = FakeServer::new(move |mut connection| {
        loop {
            let line = connection.line();
            let is_sent = match line.trim_end().split(' ').next() {
                Some("GET") => {
                    let head = format!("FOUND {}\n", content.len());
                    connection.send([head.as_bytes(), content].concat())
                }
                Some("STAT") => connection.send("ERROR 503 not yet\n"),
                _ => return,
            };
            if !is_sent {
                return;
            }
        }
    });
    let address = format!("{} {}", node.address().ip(), node.address().port());
    let (size, listed) = (content.len(), hashes::hash(listed));
    let current = hashes::hash(content);
    let requests = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&requests);
    let relay = FakeServer::new(move |mut connection| {
        let line = connection.line();
        let verb = line
            .trim_end()
            .split(' ')
            .next()
            .unwrap_or_default()
            .to_owned();
        connection.send(match &*verb {
            "LIST" => format!("NODES 1\n{address}\n"),
            "SEARCH" => format!("FILES 1 1\n{size} {listed} 1 d/a\n"),
            "FIND" => format!("HOLDERS 1\n{address} {size} {current}\n"),
            _ => "FILES 0 0\n".into(),
        });
        seen.lock().expect("requests").push(verb);
    });
    let home = folder(&[]);
    let mut command = client_command(relay.address(), &["get", "d/", "-d", "."]);
    command.current_dir(home.path());
    run(command, b"").expect_code(0);
    drop(relay);
    let saved = fs::read(home.path().join("d/a")).expect("saved");
    (requests.lock().expect("requests").clone(), saved)
}

#[test]
fn a_listed_small_file_that_all_nodes_have_is_not_asked_for_again() {
    let (requests, saved) = fetch_listed(b"abc", b"abc");
    assert_eq!(saved, b"abc");
    assert!(!requests.contains(&"FIND".into()), "{requests:?}");
}

#[test]
fn a_file_that_has_changed_since_it_was_listed_is_fetched() {
    let (requests, saved) = fetch_listed(b"old", b"new");
    assert_eq!(saved, b"new");
    assert!(requests.contains(&"FIND".into()), "{requests:?}");
}

#[test]
fn a_missing_folder_is_created_only_on_request() {
    let fixture = Fixture::new(&FEW);
    let output = fixture.get(&["docs/", "-d", "new/one"]).expect_code(6);
    let text = "there is no folder new/one; --mkdir creates it";
    assert!(output.stderr.contains(text), "{}", output.stderr);
    assert!(!fixture.home.path().join("new").exists());
    let start = || {
        let mut command = client_command(fixture.relay.address(), &["get"]);
        let args = ["a.txt", "-d", "new/one"];
        command.args(args).current_dir(fixture.home.path());
        Terminal::start(command)
    };
    let mut terminal = start();
    terminal.at("create new/one? [y/N] ", "");
    assert_eq!(terminal.wait().1, 6);
    let mut terminal = start();
    terminal.at("create new/one? [y/N] ", "y");
    let (shown, code) = terminal.wait();
    assert_eq!(code, 0);
    assert!(shown.contains("saved as new/one/a.txt"), "{shown}");
    fixture
        .get(&["a.txt", "-d", "two", "--mkdir"])
        .expect_code(0);
    assert!(fixture.saved().contains_key("two/a.txt"));
}

#[test]
fn nothing_is_written_through_a_link_below_the_folder() {
    let fixture = Fixture::new(&FEW);
    let outside = folder(&[]);
    symlink(outside.path(), fixture.home.path().join("docs")).expect("a link");
    let output = fixture.get(&["**"]).expect_code(6);
    assert!(output.stderr.contains("symbolic link"), "{}", output.stderr);
    assert!(files_below(outside.path()).is_empty());
    fixture.assert_saved(&["a.txt", "a[1].txt", "docs2/no", "größe/ü.txt"]);
}

#[test]
fn a_file_and_a_folder_of_one_name_are_told() {
    let one = folder(&[("x", b"file")]);
    let fixture = Fixture::new(&[("x/y", b"below")]);
    let _other = node(&fixture.relay, one.path(), &[]);
    wait_for_names(&fixture.relay, 2);
    let output = fixture.get(&["--all"]).expect_code(6);
    let stderr = &output.stderr;
    assert!(stderr.contains("1 file fetched"), "{stderr}");
    assert!(stderr.contains("1 failed"), "{stderr}");
}

#[test]
fn twenty_thousand_files_arrive_from_three_nodes() {
    const FILES: usize = 20_000;
    let names: Vec<String> = (0..FILES)
        .map(|n| match n % 4 {
            0 => format!("plain/{n}"),
            1 => format!("two words/{} more/{n} and more", n % 100),
            2 => format!("größe/日本/{n}.txt"),
            _ => format!("deep/{}{n}", "d/".repeat(n % 60 + 1)),
        })
        .collect();
    let contents: Vec<String> = names.iter().map(|name| name.repeat(9)).collect();
    let files = names.iter().zip(&contents);
    let files: Vec<(&str, &[u8])> = files
        .map(|(name, content)| (name.as_str(), content.as_bytes()))
        .collect();
    let fixture = Fixture::with_hashes(&files);
    let node = || hashes::node(&fixture.relay, fixture.share.path(), &["--no-hash-cache"]);
    let _nodes = [node(), node()];
    let output = fixture.get(&["--all"]).expect_code(0);
    let text = output.stderr;
    assert!(text.contains("\n20000 files fetched"), "{text}");
    assert!(fixture.saved() == files_below(fixture.share.path()));
}

/// Where the file system takes them for different names, both are fetched.
#[test]
fn names_that_differ_in_case_or_composition_are_different_files() {
    let files: [(&str, &[u8]); 5] = [
        ("d/A.txt", b"upper"),
        ("d/a.txt", b"lower"),
        ("d/u\u{308}", b"decomposed"),
        ("d/\u{fc}", b"composed"),
        ("D/a.txt", b"another folder"),
    ];
    let fixture = Fixture::with_hashes(&files);
    if fixture.share.path().join("D/A.txt").exists() {
        return eprintln!("not tested: the file system ignores the case of names");
    }
    fixture.get(&["--all"]).expect_code(0);
    let saved = fixture.saved();
    assert_eq!(saved.len(), files.len());
    assert!(files.iter().all(|(name, content)| saved[*name] == *content));
}

#[test]
fn files_that_are_there_are_up_to_date() {
    let large = noise(5_000_000, 3);
    let files = [FEW[0], FEW[2], ("large", &large)];
    let fixture = Fixture::with_hashes(&files);
    fixture.get(&["--all"]).expect_code(0);
    let inode = |name| {
        fs::metadata(fixture.home.path().join(name))
            .expect("a file")
            .ino()
    };
    let before = inode("large");
    let output = fixture.get(&["--all", "--force"]).expect_code(0);
    let stderr = &output.stderr;
    assert!(stderr.contains("0 files fetched"), "{stderr}");
    assert!(stderr.contains("3 up to date, 0 failed"), "{stderr}");
    assert_eq!(inode("large"), before);
    // The same size, and another content.
    fs::write(fixture.home.path().join("a.txt"), "b").expect("a file");
    fs::remove_file(fixture.home.path().join("docs/b.txt")).expect("a file");
    let output = fixture.get(&["--all"]).expect_code(6);
    let stderr = &output.stderr;
    assert!(
        stderr.contains("a.txt exists already; --force replaces it"),
        "{stderr}"
    );
    assert!(stderr.contains("1 file fetched"), "{stderr}");
    assert!(stderr.contains("1 up to date, 1 failed"), "{stderr}");
    assert_eq!(fixture.saved()["a.txt"], b"b");
    let output = fixture.get(&["large", "-o", "large"]).expect_code(0);
    assert!(
        output.stderr.contains("large: up to date\n"),
        "{}",
        output.stderr
    );
    let output = fixture.get(&["large", "-d", ".", "--json"]).expect_code(0);
    assert!(
        output.text().contains(r#""up_to_date":true"#),
        "{}",
        output.text()
    );
}

#[test]
fn a_linked_folder_is_never_up_to_date() {
    let fixture = Fixture::with_hashes(&FEW);
    let outside = folder(&[("b.txt", b"b")]);
    symlink(outside.path(), fixture.home.path().join("docs")).expect("a link");
    let output = fixture.get(&["docs/b.txt", "-d", "."]).expect_code(6);
    assert!(output.stderr.contains("symbolic link"), "{}", output.stderr);
}

#[test]
fn the_progress_has_a_total_and_the_active_files() {
    let content = noise(400_000, 8);
    let files: [(&str, &[u8]); 3] = [("d/a", &content), ("d/b", &content), ("d/c", &content)];
    let fixture = Fixture::new(&files);
    let args = ["get", "d/", "--limit-rate", "1M", "--max-downloads", "2"];
    let mut command = client_command(fixture.relay.address(), &args);
    command.current_dir(fixture.home.path());
    let (shown, code) = Terminal::start(command).wait();
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("1 of 3 files, 400.00 kB, "), "{shown}");
    assert!(
        shown.contains(" of 400.00 kB  d/") && shown.contains(" (limit 1.05 MB/s)"),
        "{shown}"
    );
    assert!(shown.contains(" s left"), "{shown}");
    assert!(shown.contains("3 files fetched"), "{shown}");
}

#[test]
fn json_has_a_summary() {
    let fixture = Fixture::new(&FEW);
    let output = fixture.get(&["docs/", "nowhere", "--json"]).expect_code(1);
    let lines = output.text();
    let lines: Vec<serde_json::Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let summary = &lines.last().expect("a line")["summary"];
    assert_eq!(summary["fetched"], 2);
    assert_eq!(summary["failed"], 1);
}

#[test]
fn a_list_of_names_is_fetched_while_it_is_read() {
    let fixture = Fixture::new(&FEW);
    let mut get = client_command(fixture.relay.address(), &["get", "-i", "-", "-d", "."]);
    get.current_dir(fixture.home.path())
        .stdin(Stdio::piped())
        .stderr(Stdio::piped());
    let mut get = RunningProgram::start(&mut get);
    let mut stdin = get.child.stdin.take().expect("it is a pipe");
    for name in ["a.txt", "a[1].txt"] {
        stdin
            .write_all(format!("{name}\n").as_bytes())
            .expect("it reads");
        eventually("it is saved", || fixture.home.path().join(name).exists());
    }
    let rest = b"docs/b.txt\na.txt\n../x\nmissing\ndocs/b.txt";
    stdin.write_all(rest).expect("it reads");
    drop(stdin);
    let mut stderr = String::new();
    let mut pipe = get.child.stderr.take().expect("it is a pipe");
    pipe.read_to_string(&mut stderr).expect("text");
    assert_eq!(get.wait(), Some(1), "{stderr}");
    fixture.assert_saved(&["a.txt", "a[1].txt", "docs/b.txt"]);
    assert!(stderr.contains("missing: not found"), "{stderr}");
    assert!(stderr.contains("\n3 files fetched"), "{stderr}");
    assert!(stderr.ends_with(" 0 up to date, 2 failed\n"), "{stderr}");
    assert!(stderr.contains("../x: "), "{stderr}");
}

#[test]
fn the_files_of_a_list_are_fetched_at_once() {
    let relay = relay(&[]);
    // Answers the first request after the second one.
    let mut first = None;
    let node = FakeServer::new(move |mut connection| {
        connection.line();
        match first.take() {
            None => first = Some(connection),
            Some(mut other) => {
                other.send("FOUND 2\nok");
                connection.send("FOUND 2\nok");
            }
        }
    });
    for name in ["one", "two"] {
        announce(&relay, node.address(), 2, name);
    }
    let home = folder(&[]);
    let mut get = client_command(relay.address(), &["get", "-i", "-", "-d", "."]);
    get.current_dir(home.path());
    run(get, b"one\ntwo\n").expect_code(0);
    assert_eq!(files_below(home.path()).len(), 2);
}
