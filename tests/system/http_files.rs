//! Files in HTTP (RFC 9110, 8, 13 and 14): parts, conditions, and names.

use std::fs::{self, File};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use httpdate::{fmt_http_date, parse_http_date};

use crate::support::{HttpResponse, Nc, Server, folder, http, node_with_relay, noise};

/// A file that a server keeps in memory, and one that it does not.
const SMALL: usize = 26;
const LARGE: usize = 300_000;

/// A node with `small.txt` and `large.txt`, last changed a day ago, and its relay.
struct Files {
    node: Server,
    _relay: Server,
    share: tempfile::TempDir,
    large: Vec<u8>,
}

impl Files {
    fn new() -> Self {
        let large = noise(LARGE, 1);
        let share = folder(&[
            ("small.txt", b"abcdefghijklmnopqrstuvwxyz"),
            ("large.txt", &large),
            ("empty.txt", b""),
        ]);
        for name in ["small.txt", "large.txt", "empty.txt"] {
            let file = File::options().append(true).open(share.path().join(name));
            let a_day_ago = SystemTime::now() - Duration::from_secs(86_400);
            file.and_then(|file| file.set_modified(a_day_ago))
                .expect("a time");
        }
        let (node, relay) = node_with_relay(share.path(), &[]);
        Self {
            node,
            _relay: relay,
            share,
            large,
        }
    }

    fn get(&self, path: &str, headers: &str) -> HttpResponse {
        http(self.node.address(), "GET", path, headers)
    }

    fn content(&self, path: &str) -> &[u8] {
        match path {
            "/small.txt" => b"abcdefghijklmnopqrstuvwxyz",
            "/large.txt" => &self.large,
            _ => b"",
        }
    }
}

fn header<'r>(response: &'r HttpResponse, name: &str) -> &'r str {
    let value = response.header(name);
    value.unwrap_or_else(|| panic!("no {name} in {response:?}"))
}

#[test]
fn a_single_range_is_sent_as_a_part() {
    let files = Files::new();
    for (path, size) in [("/small.txt", SMALL), ("/large.txt", LARGE)] {
        for (range, first, end) in [
            ("0-0", 0, 1),
            ("0-", 0, size),
            ("1-3", 1, 4),
            ("20-", 20, size),
            ("-1", size - 1, size),
            ("-5", size - 5, size),
            ("-999999", 0, size),
            ("5-99999999999999999999", 5, size),
        ] {
            let part = files.get(path, &format!("Range: bytes={range}\r\n"));
            assert_eq!(part.status, 206, "{path} {range}");
            assert!(part.content == files.content(path)[first..end], "{range}");
            let expected = format!("bytes {first}-{}/{size}", end - 1);
            assert_eq!(header(&part, "content-range"), expected);
            // The headers of the whole file come with the part (RFC 9110, 15.3.7).
            let whole = files.get(path, "");
            for name in ["etag", "last-modified", "content-type", "cache-control"] {
                assert_eq!(header(&part, name), header(&whole, name));
            }
        }
    }
}

#[test]
fn a_range_past_the_end_is_refused_with_the_size() {
    let files = Files::new();
    for (path, size) in [
        ("/small.txt", SMALL),
        ("/large.txt", LARGE),
        ("/empty.txt", 0),
    ] {
        for range in [format!("{size}-"), format!("{size}-{size}"), "-0".into()] {
            let refused = files.get(path, &format!("Range: bytes={range}\r\n"));
            assert_eq!(refused.status, 416, "{path} {range}");
            let expected = format!("bytes */{size}");
            assert_eq!(header(&refused, "content-range"), expected);
        }
    }
}

#[test]
fn other_ranges_and_those_of_head_are_ignored() {
    let files = Files::new();
    for range in [
        "bytes=0-1,3-4",
        "bytes=3-1",
        "bytes=a-b",
        "bytes=",
        "lines=1-2",
        "0-1",
    ] {
        let whole = files.get("/small.txt", &format!("Range: {range}\r\n"));
        assert_eq!((whole.status, whole.content.len()), (200, SMALL), "{range}");
        assert_eq!(header(&whole, "accept-ranges"), "bytes");
    }
    let (address, range) = (files.node.address(), "Range: bytes=0-1\r\n");
    let head = http(address, "HEAD", "/small.txt", range);
    assert_eq!(head.status, 200);
    assert_eq!(header(&head, "content-length"), "26");
    assert_eq!(files.get("/nothing", range).status, 404);
}

#[test]
fn if_range_sends_a_part_of_the_same_content_only() {
    let files = Files::new();
    for path in ["/small.txt", "/large.txt"] {
        let whole = files.get(path, "");
        let (tag, date) = (header(&whole, "etag"), header(&whole, "last-modified"));
        let other_date = fmt_http_date(parse_http_date(date).unwrap() - Duration::from_secs(1));
        for (validator, status) in [
            (tag, 206),
            (date, 206),
            ("\"other\"", 200),
            (&format!("W/{tag}"), 200),
            (&other_date, 200),
            ("nonsense", 200),
        ] {
            let headers = format!("Range: bytes=1-2\r\nIf-Range: {validator}\r\n");
            assert_eq!(files.get(path, &headers).status, status, "{validator}");
        }
        // Without a range it has no meaning.
        let headers = "If-Range: \"other\"\r\n";
        assert_eq!(files.get(path, headers).status, 200);
    }
}

#[test]
fn a_client_that_has_the_file_gets_no_content() {
    let files = Files::new();
    for path in ["/small.txt", "/large.txt", "/empty.txt"] {
        let whole = files.get(path, "");
        let (tag, date) = (header(&whole, "etag"), header(&whole, "last-modified"));
        let later = fmt_http_date(SystemTime::now());
        let earlier = fmt_http_date(UNIX_EPOCH);
        for (condition, status) in [
            (format!("If-None-Match: {tag}"), 304),
            (format!("If-None-Match: \"a\", W/{tag}"), 304),
            ("If-None-Match: *".into(), 304),
            ("If-None-Match: \"a\"".into(), 200),
            (format!("If-Modified-Since: {date}"), 304),
            (format!("If-Modified-Since: {later}"), 304),
            (format!("If-Modified-Since: {earlier}"), 200),
            ("If-Modified-Since: yesterday".into(), 200),
            // The tag counts more than the date.
            (
                format!("If-None-Match: \"a\"\r\nIf-Modified-Since: {date}"),
                200,
            ),
            (format!("If-Match: {tag}"), 200),
            ("If-Match: *".into(), 200),
            ("If-Match: \"a\"".into(), 412),
            (format!("If-Match: W/{tag}"), 412),
            (format!("If-Unmodified-Since: {date}"), 200),
            (format!("If-Unmodified-Since: {earlier}"), 412),
        ] {
            for method in ["GET", "HEAD"] {
                let headers = format!("{condition}\r\n");
                let response = http(files.node.address(), method, path, &headers);
                assert_eq!(response.status, status, "{method} {path} {condition}");
                if status == 304 {
                    assert_eq!(header(&response, "etag"), tag);
                    assert_eq!(response.header("content-range"), None);
                }
            }
        }
        // 304 comes before 416 (RFC 9110, 13.2.2).
        let both = format!("If-None-Match: {tag}\r\nRange: bytes=999999-\r\n");
        assert_eq!(files.get(path, &both).status, 304);
    }
}

#[test]
fn the_next_request_follows_a_response_without_content() {
    let files = Files::new();
    let mut nc = Nc::connect(files.node.address());
    for (method, condition, status) in [
        ("GET", "If-None-Match: *\r\n", 304),
        ("HEAD", "", 200),
        ("GET", "Range: bytes=900000-\r\n", 416),
        ("HEAD", "Range: bytes=900000-\r\n", 200),
        ("HEAD", "If-Match: \"a\"\r\n", 412),
        ("GET", "", 200),
    ] {
        nc.send(format!(
            "{method} /large.txt HTTP/1.1\r\nHost: localhost\r\n{condition}\r\n"
        ));
        let response = HttpResponse::read(&mut nc, method == "HEAD");
        assert_eq!(response.status, status);
        assert!(response.keeps_alive());
    }
}

#[test]
fn the_tag_changes_with_the_content() {
    let files = Files::new();
    for path in ["/small.txt", "/large.txt"] {
        let old = files.get(path, "");
        let again = files.get(path, "");
        assert_eq!(old.header("etag"), again.header("etag"));
        // The size and the time stay as they were.
        let file = files.share.path().join(&path[1..]);
        let mut content = files.content(path).to_vec();
        content.reverse();
        let modified = fs::metadata(&file).and_then(|metadata| metadata.modified());
        fs::write(&file, &content).expect("a file");
        let opened = File::options().append(true).open(&file).expect("a file");
        opened
            .set_modified(modified.expect("a time") + Duration::from_nanos(1))
            .expect("a time");
        let new = files.get(path, "");
        assert!(new.content == content, "{path}");
        assert_ne!(old.header("etag"), new.header("etag"), "{path}");
        let if_match = format!("If-Match: {}\r\n", header(&old, "etag"));
        assert_eq!(files.get(path, &if_match).status, 412);
    }
}

#[test]
fn names_are_decoded_once_and_stay_in_the_share() {
    let share = folder(&[
        ("two words.txt", b"1"),
        ("sub/größe.txt", b"2"),
        ("100%.txt", b"3"),
        ("a+b.txt", b"4"),
        ("a?b#c.txt", b"5"),
        ("%41.txt", b"6"),
        ("share/in.txt", b"7"),
        (".hidden", b"8"),
    ]);
    fs::write(share.path().join("secret.txt"), "s").expect("a file");
    let (node, _relay) = node_with_relay(share.path(), &[]);
    for (path, content) in [
        ("/two%20words.txt", "1"),
        ("/sub/gr%C3%B6%C3%9fe.txt", "2"),
        ("/sub%2Fgr%C3%B6%C3%9Fe.txt", "2"),
        ("/100%25.txt", "3"),
        ("/100%.txt", "3"),
        ("/a+b.txt", "4"),
        ("/a%3fb%23c.txt", "5"),
        ("/%2541.txt", "6"),
        ("/share/in.txt?x", "7"),
    ] {
        let file = http(node.address(), "GET", path, "");
        assert_eq!((file.status, file.text()), (200, content), "{path}");
    }
    for path in [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/share/%2e%2e/secret.txt",
        "/share/../secret.txt",
        "/share/..%2fsecret.txt",
        "/share/./in.txt",
        "//share/in.txt",
        "/share//in.txt",
        "/share/in.txt/",
        "/share%5cin.txt",
        "/share/in.txt%00",
        "/share/in.txt%0a",
        "/share/in.txt%20",
        "/%e2%80%aeshare",
        "/.hidden",
        "/%2ehidden",
        "/etc/passwd",
        "/%2fetc%2fpasswd",
    ] {
        let file = http(node.address(), "GET", path, "");
        assert_eq!(file.status, 404, "{path}: {}", file.text());
    }
    // All names are UTF-8.
    for path in ["/%ff", "/%c3%28.txt"] {
        assert_eq!(http(node.address(), "GET", path, "").status, 400, "{path}");
    }
}

#[test]
fn foreign_content_runs_nowhere() {
    let share = folder(&[
        ("page.html", b"<script>alert(1)</script>"),
        ("image.svg", b"<svg/>"),
        ("code.js", b"alert(1)"),
        ("data.xml", b"<a/>"),
        ("page.xhtml", b"<html/>"),
        ("text.txt", b"text"),
        ("unknown", b"?"),
        ("quo\"te.txt", b"q"),
        ("größe.txt", b"g"),
    ]);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    for (path, media_type, disposition) in [
        (
            "/page.html",
            "text/html; charset=utf-8",
            "attachment; filename=\"page.html\"",
        ),
        (
            "/image.svg",
            "image/svg+xml",
            "attachment; filename=\"image.svg\"",
        ),
        (
            "/code.js",
            "text/javascript; charset=utf-8",
            "attachment; filename=\"code.js\"",
        ),
        (
            "/data.xml",
            "text/xml; charset=utf-8",
            "attachment; filename=\"data.xml\"",
        ),
        (
            "/page.xhtml",
            "application/xhtml+xml",
            "attachment; filename=\"page.xhtml\"",
        ),
        (
            "/text.txt",
            "text/plain; charset=utf-8",
            // The address tells the name.
            "",
        ),
        ("/unknown", "application/octet-stream", ""),
        (
            "/quo%22te.txt",
            "text/plain; charset=utf-8",
            "inline; filename*=UTF-8''quo%22te.txt",
        ),
        (
            "/gr%C3%B6%C3%9Fe.txt",
            "text/plain; charset=utf-8",
            "inline; filename*=UTF-8''gr%C3%B6%C3%9Fe.txt",
        ),
    ] {
        let file = http(node.address(), "GET", path, "");
        assert_eq!(header(&file, "content-type"), media_type, "{path}");
        let sent = file.header("content-disposition").unwrap_or_default();
        assert_eq!(sent, disposition, "{path}");
        assert_eq!(header(&file, "content-security-policy"), "sandbox");
        assert_eq!(header(&file, "x-content-type-options"), "nosniff");
    }
}
