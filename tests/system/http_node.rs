//! The pages of a node: folders, searches, archives.

use std::fs::File;
use std::io::Read;
use std::time::{Duration, UNIX_EPOCH};

use crate::support::{HttpResponse, Nc, folder, folder_of_names, http, node_with_relay};

/// Names that are awkward in HTML and in links, with their links.
const AWKWARD: [(&str, &str, &str); 6] = [
    ("a b.txt", "a%20b.txt", "a b.txt"),
    (
        "<script>alert(1)</script>.html/x",
        "%3Cscript%3Ealert%281%29%3C/",
        "&#60;script&#62;alert(1)&#60;/",
    ),
    (
        "quote's \"and\" &amp.txt",
        "quote%27s%20%22and%22%20%26amp.txt",
        "quote&#39;s &#34;and&#34; &#38;amp.txt",
    ),
    ("100%.txt", "100%25.txt", "100%.txt"),
    ("a?b#c:d.txt", "a%3Fb%23c%3Ad.txt", "a?b#c:d.txt"),
    (
        "größe 日本.txt",
        "gr%C3%B6%C3%9Fe%20%E6%97%A5%E6%9C%AC.txt",
        "größe 日本.txt",
    ),
];

#[test]
fn a_page_lists_a_folder_and_its_links_lead_to_the_files() {
    let files: Vec<_> = AWKWARD
        .iter()
        .map(|(name, ..)| (*name, &b"content"[..]))
        .collect();
    let share = folder(&files);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let page = http(node.address(), "GET", "/", "");
    assert_eq!(page.status, 200);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(
        policy.starts_with("default-src 'none'; style-src 'self'"),
        "{policy}"
    );
    for (_, link, shown) in AWKWARD {
        let link_tag = format!("href=\"{link}\">{shown}</a>");
        assert!(
            page.text().contains(&link_tag),
            "{link_tag}: {}",
            page.text()
        );
        let found = http(node.address(), "GET", &format!("/{link}"), "");
        assert_eq!(found.status, 200, "{link}");
    }
}

#[test]
fn a_folder_has_one_address_and_an_unknown_one_is_not_found() {
    let share = folder(&[("a/b c/d.txt", b"1"), ("a/e", b"2")]);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let moved = http(node.address(), "GET", "/a/b%20c?sort=size", "");
    assert_eq!(moved.status, 301);
    assert_eq!(moved.header("location"), Some("/a/b%20c/?sort=size"));
    let page = http(node.address(), "GET", "/a/b%20c/", "");
    assert!(
        page.text().contains("<a href=\"/a/b%20c/\">b c</a>"),
        "{}",
        page.text()
    );
    for unknown in ["/b/", "/a/b/", "/a/e/", "/a//", "//", "/../", "/a/./"] {
        let response = http(node.address(), "GET", unknown, "");
        assert!(
            response.status == 404 && response.keeps_alive(),
            "{unknown}"
        );
    }
}

#[test]
fn a_folder_is_listed_as_json() {
    let share = folder(&[("x/small", b"1"), ("x/\"large\"", b"22"), ("x/y/z", b"3")]);
    for (name, time) in [("x/small", 7), ("x/\"large\"", 8)] {
        let file = File::open(share.path().join(name)).expect("a file");
        let time = UNIX_EPOCH + Duration::from_secs(time);
        file.set_modified(time).expect("a time");
    }
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let list = http(node.address(), "GET", "/x/?json", "");
    assert_eq!(list.header("content-type"), Some("application/json"));
    assert_eq!(
        list.text(),
        "{\"entries\":[\
         {\"hash\":null,\"mtime\":8,\"name\":\"\\\"large\\\"\",\"size\":2,\"type\":\"file\"},\
         {\"hash\":null,\"mtime\":7,\"name\":\"small\",\"size\":1,\"type\":\"file\"},\
         {\"name\":\"y\",\"type\":\"folder\"}],\
         \"folder\":\"x/\",\"next\":null}\n"
    );
}

#[test]
fn files_that_lines_do_not_list_are_on_no_page() {
    let share = folder(&[("a", b"1"), (".hidden", b"2"), (".git/config", b"3")]);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let page = http(node.address(), "GET", "/", "");
    assert!(page.text().contains("1 file<"), "{}", page.text());
    assert_eq!(http(node.address(), "GET", "/.git/", "").status, 404);
    assert_eq!(http(node.address(), "GET", "/.git", "").status, 404);
}

#[test]
fn a_long_folder_has_pages_and_an_empty_share_has_one() {
    let names: Vec<String> = (0..1203).map(|number| format!("{number:04}")).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    let share = folder(&files);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let (mut listed, mut query) = (Vec::new(), Some("?json".to_owned()));
    while let Some(page) = query.take() {
        let page = http(node.address(), "GET", &format!("/{page}"), "");
        let page: serde_json::Value = serde_json::from_str(page.text()).expect("JSON");
        let entries = page["entries"].as_array().expect("entries").iter();
        listed.extend(entries.map(|entry| entry["name"].as_str().expect("a name").to_owned()));
        query = page["next"]
            .as_str()
            .map(|next| format!("?json&after={next}"));
    }
    assert_eq!(listed, names);
    let last = http(node.address(), "GET", "/?page=99", "");
    assert!(last.text().contains("1202") && !last.text().contains("0000"));
    let share = folder(&[]);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let page = http(node.address(), "GET", "/", "");
    assert!(
        page.text().contains("Nothing is shared yet"),
        "{}",
        page.text()
    );
}

#[test]
fn the_files_of_the_pages_are_stored_by_browsers_and_clash_with_no_name() {
    let share = folder(&[("style.css", b"shared"), ("script.js", b"shared")]);
    let (node, relay) = node_with_relay(share.path(), &[]);
    let page = http(node.address(), "GET", "/", "");
    let links: Vec<&str> = page
        .text()
        .split('"')
        .filter(|link| link.starts_with("/?"))
        .collect();
    assert_eq!(links.len(), 2, "{links:?}");
    for link in links {
        for server in [&node, &relay] {
            let asset = http(server.address(), "GET", link, "");
            assert_eq!(asset.status, 200, "{link}");
            let cache = asset.header("cache-control");
            assert_eq!(cache, Some("public, max-age=31536000, immutable"));
            let tag = asset.header("etag").expect("a tag");
            let condition = format!("If-None-Match: {tag}\r\n");
            let known = http(server.address(), "GET", link, &condition);
            assert_eq!((known.status, known.content.len()), (304, 0));
        }
        let older = format!("{}0", &link[..link.len() - 1]);
        let asset = http(node.address(), "GET", &older, "");
        let cache = asset.header("cache-control");
        assert!(cache == Some("no-cache") || older == link, "{cache:?}");
    }
    let shared = http(node.address(), "GET", "/style.css", "");
    assert_eq!(shared.text(), "shared");
}

#[test]
fn a_search_finds_names_in_all_folders_whatever_their_case() {
    let share = folder(&[
        ("a/b/Sommer 2025.txt", b"1"),
        ("sommer?.txt", b"2"),
        ("GRÖSSE.txt", b"3"),
        ("winter.txt", b"4"),
    ]);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let found = |query: &str| {
        let list = http(node.address(), "GET", &format!("/?json&search={query}"), "");
        let list: serde_json::Value = serde_json::from_str(list.text()).expect("JSON");
        let entries = list["entries"].as_array().expect("entries").iter();
        let names = entries.map(|entry| entry["name"].as_str().expect("a name").to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(found("SOMMER"), ["a/b/Sommer 2025.txt", "sommer?.txt"]);
    assert_eq!(found("r+2025"), ["a/b/Sommer 2025.txt"]);
    assert_eq!(found("gr%C3%B6%C3%9Fe"), ["GRÖSSE.txt"]);
    assert!(found("summer").is_empty());
    let page = http(node.address(), "GET", "/?search=sommer%3F", "");
    let link = "<a href=\"/sommer%3F.txt\">sommer?.txt</a>";
    assert!(page.text().contains(link), "{}", page.text());
    // The same at a folder's address is its list.
    let list = http(node.address(), "GET", "/a/?search=sommer&json", "");
    assert!(list.text().contains("\"folder\":\"a/\""), "{}", list.text());
    let head = http(node.address(), "HEAD", "/?search=sommer", "");
    assert_eq!((head.status, head.content.len()), (200, 0));
}

#[test]
fn searches_of_several_turns_have_pages_and_answers_in_order() {
    let names: Vec<String> = (0..5000).map(|number| format!("{number:04} x")).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    let share = folder(&files);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let mut nc = Nc::connect(node.address());
    // Both answers come in their order, and so do searches that take several turns.
    let request = "/?search=X&json HTTP/1.1\r\nHost: localhost\r\n\r\n";
    nc.send(format!(
        "GET {request}GET /?search=4999&json{}",
        &request[15..]
    ));
    let first = HttpResponse::read(&mut nc, false);
    let second = HttpResponse::read(&mut nc, false);
    assert!(second.text().contains("\"4999 x\""), "{}", second.text());
    let (mut listed, mut page) = (0, first);
    loop {
        let list: serde_json::Value = serde_json::from_str(page.text()).expect("JSON");
        listed += list["entries"].as_array().expect("entries").len();
        let Some(next) = list["next"].as_str() else {
            break;
        };
        let next = format!("/?json&search=X&after={}", next.replace(' ', "+"));
        page = http(node.address(), "GET", &next, "");
    }
    assert_eq!(listed, names.len());
}

#[test]
fn an_address_is_shown_as_a_qr_code() {
    let long = format!("{}/{}", "x".repeat(150), "y".repeat(150));
    let share = folder(&[("a/b", b"1"), (&format!("{long}/b"), b"1")]);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let page = http(node.address(), "GET", "/a/", "");
    assert!(page.text().contains("src=\"?qr\""), "{}", page.text());
    // Without a scheme: the browser knows whether the connection is encrypted.
    let link = "<a href=\"/a/\" data-copy>";
    assert!(page.text().contains(link), "{}", page.text());
    let picture = http(node.address(), "GET", "/a/?qr", "");
    assert_eq!(picture.header("content-type"), Some("image/svg+xml"));
    assert!(picture.text().starts_with("<svg "), "{}", picture.text());
    // Not of an address that is too long.
    let target = format!("/{long}/");
    let page = http(node.address(), "GET", &target, "");
    let page = page.text();
    assert!(page.contains(">b</a>") && !page.contains("?qr"), "{page}");
    let picture = http(node.address(), "GET", &format!("{target}?qr"), "");
    assert_eq!(picture.status, 404);
}

/// A folder that is too long to be sorted is listed in the order of the names, its
/// sub-folders among the files.
#[test]
fn a_very_long_folder_is_listed_without_sorting() {
    let names: Vec<String> = (0..4001)
        .map(|number| match number % 1000 {
            7 => format!("long/{number:05}/inner/file"),
            _ => format!("long/{number:05}"),
        })
        .collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    let share = folder(&files);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let (mut listed, mut folders, mut query) = (Vec::new(), 0, Some("?sort=size&json".to_owned()));
    while let Some(page) = query.take() {
        let page = http(node.address(), "GET", &format!("/long/{page}"), "");
        let page: serde_json::Value = serde_json::from_str(page.text()).expect("JSON");
        for entry in page["entries"].as_array().expect("entries") {
            listed.push(entry["name"].as_str().expect("a name").to_owned());
            folders += usize::from(entry["type"] == "folder");
        }
        query = page["next"]
            .as_str()
            .map(|next| format!("?json&after={next}"));
    }
    let expected: Vec<String> = (0..4001).map(|number| format!("{number:05}")).collect();
    assert_eq!((listed, folders), (expected, 4));
    let page = http(node.address(), "GET", "/long/", "");
    assert!(!page.text().contains("?sort="), "{}", page.text());
    assert!(page.text().contains("?after=00499"), "{}", page.text());
    let page = http(node.address(), "GET", "/long/?after=00499", "");
    let has = |name: &str| page.text().contains(&format!("\"{name}\""));
    assert!(!has("00499") && has("00500") && has("00999"));
}

#[test]
fn folders_are_before_files_and_files_are_sorted_as_the_reader_wants() {
    let share = folder(&[
        ("b", b"22"),
        ("A", b"333"),
        ("c", b"1"),
        ("Z/file", b""),
        ("y/file", b""),
    ]);
    for (name, time) in [("A", 8), ("b", 9), ("c", 7)] {
        let file = File::open(share.path().join(name)).expect("a file");
        let time = UNIX_EPOCH + Duration::from_secs(time);
        file.set_modified(time).expect("a time");
    }
    let (node, _relay) = node_with_relay(share.path(), &[]);
    for (query, names) in [
        ("", "y/ Z/ A b c"),
        ("?sort=name&order=desc", "Z/ y/ c b A"),
        ("?sort=size", "y/ Z/ c b A"),
        ("?sort=size&order=desc", "y/ Z/ A b c"),
        ("?sort=date", "y/ Z/ c A b"),
        ("?sort=date&order=desc", "y/ Z/ b A c"),
        ("?sort=nonsense&page=nonsense", "y/ Z/ A b c"),
    ] {
        let page = http(node.address(), "GET", &format!("/{query}"), "");
        let rows = page.text().split("<tr><td>").skip(1);
        let name = |row: &str| Some(row.split("</a>").next()?.rsplit('>').next()?.to_owned());
        let listed: Vec<String> = rows.filter_map(name).collect();
        assert_eq!(listed.join(" "), names, "{query}");
    }
}

/// The style sheet and the script are loaded once.
#[test]
fn a_page_of_500_files_has_less_than_30_kib_with_all_that_it_loads() {
    let share = folder_of_names((0..600).map(|number| format!("holiday picture {number:04}.jpg")));
    let (node, _relay) = node_with_relay(share.path(), &["--no-hash-cache"]);
    let browser = "Accept: text/html\r\nAccept-Encoding: gzip, deflate\r\n";
    let get = |target: &str, headers| http(node.address(), "GET", target, headers);
    let plain = get("/", "");
    assert!(plain.header("content-encoding").is_none());
    assert_eq!(plain.text().matches("<tr><td>").count(), 500);
    let page = get("/", browser);
    assert_eq!(page.header("content-encoding"), Some("gzip"));
    assert_eq!(page.header("vary"), Some("Accept-Encoding"));
    let mut unpacked = Vec::new();
    let mut decoder = flate2::read::GzDecoder::new(page.content.as_slice());
    decoder.read_to_end(&mut unpacked).expect("a gzip stream");
    assert!(unpacked.ends_with(b"</html>") && unpacked.len() > 40_000);
    let links = plain.text().split('"');
    let links = links.filter(|link| link.starts_with("/?") || *link == "?qr");
    let load = |link: &str| get(&format!("/{}", link.trim_start_matches('/')), browser);
    let assets: usize = links.map(|link| load(link).content.len()).sum();
    assert!(
        assets > 0 && page.content.len() + assets < 30 * 1024,
        "{assets}"
    );
    for refused in ["gzip;q=0", "br", "identity", "xgzip"] {
        let header = format!("Accept-Encoding: {refused}\r\n");
        let page = http(node.address(), "GET", "/", &header);
        assert!(page.header("content-encoding").is_none(), "{refused}");
    }
}

#[test]
fn the_connections_are_shown_as_a_page_and_as_json() {
    let share = folder(&[("a", b"1")]);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let mut other = Nc::connect(node.address());
    other.send("HEAD /a HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(HttpResponse::read(&mut other, true).status, 200);
    let port = other.local().port();
    let mut nc = Nc::connect(node.address());
    let head = "GET /?connections&json HTTP/1.1\r\nHost: localhost\r\n\r\n";
    // The second request is answered after the list, on the same connection.
    nc.send(head.repeat(2));
    for _ in 0..2 {
        let list = HttpResponse::read(&mut nc, false);
        let list: serde_json::Value = serde_json::from_str(list.text()).expect("JSON");
        assert_eq!(list["total"], 2);
        let connections = list["connections"].as_array().expect("a list");
        let of_other = connections.iter().find(|item| item["port"] == port);
        let of_other = of_other.expect("the other connection");
        assert_eq!(
            (&of_other["ip"], &of_other["verb"]),
            (&"127.0.0.1".into(), &"HEAD".into())
        );
    }
    let page = http(node.address(), "GET", "/?connections", "");
    assert_eq!(page.status, 200);
    let row = format!("<tr><td>127.0.0.1:{port}<td>");
    assert!(page.text().contains(&row), "{}", page.text());
    assert!(page.text().contains("<a href=\"/?connections\">"));
    drop(other);
    let log = node.log_until("1 request, last HEAD");
    assert!(log.contains(" ms, end of input: a\n"), "{log}");
}

#[test]
fn figures_are_given_as_json_and_as_metrics() {
    let share = folder(&[("a", b"1")]);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let stats = http(node.address(), "GET", "/?stats", "");
    let stats: serde_json::Value = serde_json::from_str(stats.text()).expect("JSON");
    assert_eq!(stats["files"], 1);
    for path in ["/metrics", "/?metrics"] {
        let metrics = http(node.address(), "GET", path, "");
        let media_type = metrics.header("content-type");
        assert!(media_type.is_some_and(|kind| kind.starts_with("text/plain; version=0.0.4")));
        let line = "\n# TYPE peerline_node_files gauge\npeerline_node_files 1\n";
        assert!(metrics.text().contains(line), "{}", metrics.text());
    }
    let share = folder(&[("metrics", b"a shared file")]);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let file = http(node.address(), "GET", "/metrics", "");
    assert_eq!(file.text(), "a shared file");
}
