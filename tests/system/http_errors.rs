//! The pages of errors: they say what is wrong, and lead on.

use crate::http_relay::announce;
use crate::support::{Server, eventually, folder, http, node_with_relay, relay};

const HTML: &str = "Accept: text/html\r\n";

/// The page of an error.
#[track_caller]
fn error_page(server: &Server, target: &str, status: u16) -> String {
    let page = http(server.address(), "GET", target, HTML);
    assert_eq!(page.status, status, "{target}");
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    page.text().to_owned()
}

#[test]
fn a_missing_file_is_named_and_searched_at_a_relay() {
    let relay = relay(&[]);
    let names = ["3 - Nope.TXT", "3 - d/nope.txt", "3 - other.txt"];
    announce(&relay, 40_001, &names);
    for target in [
        "/files/x/nope.txt",
        "/holders/nope.txt",
        "/metalink/nope.txt.meta4",
    ] {
        let page = error_page(&relay, target, 404);
        assert!(page.contains("No node has this file: <code>"), "{page}");
        let field = "name=\"q\" value=\"nope.txt\"";
        assert!(page.contains(field), "{page}");
        for similar in ["/files/Nope.TXT\">", "/files/d/nope.txt\">"] {
            assert_eq!(page.matches(similar).count(), 1, "{page}");
        }
        assert!(!page.contains("other.txt"), "{page}");
    }
    let page = error_page(&relay, "/files/%3Cb%3E%22", 404);
    assert!(page.contains("<code>&#60;b&#62;&#34;</code>"), "{page}");
    assert!(!page.contains("a name like this"), "{page}");
    let page = error_page(&relay, "/nope", 404);
    assert!(
        page.contains("No such page (a file is at /files/NAME): <code>/nope<"),
        "{page}"
    );
    // Programs get a line, and no search.
    let line = http(relay.address(), "GET", "/files/nope.txt", "");
    assert_eq!(line.text(), "404 no node has this file: nope.txt\n");
}

#[test]
fn similar_names_are_few_and_are_found_over_one_connection() {
    let relay = relay(&[]);
    let names: Vec<String> = (0..40).map(|number| format!("1 - {number}/nope")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    announce(&relay, 40_001, &names);
    let page = error_page(&relay, "/files/nope", 404);
    assert_eq!(page.matches("<li>").count(), 5, "{page}");
    // Nothing is searched if there is no name.
    let page = error_page(&relay, "//", 404);
    assert!(!page.contains("<li>"), "{page}");
}

#[test]
fn a_missing_file_is_named_at_a_node() {
    let share = folder(&[("a.txt", b"a")]);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    for (target, name, part) in [
        ("/d/nope.txt", "d/nope.txt", "nope.txt"),
        ("/d/e/", "d/e/", "e"),
        ("/d.tar", "d/", "d"),
        ("/a//b", "a//b", "b"),
    ] {
        let page = error_page(&node, target, 404);
        let text = format!("No such file: <code>{name}</code>");
        assert!(page.contains(&text), "{target}: {page}");
        let field = format!("name=\"search\" value=\"{part}\"");
        assert!(page.contains(&field), "{target}: {page}");
    }
    let line = http(node.address(), "GET", "/a%0Ab%1B", "");
    assert_eq!(line.text(), "404 no such file: a\\nb\\u{1b}\n");
    eventually("the search of the page finds files", || {
        http(node.address(), "GET", "/?search=a.txt", HTML)
            .text()
            .contains("1 file found")
    });
}

#[test]
fn every_error_is_a_sentence() {
    let relay = relay(&["--trust", "10.0.0.0/8"]);
    for (target, status, sentence) in [
        (
            "/metrics",
            403,
            "Metrics are for trusted clients; see --trust and --public-metrics.",
        ),
        (
            "/files/a?hash=x",
            400,
            "Hash must be 8 to 64 hexadecimal digits, or -.",
        ),
        (
            "/files/..",
            400,
            "A file name must be relative, and no part may be empty, . or ..",
        ),
    ] {
        let page = error_page(&relay, target, status);
        assert!(page.contains(sentence), "{target}: {page}");
    }
}
