//! `DIGEST` and `--sha256`: computed beside the hash, cached on disk, forgotten when the file
//! changes.

use std::fs;
use std::process::Command;

use base64::engine::{Engine, general_purpose::STANDARD};

use crate::hashes::{node, stat, wait_for_rest};
use crate::support::{Server, ask, eventually, folder, http, noise, relay};

/// What `sha256sum` prints of this file.
pub fn sha256sum(path: &std::path::Path) -> String {
    let output = Command::new("sha256sum").arg(path).output();
    let output = output.expect("sha256sum is installed").stdout;
    let text = String::from_utf8(output).expect("text");
    text.split(' ').next().expect("digits").to_owned()
}

fn digest(server: &Server, name: &str) -> String {
    ask(server.address(), format!("DIGEST {name}\n").as_bytes())
}

const UNKNOWN: &str = "ERROR 503 the hash of the file is not known yet; try again later\n";

#[test]
fn digest_tells_what_sha256sum_prints_until_the_file_changes() {
    let share = folder(&[("large", &noise(3_000_000, 1)), ("small", b"small\n")]);
    let relay = relay(&[]);
    let args = ["--sha256", "--no-hash-cache"];
    let node = node(&relay, share.path(), &args);
    let path = |name: &str| share.path().join(name);
    for name in ["small", "large"] {
        let expected = format!("DIGEST sha-256 {}\n", sha256sum(&path(name)));
        eventually("the digest is known", || digest(&node, name) == expected);
    }
    assert_eq!(digest(&node, "nothing"), "NOTFOUND\n");
    let before = digest(&node, "large");
    fs::write(path("large"), noise(3_000_000, 2)).expect("a file");
    fs::write(path("small"), b"other\n").expect("a file");
    // At once: never the digest of another content.
    assert_ne!(digest(&node, "large"), before);
    for name in ["small", "large"] {
        let expected = format!("DIGEST sha-256 {}\n", sha256sum(&path(name)));
        eventually("the new digest is known", || {
            digest(&node, name) == expected
        });
    }
}

#[test]
fn a_node_without_sha256_says_so() {
    let share = folder(&[("large", &noise(100_000, 1)), ("small", b"small\n")]);
    let relay = relay(&[]);
    let node = node(&relay, share.path(), &["--no-hash-cache"]);
    let error = "ERROR 501 this node computes no SHA-256; PIECES and STAT show BLAKE3\n";
    assert_eq!(digest(&node, "large"), error);
    assert_eq!(digest(&node, "small"), error);
    assert_eq!(digest(&node, "nothing"), "NOTFOUND\n");
}

#[test]
fn a_node_that_computes_no_hashes_knows_no_digest_of_a_large_file() {
    let share = folder(&[("large", &noise(100_000, 1))]);
    let relay = relay(&[]);
    let node = node(&relay, share.path(), &["--sha256", "--no-hashes"]);
    assert_eq!(digest(&node, "large"), UNKNOWN);
}

#[test]
fn digests_are_cached_and_a_cache_without_them_is_completed() {
    let share = folder(&[("large", &noise(3_000_000, 1))]);
    let folder = folder(&[]);
    let cache = folder.path().join("hashes");
    let cache_flag = ["--hash-cache", cache.to_str().expect("text")];
    wait_for_rest(share.path(), &["large"]);
    let relay = relay(&[]);
    let lines = || fs::read_to_string(&cache).map_or(0, |text| text.lines().count());
    // Each node stores a line, unless the cache has what it needs.
    let plain = &cache_flag[..];
    let with_sha256 = &[&cache_flag[..], &["--sha256"]].concat()[..];
    for (args, expected) in [(plain, 1), (with_sha256, 2), (with_sha256, 2), (plain, 2)] {
        let mut node = node(&relay, share.path(), args);
        eventually("the hash is known", || stat(&node, "large") != "-");
        if args.contains(&"--sha256") {
            let sha256 = sha256sum(&share.path().join("large"));
            assert_eq!(digest(&node, "large"), format!("DIGEST sha-256 {sha256}\n"));
        }
        assert_eq!(node.stop(), Some(0));
        assert_eq!(lines(), expected, "{args:?}");
    }
}

/// The digest of a file in HTTP, as in `DIGEST`.
#[test]
fn responses_in_http_have_the_digest_of_the_whole_file() {
    let share = folder(&[("large", &noise(3_000_000, 1)), ("small", b"small\n")]);
    let relay = relay(&[]);
    let server = node(&relay, share.path(), &["--sha256", "--no-hash-cache"]);
    for name in ["small", "large"] {
        let reply = || digest(&server, name);
        eventually("the digest is known", || reply().starts_with("DIGEST"));
        let digits = reply()
            .trim()
            .rsplit(' ')
            .next()
            .expect("digits")
            .to_owned();
        let bytes: Vec<u8> = (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("digits"))
            .collect();
        let expected = STANDARD.encode(bytes);
        for headers in ["", "Range: bytes=1-2\r\n"] {
            let response = http(server.address(), "GET", &format!("/{name}"), headers);
            let header = |name| response.header(name).unwrap_or_default();
            assert_eq!(header("repr-digest"), format!("sha-256=:{expected}:"));
            assert_eq!(header("digest"), format!("sha-256={expected}"));
        }
    }
    let server = node(&relay, share.path(), &["--no-hash-cache"]);
    let response = http(server.address(), "GET", "/small", "");
    assert_eq!(response.header("repr-digest"), None);
}
