//! Unmodified HTTP clients against the real servers.

use std::fs;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::support::{
    ProgramOutput, Server, folder, http, http_program, is_missing, node_with_relay, noise,
};

const SIZE: usize = 3_000_000;

/// A node that shares `large.bin` and a hundred small files, and a folder to download to.
struct Scene {
    node: Server,
    relay: Server,
    share: TempDir,
    target: TempDir,
    large: Vec<u8>,
}

impl Scene {
    fn new() -> Self {
        let large = noise(SIZE, 5);
        let share = folder(&[("large.bin", &large), ("größe 1.txt", b"umlaut\n")]);
        for number in 0..100 {
            let path = share.path().join(format!("{number}.txt"));
            fs::write(path, format!("file {number}\n")).expect("a file");
        }
        let (node, relay) = node_with_relay(share.path(), &[]);
        Self {
            node,
            relay,
            share,
            target: tempfile::tempdir().expect("a folder"),
            large,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.node.address())
    }

    /// Runs a client in the folder to download to.
    fn run(&self, program: &str, args: &[&str]) -> ProgramOutput {
        http_program(program, self.target.path(), args)
    }

    fn curl(&self, args: &[&str]) -> ProgramOutput {
        let always = ["-q", "--silent", "--show-error", "--max-time", "50"];
        self.run("curl", &[&always, args].concat())
    }

    /// The content of a downloaded file.
    fn saved(&self, name: &str) -> Vec<u8> {
        fs::read(self.target.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Leaves the first bytes of the large file there, as a broken download would.
    fn begin_download(&self, name: &str) {
        let begun = &self.large[..SIZE / 3];
        fs::write(self.target.path().join(name), begun).expect("a file");
    }
}

#[test]
fn curl_fetches_files_parts_and_headers() {
    if is_missing("curl") {
        return;
    }
    let scene = Scene::new();
    let url = scene.url("large.bin");
    assert!(scene.curl(&["--fail", &url]).expect_code(0).stdout == scene.large);
    let part = scene
        .curl(&["--fail", "-r", "100-199", &url])
        .expect_code(0);
    assert!(part.stdout == scene.large[100..200]);
    let end = scene.curl(&["--fail", "-r", "-5", &url]).expect_code(0);
    assert!(end.stdout == scene.large[SIZE - 5..]);
    let head = scene.curl(&["--fail", "-I", &url]).expect_code(0).text();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(
        head.contains(&format!("\r\nContent-Length: {SIZE}\r\n")),
        "{head}"
    );
    // Nothing is compressed, and the client does not mind.
    let plain = scene.curl(&["--fail", "--compressed", &scene.url("7.txt")]);
    assert_eq!(plain.expect_code(0).text(), "file 7\n");
    let name = scene.curl(&["--fail", "-OJ", &scene.url("gr%C3%B6%C3%9Fe%201.txt")]);
    name.expect_code(0);
    assert_eq!(
        scene.curl(&["--fail", &scene.url("nothing")]).code,
        Some(22)
    );
    let http10 = scene.curl(&["--fail", "--http1.0", &scene.url("7.txt")]);
    assert_eq!(http10.expect_code(0).text(), "file 7\n");
    let http2 = scene.curl(&["--fail", "--http2", &scene.url("7.txt")]);
    assert_eq!(http2.expect_code(0).text(), "file 7\n");
    let posted = scene.curl(&["-d", "REGISTER 127.0.0.1 9", &scene.url("7.txt")]);
    assert!(posted.expect_code(0).text().starts_with("405 "));
}

#[test]
fn curl_resumes() {
    if is_missing("curl") {
        return;
    }
    let scene = Scene::new();
    scene.begin_download("large.bin");
    let url = scene.url("large.bin");
    scene
        .curl(&["--fail", "-C", "-", "-O", &url])
        .expect_code(0);
    assert!(scene.saved("large.bin") == scene.large);
    scene.node.log_until("2000000 of 2000000 B sent");
}

#[test]
fn curl_fetches_what_has_changed() {
    if is_missing("curl") {
        return;
    }
    let scene = Scene::new();
    let url = scene.url("7.txt");
    let show = ["--fail", "-w", "%{http_code}"];
    let since = |date: SystemTime| {
        let date = httpdate::fmt_http_date(date);
        scene
            .curl(&[&show[..], &["-z", &date, &url]].concat())
            .text()
    };
    let day = Duration::from_secs(86_400);
    assert_eq!(since(SystemTime::now()), "304");
    assert_eq!(since(SystemTime::now() - day), "file 7\n200");
    let with_tag = [
        &show[..],
        &["--etag-save", "tag", "--etag-compare", "tag", &url],
    ]
    .concat();
    assert_eq!(scene.curl(&with_tag).text(), "file 7\n200");
    assert_eq!(scene.curl(&with_tag).text(), "304");
}

#[test]
fn curl_fetches_a_hundred_files_at_once() {
    if is_missing("curl") {
        return;
    }
    let scene = Scene::new();
    let url = scene.url("[0-99].txt");
    let at_once = ["--fail", "-Z", "--parallel-max", "20", "-O", &url];
    scene.curl(&at_once).expect_code(0);
    for number in 0..100 {
        let content = format!("file {number}\n").into_bytes();
        assert_eq!(scene.saved(&format!("{number}.txt")), content);
    }
    // One after the other, they come on one connection.
    let accepted = scene.node.stat("connections_accepted");
    scene.curl(&["--fail", "-o", "#1", &url]).expect_code(0);
    assert_eq!(scene.node.stat("connections_accepted"), accepted + 2);
}

#[test]
fn wget_fetches_and_resumes() {
    if is_missing("wget") {
        return;
    }
    let scene = Scene::new();
    let wget = |args: &[&str]| {
        let always = ["--no-config", "--tries=1", "--timeout=50"];
        scene.run("wget", &[&always, args].concat())
    };
    wget(&[&scene.url("7.txt")]).expect_code(0);
    assert_eq!(scene.saved("7.txt"), b"file 7\n");
    scene.begin_download("large.bin");
    let resumed = wget(&["-c", &scene.url("large.bin")]).expect_code(0);
    assert!(
        resumed.stderr.contains("206 Partial Content"),
        "{}",
        resumed.stderr
    );
    assert!(scene.saved("large.bin") == scene.large);
    // A complete file, again.
    let complete = wget(&["-c", &scene.url("large.bin")]).expect_code(0);
    assert!(complete.stderr.contains("416"), "{}", complete.stderr);
    assert!(scene.saved("large.bin") == scene.large);
    // An unchanged file is not fetched again.
    let again = wget(&["-N", &scene.url("7.txt")]).expect_code(0);
    assert!(again.stderr.contains("304"), "{}", again.stderr);
    // The text of an error is not saved as if it were the file.
    assert_eq!(wget(&[&scene.url("nothing")]).code, Some(8));
    assert!(!scene.target.path().join("nothing").exists());
    let from_relay = format!("http://{}/nothing", scene.relay.address());
    assert_eq!(wget(&[&from_relay]).code, Some(8));
}

#[test]
fn aria2c_fetches_parts_on_four_connections() {
    if is_missing("aria2c") {
        return;
    }
    let scene = Scene::new();
    let url = scene.url("large.bin");
    let four = [
        "--no-conf",
        "-q",
        "-x4",
        "-s4",
        "-k1M",
        "--file-allocation=none",
    ];
    scene
        .run("aria2c", &[&four[..], &[&url]].concat())
        .expect_code(0);
    assert!(scene.saved("large.bin") == scene.large);
    assert!(scene.node.stat("gets") > 1, "it comes in parts");
    let nothing = scene.url("nothing");
    let missing = scene.run("aria2c", &["--no-conf", "-q", &nothing]);
    assert_eq!(missing.code, Some(3), "there is no such resource");
}

/// Requests that are written before the first response is read, and requests one after the
/// other on one connection. The response to `HEAD` ends with its head.
const PYTHON: &str = r#"
import http.client, socket, sys
host, port = sys.argv[1], int(sys.argv[2])
connection = http.client.HTTPConnection(host, port, timeout=50)
for number in range(20):
    method = "HEAD" if number % 5 == 4 else "GET"
    connection.request(method, f"/{number}.txt")
    response = connection.getresponse()
    expected = b"" if method == "HEAD" else f"file {number}\n".encode()
    content = response.read()
    assert (response.status, content) == (200, expected), (number, response.status, content)
local = connection.sock.getsockname()
connection.request("GET", "/large.bin", headers={"Range": "bytes=10-19"})
part = connection.getresponse()
assert part.status == 206 and len(part.read()) == 10
assert connection.sock.getsockname() == local, "the connection was kept"
pipelined = socket.create_connection((host, port), timeout=50)
request = "GET /%d.txt HTTP/1.1\r\nHost: localhost\r\n\r\n"
pipelined.sendall("".join(request % number for number in range(100)).encode())
stream = pipelined.makefile("rb")
class Shared:
    def makefile(self, mode):
        return stream
stream.close, close = lambda: None, stream.close
for number in range(100):
    response = http.client.HTTPResponse(Shared(), method="GET")
    response.begin()
    content = response.read()
    assert (response.status, content) == (200, f"file {number}\n".encode()), (number, content)
print("complete")
"#;

#[test]
fn python_keeps_a_connection_and_pipelines() {
    if is_missing("python3") {
        return;
    }
    let scene = Scene::new();
    let address = scene.node.address();
    let (ip, port) = (address.ip().to_string(), address.port().to_string());
    let script = scene.run("python3", &["-c", PYTHON, &ip, &port]);
    assert_eq!(script.expect_code(0).text(), "complete\n");
}

#[test]
fn a_client_that_resumes_a_changed_file_fetches_all_of_it() {
    if is_missing("curl") {
        return;
    }
    let scene = Scene::new();
    let tag = http(scene.node.address(), "HEAD", "/large.bin", "");
    let tag = tag.header("etag").expect("a tag").to_owned();
    let if_range = format!("If-Range: {tag}");
    let url = scene.url("large.bin");
    let resume = ["--fail", "-r", "100-199", "-H", &if_range, &url];
    assert_eq!(scene.curl(&resume).stdout.len(), 100);
    let changed = noise(SIZE, 6);
    fs::write(scene.share.path().join("large.bin"), &changed).expect("a file");
    assert!(scene.curl(&resume).stdout == changed);
}
