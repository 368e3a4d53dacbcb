//! The pages of node and relay in a real browser: headless Chromium. Without it, the tests
//! are skipped.

use std::net::SocketAddr;

use crate::support::{Browser, Server, ask, eventually, folder, http, node_with_relay};

/// Names that a page must escape, with their contents.
const FILES: [(&str, &[u8]); 7] = [
    ("plain.txt", b"plain"),
    ("<script>document.title='x'<script>.txt", b"script"),
    ("<img src=x onerror=\"document.title='x'\">", b"image"),
    ("100% 'quoted' \"twice\" & more.txt", b"quotes"),
    ("two  words?#+%41.txt", b"words"),
    ("größe 日本語.txt", b"wide"),
    ("sub/javascript:alert(1)", b"link"),
];

/// Opens a page of a server, which must be without faults.
fn open_page(browser: &Browser, server: &Server, target: &str) -> String {
    let origin = format!("http://{}/", server.address());
    let address = format!("{origin}{}", &target[1..]);
    let visit = browser.open(&address);
    assert_eq!(visit.console, [""; 0], "{address}");
    let is_elsewhere = |request: &&String| !request.starts_with(&origin);
    assert_eq!(visit.requests.iter().find(is_elsewhere), None, "{address}");
    assert!(visit.requests.len() > 1, "style and script are requested");
    let document = visit.document;
    assert!(document.contains("</html>"), "{address}: {document}");
    assert!(!document.contains("<title>x</title>"), "a name is executed");
    for tag in ["<script>", "<img src=\"x\""] {
        assert!(!document.contains(tag), "a name is an element: {document}");
    }
    document
}

/// The attribute `href` of all links in a document, as the browser understands it.
fn links(document: &str) -> Vec<String> {
    let links = document.split("<a ").skip(1);
    links
        .filter_map(|link| {
            let value = link.split_once("href=\"")?.1.split_once('"')?.0;
            Some(value.replace("&amp;", "&"))
        })
        .collect()
}

/// The content behind a link of the page at `/`, or behind one redirect.
fn content(server: SocketAddr, link: &str) -> Vec<u8> {
    let target = match link.starts_with('/') {
        true => link.to_owned(),
        false => format!("/{link}"),
    };
    let response = http(server, "GET", &target, "");
    match response.header("location") {
        Some(location) if response.status == 307 => {
            let rest = location.strip_prefix("http://").expect("a whole address");
            let (host, path) = rest.split_once('/').expect("a path");
            let host = host.parse().expect("an address");
            let file = http(host, "GET", &format!("/{path}"), "");
            assert_eq!(file.status, 200, "{location}");
            file.content
        }
        _ => {
            assert_eq!(response.status, 200, "{target}");
            response.content
        }
    }
}

#[test]
fn the_browser_tells_of_failed_scripts_and_of_requests() {
    let Some(browser) = Browser::new() else {
        return;
    };
    let page = "data:text/html,<title>x</title><script>document.title='y';nothing()</script>\
                <img src='http://elsewhere.example/'>";
    let visit = browser.open(page);
    assert!(visit.document.contains("<title>y</title>"));
    let console = visit.console.concat();
    assert!(console.contains("nothing is not defined"), "{console}");
    assert_eq!(visit.requests, ["http://elsewhere.example/"]);
}

#[test]
fn a_node_shows_its_share() {
    let Some(browser) = Browser::new() else {
        return;
    };
    let share = folder(&FILES);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let page = open_page(&browser, &node, "/");
    let links = links(&page);
    // Each file is where its link leads, whatever its name.
    let files = FILES.iter().filter(|(name, _)| !name.contains('/'));
    let contents: Vec<_> = links
        .iter()
        .filter(|link| link.contains(".txt") || link.contains("%3Cimg"))
        .map(|link| content(node.address(), link))
        .collect();
    for (name, expected) in files.clone() {
        assert!(contents.iter().any(|found| found == expected), "{name}");
    }
    assert_eq!(contents.len(), files.count(), "{links:?}");
    // A folder, a search, and another order.
    assert!(links.iter().any(|link| link == "sub/"), "{links:?}");
    let folder = open_page(&browser, &node, "/sub/");
    assert!(folder.contains("javascript:alert(1)"), "{folder}");
    let links = self::links(&folder);
    let runs = |link: &String| link.starts_with("javascript:");
    assert!(!links.iter().any(runs), "{links:?}");
    let found = open_page(&browser, &node, "/?search=%E6%97%A5%E6%9C%AC");
    assert!(found.contains("größe 日本語.txt"), "{found}");
    assert!(!found.contains("plain.txt"), "{found}");
    let by_size = open_page(&browser, &node, "/?sort=size&order=desc");
    let place = |name| by_size.find(name).expect("the file is shown");
    assert!(place("100%") < place("größe"), "{by_size}");
    // An error is a page, too.
    let address = format!("http://{}/nothing", node.address());
    let error = browser.open(&address).document;
    assert!(
        error.contains("No such file: <code>nothing</code>"),
        "{error}"
    );
}

#[test]
fn a_relay_shows_the_network() {
    let Some(browser) = Browser::new() else {
        return;
    };
    let share = folder(&FILES);
    let (_node, relay) = node_with_relay(share.path(), &[]);
    eventually("the files are announced", || {
        ask(relay.address(), b"SEARCH\n").starts_with("FILES 7 7\n")
    });
    let page = open_page(&browser, &relay, "/");
    let links = links(&page);
    let files = links.iter().filter(|link| link.starts_with("/files/"));
    let mut contents: Vec<_> = files.map(|link| content(relay.address(), link)).collect();
    let mut expected: Vec<_> = FILES.iter().map(|(_, content)| content.to_vec()).collect();
    contents.sort();
    expected.sort();
    assert_eq!(contents, expected, "{links:?}");
    let found = open_page(&browser, &relay, "/?q=%E6%97%A5%E6%9C%AC");
    assert!(found.contains("größe 日本語.txt"), "{found}");
    assert!(!found.contains("plain.txt"), "{found}");
    // The other pages are one link away.
    for start in ["/nodes", "/holders/"] {
        let link = links.iter().find(|link| link.starts_with(start));
        let link = link.unwrap_or_else(|| panic!("no {start} in {links:?}"));
        open_page(&browser, &relay, link);
    }
}
