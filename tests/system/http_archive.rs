//! Folders of a node as tar archives, which are made while they are sent.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;

use rustix::process::Signal;

use crate::support::{
    HttpResponse, Nc, folder, folder_of_names, http, large_file, node_with_relay, noise,
};

/// The files of an archive by their names.
fn unpack(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
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

/// Requests an archive and reads the head of the response. Returns the length of the archive.
fn begin(nc: &mut Nc, target: &str) -> usize {
    nc.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    let mut length = None;
    loop {
        let line = nc.line();
        match line.trim_end().split_once(": ") {
            Some(("Content-Length", value)) => length = value.parse().ok(),
            Some(_) => {}
            None if line == "\r" => return length.expect("a length"),
            None => assert!(line.starts_with("HTTP/1.1 200 "), "{line}"),
        }
    }
}

#[test]
fn a_folder_is_an_archive_of_the_announced_length() {
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
        assert_eq!(
            head.header("content-length"),
            archive.header("content-length")
        );
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
fn a_file_that_changes_under_way_breaks_the_archive_off() {
    let share = large_file(64 << 20);
    std::fs::write(share.path().join("later"), b"before").expect("a file");
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let mut nc = Nc::connect(node.address());
    // More than the kernel buffers of the connection hold.
    let length = begin(&mut nc, "/?tar");
    // It takes more blocks of the archive, also if the list of files has the new size by then.
    std::fs::write(share.path().join("later"), [7; 2000]).expect("a file");
    assert!(nc.rest().len() < length);
    node.log_until("file changed");
}

#[test]
fn a_node_that_stops_sends_an_archive_to_its_end() {
    let share = large_file(32 << 20);
    for number in 0..200 {
        let name = share.path().join(format!("small {number}"));
        std::fs::write(name, noise(3000, number)).expect("a file");
    }
    let (mut node, _relay) = node_with_relay(share.path(), &[]);
    let mut nc = Nc::connect(node.address());
    let length = begin(&mut nc, "/?tar");
    node.signal(Signal::TERM);
    node.log_until("stopping");
    let archive = nc.rest();
    assert_eq!(archive.len(), length);
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
    let mut nc = Nc::connect(node.address());
    begin(&mut nc, "/?tar");
    assert_eq!(http(node.address(), "GET", "/?json", "").status, 200);
    assert!(descriptors() <= before + 2, "the connection and one file");
}
