//! The one-process `peerline`: a whole network that a newcomer tries first.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Done, ask, folder, run};
use crate::terminal::Terminal;

/// `peerline` where a newcomer runs it: in the project's folder.
fn peerline(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peerline"));
    command.args(args).current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

fn demo(args: &[&str]) -> Done {
    run(peerline(args), b"")
}

/// The files that the project comes with: each one's name in the network, and
/// its path.
fn files() -> Vec<(String, PathBuf)> {
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
fn the_first_command_that_is_tried_prints_the_file() {
    let done = demo(&["hello.txt"]).expect_code(0);
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("files/peer1/hello.txt");
    assert_eq!(done.stdout, fs::read(path).expect("the file"));
    assert!(
        done.stderr.contains("the relay lists 3 nodes"),
        "{}",
        done.stderr
    );
}

#[test]
fn talk_and_content_keep_their_order_in_one_pipe() {
    for _ in 0..10 {
        let mut command = Command::new("sh");
        let program = env!("CARGO_BIN_EXE_peerline");
        command
            .args(["-c", "exec \"$0\" 2>&1", program])
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        let done = run(command, b"hello.txt\nnodes\nnowhere\n");
        let text = String::from_utf8(done.stdout).expect("UTF-8");
        let said = [
            "found: 17 B",
            "Hello, Peerline!",
            "received 17 bytes",
            "nowhere: not found",
        ];
        let places = said.map(|part| text.find(part).unwrap_or_else(|| panic!("{part}: {text}")));
        assert!(places.is_sorted(), "{text}");
    }
}

#[test]
fn every_file_of_the_project_comes_byte_for_byte() {
    let files = files();
    for (name, path) in &files {
        let done = demo(&["-q", "--", name]).expect_code(0);
        assert!(done.stdout == fs::read(path).expect("the file"), "{name}");
        assert_eq!(done.stderr, "", "{name}");
    }
    // All in one go, as arguments and as lines of a pipe.
    let all = files
        .iter()
        .map(|(_, path)| fs::read(path).expect("a file"));
    let all = all.collect::<Vec<_>>().concat();
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    let done = demo(&[&["--"], &names[..]].concat()).expect_code(0);
    assert!(done.stdout == all, "{}", done.stderr);
    let done = run(peerline(&[]), names.join("\n").as_bytes()).expect_code(0);
    assert!(done.stdout == all, "{}", done.stderr);
}

#[test]
fn the_files_are_spread_evenly_and_each_is_on_one_node() {
    let files = files();
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

/// What `printf '…\n' | nc -N ip port` would do.
fn as_typed(line: &str) -> String {
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
fn the_lines_that_it_proposes_work_while_it_waits_at_the_prompt() {
    let mut terminal = Terminal::start(peerline(&[]));
    let welcome = terminal.expect("peerline> ");
    let lines: Vec<&str> = welcome.lines().filter(|l| l.contains("nc -N")).collect();
    let answers: Vec<String> = lines.iter().map(|line| as_typed(line)).collect();
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
    terminal.expect("it is no text: on the command line");
    terminal.at_prompt("nodes");
    let listed = terminal.expect("peerline> ");
    for node in nodes.lines().skip(1) {
        assert!(listed.contains(node), "{listed}");
    }
    terminal.enter("quit");
    assert_eq!(terminal.end().1, 6);
}

#[test]
fn what_is_logged_while_a_line_is_typed_stands_above_it() {
    let mut terminal = Terminal::start(peerline(&["--log-level", "info"]));
    let mut shown = terminal.expect("peerline> ");
    let lines: Vec<String> = shown.lines().map(str::to_owned).collect();
    let hello = lines.iter().find(|line| line.contains("GET hello.txt"));
    let hello = hello.expect("a line to be typed");
    terminal.keys("two gen");
    terminal.expect("two gen");
    as_typed(hello);
    // Above the line, which is drawn anew and can be typed on.
    terminal.expect(" last GET, ");
    terminal.expect("end of input\r\n");
    terminal.expect("peerline> two gen");
    terminal.keys("erals");
    shown.clear();
    for _ in 0..50 {
        as_typed(hello);
    }
    terminal.keys(".txt\r");
    // The line was whole, and so is all that was said meanwhile.
    shown.push_str(&terminal.expect("two generals.txt: 1"));
    shown.push_str(&terminal.expect("peerline> "));
    terminal.enter("quit");
    let (rest, code) = terminal.end();
    shown.push_str(&rest);
    assert_eq!(code, 0);
    let others = shown
        .matches("1 request, last GET, 14 B in, 26 B out")
        .count();
    assert_eq!(others, 50, "{shown}");
}

#[test]
fn it_ends_by_itself_and_at_once_when_its_work_is_done() {
    // The limit of a drain is 10 s: none of the threads waits for it.
    let soon = Duration::from_secs(8);
    let start = Instant::now();
    demo(&["hello.txt", "café.txt"]).expect_code(0);
    run(peerline(&[]), b"hello.txt\n\n").expect_code(0);
    let mut terminal = Terminal::start(peerline(&[]));
    terminal.expect("peerline> ");
    terminal.ctrl('c');
    assert_eq!(terminal.end().1, 130);
    assert!(start.elapsed() < soon, "{:?}", start.elapsed());
}

#[test]
fn what_none_of_its_nodes_has_is_not_found() {
    let done = demo(&["missing.txt", "hello.txt"]).expect_code(1);
    assert_eq!(done.text(), "Hello, Peerline!\n");
    let says = "missing.txt: not found, 3 asked";
    assert!(done.stderr.contains(says), "{}", done.stderr);
    let done = demo(&["../Cargo.toml"]).expect_code(2);
    assert!(
        done.stderr.contains("a file name must be relative"),
        "{}",
        done.stderr
    );
    let done = demo(&["missing.txt", "--json"]).expect_code(1);
    let json: serde_json::Value = serde_json::from_str(&done.stderr).expect("JSON");
    assert_eq!(json["nodes"], 3);
}

#[test]
fn other_files_than_the_projects_can_be_shared() {
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
    let done = demo(&args).expect_code(0);
    assert_eq!(done.text(), "1234");
    demo(&["--files", path, "beside them.txt"]).expect_code(1);
}

#[test]
fn without_a_folder_to_share_it_says_what_to_do() {
    let empty = folder(&[("file.txt", b"no folder")]);
    let empty = empty.path().to_str().expect("a text");
    let missing = format!("{empty}/missing");
    let file = format!("{empty}/file.txt");
    for files in [empty, &missing, &file] {
        let done = demo(&["--files", files, "hello.txt"]).expect_code(8);
        assert!(done.stderr.contains("give --files DIR"), "{}", done.stderr);
        assert_eq!(done.stderr.lines().count(), 1, "{}", done.stderr);
    }
}
