//! Queries of the client to the relay: `ls`, `search`, `find` and `send`.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::hashes;
use crate::support::fake_server::FakeServer;
use crate::support::relay_index::{holders, wait_for_names};
use crate::support::{
    Nc, Server, Terminal, client, client_command, eventually, folder, node, relay, run,
};

const NOBODY: &str = "192.0.2.9";

/// A relay, and a node that has announced three files.
fn network() -> (Server, Server, TempDir) {
    let relay = relay(&[]);
    let share = folder(&[
        ("hello.txt", b"Hello, Peerline!\n"),
        ("large", &[7; 1_500_000]),
        ("Two Words.txt", b"12"),
    ]);
    let node = node(&relay, share.path(), &[]);
    wait_for_names(&relay, 3);
    (relay, node, share)
}

#[test]
fn in_a_pipe_results_are_wire_lines() {
    let (relay, node, _share) = network();
    let all = "2 - 1 Two Words.txt\n17 - 1 hello.txt\n1500000 - 1 large\n";
    for args in [&["ls"][..], &["search"], &["search", ""]] {
        let output = client(&relay, args).expect_code(0);
        assert_eq!((output.text().as_str(), output.stderr.as_str()), (all, ""));
    }
    let output = client(&relay, &["search", "two w"]).expect_code(0);
    assert_eq!(output.text(), "2 - 1 Two Words.txt\n");
    let output = client(&relay, &["find", "hello.txt"]).expect_code(0);
    let holder = format!("{} 17 -\n", node.wire_address());
    assert_eq!((output.text(), output.stderr.as_str()), (holder, ""));
}

#[test]
fn no_result_has_an_exit_code() {
    let (relay, _node, _share) = network();
    let output = client(&relay, &["find", "hello"]).expect_code(1);
    assert_eq!(output.text(), "");
    assert_eq!(output.stderr, "hello: no node has announced it\n");
    let output = client(&relay, &["search", "nothing"]).expect_code(1);
    assert_eq!(output.text(), "");
    let output = client(&relay, &["send", NOBODY, "9", "hello"]).expect_code(1);
    assert!(
        output.stderr.starts_with("not sent: error 404: "),
        "{}",
        output.stderr
    );
    let empty = crate::support::relay(&[]);
    for command in ["ls", "search"] {
        let output = client(&empty, &[command]).expect_code(0);
        assert_eq!(output.text(), "", "an empty network is no failure");
    }
}

#[test]
fn invalid_arguments_are_usage_errors() {
    let relay = relay(&[]);
    let long = "x".repeat(1025);
    let wrong: [&[&str]; 9] = [
        &["search", "a\x07b"],
        &["search", &long],
        &["find", "../x"],
        &["find"],
        &["send", NOBODY, "0", "hello"],
        &["send", "example.net", "9", "hello"],
        &["send", "0.0.0.0", "9", "hello"],
        &["send", NOBODY, "9", &long],
        &["send", NOBODY, "9"],
    ];
    for args in wrong {
        let output = client(&relay, args).expect_code(2);
        assert!(!output.stderr.is_empty(), "{args:?}");
    }
    assert_eq!(relay.stat("messages "), 0);
}

#[test]
fn on_a_terminal_sizes_have_units() {
    let (relay, node, share) = network();
    let shown = |args: &[&str]| Terminal::start(client_command(relay.address(), args)).wait();
    let lines = "       2 B  -          1 node  Two Words.txt\r\n      \
                 17 B  -          1 node  hello.txt\r\n   \
                 1.50 MB  -          1 node  large\r\n3 files\r\n";
    let (text, code) = shown(&["ls"]);
    assert!(text.ends_with(lines), "{text:?}");
    assert_eq!(code, 0);
    let second = crate::support::node(&relay, share.path(), &[]);
    eventually("two holders", || holders(&relay, "hello.txt").len() == 2);
    let (text, _) = shown(&["search", "HELLO"]);
    assert!(
        text.ends_with("17 B  -         2 nodes  hello.txt\r\n1 file\r\n"),
        "{text:?}"
    );
    let (text, _) = shown(&["find", "hello.txt"]);
    for node in [&node, &second] {
        assert!(text.contains(&node.wire_address()), "{text:?}");
    }
    let (text, code) = shown(&["search", "nothing"]);
    assert!(text.ends_with("no file matches\r\n"), "{text:?}");
    assert_eq!(code, 1);
}

#[test]
fn a_search_takes_a_glob() {
    let relay = relay(&[]);
    let names = ["a.txt", "docs/b.txt", "docs/c.md", "what?.txt"];
    let share = folder(&names.map(|name| (name, name.as_bytes())));
    let _node = node(&relay, share.path(), &[]);
    wait_for_names(&relay, 4);
    let search = |glob: &str, code: i32| {
        let output = client(&relay, &["search", glob]).expect_code(code).text();
        let names = output.lines().map(|line| line.splitn(4, ' ').nth(3));
        names.flatten().map(String::from).collect::<Vec<_>>()
    };
    assert_eq!(search("*.txt", 0), ["a.txt", "what?.txt"]);
    assert_eq!(search("**/*.txt", 0), ["a.txt", "docs/b.txt", "what?.txt"]);
    assert_eq!(search("**.txt", 0), search("**/*.txt", 0));
    assert_eq!(search("d**", 0), ["docs/b.txt", "docs/c.md"]);
    assert_eq!(search("docs/*", 0), ["docs/b.txt", "docs/c.md"]);
    assert_eq!(search("what?.txt", 0), ["what?.txt"]);
    assert_eq!(search("*.zip", 1), [""; 0]);
    let home = folder(&[]);
    let path = home.path().to_str().expect("text");
    client(&relay, &["get", "**.txt", "-d", path]).expect_code(0);
    assert!(home.path().join("docs/b.txt").exists() && home.path().join("a.txt").exists());
    let input = b"search *.txt\nsearch --long docs/*\nls -l\n";
    let output = run(client_command(relay.address(), &[]), input).expect_code(0);
    assert_eq!(output.text().lines().count(), 2 + 2 + 4);
}

#[test]
fn lists_show_short_hashes_and_whole_ones_on_request() {
    let relay = relay(&[]);
    let share = folder(&[("hello.txt", b"Hello, Peerline!\n")]);
    let _node = hashes::node(&relay, share.path(), &["--no-hash-cache"]);
    let hash = hashes::hash(b"Hello, Peerline!\n");
    eventually("the hash", || {
        client(&relay, &["ls"]).text().contains(&hash)
    });
    let shown = |args: &[&str]| {
        Terminal::start(client_command(relay.address(), args))
            .wait()
            .0
    };
    let short = format!("17 B  {}   1 node  hello.txt\r\n", &hash[..8]);
    let long = format!("17 B  {hash}   1 node  hello.txt\r\n");
    for command in ["ls", "search"] {
        let text = shown(&[command]);
        assert!(text.contains(&short), "{text:?}");
        let text = shown(&[command, "--long"]);
        assert!(text.contains(&long), "{text:?}");
    }
}

#[test]
fn json_prints_one_value_a_line() {
    let (relay, node, _share) = network();
    let ask = |args: &[&str], code: i32| -> Vec<Value> {
        let output = client(&relay, &[args, &["--json"]].concat()).expect_code(code);
        let lines = [output.text(), output.stderr].concat();
        let parse = |line| serde_json::from_str(line).expect("JSON");
        lines.lines().map(parse).collect()
    };
    let file =
        |name: &str, size: u64| json!({"name": name, "size": size, "hash": null, "holders": 1});
    let files = [
        file("Two Words.txt", 2),
        file("hello.txt", 17),
        file("large", 1_500_000),
    ];
    assert_eq!(ask(&["ls"], 0), files);
    assert_eq!(ask(&["search", "hello"], 0), files[1..2]);
    assert!(ask(&["search", "nothing"], 1).is_empty());
    let port = node.address().port();
    let holder = json!({"ip": "127.0.0.1", "port": port, "size": 17, "hash": null, "id": null});
    let holders = json!({"holders": [holder]});
    assert_eq!(ask(&["find", "hello.txt"], 0), [holders]);
    let missing =
        json!({"name": "nothing", "error": "not found", "nodes": 0, "failed": 0, "similar": []});
    assert_eq!(ask(&["find", "nothing"], 1), [missing]);
    let unheard = ask(&["send", NOBODY, "9", "hello"], 1);
    assert_eq!(unheard[0]["error"], "not sent");
    let mut listener = Nc::connect(relay.address());
    let address = listener.ask("LISTEN");
    let fields: Vec<&str> = address.split(' ').collect();
    let sent = ask(&["send", fields[1], fields[2], "hello"], 0);
    assert_eq!(sent, [json!({"sent": true, "can_be_answered": false})]);
}

#[test]
fn long_lists_are_paged() {
    let share = folder(&[]);
    for number in 0..2500 {
        let path = share.path().join(format!("{number:04}"));
        std::fs::write(path, b"").expect("a file");
    }
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    wait_for_names(&relay, 2500);
    let expected: String = (0..2500).map(|n| format!("0 - 1 {n:04}\n")).collect();
    let output = client(&relay, &["ls"]).expect_code(0);
    assert!(output.text() == expected, "{}", output.stderr);
    let output = client(&relay, &["search", "00"]).expect_code(0);
    let some = expected.lines().filter(|line| line[6..].contains("00"));
    assert_eq!(output.text().lines().count(), some.count());
}

#[test]
fn names_with_control_characters_are_skipped() {
    let list = "FILES 4 4\n5 - 1 \x1b[2Jx\n5 - 1 a\u{202e}b\n5 - 1 ../up\n5 - 1 good\n";
    let relay = FakeServer::hanging_after(list);
    let output = run(client_command(relay.address(), &["ls"]), b"").expect_code(0);
    assert_eq!(output.text(), "5 - 1 good\n");
    assert!(output.stderr.contains("\\u{1b}[2Jx"), "{}", output.stderr);
    assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
    let (text, _) = Terminal::start(client_command(relay.address(), &["ls"])).wait();
    assert!(!text.contains('\x1b'), "{text:?}");
    assert!(
        text.ends_with("5 B  -          1 node  good\r\n1 file\r\n"),
        "{text:?}"
    );
}

#[test]
fn send_reaches_a_listener() {
    let relay = relay(&[]);
    let mut listener = Nc::connect(relay.address());
    let address = listener.ask("LISTEN");
    let fields: Vec<&str> = address.split(' ').collect();
    assert_eq!(fields[0], "OK");
    let output = client(
        &relay,
        &["send", fields[1], fields[2], "wie geht's, größer?"],
    );
    let output = output.expect_code(0);
    assert_eq!(
        (output.text().as_str(), output.stderr.as_str()),
        (
            "",
            "sent; it cannot be answered, because no messages arrive here\n"
        )
    );
    let message = listener.line();
    assert!(message.starts_with("FROM 127.0.0.1 "), "{message}");
    assert!(message.ends_with(" wie geht's, größer?"), "{message}");
    client(&relay, &["-q", "send", fields[1], fields[2], "2"]).expect_code(0);
    assert!(listener.line().ends_with(" 2"));
}

#[test]
fn the_prompt_has_every_query() {
    let (relay, node, _share) = network();
    let mut listener = Nc::connect(relay.address());
    let address = listener.ask("LISTEN").replace("OK ", "");
    let mut terminal = Terminal::start(client_command(relay.address(), &[]));
    terminal.at_prompt("ls");
    terminal.expect("1.50 MB  -          1 node  large");
    terminal.expect("3 files");
    terminal.at_prompt("search WORDS");
    terminal.expect("2 B  -          1 node  Two Words.txt");
    terminal.expect("1 file\r\n");
    terminal.at_prompt("find hello.txt");
    terminal.expect("SIZE  HASH\r\n");
    terminal.expect(&format!("{}        17 B  -\r\n", node.wire_address()));
    terminal.at_prompt("nodes");
    terminal.expect(&format!("ADDRESS\r\n{}\r\n", node.wire_address()));
    terminal.at_prompt("who");
    terminal.expect(&format!("ADDRESS\r\n{address}\r\n"));
    terminal.at_prompt(&format!("send {address} how are you?"));
    terminal.expect("sent");
    assert!(listener.line().ends_with(" how are you?"));
    terminal.at_prompt("find nothing");
    terminal.expect("nothing: no node has announced it");
    terminal.at_prompt("ls everything");
    terminal.expect("ls takes no argument; to fetch a file of that name: get 'ls everything'");
    terminal.at_prompt("help");
    terminal.expect("search TEXT");
    terminal.at_prompt("hello.txt");
    terminal.expect("Hello, Peerline!");
    terminal.at_prompt("quit");
    assert_eq!(terminal.wait().1, 0);
    // The same from a pipe.
    let lines = format!("search two\nfind hello.txt\nsend {address} bye\nhello.txt\n");
    let output = run(client_command(relay.address(), &["-q"]), lines.as_bytes()).expect_code(0);
    let expected = format!(
        "2 - 1 Two Words.txt\n{} 17 -\nHello, Peerline!\n",
        node.wire_address()
    );
    assert_eq!((output.text(), output.stderr.as_str()), (expected, ""));
    assert!(listener.line().ends_with(" bye"));
}

#[test]
fn a_list_that_does_not_advance_ends() {
    // Each page names the same file, a file before the last one, or an unknown one.
    for items in [["3 - 1 a"; 2], ["3 - 1 b", "3 - 1 a"], ["?"; 2]] {
        let relay = FakeServer::new(move |mut connection| {
            while !connection.line().is_empty() {
                connection.send(format!("FILES 2 1000000\n{}\n", items.join("\n")));
            }
        });
        let output = run(client_command(relay.address(), &["ls"]), b"").expect_code(3);
        let message = "no list from the relay: its list is not sorted";
        assert!(output.stderr.contains(message), "{}", output.stderr);
    }
    // Several contents of one name are no fault.
    let relay = FakeServer::hanging_after("FILES 2 2\n3 - 1 a\n4 - 1 a\n");
    let output = run(client_command(relay.address(), &["ls"]), b"").expect_code(0);
    assert_eq!(output.text(), "3 - 1 a\n4 - 1 a\n");
    let args = ["ls", "--max-listed", "1"];
    let output = run(client_command(relay.address(), &args), b"").expect_code(3);
    let message = "its list has 2 lines, more than --max-listed allows";
    assert!(output.stderr.contains(message), "{}", output.stderr);
}

#[test]
fn the_names_of_a_list_have_a_limit_in_bytes() {
    let relay = FakeServer::new(|mut connection| {
        let mut files = 0;
        loop {
            match connection.line().trim_end() {
                "" => return,
                "LIST" => {
                    connection.send("NODES 1\n127.0.0.1 9\n");
                    continue;
                }
                _ => {}
            }
            let folders = "folder/".repeat(140);
            let names = (files..files + 100).map(|file| format!("3 - 1 {folders}{file:0>9}\n"));
            connection.send(format!("FILES 100 1000000\n{}", names.collect::<String>()));
            files += 100;
        }
    });
    let home = folder(&[]);
    let home = home.path().to_str().expect("text");
    for what in [
        &["get", "--all", "-d", home][..],
        &["get", "*", "-d", home],
        &["ls"],
    ] {
        let args = [what, &["--max-listed-bytes", "1000000"]].concat();
        let output = run(client_command(relay.address(), &args), b"").expect_code(3);
        let message = "the names in its list have more than 1000000 bytes";
        assert!(output.stderr.contains(message), "{}", output.stderr);
    }
    // A list of exactly the limit is accepted.
    let relay = FakeServer::hanging_after("FILES 2 2\n3 - 1 a\n3 - 1 b\n");
    for (limit, code) in [("1", 3), ("2", 0)] {
        let args = ["ls", "--max-listed-bytes", limit];
        run(client_command(relay.address(), &args), b"").expect_code(code);
    }
}

#[test]
fn an_answer_that_trickles_in_times_out() {
    let relay = FakeServer::new(|mut connection| {
        connection.line();
        connection.send("HOLDERS 1000\n");
        while connection.send("x") && !connection.is_closed_within(Duration::from_millis(100)) {}
    });
    let start = Instant::now();
    let args = ["--timeout", "0.5", "find", "file"];
    let output = run(client_command(relay.address(), &args), b"").expect_code(3);
    assert!(output.stderr.contains("read timeout"), "{}", output.stderr);
    assert!(start.elapsed() < Duration::from_secs(20));
}

/// A relay whose list never ends: each answer has one file, and comes after a while.
fn relay_with_endless_list() -> FakeServer {
    FakeServer::new(|mut connection| {
        let mut files = 0..;
        loop {
            let part = match connection.line().as_str() {
                "" => return,
                "LIST\n" => "NODES 1\n127.0.0.1 9\n".to_owned(),
                _ => format!("FILES 1 1000000\n1 - 1 {:09}\n", files.next().unwrap_or(0)),
            };
            let pause = Duration::from_millis(200);
            if connection.is_closed_within(pause) || !connection.send(part) {
                return;
            }
        }
    })
}

#[test]
fn a_list_whose_parts_trickle_in_times_out() {
    for args in [&["ls"][..], &["search", "0"], &["get", "--all"]] {
        let (relay, home) = (relay_with_endless_list(), folder(&[]));
        let start = Instant::now();
        let mut command = client_command(relay.address(), args);
        command.args(["--timeout", "0.5"]).current_dir(home.path());
        let output = run(command, b"").expect_code(3);
        assert!(output.stderr.contains("read timeout"), "{}", output.stderr);
        assert!(start.elapsed() < Duration::from_secs(20), "{args:?}");
    }
}

#[test]
fn a_reply_with_more_files_than_the_protocol_allows_is_told() {
    let relay = FakeServer::replying("FILES 1001 1001\n");
    let args = ["--max-nodes", "5000", "ls"];
    let output = run(client_command(relay.address(), &args), b"").expect_code(3);
    let text = "its list has 1001 lines, more than the protocol allows";
    assert!(output.stderr.contains(text), "{}", output.stderr);
}
