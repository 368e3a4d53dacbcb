//! `GET` at a node: which files are served, and which are not.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use rustix::fs::{CWD, Mode, mkfifoat};

use crate::support::{Nc, Server, ask, ask_bytes, folder, large_file, node_with_relay};

fn get(node: &Server, name: &str) -> Vec<u8> {
    ask_bytes(node.address(), format!("GET {name}\n").as_bytes())
}

#[track_caller]
fn assert_served(node: &Server, name: &str, content: &[u8]) {
    let expected = [format!("FOUND {}\n", content.len()).as_bytes(), content].concat();
    assert!(get(node, name) == expected, "{name:?} is another file");
}

#[track_caller]
fn assert_not_found(node: &Server, name: &str) {
    assert_eq!(get(node, name), b"NOTFOUND\n", "{name:?}");
}

#[test]
fn files_of_all_sizes_are_served() {
    let bytes: Vec<u8> = (0..=255).cycle().take(300 * 1024).collect();
    // Around the largest size that is sent together with its header.
    let sizes = [0, 1, 17, 255, 256, 65_535, 65_536, 65_537, 300 * 1024];
    let names: Vec<String> = sizes.iter().map(usize::to_string).collect();
    let files: Vec<(&str, &[u8])> = names
        .iter()
        .zip(sizes)
        .map(|(name, size)| (name.as_str(), &bytes[..size]))
        .collect();
    let share = folder(&files);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    for (name, content) in files {
        assert_served(&node, name, content);
    }
}

#[test]
fn names_may_have_blanks_and_any_script() {
    let names = [
        "two  blanks in it.txt",
        "größe und länge.txt",
        "文書/説明 書.txt",
        "emoji 🦀",
        "-",
        "*",
        "FOUND 3",
    ];
    let files: Vec<_> = names.iter().map(|name| (*name, name.as_bytes())).collect();
    let share = folder(&files);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    for name in names {
        assert_served(&node, name, name.as_bytes());
    }
    // Names are compared as bytes: a decomposed letter is another name.
    assert_not_found(&node, "gro\u{308}ße und länge.txt");
}

#[test]
fn a_name_has_at_most_1024_bytes() {
    let part = "n".repeat(255);
    let longest = format!("{part}/{part}/{part}/{}/f", "n".repeat(254));
    assert_eq!(longest.len(), 1024);
    let share = folder(&[(&longest, b"deep")]);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    assert_served(&node, &longest, b"deep");
    let reply = get(&node, &format!("{longest}x"));
    assert_eq!(
        String::from_utf8_lossy(&reply),
        "ERROR 400 usage: GET name; a file name has at most 1024 bytes\n"
    );
    // A component that is too long for every file system.
    assert_not_found(&node, &"n".repeat(256));
}

#[test]
fn names_and_links_do_not_leave_the_folder() {
    let place = folder(&[("secret", b"secret"), ("share/in", b"inside")]);
    let share = place.path().join("share");
    symlink("../secret", share.join("out")).expect("a link");
    symlink("..", share.join("up")).expect("a link");
    symlink(place.path().join("secret"), share.join("absolute")).expect("a link");
    symlink("loop", share.join("loop")).expect("a link");
    symlink("in", share.join("link")).expect("a link");
    let (node, _relay) = node_with_relay(&share, &[]);
    for name in [
        "../secret",
        "/etc/passwd",
        "a//b",
        "./in",
        "in/..",
        "in/",
        "\\in",
    ] {
        let reply = String::from_utf8(get(&node, name)).expect("text");
        assert!(
            reply.starts_with("ERROR 400 usage: GET name; "),
            "{name}: {reply}"
        );
    }
    for name in ["out", "up/secret", "absolute", "loop", "in/x", "none"] {
        assert_not_found(&node, name);
    }
    let list = ask(node.address(), b"LIST\n");
    assert_eq!(
        list, "FILES 2 2\n6 - 1 in\n6 - 1 link\n",
        "links out are not listed"
    );
    assert_served(&node, "in", b"inside");
    assert_served(&node, "link", b"inside");
}

#[test]
fn only_regular_files_are_served() {
    let share = folder(&[("folder/file", b"f"), ("small", b"s")]);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    mkfifoat(CWD, share.path().join("fifo"), Mode::RUSR | Mode::WUSR).expect("a FIFO");
    // A blocking open of a FIFO would stop the node.
    for name in ["folder", "fifo"] {
        assert_not_found(&node, name);
    }
    assert_served(&node, "small", b"s");
    let list = ask(node.address(), b"LIST\n");
    assert_eq!(list, "FILES 2 2\n1 - 1 folder/file\n1 - 1 small\n");
}

#[test]
fn hidden_files_are_shared_only_with_hidden() {
    let share = folder(&[
        (".key", b"k"),
        (".git/config", b"c"),
        ("open", b"o"),
        // Never shared: the name of a part file.
        (".new.part", b"half"),
    ]);
    let (node, relay) = node_with_relay(share.path(), &[]);
    assert_not_found(&node, ".key");
    assert_not_found(&node, ".git/config");
    assert_eq!(ask(node.address(), b"LIST\n"), "FILES 1 1\n1 - 1 open\n");
    let node = crate::support::node(&relay, share.path(), &["--hidden"]);
    assert_served(&node, ".key", b"k");
    assert_served(&node, ".git/config", b"c");
    assert_not_found(&node, ".new.part");
    let list = ask(node.address(), b"LIST\n");
    assert_eq!(
        list,
        "FILES 3 3\n1 - 1 .git/config\n1 - 1 .key\n1 - 1 open\n"
    );
}

#[test]
fn an_unreadable_file_is_refused() {
    let share = folder(&[("closed", b"c"), ("open", b"o")]);
    let closed = share.path().join("closed");
    fs::set_permissions(&closed, Permissions::from_mode(0o000)).expect("its owner may");
    if File::open(&closed).is_ok() {
        println!("skipped: this user may read everything");
        return;
    }
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let mut nc = Nc::connect(node.address());
    assert_eq!(
        nc.ask("GET closed"),
        "ERROR 403 no permission to read the file"
    );
    assert_eq!(nc.ask("GET open"), "FOUND 1");
}

#[test]
fn a_file_that_shrinks_mid_body_closes_the_connection() {
    let size = 64 << 20;
    let share = large_file(size);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let mut nc = Nc::connect(node.address());
    nc.send("GET large\n");
    // As nc -N does: the half-close is not the reason for the close.
    nc.half_close();
    assert_eq!(nc.line(), format!("FOUND {size}"));
    nc.bytes(1000);
    let file = File::options().write(true).open(share.path().join("large"));
    file.expect("a file").set_len(2000).expect("a size");
    let rest = nc.rest().len() as u64;
    assert!(rest + 1000 < size, "{rest} bytes more came");
    node.log_until("file truncated while sending");
    assert_served(&node, "small", b"small\n");
}

#[test]
fn a_file_that_grows_is_sent_up_to_the_announced_size() {
    let size = 16 << 20;
    let share = large_file(size);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let mut nc = Nc::connect(node.address());
    nc.send("GET large\nQUIT\n");
    assert_eq!(nc.line(), format!("FOUND {size}"));
    let file = File::options().write(true).open(share.path().join("large"));
    file.expect("a file").set_len(2 * size).expect("a size");
    nc.bytes(usize::try_from(size).expect("it fits"));
    assert_eq!(nc.rest_text(), "OK bye\n");
}
