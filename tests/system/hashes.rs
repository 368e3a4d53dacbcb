//! Hashes of files: computed in a thread, announced, cached on disk.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::{
    Server, Terminal, ask, client, client_command, eventually, folder, node_command, relay, run,
    set_state,
};

const HELLO: &[u8] = b"Hello, Peerline!\n";

pub fn hash(content: &[u8]) -> String {
    blake3::hash(content).to_hex().to_string()
}

/// A node that computes hashes.
pub fn node(relay: &Server, share: &Path, args: &[&str]) -> Server {
    let SocketAddr::V4(address) = relay.address() else {
        unreachable!("tests use IPv4");
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_peer-node"));
    command
        .arg(address.ip().to_string())
        .arg(address.port().to_string())
        .arg("--share")
        .arg(share)
        .args(args);
    set_state(&mut command, args);
    Server::start(command)
}

/// The hash in the reply to `STAT`.
pub fn stat(node: &Server, name: &str) -> String {
    let answer = ask(node.address(), format!("STAT {name}\n").as_bytes());
    let mut fields = answer.split(' ');
    assert_eq!(fields.next(), Some("STAT"), "{answer}");
    fields.nth(1).expect("a hash").to_owned()
}

/// Sets an old mtime.
fn set_old_mtime(path: &Path) {
    let file = File::options().append(true).open(path).expect("a file");
    let then = SystemTime::now() - Duration::from_secs(3600);
    file.set_modified(then).expect("a time");
}

/// The time since the last change of a file.
fn age(path: &Path) -> Duration {
    let metadata = path.metadata().expect("a file");
    let seconds = Duration::from_secs(metadata.ctime().cast_unsigned());
    let ctime = seconds + Duration::from_nanos(metadata.ctime_nsec().cast_unsigned());
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("a time");
    now.saturating_sub(ctime)
}

/// Waits until the files have rested for so long that their hashes are stored.
pub fn wait_for_rest(share: &Path, names: &[&str]) {
    let rest_time = Duration::from_millis(2100);
    let is_at_rest = |name: &&str| age(&share.join(name)) > rest_time;
    eventually("the files rest", || names.iter().all(is_at_rest));
}

#[test]
fn hashes_equal_b3sum_in_every_reply() {
    let large: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let share = folder(&[("hello.txt", HELLO), ("empty", b""), ("sub/large", &large)]);
    let relay = relay(&[]);
    let node = node(&relay, share.path(), &["--no-hash-cache"]);
    for (name, content) in [("hello.txt", HELLO), ("empty", b""), ("sub/large", &large)] {
        eventually("its hash is known", || stat(&node, name) == hash(content));
    }
    let list = ask(node.address(), b"LIST\n");
    assert!(list.contains(&format!("\n17 {} 1 hello.txt\n", hash(HELLO))));
    let find = format!("HOLDERS 1\n{} 17 {}\n", node.wire_address(), hash(HELLO));
    eventually("the relay knows it", || {
        ask(relay.address(), b"FIND hello.txt\n") == find
    });
    let search = format!("FILES 1 1\n3000000 {} 1 sub/large\n", hash(&large));
    eventually("a search shows it", || {
        ask(relay.address(), b"SEARCH LARGE\n") == search
    });
    // The published BLAKE3 hash of the empty input.
    assert!(hash(b"").starts_with("af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9"));
}

#[test]
fn a_changed_file_gets_a_new_hash() {
    let share = folder(&[("a", b"one")]);
    let relay = relay(&[]);
    let node = node(&relay, share.path(), &["--no-hash-cache"]);
    eventually("the first", || stat(&node, "a") == hash(b"one"));
    fs::write(share.path().join("a"), "another").expect("a file");
    fs::write(share.path().join("b"), "new").expect("a file");
    let is_announced = |name: &str, size, content| {
        let answer = ask(relay.address(), format!("FIND {name}\n").as_bytes());
        answer.ends_with(&format!(" {size} {}\n", hash(content)))
    };
    eventually("the second", || is_announced("a", 7, b"another"));
    eventually("the new one", || is_announced("b", 3, b"new"));
    assert_eq!(stat(&node, "a"), hash(b"another"));
    fs::remove_file(share.path().join("b")).expect("a file");
    eventually("it is gone", || {
        ask(relay.address(), b"FIND b\n") == "NOTFOUND\n"
    });
    assert_eq!(ask(node.address(), b"STAT b\n"), "NOTFOUND\n");
}

#[test]
fn a_restart_reads_hashes_from_the_cache() {
    let share = folder(&[("a", b"content")]);
    wait_for_rest(share.path(), &["a"]);
    let home = folder(&[]);
    let cache = home.path().join("deep/hashes");
    let args = ["--hash-cache", cache.to_str().expect("a text")];
    let relay = relay(&[]);
    let mut first = node(&relay, share.path(), &args);
    eventually("it is kept", || stat(&first, "a") == hash(b"content"));
    assert_eq!(first.stop(), Some(0));
    // The file cannot be read now, so its hash comes from the cache.
    let text = fs::read_to_string(&cache).expect("a text");
    let other = hash(b"never shared");
    let text = text.replace(&hash(b"content"), &other);
    fs::write(&cache, format!("no line of ours\n{text}")).expect("a file");
    let second = node(&relay, share.path(), &args);
    eventually("it is known", || stat(&second, "a") == other);
    // A changed file is hashed again.
    fs::write(share.path().join("a"), "changed").expect("a file");
    eventually("it is new", || stat(&second, "a") == hash(b"changed"));
}

/// Regression: a node that was killed lost the hashes of half a minute.
#[test]
fn cached_hashes_survive_sigkill() {
    let share = folder(&[("a", b"content"), ("b", b"more")]);
    wait_for_rest(share.path(), &["a", "b"]);
    let home = folder(&[]);
    let cache = home.path().join("hashes");
    let args = ["--hash-cache", cache.to_str().expect("a text")];
    let relay = relay(&[]);
    let mut node = node(&relay, share.path(), &args);
    eventually("the first", || stat(&node, "a") == hash(b"content"));
    eventually("the second", || stat(&node, "b") == hash(b"more"));
    node.signal(Signal::KILL);
    node.wait();
    let cache_text = fs::read_to_string(&cache).expect("a text");
    assert_eq!(cache_text.lines().count(), 2, "{cache_text}");
    for content in [&b"content"[..], b"more"] {
        assert!(
            cache_text.contains(&format!(" {}\n", hash(content))),
            "{cache_text}"
        );
    }
}

/// Regression: each hash of the cache file changed the cache file, without end.
#[test]
fn a_hash_cache_in_the_share_is_not_hashed() {
    let share = folder(&[("a", b"content")]);
    wait_for_rest(share.path(), &["a"]);
    let cache = share.path().join("hashes");
    let args = ["--hash-cache", cache.to_str().expect("a text")];
    let relay = relay(&[]);
    let node = node(&relay, share.path(), &args);
    eventually("it is kept", || stat(&node, "a") == hash(b"content"));
    // The cache file is scanned now. A file that is hashed next is hashed after it.
    fs::remove_file(share.path().join("a")).expect("it is there");
    eventually("it is gone", || {
        !ask(node.address(), b"LIST\n").contains(" 1 a\n")
    });
    fs::write(share.path().join("b"), "more").expect("a file");
    eventually("it is hashed", || {
        ask(node.address(), b"LIST\n").contains(&hash(b"more"))
    });
    let list = ask(node.address(), b"LIST\n");
    assert!(list.contains(" - 1 hashes\n"), "{list}");
    let cache_text = fs::read_to_string(&cache).expect("a text");
    assert_eq!(cache_text.lines().count(), 1, "{cache_text}");
}

/// A write within the same tick of a coarse clock leaves the identity unchanged.
#[test]
fn the_hash_of_a_file_that_has_just_changed_is_not_stored() {
    let (home, share) = (folder(&[]), folder(&[("old", b"old")]));
    let cache = home.path().join("hashes");
    wait_for_rest(share.path(), &["old"]);
    let relay = relay(&[]);
    let args = ["--hash-cache", cache.to_str().expect("a text")];
    let node = node(&relay, share.path(), &args);
    let path = share.path().join("new");
    fs::write(&path, "new").expect("a file");
    eventually("both are hashed", || {
        stat(&node, "old") == hash(b"old") && stat(&node, "new") == hash(b"new")
    });
    let cache_text = fs::read_to_string(&cache).expect("a text");
    assert!(cache_text.contains(&hash(b"old")), "{cache_text}");
    let is_stored = cache_text.contains(&hash(b"new"));
    // On a slow machine the file may have rested.
    assert!(
        !is_stored || age(&path) > Duration::from_secs(2),
        "{cache_text}"
    );
}

/// Archivers and copies that preserve times make such changes, even in the same inode.
#[test]
fn a_change_that_keeps_size_and_mtime_is_hashed_again() {
    let share = folder(&[("a", b"first")]);
    let path = share.path().join("a");
    set_old_mtime(&path);
    let mtime = path.metadata().and_then(|m| m.modified()).expect("a time");
    let relay = relay(&[]);
    let node = node(&relay, share.path(), &["--no-hash-cache"]);
    eventually("the first", || stat(&node, "a") == hash(b"first"));
    let file = File::options().write(true).open(&path).expect("a file");
    (&file).write_all(b"other").expect("as long as the first");
    file.set_modified(mtime).expect("a time");
    drop(file);
    assert_ne!(stat(&node, "a"), hash(b"first"));
    eventually("the other", || stat(&node, "a") == hash(b"other"));
}

/// A list request can see a deletion before inotify reports it.
#[test]
fn deletions_are_announced_under_constant_list_requests() {
    let share = folder(&[("a", b"1"), ("b", b"2")]);
    let relay = relay(&["--lease", "600"]);
    let node = node(&relay, share.path(), &["--no-hashes"]);
    let knows = |name: &str| {
        let answer = ask(relay.address(), format!("FIND {name}\n").as_bytes());
        answer.starts_with("HOLDERS")
    };
    eventually("both are known", || knows("a") && knows("b"));
    for name in ["a", "b"] {
        fs::remove_file(share.path().join(name)).expect("it is there");
        eventually("it is gone", || {
            ask(node.address(), b"LIST\n");
            !knows(name)
        });
    }
}

/// Regression: a damaged file was read into memory as one line.
#[test]
fn a_damaged_hash_cache_of_gigabytes_costs_little_memory_and_is_shortened() {
    let (home, share) = (folder(&[]), folder(&[("a", b"content")]));
    let cache = home.path().join("hashes");
    let file = File::create(&cache).expect("a file");
    file.set_len(3 << 30).expect("a sparse file");
    wait_for_rest(share.path(), &["a"]);
    let relay = relay(&[]);
    let mut command = Command::new("sh");
    // In KiB.
    command.args(["-c", "ulimit -v 1000000; exec \"$0\" \"$@\""]);
    command.arg(env!("CARGO_BIN_EXE_peer-node"));
    command.arg(relay.address().to_string());
    command.arg("--share").arg(share.path());
    command.arg("--hash-cache").arg(&cache);
    let node = Server::start(command);
    eventually("it is hashed", || stat(&node, "a") == hash(b"content"));
    eventually("the file has one line", || {
        cache.metadata().expect("a file").len() < 1000
    });
    let text = fs::read_to_string(&cache).expect("a text");
    assert!(
        text.ends_with(&format!(" {}\n", hash(b"content"))),
        "{text}"
    );
}

#[test]
fn a_hash_cache_that_is_not_a_regular_file_is_not_used() {
    let share = folder(&[("a", b"content")]);
    let home = folder(&[]);
    let fifo = home.path().join("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RUSR).expect("a FIFO");
    let relay = relay(&[]);
    let cache = fifo.to_str().expect("a text");
    let node = node(&relay, share.path(), &["--hash-cache", cache]);
    eventually("it works without", || stat(&node, "a") == hash(b"content"));
    node.log_until("cannot open hash cache");
    assert!(!fifo.metadata().expect("it is there").is_file());
}

/// A relay with two nodes that share different contents as `a`.
fn two_contents() -> (Server, [(Server, TempDir); 2]) {
    let relay = relay(&[]);
    let nodes = [&b"one"[..], b"another"].map(|content| {
        let share = folder(&[("a", content)]);
        let node = node(&relay, share.path(), &["--no-hash-cache"]);
        eventually("the relay knows it", || {
            ask(relay.address(), b"FIND a\n").contains(&hash(content))
        });
        (node, share)
    });
    (relay, nodes)
}

#[test]
fn the_user_chooses_between_contents_of_one_name() {
    let (relay, _nodes) = two_contents();
    // Nobody can be asked: the content of the node that registered first.
    let output = client(&relay, &["get", "a"]).expect_code(0);
    assert_eq!(output.text(), "one");
    for (content, size) in [(&b"one"[..], "3 B"), (b"another", "7 B")] {
        let line = format!("{}  {size:>10}  1 node\n", &hash(content)[..8]);
        assert!(output.stderr.contains(&line), "{}", output.stderr);
        let chosen = client(&relay, &["get", "a", "--hash", &hash(content)]).expect_code(0);
        assert_eq!(chosen.stdout, content);
        let typed = format!("get --hash {} a\n", hash(content));
        let typed = run(client_command(relay.address(), &[]), typed.as_bytes());
        assert_eq!(typed.expect_code(0).stdout, content);
    }
    let none = client(&relay, &["get", "a", "--hash", &hash(b"none")]).expect_code(12);
    assert!(none.stdout.is_empty());
    client(&relay, &["get", "a", "--hash", "12"]).expect_code(2);
}

#[test]
fn a_content_is_chosen_by_number_at_a_terminal() {
    let (relay, _nodes) = two_contents();
    // The node that registered first.
    let [first, second] = ["one", "another"];
    let mut prompt = Terminal::start(client_command(relay.address(), &[]));
    prompt.at_prompt("a");
    let short = &hash(second.as_bytes())[..8];
    prompt.expect(&format!("  2: {short}         7 B  1 node"));
    prompt.at("number> ", "3");
    prompt.expect("a number from 1 to 2");
    prompt.at("number> ", "2");
    prompt.expect(&format!("\n{second}\r\n"));
    prompt.at_prompt("a");
    prompt.expect("  2: ");
    prompt.at("number> ", "");
    prompt.at_prompt("quit");
    assert_eq!(prompt.wait().1, 0);
    // The same on the command line.
    let mut get = Terminal::start(client_command(relay.address(), &["get", "a"]));
    get.expect("  2: ");
    get.at("number> ", "1");
    get.expect(&format!("\n{first}\r\n"));
    assert_eq!(get.wait().1, 0);
    let mut get = Terminal::start(client_command(relay.address(), &["get", "a"]));
    get.expect("  2: ");
    get.expect("number> ");
    get.ctrl('d');
    assert_eq!(get.wait().1, 12);
}

#[test]
fn eight_digits_of_a_hash_do() {
    let (relay, _nodes) = two_contents();
    let whole = hash(b"another");
    for digits in [&whole[..8], &whole[..20], &whole.to_uppercase()] {
        let output = client(&relay, &["get", "a", "--hash", digits]).expect_code(0);
        assert_eq!(output.text(), "another");
        let input = format!("get --hash {digits} a\n");
        let output = run(client_command(relay.address(), &[]), input.as_bytes()).expect_code(0);
        assert_eq!(output.text(), "another");
    }
    let output = client(&relay, &["get", "a", "--hash", &whole[..7]]).expect_code(2);
    assert!(
        output.stderr.contains("8 to 64 hex digits"),
        "{}",
        output.stderr
    );
    let output = client(&relay, &["get", "a", "--hash", "00000000"]).expect_code(12);
    let text = "a: no node has the content 00000000; there are:\n";
    assert!(output.stderr.contains(text), "{}", output.stderr);
}

#[test]
fn few_digits_of_a_hash_prove_nothing_and_that_is_told() {
    let (relay, _nodes) = two_contents();
    let whole = hash(b"another");
    let note = |digits: usize| {
        format!(
            "only {digits} digits of the hash were compared; write 32 or more if somebody may \
             forge the file\n"
        )
    };
    let home = folder(&[]);
    for (digits, files) in [(8, &["a"][..]), (31, &["a"]), (8, &["a*", "-f"])] {
        // With -o or -d, the second time the file is there already.
        for _ in 0..2 {
            let mut command = client_command(relay.address(), &["get", "-d", ".", "--hash"]);
            command.arg(&whole[..digits]).args(files);
            command.current_dir(home.path());
            let output = run(command, b"").expect_code(0);
            let stderr = &output.stderr;
            assert_eq!(stderr.matches(&note(digits)).count(), 1, "{stderr}");
        }
    }
    let output = client(&relay, &["get", "a", "--hash", &whole[..8]]).expect_code(0);
    assert!(output.stderr.ends_with(&note(8)), "{}", output.stderr);
    let output = client(&relay, &["get", "a", "--hash", &whole[..9], "--json"]).expect_code(0);
    let line = r#"{"hash_digits":9,"name":"a"}"#;
    assert!(
        output.stderr.lines().any(|text| text == line),
        "{}",
        output.stderr
    );
    for digits in [32, 64] {
        let output = client(&relay, &["get", "a", "--hash", &whole[..digits]]).expect_code(0);
        assert!(!output.stderr.contains("compared"), "{}", output.stderr);
    }
    // A choice is made by the whole hash.
    let output = client(&relay, &["get", "a"]).expect_code(0);
    assert!(!output.stderr.contains("compared"), "{}", output.stderr);
}

/// Two texts whose hashes begin with the same 8 digits.
fn alike() -> [String; 2] {
    let mut texts = HashMap::new();
    for number in 0.. {
        let text = format!("text {number}");
        let digits = hash(text.as_bytes())[..8].to_owned();
        if let Some(other) = texts.insert(digits, text.clone()) {
            return [other, text];
        }
    }
    unreachable!("there are more texts than digits")
}

#[test]
fn digits_that_two_hashes_begin_with_choose_neither() {
    let relay = relay(&[]);
    let texts = alike();
    let shares = texts
        .each_ref()
        .map(|text| folder(&[("a", text.as_bytes())]));
    let nodes = shares
        .each_ref()
        .map(|share| node(&relay, share.path(), &["--no-hash-cache"]));
    for (node, text) in nodes.iter().zip(&texts) {
        eventually("a hash", || stat(node, "a") == hash(text.as_bytes()));
    }
    eventually("both contents", || {
        let list = client(&relay, &["ls"]).expect_code(0).text();
        texts
            .iter()
            .all(|text| list.contains(&hash(text.as_bytes())))
    });
    let whole = texts.each_ref().map(|text| hash(text.as_bytes()));
    let output = client(&relay, &["get", "a", "--hash", &whole[0][..8]]).expect_code(12);
    assert_eq!(output.text(), "");
    for hash in &whole {
        assert!(output.stderr.contains(&hash[..20]), "{}", output.stderr);
    }
    let output = client(&relay, &["get", "a", "--hash", &whole[1][..20]]).expect_code(0);
    assert_eq!(output.text(), texts[1]);
}

#[test]
fn ctrl_c_cancels_a_choice() {
    let (relay, nodes) = two_contents();
    let own = folder(&[]);
    let mut console = node_command(relay.address(), own.path(), &["--no-history"]);
    console.arg("--console");
    let programs = [client_command(relay.address(), &[]), console];
    for (command, question) in programs.into_iter().zip(["number> ", "peerline> "]) {
        let mut prompt = Terminal::start(command);
        prompt.at_prompt("a");
        prompt.expect("  2: ");
        // At the console the user may be typing already.
        prompt.expect(question);
        prompt.ctrl('c');
        prompt.expect("a: not fetched\r\n");
        prompt.at_prompt("nodes");
        prompt.expect(&nodes[0].0.wire_address());
        prompt.expect("peerline> ");
        prompt.ctrl('d');
        assert_eq!(prompt.wait().1, 0);
    }
    assert!(!own.path().join("a").exists());
    // On the command line the program ends.
    let mut get = Terminal::start(client_command(relay.address(), &["get", "a"]));
    get.expect("  2: ");
    get.expect("number> ");
    get.ctrl('c');
    assert_eq!(get.wait().1, 130);
}

#[test]
fn no_hashes_computes_no_hashes() {
    let share = folder(&[("a", b"content")]);
    let relay = relay(&[]);
    let node = node(&relay, share.path(), &["--no-hashes"]);
    node.log_until("registered as");
    assert_eq!(stat(&node, "a"), "-");
    assert_eq!(ask(node.address(), b"LIST\n"), "FILES 1 1\n7 - 1 a\n");
}
