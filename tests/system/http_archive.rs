//! Folders of a node as tar archives, which are made while they are sent.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};

use rustix::process::Signal;

use crate::support::{
    HttpResponse, Nc, Server, folder, folder_of_names, http, large_file, node_with_relay, noise,
    read_chunks,
};

/// The files of an archive by their names.
pub(crate) fn unpack(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().expect("entries").map(|entry| {
        let mut entry = entry.expect("a valid entry");
        let name = String::from_utf8(entry.path_bytes().into_owned()).expect("UTF-8");
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("a whole entry");
        (name, content)
    });
    entries.collect()
}

/// Requests an archive and reads the head of the response.
fn begin(node: &Server, target: &str) -> Nc {
    let mut nc = Nc::connect(node.address());
    nc.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    assert_eq!(HttpResponse::read_head(&mut nc).status, 200);
    nc
}

#[test]
fn a_folder_is_an_archive() {
    let large = noise(300_000, 1);
    let long_name = format!(
        "top/in/{}/{}.txt",
        "long ".repeat(30).trim_end(),
        "ü".repeat(60)
    );
    let files: [(&str, &[u8]); 6] = [
        ("top/in/a.txt", b"a"),
        ("top/in/empty", b""),
        ("top/in/large", &large),
        (&long_name, b"long"),
        ("top/in.txt", b"no"),
        ("other", b"no"),
    ];
    let share = folder(&files);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    for target in ["/top/in.tar", "/top/in/?tar"] {
        let archive = http(node.address(), "GET", target, "");
        assert_eq!(archive.header("content-type"), Some("application/x-tar"));
        let disposition = archive.header("content-disposition");
        assert!(disposition.is_some_and(|value| value.ends_with("filename=\"in.tar\"")));
        let unpacked = unpack(&archive.content);
        assert_eq!(unpacked.len(), 4, "{:?}", unpacked.keys());
        for (name, content) in &files[..4] {
            let unpacked = &unpacked[name.strip_prefix("top/").expect("it begins so")];
            assert!(unpacked == content, "{name}");
        }
        let head = http(node.address(), "HEAD", target, "");
        assert_eq!(head.header("transfer-encoding"), Some("chunked"));
    }
    let all = unpack(&http(node.address(), "GET", "/?tar", "").content);
    assert_eq!(all.len(), 6);
    assert_eq!(all["other"], b"no");
    for missing in [
        "/none.tar",
        "/none/?tar",
        "/other.tar",
        "/.tar",
        "/top/.tar",
    ] {
        assert_eq!(
            http(node.address(), "GET", missing, "").status,
            404,
            "{missing}"
        );
    }
}

#[test]
fn a_shared_file_goes_before_the_archive_of_its_name() {
    let share = folder(&[("a/b", b"1"), ("a.tar", b"shared")]);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let shared = http(node.address(), "GET", "/a.tar", "");
    assert_eq!(shared.text(), "shared");
    let archive = http(node.address(), "GET", "/a/?tar", "");
    assert_eq!(unpack(&archive.content)["a/b"], b"1");
}

#[test]
fn an_archive_of_many_files_is_followed_by_the_next_answer() {
    let share = folder_of_names((0..3000).map(|number| format!("many/{number:04}")));
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let mut nc = Nc::connect(node.address());
    let request = |path| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    nc.send(request("/many.tar") + &request("/many/0007"));
    let archive = HttpResponse::read(&mut nc, false);
    let unpacked = unpack(&archive.content);
    assert_eq!(unpacked.len(), 3000);
    assert!(
        unpacked
            .iter()
            .all(|(name, content)| name.as_bytes() == content)
    );
    assert_eq!(HttpResponse::read(&mut nc, false).text(), "many/0007");
}

#[test]
fn an_archive_for_http_1_0_ends_with_the_connection() {
    let share = folder(&[("a/b", b"1")]);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let mut nc = Nc::connect(node.address());
    nc.send("GET /a.tar HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let response = HttpResponse::read_head(&mut nc);
    assert_eq!(response.header("transfer-encoding"), None);
    assert!(!response.keeps_alive());
    assert_eq!(unpack(&nc.rest())["a/b"], b"1");
}

#[test]
fn files_that_grow_or_vanish_or_are_replaced_under_way_do_no_harm() {
    const LARGE: usize = 64 << 20;
    let share = large_file(LARGE as u64);
    for name in ["log", "removed", "replaced"] {
        std::fs::write(share.path().join(name), "before").expect("a file");
    }
    let (node, _relay) = node_with_relay(share.path(), &[]);
    // The large file is sent first. It has more bytes than the buffers of the connection hold.
    let mut nc = begin(&node, "/?tar");
    for name in ["large", "log"] {
        let file = File::options().append(true).open(share.path().join(name));
        let mut file = file.expect("a file");
        file.write_all(b" and after").expect("room");
    }
    std::fs::remove_file(share.path().join("removed")).expect("a file");
    let new = share.path().join(".new");
    std::fs::write(&new, noise(300_000, 1)).expect("a file");
    std::fs::rename(new, share.path().join("replaced")).expect("a file");
    let unpacked = unpack(&read_chunks(&mut nc));
    let names: Vec<&str> = unpacked.keys().map(String::as_str).collect();
    assert_eq!(names, ["large", "log", "replaced", "small"]);
    assert_eq!(unpacked["large"].len(), LARGE);
    assert_eq!(unpacked["log"], b"before and after");
    assert!(unpacked["replaced"] == noise(300_000, 1));
    assert_eq!(http(node.address(), "GET", "/small", "").status, 200);
}

#[test]
fn a_file_that_is_cut_under_way_breaks_the_archive_off() {
    let share = large_file(64 << 20);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let mut nc = begin(&node, "/?tar");
    let file = File::options().write(true).open(share.path().join("large"));
    file.and_then(|file| file.set_len(32 << 20))
        .expect("a file");
    let received = nc.rest();
    assert!(received.len() <= (32 << 20) + 1024);
    node.log_until("file truncated");
}

#[test]
fn a_share_that_is_gone_breaks_the_archive_off() {
    let home = large_file(64 << 20);
    let share = home.path().join("share");
    std::fs::create_dir(&share).expect("a folder");
    std::fs::rename(home.path().join("large"), share.join("large")).expect("a file");
    std::fs::write(share.join("next"), "next").expect("a file");
    let (node, _relay) = node_with_relay(&share, &[]);
    let mut nc = begin(&node, "/?tar");
    std::fs::rename(&share, home.path().join("away")).expect("a new name");
    node.log_until("share is gone");
    // The large file is open.
    let received = nc.rest();
    assert!(received.len() > 64 << 20);
    assert!(!received.ends_with(b"\r\n0\r\n\r\n"));
}

#[test]
fn a_node_that_stops_sends_an_archive_to_its_end() {
    let share = large_file(32 << 20);
    for number in 0..200 {
        let name = share.path().join(format!("small {number}"));
        std::fs::write(name, noise(3000, number)).expect("a file");
    }
    let (mut node, _relay) = node_with_relay(share.path(), &[]);
    let mut nc = begin(&node, "/?tar");
    node.signal(Signal::TERM);
    node.log_until("stopping");
    let archive = read_chunks(&mut nc);
    assert_eq!(unpack(&archive).len(), 202);
    assert!(node.wait().success());
}

#[test]
fn an_archive_that_nobody_reads_has_one_open_file() {
    let share = folder(&[]);
    for number in 0..20 {
        let file = File::create(share.path().join(format!("large {number}"))).expect("a file");
        file.set_len(16 << 20).expect("a size");
    }
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let descriptors = || {
        let folder = format!("/proc/{}/fd", node.pid());
        std::fs::read_dir(folder).expect("a list").count()
    };
    let before = descriptors();
    let _nc = begin(&node, "/?tar");
    assert_eq!(http(node.address(), "GET", "/?json", "").status, 200);
    assert!(descriptors() <= before + 2, "the connection and one file");
}
