//! The relay in HTTP: JSON for programs, and files from its nodes for curl, wget and aria2c.

use std::fs;
use std::path::Path;
use std::thread;

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::hashes::node;
use crate::support::{
    HttpResponse, Nc, Server, ask, eventually, folder, http, http_program, is_missing, noise, relay,
};

/// The addresses at which the files of these tests are said to be.
const NODE: &str = "127.0.0.1";
/// Two hashes.
pub const ONE: &str = "1111111111111111111111111111111111111111111111111111111111111111";
pub const TWO: &str = "2222222222222222222222222222222222222222222222222222222222222222";

/// Registers a node with this port and announces files for it, each as `size hash name`.
pub fn announce(relay: &Server, port: u16, files: &[&str]) {
    let shares = files.iter().map(|file| format!("SHARE {file}\n"));
    let lines = format!("REGISTER {NODE} {port}\n{}", shares.collect::<String>());
    let reply = ask(relay.address(), lines.as_bytes());
    assert_eq!(reply.matches("OK").count(), files.len() + 1, "{reply}");
}

/// The object at this address of the API.
#[track_caller]
fn api(relay: &Server, target: &str) -> Value {
    let response = http(relay.address(), "GET", target, "");
    assert_eq!(response.status, 200, "{target}: {}", response.text());
    assert_eq!(response.header("content-type"), Some("application/json"));
    serde_json::from_str(response.text()).expect("it is JSON")
}

#[track_caller]
fn names(page: &Value) -> Vec<&str> {
    let files = page["files"].as_array().expect("a list");
    let names = files.iter().map(|file| file["name"].as_str());
    names.map(|name| name.expect("a name")).collect()
}

#[test]
fn files_are_listed_page_by_page() {
    let relay = relay(&[]);
    announce(
        &relay,
        40_001,
        &[&format!("3 {ONE} a.txt"), "4 - b <\"&>.txt"],
    );
    announce(
        &relay,
        40_002,
        &[&format!("3 {ONE} a.txt"), "5 - dir/c.TXT"],
    );
    let all = api(&relay, "/api/files");
    let expected = json!({
        "total": 3,
        "files": [
            { "name": "a.txt", "size": 3, "hash": ONE, "holders": 2, "age": 0 },
            { "name": "b <\"&>.txt", "size": 4, "hash": null, "holders": 1, "age": 0 },
            { "name": "dir/c.TXT", "size": 5, "hash": null, "holders": 1, "age": 0 },
        ],
        "next": null,
    });
    assert_eq!(all, expected);
    let first = api(&relay, "/api/files?q=.txt&limit=2");
    assert_eq!(names(&first), ["a.txt", "b <\"&>.txt"]);
    assert_eq!(
        (&first["total"], &first["next"]),
        (&json!(3), &json!("b <\"&>.txt"))
    );
    let second = api(
        &relay,
        "/api/files?q=.txt&limit=2&after=b%20%3C%22%26%3E.txt",
    );
    assert_eq!(names(&second), ["dir/c.TXT"]);
    assert_eq!(
        (&second["total"], &second["next"]),
        (&json!(3), &json!(null))
    );
}

#[test]
fn a_search_takes_globs_as_the_client_does() {
    let relay = relay(&[]);
    let files = ["1 - a.txt", "1 - b.txt", "1 - dir/a.txt", "1 - x[1].txt"];
    announce(&relay, 40_001, &files);
    for (pattern, expected) in [
        ("*.txt", &["a.txt", "b.txt", "x[1].txt"][..]),
        ("?.txt", &["a.txt", "b.txt"]),
        ("**/a.*", &["a.txt", "dir/a.txt"]),
        ("**.txt", &["a.txt", "b.txt", "dir/a.txt", "x[1].txt"]),
        ("d**", &["dir/a.txt"]),
        ("%7Ba,b%7D.txt", &["a.txt", "b.txt"]),
        ("DIR", &["dir/a.txt"]),
        ("x%5B1", &["x[1].txt"]),
        ("*.TXT", &[]),
    ] {
        let page = api(&relay, &format!("/api/files?q={pattern}"));
        assert_eq!(names(&page), expected, "{pattern}");
        assert_eq!(page["total"], json!(expected.len()), "{pattern}");
        let first = api(&relay, &format!("/api/files?q={pattern}&limit=1"));
        let next = expected.first().filter(|_| expected.len() > 1);
        assert_eq!(first["next"], json!(next), "{pattern}");
    }
}

#[test]
fn a_glob_has_limits() {
    let relay = relay(&[]);
    announce(&relay, 40_001, &["1 - a"]);
    let nested = |depth| {
        let (open, close) = ("%7B".repeat(depth), "%7D".repeat(depth));
        api(&relay, &format!("/api/files?q={open}a{close}"))
    };
    assert_eq!(names(&nested(8)), ["a"]);
    for depth in [9, 100, 300, 1000] {
        assert_eq!(nested(depth)["total"], 0, "{depth}");
    }
    for length in [256, 257, 10_000] {
        let page = api(&relay, &format!("/api/files?q={}", "*".repeat(length)));
        let is_glob = length <= 256;
        assert_eq!(page["total"], u64::from(is_glob), "{length}");
    }
}

#[test]
fn nodes_are_listed_page_by_page() {
    let relay = relay(&[]);
    for port in 40_001..=40_005 {
        announce(&relay, port, &["1 - a", "2 - b"]);
    }
    let ports = |page: &Value| -> Vec<u64> {
        let nodes = page["nodes"].as_array().expect("a list").iter();
        nodes
            .map(|node| node["port"].as_u64().expect("a port"))
            .collect()
    };
    let first = api(&relay, "/api/nodes?limit=2");
    assert_eq!(ports(&first), [40_001, 40_002]);
    assert_eq!((&first["total"], &first["lease"]), (&json!(5), &json!(60)));
    assert_eq!(first["nodes"][0]["files"], 2);
    assert_eq!(first["nodes"][0]["ip"], NODE);
    let left = first["nodes"][0]["expires_in"].as_u64().expect("seconds");
    assert!((30..=60).contains(&left), "{left}");
    // The last node of the page leaves: its place in the order stays known.
    ask(
        relay.address(),
        format!("UNREGISTER {NODE} 40002\n").as_bytes(),
    );
    let next = first["next"].as_str().expect("another page");
    let second = api(&relay, &format!("/api/nodes?limit=2&after={next}"));
    assert_eq!(ports(&second), [40_003, 40_004]);
    let next = second["next"].as_str().expect("another page");
    let third = api(&relay, &format!("/api/nodes?limit=2&after={next}"));
    assert_eq!(ports(&third), [40_005]);
    assert_eq!(third["next"], Value::Null);
}

#[test]
fn holders_and_figures_are_objects() {
    let relay = relay(&[]);
    announce(&relay, 40_001, &[&format!("3 {ONE} a b.txt")]);
    announce(&relay, 40_002, &[&format!("4 {TWO} a b.txt")]);
    let holder = |port: u16, size: u64, hash: &str| {
        let url = format!("http://{NODE}:{port}/a%20b.txt");
        let sha256 = Value::Null;
        json!({
            "ip": NODE, "port": port, "size": size, "hash": hash, "id": null, "sha256": sha256, "url": url
        })
    };
    let (one, two) = (holder(40_001, 3, ONE), holder(40_002, 4, TWO));
    let found = api(&relay, "/api/holders/a%20b.txt");
    assert_eq!(found, json!({ "name": "a b.txt", "holders": [one, two] }));
    let found = api(&relay, "/api/holders/a%20b.txt");
    assert_eq!(
        found["holders"],
        json!([two, one]),
        "another one is the first"
    );
    for filter in [&format!("hash={TWO}"), "hash=22222222", "size=4"] {
        let found = api(&relay, &format!("/api/holders/a%20b.txt?{filter}"));
        assert_eq!(found["holders"], json!([two]), "{filter}");
    }
    let stats = api(&relay, "/api/stats");
    assert_eq!(
        (&stats["nodes"], &stats["names"], &stats["finds"]),
        (&json!(2), &json!(1), &json!(5))
    );
}

#[test]
fn malformed_requests_get_a_reason_as_json() {
    let relay = relay(&[]);
    announce(&relay, 40_001, &["3 - a.txt"]);
    for (target, status, reason) in [
        (
            "/api/files?limit=0",
            400,
            "limit must be a number from 1 to 1000",
        ),
        (
            "/api/files?limit=1001",
            400,
            "limit must be a number from 1 to 1000",
        ),
        (
            "/api/nodes?limit=x",
            400,
            "limit must be a number from 1 to 1000",
        ),
        (
            "/api/nodes?after=x",
            400,
            "after must be the value of next, from this relay since its start",
        ),
        // Of a relay that was started before.
        (
            "/api/nodes?after=1",
            400,
            "after must be the value of next, from this relay since its start",
        ),
        (
            "/api/nodes?after=9999999999",
            400,
            "after must be the value of next, from this relay since its start",
        ),
        (
            "/api/holders/../a",
            400,
            "a file name must be relative, and no part may be empty, . or ..",
        ),
        (
            "/api/holders/a.txt?hash=12",
            400,
            "hash must be 8 to 64 hexadecimal digits, or -",
        ),
        (
            "/api/holders/a.txt?size=x",
            400,
            "size must be a number of bytes",
        ),
        ("/api/holders/b.txt", 404, "no node has this file: b.txt"),
        (
            "/api/holders/a.txt?size=4",
            404,
            "no node has this file: a.txt",
        ),
        (
            "/api/other",
            404,
            "no such page (a file is at /files/NAME): /api/other",
        ),
    ] {
        let response = http(relay.address(), "GET", target, "");
        assert_eq!(response.status, status, "{target}");
        let object: Value = serde_json::from_str(response.text()).expect("it is JSON");
        assert_eq!(
            object,
            json!({ "code": status, "error": reason }),
            "{target}"
        );
    }
}

#[test]
fn a_file_is_at_a_holder_and_at_another_one_the_next_time() {
    let relay = relay(&[]);
    for port in 40_001..=40_003 {
        announce(&relay, port, &[&format!("3 {ONE} dir/a b.txt")]);
    }
    let mut locations = Vec::new();
    for method in ["GET", "HEAD", "GET"] {
        let found = http(relay.address(), method, "/files/dir/a%20b.txt", "");
        assert_eq!(found.status, 307);
        assert_eq!(found.header("etag"), Some(&*format!("\"{ONE}\"")));
        let location = found.header("location").expect("an address").to_owned();
        let mut all: Vec<String> = found
            .headers("link")
            .map(|link| {
                let url = link.strip_suffix(">; rel=duplicate").expect("a duplicate");
                url[1..].to_owned()
            })
            .chain([location.clone()])
            .collect();
        all.sort_unstable();
        let url = |port| format!("http://{NODE}:{port}/dir/a%20b.txt");
        assert_eq!(all, [40_001, 40_002, 40_003].map(url));
        locations.push(location);
    }
    locations.dedup();
    assert_eq!(locations.len(), 3, "{locations:?}");
}

#[test]
fn at_most_32_other_holders_of_the_same_content_are_named() {
    let relay = relay(&[]);
    for port in 40_001..40_050 {
        announce(&relay, port, &[&format!("3 {ONE} a"), "3 - unknown"]);
    }
    let found = http(relay.address(), "GET", "/files/a", "");
    assert_eq!(found.headers("link").count(), 32);
    // Nobody knows whether files without a hash are the same.
    let found = http(relay.address(), "GET", "/files/unknown", "");
    assert_eq!((found.status, found.headers("link").count()), (307, 0));
    assert_eq!(found.header("etag"), None);
    // 1,024 bytes, and each of them three times as long in an address.
    let long = "ü".repeat(512);
    for port in 40_001..40_010 {
        announce(&relay, port, &[&format!("3 {ONE} {long}")]);
    }
    let found = http(relay.address(), "GET", &format!("/files/{long}"), "");
    assert_eq!(found.headers("link").count(), 2);
}

#[test]
fn several_contents_are_a_choice() {
    let relay = relay(&[]);
    announce(
        &relay,
        40_001,
        &[&format!("3 {ONE} a"), "3 - b", &format!("3 {ONE} c")],
    );
    announce(&relay, 40_002, &[&format!("4 {TWO} a"), "4 - b", "4 - c"]);
    let json = "Accept: application/json\r\n";
    let found = http(relay.address(), "GET", "/files/a", json);
    assert_eq!(found.status, 300);
    assert_eq!(found.header("vary"), Some("Accept"));
    let object: Value = serde_json::from_str(found.text()).expect("it is JSON");
    let content = |size: u64, hash: &str| {
        let url = format!("/files/a?hash={}", &hash[..32]);
        json!({ "size": size, "hash": hash, "holders": 1, "url": url })
    };
    let contents = [content(3, ONE), content(4, TWO)];
    assert_eq!(object, json!({ "name": "a", "contents": contents }));
    // A program that saves what it gets fails.
    let found = http(relay.address(), "GET", "/files/a", "");
    assert_eq!(found.status, 409);
    assert!(
        found
            .text()
            .contains(&format!("/files/a?hash={}  4 bytes\n", &TWO[..32])),
        "{}",
        found.text()
    );
    let target = |chosen: &str| format!("/files/{chosen}");
    for (chosen, port) in [
        (format!("a?hash={TWO}"), 40_002),
        ("a?hash=11111111".to_owned(), 40_001),
        ("b?hash=-&size=4".to_owned(), 40_002),
        // Only one has a known hash.
        ("c".to_owned(), 40_001),
    ] {
        let found = http(relay.address(), "GET", &target(&chosen), "");
        assert_eq!(found.status, 307, "{chosen}");
        let location = found.header("location").expect("an address");
        assert!(
            location.starts_with(&format!("http://{NODE}:{port}/")),
            "{location}"
        );
    }
    let found = http(relay.address(), "GET", "/files/b", json);
    let object: Value = serde_json::from_str(found.text()).expect("it is JSON");
    assert_eq!(object["contents"][1]["url"], "/files/b?hash=-&size=4");
    let found = http(relay.address(), "GET", "/metalink/a.meta4", json);
    let object: Value = serde_json::from_str(found.text()).expect("it is JSON");
    assert_eq!(
        object["contents"][0]["url"],
        format!("/metalink/a.meta4?hash={}", &ONE[..32])
    );
}

#[test]
fn a_metalink_names_all_holders_of_one_content() {
    let relay = relay(&[]);
    for port in 40_001..=40_003 {
        announce(
            &relay,
            port,
            &[&format!("3 {ONE} d/<a> & \"b\""), "5 - unknown"],
        );
    }
    let target = "/metalink/d/%3Ca%3E%20&%20%22b%22.meta4";
    let found = http(relay.address(), "GET", target, "");
    assert_eq!(found.status, 200);
    assert_eq!(
        found.header("content-type"),
        Some("application/metalink4+xml")
    );
    let xml = found.text();
    let file = "<file name=\"&#60;a&#62; &#38; &#34;b&#34;\">\n<size>3</size>\n";
    assert!(xml.contains(file), "{xml}");
    for port in 40_001..=40_003 {
        let url = format!("<url>http://{NODE}:{port}/d/%3Ca%3E%20%26%20%22b%22</url>\n");
        assert!(xml.contains(&url), "{xml}");
    }
    let found = http(relay.address(), "GET", "/metalink/unknown.meta4", "");
    assert_eq!(found.text().matches("<url>").count(), 1, "{}", found.text());
    let found = http(relay.address(), "GET", "/metalink/other.meta4", "");
    assert_eq!(found.status, 404);
}

/// Names that are awkward in HTML, in links and in a shell, with their links.
const AWKWARD: [(&str, &str, &str); 6] = [
    ("a b.txt", "a%20b.txt", "a b.txt"),
    (
        "<script>alert(1)<_script>/x",
        "%3Cscript%3Ealert%281%29%3C_script%3E/x",
        "&#60;script&#62;alert(1)&#60;_script&#62;/x",
    ),
    (
        "it's \"x\" &amp.txt",
        "it%27s%20%22x%22%20%26amp.txt",
        "it&#39;s &#34;x&#34; &#38;amp.txt",
    ),
    ("100%.txt", "100%25.txt", "100%.txt"),
    ("a?b#c:d+e.txt", "a%3Fb%23c%3Ad%2Be.txt", "a?b#c:d+e.txt"),
    (
        "größe 日本.txt",
        "gr%C3%B6%C3%9Fe%20%E6%97%A5%E6%9C%AC.txt",
        "größe 日本.txt",
    ),
];

/// The addresses in the links of a page.
pub fn links(page: &str) -> Vec<String> {
    let links = page.split("href=\"").skip(1);
    let link = |rest: &str| {
        rest.split('"')
            .next()
            .expect("its end")
            .replace("&#38;", "&")
    };
    links.map(link).collect()
}

#[test]
fn the_page_of_the_network_shows_how_to_fetch_each_file() {
    let relay = relay(&[]);
    let shares = AWKWARD.map(|(name, ..)| format!("3 {ONE} {name}"));
    announce(&relay, 40_001, &shares.each_ref().map(String::as_str));
    let page = http(relay.address(), "GET", "/", "");
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    let text = page.text();
    assert!(
        text.contains("6 files") && text.contains(">1 node<"),
        "{text}"
    );
    for (name, link, shown) in AWKWARD {
        assert!(
            text.contains(&format!("<a href=\"/files/{link}\">{shown}</a>")),
            "{text}"
        );
        let found = http(relay.address(), "GET", &format!("/files/{link}"), "");
        let url = format!("http://{NODE}:40001/{link}");
        assert_eq!(found.header("location"), Some(url.as_str()), "{name}");
    }
    assert!(
        text.contains("peer-client localhost 80 get -d . &#39;a b.txt&#39;"),
        "{text}"
    );
    assert!(
        text.contains("printf &#39;FIND 100%%.txt\\n&#39; | nc -N localhost 80"),
        "{text}"
    );
    for link in links(text).iter().filter(|link| link.starts_with('/')) {
        let found = http(relay.address(), "GET", link, "");
        assert!(
            matches!(found.status, 200 | 307),
            "{link}: {}",
            found.status
        );
    }
}

#[test]
fn the_page_of_the_network_is_searched_and_paged() {
    let relay = relay(&[]);
    let shares: Vec<String> = (0..120)
        .map(|number| format!("1 - dir/n&{number:03}.txt"))
        .collect();
    let shares: Vec<&str> = shares
        .iter()
        .map(String::as_str)
        .chain(["2 - other"])
        .collect();
    announce(&relay, 40_001, &shares);
    let rows = |text: &str| text.matches("<a href=\"/files/").count();
    for (target, counts, total) in [
        ("/", &[50, 50, 21][..], "121 files"),
        ("/?q=n%260", &[50, 50], "more than 50 files"),
        ("/?q=N%261", &[20], "20 files"),
        ("/?q=dir/*7.txt", &[12], "12 files"),
        ("/?q=*7.txt", &[0], "0 files"),
    ] {
        let mut next = Some(target.to_owned());
        for (number, count) in counts.iter().enumerate() {
            let page = http(relay.address(), "GET", &next.expect("another page"), "");
            let text = page.text();
            assert_eq!(rows(text), *count, "{target}");
            assert!(number > 0 || text.contains(total), "{target}: {text}");
            assert_eq!(text.contains("First page"), number > 0, "{target}");
            // With the style sheet and the script.
            assert!(text.len() < 30 * 1024, "{target}: {} bytes", text.len());
            let link = links(text).into_iter().next_back();
            next = link.filter(|link| link.contains("after="));
        }
        assert_eq!(next, None, "{target}");
    }
}

#[test]
fn nodes_and_holders_have_pages() {
    let relay = relay(&[]);
    announce(&relay, 40_001, &[&format!("3 {ONE} a b.txt"), "1 - c"]);
    announce(&relay, 40_002, &[&format!("4 {TWO} a b.txt")]);
    ask(relay.address(), b"REGISTER 2001:db8::1 40003\n");
    let nodes = http(relay.address(), "GET", "/nodes", "");
    for row in [
        "<a href=\"http://127.0.0.1:40001/\">127.0.0.1:40001</a><td>2<td>",
        "<a href=\"http://[2001:db8::1]:40003/\">[2001:db8::1]:40003</a><td>0<td>",
    ] {
        assert!(nodes.text().contains(row), "{}", nodes.text());
    }
    let html = "Accept: text/html\r\n";
    for path in ["files", "holders"] {
        let choice = http(relay.address(), "GET", &format!("/{path}/a%20b.txt"), html);
        assert_eq!(choice.status, 300);
        assert!(choice.headers("vary").any(|value| value == "Accept"));
        let link = format!("<a href=\"/{path}/a%20b.txt?hash={}\" ", &TWO[..32]);
        assert!(choice.text().contains(&link), "{}", choice.text());
    }
    let target = "/holders/a%20b.txt?hash=22222222";
    let holders = http(relay.address(), "GET", target, html);
    let text = holders.text();
    for command in [
        "peer-client localhost 80 get -d . --hash 22222222222222222222222222222222 &#39;a b.txt&#39;",
        "curl --no-clobber -Lo &#39;./a b.txt&#39; &#39;http://localhost/files/a%20b.txt?hash=22222222222222222222222222222222&#39;",
        "aria2c &#39;http://localhost/metalink/a%20b.txt.meta4?hash=22222222222222222222222222222222&#39;",
        "printf &#39;FIND a b.txt\\n&#39; | nc -N localhost 80",
        "printf &#39;GET a b.txt\\n&#39; | nc -N 127.0.0.1 40002",
    ] {
        assert!(text.contains(command), "{text}");
    }
    assert!(!text.contains("40001"), "{text}");
    let listed = http(relay.address(), "GET", "/", "");
    let row = format!("<a href=\"/files/a%20b.txt?hash={}\">", &ONE[..32]);
    assert!(listed.text().contains(&row), "{}", listed.text());
    for page in [nodes.text(), text, listed.text()] {
        assert!(
            !page.contains("src=\"http") && !page.contains("url("),
            "{page}"
        );
    }
}

#[test]
fn copied_commands_overwrite_nothing() {
    let relay = relay(&[]);
    announce(&relay, 40_001, &["1 - .bashrc", "1 - d/-f", "1 - *"]);
    let page = |name: &str| http(relay.address(), "GET", &format!("/holders/{name}"), "");
    let hidden = page(".bashrc");
    let text = hidden.text();
    for command in ["get -d .", "curl", "aria2c"] {
        assert!(!text.contains(command), "{text}");
    }
    let dash = page("d/-f");
    assert!(dash.text().contains("-Lo ./-f http"), "{}", dash.text());
    let star = page("*");
    let get = r"get -d . &#39;\*&#39;<";
    assert!(star.text().contains(get), "{}", star.text());
}

#[test]
fn a_content_is_found_among_many_holders_of_others() {
    let relay = relay(&[]);
    let holders = (1..=1100).map(|port| format!("REGISTER {NODE} {port}\nSHARE 1 {ONE} a\n"));
    ask(relay.address(), holders.collect::<String>().as_bytes());
    announce(&relay, 40_001, &[&format!("2 {TWO} a")]);
    for filter in ["hash=22222222", "size=2"] {
        let page = api(&relay, &format!("/api/holders/a?{filter}"));
        assert_eq!(page["holders"][0]["port"], 40_001, "{filter}");
    }
    let redirect = http(relay.address(), "GET", "/files/a?hash=22222222", "");
    assert_eq!(redirect.status, 307);
}

#[test]
fn metrics_are_for_trusted_clients() {
    let relay = relay(&["--trust", "10.0.0.0/8"]);
    let metrics = http(relay.address(), "GET", "/metrics", "");
    assert_eq!(metrics.status, 403, "{}", metrics.text());
}

#[test]
fn the_connections_are_shown_to_trusted_clients() {
    let trusting = relay(&[]);
    let mut other = Nc::connect(trusting.address());
    assert_eq!(other.ask("PING"), "PONG");
    let port = other.local().port();
    let mut nc = Nc::connect(trusting.address());
    // The second request is answered after the list, on the same connection.
    nc.send("GET /api/connections HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(2));
    for _ in 0..2 {
        let list = HttpResponse::read(&mut nc, false);
        assert_eq!(list.header("content-type"), Some("application/json"));
        let list: Value = serde_json::from_str(list.text()).expect("it is JSON");
        assert_eq!(list["total"], 2);
        let connections = list["connections"].as_array().expect("a list");
        let of_other = connections.iter().find(|item| item["port"] == port);
        let of_other = of_other.expect("the other connection");
        assert_eq!(
            (&of_other["verb"], &of_other["ip"]),
            (&json!("PING"), &json!(NODE))
        );
        assert_eq!(
            (&of_other["bytes_in"], &of_other["bytes_out"]),
            (&json!(5), &json!(5))
        );
    }
    let page = http(trusting.address(), "GET", "/connections", "");
    let row = format!("<tr><td>127.0.0.1:{port}<td>");
    assert!(page.text().contains(&row), "{}", page.text());
    // The connection that asks is younger than a second.
    assert!(
        page.text().contains("B/s<td>CONNECTIONS"),
        "{}",
        page.text()
    );
    assert!(!page.text().contains("GB/s"), "{}", page.text());
    let closing = "Connection: close\r\n";
    let page = http(trusting.address(), "GET", "/connections", closing);
    assert_eq!(page.header("connection"), Some("close"));
    let start = http(trusting.address(), "GET", "/", "");
    assert!(start.text().contains("href=\"/connections\""));

    let untrusting = relay(&["--trust", "10.0.0.0/8"]);
    for path in ["/connections", "/api/connections"] {
        let refused = http(untrusting.address(), "GET", path, "");
        assert_eq!(refused.status, 403);
    }
    let start = http(untrusting.address(), "GET", "/", "");
    assert!(!start.text().contains("/connections"));
}

/// A value of the metrics.
fn metric(text: &str, name: &str) -> f64 {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let value = line.unwrap_or_else(|| panic!("no {name} in {text}"));
    value.parse().expect("a number")
}

#[test]
fn metrics_are_what_stats_knows_and_the_times_of_answers() {
    let relay = relay(&[]);
    announce(&relay, 40_001, &["3 - a", "4 - b"]);
    ask(relay.address(), b"PING\nPING\nPING\n");
    let found = http(relay.address(), "GET", "/metrics", "");
    assert_eq!(
        found.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let text = found.text();
    assert_eq!(metric(text, "peerline_relay_names"), 2.0);
    assert_eq!(metric(text, "peerline_relay_registrations_total"), 1.0);
    let stats = ask(relay.address(), b"STATS\n");
    for line in stats.lines().skip(1) {
        let name = line.split(' ').next().expect("a name");
        assert!(text.contains(&format!("\npeerline_relay_{name}")), "{name}");
    }
    // Three lines to register and announce, and three PING.
    assert_eq!(metric(text, "peerline_relay_answer_seconds_count"), 6.0);
    assert_eq!(
        metric(text, "peerline_relay_answer_seconds_bucket{le=\"+Inf\"}"),
        6.0
    );
    assert!(metric(text, "peerline_relay_answer_seconds_sum") > 0.0);
}

/// Three nodes with the same large file, whose hash the relay knows.
struct Network {
    relay: Server,
    nodes: [Server; 3],
    content: Vec<u8>,
    _shares: Vec<TempDir>,
}

const SIZE: usize = 8 << 20;

fn network() -> Network {
    let content = noise(SIZE, 8);
    let relay = relay(&[]);
    let shares: Vec<_> = (0..3)
        .map(|_| folder(&[("big file.iso", &content)]))
        .collect();
    let nodes =
        [0, 1, 2].map(|number: usize| node(&relay, shares[number].path(), &["--no-hash-cache"]));
    eventually("three nodes with a hash", || {
        let found = ask(relay.address(), b"FIND big file.iso\n");
        found.starts_with("HOLDERS 3\n") && !found.contains(" -\n")
    });
    Network {
        relay,
        nodes,
        content,
        _shares: shares,
    }
}

impl Network {
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.relay.address())
    }

    #[track_caller]
    fn assert_whole(&self, folder: &Path) {
        let found = fs::read(folder.join("big file.iso")).expect("the file is there");
        assert!(found == self.content, "{} bytes", found.len());
    }
}

#[test]
fn curl_and_wget_fetch_and_resume() {
    if is_missing("curl") || is_missing("wget") {
        return;
    }
    let network = network();
    let url = network.url("/files/big%20file.iso");
    let target = folder(&[]);
    http_program("curl", target.path(), &["-fsSLO", "--remote-name", &url]).expect_code(0);
    let saved = target.path().join("big%20file.iso");
    assert!(fs::read(&saved).expect("a file") == network.content);
    for args in [
        &["-fsSL", "-C", "-", "-o", "big file.iso"][..],
        &["-q", "-c"],
    ] {
        fs::write(
            target.path().join("big file.iso"),
            &network.content[..SIZE / 3],
        )
        .expect("a file");
        let name = if args[0] == "-q" { "wget" } else { "curl" };
        let args: Vec<&str> = args.iter().copied().chain([url.as_str()]).collect();
        http_program(name, target.path(), &args).expect_code(0);
        network.assert_whole(target.path());
    }
}

#[test]
fn a_choice_is_not_saved_as_if_it_were_the_file() {
    if is_missing("curl") || is_missing("wget") || is_missing("aria2c") {
        return;
    }
    let relay = relay(&[]);
    announce(&relay, 40_001, &[&format!("3 {ONE} a")]);
    announce(&relay, 40_002, &[&format!("4 {TWO} a")]);
    let url = format!("http://{}/files/a", relay.address());
    let target = folder(&[]);
    assert_ne!(
        http_program("wget", target.path(), &["-q", &url]).code,
        Some(0)
    );
    assert_ne!(
        http_program("curl", target.path(), &["-fsSLO", &url]).code,
        Some(0)
    );
    assert_ne!(
        http_program("aria2c", target.path(), &["-q", &url]).code,
        Some(0)
    );
    assert!(!target.path().join("a").exists());
}

/// Without a limit, the first node would send all before the others are asked. All nodes are
/// one server for aria2c: they have one address.
const LIMITED: [&str; 4] = [
    "--max-connection-per-server=4",
    "--max-overall-download-limit=6M",
    "--min-split-size=1M",
    "--split=4",
];

/// The number of nodes that have sent content.
fn sending_nodes(network: &Network) -> usize {
    let nodes = network.nodes.iter();
    nodes
        .filter(|node| node.stat("bytes_out") > 1 << 20)
        .count()
}

#[test]
fn aria2c_downloads_from_three_nodes_at_once() {
    if is_missing("aria2c") {
        return;
    }
    let network = network();
    // A fourth holder is gone, but its lease lasts.
    let hash = blake3::hash(&network.content).to_hex();
    announce(&network.relay, 1, &[&format!("{SIZE} {hash} big file.iso")]);
    let target = folder(&[]);
    let url = network.url("/metalink/big%20file.iso.meta4");
    let args = [&LIMITED[..], &["-q", &url]].concat();
    http_program("aria2c", target.path(), &args).expect_code(0);
    network.assert_whole(target.path());
    assert_eq!(sending_nodes(&network), 3);
}

#[test]
fn aria2c_completes_a_file_when_a_node_dies() {
    if is_missing("aria2c") {
        return;
    }
    let network = network();
    let target = folder(&[]);
    let url = network.url("/metalink/big%20file.iso.meta4");
    let args = [&LIMITED[..], &["-q", &url]].concat();
    let folder = target.path();
    thread::scope(|scope| {
        let download = scope.spawn(|| http_program("aria2c", folder, &args));
        let node = &network.nodes[0];
        eventually("the node sends", || {
            assert!(!download.is_finished(), "aria2c ended too early");
            node.stat("bytes_out") > 64 << 10
        });
        node.signal(Signal::KILL);
        download.join().expect("it runs").expect_code(0);
    });
    network.assert_whole(folder);
}
