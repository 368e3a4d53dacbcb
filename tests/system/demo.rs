//! `peerline`, the demo: a relay, three nodes and a prompt in one process.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{ProgramOutput, Terminal, ask, folder, run};

/// The demo in the project's folder.
fn peerline(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peerline"));
    // Other tests remember the keys of relays, perhaps at the port that the demo gets.
    command.env("XDG_STATE_HOME", "/dev/null");
    command.args(args).current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

fn demo(args: &[&str]) -> ProgramOutput {
    run(peerline(args), b"")
}

/// The sample files of the project: the shared name and the path of each.
fn sample_files() -> Vec<(String, PathBuf)> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("files");
    let mut files = Vec::new();
    for share in fs::read_dir(root).expect("the files").map(Result::unwrap) {
        for entry in walkdir::WalkDir::new(share.path()).sort_by_file_name() {
            let path = entry.expect("it can be read").into_path();
            if path.is_file() {
                let name = path.strip_prefix(share.path()).expect("it is below");
                let name = name.to_str().expect("UTF-8").to_owned();
                files.push((name, path));
            }
        }
    }
    assert!(files.len() > 20);
    files
}

#[test]
fn the_first_command_prints_the_file() {
    let output = demo(&["hello.txt"]).expect_code(0);
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("files/peer1/hello.txt");
    assert_eq!(output.stdout, fs::read(path).expect("the file"));
    for text in ["the relay lists 3 nodes", ", verified\n"] {
        assert!(output.stderr.contains(text), "{}", output.stderr);
    }
}

#[test]
fn it_names_a_page_for_browsers() {
    let mut terminal = Terminal::start(peerline(&["--no-history"]));
    let text = terminal.expect(" in a browser");
    let (_, address) = text.rsplit_once("http://").expect("an address");
    let address = address.trim_end_matches(" in a browser");
    let request = "GET / HTTP/1.0\r\n\r\n";
    let page = ask(address.parse().expect("an address"), request.as_bytes());
    assert!(page.contains(">hello.txt<"), "{page}");
    terminal.expect("peerline> ");
    terminal.ctrl('d');
    assert_eq!(terminal.wait().1, 0);
}

#[test]
fn it_runs_in_an_empty_folder_and_leaves_nothing() {
    let (current, temporary) = (folder(&[]), folder(&[]));
    let is_clean = || {
        let entries = [&current, &temporary].map(|folder| fs::read_dir(folder.path()));
        entries
            .into_iter()
            .all(|entries| entries.expect("a folder").count() == 0)
    };
    let command = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_peerline"));
        // Cargo sets it.
        command.env_remove("CARGO_MANIFEST_DIR");
        command.args(args).current_dir(current.path());
        command.env("TMPDIR", temporary.path());
        command
    };
    let output = run(command(&["hello.txt"]), b"").expect_code(0);
    assert_eq!(output.text(), "Hello, Peerline!\n");
    assert!(is_clean());
    let mut terminal = Terminal::start(command(&["--no-history"]));
    terminal.expect("peerline> ");
    assert!(!is_clean());
    terminal.ctrl('d');
    assert_eq!(terminal.wait().1, 0);
    assert!(is_clean());
    let mut nowhere = command(&["hello.txt"]);
    nowhere.env("TMPDIR", "/dev/null");
    let output = run(nowhere, b"").expect_code(11);
    assert!(
        output.stderr.contains("cannot write the sample files"),
        "{}",
        output.stderr
    );
}

#[test]
fn messages_and_content_keep_their_order_in_one_pipe() {
    for _ in 0..10 {
        let mut command = Command::new("sh");
        let program = env!("CARGO_BIN_EXE_peerline");
        command
            .args(["-c", "exec \"$0\" 2>&1", program])
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        let output = run(command, b"hello.txt\nnodes\nnowhere\n");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let messages = [
            "found: 17 B",
            "Hello, Peerline!",
            "received 17 bytes",
            "nowhere: not found",
        ];
        let places =
            messages.map(|part| text.find(part).unwrap_or_else(|| panic!("{part}: {text}")));
        assert!(places.is_sorted(), "{text}");
    }
}

#[test]
fn every_sample_file_arrives_byte_for_byte() {
    let files = sample_files();
    for (name, path) in &files {
        let output = demo(&["-q", "--", name]).expect_code(0);
        assert!(output.stdout == fs::read(path).expect("the file"), "{name}");
        assert_eq!(output.stderr, "", "{name}");
    }
    // All files in one run, as arguments and as lines of a pipe.
    let all = files
        .iter()
        .map(|(_, path)| fs::read(path).expect("a file"));
    let all = all.collect::<Vec<_>>().concat();
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    let output = demo(&[&["--"], &names[..]].concat()).expect_code(0);
    assert!(output.stdout == all, "{}", output.stderr);
    let output = run(peerline(&[]), names.join("\n").as_bytes()).expect_code(0);
    assert!(output.stdout == all, "{}", output.stderr);
}

#[test]
fn sample_files_are_spread_evenly_over_three_nodes() {
    let files = sample_files();
    let mut names: Vec<&String> = files.iter().map(|(name, _)| name).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), files.len(), "a name stands for one file");
    let on = |peer: &str| {
        let share = format!("files/{peer}/");
        files
            .iter()
            .filter(|(_, path)| path.to_string_lossy().contains(&share))
            .count()
    };
    let counts = ["peer1", "peer2", "peer3"].map(on);
    assert_eq!(counts.iter().sum::<usize>(), files.len());
    assert_eq!(counts.iter().max(), counts.iter().min());
}

/// Does what the suggested line `printf '…\n' | nc -N ip port` would do.
fn run_suggestion(line: &str) -> String {
    let (request, place) = line
        .trim()
        .strip_prefix("printf '")
        .and_then(|rest| rest.split_once("' | nc -N "))
        .unwrap_or_else(|| panic!("{line:?} cannot be typed"));
    let (ip, port) = place.split_once(' ').expect("an address and a port");
    let ip: IpAddr = ip.parse().expect("an address");
    let address = SocketAddr::new(ip, port.parse().expect("a port"));
    ask(address, request.replace("\\n", "\n").as_bytes())
}

#[test]
fn suggested_commands_work_while_the_prompt_waits() {
    let mut terminal = Terminal::start(peerline(&[]));
    let welcome = terminal.expect("peerline> ");
    let lines: Vec<&str> = welcome.lines().filter(|l| l.contains("nc -N")).collect();
    let answers: Vec<String> = lines.iter().map(|line| run_suggestion(line)).collect();
    let [nodes, share, hello] = &answers[..] else {
        panic!("{welcome}");
    };
    assert!(nodes.starts_with("NODES 3\n127.0.0.1 "), "{nodes}");
    assert!(
        share.starts_with("FILES 8 8\n") && share.contains(" hello.txt\n"),
        "{share}"
    );
    assert_eq!(hello, "FOUND 17\nHello, Peerline!\n");
    terminal.enter("two generals.txt");
    terminal.expect("two generals.txt: ");
    terminal.at_prompt("pictures/three-peers.png");
    terminal.expect("binary content is not printed on a terminal");
    terminal.at("save it? [y/N] ", "");
    terminal.at_prompt("nodes");
    let list = terminal.expect("peerline> ");
    for node in nodes.lines().skip(1) {
        assert!(list.contains(node), "{list}");
    }
    terminal.enter("quit");
    assert_eq!(terminal.wait().1, 0);
}

#[test]
fn log_lines_are_shown_above_the_edited_line() {
    let mut terminal = Terminal::start(peerline(&["--log-level", "info"]));
    let mut shown = terminal.expect("peerline> ");
    let lines: Vec<String> = shown.lines().map(str::to_owned).collect();
    let hello = lines.iter().find(|line| line.contains("GET hello.txt"));
    let hello = hello.expect("a line to be typed");
    terminal.keys("two gen");
    terminal.expect("two gen");
    run_suggestion(hello);
    // The log line is above the edited line, which is drawn again.
    terminal.expect(" last GET, ");
    terminal.expect("end of input: hello.txt\r\n");
    terminal.expect("peerline> two gen");
    terminal.keys("erals");
    shown.clear();
    for _ in 0..50 {
        run_suggestion(hello);
    }
    terminal.keys(".txt\r");
    // Neither the typed line nor a log line is damaged.
    shown.push_str(&terminal.expect("two generals.txt: 1"));
    shown.push_str(&terminal.expect("peerline> "));
    terminal.enter("quit");
    let (rest, code) = terminal.wait();
    shown.push_str(&rest);
    assert_eq!(code, 0);
    let others = shown
        .matches("1 request, last GET, 14 B in, 26 B out")
        .count();
    assert_eq!(others, 50, "{shown}");
}

#[test]
fn the_demo_exits_at_once_when_done() {
    // The drain limit is 10 s: no thread may wait for it.
    let soon = Duration::from_secs(8);
    let start = Instant::now();
    demo(&["hello.txt", "café.txt"]).expect_code(0);
    run(peerline(&[]), b"hello.txt\n\n").expect_code(0);
    let mut terminal = Terminal::start(peerline(&[]));
    terminal.expect("peerline> ");
    terminal.ctrl('d');
    assert_eq!(terminal.wait().1, 0);
    assert!(start.elapsed() < soon, "{:?}", start.elapsed());
}

#[test]
fn a_missing_file_is_not_found() {
    let output = demo(&["missing.txt", "hello.txt"]).expect_code(1);
    assert_eq!(output.text(), "Hello, Peerline!\n");
    let message = "missing.txt: not found, 3 nodes asked";
    assert!(output.stderr.contains(message), "{}", output.stderr);
    let output = demo(&["../Cargo.toml"]).expect_code(2);
    assert!(
        output.stderr.contains("a file name must be relative"),
        "{}",
        output.stderr
    );
    let output = demo(&["missing.txt", "--json"]).expect_code(1);
    let json: serde_json::Value = serde_json::from_str(&output.stderr).expect("JSON");
    assert_eq!(json["nodes"], 3);
}

#[test]
fn files_flag_shares_other_folders() {
    let own = folder(&[
        ("b/second.txt", b"2"),
        ("a/first.txt", b"1"),
        ("c d/third file.txt", b"3"),
        ("-e/fourth.txt", b"4"),
        ("beside them.txt", b"not in a folder"),
    ]);
    let path = own.path().to_str().expect("a text");
    let names = ["first.txt", "second.txt", "third file.txt", "fourth.txt"];
    let args = [&["--files", path][..], &names].concat();
    let output = demo(&args).expect_code(0);
    assert_eq!(output.text(), "1234");
    demo(&["--files", path, "beside them.txt"]).expect_code(1);
}

#[test]
fn a_missing_files_folder_is_explained() {
    let empty = folder(&[("file.txt", b"no folder")]);
    let empty = empty.path().to_str().expect("a text");
    let missing = format!("{empty}/missing");
    let file = format!("{empty}/file.txt");
    for files in [empty, &missing, &file] {
        let output = demo(&["--files", files, "hello.txt"]).expect_code(8);
        assert!(
            output.stderr.contains("write --files DIR"),
            "{}",
            output.stderr
        );
        assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
    }
}
