//! Parts of files, and the hashes of their pieces.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;

use peerline::protocol::{ContentHash, PieceLayout, PieceList, PieceValue, Reply};
use tempfile::TempDir;

use crate::hashes::{hash, node, stat, wait_for_rest};
use crate::support::{
    Nc, Server, ask, ask_bytes, eventually, folder, node_with_relay, noise, relay,
};

const MIB: usize = 1024 * 1024;

/// More than two pieces, of which no two are the same.
fn large_content() -> Vec<u8> {
    noise(2 * MIB + 12_345, 7)
}

/// The reply to `RANGE` and the bytes that follow.
fn range(node: &Server, offset: usize, length: usize, hash: &str, name: &str) -> Vec<u8> {
    let request = format!("RANGE {offset} {length} {hash} {name}\n");
    ask_bytes(node.address(), request.as_bytes())
}

/// Checks a reply to `PIECES`.
fn pieces(reply: &str, size: u64) -> PieceList {
    let mut lines = reply.lines();
    let head = Reply::parse(lines.next().expect("a first line").as_bytes());
    let Ok(Reply::Pieces {
        count,
        piece_size,
        hash,
    }) = head
    else {
        panic!("{reply}");
    };
    let layout = PieceLayout::new(size);
    assert_eq!(piece_size, layout.piece_size());
    let values = lines.map(|line| line.parse().expect("a value"));
    let values: Vec<PieceValue> = values.collect();
    assert_eq!(values.len() as u64, count);
    let list = PieceList::new(layout, values).expect("as many as the size demands");
    assert_eq!(list.hash(), hash, "they fold to the hash");
    list
}

/// The reply to `PIECES`, once the node knows the hash.
fn known_pieces(node: &Server, name: &str, size: u64) -> PieceList {
    eventually("the hash is known", || stat(node, name) != "-");
    let reply = ask(node.address(), format!("PIECES {name}\n").as_bytes());
    pieces(&reply, size)
}

#[test]
fn ranges_are_the_parts_of_a_file_and_end_with_it() {
    let content = large_content();
    let share = folder(&[("small", &content[..1000]), ("large", &content)]);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    for (name, size) in [("small", 1000), ("large", content.len())] {
        // Longer parts than 64 KiB are sent from the file.
        for (offset, length) in [
            (0, 0),
            (0, 1),
            (999, 1),
            (size / 2, 100_000),
            (3, 64 * 1024),
            (3, 64 * 1024 + 1),
            (size - 5, 6),
            (size, 7),
            (0, usize::MAX),
            (1, MIB + 1),
        ] {
            let end = size.min(offset.saturating_add(length));
            let part = &content[offset..end];
            let expected = [format!("FOUND {}\n", part.len()).as_bytes(), part].concat();
            let reply = range(&node, offset, length, "-", name);
            assert!(reply == expected, "{length} bytes from {offset} of {name}");
        }
        let past = range(&node, size + 1, 0, "-", name);
        let expected = format!("ERROR 416 the offset is past the end; the file has {size} bytes\n");
        assert_eq!(String::from_utf8_lossy(&past), expected);
    }
    assert_eq!(range(&node, 0, 1, "-", "nothing"), b"NOTFOUND\n");
    assert_eq!(node.stat("gets_found"), 20);
}

/// As from a script that does not read before it has sent everything.
#[test]
fn many_ranges_are_answered_in_order_without_many_open_files() {
    const COUNT: usize = 3000;
    let content = large_content();
    let share = folder(&[("large", &content)]);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let lines: Vec<String> = (0..COUNT)
        .map(|at| format!("RANGE {} {} - large\n", at * 7, at % 5))
        .collect();
    let reply = ask_bytes(node.address(), lines.concat().as_bytes());
    let parts = (0..COUNT).flat_map(|at| {
        let part = &content[at * 7..][..at % 5];
        [format!("FOUND {}\n", part.len()).as_bytes(), part].concat()
    });
    assert!(reply == parts.collect::<Vec<u8>>());
}

#[test]
fn a_range_of_another_content_is_409_and_of_an_unknown_one_503() {
    let content = large_content();
    let share = folder(&[("small", b"Hello"), ("large", &content)]);
    let relay = relay(&[]);
    let node = node(&relay, share.path(), &["--no-hash-cache"]);
    let code = |reply: &[u8]| String::from_utf8_lossy(&reply[..9]).into_owned();
    for (name, content) in [("small", &b"Hello"[..]), ("large", &content)] {
        eventually("the hash is known", || stat(&node, name) == hash(content));
        let found = range(&node, 1, 4, &hash(content), name);
        assert_eq!(found, [b"FOUND 4\n", &content[1..5]].concat());
        let wrong = range(&node, 1, 4, &hash(b"another"), name);
        assert_eq!(code(&wrong), "ERROR 409");
        // The file is replaced. Until the new hash is known, there is no answer.
        let path = share.path().join(name);
        let mut changed = content.to_vec();
        changed[2] ^= 1;
        fs::write(share.path().join(".new"), &changed).expect("a file");
        fs::rename(share.path().join(".new"), &path).expect("a name");
        let reply = code(&range(&node, 1, 4, &hash(content), name));
        assert!(["ERROR 409", "ERROR 503"].contains(&&*reply), "{reply}");
        eventually("the new hash is known", || {
            stat(&node, name) == hash(&changed)
        });
        let old = range(&node, 1, 4, &hash(content), name);
        assert_eq!(code(&old), "ERROR 409");
        let new = range(&node, 1, 4, &hash(&changed), name);
        assert_eq!(new, [b"FOUND 4\n", &changed[1..5]].concat());
    }
}

#[test]
fn a_node_that_computes_no_hashes_knows_no_pieces_of_a_large_file() {
    let content = large_content();
    let share = folder(&[("large", &content), ("small", b"Hello"), ("empty", b"")]);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let unknown = "ERROR 503 the hash of the file is not known yet; try again later";
    // The connection stays open.
    let mut nc = Nc::connect(node.address());
    assert_eq!(nc.ask("PIECES large"), unknown);
    let request = format!("RANGE 0 9 {} large", hash(&content));
    assert_eq!(nc.ask(&request), unknown);
    // That of a small file is computed at once.
    for (name, content) in [("small", &b"Hello"[..]), ("empty", b"")] {
        let list = pieces(
            &ask(node.address(), format!("PIECES {name}\n").as_bytes()),
            5,
        );
        assert_eq!(list.hash(), ContentHash::of(content));
        assert_eq!(list.values(), [PieceValue(list.hash().0)]);
    }
}

#[test]
fn pieces_fold_to_the_hash_of_b3sum_and_check_each_range() {
    for size in [MIB - 1, MIB, MIB + 1, 3 * MIB, 17 * MIB + 1] {
        let content = noise(size, size as u64);
        let share = folder(&[("file", &content)]);
        let relay = relay(&[]);
        let node = node(&relay, share.path(), &["--no-hash-cache"]);
        let list = known_pieces(&node, "file", size as u64);
        assert_eq!(list.hash().to_string(), hash(&content));
        for (index, value) in list.values().iter().enumerate() {
            let part = list.layout().range(index);
            let (offset, length) = (part.start as usize, (part.end - part.start) as usize);
            let reply = range(&node, offset, length, &hash(&content), "file");
            let head = format!("FOUND {length}\n");
            let bytes = reply.strip_prefix(head.as_bytes()).expect("the piece");
            let mut hasher = list.layout().hasher(index);
            assert!(hasher.update(bytes).is_empty());
            assert_eq!(
                hasher.value(),
                Some(*value),
                "piece {index} of {size} bytes"
            );
        }
    }
}

#[test]
fn a_range_of_a_file_that_is_overwritten_meanwhile_ends_early() {
    const SIZE: usize = 64 * MIB;
    let share = folder(&[]);
    let path = share.path().join("large");
    File::create(&path)
        .and_then(|file| file.set_len(SIZE as u64))
        .expect("a file");
    let (node, _relay) = node_with_relay(share.path(), &["--log-level", "debug"]);
    let mut nc = Nc::connect(node.address());
    nc.send("RANGE 1000 60000000 - large\nQUIT\n");
    assert_eq!(nc.line(), "FOUND 60000000");
    nc.bytes(MIB);
    let file = OpenOptions::new().write(true).open(&path).expect("a file");
    file.write_all_at(b"new", (SIZE / 2) as u64).expect("bytes");
    assert!(
        MIB + nc.rest().len() < 60_000_000,
        "a mixture of two contents"
    );
    node.log_until("file changed while sending");
}

/// The identity of a file, as the hash cache writes it.
fn identity(path: &Path) -> String {
    let file = fs::metadata(path).expect("a file");
    format!(
        "{} {} {} {} {} {}",
        file.dev(),
        file.ino(),
        file.size(),
        file.mtime(),
        file.ctime(),
        file.ctime_nsec()
    )
}

/// A line of the hash cache. The values need not be those of the file.
fn cache_line(path: &Path, list: &PieceList) -> String {
    let values: String = list
        .values()
        .iter()
        .map(|value| format!(" {value}"))
        .collect();
    format!("{} {}{values}\n", identity(path), list.hash())
}

#[test]
fn a_restart_takes_the_pieces_from_the_cache() {
    let content = large_content();
    let share = folder(&[("large", &content)]);
    wait_for_rest(share.path(), &["large"]);
    let home = folder(&[]);
    let cache = home.path().join("hashes");
    let args = ["--hash-cache", cache.to_str().expect("a text")];
    let relay = relay(&[]);
    let mut first = node(&relay, share.path(), &args);
    let list = known_pieces(&first, "large", content.len() as u64);
    assert_eq!(first.stop(), Some(0));
    let path = share.path().join("large");
    let cache_text = fs::read_to_string(&cache).expect("a text");
    assert_eq!(cache_text, cache_line(&path, &list));
    // Values of another content show where they come from.
    let other: Vec<PieceValue> = (1..4).map(|n| PieceValue([n; 32])).collect();
    let other = PieceList::new(*list.layout(), other).expect("as many");
    fs::write(&cache, cache_line(&path, &other)).expect("a file");
    let mut second = node(&relay, share.path(), &args);
    assert_eq!(known_pieces(&second, "large", content.len() as u64), other);
    assert_eq!(second.stop(), Some(0));
    // An earlier version stored no values.
    let line = format!("{} {}\n", identity(&path), other.hash());
    fs::write(&cache, &line).expect("a file");
    let third = node(&relay, share.path(), &args);
    assert_eq!(known_pieces(&third, "large", content.len() as u64), list);
    eventually("they are stored", || {
        fs::read_to_string(&cache).expect("a text") == line.clone() + &cache_text
    });
}

/// A node whose sparse file of 16 GiB has the largest list; its values are made up.
fn node_with_most_pieces() -> (Server, Server, [TempDir; 2], PieceList) {
    let (share, home) = (folder(&[]), folder(&[]));
    let path = share.path().join("large");
    let size = (PieceLayout::MAX_PIECES * MIB) as u64;
    File::create(&path)
        .and_then(|file| file.set_len(size))
        .expect("a sparse file");
    let values = (0..PieceLayout::MAX_PIECES).map(|n| PieceValue([n as u8; 32]));
    let values: Vec<PieceValue> = values.collect();
    let list = PieceList::new(PieceLayout::new(size), values).expect("as many");
    let cache = home.path().join("hashes");
    let mut file = File::create(&cache).expect("a file");
    file.write_all(cache_line(&path, &list).as_bytes())
        .expect("a line");
    let relay = relay(&[]);
    let args = ["--hash-cache", cache.to_str().expect("a text")];
    let node = node(&relay, share.path(), &args);
    (node, relay, [share, home], list)
}

#[test]
fn clients_that_do_not_read_share_the_longest_list_of_pieces() {
    const CLIENTS: usize = 100;
    let (node, _relay, _folders, list) = node_with_most_pieces();
    assert_eq!(known_pieces(&node, "large", list.layout().size()), list);
    let before = node.resident();
    let clients: Vec<Nc> = (0..CLIENTS)
        .map(|_| {
            let mut nc = Nc::connect(node.address());
            nc.send("PIECES large\n".repeat(100));
            nc
        })
        .collect();
    for mut nc in clients {
        // The answer has begun, and waits for its reader.
        let head = format!("PIECES 16384 1048576 {}", list.hash());
        assert_eq!(nc.line(), head);
        let growth = node.resident().saturating_sub(before);
        assert!(growth < 10 << 20, "{growth} bytes");
    }
}

#[test]
fn stat_shows_which_files_are_programs() {
    let share = folder(&[("script", b"#!/bin/sh\n"), ("text", b"text\n")]);
    let program = Permissions::from_mode(0o755);
    fs::set_permissions(share.path().join("script"), program).expect("a mode");
    let (node, _relay) = node_with_relay(share.path(), &[]);
    assert!(ask(node.address(), b"STAT script\n").ends_with(" x\n"));
    assert!(ask(node.address(), b"STAT text\n").ends_with(" -\n"));
}
